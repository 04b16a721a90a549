package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/containernetworking/cni/pkg/skel"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const primaryInterface = "eth0"

// attach makes the pod a router, or leaves it without the interface.
func attach(args *skel.CmdArgs, c conf) (*current.Result, error) {
	if len(c.IP.Addresses) == 0 {
		return nil, errors.New("no address is configured")
	}
	address, err := netlink.ParseAddr(c.IP.Addresses[0])
	if err != nil {
		return nil, fmt.Errorf("unable to parse IP address %q: %w", c.IP.Addresses[0], err)
	}
	gateway := net.ParseIP(c.IP.Gateway).To4()
	if address.IP.To4() == nil || gateway == nil {
		return nil, fmt.Errorf("address %s and gateway %q are not both IPv4", address, c.IP.Gateway)
	}
	parent, err := defaultRouteInterface()
	if err != nil {
		return nil, err
	}
	pod, err := ns.GetNS(args.Netns)
	if err != nil {
		return nil, err
	}
	defer pod.Close()
	link := &netlink.Macvlan{Mode: netlink.MACVLAN_MODE_BRIDGE, LinkAttrs: netlink.LinkAttrs{
		Name: args.IfName, ParentIndex: parent, Namespace: netlink.NsFd(int(pod.Fd()))}}
	if err := netlink.LinkAdd(link); err != nil {
		return nil, fmt.Errorf("failed to create macvlan: %w", err)
	}
	var mac net.HardwareAddr
	err = pod.Do(func(ns.NetNS) error {
		err := errors.Join(enableForwarding(args.IfName), os.WriteFile(arpNotify(args.IfName), []byte("1"), 0o644))
		if err == nil {
			mac, err = configure(args.IfName, address, gateway)
		}
		if err == nil {
			err = loadRules(args.IfName, address.IP, c.IP.Destinations)
		}
		if err != nil {
			return errors.Join(err, removeLink(args.IfName))
		}
		return os.WriteFile(arpNotify(args.IfName), []byte("0"), 0o644)
	})
	if err != nil {
		return nil, err
	}
	return &current.Result{
		Interfaces: []*current.Interface{{Name: args.IfName, Mac: mac.String(), Sandbox: args.Netns}},
		IPs:        []*current.IPConfig{{Interface: current.Int(0), Address: *address.IPNet, Gateway: gateway}},
	}, nil
}

// defaultRouteInterface is what the resource's `master` has no influence on.
func defaultRouteInterface() (int, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return 0, err
	}
	for _, route := range routes {
		if isDefault(route) && route.Type == unix.RTN_UNICAST {
			return route.LinkIndex, nil
		}
	}
	return 0, errors.New("no default route interface found")
}

func isDefault(route netlink.Route) bool {
	return route.Dst == nil || route.Dst.IP.IsUnspecified()
}

func enableForwarding(name string) error {
	return errors.Join(
		os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/proxy_arp", []byte("1"), 0o644),
		os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644))
}

// arpNotify is the setting that makes the kernel announce the address when the interface comes up.
func arpNotify(name string) string { return "/proc/sys/net/ipv4/conf/" + name + "/arp_notify" }

// configure gives the interface its address and all of the pod's traffic that eth0 has no route for.
func configure(name string, address *netlink.Addr, gateway net.IP) (net.HardwareAddr, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	if err := netlink.AddrAdd(link, address); err != nil {
		return nil, fmt.Errorf("failed to add address %s: %w", address, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("failed to set %s up: %w", name, err)
	}
	index := link.Attrs().Index
	host := &net.IPNet{IP: gateway, Mask: net.CIDRMask(32, 32)}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: index, Dst: host}); err != nil {
		return nil, fmt.Errorf("failed to add route to gateway %s: %w", gateway, err)
	}
	primary, err := netlink.LinkByName(primaryInterface)
	if err != nil {
		return nil, fmt.Errorf("couldn't get interface %s: %w", primaryInterface, err)
	}
	routes, err := netlink.RouteList(primary, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	for _, route := range routes {
		if isDefault(route) {
			if err := netlink.RouteDel(&route); err != nil {
				return nil, fmt.Errorf("failed to delete existing default route: %w", err)
			}
		}
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: index, Gw: gateway}); err != nil {
		return nil, fmt.Errorf("failed to add new default route, gateway %s: %w", gateway, err)
	}
	return link.Attrs().HardwareAddr, nil
}
