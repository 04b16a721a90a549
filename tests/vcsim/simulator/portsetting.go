package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// defaultPort is a new distributed switch's DVSConfigInfo.defaultPortConfig. A switch has nobody to inherit from.
func defaultPort(learning bool) *types.VMwareDVSPortSetting {
	no := func() *types.BoolPolicy { return &types.BoolPolicy{Value: types.NewBool(false)} }
	yes := func() *types.BoolPolicy { return &types.BoolPolicy{Value: types.NewBool(true)} }
	zero := func() *types.LongPolicy { return &types.LongPolicy{} }
	shaping := func() *types.DVSTrafficShapingPolicy {
		return &types.DVSTrafficShapingPolicy{Enabled: no(), AverageBandwidth: zero(), PeakBandwidth: zero(), BurstSize: zero()}
	}
	setting := &types.VMwareDVSPortSetting{
		DVPortSetting: types.DVPortSetting{
			Blocked: no(), VmDirectPathGen2Allowed: no(), InShapingPolicy: shaping(), OutShapingPolicy: shaping(),
			NetworkResourcePoolKey: &types.StringPolicy{Value: "-1"},
		},
		Vlan: &types.VmwareDistributedVirtualSwitchVlanIdSpec{VlanId: 0},
		UplinkTeamingPolicy: &types.VmwareUplinkPortTeamingPolicy{
			Policy: &types.StringPolicy{Value: "loadbalance_srcid"}, ReversePolicy: yes(), NotifySwitches: yes(), RollingOrder: no(),
			FailureCriteria: &types.DVSFailureCriteria{CheckBeacon: no()},
			UplinkPortOrder: &types.VMwareUplinkPortOrderPolicy{},
		},
		SecurityPolicy: &types.DVSSecurityPolicy{AllowPromiscuous: no(), MacChanges: no(), ForgedTransmits: no()},
		MacManagementPolicy: &types.DVSMacManagementPolicy{
			AllowPromiscuous: types.NewBool(false), MacChanges: types.NewBool(false), ForgedTransmits: types.NewBool(false),
		},
		IpfixEnabled: no(), TxUplink: no(),
	}
	if learning {
		setting.MacManagementPolicy.MacLearningPolicy = &types.DVSMacLearningPolicy{
			Enabled: false, AllowUnicastFlooding: types.NewBool(true), Limit: types.NewInt32(4096),
			LimitPolicy: string(types.DVSMacLimitPolicyTypeDrop),
		}
	}
	return setting
}

// applySetting changes what a specification sets. MAC learning is refused where the switch does not have it.
func applySetting(dvs *simulator.DistributedVirtualSwitch, target, specification *types.VMwareDVSPortSetting) types.BaseMethodFault {
	mac := specification.MacManagementPolicy
	if mac != nil && mac.MacLearningPolicy != nil && older(dvs.Config.GetDVSConfigInfo().ProductInfo.Version, macLearningSince) {
		return &types.NotSupported{}
	}
	overlay(target, *mirrored(specification))
	return nil
}

// mirrored completes a specification that has only one of the two policies with the same flags: securityPolicy is
// "Deprecated as of vSphere API 6.7, use DVSMacManagementPolicy instead to specify the security policy". Of two that
// differ the newer one counts.
func mirrored(specification *types.VMwareDVSPortSetting) *types.VMwareDVSPortSetting {
	result := clone(specification)
	if mac := result.MacManagementPolicy; mac != nil {
		security := &types.DVSSecurityPolicy{InheritablePolicy: mac.InheritablePolicy}
		flag := func(value *bool) *types.BoolPolicy {
			if value == nil {
				return nil
			}
			return &types.BoolPolicy{InheritablePolicy: mac.InheritablePolicy, Value: types.NewBool(*value)}
		}
		security.AllowPromiscuous = flag(mac.AllowPromiscuous)
		security.MacChanges = flag(mac.MacChanges)
		security.ForgedTransmits = flag(mac.ForgedTransmits)
		result.SecurityPolicy = security
	} else if security := result.SecurityPolicy; security != nil {
		value := func(flag *types.BoolPolicy) *bool {
			if flag == nil {
				return nil
			}
			return flag.Value
		}
		result.MacManagementPolicy = &types.DVSMacManagementPolicy{
			InheritablePolicy: security.InheritablePolicy, AllowPromiscuous: value(security.AllowPromiscuous),
			MacChanges: value(security.MacChanges), ForgedTransmits: value(security.ForgedTransmits),
		}
	}
	return result
}
