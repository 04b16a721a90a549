package main

import (
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/vpx"
	"github.com/vmware/govmomi/vim25/types"
)

// inventory makes what tests build upon: a datacenter DC0 with the cluster DC0_C0 of hosts DC0_C0_H0..., a host DC0_H0
// outside of it, a datastore LocalDS_0 and an NSX network. Switches, port groups and VMs are the tests' business.
func inventory(model *simulator.Model, o options) (*extension, error) {
	content := vpx.ServiceContent
	// pyVmomi chooses the API's version by this one; MAC management came with 6.7.
	content.About.ApiVersion, content.About.Version = "8.0.3.0", "8.0.3"
	model.ServiceContent = content
	model.Portgroup, model.Machine = 0, 0
	model.Host, model.Cluster, model.ClusterHost, model.Datastore = 1, 1, o.hosts, 1

	if err := model.Create(); err != nil {
		return nil, err
	}
	ctx := model.Service.Context
	e := extend(ctx.Map, o.user)
	for _, host := range ctx.Map.All("HostSystem") {
		share(ctx, host.(*simulator.HostSystem))
		attach(ctx, &host.(*simulator.HostSystem).HostSystem, "VM Network")
	}

	root := ctx.Map.Get(rootFolder).(*simulator.Folder)
	home := ctx.Map.FindByName("DC0", root.ChildEntity).(*simulator.Datacenter)
	networks := ctx.Map.Get(home.NetworkFolder).(*simulator.Folder)
	// Not of the type nsx.LogicalSwitch, whose NICs the simulator moves to a distributed port group.
	err := networks.AddOpaqueNetwork(ctx, types.OpaqueNetworkSummary{
		NetworkSummary:  types.NetworkSummary{Name: "nsx-segment"},
		OpaqueNetworkId: "5f7b8c1e-0c5b-4a2e-9d8e-3a1f0e2d4c6b", OpaqueNetworkType: "nsx.network",
	})
	if err != nil {
		return nil, err
	}
	permissions(ctx)
	return e, nil
}

// permissions: readonly@vsphere.local may look at everything. Others have what tests give them with the API.
func permissions(ctx *simulator.Context) {
	manager := ctx.Map.Get(authorization).(*simulator.AuthorizationManager)
	role := object.AuthorizationRoleList(manager.RoleList).ByName("ReadOnly")
	manager.SetEntityPermissions(&types.SetEntityPermissions{Entity: rootFolder, Permission: []types.Permission{{
		Entity: &rootFolder, Principal: "readonly@vsphere.local", RoleId: role.RoleId, Propagate: true,
	}}})
}
