# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MAC addresses in the notations of users, Neutron and vSphere."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.egress.router.plugins.module_utils._common.mac import is_multicast, normal_mac, unquoted


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("02:E6:C6:33:64:32", "02:e6:c6:33:64:32"),
        ("02-e6-c6-33-64-32", "02:e6:c6:33:64:32"),
        ("02e6.c633.6432", "02:e6:c6:33:64:32"),
        ("02e6c6336432", "02:e6:c6:33:64:32"),
        ("02:e6:c6:33:64", None),
        ("02:e6:c6:33:64:3g", None),
        ("", None),
    ],
)
def test_mac_addresses(written: str, normal: str | None) -> None:
    assert normal_mac(written) == normal


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "41135085296",
            "YAML reads an unquoted MAC address as the number 41135085296: quote it as '52:54:00:12:34:56'",
        ),
        ("5", "YAML reads an unquoted MAC address as the number 5: quote it"),
        # Twelve digits are an address without colons.
        ("525400123456", ""),
        ("52:54:00:12:34", ""),
    ],
)
def test_what_yaml_made_of_an_address(text: str, said: str) -> None:
    assert unquoted(text) == said
    assert yaml.safe_load("52:54:00:12:34:56") == 41135085296


def test_multicast() -> None:
    assert is_multicast("01:00:5e:00:00:01")
    assert is_multicast("ff:ff:ff:ff:ff:ff")
    assert not is_multicast("02:e6:c6:33:64:32")
