"""What preflight says of port groups: before they are opened, and after."""

from __future__ import annotations

from typing import Any

from world import DV_GROUP, GROUP, OPEN, World, provider_id

from ansible_collections.egress.router.plugins.filter.preflight_report import preflight_report
from ansible_collections.egress.router.plugins.module_utils._model.preflight.checks import IDS

ROUTERS = [
    {"name": "db", "namespace": "payments", "image": "img:1", "addresses": [{"ip": "198.51.100.50/24"}]},
]


def look(world: World, node: str, network: str) -> dict[str, Any]:
    """The report, with everything else as it should be."""
    asked = {"on_vsphere": True, "problems": [], "nodes": {node: "worker-1"}}
    found: dict[str, Any] = {
        "findings": [], "checked": [check for check in IDS if check != "vsphere"], "ignored": [], "about": "",
        "not_checked": [{"check": "vsphere", "reason": "not asked yet"}], "requests": 1, "seconds": 1.0,
        "openstack": {"on_openstack": False}, "vsphere": asked,
    }  # fmt: skip
    options = {"nics": [{"nodes": [node], "network": network}]}
    answer = world.result(module="vsphere_network_security_info", **options)
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


def test_a_node_that_is_not_there(world: World) -> None:
    world.standard()
    report = look(world, "vsphere://42170000-0000-4000-8000-00000000dead", GROUP)
    (finding,) = report["findings"]
    assert (finding["severity"], report["ok"]) == ("error", False)
