"""The view: from each node to its switch, what is in force there, and what is missing."""

from __future__ import annotations

from world import DV_GROUP, GROUP, OPEN, World, provider_id


def table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def test_show_three_nodes(world: World) -> None:
    world.standard()
    world.distributed()
    hosts = list(world.hosts)
    nodes = [
        provider_id(world.node(GROUP, DV_GROUP, host=host, guest=[[f"198.51.100.{n}/24"], [f"203.0.113.{n}/24"]]))
        for n, host in enumerate(hosts, 11)
    ]
    world.run(targets=[{"esxi_hostname": hosts[0], "portgroup": GROUP}], promiscuous_mode=True)
    world.run(nodes=nodes, nics=[{"network": DV_GROUP}], **{**OPEN, "promiscuous_mode": None, "mac_changes": None})

    nics = world.info(nodes=nodes)["nics"]
    rows = [
        ["node", "runs on", "adapter", "addresses", "port group", "switch", "host", *OPEN, "mac_learning", "missing"]
    ]
    for nic in nics:
        for policy in nic["policies"]:
            flags = [f"{value} ({policy['sources'][name]})" for name, value in policy["effective"].items()]
            flags += ["-"] * (4 - len(flags))
            place = [policy["portgroup"], policy["switch"], policy["esxi_hostname"] or "-"]
            lacking = ", ".join(policy["missing"]) or "nothing"
            rows.append(
                [nic["vm"], nic["esxi_hostname"], nic["nic"], ",".join(nic["addresses"]), *place, *flags, lacking]
            )
    world.show(table(rows))

    assert [(nic["node"], nic["network"]) for nic in nics] == [
        (node, net) for node in nodes for net in (GROUP, DV_GROUP)
    ]
    assert [nic["esxi_hostname"] for nic in nics[::2]] == hosts
    assert nics[0]["addresses"] == ["198.51.100.11/24"]
    # The host on which a node runs comes first.
    assert [policy["esxi_hostname"] for policy in nics[2]["policies"]] == [hosts[1], hosts[0], hosts[2]]
    first = nics[0]["policies"][0]
    assert first["effective"] == OPEN
    assert first["missing"] == []
    assert first["sources"] == {
        "promiscuous_mode": "portgroup",
        "forged_transmits": "switch",
        "mac_changes": "portgroup",
    }
    assert nics[2]["policies"][0]["missing"] == ["promiscuous_mode"]
    distributed = nics[1]["policies"][0]
    assert distributed["effective"]["forged_transmits"] is True
    assert distributed["missing"] == ["promiscuous_mode", "mac_changes"]
    assert set(distributed["sources"].values()) == {"portgroup"}


def test_it_changes_nothing(world: World) -> None:
    world.standard()
    node = world.node(GROUP)
    before = (world.everything(), world.flags(next(iter(world.hosts))))
    world.info(nodes=[node.name])
    assert (world.everything(), world.flags(next(iter(world.hosts)))) == before
