package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Distributed switches. The plain simulator forgets most of their configuration.

// MAC learning came with distributed switches of version 6.6.0 (DVSFeatureCapability.macLearningSupported).
const macLearningSince = "6.6.0"

const newestSwitch = "8.0.3"

func (e *extension) CreateDVSTask(ctx *simulator.Context, req *types.CreateDVS_Task) soap.HasFault {
	folder := ctx.Map.Get(req.This).(*simulator.Folder)
	task := simulator.CreateTask(folder, "createDVSTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		spec, ok := req.Spec.ConfigSpec.(*types.VMwareDVSConfigSpec)
		if !ok {
			return nil, &types.InvalidArgument{InvalidProperty: "spec.configSpec"}
		}
		if obj := ctx.Map.FindByName(spec.Name, folder.ChildEntity); obj != nil {
			return nil, &types.DuplicateName{Name: spec.Name, Object: obj.Reference()}
		}
		dvs := newSwitch(req.Spec, spec)
		put(ctx, folder, dvs)
		e.addUplinkGroup(ctx, dvs)
		for _, member := range spec.Host {
			if fault := e.member(ctx, dvs, member); fault != nil {
				return nil, fault
			}
		}
		return dvs.Self, nil
	})
	return &methods.CreateDVS_TaskBody{Res: &types.CreateDVS_TaskResponse{Returnval: task.Run(ctx)}}
}

func newSwitch(create types.DVSCreateSpec, spec *types.VMwareDVSConfigSpec) *simulator.DistributedVirtualSwitch {
	dvs := &simulator.DistributedVirtualSwitch{}
	dvs.Name = spec.Name
	// vCenter writes a switch's UUID in this form.
	bytes := uuid.New()
	dvs.Uuid = fmt.Sprintf("% x-% x", bytes[:8], bytes[8:])

	product := product(newestSwitch)
	if create.ProductInfo != nil {
		overlay(&product, *create.ProductInfo)
	}
	learning := !older(product.Version, macLearningSince)

	defaults := defaultPort(learning)
	if setting, ok := spec.DefaultPortConfig.(*types.VMwareDVSPortSetting); ok {
		setting = mirrored(setting)
		overlay(defaults, *setting)
	}
	config := &types.VMwareDVSConfigInfo{
		DVSConfigInfo: types.DVSConfigInfo{
			Uuid: dvs.Uuid, Name: spec.Name, ConfigVersion: "1", ProductInfo: product, MaxPorts: 2147483647,
			DefaultPortConfig: defaults, CreateTime: time.Now(), DefaultProxySwitchMaxNumPorts: 256,
			UplinkPortPolicy:              &types.DVSNameArrayUplinkPortPolicy{UplinkPortName: []string{"Uplink 1", "Uplink 2", "Uplink 3", "Uplink 4"}},
			Policy:                        &types.DVSPolicy{AutoPreInstallAllowed: types.NewBool(false), AutoUpgradeAllowed: types.NewBool(false), PartialUpgradeAllowed: types.NewBool(false)},
			NetworkResourceControlVersion: "version3",
			HealthCheckConfig: []types.BaseDVSHealthCheckConfig{
				&types.VMwareDVSVlanMtuHealthCheckConfig{VMwareDVSHealthCheckConfig: types.VMwareDVSHealthCheckConfig{DVSHealthCheckConfig: types.DVSHealthCheckConfig{Enable: types.NewBool(false), Interval: 1}}},
				&types.VMwareDVSTeamingHealthCheckConfig{VMwareDVSHealthCheckConfig: types.VMwareDVSHealthCheckConfig{DVSHealthCheckConfig: types.DVSHealthCheckConfig{Enable: types.NewBool(false), Interval: 1}}},
			},
		},
		MaxMtu:                      1500,
		LinkDiscoveryProtocolConfig: &types.LinkDiscoveryProtocolConfig{Protocol: "cdp", Operation: "listen"},
		IpfixConfig:                 &types.VMwareIpfixConfig{ActiveFlowTimeout: 60, IdleFlowTimeout: 15, SamplingRate: 4096},
		LacpApiVersion:              "multipleLag",
		MulticastFilteringMode:      "legacyFiltering",
	}
	dvs.Config = config
	applySwitchSpec(config, spec)
	if names, ok := config.UplinkPortPolicy.(*types.DVSNameArrayUplinkPortPolicy); ok && defaults.UplinkTeamingPolicy.UplinkPortOrder.ActiveUplinkPort == nil {
		defaults.UplinkTeamingPolicy.UplinkPortOrder.ActiveUplinkPort = slices.Clone(names.UplinkPortName)
	}
	dvs.Summary = types.DVSSummary{Name: dvs.Name, Uuid: dvs.Uuid, ProductInfo: &product, Description: config.Description}
	dvs.Capability = types.DVSCapability{
		DvsOperationSupported: types.NewBool(true), DvPortGroupOperationSupported: types.NewBool(true), DvPortOperationSupported: types.NewBool(true),
		FeaturesSupported: &types.VMwareDVSFeatureCapability{
			DVSFeatureCapability: types.DVSFeatureCapability{MacLearningSupported: types.NewBool(learning)},
		},
	}
	return dvs
}

// applySwitchSpec copies what a DVSConfigSpec sets. Its ports, hosts and version are others' business.
func applySwitchSpec(config *types.VMwareDVSConfigInfo, spec *types.VMwareDVSConfigSpec) {
	set := func(target *string, value string) {
		if value != "" {
			*target = value
		}
	}
	set(&config.Name, spec.Name)
	set(&config.Description, spec.Description)
	set(&config.SwitchIpAddress, spec.SwitchIpAddress)
	set(&config.LacpApiVersion, spec.LacpApiVersion)
	set(&config.MulticastFilteringMode, spec.MulticastFilteringMode)
	set(&config.NetworkResourceControlVersion, spec.NetworkResourceControlVersion)
	if spec.MaxMtu != 0 {
		config.MaxMtu = spec.MaxMtu
	}
	if spec.Contact != nil {
		config.Contact = *spec.Contact
	}
	overlay(&config.UplinkPortPolicy, spec.UplinkPortPolicy)
	overlay(&config.Policy, spec.Policy)
	overlay(&config.LinkDiscoveryProtocolConfig, spec.LinkDiscoveryProtocolConfig)
	overlay(&config.IpfixConfig, spec.IpfixConfig)
	overlay(&config.UplinkPortgroup, spec.UplinkPortgroup)
}

// addUplinkGroup makes the port group of the physical NICs. Its ports come with the hosts.
func (e *extension) addUplinkGroup(ctx *simulator.Context, dvs *simulator.DistributedVirtualSwitch) {
	spec := types.DVPortgroupConfigSpec{
		Name: fmt.Sprintf("%s-DVUplinks-%s", dvs.Name, strings.TrimPrefix(dvs.Self.Value, "dvs-")),
		Type: string(types.DistributedVirtualPortgroupPortgroupTypeEarlyBinding),
		DefaultPortConfig: &types.VMwareDVSPortSetting{
			Vlan: &types.VmwareDistributedVirtualSwitchTrunkVlanSpec{VlanId: []types.NumericRange{{Start: 0, End: 4094}}},
		},
	}
	group, fault := e.newGroup(ctx, dvs, spec)
	if fault != nil {
		panic(fmt.Sprintf("%T", fault)) // the name is the switch's own
	}
	group.Config.Uplink = types.NewBool(true)
	dvs.Config.GetDVSConfigInfo().UplinkPortgroup = []types.ManagedObjectReference{group.Self}
}

func (e *extension) ReconfigureDvsTask(ctx *simulator.Context, req *types.ReconfigureDvs_Task) soap.HasFault {
	dvs := ctx.Map.Get(req.This).(*simulator.DistributedVirtualSwitch)
	task := simulator.CreateTask(dvs, "reconfigureDvsTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		spec, ok := req.Spec.(*types.VMwareDVSConfigSpec)
		if !ok {
			// Clients may send the base type when they set nothing that is VMware's own.
			spec = &types.VMwareDVSConfigSpec{DVSConfigSpec: *req.Spec.GetDVSConfigSpec()}
		}
		if fault := e.control.fault("ReconfigureDvs_Task", dvs.Name, true); fault != nil {
			return nil, fault
		}
		config := clone(dvs.Config.(*types.VMwareDVSConfigInfo))
		// DVSConfigSpec.configVersion: "This property is required in reconfiguring a switch and should be set to the
		// same value as DVSConfigInfo.configVersion."
		if fault := checkVersion(spec.ConfigVersion, config.ConfigVersion); fault != nil {
			return nil, fault
		}
		if setting, ok := spec.DefaultPortConfig.(*types.VMwareDVSPortSetting); ok {
			defaults := config.DefaultPortConfig.(*types.VMwareDVSPortSetting)
			if fault := applySetting(dvs, defaults, setting); fault != nil {
				return nil, fault
			}
		}
		for _, member := range spec.Host {
			if fault := e.member(ctx, dvs, member); fault != nil {
				return nil, fault
			}
		}
		config.Host = dvs.Config.GetDVSConfigInfo().Host
		applySwitchSpec(config, spec)
		config.ConfigVersion = next(config.ConfigVersion)
		dvs.Config = config
		dvs.Name, dvs.Summary.Name, dvs.Summary.Description = config.Name, config.Name, config.Description
		// What port groups inherit follows the switch.
		for _, reference := range dvs.Portgroup {
			group := ctx.Map.Get(reference).(*simulator.DistributedVirtualPortgroup)
			ctx.WithLock(group, func() {
				setting := clone(group.Config.DefaultPortConfig.(*types.VMwareDVSPortSetting))
				inherit(setting, *config.DefaultPortConfig.(*types.VMwareDVSPortSetting))
				group.Config.DefaultPortConfig = setting
			})
		}
		return nil, nil
	})
	return &methods.ReconfigureDvs_TaskBody{Res: &types.ReconfigureDvs_TaskResponse{Returnval: task.Run(ctx)}}
}

// member adds a host to the switch, changes its uplinks or removes it.
func (e *extension) member(ctx *simulator.Context, dvs *simulator.DistributedVirtualSwitch, spec types.DistributedVirtualSwitchHostMemberConfigSpec) types.BaseMethodFault {
	host, ok := ctx.Map.Get(spec.Host).(*simulator.HostSystem)
	if !ok {
		return &types.ManagedObjectNotFound{Obj: spec.Host}
	}
	config := dvs.Config.GetDVSConfigInfo()
	place := slices.IndexFunc(config.Host, func(m types.DistributedVirtualSwitchHostMember) bool { return *m.Config.Host == spec.Host })
	switch types.ConfigSpecOperation(spec.Operation) {
	case types.ConfigSpecOperationAdd:
		if place >= 0 {
			return &types.AlreadyExists{Name: host.Name}
		}
		backing := spec.Backing
		if backing == nil {
			backing = &types.DistributedVirtualSwitchHostMemberPnicBacking{}
		}
		config.Host = append(slices.Clone(config.Host), types.DistributedVirtualSwitchHostMember{
			Config: types.DistributedVirtualSwitchHostMemberConfigInfo{Host: &host.Self, MaxProxySwitchPorts: 256, Backing: backing},
			Status: "up",
		})
		e.addUplinks(ctx, dvs, host.Self)
		dvs.Summary.HostMember = append(slices.Clone(dvs.Summary.HostMember), host.Self)
		for _, reference := range dvs.Portgroup {
			reach(ctx, ctx.Map.Get(reference).(*simulator.DistributedVirtualPortgroup), host)
		}
	case types.ConfigSpecOperationEdit:
		if place < 0 {
			return &types.NotFound{}
		}
		config.Host = clone(config.Host)
		if spec.Backing != nil {
			config.Host[place].Config.Backing = spec.Backing
		}
	case types.ConfigSpecOperationRemove:
		if place < 0 {
			return &types.NotFound{}
		}
		e.removeUplinks(ctx, dvs, host.Self)
		config.Host = slices.Delete(slices.Clone(config.Host), place, place+1)
		simulator.RemoveReference(&dvs.Summary.HostMember, host.Self)
		for _, reference := range dvs.Portgroup {
			group := ctx.Map.Get(reference).(*simulator.DistributedVirtualPortgroup)
			ctx.Map.RemoveReference(ctx, group, &group.Host, host.Self)
			ctx.Map.RemoveReference(ctx, host, &host.Network, group.Self)
		}
	}
	return nil
}

// reach makes a port group one of a host's networks.
func reach(ctx *simulator.Context, group *simulator.DistributedVirtualPortgroup, host *simulator.HostSystem) {
	ctx.Map.AddReference(ctx, group, &group.Host, host.Self)
	ctx.Map.AddReference(ctx, host, &host.Network, group.Self)
	if resource := computeResource(ctx, &host.HostSystem); resource != nil {
		ctx.Map.AddReference(ctx, resource, &resource.Network, group.Self)
	}
}

func (e *extension) UpdateDVSHealthCheckConfigTask(ctx *simulator.Context, req *types.UpdateDVSHealthCheckConfig_Task) soap.HasFault {
	dvs := ctx.Map.Get(req.This).(*simulator.DistributedVirtualSwitch)
	task := simulator.CreateTask(dvs, "updateDVSHealthCheckConfigTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		config := clone(dvs.Config.(*types.VMwareDVSConfigInfo))
		config.HealthCheckConfig = req.HealthCheckConfig
		dvs.Config = config
		return nil, nil
	})
	return &methods.UpdateDVSHealthCheckConfig_TaskBody{Res: &types.UpdateDVSHealthCheckConfig_TaskResponse{Returnval: task.Run(ctx)}}
}

// QueryDvsByUuid belongs to DistributedVirtualSwitchManager.
func (e *extension) QueryDvsByUuid(ctx *simulator.Context, req *types.QueryDvsByUuid) soap.HasFault {
	if dvs := switchByUUID(ctx, req.Uuid); dvs != nil {
		return &methods.QueryDvsByUuidBody{Res: &types.QueryDvsByUuidResponse{Returnval: &dvs.Self}}
	}
	return &methods.QueryDvsByUuidBody{Fault_: simulator.Fault("no such switch", &types.NotFound{})}
}

// QueryAvailableDvsSpec lists the versions that switches may have, the newest last.
func (e *extension) QueryAvailableDvsSpec(*simulator.Context, *types.QueryAvailableDvsSpec) soap.HasFault {
	var specs []types.DistributedVirtualSwitchProductSpec
	for _, version := range []string{"6.5.0", "6.6.0", "7.0.0", "7.0.2", "7.0.3", "8.0.0", newestSwitch} {
		specs = append(specs, product(version))
	}
	return &methods.QueryAvailableDvsSpecBody{Res: &types.QueryAvailableDvsSpecResponse{Returnval: specs}}
}

func product(version string) types.DistributedVirtualSwitchProductSpec {
	return types.DistributedVirtualSwitchProductSpec{
		Name: "DVS", Vendor: "VMware, Inc.", Version: version, ForwardingClass: "etherswitch",
	}
}

func switchByUUID(ctx *simulator.Context, id string) *simulator.DistributedVirtualSwitch {
	for _, entity := range ctx.Map.All(switchType) {
		if dvs, ok := entity.(*simulator.DistributedVirtualSwitch); ok && dvs.Uuid == id {
			return dvs
		}
	}
	return nil
}

// checkVersion compares the version that a client read with the present one: another one wrote in between
// (ConcurrentAccess: "an operation fails because another operation has modified the data structure").
func checkVersion(given, present string) types.BaseMethodFault {
	switch given {
	case present:
		return nil
	case "":
		return &types.InvalidArgument{InvalidProperty: "configVersion"}
	}
	return &types.ConcurrentAccess{}
}

func next(version string) string {
	number, _ := strconv.Atoi(version)
	return strconv.Itoa(number + 1)
}

// older compares versions such as 6.5.0 by their numbers.
func older(version, than string) bool {
	numbers := func(text string) (result []int) {
		for part := range strings.SplitSeq(text, ".") {
			number, _ := strconv.Atoi(part)
			result = append(result, number)
		}
		return result
	}
	return slices.Compare(numbers(version), numbers(than)) < 0
}
