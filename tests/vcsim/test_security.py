"""The flags are set, and nothing else is: on standard and distributed port groups and switches, and back again."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim
from world import DV_GROUP, DVS, GROUP, OPEN, SWITCH, World, cards, finished, provider_id, warnings

from ansible_collections.egress.router.plugins.module_utils._vsphere.flags import Flags
from ansible_collections.egress.router.plugins.module_utils._vsphere.vcenter import _mac_management

STANDARD: dict[str, Any] = {"nics": [{"addresses": ["198.51.100.50"]}]}
DISTRIBUTED: dict[str, Any] = {"nics": [{"network": DV_GROUP}]}
ALL = (True, True, True)


def network(world: World) -> list[str]:
    """Both kinds of port groups, and two nodes on them."""
    world.standard()
    world.distributed()
    nodes = [world.node(GROUP, DV_GROUP, host=host) for host in list(world.hosts)[:2]]
    return [provider_id(node) for node in nodes]


def guests(world: World) -> list[str]:
    """Nodes whose VMware Tools tell which adapter is which."""
    world.standard()
    world.distributed()
    return [
        provider_id(world.node(GROUP, DV_GROUP, guest=[[f"198.51.100.{n}/24"], [f"203.0.113.{n}/24"]]))
        for n in range(11, 13)
    ]


@pytest.mark.parametrize("kind", ["standard", "distributed"])
def test_all_twelve_states(world: World, kind: str) -> None:
    """Create, modify and put back, each in check mode and for real, each twice."""
    nodes = network(world)
    options: dict[str, Any] = {"nodes": nodes, "nics": [{"network": GROUP if kind == "standard" else DV_GROUP}]}
    before = world.everything()

    def policy() -> Any:
        if kind == "standard":
            return [world.flags(host) for host in world.hosts]
        policy = world.dv_policy()
        return [policy.inherited, policy.allowPromiscuous, policy.forgedTransmits, policy.macChanges]

    original = policy()
    previous = []
    for flags in ({"forged_transmits": True, "mac_changes": False}, OPEN):
        untouched = policy()
        for _twice in range(2):
            predicted = world.run(check=True, **options, **flags)
            assert predicted["changed"]
            assert policy() == untouched
        done = world.run(**options, **flags)
        assert done["changed"]
        assert done["diff"] == predicted["diff"]
        assert policy() != untouched
        assert not world.run(**options, **flags)["changed"]
        assert not world.run(check=True, **options, **flags)["changed"]
        previous.append(done["previous"])
    assert {str(one["effective"]) for one in world.info(**options)["nics"][0]["policies"]} <= {
        str(OPEN),
        str({**OPEN, "mac_learning": False}),
    }
    for values in reversed(previous):
        untouched = policy()
        for _twice in range(2):
            predicted = world.run(check=True, state="restored", previous=values)
            assert predicted["changed"]
            assert policy() == untouched
        done = world.run(state="restored", previous=values)
        assert done["diff"] == predicted["diff"]
        assert not world.run(state="restored", previous=values)["changed"]
        assert not world.run(check=True, state="restored", previous=values)["changed"]
    assert policy() == original
    assert world.everything() == before


def test_show_nothing_else_changes(world: World) -> None:
    """VLAN 126, teaming, shaping, MTU 9000 and two uplinks, on both kinds; second run unchanged."""
    nodes = network(world)
    before = world.everything()
    host = next(iter(world.hosts))
    switch, group = before[host]
    assert switch["bridge"]["nicDevice"] == list(world.site.uplinks)
    assert (switch["mtu"], group["vlanId"]) == (9000, 126)
    assert group["policy"]["shapingPolicy"]["enabled"]
    assert group["policy"]["nicTeaming"]["nicOrder"]["activeNic"] == [world.site.uplinks[1]]
    (setting,) = [one["defaultPortConfig"] for one in before[DV_GROUP]]
    assert setting["vlan"]["vlanId"] == 126
    assert setting["inShapingPolicy"]["enabled"]["value"]
    assert setting["uplinkTeamingPolicy"]["policy"]["value"] == "failover_explicit"
    assert before[DVS][0]["maxMtu"] == 9000

    nics = [{"network": GROUP}, {"network": DV_GROUP}]
    done = world.run(nodes=nodes, nics=nics, **OPEN)
    assert [one["changed"] for one in done["policies"]] == [True] * 4
    # The standard group said of MAC changes itself that it accepts them, and inherited forged transmits.
    assert {world.flags(name) for name in world.hosts} == {(True, None, True)}
    assert world.everything() == before
    again = world.run(nodes=nodes, nics=nics, **OPEN)
    assert not again["changed"]
    world.show("\n".join(f"{one['before_header']}:\n{one['before']}->\n{one['after']}" for one in done["diff"][-2:]))
    world.show(f"4 places changed; all else of {', '.join(before)} identical; second run: changed={again['changed']}")


def test_each_flag_alone(world: World) -> None:
    nodes = network(world)
    for flag in OPEN:
        world.run(nodes=nodes, nics=[{"network": GROUP}, {"network": DV_GROUP}], **{flag: False})
        before = world.everything()
        done = world.run(nodes=nodes, nics=[{"network": GROUP}, {"network": DV_GROUP}], **{flag: True})
        for one in done["policies"]:
            assert {**one["after"], flag: one["before"][flag]} == one["before"]
        assert world.everything() == before


def test_the_switch(world: World) -> None:
    nodes = network(world)
    before = world.everything()
    nics = [{"network": GROUP}, {"network": DV_GROUP}]
    done = world.run(nodes=nodes, nics=nics, scope="switch", **OPEN)
    assert [one["portgroup"] for one in done["policies"]] == [""] * 4
    # Port groups follow, but for what they set themselves.
    assert world.group(next(iter(world.hosts))).computedPolicy.security.allowPromiscuous
    assert world.dv_policy().inherited
    assert world.dv_policy().allowPromiscuous
    assert "has a security policy of its own, which overrides that of its switch" in warnings(done)
    assert world.everything() == before
    assert not world.run(nodes=nodes, nics=nics, scope="switch", **OPEN)["changed"]
    world.run(state="restored", previous=done["previous"])
    assert not world.dv_policy().allowPromiscuous
    assert world.everything() == before


def test_mac_learning(world: World) -> None:
    nodes = network(world)
    before = world.everything()
    flags = {**OPEN, "promiscuous_mode": None, "mac_learning": True}
    done = world.run(nodes=nodes, **DISTRIBUTED, **flags)
    policy = world.dv_policy()
    assert policy.macLearningPolicy.enabled
    assert not policy.inherited
    assert not policy.allowPromiscuous
    assert world.info(nodes=nodes, **DISTRIBUTED)["nics"][0]["policies"][0]["missing"] == []
    assert not world.run(nodes=nodes, **DISTRIBUTED, **flags)["changed"]
    world.run(state="restored", previous=done["previous"])
    assert world.dv_policy().inherited
    assert not world.dv_policy().macLearningPolicy.enabled
    assert world.everything() == before


def test_the_limits_of_mac_learning_stay(world: World) -> None:
    nodes = network(world)
    learning = {"enabled": False, "allow_unicast_flooding": False, "limit": 77, "limit_policy": "drop"}
    world.neighbour(
        "vmware_dvs_portgroup",
        switch_name=DVS,
        portgroup_name=DV_GROUP,
        vlan_id="126",
        port_binding="static",
        network_policy={
            "inherited": False,
            "promiscuous": False,
            "forged_transmits": False,
            "mac_changes": False,
            "mac_learning": learning,
        },
    )
    world.run(nodes=nodes, **DISTRIBUTED, mac_learning=True)
    policy = world.dv_policy().macLearningPolicy
    assert (policy.enabled, policy.allowUnicastFlooding, policy.limit, policy.limitPolicy) == (True, False, 77, "drop")


def test_the_limits_of_mac_learning_are_sent_along() -> None:
    """Nobody promises that vSphere keeps what a policy does not set within itself; the simulator does."""
    kind = vim.dvs.VmwareDistributedVirtualSwitch
    learning = kind.MacLearningPolicy(
        inherited=True, enabled=False, allowUnicastFlooding=True, limit=77, limitPolicy="drop"
    )
    present = kind.MacManagementPolicy(inherited=True, macLearningPolicy=learning)
    sent = _mac_management(present, Flags(True, True, False, True))
    assert (sent.allowPromiscuous, sent.forgedTransmits, sent.macChanges, sent.inherited) == (True, True, False, False)
    learning = sent.macLearningPolicy
    assert (learning.enabled, learning.inherited) == (True, False)
    assert (learning.allowUnicastFlooding, learning.limit, learning.limitPolicy) == (True, 77, "drop")


def test_nodes_by_every_name(world: World) -> None:
    world.standard()
    node = world.node(GROUP)
    adapter = cards(node)[0].macAddress
    names = [provider_id(node), node.config.uuid, node.config.instanceUuid.upper(), node.name]
    for name in names:
        for nics in (None, [{"mac_address": adapter.upper()}], [{"network": GROUP}]):
            done = world.run(check=True, nodes=[name], nics=nics, **OPEN)
            assert len(done["policies"]) == len(world.hosts), name
            assert done["policies"][0]["nodes"] == [name]


def test_the_adapter_by_the_address_of_the_guest(world: World) -> None:
    nodes = guests(world)
    done = world.run(nodes=nodes, **STANDARD, **OPEN)
    assert {one["portgroup"] for one in done["policies"]} == {GROUP}
    done = world.run(nodes=nodes, nics=[{"addresses": ["203.0.113.50"]}], **OPEN)
    assert {one["portgroup"] for one in done["policies"]} == {DV_GROUP}


def test_two_routers_with_different_adapters(world: World) -> None:
    first, second = guests(world)
    nics = [{"addresses": ["198.51.100.50"], "nodes": [first]}, {"addresses": ["203.0.113.51"], "nodes": [second]}]
    done = world.run(nics=nics, **OPEN)
    assert [(one["kind"], one["nodes"]) for one in done["policies"]] == [
        *[("standard", [first])] * len(world.hosts),
        ("distributed", [second]),
    ]


def test_targets(world: World) -> None:
    world.standard()
    world.distributed()
    first, second = list(world.hosts)[:2]
    targets = [
        {"esxi_hostname": first, "portgroup": GROUP},
        {"esxi_hostname": second, "switch": SWITCH},
        {"switch": DVS, "portgroup": DV_GROUP},
        {"switch": DVS},
    ]
    done = world.run(targets=targets, **OPEN)
    assert [one["changed"] for one in done["policies"]] == [True] * 4
    assert world.flags(first) == (True, None, True)
    assert world.flags(second) == (None, None, True)
    assert world.group(second).computedPolicy.security.allowPromiscuous
    assert not world.run(targets=targets, **OPEN)["changed"]
    assert [one["missing"] for one in world.info(targets=targets)["targets"]] == [[]] * 4


def test_what_another_router_needs_is_not_put_back(world: World) -> None:
    first, second = network(world)
    nics = [{"network": GROUP, "nodes": [first]}, {"network": DV_GROUP, "nodes": [second]}]
    previous = world.run(nics=nics, **OPEN)["previous"]
    done = world.run(state="restored", previous=previous, nics=nics[1:])
    assert {one["kind"] for one in done["policies"]} == {"standard"}
    assert world.flags(next(iter(world.hosts))) == (None, None, True)
    assert world.dv_policy().allowPromiscuous
    assert "is not restored: other nodes need its policy" in warnings(done)


def test_an_older_distributed_switch(world: World) -> None:
    world.standard()
    world.distributed(version="6.5.0")
    node = provider_id(world.node(GROUP, DV_GROUP))
    before = world.everything()
    assert "is of version 6.5.0, but MAC learning requires 6.6.0" in world.fails(
        nodes=[node], **DISTRIBUTED, mac_learning=True
    )
    done = world.run(nodes=[node], **DISTRIBUTED, **OPEN)
    assert world.dv_policy().allowPromiscuous
    assert not world.run(nodes=[node], **DISTRIBUTED, **OPEN)["changed"]
    world.run(state="restored", previous=done["previous"])
    assert world.dv_policy().inherited
    assert world.everything() == before


def test_a_session_ends_with_its_module(world: World) -> None:
    """vCenter allows a limited number of sessions."""
    world.standard()
    before = {session.key for session in world.content.sessionManager.sessionList}
    world.run(check=True, targets=[{"esxi_hostname": next(iter(world.hosts)), "portgroup": GROUP}], **OPEN)
    world.fails(nodes=["nobody"], **OPEN)
    assert {session.key for session in world.content.sessionManager.sessionList} == before


def test_namesakes_in_another_datacenter(world: World) -> None:
    """Names of distributed switches and their port groups are unique in a datacenter only."""
    world.simulated("it need not let us make a datacenter")
    world.distributed()
    other = world.content.rootFolder.CreateDatacenter("egress-elsewhere")
    spec = vim.DistributedVirtualSwitch.CreateSpec(
        configSpec=vim.dvs.VmwareDistributedVirtualSwitch.ConfigSpec(name=DVS)
    )
    switch = finished(other.networkFolder.CreateDVS_Task(spec))
    group = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(name=DV_GROUP, type="earlyBinding", numPorts=4)
    finished(switch.AddDVPortgroup_Task([group]))
    message = world.fails(targets=[{"switch": DVS, "portgroup": DV_GROUP}], **OPEN)
    assert "was found 2 times" in message
    # By a node it is clear which one is meant.
    (ours,) = [one for one in world.hosts[next(iter(world.hosts))].network if one.name == DV_GROUP]
    node = world.node(DV_GROUP)
    done = world.run(nodes=[node.name], **OPEN)
    assert len(done["policies"]) == 1
    assert ours.config.defaultPortConfig.macManagementPolicy.allowPromiscuous
