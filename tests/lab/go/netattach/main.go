// netattach is the lab's stand-in for Multus: a delegating CNI plugin that attaches further interfaces to a pod as the
// Network Plumbing Working Group's specification describes it. It exists because the lab must run where no registry
// offers Multus; it is for tests only. EGRESS_LAB_MULTUS=/path/to/multus puts a real Multus in its place.
//
// Its configuration has the keys of Multus that the lab needs:
//
//	{"cniVersion": "1.0.0", "name": "egress-lab", "type": "netattach",
//	 "kubeconfig": "FILE", "clusterNetwork": "CONFLIST FILE"}
package main

import (
	"context"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

// The kubelet gives up on a sandbox after four minutes; an unreachable API server must be named long before.
const timeout = 60 * time.Second

func main() {
	skel.PluginMainFuncs(skel.CNIFuncs{Add: add, Del: del, Check: check}, version.All,
		"netattach: test-only network attachment, a stand-in for Multus")
}

func add(args *skel.CmdArgs) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	p, err := newPlugin(args)
	if err != nil {
		return err
	}
	result, err := p.add(ctx)
	if err != nil {
		return err
	}
	return types.PrintResult(result, p.conf.CNIVersion)
}

func del(args *skel.CmdArgs) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	p, err := newPlugin(args)
	if err != nil {
		return err
	}
	return p.del(ctx)
}

func check(args *skel.CmdArgs) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	p, err := newPlugin(args)
	if err != nil {
		return err
	}
	return p.check(ctx)
}
