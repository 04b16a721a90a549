# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs: which are the same, and what a port's list becomes."""

from __future__ import annotations

import pytest

from ansible_collections.egress.router.plugins.module_utils._common.errors import InputError
from ansible_collections.egress.router.plugins.module_utils._openstack.pair import (
    Pair,
    normal_ip,
    normal_pair,
    read_pair,
    with_pairs,
    without_pairs,
)

OURS = Pair("198.51.100.50", "02:e6:c6:33:64:32")
FOREIGN = [
    {"ip_address": "198.51.100.7/32", "mac_address": "FA:16:3E:00:00:07"},
    {"mac_address": "fa-16-3e-00-00-05", "ip_address": "198.51.100.5"},
    {"ip_address": "2001:DB8:0:0::9", "mac_address": "fa:16:3e:00:00:09"},
    {"ip_address": "not understood", "mac_address": "fa:16:3e:00:00:0a", "since": "a later version"},
]


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("198.51.100.50", "198.51.100.50"),
        ("198.51.100.50/32", "198.51.100.50"),
        ("198.51.100.50/24", "198.51.100.50/24"),
        ("198.51.100.0/24", "198.51.100.0/24"),
        ("2001:DB8:0:0:0:0:0:50", "2001:db8::50"),
        ("2001:db8::50/128", "2001:db8::50"),
        ("2001:0db8::/64", "2001:db8::/64"),
    ],
)
def test_addresses(written: str, normal: str) -> None:
    assert normal_ip(written) == normal


def test_a_pair_is_read() -> None:
    assert read_pair(" 198.51.100.50/32 ", "02-E6-C6-33-64-32") == OURS
    assert str(OURS) == "198.51.100.50 02:e6:c6:33:64:32"


@pytest.mark.parametrize(
    ("ip", "mac", "said"),
    [
        ("", "02:e6:c6:33:64:32", "ip_address '' is not an IP address"),
        ("db.example.com", "02:e6:c6:33:64:32", "is not an IP address: use the form"),
        ("198.51.100.50/24", "02:e6:c6:33:64:32", "is a network: specify the egress address without a prefix length"),
        ("0.0.0.0", "02:e6:c6:33:64:32", "is not the address of a host: specify the egress address of the router"),
        ("0.0.0.0/0", "02:e6:c6:33:64:32", "is a network: specify the egress address"),
        ("::", "02:e6:c6:33:64:32", "is not the address of a host"),
        ("224.0.0.18", "02:e6:c6:33:64:32", "is not the address of a host"),
        ("198.51.100.50", None, "mac_address of 198.51.100.50 is missing: specify the router's own MAC address"),
        (
            "198.51.100.50",
            "41135085296",
            "mac_address of 198.51.100.50: YAML reads an unquoted MAC address as the number",
        ),
        ("198.51.100.50", "02:e6", "mac_address '02:e6' of 198.51.100.50 is not a MAC address"),
        ("198.51.100.50", "01:00:5e:00:00:01", "is a multicast address"),
    ],
)
def test_a_pair_that_cannot_be(ip: str, mac: str | None, said: str) -> None:
    with pytest.raises(InputError) as error:
        read_pair(ip, mac)
    assert said in str(error.value)


def test_what_is_not_understood_is_no_pair() -> None:
    assert normal_pair({"ip_address": "x", "mac_address": "02:e6:c6:33:64:32"}) is None
    assert normal_pair({"ip_address": "198.51.100.50"}) is None


def test_foreign_pairs_stay_as_they_are() -> None:
    after = with_pairs(FOREIGN, [OURS, OURS])
    assert repr(after) == repr([*FOREIGN, OURS.raw])
    assert repr(without_pairs(after, [OURS])) == repr(FOREIGN)


@pytest.mark.parametrize(
    "there",
    [
        {"ip_address": "198.51.100.50", "mac_address": "02:E6:C6:33:64:32"},
        {"ip_address": "198.51.100.50/32", "mac_address": "02-e6-c6-33-64-32"},
    ],
)
def test_another_spelling_is_the_same_pair(there: dict[str, str]) -> None:
    assert with_pairs([there], [OURS]) == [there]
    assert without_pairs([there, there], [OURS]) == []


@pytest.mark.parametrize(
    "near",
    [
        {"ip_address": "198.51.100.50/24", "mac_address": "02:e6:c6:33:64:32"},
        {"ip_address": "198.51.100.50", "mac_address": "02:e6:c6:33:64:33"},
        {"ip_address": "0.0.0.0/0", "mac_address": "02:e6:c6:33:64:32"},
    ],
)
def test_a_pair_that_is_near_is_another(near: dict[str, str]) -> None:
    assert with_pairs([near], [OURS]) == [near, OURS.raw]
    assert without_pairs([near], [OURS]) == [near]
