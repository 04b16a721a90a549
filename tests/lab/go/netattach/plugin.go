package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
)

const primaryInterface = "eth0"

// conf is the plugin's own configuration; RuntimeConfig is the container runtime's, meant for the primary network.
type conf struct {
	types.NetConf
	Kubeconfig     string         `json:"kubeconfig"`
	ClusterNetwork string         `json:"clusterNetwork"`
	RuntimeConfig  map[string]any `json:"runtimeConfig"`
}

// podArgs is what the runtime tells about the pod in CNI_ARGS.
type podArgs struct {
	types.CommonArgs
	K8S_POD_NAMESPACE types.UnmarshallableString //nolint:revive // the names are the runtime's
	K8S_POD_NAME      types.UnmarshallableString //nolint:revive
	K8S_POD_UID       types.UnmarshallableString //nolint:revive
}

type plugin struct {
	args *skel.CmdArgs
	conf conf
	pod  podArgs
	cni  *libcni.CNIConfig
	memo memo
}

func newPlugin(args *skel.CmdArgs) (*plugin, error) {
	p := &plugin{args: args, memo: memo{directory: "/var/lib/cni/netattach", container: args.ContainerID}}
	if err := json.Unmarshal(args.StdinData, &p.conf); err != nil {
		return nil, fmt.Errorf("netattach: its configuration is no valid JSON: %w", err)
	}
	p.pod.IgnoreUnknown = true
	if err := types.LoadArgs(args.Args, &p.pod); err != nil {
		return nil, fmt.Errorf("netattach: CNI_ARGS %q cannot be read: %w", args.Args, err)
	}
	p.cni = libcni.NewCNIConfigWithCacheDir(filepath.SplitList(args.Path), "/var/lib/cni/netattach/libcni", nil)
	return p, nil
}

func (p *plugin) runtime(d delegate) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{
		ContainerID:    p.args.ContainerID,
		NetNS:          p.args.Netns,
		IfName:         d.Interface,
		CapabilityArgs: d.Capabilities,
		Args: [][2]string{
			{"IgnoreUnknown", "true"},
			{"K8S_POD_NAMESPACE", string(p.pod.K8S_POD_NAMESPACE)},
			{"K8S_POD_NAME", string(p.pod.K8S_POD_NAME)},
			{"K8S_POD_UID", string(p.pod.K8S_POD_UID)},
		},
	}
}

// add attaches the primary network and then what the pod's annotation names. Every delegate is remembered before it
// runs, so that DEL undoes what a failed ADD left, even when the attachment definition has gone meanwhile.
func (p *plugin) add(ctx context.Context) (types.Result, error) {
	namespace, name := string(p.pod.K8S_POD_NAMESPACE), string(p.pod.K8S_POD_NAME)
	primary, err := primaryDelegate(p.conf)
	if err != nil {
		return nil, err
	}
	delegates := []delegate{primary}
	var routes []selection
	var kube *kube
	if name != "" {
		if kube, err = newKube(p.conf.Kubeconfig); err != nil {
			return nil, err
		}
		selections, err := kube.selections(ctx, namespace, name)
		if err != nil {
			return nil, fmt.Errorf("netattach: pod %s/%s: %w", namespace, name, err)
		}
		for _, s := range selections {
			config, err := kube.networkConfig(ctx, s.Namespace, s.Name)
			if err != nil {
				return nil, fmt.Errorf("netattach: pod %s/%s: %w", namespace, name, err)
			}
			delegates = append(delegates, delegate{
				Network: s.Namespace + "/" + s.Name, Interface: s.Interface, Config: config, Capabilities: s.capabilities()})
			if len(s.DefaultRoute) > 0 {
				routes = append(routes, s)
			}
		}
	}
	if err := p.memo.save(delegates); err != nil {
		return nil, err
	}

	if err := useAddressesAtOnce(p.args.Netns); err != nil {
		return nil, fmt.Errorf("netattach: pod %s/%s: %w", namespace, name, err)
	}
	results := make([]types.Result, 0, len(delegates))
	for _, d := range delegates {
		list, err := d.list()
		if err != nil {
			return nil, fmt.Errorf("netattach: network %s: %w", d.Network, err)
		}
		result, err := p.cni.AddNetworkList(ctx, list, p.runtime(d))
		if err != nil {
			// Not %w: the CNI library would report a wrapped CNI error alone and drop what stands before it.
			return nil, fmt.Errorf("netattach: pod %s/%s: network %s, interface %s: %v",
				namespace, name, d.Network, d.Interface, err)
		}
		results = append(results, result)
	}
	for _, s := range routes {
		if err := moveDefaultRoute(p.args.Netns, s.Interface, s.DefaultRoute); err != nil {
			return nil, fmt.Errorf("netattach: pod %s/%s: default-route over %s: %w", namespace, name, s.Interface, err)
		}
	}
	if len(delegates) > 1 {
		statuses, err := networkStatuses(delegates, results)
		if err != nil {
			return nil, err
		}
		if err := kube.setStatus(ctx, namespace, name, statuses); err != nil {
			return nil, fmt.Errorf("netattach: pod %s/%s: %w", namespace, name, err)
		}
	}
	return results[0], nil
}

// del removes in reverse order, goes on after an error, and keeps the memory when one failed: the runtime tries again.
func (p *plugin) del(ctx context.Context) error {
	delegates, err := p.memo.load()
	if err != nil {
		return err
	}
	var failures []error
	for i := len(delegates) - 1; i >= 0; i-- {
		d := delegates[i]
		list, err := d.list()
		if err == nil {
			err = p.cni.DelNetworkList(ctx, list, p.runtime(d))
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("network %s, interface %s: %v", d.Network, d.Interface, err))
		}
	}
	if len(failures) > 0 {
		return fmt.Errorf("netattach: removing: %w", errors.Join(failures...))
	}
	return p.memo.forget()
}

func (p *plugin) check(ctx context.Context) error {
	delegates, err := p.memo.load()
	if err != nil {
		return err
	}
	for _, d := range delegates {
		list, err := d.list()
		if err == nil {
			err = p.cni.CheckNetworkList(ctx, list, p.runtime(d))
		}
		if err != nil {
			return fmt.Errorf("netattach: network %s, interface %s: %v", d.Network, d.Interface, err)
		}
	}
	return nil
}
