package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Hosts out of contact. HostSystem.config: "This might not be available for a disconnected host." Nor is
// HostNetworkSystem.networkInfo here, so that nobody relies on it.

// contact is the fault of a call that vCenter has to pass on to a host: HostNotConnected, "a method needs to communicate
// with a host that has been disconnected in VirtualCenter"; HostCommunication, "an error happened while communicating".
func contact(host *mo.HostSystem) types.BaseMethodFault {
	switch host.Runtime.ConnectionState {
	case types.HostSystemConnectionStateDisconnected:
		return &types.HostNotConnected{}
	case types.HostSystemConnectionStateNotResponding:
		return &types.HostCommunication{}
	}
	return nil
}

func (e *extension) DisconnectHostTask(ctx *simulator.Context, req *types.DisconnectHost_Task) soap.HasFault {
	host := ctx.Map.Get(req.This).(*simulator.HostSystem)
	task := simulator.CreateTask(host, "disconnectHostTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		e.setState(ctx, host, types.HostSystemConnectionStateDisconnected)
		return nil, nil
	})
	return &methods.DisconnectHost_TaskBody{Res: &types.DisconnectHost_TaskResponse{Returnval: task.Run(ctx)}}
}

func (e *extension) ReconnectHostTask(ctx *simulator.Context, req *types.ReconnectHost_Task) soap.HasFault {
	host := ctx.Map.Get(req.This).(*simulator.HostSystem)
	task := simulator.CreateTask(host, "reconnectHostTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		e.setState(ctx, host, types.HostSystemConnectionStateConnected)
		return nil, nil
	})
	return &methods.ReconnectHost_TaskBody{Res: &types.ReconnectHost_TaskResponse{Returnval: task.Run(ctx)}}
}

// setState also hides the host's configuration, or shows it again.
func (e *extension) setState(ctx *simulator.Context, host *simulator.HostSystem, state types.HostSystemConnectionState) {
	system := networkSystem(ctx, *host.ConfigManager.NetworkSystem)
	ctx.WithLock(system, func() {
		ctx.WithLock(host, func() {
			host.Runtime.ConnectionState = state
			e.lock.Lock()
			defer e.lock.Unlock()
			kept := e.away[host.Self]
			connected := state == types.HostSystemConnectionStateConnected
			switch {
			case connected && kept != nil:
				host.Config, system.NetworkInfo = kept, kept.Network
				delete(e.away, host.Self)
			case !connected && kept == nil:
				e.away[host.Self] = host.Config
				host.Config, system.NetworkInfo = nil, nil
			}
		})
	})
}
