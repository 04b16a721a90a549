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
