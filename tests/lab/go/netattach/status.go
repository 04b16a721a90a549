package main

import (
	"fmt"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
)

const statusAnnotation = "k8s.v1.cni.cncf.io/network-status"

// networkStatus is one element of the network-status annotation.
type networkStatus struct {
	Name      string    `json:"name"`
	Interface string    `json:"interface,omitempty"`
	IPs       []string  `json:"ips,omitempty"`
	MAC       string    `json:"mac,omitempty"`
	Default   bool      `json:"default,omitempty"`
	DNS       types.DNS `json:"dns"`
}

// networkStatuses says what the delegates made; the first is the primary network.
func networkStatuses(delegates []delegate, results []types.Result) ([]networkStatus, error) {
	statuses := make([]networkStatus, 0, len(results))
	for i, r := range results {
		result, err := current.NewResultFromResult(r)
		if err != nil {
			return nil, fmt.Errorf("netattach: network %s: its result cannot be read: %w", delegates[i].Network, err)
		}
		s := networkStatus{
			Name: delegates[i].Network, Interface: delegates[i].Interface, Default: i == 0, DNS: result.DNS}
		for _, iface := range result.Interfaces {
			if iface.Sandbox != "" && iface.Name == s.Interface {
				s.MAC = iface.Mac
			}
		}
		for _, ip := range result.IPs {
			s.IPs = append(s.IPs, ip.Address.IP.String())
		}
		statuses = append(statuses, s)
	}
	return statuses, nil
}
