package main

import (
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// newcomers completes objects that the plain simulator makes, whoever asks for them.
type newcomers struct{ extension *extension }

func (n *newcomers) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "EgressExtension", Value: "egress-newcomers"}
}

func (n *newcomers) PutObject(ctx *simulator.Context, item mo.Reference) {
	switch object := item.(type) {
	case *simulator.HostSystem:
		share(ctx, object)
	case *simulator.VirtualMachine:
		complete(object)
	case *simulator.Task:
		object.Info.Name = methodName(object.Info.Name)
	}
	n.extension.tell(func(c *simulator.PropertyCollector) { c.PutObject(ctx, item) })
}

// methodName is what TaskInfo.name is to be: "The name of the operation", which is the method's. The plain simulator has
// others, of which pyVmomi knows nothing while it waits for a task.
func methodName(name string) string {
	switch name = strings.TrimSuffix(name, "_Task"); name {
	case "PowerOn", "PowerOff", "Suspend", "Reset":
		name += "VM"
	case "ReconfigVm", "CloneVm", "RelocateVm", "CreateVm":
		name = strings.TrimSuffix(name, "Vm") + "VM"
	}
	return name + "_Task"
}

// UpdateObject: NICs get their ports whenever a VM's devices change.
func (n *newcomers) UpdateObject(ctx *simulator.Context, item mo.Reference, changes []types.PropertyChange) {
	if vm, ok := item.(*mo.VirtualMachine); ok && vm.Config != nil {
		n.extension.connect(ctx, vm.Config.Hardware.Device)
		name(ctx, vm.Network)
	}
	n.extension.tell(func(c *simulator.PropertyCollector) { c.UpdateObject(ctx, item, changes) })
}

// name gives VirtualMachine.network the opaque network, for which the plain simulator has a reference to nothing there.
func name(ctx *simulator.Context, networks []types.ManagedObjectReference) {
	for i, reference := range networks {
		for _, network := range ctx.Map.All("OpaqueNetwork") {
			if reference.Type == "" {
				networks[i] = network.Reference()
			}
		}
	}
}

func (n *newcomers) RemoveObject(ctx *simulator.Context, reference types.ManagedObjectReference) {
	n.extension.tell(func(c *simulator.PropertyCollector) { c.RemoveObject(ctx, reference) })
}

// complete sets the enumerations that every VM has. The plain simulator sends them empty, which is no value of theirs:
// pyVmomi then has no VM.runtime and no VM.summary.
func complete(vm *simulator.VirtualMachine) {
	for _, runtime := range []*types.VirtualMachineRuntimeInfo{&vm.Runtime, &vm.Summary.Runtime} {
		runtime.FaultToleranceState = types.VirtualMachineFaultToleranceStateNotConfigured
		runtime.RecordReplayState = types.VirtualMachineRecordReplayStateInactive
	}
}
