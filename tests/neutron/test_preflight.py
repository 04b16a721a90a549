"""What preflight says of ports: before they are opened, after, and where the credentials may not open them."""

from __future__ import annotations

from typing import Any

from cloud import ADDRESS, Cloud

from ansible_collections.egress.router.plugins.filter.preflight_report import preflight_report
from ansible_collections.egress.router.plugins.module_utils._preflight.checks.all import IDS

ROUTERS = [
    {"name": "db", "namespace": "payments", "image": "img:1", "addresses": [{"ip": f"{ADDRESS['ip_address']}/24"}]}
]


def look(api: Cloud, port: Any, **options: Any) -> dict[str, Any]:
    """The report, with everything else as it should be."""
    asked = {"on_openstack": True, "problems": [], "nodes": {port.device_id: "worker-1"}}
    checked = [check for check in IDS if check != "openstack"]
    gaps = [{"check": "openstack", "reason": "not asked yet"}]
    found: dict[str, Any] = {
        "findings": [],
        "checked": checked,
        "not_checked": gaps,
        "ignored": [],
        "openstack": asked,
        "vsphere": {"on_vsphere": False},
    }
    found.update(about="", requests=1, seconds=1.0)
    answer = api._run(
        False,
        "openstack_allowed_address_pair_info",
        {"addresses": [ADDRESS], "nodes": [port.device_id], "writable": True, **options},
    )
    report = preflight_report(found, ROUTERS, openstack=answer)
    assert (report["checked"], report["not_checked"]) == (list(IDS), [])
    return report


def test_found_before_and_green_after(cloud: Cloud) -> None:
    port = cloud.server()
    revision = cloud.revision(port)
    report = look(cloud, port)
    (finding,) = report["findings"]
    assert (finding["check"], finding["severity"], report["ok"]) == ("openstack", "info", True)
    assert (finding["routers"], finding["nodes"]) == (["payments/db"], ["worker-1"])
    assert f"port {port.id} drops what comes from 198.51.100.50 02:e6:c6:33:64:32" in finding["seen"]
    assert (cloud.pairs(port), cloud.revision(port)) == ([], revision), "looking has changed the port"
    cloud.run(addresses=[ADDRESS], nodes=[port.device_id])
    assert look(cloud, port)["findings"] == []


def test_port_security_off(cloud: Cloud) -> None:
    port = cloud.server(port_security_enabled=False, security_groups=[])
    assert look(cloud, port)["findings"] == []


def test_credentials_that_may_not_open_it(api: Cloud) -> None:
    project = api.admin.identity.find_project("tenant").id
    port = api.server(project_id=project)
    revision = api.revision(port)
    report = look(api, port, cloud="tenant")
    (finding,) = report["findings"]
    assert (finding["severity"], report["ok"]) == ("error", False)
    assert "update_port:allowed_address_pairs" in finding["seen"]
    assert (api.pairs(port), api.revision(port)) == ([], revision)


def test_a_port_that_is_invisible(api: Cloud) -> None:
    report = look(api, api.server(), cloud="tenant")
    (finding,) = report["findings"]
    assert finding["severity"] == "error" and "belongs to another project than the credentials" in finding["seen"]


def test_neutron_is_away(api: Cloud) -> None:
    settings = {**api.settings(), "network_endpoint_override": "http://127.0.0.1:1"}
    report = look(api, api.server(), cloud=settings)
    assert not report["ok"] and "cannot reach OpenStack" in report["findings"][0]["seen"]
