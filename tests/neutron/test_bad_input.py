"""What cannot work is refused in one clear sentence, and nothing is changed."""

from __future__ import annotations

import socket
import uuid
from typing import Any

import pytest
from cloud import ADDRESS, ADDRESS6, Cloud
from egress_neutron.settings import PASSWORD
from proxy import Proxy

SERVER = str(uuid.uuid4())
TEN = [{"ip_address": f"203.0.113.{number}", "mac_address": "fa:16:3e:00:00:01"} for number in range(1, 11)]


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_no_credentials(api: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/nonexistent/clouds.yaml")
    message = api.fails(cloud=None, addresses=[ADDRESS], nodes=[SERVER])
    assert message.startswith("no credentials for OpenStack (")
    assert "auth_url" in message
    assert "OS_CLOUD" in message


def test_wrong_cloud_name(api: Cloud) -> None:
    message = api.fails(cloud="prodcution", addresses=[ADDRESS], nodes=[SERVER])
    assert message.startswith(
        "cannot use the configuration of the cloud: Cloud prodcution was not found: check cloud or OS_CLOUD"
    )


def test_keystone_is_down(api: Cloud) -> None:
    url = f"http://127.0.0.1:{closed_port()}/v3"
    settings = api.settings()
    message = api.fails(
        cloud=None,
        auth={**settings["auth"], "auth_url": url},
        region_name="RegionOne",
        addresses=[ADDRESS],
        nodes=[SERVER],
    )
    assert message.startswith(f"cannot connect to the cloud: cannot reach OpenStack at {url}")
    assert message.endswith("Connection refused")
    assert PASSWORD not in message


def test_neutron_is_down(api: Cloud) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    message = api.fails(cloud={**api.settings(), "network_endpoint_override": url}, addresses=[ADDRESS], nodes=[SERVER])
    assert f"cannot reach OpenStack at {url}" in message
    assert message.endswith("Connection refused")


def test_rejected_password(api: Cloud) -> None:
    settings = api.settings()
    settings["auth"]["password"] = "a-wrong-one-0815"
    result = api._run(
        False, "openstack_allowed_address_pair", {"cloud": settings, "addresses": [ADDRESS], "nodes": [SERVER]}
    )
    assert "does not accept the credentials" in result["msg"]
    assert "a-wrong-one-0815" not in str(result)


def test_revoked_token(api: Cloud) -> None:
    """As an expired one: Keystone knows it no more."""
    settings = api.settings()
    import openstack

    connection = openstack.connect(**settings)
    token = connection.auth_token
    connection.session.delete(f"{api.instance.identity_url}/auth/tokens", headers={"X-Subject-Token": token})
    auth = {
        "auth_url": api.instance.identity_url,
        "token": token,
        "project_name": "admin",
        "project_domain_id": "default",
    }
    message = api.fails(
        cloud=None, auth_type="token", auth=auth, region_name="RegionOne", addresses=[ADDRESS], nodes=[SERVER]
    )
    assert "OpenStack does not accept the credentials" in message
    assert token not in message


def test_neutron_rejects_the_token(api: Cloud) -> None:
    auth = {"endpoint": api.instance.network_url, "token": "gAAAAABnot-a-token-4711"}
    message = api.fails(cloud=None, auth_type="admin_token", auth=auth, addresses=[ADDRESS], nodes=[SERVER])
    assert "does not accept the token" in message
    assert "4711" not in message


def test_no_endpoint_in_the_region(api: Cloud) -> None:
    message = api.fails(cloud={**api.settings(), "region_name": "RegionTwo"}, addresses=[ADDRESS], nodes=[SERVER])
    assert "RegionTwo" in message


def test_a_node_of_another_region(api: Cloud) -> None:
    message = api.fails(addresses=[ADDRESS], nodes=[f"openstack://RegionTwo/{SERVER}"])
    assert "is in region 'RegionTwo', but the credentials are for region 'RegionOne'" in message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"nodes": ["aws:///eu-central-1a/i-0abc"]}, "belongs to cloud 'aws', not to OpenStack"),
        ({"nodes": ["vsphere://4216a6b2"]}, "belongs to cloud 'vsphere'"),
        ({"nodes": [""]}, "a node has neither a server id nor a providerID"),
        (
            {"nodes": ["worker-1"]},
            "node 'worker-1' is not a server id, a port id or a providerID of the form openstack:///SERVER-ID",
        ),
        ({}, "address 198.51.100.50 has no nodes"),
        (
            {"addresses": [{"ip_address": "198.51.100.50"}], "nodes": [SERVER]},
            "mac_address of 198.51.100.50 is missing",
        ),
        ({"addresses": [{**ADDRESS, "mac_address": "02:e6"}], "nodes": [SERVER]}, "mac_address '02:e6'"),
        ({"addresses": [{**ADDRESS, "ip_address": "198.51.100.0/24"}], "nodes": [SERVER]}, "is a network"),
        ({"addresses": [{**ADDRESS, "ip_address": "db.example.com"}], "nodes": [SERVER]}, "is not an IP address"),
        ({"nodes": [SERVER]}, f"no port of {SERVER} is visible: check that the server or port exists"),
    ],
)
def test_bad_options(api: Cloud, options: dict[str, Any], said: str) -> None:
    assert said in api.fails(**{"addresses": [ADDRESS], **options})


def test_all_mistakes_are_told_at_once(api: Cloud) -> None:
    message = api.fails(addresses=[ADDRESS, {"ip_address": "x"}], nodes=["worker-1"])
    assert "worker-1" in message
    assert "'x'" in message


def test_no_subnet_holds_the_address(api: Cloud) -> None:
    port = api.server("office")
    message = api.fails(addresses=[ADDRESS], nodes=[port.device_id])
    assert f"no port of {port.device_id} is on a network with a subnet that contains 198.51.100.50" in message
    assert port.id in message
    assert port.fixed_ips[0]["ip_address"] in message
    assert "credentials for the project that owns the port" in message


def test_several_ports_on_the_segment(api: Cloud) -> None:
    one = api.server()
    two = api.server(device_id=one.device_id)
    message = api.fails(addresses=[ADDRESS], nodes=[one.device_id])
    assert "has 2 ports on the segment of 198.51.100.50" in message
    assert one.id in message
    assert two.id in message
    # One of them, by its id.
    assert api.run(addresses=[ADDRESS], nodes=[two.id])["changed"]


def test_a_bad_node_changes_no_good_one(api: Cloud) -> None:
    port = api.server()
    api.fails(addresses=[ADDRESS], nodes=[port.device_id, SERVER])
    assert api.pairs(port) == []


def test_a_port_of_another_project_is_invisible(api: Cloud) -> None:
    port = api.server()
    message = api.fails(cloud="tenant", addresses=[ADDRESS], nodes=[port.device_id])
    assert "check that the server or port exists, and that the credentials are for its project" in message


def test_not_the_networks_owner(api: Cloud) -> None:
    project = api.admin.identity.find_project("tenant").id
    port = api.server(project_id=project)
    message = api.fails(cloud="tenant", addresses=[ADDRESS], nodes=[port.device_id])
    assert "update_port:allowed_address_pairs" in message
    assert f"network egress belongs to project {api.network.project_id}" in message
    assert "of a project that owns both the port and its network" in message
    assert api.pairs(port) == []


def test_ten_foreign_pairs(api: Cloud) -> None:
    full, other = api.server(allowed_address_pairs=TEN), api.server()
    stored = api.pairs(full)
    result = api._run(
        False, "openstack_allowed_address_pair", {"addresses": [ADDRESS], "nodes": [full.device_id, other.device_id]}
    )
    assert full.id in result["msg"]
    assert "max_allowed_address_pair" in result["msg"]
    assert api.pairs(full) == stored
    # The others are done, and the result says which.
    assert api.pairs(other) == [ADDRESS]
    assert [bool(port["error"]) for port in result["ports"] if port["port_id"] == full.id] == [True]
    assert [port["changed"] for port in result["ports"] if port["port_id"] == other.id] == [True]


def test_ipv6(api: Cloud) -> None:
    port = api.server()
    given = {**ADDRESS6, "ip_address": "2001:DB8:0:50:0:0:0:50/128"}
    assert api.run(addresses=[given], nodes=[port.device_id])["changed"]
    assert api.pairs(port) == [ADDRESS6]
    assert not api.run(addresses=[ADDRESS6], nodes=[port.device_id])["changed"]


def test_the_port_is_deleted_between_read_and_write(api: Cloud, between: Proxy) -> None:
    port = api.server()

    def delete(method: str, _path: str) -> None:
        if method == "PUT":
            api.admin.network.delete_port(port.id)

    between.before = delete
    settings = {**api.settings(), "network_endpoint_override": between.url}
    message = api.fails(cloud=settings, addresses=[ADDRESS], nodes=[port.device_id])
    assert message.startswith(f"port {port.id} (")
    assert message.endswith("was deleted while it was being changed: run again")


def test_another_writer_at_the_same_moment(api: Cloud, between: Proxy) -> None:
    port = api.server()
    theirs = {"ip_address": "198.51.100.77", "mac_address": "FA:16:3E:00:00:77"}
    rivals = [theirs]

    def write(method: str, _path: str) -> None:
        if method == "PUT" and rivals:
            api.admin.network.update_port(port.id, allowed_address_pairs=[rivals.pop()])

    between.before = write
    settings = {**api.settings(), "network_endpoint_override": between.url}
    result = api.run(cloud=settings, addresses=[ADDRESS], nodes=[port.device_id])
    assert between.count("PUT") == 2
    assert theirs in api.pairs(port)
    assert ADDRESS in api.pairs(port)
    assert result["ports"][0]["before"] == [theirs]


def test_a_writer_who_never_stops(api: Cloud, between: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.egress.router.plugins.module_utils._openstack import pairs as _pairs

    for pause in ("JITTER", "PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(_pairs, pause, 0)
    port = api.server()

    def write(method: str, _path: str) -> None:
        if method == "PUT":
            api.admin.network.update_port(port.id, description=str(len(between.seen)))

    between.before = write
    settings = {**api.settings(), "network_endpoint_override": between.url}
    message = api.fails(cloud=settings, addresses=[ADDRESS], nodes=[port.device_id])
    assert "changed by others during each of 10 attempts" in message
    assert between.count("PUT") == 10


def test_port_security_goes_off_between_read_and_write(api: Cloud, between: Proxy) -> None:
    port = api.server()

    def switch_off(method: str, _path: str) -> None:
        if method == "PUT":
            api.admin.network.update_port(port.id, port_security_enabled=False, security_groups=[])

    between.before = switch_off
    settings = {**api.settings(), "network_endpoint_override": between.url}
    # The revision has changed, so the port is read again, and there is nothing to do any more.
    result = api.run(cloud=settings, addresses=[ADDRESS], nodes=[port.device_id])
    assert not result["changed"]
    assert result["ports"][0]["port_security"] is False


def test_a_cloud_dictionary_excludes_other_options(api: Cloud) -> None:
    message = api.fails(cloud=api.settings(), region_name="RegionOne", addresses=[ADDRESS], nodes=[SERVER])
    assert "region_name cannot be used when cloud is a dictionary" in message


def test_secrets_are_hidden_in_the_invocation(api: Cloud) -> None:
    for options in (
        {"cloud": api.settings()},
        {"cloud": None, "auth": api.settings()["auth"], "region_name": "RegionOne"},
    ):
        result = api._run(
            False,
            "openstack_allowed_address_pair",
            {"addresses": [ADDRESS], "nodes": [api.server().device_id], **options},
        )
        assert result["changed"]
        assert "admin" in str(result["invocation"])
        assert PASSWORD not in str(result)
