package main

import (
	"slices"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func (e *extension) AddDVPortgroupTask(ctx *simulator.Context, req *types.AddDVPortgroup_Task) soap.HasFault {
	dvs := ctx.Map.Get(req.This).(*simulator.DistributedVirtualSwitch)
	task := simulator.CreateTask(dvs, "addDVPortgroupTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		for _, spec := range req.Spec {
			if _, fault := e.newGroup(ctx, dvs, spec); fault != nil {
				return nil, fault
			}
		}
		return nil, nil
	})
	return &methods.AddDVPortgroup_TaskBody{Res: &types.AddDVPortgroup_TaskResponse{Returnval: task.Run(ctx)}}
}

func (e *extension) CreateDVPortgroupTask(ctx *simulator.Context, req *types.CreateDVPortgroup_Task) soap.HasFault {
	dvs := ctx.Map.Get(req.This).(*simulator.DistributedVirtualSwitch)
	task := simulator.CreateTask(dvs, "createDVPortgroupTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		group, fault := e.newGroup(ctx, dvs, req.Spec)
		if fault != nil {
			return nil, fault
		}
		return group.Self, nil
	})
	return &methods.CreateDVPortgroup_TaskBody{Res: &types.CreateDVPortgroup_TaskResponse{Returnval: task.Run(ctx)}}
}

// newGroup makes a port group. What its specification does not set is inherited from the switch.
func (e *extension) newGroup(ctx *simulator.Context, dvs *simulator.DistributedVirtualSwitch, spec types.DVPortgroupConfigSpec) (*simulator.DistributedVirtualPortgroup, types.BaseMethodFault) {
	folder := ctx.Map.Get(*dvs.Parent).(*simulator.Folder)
	if obj := ctx.Map.FindByName(spec.Name, folder.ChildEntity); obj != nil {
		return nil, &types.DuplicateName{Name: spec.Name, Object: obj.Reference()}
	}
	policy := groupPolicy()
	if fault := applyPolicy(policy, spec.Policy); fault != nil {
		return nil, fault
	}
	setting := &types.VMwareDVSPortSetting{}
	if given, ok := spec.DefaultPortConfig.(*types.VMwareDVSPortSetting); ok {
		if fault := applySetting(dvs, setting, given); fault != nil {
			return nil, fault
		}
	}
	inherit(setting, *dvs.Config.GetDVSConfigInfo().DefaultPortConfig.(*types.VMwareDVSPortSetting))

	group := &simulator.DistributedVirtualPortgroup{}
	group.Name = spec.Name
	group.ManagedEntity.Name = spec.Name
	config := types.DVPortgroupConfigInfo{
		Name: spec.Name, DistributedVirtualSwitch: &dvs.Self, DefaultPortConfig: setting, Policy: policy,
		Type: "earlyBinding", BackingType: string(types.DistributedVirtualPortgroupBackingTypeStandard),
		ConfigVersion: "0", Uplink: types.NewBool(false), AutoExpand: types.NewBool(true), VmVnicNetworkResourcePoolKey: "-1",
	}
	applyGroupSpec(&config, spec)
	if config.BackingType == string(types.DistributedVirtualPortgroupBackingTypeNsx) && config.LogicalSwitchUuid == "" {
		config.LogicalSwitchUuid = uuid.NewString()
		config.SegmentId = "/infra/segments/" + config.Name
	}
	group.Config = config
	put(ctx, folder, group)
	group.Key = group.Self.Value
	group.Config.Key = group.Key
	group.Summary = &types.NetworkSummary{Network: &group.Self, Name: group.Name, Accessible: true}
	e.grow(dvs, group, config.NumPorts)

	ctx.Map.AppendReference(ctx, dvs, &dvs.Portgroup, group.Self)
	dvs.Summary.PortgroupName = append(slices.Clone(dvs.Summary.PortgroupName), group.Name)
	for _, reference := range dvs.Summary.HostMember {
		reach(ctx, group, ctx.Map.Get(reference).(*simulator.HostSystem))
	}
	return group, nil
}

// ReconfigureDVPortgroupTask changes what the specification sets.
func (e *extension) ReconfigureDVPortgroupTask(ctx *simulator.Context, req *types.ReconfigureDVPortgroup_Task) soap.HasFault {
	group := ctx.Map.Get(req.This).(*simulator.DistributedVirtualPortgroup)
	var config types.DVPortgroupConfigInfo
	ctx.WithLock(group, func() { config = group.Config })
	dvs := ctx.Map.Get(*config.DistributedVirtualSwitch).(*simulator.DistributedVirtualSwitch)
	// On the switch's lock, and the group's within it: the other order would block with a change of the switch.
	task := simulator.CreateTask(dvs, "reconfigureDVPortgroupTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		var fault types.BaseMethodFault
		if fault = e.control.fault("ReconfigureDVPortgroup_Task", config.Name, true); fault != nil {
			return nil, fault
		}
		ctx.WithLock(group, func() { fault = e.reconfigure(dvs, group, req.Spec) })
		return nil, fault
	})
	task.Info.DescriptionId = "dvs.DistributedVirtualPortgroup.reconfigure"
	task.Info.EntityName = config.Name
	return &methods.ReconfigureDVPortgroup_TaskBody{Res: &types.ReconfigureDVPortgroup_TaskResponse{Returnval: task.Run(ctx)}}
}

func (e *extension) reconfigure(dvs *simulator.DistributedVirtualSwitch, group *simulator.DistributedVirtualPortgroup, spec types.DVPortgroupConfigSpec) types.BaseMethodFault {
	config := clone(group.Config)
	// DVPortgroupConfigSpec.configVersion: "This property is required in reconfiguring a portgroup and should be set to
	// the same value as the DVPortgroupConfigInfo.configVersion."
	if fault := checkVersion(spec.ConfigVersion, config.ConfigVersion); fault != nil {
		return fault
	}
	if fault := applyPolicy(config.Policy.(*types.VMwareDVSPortgroupPolicy), spec.Policy); fault != nil {
		return fault
	}
	if given, ok := spec.DefaultPortConfig.(*types.VMwareDVSPortSetting); ok {
		setting := config.DefaultPortConfig.(*types.VMwareDVSPortSetting)
		if fault := applySetting(dvs, setting, given); fault != nil {
			return fault
		}
		inherit(setting, *dvs.Config.GetDVSConfigInfo().DefaultPortConfig.(*types.VMwareDVSPortSetting))
	}
	applyGroupSpec(&config, spec)
	config.ConfigVersion = next(config.ConfigVersion)
	group.Config = config
	group.Name, group.ManagedEntity.Name = config.Name, config.Name
	group.Summary = &types.NetworkSummary{Network: &group.Self, Name: group.Name, Accessible: true}
	e.grow(dvs, group, config.NumPorts)
	return nil
}

// applyGroupSpec copies what a specification sets, but for the settings and policies that have rules of their own.
func applyGroupSpec(config *types.DVPortgroupConfigInfo, spec types.DVPortgroupConfigSpec) {
	for target, value := range map[*string]string{
		&config.Name: spec.Name, &config.Description: spec.Description, &config.Type: spec.Type, &config.BackingType: spec.BackingType,
		&config.PortNameFormat: spec.PortNameFormat, &config.VmVnicNetworkResourcePoolKey: spec.VmVnicNetworkResourcePoolKey,
		&config.LogicalSwitchUuid: spec.LogicalSwitchUuid, &config.SegmentId: spec.SegmentId,
	} {
		if value != "" {
			*target = value
		}
	}
	if spec.AutoExpand != nil {
		config.AutoExpand = spec.AutoExpand
	}
	if spec.NumPorts != 0 {
		config.NumPorts = spec.NumPorts
	}
	if spec.VendorSpecificConfig != nil {
		config.VendorSpecificConfig = spec.VendorSpecificConfig
	}
}

func groupPolicy() *types.VMwareDVSPortgroupPolicy {
	no := func() *bool { return types.NewBool(false) }
	return &types.VMwareDVSPortgroupPolicy{
		DVPortgroupPolicy: types.DVPortgroupPolicy{
			BlockOverrideAllowed: true, PortConfigResetAtDisconnect: true,
			NetworkResourcePoolOverrideAllowed: no(), TrafficFilterOverrideAllowed: no(),
		},
		IpfixOverrideAllowed: no(), MacManagementOverrideAllowed: no(),
	}
}

// applyPolicy sets which overrides ports may have. The old and the new name of the security policy's must agree.
func applyPolicy(policy *types.VMwareDVSPortgroupPolicy, specification types.BaseDVPortgroupPolicy) types.BaseMethodFault {
	given, ok := specification.(*types.VMwareDVSPortgroupPolicy)
	if !ok {
		return nil
	}
	if given.MacManagementOverrideAllowed != nil && *given.MacManagementOverrideAllowed != given.SecurityPolicyOverrideAllowed {
		return &types.InvalidArgument{InvalidProperty: "spec.policy.macManagementOverrideAllowed"}
	}
	overlay(policy, *given)
	policy.MacManagementOverrideAllowed = types.NewBool(given.SecurityPolicyOverrideAllowed)
	return nil
}
