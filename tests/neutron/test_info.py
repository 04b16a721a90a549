"""What is missing, and whether it can be added: what preflight asks."""

from __future__ import annotations

from typing import Any

from cloud import ADDRESS, Cloud

MODULE = "openstack_allowed_address_pair_info"


def info(on: Cloud, port: Any, **options: Any) -> dict[str, Any]:
    """The module's view of the only port of a server."""
    wanted = {"addresses": [ADDRESS], "nodes": [port.device_id], "writable": True, **options}
    (found,) = on.run(module=MODULE, **wanted)["ports"]
    assert found["port_id"] == port.id
    return found


def test_missing_before_and_complete_after(cloud: Cloud) -> None:
    port = cloud.server()
    revision = cloud.revision(port)
    found = info(cloud, port)
    assert (found["missing"], found["write_error"], found["server_id"]) == ([ADDRESS], "", port.device_id)
    assert (cloud.pairs(port), cloud.revision(port)) == ([], revision), "the info module has changed the port"
    cloud.run(addresses=[ADDRESS], nodes=[port.device_id])
    assert info(cloud, port)["missing"] == []


def test_port_security_disabled(cloud: Cloud) -> None:
    port = cloud.server(port_security_enabled=False, security_groups=[])
    assert info(cloud, port)["missing"] == []


def test_credentials_without_permission(api: Cloud) -> None:
    project = api.admin.identity.find_project("tenant").id
    port = api.server(project_id=project)
    revision = api.revision(port)
    found = info(api, port, cloud="tenant")
    assert found["missing"] == [ADDRESS]
    assert "update_port:allowed_address_pairs" in found["write_error"]
    assert info(api, port, cloud="tenant", writable=False)["write_error"] == ""
    assert (api.pairs(port), api.revision(port)) == ([], revision)


def test_a_port_that_is_invisible(api: Cloud) -> None:
    server = api.server().device_id
    message = api.fails(module=MODULE, cloud="tenant", addresses=[ADDRESS], nodes=[server])
    assert f"no port of {server} is visible" in message


def test_neutron_cannot_be_reached(api: Cloud) -> None:
    settings = {**api.settings(), "network_endpoint_override": "http://127.0.0.1:1"}
    message = api.fails(module=MODULE, cloud=settings, addresses=[ADDRESS], nodes=[api.server().device_id])
    assert "cannot reach OpenStack at http://127.0.0.1:1/" in message
    assert message.endswith(": Connection refused")
