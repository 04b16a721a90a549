package main

import (
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Networks and switches in the inventory.

// unused says whether a VM of the host is connected to the group (ResourceInUse).
func unused(ctx *simulator.Context, host *mo.HostSystem, name string) types.BaseMethodFault {
	for _, reference := range host.Vm {
		vm, ok := ctx.Map.Get(reference).(*simulator.VirtualMachine)
		if !ok {
			continue
		}
		for _, device := range vm.Config.Hardware.Device {
			backing, ok := device.GetVirtualDevice().Backing.(*types.VirtualEthernetCardNetworkBackingInfo)
			if ok && backing.DeviceName == name {
				return &types.ResourceInUse{Type: "Network", Name: name}
			}
		}
	}
	return nil
}

// attach adds the host to the datacenter's Network of that name: one Network for the groups of all hosts with its name.
func attach(ctx *simulator.Context, host *mo.HostSystem, name string) {
	folder := networkFolder(ctx, host)
	network, _ := ctx.Map.FindByName(name, folder.ChildEntity).(*mo.Network)
	if network == nil {
		network = &mo.Network{}
		network.Name = name
		network.ManagedEntity.Name = name
		put(ctx, folder, network)
		network.Summary = &types.NetworkSummary{Network: &network.Self, Name: name, Accessible: true}
	}
	ctx.Map.AddReference(ctx, network, &network.Host, host.Self)
	ctx.Map.AddReference(ctx, host, &host.Network, network.Self)
	if resource := computeResource(ctx, host); resource != nil {
		ctx.Map.AddReference(ctx, resource, &resource.Network, network.Self)
	}
}

// detach takes the host out of the Network, which goes with its last host.
func detach(ctx *simulator.Context, host *mo.HostSystem, name string) {
	folder := networkFolder(ctx, host)
	network, _ := ctx.Map.FindByName(name, folder.ChildEntity).(*mo.Network)
	if network == nil {
		return
	}
	ctx.Map.RemoveReference(ctx, network, &network.Host, host.Self)
	ctx.Map.RemoveReference(ctx, host, &host.Network, network.Self)
	if len(network.Host) > 0 {
		return
	}
	if resource := computeResource(ctx, host); resource != nil {
		ctx.Map.RemoveReference(ctx, resource, &resource.Network, network.Self)
	}
	remove(ctx, folder, network.Self)
}

func computeResource(ctx *simulator.Context, host *mo.HostSystem) *mo.ComputeResource {
	switch parent := ctx.Map.Get(*host.Parent).(type) {
	case *simulator.ClusterComputeResource:
		return &parent.ComputeResource
	case *mo.ComputeResource:
		return parent
	}
	return nil
}

func networkFolder(ctx *simulator.Context, entity mo.Entity) *simulator.Folder {
	return ctx.Map.Get(datacenter(ctx, entity).NetworkFolder).(*simulator.Folder)
}

func datacenter(ctx *simulator.Context, entity mo.Entity) *simulator.Datacenter {
	for {
		parent := ctx.Map.Get(*entity.Entity().Parent)
		if found, ok := parent.(*simulator.Datacenter); ok {
			return found
		}
		entity = parent.(mo.Entity)
	}
}

// put adds a network or a switch to a network folder, and to the datacenter's networks.
func put(ctx *simulator.Context, folder *simulator.Folder, entity mo.Entity) {
	ctx.WithLock(folder, func() {
		ctx.Map.PutEntity(folder, entity)
		ctx.Map.AddReference(ctx, folder, &folder.ChildEntity, entity.Reference())
	})
	if strings.HasSuffix(entity.Reference().Type, "Switch") {
		return // Datacenter.network has networks and port groups only
	}
	home := datacenter(ctx, entity)
	ctx.Map.AddReference(ctx, home, &home.Network, entity.Reference())
}

func remove(ctx *simulator.Context, folder *simulator.Folder, reference types.ManagedObjectReference) {
	home := datacenter(ctx, folder)
	ctx.Map.Remove(ctx, reference)
	ctx.Map.RemoveReference(ctx, folder, &folder.ChildEntity, reference)
	ctx.Map.RemoveReference(ctx, home, &home.Network, reference)
}
