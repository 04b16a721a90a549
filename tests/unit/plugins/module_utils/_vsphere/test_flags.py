# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is missing for egress routers, and what is kept to undo a change."""

from __future__ import annotations

import pytest

from ansible_collections.egress.router.plugins.module_utils._vsphere.flags import (
    FLAGS,
    LEARNING,
    PREVIOUS_SPEC,
    Flags,
    missing,
    previous_flags,
    read_previous,
)

ALL = Flags(promiscuous_mode=True, forged_transmits=True, mac_changes=True)
NONE = Flags(promiscuous_mode=False, forged_transmits=False, mac_changes=False)


def test_what_is_kept_to_undo() -> None:
    assert previous_flags(Flags(mac_changes=False), Flags(True, None, False)) == {"promiscuous_mode": "inherit"}
    assert previous_flags(NONE, ALL)["forged_transmits"] is False
    assert previous_flags(Flags(), Flags(True, True, True, False))["mac_learning"] == "inherit"
    assert previous_flags(ALL, ALL) == {}


@pytest.mark.parametrize(
    ("flags", "lacking"),
    [
        (ALL, []),
        (NONE, ["promiscuous_mode", "forged_transmits", "mac_changes"]),
        (Flags(), ["promiscuous_mode", "forged_transmits", "mac_changes"]),
        (Flags(False, True, True, True), []),
        (Flags(False, False, True, True), ["forged_transmits"]),
    ],
)
def test_what_is_missing(flags: Flags, lacking: list[str]) -> None:
    assert missing(flags) == lacking


def test_words() -> None:
    values = {"true": True, "false": False, "inherit": None}
    assert PREVIOUS_SPEC["choices"] == list(values)
    for name in (*FLAGS, LEARNING):
        assert [read_previous({name: word}) for word in values] == [{name: value} for value in values.values()]
    assert read_previous({"mac_changes": None, "switch": "vSwitch1"}) == {}
