package main

import (
	"fmt"
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Standard switches: HostNetworkSystem's methods, which the plain simulator lacks (Update*, RefreshNetworkSystem) or
// which drop the specification they are given (Add*).

// share makes HostNetworkSystem.networkInfo and HostSystem.config.network the same object, as on a real host.
func share(ctx *simulator.Context, host *simulator.HostSystem) {
	system := networkSystem(ctx, *host.ConfigManager.NetworkSystem)
	info := clone(host.Config.Network)
	for i := range info.Portgroup {
		// The template's groups have objects without values where a real host sends nothing.
		info.Portgroup[i].Spec.Policy = withoutEmpty(info.Portgroup[i].Spec.Policy)
	}
	for i := range info.Vswitch {
		info.Vswitch[i].Spec.Mtu = info.Vswitch[i].Mtu
	}
	// Two more physical NICs than the template's two, free for the switches of tests.
	for i := len(info.Pnic); i < 4; i++ {
		nic := clone(info.Pnic[1])
		nic.Device = fmt.Sprintf("vmnic%d", i)
		nic.Key, nic.Pci = "key-vim.host.PhysicalNic-"+nic.Device, fmt.Sprintf("0000:%02x:00.0", 0x1b+8*i)
		nic.Mac, nic.FcoeConfiguration = fmt.Sprintf("00:0c:29:81:d8:%02x", 0xb4+i), nil
		info.Pnic = append(info.Pnic, nic)
	}
	compute(info)
	system.NetworkInfo = info
	host.Config.Network = info
}

func networkSystem(ctx *simulator.Context, reference types.ManagedObjectReference) *simulator.HostNetworkSystem {
	return ctx.Map.Get(reference).(*simulator.HostNetworkSystem)
}

// change applies a change to a host's network configuration: a fault, and nothing is changed. Clients that are being
// answered keep the object they read.
func change(ctx *simulator.Context, this types.ManagedObjectReference, apply func(*simulator.HostNetworkSystem, *types.HostNetworkInfo) types.BaseMethodFault) *soap.Fault {
	system := networkSystem(ctx, this)
	var fault types.BaseMethodFault
	ctx.WithLock(system, func() {
		if fault = contact(system.Host); fault != nil {
			return
		}
		info := clone(system.NetworkInfo)
		if fault = apply(system, info); fault != nil {
			return
		}
		compute(info)
		ctx.WithLock(system.Host, func() {
			system.NetworkInfo = info
			system.Host.Config.Network = info
		})
	})
	if fault != nil {
		return simulator.Fault(fmt.Sprintf("%T on %s", fault, system.Host.Name), fault)
	}
	return nil
}

// compute fills HostPortGroup.computedPolicy: "inherited if the settings on the port group are not set. Since every
// policy setting on a port group is optional, every individual policy setting can be inherited" (HostNetworkPolicy).
func compute(info *types.HostNetworkInfo) {
	for i := range info.Portgroup {
		group := &info.Portgroup[i]
		group.ComputedPolicy = types.HostNetworkPolicy{}
		if vswitch := findSwitch(info, group.Spec.VswitchName); vswitch != nil {
			group.Vswitch = vswitch.Key
			if vswitch.Spec.Policy != nil {
				group.ComputedPolicy = clone(*vswitch.Spec.Policy)
			}
		}
		overlay(&group.ComputedPolicy, group.Spec.Policy)
	}
	for i := range info.Vswitch {
		vswitch := &info.Vswitch[i]
		vswitch.Portgroup = nil
		for _, group := range info.Portgroup {
			if group.Spec.VswitchName == vswitch.Name {
				vswitch.Portgroup = append(vswitch.Portgroup, group.Key)
			}
		}
		vswitch.Mtu = vswitch.Spec.Mtu
		vswitch.NumPorts = vswitch.Spec.NumPorts
		vswitch.NumPortsAvailable = vswitch.Spec.NumPorts
		vswitch.Pnic = nil
		for _, device := range uplinks(vswitch.Spec) {
			vswitch.Pnic = append(vswitch.Pnic, "key-vim.host.PhysicalNic-"+device)
		}
	}
}

func withoutEmpty(policy types.HostNetworkPolicy) types.HostNetworkPolicy {
	if policy.Security != nil && *policy.Security == (types.HostNetworkSecurityPolicy{}) {
		policy.Security = nil
	}
	if policy.ShapingPolicy != nil && *policy.ShapingPolicy == (types.HostNetworkTrafficShapingPolicy{}) {
		policy.ShapingPolicy = nil
	}
	if policy.OffloadPolicy != nil && *policy.OffloadPolicy == (types.HostNetOffloadCapabilities{}) {
		policy.OffloadPolicy = nil
	}
	if teaming := policy.NicTeaming; teaming != nil && teaming.Policy == "" && teaming.NicOrder == nil {
		policy.NicTeaming = nil
	}
	return policy
}

func findSwitch(info *types.HostNetworkInfo, name string) *types.HostVirtualSwitch {
	for i := range info.Vswitch {
		if info.Vswitch[i].Name == name {
			return &info.Vswitch[i]
		}
	}
	return nil
}

func findGroup(info *types.HostNetworkInfo, name string) *types.HostPortGroup {
	for i := range info.Portgroup {
		if info.Portgroup[i].Spec.Name == name {
			return &info.Portgroup[i]
		}
	}
	return nil
}

// uplinks lists the physical NICs that a switch's bridge names.
func uplinks(spec types.HostVirtualSwitchSpec) []string {
	switch bridge := spec.Bridge.(type) {
	case *types.HostVirtualSwitchBondBridge:
		return bridge.NicDevice
	case *types.HostVirtualSwitchSimpleBridge:
		return []string{bridge.NicDevice}
	}
	return nil
}

// checkUplinks says whether the switch's NICs exist and are no other switch's (ResourceInUse).
func checkUplinks(info *types.HostNetworkInfo, name string, spec types.HostVirtualSwitchSpec) types.BaseMethodFault {
	for _, device := range uplinks(spec) {
		if !slices.ContainsFunc(info.Pnic, func(nic types.PhysicalNic) bool { return nic.Device == device }) {
			return &types.NotFound{}
		}
		for _, other := range info.Vswitch {
			if other.Name != name && slices.Contains(uplinks(other.Spec), device) {
				return &types.ResourceInUse{Type: "PhysicalNic", Name: device}
			}
		}
	}
	return nil
}

// defaultPolicy is what HostVirtualSwitchSpec.policy calls "a default policy property setting", with ESXi's values.
func defaultPolicy() *types.HostNetworkPolicy {
	return &types.HostNetworkPolicy{
		Security: &types.HostNetworkSecurityPolicy{
			AllowPromiscuous: types.NewBool(false), MacChanges: types.NewBool(true), ForgedTransmits: types.NewBool(true),
		},
		NicTeaming: &types.HostNicTeamingPolicy{
			Policy: "loadbalance_srcid", ReversePolicy: types.NewBool(true),
			NotifySwitches: types.NewBool(true), RollingOrder: types.NewBool(false),
			FailureCriteria: &types.HostNicFailureCriteria{
				CheckSpeed: "minimum", Speed: 10, CheckDuplex: types.NewBool(false), FullDuplex: types.NewBool(false),
				CheckErrorPercent: types.NewBool(false), CheckBeacon: types.NewBool(false),
			},
			NicOrder: &types.HostNicOrderPolicy{},
		},
		OffloadPolicy: &types.HostNetOffloadCapabilities{
			CsumOffload: types.NewBool(true), TcpSegmentation: types.NewBool(true), ZeroCopyXmit: types.NewBool(true),
		},
		ShapingPolicy: &types.HostNetworkTrafficShapingPolicy{Enabled: types.NewBool(false)},
	}
}

// order puts new uplinks into the active ones and takes those that are gone out of the teaming order.
func order(spec *types.HostVirtualSwitchSpec, before []string) {
	if spec.Policy == nil || spec.Policy.NicTeaming == nil || spec.Policy.NicTeaming.NicOrder == nil {
		return
	}
	now := uplinks(*spec)
	gone := func(device string) bool { return !slices.Contains(now, device) }
	nics := spec.Policy.NicTeaming.NicOrder
	nics.ActiveNic = slices.DeleteFunc(slices.Clone(nics.ActiveNic), gone)
	nics.StandbyNic = slices.DeleteFunc(slices.Clone(nics.StandbyNic), gone)
	for _, device := range now {
		known := slices.Contains(before, device) || slices.Contains(nics.ActiveNic, device) || slices.Contains(nics.StandbyNic, device)
		if !known {
			nics.ActiveNic = append(nics.ActiveNic, device)
		}
	}
}

func (e *extension) AddVirtualSwitch(ctx *simulator.Context, req *types.AddVirtualSwitch) soap.HasFault {
	fault := change(ctx, req.This, func(_ *simulator.HostNetworkSystem, info *types.HostNetworkInfo) types.BaseMethodFault {
		if findSwitch(info, req.VswitchName) != nil {
			return &types.AlreadyExists{Name: req.VswitchName}
		}
		spec := types.HostVirtualSwitchSpec{NumPorts: 128, Mtu: 1500, Policy: defaultPolicy()}
		if req.Spec != nil {
			overlay(&spec, *req.Spec)
		}
		if fault := checkUplinks(info, req.VswitchName, spec); fault != nil {
			return fault
		}
		order(&spec, nil)
		info.Vswitch = append(info.Vswitch, types.HostVirtualSwitch{
			Name: req.VswitchName, Key: "key-vim.host.VirtualSwitch-" + req.VswitchName, Spec: spec,
		})
		return nil
	})
	return &methods.AddVirtualSwitchBody{Fault_: fault, Res: &types.AddVirtualSwitchResponse{}}
}

// UpdateVirtualSwitch replaces numPorts and the bridge, which may be absent: then the switch has no uplinks any more.
// What else is unset stays as it is.
func (e *extension) UpdateVirtualSwitch(ctx *simulator.Context, req *types.UpdateVirtualSwitch) soap.HasFault {
	fault := change(ctx, req.This, func(_ *simulator.HostNetworkSystem, info *types.HostNetworkInfo) types.BaseMethodFault {
		vswitch := findSwitch(info, req.VswitchName)
		if vswitch == nil {
			return &types.NotFound{}
		}
		if fault := checkUplinks(info, req.VswitchName, req.Spec); fault != nil {
			return fault
		}
		before := uplinks(vswitch.Spec)
		vswitch.Spec.Bridge = nil
		overlay(&vswitch.Spec, req.Spec)
		order(&vswitch.Spec, before)
		return nil
	})
	return &methods.UpdateVirtualSwitchBody{Fault_: fault, Res: &types.UpdateVirtualSwitchResponse{}}
}

func (e *extension) RemoveVirtualSwitch(ctx *simulator.Context, req *types.RemoveVirtualSwitch) soap.HasFault {
	fault := change(ctx, req.This, func(_ *simulator.HostNetworkSystem, info *types.HostNetworkInfo) types.BaseMethodFault {
		vswitch := findSwitch(info, req.VswitchName)
		if vswitch == nil {
			return &types.NotFound{}
		}
		if len(vswitch.Portgroup) > 0 {
			return &types.ResourceInUse{Type: "VirtualSwitch", Name: req.VswitchName}
		}
		info.Vswitch = slices.DeleteFunc(info.Vswitch, func(v types.HostVirtualSwitch) bool { return v.Name == req.VswitchName })
		return nil
	})
	return &methods.RemoveVirtualSwitchBody{Fault_: fault, Res: &types.RemoveVirtualSwitchResponse{}}
}

func (e *extension) AddPortGroup(ctx *simulator.Context, req *types.AddPortGroup) soap.HasFault {
	fault := change(ctx, req.This, func(system *simulator.HostNetworkSystem, info *types.HostNetworkInfo) types.BaseMethodFault {
		spec := clone(req.Portgrp)
		if spec.Name == "" {
			return &types.InvalidArgument{InvalidProperty: "name"}
		}
		if findGroup(info, spec.Name) != nil {
			return &types.AlreadyExists{Name: spec.Name}
		}
		if findSwitch(info, spec.VswitchName) == nil {
			return &types.NotFound{}
		}
		info.Portgroup = append(info.Portgroup, types.HostPortGroup{Key: groupKey(spec.Name), Spec: spec})
		attach(ctx, system.Host, spec.Name)
		return nil
	})
	return &methods.AddPortGroupBody{Fault_: fault, Res: &types.AddPortGroupResponse{}}
}

// UpdatePortGroup replaces the whole specification: a policy setting that is not set is inherited from then on
// (HostNetworkPolicy: "These policy settings are inherited if the settings on the port group are not set").
func (e *extension) UpdatePortGroup(ctx *simulator.Context, req *types.UpdatePortGroup) soap.HasFault {
	fault := change(ctx, req.This, func(system *simulator.HostNetworkSystem, info *types.HostNetworkInfo) types.BaseMethodFault {
		group := findGroup(info, req.PgName)
		if group == nil || findSwitch(info, req.Portgrp.VswitchName) == nil {
			return &types.NotFound{}
		}
		if req.Portgrp.Name != req.PgName {
			if findGroup(info, req.Portgrp.Name) != nil {
				return &types.AlreadyExists{Name: req.Portgrp.Name}
			}
			detach(ctx, system.Host, req.PgName)
			attach(ctx, system.Host, req.Portgrp.Name)
		}
		group.Key = groupKey(req.Portgrp.Name)
		group.Spec = clone(req.Portgrp)
		return nil
	})
	return &methods.UpdatePortGroupBody{Fault_: fault, Res: &types.UpdatePortGroupResponse{}}
}

func (e *extension) RemovePortGroup(ctx *simulator.Context, req *types.RemovePortGroup) soap.HasFault {
	fault := change(ctx, req.This, func(system *simulator.HostNetworkSystem, info *types.HostNetworkInfo) types.BaseMethodFault {
		if findGroup(info, req.PgName) == nil {
			return &types.NotFound{}
		}
		if fault := unused(ctx, system.Host, req.PgName); fault != nil {
			return fault
		}
		info.Portgroup = slices.DeleteFunc(info.Portgroup, func(g types.HostPortGroup) bool { return g.Spec.Name == req.PgName })
		detach(ctx, system.Host, req.PgName)
		return nil
	})
	return &methods.RemovePortGroupBody{Fault_: fault, Res: &types.RemovePortGroupResponse{}}
}

// RefreshNetworkSystem: "Refresh the network information and settings to pick up any changes that have occurred".
// The simulated host's settings have no other place from which they could change.
func (e *extension) RefreshNetworkSystem(ctx *simulator.Context, req *types.RefreshNetworkSystem) soap.HasFault {
	fault := change(ctx, req.This, func(*simulator.HostNetworkSystem, *types.HostNetworkInfo) types.BaseMethodFault { return nil })
	return &methods.RefreshNetworkSystemBody{Fault_: fault, Res: &types.RefreshNetworkSystemResponse{}}
}

func groupKey(name string) string { return "key-vim.host.PortGroup-" + name }
