# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which port of a node an address needs."""

from __future__ import annotations

import pytest

from ansible_collections.egress.router.plugins.module_utils._common.errors import InputError
from ansible_collections.egress.router.plugins.module_utils._openstack.node import is_openstack, read_node
from ansible_collections.egress.router.plugins.module_utils._openstack.port import Port, Subnet, select_port

SERVER, OTHER, PORT = ("11111111-2222-4333-8444-00000000000" + digit for digit in "123")
SUBNETS = [
    Subnet("s4", "egress", "198.51.100.0/24"),
    Subnet("s6", "egress", "2001:db8::/64"),
    Subnet("office", "office", "203.0.113.0/24"),
    Subnet("more", "office", "10.0.0.0/8"),
]


def port(id_: str, network: str, *fixed: tuple[str, str], device: str = SERVER, **fields: object) -> Port:
    return Port(id_, network, device_id=device, fixed_ips=fixed, **fields)  # type: ignore[arg-type]


EGRESS = port("p-egress", "egress", ("s4", "198.51.100.7"))
EGRESS6 = port("p-egress6", "egress", ("s6", "2001:db8::7"))
OFFICE = port("p-office", "office", ("office", "203.0.113.7"))
BARE = port("p-bare", "egress")


@pytest.mark.parametrize(
    ("written", "server", "id_", "region"),
    [
        (SERVER, False, SERVER, ""),
        (SERVER.upper(), False, SERVER, ""),
        (f"openstack:///{SERVER}", True, SERVER, ""),
        (f"openstack://RegionTwo/{SERVER}", True, SERVER, "RegionTwo"),
    ],
)
def test_nodes(written: str, server: bool, id_: str, region: str) -> None:
    node = read_node(written)
    assert (node.server, node.id, node.region) == (server, id_, region)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "neither a server id nor a providerID"),
        ("worker-1", "is not a server id, a port id or a providerID of the form openstack:///SERVER-ID"),
        ("openstack:///worker-1", "is not a server id"),
        (f"openstack:///{SERVER}/x", "is not a server id"),
        ("aws:///eu-central-1a/i-0abc", "belongs to cloud 'aws', not to OpenStack"),
        ("vsphere://4216a6b2", "belongs to cloud 'vsphere'"),
        ("kind://docker/lab/lab-worker", "belongs to cloud 'kind'"),
    ],
)
def test_nodes_that_are_none(written: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        read_node(written)
    assert said in str(error.value)
    assert not is_openstack(written) or "worker-1" in written or "/x" in written


@pytest.mark.parametrize(
    ("ip", "ports", "chosen"),
    [
        ("198.51.100.50", [EGRESS, OFFICE], EGRESS),
        ("198.51.100.50", [OFFICE, EGRESS], EGRESS),
        ("2001:db8::50", [EGRESS6, OFFICE], EGRESS6),
        # A fixed IP of the very subnet wins over the network.
        ("198.51.100.50", [EGRESS6, EGRESS], EGRESS),
        ("2001:db8::50", [EGRESS, OFFICE], EGRESS),
        ("198.51.100.50", [BARE, OFFICE], BARE),
        ("10.1.2.3", [EGRESS, OFFICE], OFFICE),
        ("198.51.100.50", [EGRESS, port("p-else", "egress", ("s4", "198.51.100.8"), device=OTHER)], EGRESS),
    ],
)
def test_the_port_on_the_segment(ip: str, ports: list[Port], chosen: Port) -> None:
    assert select_port(ip, read_node(f"openstack:///{SERVER}"), ports, SUBNETS) == chosen


def test_a_port_that_is_named() -> None:
    ports = [port(PORT, "egress", ("s4", "198.51.100.7")), port("p2", "egress", ("s4", "198.51.100.8"))]
    assert select_port("198.51.100.50", read_node(PORT), ports, SUBNETS) == ports[0]
    # A providerID is never a port's id.
    with pytest.raises(InputError):
        select_port("198.51.100.50", read_node(f"openstack:///{PORT}"), ports, SUBNETS)


def test_a_named_port_without_a_subnet_is_taken() -> None:
    """Its network has no subnet: the egress segment is not Neutron's."""
    bare = port(PORT, "segment-without-subnet")
    assert select_port("198.51.100.50", read_node(PORT), [bare, OFFICE], SUBNETS) == bare
    # A server does not say which of its ports is meant, and a port with an address is on another segment.
    with pytest.raises(InputError):
        select_port("198.51.100.50", read_node(SERVER), [port("p", "segment-without-subnet")], SUBNETS)
    with pytest.raises(InputError):
        select_port("198.51.100.50", read_node(PORT), [port(PORT, "office", ("office", "203.0.113.7"))], SUBNETS)


def test_a_trunks_port() -> None:
    parent = port("p-parent", "office", ("office", "203.0.113.7"), subports=("p-sub",))
    sub = port("p-sub", "egress", ("s4", "198.51.100.7"), device="some-trunk")
    assert select_port("198.51.100.50", read_node(SERVER), [parent, sub], SUBNETS) == sub
    with pytest.raises(InputError):
        select_port("198.51.100.50", read_node(SERVER), [port("p", "office"), sub], SUBNETS)


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ([], f"no port of {SERVER} is visible: check that the server or port exists, and that the credentials are for its project"),
        ([port("p", "egress", device=OTHER)], f"no port of {SERVER} is visible"),
        ([OFFICE], "no port of 11111111-2222-4333-8444-000000000001 is on a network with a subnet that contains 198.51.100.50; the visible ports are "
                   "p-office (203.0.113.7): attach the server to the network of the address"),
        ([EGRESS, port("p2", "egress", ("s4", "198.51.100.8"), name="second")],
         "has 2 ports on the segment of 198.51.100.50: p-egress (198.51.100.7), p2 (second, 198.51.100.8); specify the id"),
        ([BARE, port("p3", "egress")], "has 2 ports on the segment"),
    ],
)  # fmt: skip
def test_none_or_several(ports: list[Port], said: str) -> None:
    with pytest.raises(InputError) as error:
        select_port("198.51.100.50", read_node(SERVER), ports, SUBNETS)
    assert said in str(error.value)


def test_a_subnet_that_is_invisible() -> None:
    with pytest.raises(InputError) as error:
        select_port("198.51.100.50", read_node(SERVER), [EGRESS], [])
    assert "on a network with a subnet that contains" in str(error.value)
