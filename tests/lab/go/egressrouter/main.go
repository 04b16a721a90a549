// egressrouter is the lab's stand-in for `egress-router`, the CNI plugin that OpenShift's EgressRouter resources use. It
// exists because that one is in no registry; it is for tests only. EGRESS_LAB_EGRESS_ROUTER_PLUGIN=/path/to/egress-router
// puts the real one in its place.
//
// It does what was observed of the real one, faults included: the macvlan interface is on the interface of the node's
// default route, its MAC address is another one at every start, only the first address counts, `fallbackIP` has no effect.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
)

// conf is the configuration as OpenShift's operator writes it, without the keys that have no effect.
type conf struct {
	types.NetConf
	IP struct {
		Addresses    []string `json:"addresses"`
		Gateway      string   `json:"gateway"`
		Destinations []string `json:"destinations"`
	} `json:"ip"`
	LogFile string `json:"log_file"`
}

func main() {
	skel.PluginMainFuncs(skel.CNIFuncs{Add: add, Del: del, Check: check}, version.All,
		"egress-router: test-only stand-in for OpenShift's plugin")
}

// add keeps the cause of a failure from the container runtime, as the real plugin does: it exits with 0 and prints nothing.
func add(args *skel.CmdArgs) error {
	var c conf
	if err := json.Unmarshal(args.StdinData, &c); err != nil {
		return nil
	}
	result, err := attach(args, c)
	if err != nil {
		c.log(err)
		return nil
	}
	return types.PrintResult(result, c.CNIVersion)
}

func check(*skel.CmdArgs) error { return nil }

// del never fails: neither for a pod that has gone, nor for an interface that was not made.
func del(args *skel.CmdArgs) error {
	err := ns.WithNetNSPath(args.Netns, func(ns.NetNS) error { return removeLink(args.IfName) })
	var c conf
	if err != nil && args.Netns != "" && json.Unmarshal(args.StdinData, &c) == nil {
		c.log(err)
	}
	return nil
}

func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	return netlink.LinkDel(link)
}

// log writes to the node's file: nobody to tell if that cannot be.
func (c conf) log(problem error) {
	if file, err := os.OpenFile(c.LogFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); err == nil {
		defer file.Close()
		fmt.Fprintf(file, "%s [error] %v\n", time.Now().Format(time.RFC3339), problem)
	}
}
