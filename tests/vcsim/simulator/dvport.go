package main

import (
	"slices"
	"strconv"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Ports of distributed switches: the plain simulator's have no settings of their own, and keys that are not unique.

// grow gives a group its ports. Their keys are unique in the switch.
func (e *extension) grow(dvs *simulator.DistributedVirtualSwitch, group *simulator.DistributedVirtualPortgroup, count int32) {
	e.lock.Lock()
	defer e.lock.Unlock()
	keys := slices.Clone(group.PortKeys)
	for int32(len(keys)) < count {
		key := e.ports[dvs.Uuid]
		e.ports[dvs.Uuid] = key + 1
		keys = append(keys, strconv.Itoa(key))
	}
	group.PortKeys = keys
	group.Config.NumPorts = int32(len(keys))
}

// uplink is a port for a physical NIC: each host has one for each name of the switch's uplinks.
type uplink struct {
	name string
	host types.ManagedObjectReference
}

func uplinkGroup(ctx *simulator.Context, dvs *simulator.DistributedVirtualSwitch) *simulator.DistributedVirtualPortgroup {
	return ctx.Map.Get(dvs.Config.GetDVSConfigInfo().UplinkPortgroup[0]).(*simulator.DistributedVirtualPortgroup)
}

func (e *extension) addUplinks(ctx *simulator.Context, dvs *simulator.DistributedVirtualSwitch, host types.ManagedObjectReference) {
	group := uplinkGroup(ctx, dvs)
	names := dvs.Config.GetDVSConfigInfo().UplinkPortPolicy.(*types.DVSNameArrayUplinkPortPolicy).UplinkPortName
	ctx.WithLock(group, func() {
		present := len(group.PortKeys)
		e.grow(dvs, group, int32(present+len(names)))
		e.lock.Lock()
		defer e.lock.Unlock()
		for i, key := range group.PortKeys[present:] {
			e.uplinks[dvs.Uuid+key] = uplink{names[i], host}
		}
	})
}

func (e *extension) removeUplinks(ctx *simulator.Context, dvs *simulator.DistributedVirtualSwitch, host types.ManagedObjectReference) {
	group := uplinkGroup(ctx, dvs)
	ctx.WithLock(group, func() {
		e.lock.Lock()
		defer e.lock.Unlock()
		group.PortKeys = slices.DeleteFunc(slices.Clone(group.PortKeys), func(key string) bool { return e.uplinks[dvs.Uuid+key].host == host })
		group.Config.NumPorts = int32(len(group.PortKeys))
	})
}

// ReconfigureDVPortTask sets what single ports have otherwise than their group, where the group's policy allows it.
func (e *extension) ReconfigureDVPortTask(ctx *simulator.Context, req *types.ReconfigureDVPort_Task) soap.HasFault {
	dvs := ctx.Map.Get(req.This).(*simulator.DistributedVirtualSwitch)
	task := simulator.CreateTask(dvs, "reconfigureDVPortTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		for _, spec := range req.Port {
			if fault := e.override(ctx, dvs, spec); fault != nil {
				return nil, fault
			}
		}
		return nil, nil
	})
	return &methods.ReconfigureDVPort_TaskBody{Res: &types.ReconfigureDVPort_TaskResponse{Returnval: task.Run(ctx)}}
}

func (e *extension) override(ctx *simulator.Context, dvs *simulator.DistributedVirtualSwitch, spec types.DVPortConfigSpec) types.BaseMethodFault {
	group := groupOf(ctx, dvs, spec.Key)
	if group == nil {
		return &types.NotFound{}
	}
	e.lock.Lock()
	defer e.lock.Unlock()
	port := e.overrides[dvs.Uuid+spec.Key]
	if spec.ConfigVersion != "" && spec.ConfigVersion != version(port) {
		return &types.ConcurrentAccess{}
	}
	given, ok := spec.Setting.(*types.VMwareDVSPortSetting)
	if !ok {
		return nil
	}
	security := (given.SecurityPolicy != nil && !given.SecurityPolicy.Inherited) ||
		(given.MacManagementPolicy != nil && !given.MacManagementPolicy.Inherited)
	// VMwareDVSPortgroupPolicy.macManagementOverrideAllowed: "Allow the setting of macManagementPolicy for an individual
	// port to override the setting in defaultPortConfig of a portgroup."
	if security && !group.Config.Policy.(*types.VMwareDVSPortgroupPolicy).SecurityPolicyOverrideAllowed {
		return &types.DvsFault{}
	}
	setting := &types.VMwareDVSPortSetting{}
	if port != nil {
		setting = clone(port.setting)
	}
	if fault := applySetting(dvs, setting, given); fault != nil {
		return fault
	}
	e.overrides[dvs.Uuid+spec.Key] = &ownPort{setting: setting, version: next(version(port))}
	return nil
}

// ownPort is what a single port has of its own.
type ownPort struct {
	setting *types.VMwareDVSPortSetting
	version string
}

func version(port *ownPort) string {
	if port == nil {
		return "0"
	}
	return port.version
}

func groupOf(ctx *simulator.Context, dvs *simulator.DistributedVirtualSwitch, key string) *simulator.DistributedVirtualPortgroup {
	for _, reference := range dvs.Portgroup {
		group := ctx.Map.Get(reference).(*simulator.DistributedVirtualPortgroup)
		if slices.Contains(group.PortKeys, key) {
			return group
		}
	}
	return nil
}

// FetchDVPorts lists the ports that satisfy all of the criteria, with their effective settings.
func (e *extension) FetchDVPorts(ctx *simulator.Context, req *types.FetchDVPorts) soap.HasFault {
	dvs := ctx.Map.Get(req.This).(*simulator.DistributedVirtualSwitch)
	connected := connectees(ctx, dvs)
	var ports []types.DistributedVirtualPort
	for _, reference := range dvs.Portgroup {
		group := ctx.Map.Get(reference).(*simulator.DistributedVirtualPortgroup)
		ctx.WithLock(group, func() {
			for _, key := range group.PortKeys {
				port := e.port(dvs, group, key)
				if vm := connected[key]; vm != nil {
					port.Connectee, port.ProxyHost = vm, ctx.Map.Get(*vm.ConnectedEntity).(*simulator.VirtualMachine).Runtime.Host
				}
				if qualified(port, group, req.Criteria) {
					ports = append(ports, port)
				}
			}
		})
	}
	return &methods.FetchDVPortsBody{Res: &types.FetchDVPortsResponse{Returnval: ports}}
}

func (e *extension) port(dvs *simulator.DistributedVirtualSwitch, group *simulator.DistributedVirtualPortgroup, key string) types.DistributedVirtualPort {
	e.lock.Lock()
	defer e.lock.Unlock()
	setting := &types.VMwareDVSPortSetting{}
	own := e.overrides[dvs.Uuid+key]
	if own != nil {
		setting = clone(own.setting)
	}
	inherit(setting, *group.Config.DefaultPortConfig.(*types.VMwareDVSPortSetting))
	port := types.DistributedVirtualPort{
		Key: key, DvsUuid: dvs.Uuid, PortgroupKey: group.Key, LastStatusChange: time.Now(),
		Config: types.DVPortConfigInfo{Setting: setting, ConfigVersion: version(own)},
	}
	if physical, ok := e.uplinks[dvs.Uuid+key]; ok {
		port.Config.Name, port.ProxyHost = physical.name, &physical.host
	}
	return port
}

// qualified: DistributedVirtualSwitchPortCriteria; "if inside is unset" portgroupKey "is ignored".
func qualified(port types.DistributedVirtualPort, group *simulator.DistributedVirtualPortgroup, criteria *types.DistributedVirtualSwitchPortCriteria) bool {
	if criteria == nil {
		return true
	}
	if criteria.Connected != nil && *criteria.Connected != (port.Connectee != nil) {
		return false
	}
	if criteria.UplinkPort != nil && *criteria.UplinkPort != *group.Config.Uplink {
		return false
	}
	if len(criteria.Host) > 0 && (port.ProxyHost == nil || !slices.Contains(criteria.Host, *port.ProxyHost)) {
		return false
	}
	if criteria.Inside != nil && len(criteria.PortgroupKey) > 0 && *criteria.Inside != slices.Contains(criteria.PortgroupKey, port.PortgroupKey) {
		return false
	}
	return len(criteria.PortKey) == 0 || slices.Contains(criteria.PortKey, port.Key)
}

// connectees says which VM's NIC has which port.
func connectees(ctx *simulator.Context, dvs *simulator.DistributedVirtualSwitch) map[string]*types.DistributedVirtualSwitchPortConnectee {
	result := map[string]*types.DistributedVirtualSwitchPortConnectee{}
	for _, entity := range ctx.Map.All("VirtualMachine") {
		vm := entity.(*simulator.VirtualMachine)
		for _, device := range vm.Config.Hardware.Device {
			backing, ok := device.GetVirtualDevice().Backing.(*types.VirtualEthernetCardDistributedVirtualPortBackingInfo)
			if ok && backing.Port.SwitchUuid == dvs.Uuid && backing.Port.PortKey != "" {
				result[backing.Port.PortKey] = &types.DistributedVirtualSwitchPortConnectee{
					ConnectedEntity: &vm.Self, NicKey: strconv.Itoa(int(device.GetVirtualDevice().Key)), Type: "vmVnic",
				}
			}
		}
	}
	return result
}

// connect gives every NIC on a distributed port group a free port, as vCenter does for static binding. Elastic groups
// (autoExpand) get a new one when none is free.
func (e *extension) connect(ctx *simulator.Context, devices []types.BaseVirtualDevice) {
	for _, device := range devices {
		backing, ok := device.GetVirtualDevice().Backing.(*types.VirtualEthernetCardDistributedVirtualPortBackingInfo)
		if !ok || backing.Port.PortKey != "" {
			continue
		}
		dvs := switchByUUID(ctx, backing.Port.SwitchUuid)
		group, _ := ctx.Map.Get(types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: backing.Port.PortgroupKey}).(*simulator.DistributedVirtualPortgroup)
		if dvs == nil || group == nil {
			continue
		}
		taken := connectees(ctx, dvs)
		free := slices.IndexFunc(group.PortKeys, func(key string) bool { return taken[key] == nil })
		if free < 0 {
			e.grow(dvs, group, int32(len(group.PortKeys)+1))
			free = len(group.PortKeys) - 1
		}
		backing.Port.PortKey = group.PortKeys[free]
		backing.Port.ConnectionCookie = 1
	}
}
