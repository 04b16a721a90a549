# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools: what of their ranges can be allocated, and every way to write one wrongly."""

from __future__ import annotations

import ipaddress
from itertools import islice
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._pools.pool import Pool, read_pools

PARTNERS = {
    "name": "partners",
    "ranges": ["198.51.100.64-198.51.100.66", "198.51.100.100/30"],
    "prefix_length": 24,
    "gateway": "198.51.100.1",
}


def pool(**changes: Any) -> Pool:
    pools, problems = read_pools([{**PARTNERS, **changes}])
    assert problems == []
    return pools["partners"]


def sentences(*pools: Any) -> list[str]:
    return [str(problem) for problem in read_pools(list(pools))[1]]


def addresses(found: Pool) -> list[int]:
    """The last bytes."""
    return [int(str(ip).rpartition(".")[2]) for ip in found]


def test_all_of_the_ranges_the_lowest_first() -> None:
    found = pool(ranges=["198.51.100.100/30", "198.51.100.64-198.51.100.66", "198.51.100.90"])
    assert addresses(found) == [64, 65, 66, 90, 100, 101, 102, 103]
    assert (found.size, str(found.subnet), found.cidr(next(iter(found)))) == (8, "198.51.100.0/24", "198.51.100.64/24")


def test_neither_excluded_addresses_nor_those_of_the_subnet() -> None:
    found = pool(
        ranges=["198.51.100.0-198.51.100.3", "198.51.100.8-198.51.100.12", "198.51.100.254-198.51.100.255"],
        gateway="198.51.100.6",
        exclude=["198.51.100.9-198.51.100.10", "198.51.100.2", "198.51.100.10-198.51.100.11"],
    )
    assert addresses(found) == [1, 3, 8, 12, 254]
    for host, held in ((0, False), (1, True), (2, False), (10, False), (12, True), (13, False), (255, False)):
        assert (ipaddress.ip_address(f"198.51.100.{host}") in found) is held, host


def test_a_point_to_point_link_has_no_network_address() -> None:
    assert addresses(pool(ranges=["198.51.100.64/31"], prefix_length=31, gateway=None)) == [64, 65]


def test_ipv6_with_a_link_local_gateway() -> None:
    found = pool(ranges=["2001:db8::/64"], prefix_length=64, gateway="fe80::1", exclude=["2001:db8::1"])
    assert found.size == 2**64 - 2
    assert [str(ip) for ip in islice(found, 2)] == ["2001:db8::2", "2001:db8::3"]
    assert found.gateway == "fe80::1" and str(found.subnet) == "2001:db8::/64"


def test_no_pools() -> None:
    assert read_pools(None) == ({}, []) == read_pools([])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ranges": ["198.51.101.64-198.51.101.95"]}, "ranges[0]: '198.51.101.64-198.51.101.95' is not in the subnet 198.51.100.0/24"),
        ({"ranges": ["198.51.100.250-198.51.101.3"]}, "is not in the subnet 198.51.100.0/24, that of gateway 198.51.100.1"),
        (
            {"ranges": ["198.51.100.64", "198.51.101.9"], "gateway": None},
            "ranges[1]: '198.51.101.9' is not in the subnet 198.51.100.0/24, that of the first range",
        ),
        ({"ranges": ["198.51.100.95-198.51.100.64"]}, "is reversed: write 198.51.100.64-198.51.100.95"),
        ({"ranges": ["198.51.100.1-198.51.100.9"]}, "contains the gateway 198.51.100.1: end the range before it"),
        ({"ranges": ["198.51.100.101/30"]}, "does not begin at the first address of its block: write 198.51.100.100/30"),
        ({"ranges": ["198.51.100.64-70"]}, "'198.51.100.64-70' is not a range: write FIRST-LAST"),
        ({"ranges": ["partners"]}, "'partners' is not a range"),
        ({"ranges": [64]}, "ranges[0]: expected a string, got the number 64"),
        ({"ranges": "198.51.100.64"}, "ranges: expected a list"),
        ({"ranges": []}, "ranges: has no range"),
        ({"ranges": None}, "ranges: is required"),
        ({"ranges": ["198.51.100.64-2001:db8::1"]}, "begins with an IPv4 and ends with an IPv6 address"),
        ({"ranges": ["198.51.100.64", "2001:db8::1"]}, "is IPv6 and the pool IPv4: make a pool for each"),
        ({"ranges": ["198.51.100.64-198.51.100.70", "198.51.100.70"]}, "overlaps 198.51.100.64-198.51.100.70 of the same pool"),
        ({"ranges": ["224.0.0.1"], "gateway": None}, "multicast"),
        ({"ranges": ["198.51.100.64"], "exclude": ["198.51.100.64"]}, "no address of pool partners (198.51.100.64) is left"),
        ({"ranges": ["198.51.100.0"], "gateway": None}, "no address of pool"),
        ({"gateway": "198.51.100.1/24"}, "gateway: '198.51.100.1/24' is not an IP address"),
        ({"gateway": "198.51.100.255"}, "gateway: '198.51.100.255' is the broadcast address of the network 198.51.100.0/24"),
        ({"gateway": "2001:db8::1"}, "gateway: '2001:db8::1' is IPv6 and the ranges are IPv4"),
        ({"prefix_length": 64}, "prefix_length: '64' is not a prefix length of IPv4"),
        ({"prefix_length": 0}, "prefix_length: '0' is not a whole number from 1 to 128"),
        ({"prefix_length": None}, "prefix_length: is required"),
        ({"exclude": ["198.51.100.70-198.51.100.66"]}, "exclude[0]: '198.51.100.70-198.51.100.66' is reversed"),
        ({"quarantine_seconds": -1}, "quarantine_seconds: '-1' is not a whole number"),
        ({"name": "Partners"}, "name: 'Partners' must be"),
        ({"name": None}, "name: is required"),
        ({"range": []}, "range: is not a valid key: did you mean ranges?"),
    ],
)  # fmt: skip
def test_what_a_pool_cannot_be(changes: dict[str, Any], said: str) -> None:
    (sentence,) = sentences({**PARTNERS, **changes})
    assert sentence.startswith("egress_router_pools[0].") and said in sentence, sentence


def test_pools_that_overlap() -> None:
    other = {**PARTNERS, "name": "others", "ranges": ["198.51.100.50", "198.51.100.103-198.51.100.110"]}
    (sentence,) = sentences(PARTNERS, other)
    assert sentence == (
        "egress_router_pools[1].ranges: 198.51.100.103-198.51.100.110 of pool others overlaps 198.51.100.100-198.51.100.103 of pool "
        "partners: an address is in one pool"
    )
    assert sentences(PARTNERS, {**other, "ranges": ["198.51.100.104/29"]}) == []


def test_a_name_twice() -> None:
    (sentence,) = sentences(PARTNERS, {**PARTNERS, "ranges": ["198.51.100.9"]})
    assert "'partners' is also the name of another pool" in sentence


def test_all_problems_at_once() -> None:
    assert len(sentences({**PARTNERS, "ranges": ["x", "y"], "gateway": "z"}, 5, {"name": "a"})) == 6


@pytest.mark.parametrize("data", ["partners", 5, {"name": "partners"}])
def test_no_list(data: Any) -> None:
    (problem,) = read_pools(data)[1]
    assert str(problem).startswith("egress_router_pools: expected a list of pools")
