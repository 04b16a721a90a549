"""What preflight says of port groups: before they are opened, and after."""

from __future__ import annotations

from typing import Any

from egress_vcsim import server
from world import DV_GROUP, GROUP, OPEN, World, provider_id

from ansible_collections.egress.router.plugins.filter.preflight_report import preflight_report
from ansible_collections.egress.router.plugins.module_utils._preflight.checks.all import IDS

ROUTERS = [
    {"name": "db", "namespace": "payments", "image": "img:1", "addresses": [{"ip": "198.51.100.50/24"}]},
]


def look(world: World, node: str, network: str, **options: Any) -> dict[str, Any]:
    """The report, with everything else as it should be."""
    asked = {"on_vsphere": True, "problems": [], "nodes": {node: "worker-1"}}
    found: dict[str, Any] = {
        "findings": [], "checked": [check for check in IDS if check != "vsphere"], "ignored": [], "about": "",
        "not_checked": [{"check": "vsphere", "reason": "not asked yet"}], "requests": 1, "seconds": 1.0,
        "openstack": {"on_openstack": False}, "vsphere": asked,
    }  # fmt: skip
    nics = [{"nodes": [node], "network": network}]
    answer = world.result(module="vsphere_port_group_security_info", nics=nics, writable=True, **options)
    report = preflight_report(found, ROUTERS, vsphere=answer)
    assert (report["checked"], report["not_checked"]) == (list(IDS), [])
    return report


def test_found_before_and_green_after(world: World) -> None:
    world.standard()
    world.distributed()
    node = provider_id(world.node(GROUP, DV_GROUP))
    for network in (GROUP, DV_GROUP):
        before = world.everything()
        report = look(world, node, network)
        assert report["ok"] and {finding["check"] for finding in report["findings"]} == {"vsphere"}
        assert {finding["severity"] for finding in report["findings"]} == {"info"}
        assert all(finding["nodes"] == ["worker-1"] for finding in report["findings"])
        assert f"port group {network}" in report["findings"][0]["seen"]
        assert "promiscuous_mode" in report["findings"][0]["seen"]
        assert world.everything() == before, "looking has changed something"
        world.run(nics=[{"nodes": [node], "network": network}], **OPEN)
        assert look(world, node, network)["findings"] == []


def test_what_the_user_may_not_change_is_an_error(world: World) -> None:
    world.simulated("its other users have passwords of their own")
    world.standard()
    world.distributed()
    node, host = provider_id(world.node(GROUP, DV_GROUP)), next(iter(world.hosts))
    world.permit("half@vsphere.local", ["DVPortgroup.Modify"], [world.content.rootFolder])
    for user, network, lacks in (
        (server.READ_ONLY, GROUP, f"Host.Config.Network on {host}"),
        (server.READ_ONLY, DV_GROUP, f"DVPortgroup.Modify and DVPortgroup.PolicyOp on {DV_GROUP}"),
        ("half@vsphere.local", DV_GROUP, f"DVPortgroup.PolicyOp on {DV_GROUP}"),
    ):
        report = look(world, node, network, username=user)
        assert not report["ok"] and {finding["severity"] for finding in report["findings"]} == {"error"}
        assert report["findings"][0]["seen"].endswith(f", and the user lacks the privilege {lacks}")
    # What is open needs no right.
    world.run(nodes=[node], nics=[{"network": DV_GROUP}], **OPEN)
    assert look(world, node, DV_GROUP, username=server.READ_ONLY)["findings"] == []


def test_asking_for_rights_takes_two_requests(world: World) -> None:
    world.simulated("it does not count requests")
    world.standard()
    world.distributed()
    nodes = [provider_id(world.node(GROUP, DV_GROUP, host=host)) for host in world.hosts]
    counted = []
    for writable in (False, True):
        world.calls()
        world.info(nodes=nodes, writable=writable)
        counted.append(world.calls())
    assert counted[1].pop("HasPrivilegeOnEntities") == 1
    assert sum(counted[1].values()) - sum(counted[0].values()) == 1


def test_a_node_that_is_not_there(world: World) -> None:
    world.standard()
    report = look(world, "vsphere://42170000-0000-4000-8000-00000000dead", GROUP)
    (finding,) = report["findings"]
    assert (finding["severity"], report["ok"]) == ("error", False)
