"""What the simulator promises of vSphere's networking API, with pyVmomi alone. A real vCenter has to promise it too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from egress_vcsim.server import READ_ONLY
from pyVmomi import vim, vmodl
from world import DV_GROUP, DVS, GROUP, SWITCH, World, cards, finished

Dvs = vim.dvs.VmwareDistributedVirtualSwitch
GroupSpec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec
Security = vim.host.NetworkPolicy.SecurityPolicy


def simulated(world: World) -> None:
    """Skips a test of what a real vCenter is not to be asked."""
    world.calls()


def first(world: World) -> str:
    return next(iter(world.hosts))


def standard(world: World) -> Any:
    """The network system of a host with the standard switch."""
    world.standard(hosts=[first(world)])
    return system(world)


def distributed(world: World, **options: Any) -> Any:
    """The distributed port group."""
    world.distributed(**options)
    return world.dv_group()


def system(world: World, number: int = 0) -> Any:
    return list(world.hosts.values())[number].configManager.networkSystem


def switch(world: World) -> Any:
    return next(one for one in world.host_network(first(world)).vswitch if one.name == SWITCH)


def effective(world: World) -> tuple[bool, bool, bool]:
    """Promiscuous mode, forged transmits, MAC changes."""
    security = world.group(first(world)).computedPolicy.security
    return (security.allowPromiscuous, security.forgedTransmits, security.macChanges)


def reconfigure(group: Any, version: str | None, **setting: Any) -> None:
    """Sets part of a distributed port group's default setting."""
    config = Dvs.VmwarePortConfigPolicy(**setting)
    finished(group.ReconfigureDVPortgroup_Task(GroupSpec(configVersion=version, defaultPortConfig=config)))


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


def test_port_group_inherits_what_it_does_not_set(world: World) -> None:
    network = standard(world)
    spec = switch(world).spec
    spec.policy.security = Security(allowPromiscuous=True, forgedTransmits=False, macChanges=False)
    network.UpdateVirtualSwitch(SWITCH, spec)
    group = world.group(first(world)).spec
    group.policy.security = Security(macChanges=True)
    network.UpdatePortGroup(GROUP, group)
    assert effective(world) == (True, False, True)
    group.policy.security = None
    network.UpdatePortGroup(GROUP, group)
    assert effective(world) == (True, False, False)
    assert world.group(first(world)).spec.vlanId == 126


def test_switch_policy_that_is_not_set_is_unchanged(world: World) -> None:
    network = standard(world)
    before = switch(world).spec
    assert before.policy.nicTeaming is not None
    spec = vim.host.VirtualSwitch.Specification(numPorts=before.numPorts, mtu=before.mtu, bridge=before.bridge)
    network.UpdateVirtualSwitch(SWITCH, spec)
    assert str(switch(world).spec) == str(before)


def test_switch_without_bridge_loses_its_uplinks(world: World) -> None:
    network = standard(world)
    spec = switch(world).spec
    assert len(switch(world).pnic) == 2
    spec.bridge = spec.policy = None
    network.UpdateVirtualSwitch(SWITCH, spec)
    after = switch(world)
    assert (after.pnic, after.spec.policy.nicTeaming.nicOrder.activeNic, after.mtu) == ([], [], 9000)


def test_uplink_belongs_to_one_switch(world: World) -> None:
    network = standard(world)
    with pytest.raises(vim.fault.ResourceInUse):
        network.AddVirtualSwitch("egress-other", switch(world).spec)


def test_same_specification_changes_nothing(world: World) -> None:
    network = standard(world)
    before = str(network.networkInfo)
    network.UpdateVirtualSwitch(SWITCH, switch(world).spec)
    network.UpdatePortGroup(GROUP, world.group(first(world)).spec)
    assert str(network.networkInfo) == before
    # The host's configuration shows the same as its network system.
    assert str(world.hosts[first(world)].config.network) == before


def test_groups_of_one_name_are_one_network(world: World) -> None:
    one, two, without = world.hosts
    world.standard(hosts=[one, two])
    network = [network for network in world.hosts[one].network if network.name == GROUP]
    assert [sorted(host.name for host in each.host) for each in network] == [[one, two]]
    assert network[0] not in world.hosts[without].network


@pytest.mark.parametrize(
    "call",
    [
        lambda network: network.UpdateVirtualSwitch("absent", vim.host.VirtualSwitch.Specification(numPorts=8)),
        lambda network: network.RemoveVirtualSwitch("absent"),
        lambda network: network.RemovePortGroup("absent"),
    ],
)
def test_what_is_not_there_is_not_found(world: World, call: Callable[[Any], None]) -> None:
    with pytest.raises(vim.fault.NotFound):
        call(system(world))


# Distributed switches


def test_switch_is_of_the_type_that_clients_look_for(world: World) -> None:
    distributed(world)
    assert isinstance(world.find(vim.DistributedVirtualSwitch, DVS), Dvs)
    assert isinstance(world.find(Dvs, DVS), Dvs)


def test_group_keeps_what_a_change_does_not_set(world: World) -> None:
    group = distributed(world)
    before = but_for_the_flags(group)
    reconfigure(group, group.config.configVersion, macManagementPolicy=flags(True))
    assert policy_of(group) == (False, True, True, True)
    assert but_for_the_flags(group) == before
    assert "vlanId = 126" in before and "'failover_explicit'" in before


def test_old_and_new_policy_agree(world: World) -> None:
    group = distributed(world)
    reconfigure(group, group.config.configVersion, macManagementPolicy=flags(True))
    assert group.config.defaultPortConfig.securityPolicy.forgedTransmits.value is True
    off = vim.BoolPolicy(inherited=False, value=False)
    old = Dvs.SecurityPolicy(inherited=False, allowPromiscuous=off, forgedTransmits=off, macChanges=off)
    reconfigure(group, group.config.configVersion, securityPolicy=old)
    assert policy_of(group) == (False, False, False, False)


def test_version_is_required_and_compared(world: World) -> None:
    group = distributed(world)
    version = group.config.configVersion
    reconfigure(group, version, macManagementPolicy=flags(True))
    assert group.config.configVersion != version
    with pytest.raises(vim.fault.ConcurrentAccess):
        reconfigure(group, version, macManagementPolicy=flags(False))
    with pytest.raises(vmodl.fault.InvalidArgument):
        reconfigure(group, None, macManagementPolicy=flags(False))
    assert policy_of(group) == (False, True, True, True)


def test_inherited_flags_follow_the_switch(world: World) -> None:
    group = distributed(world)
    dvs = world.find(vim.DistributedVirtualSwitch, DVS)
    reconfigure(group, group.config.configVersion, macManagementPolicy=flags(True))
    # What is sent with "inherited" is ignored.
    reconfigure(group, group.config.configVersion, macManagementPolicy=flags(True, inherited=True))
    assert policy_of(group) == (True, False, False, False)
    spec = Dvs.ConfigSpec(configVersion=dvs.config.configVersion)
    spec.defaultPortConfig = Dvs.VmwarePortConfigPolicy(macManagementPolicy=flags(True))
    finished(dvs.ReconfigureDvs_Task(spec))
    assert policy_of(group) == (True, True, True, True)
    assert group.config.defaultPortConfig.vlan.vlanId == 126
    with pytest.raises(vim.fault.ConcurrentAccess):
        finished(dvs.ReconfigureDvs_Task(spec))


@pytest.mark.parametrize(("version", "learns"), [("6.5.0", False), ("6.6.0", True)])
def test_mac_learning_came_with_6_6(world: World, version: str, learns: bool) -> None:
    group = distributed(world, version=version)
    dvs = world.find(vim.DistributedVirtualSwitch, DVS)
    assert dvs.capability.featuresSupported.macLearningSupported is learns
    policy = flags(False)
    policy.macLearningPolicy = Dvs.MacLearningPolicy(inherited=False, enabled=True)
    if learns:
        reconfigure(group, group.config.configVersion, macManagementPolicy=policy)
        learned = world.dv_policy().macLearningPolicy
        assert (learned.enabled, learned.limit) == (True, 4096)
    else:
        assert world.dv_policy().macLearningPolicy is None
        with pytest.raises(vmodl.fault.NotSupported):
            reconfigure(group, group.config.configVersion, macManagementPolicy=policy)


@pytest.mark.parametrize("allowed", [False, True])
def test_port_has_flags_of_its_own_where_the_group_lets_it(world: World, allowed: bool) -> None:
    group = distributed(world, override=allowed)
    vm = world.node(DV_GROUP)
    key = cards(vm)[0].backing.port.portKey
    setting = Dvs.VmwarePortConfigPolicy(macManagementPolicy=flags(True))
    spec = vim.dvs.DistributedVirtualPort.ConfigSpec(operation="edit", key=key, setting=setting)
    dvs = group.config.distributedVirtualSwitch
    if not allowed:
        with pytest.raises(vim.fault.DvsFault):
            finished(dvs.ReconfigureDVPort_Task([spec]))
        return
    finished(dvs.ReconfigureDVPort_Task([spec]))
    criteria = vim.dvs.PortCriteria(portgroupKey=[group.key], inside=True)
    ports = {port.key: port for port in dvs.FetchDVPorts(criteria)}
    policies = {name: described(port.config.setting.macManagementPolicy) for name, port in ports.items()}
    assert len(policies) == 16
    assert policies.pop(key) == (False, True, True, True)
    assert {values[1:] for values in policies.values()} == {(False, False, False)}
    assert ports[key].connectee.connectedEntity == vm


# Virtual machines, users, hosts


def test_pyvmomi_reads_all_of_a_vm(world: World) -> None:
    standard(world)
    vm = world.node(GROUP)
    assert vm.runtime.powerState == vm.summary.runtime.powerState == "poweredOn"
    assert vm.snapshot is None
    assert cards(vm)[0].connectable.connected is True
    task = vm.PowerOffVM_Task()
    finished(task)
    assert task.info.name.info.name == "PowerOff"
    assert cards(vm)[0].connectable.connected is False


def test_nic_on_nsx_stays_there(world: World) -> None:
    simulated(world)
    backing = cards(world.node("nsx-segment"))[0].backing
    assert isinstance(backing, vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo)


def test_vms_are_found_by_uuid(world: World) -> None:
    standard(world)
    one, two = world.node(GROUP), world.node(GROUP)
    assert one.config.uuid != two.config.uuid != two.config.instanceUuid
    index = world.content.searchIndex
    assert index.FindByUuid(None, two.config.uuid, True, False) == two
    assert index.FindByUuid(None, two.config.instanceUuid, True, True) == two


def test_guest_says_its_addresses(world: World) -> None:
    standard(world)
    vm = world.node(GROUP, guest=[["198.51.100.11/24", "2001:db8::11/64"]])
    report = vm.guest.net[0]
    assert (report.macAddress, report.deviceConfigId) == (cards(vm)[0].macAddress, cards(vm)[0].key)
    addresses = [(one.ipAddress, one.prefixLength) for one in report.ipConfig.ipAddress]
    assert addresses == [("198.51.100.11", 24), ("2001:db8::11", 64)]


def test_reader_may_not_write(world: World) -> None:
    simulated(world)
    network = vim.host.NetworkSystem(system(world)._moId, world.log_in(READ_ONLY)._stub)
    assert network.networkInfo.vswitch
    with pytest.raises(vim.fault.NoPermission) as refused:
        network.RefreshNetworkSystem()
    assert refused.value.privilegeId == "Host.Config.Network"
    assert refused.value.object._moId == world.hosts[first(world)]._moId


def test_privileges_by_entity(world: World) -> None:
    simulated(world)
    group = distributed(world)
    manager = world.content.authorizationManager
    manager.AddAuthorizationRole("modify", ["DVPortgroup.Modify"])
    role = next(role.roleId for role in manager.roleList if role.name == "modify")
    user = "modify@vsphere.local"
    permission = vim.AuthorizationManager.Permission(principal=user, group=False, roleId=role, propagate=True)
    manager.SetEntityPermissions(world.find(vim.Datacenter, world.site.datacenter), [permission])

    same = vim.dvs.DistributedVirtualPortgroup(group._moId, world.log_in(user)._stub)
    with pytest.raises(vim.fault.NoPermission) as refused:
        reconfigure(same, same.config.configVersion, macManagementPolicy=flags(True))
    assert refused.value.privilegeId == "DVPortgroup.PolicyOp"
    finished(same.ReconfigureDVPortgroup_Task(GroupSpec(configVersion=same.config.configVersion, description="new")))
    assert group.config.description == "new"


def test_wrong_password(world: World) -> None:
    world.options["password"] = "wrong"
    with pytest.raises(vim.fault.InvalidLogin):
        world.log_in()


@pytest.mark.parametrize(
    ("state", "fault"),
    [("disconnected", vmodl.fault.HostNotConnected), ("notResponding", vmodl.fault.HostCommunication)],
)
def test_host_out_of_contact(world: World, state: str, fault: type[Exception]) -> None:
    world.host_state(first(world), state)
    host = world.hosts[first(world)]
    assert (host.runtime.connectionState, host.config, system(world).networkInfo) == (state, None, None)
    with pytest.raises(fault):
        system(world).RefreshNetworkSystem()
    world.host_state(first(world), "connected")
    assert system(world).networkInfo.vswitch


def test_every_session_hears_of_a_change(world: World) -> None:
    standard(world)
    vm = world.node(GROUP)
    kinds = vmodl.query.PropertyCollector
    spec = kinds.FilterSpec(
        objectSet=[kinds.ObjectSpec(obj=vm)],
        propSet=[kinds.PropertySpec(type=vim.VirtualMachine, pathSet=["runtime.powerState"])],
    )
    waiting = []
    for session in (world.log_in(), world.log_in()):
        collector = session.content.propertyCollector
        collector.CreateFilter(spec, True)
        waiting.append((collector, collector.WaitForUpdatesEx("", None).version))
    finished(vm.PowerOffVM_Task())
    for collector, version in waiting:
        assert collector.WaitForUpdatesEx(version, kinds.WaitOptions(maxWaitSeconds=5)) is not None


# What tests can make happen


def test_calls_are_counted(world: World) -> None:
    world.calls()
    system(world).RefreshNetworkSystem()
    assert world.calls()["RefreshNetworkSystem"] == 1
    assert "RefreshNetworkSystem" not in world.calls()


def test_planned_faults(world: World) -> None:
    world.fault("RefreshNetworkSystem", "HostCommunication", target=first(world))
    system(world, 1).RefreshNetworkSystem()
    with pytest.raises(vmodl.fault.HostCommunication):
        system(world).RefreshNetworkSystem()
    system(world).RefreshNetworkSystem()
    with pytest.raises(AssertionError, match='"Nonsense" is no fault'):
        world.fault("RefreshNetworkSystem", "Nonsense")


def test_planned_fault_in_a_task(world: World) -> None:
    simulated(world)
    group = distributed(world)
    world.fault("ReconfigureDVPortgroup_Task", "DvsFault", in_task=True)
    task = group.ReconfigureDVPortgroup_Task(GroupSpec(configVersion=group.config.configVersion))
    with pytest.raises(vim.fault.DvsFault):
        finished(task)


def test_held_call_waits_for_a_rival(world: World) -> None:
    simulated(world)
    group = distributed(world)
    version = group.config.configVersion
    refused: list[Exception] = []

    def late() -> None:
        same = vim.dvs.DistributedVirtualPortgroup(group._moId, world.log_in()._stub)
        try:
            reconfigure(same, version, macManagementPolicy=flags(True))
        except vim.fault.ConcurrentAccess as error:
            refused.append(error)

    hold = "holds?method=ReconfigureDVPortgroup_Task"
    world.control("POST", hold)
    thread = threading.Thread(target=late)
    thread.start()
    world.control("GET", hold)
    reconfigure(group, version, macManagementPolicy=flags(False))
    world.control("DELETE", hold)
    thread.join(30)
    assert len(refused) == 1
    assert policy_of(group) == (False, False, False, False)
