"""The module's states on real servers: create, modify and delete, predicted and done, each twice."""

from __future__ import annotations

import uuid

import pytest
from cloud import ADDRESS, ADDRESS6, FOREIGN, Cloud

OTHER = {"ip_address": "198.51.100.51", "mac_address": "02:e6:c6:33:64:33"}


def provider_id(port: object) -> str:
    return f"openstack:///{port.device_id}"


def ordered(pairs: list[dict[str, str]]) -> list[tuple[str, str]]:
    """For comparisons that do not mind the order, but every byte."""
    return sorted((pair["ip_address"], pair["mac_address"]) for pair in pairs)


def test_the_life_of_a_pair(cloud: Cloud) -> None:
    port = cloud.server(allowed_address_pairs=FOREIGN)
    stored = cloud.pairs(port)
    nodes = [provider_id(port)]

    def change(wanted: dict[str, object], before: list[dict[str, str]], after: list[dict[str, str]]) -> None:
        """Predicted twice, done, done again, predicted again: only the third changes anything."""
        for check, changes in ((True, True), (True, True), (False, True), (False, False), (True, False)):
            assert ordered(cloud.pairs(port)) == ordered(before if changes else after)
            revision = cloud.revision(port)
            result = cloud.run(check=check, nodes=nodes, **wanted)
            assert result["changed"] is changes, result
            shown = [entry["before"] != entry["after"] for entry in result["diff"]]
            assert shown == ([True] if changes else [])
            if changes:
                assert ordered(result["ports"][0]["before"]) == ordered(before)
                assert ordered(result["ports"][0]["after"]) == ordered(after)
            if check or not changes:
                assert cloud.revision(port) == revision
        # Neutron puts a new pair where it likes; the others stay in their order.
        assert [pair for pair in cloud.pairs(port) if pair in stored] == stored

    # Create, modify (a second address), delete.
    change({"addresses": [ADDRESS]}, stored, [*stored, ADDRESS])
    change({"addresses": [ADDRESS, OTHER]}, [*stored, ADDRESS], [*stored, ADDRESS, OTHER])
    change({"addresses": [ADDRESS, OTHER], "state": "absent"}, [*stored, ADDRESS, OTHER], stored)


def test_foreign_pairs_stay_byte_for_byte(cloud: Cloud) -> None:
    port = cloud.server(allowed_address_pairs=FOREIGN)
    # Neutron has its own order, but keeps every spelling.
    stored = cloud.pairs(port)
    assert ordered(stored) == ordered(FOREIGN)
    cloud.run(addresses=[ADDRESS, ADDRESS6], nodes=[provider_id(port)])
    now = cloud.pairs(port)
    assert [pair for pair in now if pair in stored] == stored
    assert ordered([pair for pair in now if pair not in stored]) == ordered([ADDRESS, ADDRESS6])
    cloud.run(addresses=[ADDRESS, ADDRESS6], nodes=[provider_id(port)], state="absent")
    assert cloud.pairs(port) == stored


@pytest.mark.parametrize(
    ("stored", "address"),
    [
        ({"ip_address": "198.51.100.50/32", "mac_address": "02:E6:C6:33:64:32"}, ADDRESS),
        ({"ip_address": "198.51.100.50", "mac_address": "02-e6-c6-33-64-32"}, ADDRESS),
        ({"ip_address": "2001:DB8:0:50:0:0:0:50/128", "mac_address": "02:e6:c6:33:64:32"}, ADDRESS6),
    ],
)
def test_the_same_pair_in_another_spelling(cloud: Cloud, stored: dict[str, str], address: dict[str, str]) -> None:
    port = cloud.server(allowed_address_pairs=[stored])
    assert not cloud.run(addresses=[address], nodes=[provider_id(port)])["changed"]
    assert cloud.pairs(port) == [stored]
    assert cloud.run(addresses=[address], nodes=[provider_id(port)], state="absent")["changed"]
    assert cloud.pairs(port) == []


def test_removal_takes_exactly_the_pair(cloud: Cloud) -> None:
    near = [
        {"ip_address": ADDRESS["ip_address"], "mac_address": "02:e6:c6:33:64:99"},
        {"ip_address": "198.51.100.0/24", "mac_address": ADDRESS["mac_address"]},
        {"ip_address": "198.51.100.50/24", "mac_address": ADDRESS["mac_address"]},
    ]
    port = cloud.server(allowed_address_pairs=[*near, ADDRESS])
    cloud.run(addresses=[ADDRESS], nodes=[provider_id(port)], state="absent")
    assert ordered(cloud.pairs(port)) == ordered(near)


def test_nodes_by_server_port_and_provider_id(cloud: Cloud) -> None:
    ports = [cloud.server() for _number in range(4)]
    nodes = [
        ports[0].device_id,
        ports[1].id,
        f"openstack:///{ports[2].device_id}",
        f"openstack://RegionOne/{ports[3].device_id}",
    ]
    result = cloud.run(addresses=[ADDRESS], nodes=nodes)
    assert {port["port_id"] for port in result["ports"]} == {port.id for port in ports}
    assert [cloud.pairs(port) for port in ports] == [[ADDRESS]] * 4


def test_each_address_has_nodes_of_its_own(cloud: Cloud) -> None:
    one, two = cloud.server(), cloud.server()
    addresses = [{**ADDRESS, "nodes": [one.device_id]}, OTHER]
    assert cloud.run(addresses=addresses, nodes=[two.device_id])["changed"]
    assert (cloud.pairs(one), cloud.pairs(two)) == ([ADDRESS], [OTHER])


def test_the_port_is_the_one_on_the_segment(cloud: Cloud) -> None:
    server = str(uuid.uuid4())
    office = cloud.server("office", device_id=server)
    egress = cloud.server("egress", device_id=server)
    result = cloud.run(addresses=[ADDRESS], nodes=[server])
    assert [port["port_id"] for port in result["ports"]] == [egress.id]
    assert cloud.pairs(office) == []


def test_a_port_without_an_address_of_the_subnet_is_found_by_its_network(cloud: Cloud) -> None:
    port = cloud.server(fixed_ips=[])
    cloud.run(addresses=[ADDRESS], nodes=[port.device_id])
    assert cloud.pairs(port) == [ADDRESS]


def test_a_port_of_the_servers_trunk(cloud: Cloud) -> None:
    parent = cloud.server("office")
    sub = cloud.server("egress", device_id="", device_owner="")
    cloud.admin.network.create_trunk(
        port_id=parent.id, sub_ports=[{"port_id": sub.id, "segmentation_type": "vlan", "segmentation_id": 126}]
    )
    cloud.run(addresses=[ADDRESS], nodes=[provider_id(parent)])
    assert cloud.pairs(sub) == [ADDRESS]
    assert cloud.pairs(parent) == []
    cloud.run(addresses=[ADDRESS], nodes=[provider_id(parent)], state="absent")
    assert cloud.pairs(sub) == []


def test_port_security_off(cloud: Cloud) -> None:
    port = cloud.server(port_security_enabled=False, security_groups=[])
    result = cloud.run(addresses=[ADDRESS], nodes=[provider_id(port)])
    assert not result["changed"]
    assert result["ports"][0]["port_security"] is False
    assert not cloud.run(addresses=[ADDRESS], nodes=[provider_id(port)], state="absent")["changed"]


def test_a_server_that_is_gone_has_nothing_to_remove(cloud: Cloud) -> None:
    assert not cloud.run(addresses=[ADDRESS], nodes=[str(uuid.uuid4())], state="absent")["changed"]


def test_info(cloud: Cloud) -> None:
    port = cloud.server(allowed_address_pairs=[ADDRESS])
    result = cloud.run(
        module="openstack_allowed_address_pair_info", addresses=[ADDRESS, OTHER], nodes=[provider_id(port)]
    )
    assert result["changed"] is False
    assert len(result["ports"]) == 1
    assert result["ports"][0]["allowed_address_pairs"] == [ADDRESS]
    assert result["ports"][0]["missing"] == [OTHER]
    assert result["ports"][0]["server_id"] == port.device_id


def test_revisions_cannot_be_compared(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.egress.router.plugins.module_utils._openstack import pairs as _allowed_address

    monkeypatch.setattr(_allowed_address, "_EXTENSION", "revision-of-another-world")
    port = cloud.server()
    assert "allow_unguarded" in cloud.fails(addresses=[ADDRESS], nodes=[port.device_id])
    assert cloud.pairs(port) == []
    assert cloud.run(addresses=[ADDRESS], nodes=[port.device_id], allow_unguarded=True)["changed"]
    assert cloud.pairs(port) == [ADDRESS]
