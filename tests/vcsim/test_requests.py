"""How many requests a call takes, beside a loop of the neighbour's modules."""

from __future__ import annotations

from world import DV_GROUP, GROUP, OPEN, SWITCH, World, provider_id


def test_requests_do_not_grow_with_the_nodes(world: World) -> None:
    world.simulated("it does not count requests")
    world.standard()
    world.distributed()
    hosts = list(world.hosts)
    nodes = [provider_id(world.node(GROUP, DV_GROUP, host=hosts[n % 3])) for n in range(20)]
    nics = [{"network": GROUP}, {"network": DV_GROUP}]
    counted: list[dict[str, int]] = []
    for some in (nodes[:3], nodes):
        world.calls()
        world.run(check=True, nodes=some, nics=nics, **OPEN)
        counted.append(world.calls())
    assert counted[0] == counted[1]
    assert sum(counted[0].values()) <= 20


def test_show_twenty_nodes(world: World) -> None:
    """The loop asks for each node where it is connected, and describes its port group: each node costs the same."""
    world.simulated("it does not count requests")
    world.standard()
    hosts = list(world.hosts)
    vms = [world.node(GROUP, host=hosts[n % 3]) for n in range(20)]
    nodes = [provider_id(vm) for vm in vms]

    def requests() -> int:
        return sum(world.calls().values())

    requests()
    assert world.run(nodes=nodes, **OPEN)["changed"]
    changing = requests()
    assert {world.flags(host)[0] for host in hosts} == {True}
    requests()
    assert not world.run(nodes=nodes, **OPEN)["changed"]
    unchanged = requests()

    world.neighbour("vmware_vm_info", vm_name=vms[0].name)
    world.neighbour(
        "vmware_portgroup", esxi_hostname=hosts[0], switch=SWITCH, portgroup=GROUP, vlan_id=126, security=OPEN
    )
    loop = len(nodes) * requests()
    rows = [
        ("one call, 20 nodes, 3 port groups change", changing),
        ("one call, 20 nodes, nothing changes", unchanged),
        ("loop of community.vmware over 20 nodes", loop),
    ]
    world.show("\n".join(f"{what:<60}{count:>8} requests" for what, count in rows))
    assert max(changing, unchanged) < loop / 10
