# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which request of a router has which of its addresses."""

from __future__ import annotations

from ipaddress import ip_address

from ansible_collections.egress.router.plugins.module_utils._pools.matching import matched

LOW, HIGH = ip_address("198.51.100.64"), ip_address("198.51.100.65")


def test_a_request_whose_address_is_gone_has_that_of_the_next_number_and_not_the_lowest_address() -> None:
    assert matched({1: None}, {LOW: 3, HIGH: 2}) == {1: HIGH}
    assert matched({1: None, 2: None}, {LOW: 3, HIGH: 2}) == {1: LOW, 2: HIGH}


def test_a_request_has_the_address_that_it_names() -> None:
    assert matched({1: None, 2: LOW}, {LOW: 1, HIGH: 2}) == {1: HIGH, 2: LOW}
