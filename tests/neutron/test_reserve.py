"""A port of our own that keeps the address from everybody else."""

from __future__ import annotations

import pytest
from cloud import Cloud
from openstack import exceptions


def address(number: int) -> dict[str, str]:
    return {"ip_address": f"198.51.100.{number}", "mac_address": f"02:e6:c6:33:64:{number:02x}"}


def holders(cloud: Cloud, number: int) -> list[object]:
    return list(cloud.admin.network.ports(fixed_ips=f"ip_address=198.51.100.{number}"))


def test_the_life_of_a_reservation(cloud: Cloud) -> None:
    port, wanted = cloud.server(), address(210)
    options = {"addresses": [wanted], "nodes": [port.device_id], "reserve": True}
    predicted = cloud.run(check=True, **options)
    assert predicted["changed"]
    assert holders(cloud, 210) == []
    made = cloud.run(**options)
    assert made["reservations"][0]["changed"]
    (held,) = holders(cloud, 210)
    assert made["reservations"][0]["port_id"] == held.id
    assert (held.mac_address, held.binding_host_id, held.device_id) == (wanted["mac_address"], "", "")
    with pytest.raises(exceptions.ConflictException):
        cloud.server(address="198.51.100.210")
    again = cloud.run(**options)
    assert not again["changed"]
    assert again["reservations"][0]["port_id"] == held.id
    # Another router, or the same without reserve, leaves it alone.
    cloud.run(addresses=[address(211)], nodes=[port.device_id], reserve=True, state="absent")
    cloud.run(addresses=[wanted], nodes=[port.device_id], state="absent")
    assert len(holders(cloud, 210)) == 1
    assert cloud.run(check=True, state="absent", **options)["changed"]
    assert len(holders(cloud, 210)) == 1
    assert cloud.run(state="absent", **options)["changed"]
    assert holders(cloud, 210) == []
    assert not cloud.run(state="absent", **options)["changed"]


def test_a_new_mac_address(cloud: Cloud) -> None:
    port, before = cloud.server(), address(212)
    after = {**before, "mac_address": "02:e6:c6:33:64:ff"}
    cloud.run(addresses=[before], nodes=[port.device_id], reserve=True)
    assert cloud.run(addresses=[after], nodes=[port.device_id], reserve=True)["reservations"][0]["changed"]
    (held,) = holders(cloud, 212)
    assert held.mac_address == after["mac_address"]
    cloud.run(addresses=[after], nodes=[port.device_id], reserve=True, state="absent")


def test_a_taken_address_is_refused_with_its_holder(cloud: Cloud) -> None:
    port = cloud.server()
    holder = cloud.server(address="198.51.100.213", name="database-1")
    message = cloud.fails(addresses=[address(213)], nodes=[port.device_id], reserve=True)
    assert message.startswith(f"198.51.100.213 is already in use by port {holder.id} (database-1, 198.51.100.213)")
    assert f"of compute:nova {holder.device_id}" in message
    assert cloud.pairs(port) == []


def test_a_taken_address_whose_holder_is_invisible(api: Cloud) -> None:
    project = api.admin.identity.find_project("owner").id
    port = api.server(project_id=project)
    # Network owners see all ports of their network; this holder is seen, a tenant of the network would not see it.
    api.server(address="198.51.100.214")
    message = api.fails(cloud="owner", addresses=[address(214)], nodes=[port.device_id], reserve=True)
    assert "198.51.100.214" in message


def test_several_addresses_of_both_families_have_one_mac_address(cloud: Cloud) -> None:
    """Neutron takes a MAC address once on a network: the first address is reserved with it, the others with Neutron's own."""
    port, mac = cloud.server(), "02:e6:c6:33:64:d7"
    ips = ["198.51.100.215", "198.51.100.216", "2001:db8:0:50::d7", "2001:db8:0:50::d8"]
    addresses = [{"ip_address": ip, "mac_address": mac} for ip in ips]
    options = {"addresses": addresses, "nodes": [port.device_id], "reserve": True}

    def held() -> dict[str, str]:
        found = {ip: list(cloud.admin.network.ports(fixed_ips=f"ip_address={ip}")) for ip in ips}
        return {ip: one.mac_address for ip, ports in found.items() for one in ports}

    assert cloud.run(check=True, **options)["changed"] and held() == {}
    assert cloud.run(**options)["changed"]
    macs = held()
    assert list(macs) == ips and macs[ips[0]] == mac and len(set(macs.values())) == len(ips)
    assert [(one["ip_address"], one["mac_address"]) for one in cloud.pairs(port)] == [(ip, mac) for ip in ips]
    assert not cloud.run(check=True, **options)["changed"] and not cloud.run(**options)["changed"]
    # The order of the list decides nothing about what is there.
    assert not cloud.run(**{**options, "addresses": addresses[::-1]})["changed"] and held() == macs
    # Without the first one a new one takes its MAC address, and all others stay.
    cloud.run(state="absent", **{**options, "addresses": addresses[:1]})
    ips.append("198.51.100.217")
    others = {**options, "addresses": [{"ip_address": ip, "mac_address": mac} for ip in ips[1:]]}
    assert cloud.run(**others)["changed"] and held() == {**{ip: macs[ip] for ip in ips[1:4]}, ips[4]: mac}
    assert not cloud.run(**others)["changed"]
    # Nobody new: one of the others is made anew with it.
    cloud.run(state="absent", **{**options, "addresses": others["addresses"][-1:]})
    left = {**options, "addresses": addresses[1:]}
    assert cloud.run(**left)["changed"] and list(held().values()).count(mac) == 1 and len(held()) == 3
    assert not cloud.run(**left)["changed"]
    assert cloud.run(check=True, state="absent", **left)["changed"] and len(held()) == 3
    assert cloud.run(state="absent", **left)["changed"] and held() == {} and cloud.pairs(port) == []
    assert not cloud.run(state="absent", **left)["changed"]
