"""What the simulator promises of vSphere's networking API, asked with pyVmomi alone. A real vCenter has to promise it too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from egress_vcsim import vcenter as running_vcenter
from egress_vcsim.control import Control
from egress_vcsim.server import READ_ONLY
from egress_vcsim.vcenter import REAL, Nic, Vcenter, result
from pyVmomi import vim, vmodl

Dvs = vim.dvs.VmwareDistributedVirtualSwitch
GroupSpec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec
Security = vim.host.NetworkPolicy.SecurityPolicy
SWITCH, GROUP, DVS, DV_GROUP = "egress-vswitch-sim", "egress-sim", "egress-dvs-sim", "egress-dv-sim"
MAC = "00:50:56:00:53:01"


@pytest.fixture
def vcenter() -> Iterator[Vcenter]:
    with running_vcenter.running("simulator") as made:
        yield made
        if REAL:
            remove(made)


@pytest.fixture
def control(vcenter: Vcenter) -> Control:
    if vcenter.control is None:
        pytest.skip("only the simulated vCenter can do this")
    return vcenter.control


def remove(vcenter: Vcenter) -> None:
    vcenter.close()
    vcenter.service = vcenter.connect()
    for host in vcenter.hosts:
        system = host.configManager.networkSystem
        if any(switch.name == SWITCH for switch in system.networkInfo.vswitch):
            if any(group.spec.name == GROUP for group in system.networkInfo.portgroup):
                system.RemovePortGroup(GROUP)
            system.RemoveVirtualSwitch(SWITCH)
    for switch in vcenter._all(vim.DistributedVirtualSwitch):
        if switch.name == DVS:
            result(switch.Destroy_Task())


def standard(vcenter: Vcenter, host: int = 0, uplinks: tuple[str, ...] = ()) -> Any:
    """A switch whose port group accepts MAC changes and leaves the rest to the switch."""
    system = vcenter.network_system(host)
    bridge = vim.host.VirtualSwitch.BondBridge(nicDevice=list(uplinks)) if uplinks else None
    system.AddVirtualSwitch(SWITCH, vim.host.VirtualSwitch.Specification(numPorts=256, mtu=9000, bridge=bridge))
    policy = vim.host.NetworkPolicy(security=Security(macChanges=True))
    spec = vim.host.PortGroup.Specification(name=GROUP, vlanId=126, vswitchName=SWITCH, policy=policy)
    system.AddPortGroup(spec)
    return system


def effective(vcenter: Vcenter) -> tuple[bool, bool, bool]:
    """Promiscuous mode, forged transmits, MAC changes."""
    security = vcenter.standard_group(0, GROUP).computedPolicy.security
    return (security.allowPromiscuous, security.forgedTransmits, security.macChanges)


def distributed(vcenter: Vcenter, version: str | None = None) -> Any:
    """A switch with all hosts; its port group has VLAN 126, a teaming policy and 4 ports."""
    create = vim.DistributedVirtualSwitch.CreateSpec(configSpec=Dvs.ConfigSpec(name=DVS, maxMtu=9000))
    if version:
        create.productInfo = vim.dvs.ProductSpec(version=version)
    switch = result(vcenter.datacenter.networkFolder.CreateDVS_Task(create))
    members = [
        vim.dvs.HostMember.ConfigSpec(operation="add", host=host, backing=vim.dvs.HostMember.PnicBacking())
        for host in vcenter.hosts
    ]
    result(switch.ReconfigureDvs_Task(Dvs.ConfigSpec(configVersion=switch.config.configVersion, host=members)))
    setting = Dvs.VmwarePortConfigPolicy(
        vlan=Dvs.VlanIdSpec(vlanId=126, inherited=False),
        uplinkTeamingPolicy=Dvs.UplinkPortTeamingPolicy(
            inherited=False, policy=vim.StringPolicy(inherited=False, value="failover_explicit")
        ),
    )
    result(
        switch.AddDVPortgroup_Task(
            [GroupSpec(name=DV_GROUP, type="earlyBinding", numPorts=4, autoExpand=False, defaultPortConfig=setting)]
        )
    )
    return vcenter.distributed_group(DV_GROUP)


def reconfigure(group: Any, version: str | None, **setting: Any) -> None:
    """Sets part of a distributed port group's default setting."""
    setting = Dvs.VmwarePortConfigPolicy(**setting)
    result(group.ReconfigureDVPortgroup_Task(GroupSpec(configVersion=version, defaultPortConfig=setting)))


def flags(value: bool, inherited: bool = False) -> Any:
    return Dvs.MacManagementPolicy(inherited=inherited, allowPromiscuous=value, macChanges=value, forgedTransmits=value)


def policy_of(group: Any) -> tuple[bool, bool, bool, bool]:
    """Inherited; promiscuous mode, forged transmits, MAC changes."""
    return described(group.config.defaultPortConfig.macManagementPolicy)


def described(policy: Any) -> tuple[bool, bool, bool, bool]:
    return (policy.inherited, policy.allowPromiscuous, policy.forgedTransmits, policy.macChanges)


def but_for_the_flags(group: Any) -> str:
    config = group.config
    config.configVersion = ""
    config.defaultPortConfig.macManagementPolicy = config.defaultPortConfig.securityPolicy = None
    return str(config)


# Standard switches


def test_port_group_inherits_what_it_does_not_set(vcenter: Vcenter) -> None:
    system = standard(vcenter)
    spec = vcenter.standard_switch(0, SWITCH).spec
    spec.policy.security = Security(allowPromiscuous=True, forgedTransmits=False, macChanges=False)
    system.UpdateVirtualSwitch(SWITCH, spec)
    assert effective(vcenter) == (True, False, True)
    group = vcenter.standard_group(0, GROUP).spec
    group.policy.security = None
    system.UpdatePortGroup(GROUP, group)
    assert effective(vcenter) == (True, False, False)


def test_switch_policy_that_is_not_set_is_unchanged(vcenter: Vcenter) -> None:
    system = standard(vcenter)
    before = vcenter.standard_switch(0, SWITCH).spec
    assert before.policy.nicTeaming is not None
    spec = vim.host.VirtualSwitch.Specification(numPorts=before.numPorts, mtu=before.mtu)
    system.UpdateVirtualSwitch(SWITCH, spec)
    assert str(vcenter.standard_switch(0, SWITCH).spec) == str(before)


def test_switch_without_bridge_loses_its_uplinks(vcenter: Vcenter, control: Control) -> None:
    system = standard(vcenter, uplinks=("vmnic2", "vmnic3"))
    assert vcenter.standard_switch(0, SWITCH).spec.policy.nicTeaming.nicOrder.activeNic == ["vmnic2", "vmnic3"]
    spec = vcenter.standard_switch(0, SWITCH).spec
    spec.bridge = spec.policy = None
    system.UpdateVirtualSwitch(SWITCH, spec)
    after = vcenter.standard_switch(0, SWITCH)
    assert (after.pnic, after.spec.policy.nicTeaming.nicOrder.activeNic, after.mtu) == ([], [], 9000)


def test_uplink_belongs_to_one_switch(vcenter: Vcenter, control: Control) -> None:
    with pytest.raises(vim.fault.ResourceInUse):
        standard(vcenter, uplinks=("vmnic0",))


def test_same_specification_changes_nothing(vcenter: Vcenter) -> None:
    system = standard(vcenter)
    before = str(system.networkInfo)
    system.UpdateVirtualSwitch(SWITCH, vcenter.standard_switch(0, SWITCH).spec)
    system.UpdatePortGroup(GROUP, vcenter.standard_group(0, GROUP).spec)
    assert str(system.networkInfo) == before
    # The host's configuration shows the same as its network system.
    assert str(vcenter.hosts[0].config.network) == before


def test_groups_of_one_name_are_one_network(vcenter: Vcenter) -> None:
    standard(vcenter, host=0)
    standard(vcenter, host=1)
    network = [network for network in vcenter.datacenter.network if network.name == GROUP]
    assert [sorted(host.name for host in one.host) for one in network] == [[host.name for host in vcenter.hosts[:2]]]
    assert network[0] not in vcenter.hosts[2].network


@pytest.mark.parametrize(
    "call",
    [
        lambda system: system.UpdateVirtualSwitch("absent", vim.host.VirtualSwitch.Specification(numPorts=8)),
        lambda system: system.RemoveVirtualSwitch("absent"),
        lambda system: system.RemovePortGroup("absent"),
    ],
)
def test_what_is_not_there_is_not_found(vcenter: Vcenter, call: Callable[[Any], None]) -> None:
    with pytest.raises(vim.fault.NotFound):
        call(vcenter.network_system(0))


# Distributed switches


def test_group_keeps_what_a_change_does_not_set(vcenter: Vcenter) -> None:
    group = distributed(vcenter)
    before = but_for_the_flags(group)
    reconfigure(group, group.config.configVersion, macManagementPolicy=flags(True))
    assert policy_of(group) == (False, True, True, True)
    assert but_for_the_flags(group) == before
    assert "vlanId = 126" in before and "'failover_explicit'" in before


def test_old_and_new_policy_agree(vcenter: Vcenter) -> None:
    group = distributed(vcenter)
    reconfigure(group, group.config.configVersion, macManagementPolicy=flags(True))
    assert group.config.defaultPortConfig.securityPolicy.forgedTransmits.value is True
    off = vim.BoolPolicy(inherited=False, value=False)
    old = Dvs.SecurityPolicy(inherited=False, allowPromiscuous=off, forgedTransmits=off, macChanges=off)
    reconfigure(group, group.config.configVersion, securityPolicy=old)
    assert policy_of(group) == (False, False, False, False)


def test_version_is_required_and_compared(vcenter: Vcenter) -> None:
    group = distributed(vcenter)
    version = group.config.configVersion
    reconfigure(group, version, macManagementPolicy=flags(True))
    assert group.config.configVersion != version
    with pytest.raises(vim.fault.ConcurrentAccess):
        reconfigure(group, version, macManagementPolicy=flags(False))
    with pytest.raises(vmodl.fault.InvalidArgument):
        reconfigure(group, None, macManagementPolicy=flags(False))
    assert policy_of(group) == (False, True, True, True)


def test_inherited_flags_follow_the_switch(vcenter: Vcenter) -> None:
    group = distributed(vcenter)
    switch = vcenter.distributed_switch(DVS)
    assert policy_of(group) == (True, False, False, False)
    reconfigure(group, group.config.configVersion, macManagementPolicy=flags(True))
    reconfigure(group, group.config.configVersion, macManagementPolicy=flags(True, inherited=True))
    assert policy_of(group) == (True, False, False, False)
    spec = Dvs.ConfigSpec(configVersion=switch.config.configVersion)
    spec.defaultPortConfig = Dvs.VmwarePortConfigPolicy(macManagementPolicy=flags(True))
    result(switch.ReconfigureDvs_Task(spec))
    assert policy_of(group) == (True, True, True, True)
    assert but_for_the_flags(group).count("vlanId = 126") == 1
    with pytest.raises(vim.fault.ConcurrentAccess):
        result(switch.ReconfigureDvs_Task(spec))


@pytest.mark.parametrize(("version", "learns"), [("6.5.0", False), ("6.6.0", True)])
def test_mac_learning_came_with_6_6(vcenter: Vcenter, control: Control, version: str, learns: bool) -> None:
    group = distributed(vcenter, version)
    switch = vcenter.distributed_switch(DVS)
    assert switch.capability.featuresSupported.macLearningSupported is learns
    policy = flags(False)
    policy.macLearningPolicy = Dvs.MacLearningPolicy(inherited=False, enabled=True)
    if learns:
        reconfigure(group, group.config.configVersion, macManagementPolicy=policy)
        learned = group.config.defaultPortConfig.macManagementPolicy.macLearningPolicy
        assert (learned.enabled, learned.limit) == (True, 4096)
    else:
        assert group.config.defaultPortConfig.macManagementPolicy.macLearningPolicy is None
        with pytest.raises(vmodl.fault.NotSupported):
            reconfigure(group, group.config.configVersion, macManagementPolicy=policy)


def test_port_has_flags_of_its_own_where_the_group_lets_it(vcenter: Vcenter) -> None:
    group = distributed(vcenter)
    machine = vcenter.vm("egress-sim-override", [Nic(MAC, group)])
    key = card_of(machine).backing.port.portKey
    everything = {"allowPromiscuous": True, "macChanges": True, "forgedTransmits": True}
    with pytest.raises(vim.fault.DvsFault):
        vcenter.override(group, key, **everything)
    policy = group.config.policy
    policy.securityPolicyOverrideAllowed = policy.macManagementOverrideAllowed = True
    result(group.ReconfigureDVPortgroup_Task(GroupSpec(configVersion=group.config.configVersion, policy=policy)))
    vcenter.override(group, key, **everything)

    criteria = vim.dvs.PortCriteria(portgroupKey=[group.key], inside=True)
    ports = {port.key: port for port in group.config.distributedVirtualSwitch.FetchDVPorts(criteria)}
    policies = {name: described(port.config.setting.macManagementPolicy) for name, port in ports.items()}
    assert len(policies) == 4
    assert policies.pop(key) == (False, True, True, True)
    assert set(policies.values()) == {(True, False, False, False)}
    assert ports[key].connectee.connectedEntity == machine


# Virtual machines, users, hosts


def card_of(machine: Any) -> Any:
    devices = machine.config.hardware.device
    return next(device for device in devices if isinstance(device, vim.vm.device.VirtualEthernetCard))


def test_pyvmomi_reads_all_of_a_vm(vcenter: Vcenter) -> None:
    standard(vcenter)
    machine = vcenter.vm("egress-sim", [Nic(MAC, GROUP)])
    assert machine.runtime.powerState == machine.summary.runtime.powerState == "poweredOn"
    assert machine.snapshot is None
    assert (card_of(machine).macAddress, card_of(machine).connectable.connected) == (MAC, True)
    result(machine.PowerOffVM_Task())
    assert card_of(machine).connectable.connected is False


def test_nic_that_is_not_connected(vcenter: Vcenter) -> None:
    standard(vcenter)
    assert card_of(vcenter.vm("egress-sim", [Nic(MAC, GROUP, connected=False)])).connectable.connected is False


def test_nic_on_nsx_stays_there(vcenter: Vcenter, control: Control) -> None:
    backing = card_of(vcenter.vm("egress-sim", [Nic(MAC, None)])).backing
    assert isinstance(backing, vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo)


def test_two_vms_of_one_name(vcenter: Vcenter) -> None:
    standard(vcenter)
    machines = [vcenter.vm("egress-sim-twin", [], folder=folder) for folder in ("egress-sim-1", "egress-sim-2")]
    assert machines[0].config.uuid != machines[1].config.uuid
    assert machines[0].config.instanceUuid != machines[1].config.instanceUuid
    found = vcenter.service.content.searchIndex.FindByUuid(None, machines[1].config.uuid, True, False)
    assert found == machines[1]


def test_guest_says_its_addresses(vcenter: Vcenter, control: Control) -> None:
    standard(vcenter)
    machine = vcenter.vm("egress-sim", [Nic(MAC, GROUP, addresses=["198.51.100.11/24", "2001:db8::11/64"])])
    report = machine.guest.net[0]
    assert (report.macAddress, report.deviceConfigId) == (MAC, card_of(machine).key)
    addresses = [(one.ipAddress, one.prefixLength) for one in report.ipConfig.ipAddress]
    assert addresses == [("198.51.100.11", 24), ("2001:db8::11", 64)]


def test_reader_may_not_write(vcenter: Vcenter, control: Control) -> None:
    with vcenter.rival(READ_ONLY) as service:
        system = vim.host.NetworkSystem(vcenter.network_system(0)._moId, service._stub)
        assert system.networkInfo.vswitch
        with pytest.raises(vim.fault.NoPermission) as refused:
            system.RefreshNetworkSystem()
    assert refused.value.privilegeId == "Host.Config.Network"
    assert refused.value.object._moId == vcenter.hosts[0]._moId


def test_privileges_by_entity(vcenter: Vcenter, control: Control) -> None:
    group = distributed(vcenter)
    user = vcenter.user_with("DVPortgroup.Modify", on=vcenter.datacenter)
    with vcenter.rival(user) as service:
        same = vim.dvs.DistributedVirtualPortgroup(group._moId, service._stub)
        with pytest.raises(vim.fault.NoPermission) as refused:
            reconfigure(same, same.config.configVersion, macManagementPolicy=flags(True))
        assert refused.value.privilegeId == "DVPortgroup.PolicyOp"
        result(same.ReconfigureDVPortgroup_Task(GroupSpec(configVersion=same.config.configVersion, description="new")))
    assert group.config.description == "new"


def test_wrong_password(vcenter: Vcenter) -> None:
    vcenter.environment["VMWARE_PASSWORD"] = "wrong"
    with pytest.raises(vim.fault.InvalidLogin):
        vcenter.connect()


@pytest.mark.parametrize(
    ("state", "fault"),
    [("disconnected", vmodl.fault.HostNotConnected), ("notResponding", vmodl.fault.HostCommunication)],
)
def test_host_out_of_contact(vcenter: Vcenter, control: Control, state: str, fault: type[Exception]) -> None:
    host, system = vcenter.hosts[0], vcenter.network_system(0)
    control.host(host.name, state)
    assert (host.runtime.connectionState, host.config, system.networkInfo) == (state, None, None)
    with pytest.raises(fault):
        system.RefreshNetworkSystem()
    control.host(host.name, "connected")
    assert system.networkInfo.vswitch


# What tests can make happen


def test_calls_are_counted(vcenter: Vcenter, control: Control) -> None:
    control.forget_calls()
    vcenter.network_system(0).RefreshNetworkSystem()
    assert control.calls()["RefreshNetworkSystem"] == 1
    control.forget_calls()
    assert "RefreshNetworkSystem" not in control.calls()


def test_planned_faults(vcenter: Vcenter, control: Control) -> None:
    group = distributed(vcenter)
    control.fail("RefreshNetworkSystem", "HostCommunication", on=vcenter.hosts[0].name)
    vcenter.network_system(1).RefreshNetworkSystem()
    with pytest.raises(vmodl.fault.HostCommunication):
        vcenter.network_system(0).RefreshNetworkSystem()
    vcenter.network_system(0).RefreshNetworkSystem()
    control.fail("ReconfigureDVPortgroup_Task", "DvsFault", in_task=True)
    task = group.ReconfigureDVPortgroup_Task(GroupSpec(configVersion=group.config.configVersion))
    with pytest.raises(vim.fault.DvsFault):
        result(task)
    with pytest.raises(AssertionError, match='"Nonsense" is no fault'):
        control.fail("RefreshNetworkSystem", "Nonsense")


def test_held_call_waits_for_a_rival(vcenter: Vcenter, control: Control) -> None:
    group = distributed(vcenter)
    version = group.config.configVersion
    refused: list[Exception] = []

    def late() -> None:
        with vcenter.rival() as service:
            same = vim.dvs.DistributedVirtualPortgroup(group._moId, service._stub)
            try:
                reconfigure(same, version, macManagementPolicy=flags(True))
            except vim.fault.ConcurrentAccess as error:
                refused.append(error)

    thread = threading.Thread(target=late)
    with control.held("ReconfigureDVPortgroup_Task") as call:
        thread.start()
        call.wait()
        reconfigure(group, version, macManagementPolicy=flags(False))
    thread.join(30)
    assert len(refused) == 1
    assert policy_of(group) == (False, False, False, False)
