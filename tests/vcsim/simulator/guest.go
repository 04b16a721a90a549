package main

import (
	"fmt"
	"net/netip"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// guest is GuestInfo.net in short. Addresses are such as 198.51.100.11/24.
type guest struct {
	VM   string `json:"vm"`
	NICs []struct {
		MAC       string         `json:"mac"`
		Network   string         `json:"network"`
		Connected *bool          `json:"connected"`
		Addresses []netip.Prefix `json:"addresses"`
	} `json:"nics"`
}

func (g guest) apply(ctx *simulator.Context) error {
	vm, ok := ctx.Map.Get(types.ManagedObjectReference{Type: "VirtualMachine", Value: g.VM}).(*simulator.VirtualMachine)
	if !ok {
		return fmt.Errorf("there is no VM %q", g.VM)
	}
	var nics []types.GuestNicInfo
	for _, nic := range g.NICs {
		info := types.GuestNicInfo{Network: nic.Network, MacAddress: nic.MAC, Connected: nic.Connected == nil || *nic.Connected, DeviceConfigId: -1}
		for _, device := range vm.Config.Hardware.Device {
			if card, ok := device.(types.BaseVirtualEthernetCard); ok && card.GetVirtualEthernetCard().MacAddress == nic.MAC {
				info.DeviceConfigId = card.GetVirtualEthernetCard().Key
			}
		}
		config := &types.NetIpConfigInfo{}
		for _, address := range nic.Addresses {
			info.IpAddress = append(info.IpAddress, address.Addr().String())
			config.IpAddress = append(config.IpAddress, types.NetIpConfigInfoIpAddress{
				IpAddress: address.Addr().String(), PrefixLength: int32(address.Bits()), State: "preferred",
			})
		}
		if len(nic.Addresses) > 0 {
			info.IpConfig = config
		}
		nics = append(nics, info)
	}
	ctx.WithLock(vm, func() {
		ctx.Update(vm, []types.PropertyChange{
			{Name: "guest.net", Val: nics},
			{Name: "guest.toolsRunningStatus", Val: string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)},
		})
	})
	return nil
}
