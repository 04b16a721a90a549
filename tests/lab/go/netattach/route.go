package main

import (
	"fmt"
	"net"
	"os"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
)

// useAddressesAtOnce does without duplicate address detection, for which each pod would wait up to two seconds: in the lab nobody else
// can have an address of the primary network, and the router's agent asks for its own itself.
func useAddressesAtOnce(netns string) error {
	return ns.WithNetNSPath(netns, func(ns.NetNS) error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0o644)
	})
}

// moveDefaultRoute takes the default routes of the gateways' families away and sets them over the interface.
func moveDefaultRoute(netns, iface string, gateways []net.IP) error {
	return ns.WithNetNSPath(netns, func(ns.NetNS) error {
		link, err := netlink.LinkByName(iface)
		if err != nil {
			return err
		}
		for _, gateway := range gateways {
			family := netlink.FAMILY_V6
			if gateway.To4() != nil {
				family = netlink.FAMILY_V4
			}
			routes, err := netlink.RouteList(nil, family)
			if err != nil {
				return err
			}
			for _, route := range routes {
				if route.Dst != nil && !route.Dst.IP.IsUnspecified() {
					continue
				}
				if err := netlink.RouteDel(&route); err != nil {
					return fmt.Errorf("removing the default route: %w", err)
				}
			}
			if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway}); err != nil {
				return fmt.Errorf("adding the default route by %s: %w", gateway, err)
			}
		}
		return nil
	})
}
