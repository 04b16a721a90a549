"""Three flags of a port group, set by our module and by the neighbour's: what else changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from world import DV_GROUP, DVS, GROUP, OPEN, SWITCH, World


def leaves(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each value with the way to it."""
    if isinstance(data, dict):
        for name, value in data.items():
            if name not in ("dynamicType", "dynamicProperty", "_vimtype"):
                yield from leaves(value, f"{path}.{name}" if path else name)
    elif isinstance(data, list) and data and not isinstance(data[0], str):
        for number, value in enumerate(data):
            yield from leaves(value, f"{path}[{number}]")
    else:
        yield path, str(data)


def differences(before: Any, after: Any) -> list[str]:
    old, new = dict(leaves(before)), dict(leaves(after))
    return [
        f"  {path}: {old.get(path, 'not there')} -> {new.get(path, 'not there')}"
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def test_show_side_by_side(world: World) -> None:
    world.standard()
    world.distributed()
    first, second, third = world.hosts
    before = world.everything()
    world.run(
        targets=[
            {"esxi_hostname": first, "switch": SWITCH},
            {"esxi_hostname": first, "portgroup": GROUP},
            {"switch": DVS, "portgroup": DV_GROUP},
        ],
        **OPEN,
    )
    ours = differences(before, world.everything())
    world.show(f"egress.router.vsphere_port_group_security: {len(ours)} other settings change")
    assert ours == []

    flags = {"promiscuous_mode": True, "forged_transmits": True, "mac_changes": True}
    requests: list[tuple[str, dict[str, Any]]] = [
        ("vmware_vswitch", {"esxi_hostname": second, "switch": SWITCH, "security": flags}),
        (
            "vmware_portgroup",
            {"esxi_hostname": third, "switch": SWITCH, "portgroup": GROUP, "security": {"promiscuous_mode": True}},
        ),
        (
            "vmware_dvs_portgroup",
            {
                "switch_name": DVS,
                "portgroup_name": DV_GROUP,
                "vlan_id": "126",
                "port_binding": "static",
                "network_policy": {
                    "inherited": False,
                    "promiscuous": True,
                    "forged_transmits": True,
                    "mac_changes": True,
                },
            },
        ),
    ]
    for module, options in requests:
        before = world.everything()
        world.neighbour(module, **options)
        theirs = differences(before, world.everything())
        world.show("\n".join([f"community.vmware.{module}: {len(theirs)} other settings change", *theirs]))
