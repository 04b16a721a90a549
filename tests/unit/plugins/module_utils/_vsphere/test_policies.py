# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in force, what has to change, and how it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.egress.router.plugins.module_utils._vsphere.flags import Flags, previous_flags, read_previous
from ansible_collections.egress.router.plugins.module_utils._vsphere.policies import (
    SecurityPolicy,
    lines,
    needed_ids,
    refusals,
    restored,
    sources,
    unmet,
    with_flags,
)

ALL = Flags(promiscuous_mode=True, forged_transmits=True, mac_changes=True)
NONE = Flags(promiscuous_mode=False, forged_transmits=False, mac_changes=False)
SWITCH = Flags(promiscuous_mode=False, forged_transmits=True, mac_changes=True)
STANDARD = SecurityPolicy("standard", "vSwitch1", "egress", "esxi-1", inherited=SWITCH, parent_id="networkSystem-1")
DV = SecurityPolicy(
    "distributed",
    "dvs",
    "egress",
    inherited=replace(SWITCH, mac_learning=False),
    inherits_as_whole=True,
    version="7.0.3",
)


@pytest.mark.parametrize(
    ("policy", "wanted", "after"),
    [
        # Only what differs is set, the rest goes on being inherited.
        (STANDARD, ALL, Flags(promiscuous_mode=True)),
        (STANDARD, SWITCH, Flags()),
        (STANDARD, Flags(forged_transmits=False), Flags(forged_transmits=False)),
        (replace(STANDARD, own=NONE), ALL, ALL),
        (replace(STANDARD, own=Flags(mac_changes=False)), Flags(promiscuous_mode=True), Flags(True, None, False)),
        # What vSphere reports counts, whatever the switch says.
        (replace(STANDARD, reported=ALL), ALL, Flags()),
        (replace(STANDARD, reported=NONE), SWITCH, Flags(None, True, True)),
        # Where flags are inherited together, setting one means to set all.
        (DV, Flags(promiscuous_mode=True), Flags(True, True, True, False)),
        (DV, Flags(mac_learning=True), Flags(False, True, True, True)),
        (DV, Flags(forged_transmits=True), Flags()),
        (replace(DV, own=Flags(True, False, True, False)), ALL, Flags(True, True, True, False)),
    ],
)
def test_only_what_differs_is_set(policy: SecurityPolicy, wanted: Flags, after: Flags) -> None:
    assert with_flags(policy, wanted) == after
    then = replace(policy, own=after, reported=Flags())
    if policy.reported == Flags():
        assert unmet(then, wanted) == []
        assert with_flags(then, wanted) == after


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (STANDARD, ALL),
        (replace(STANDARD, own=Flags(mac_changes=False)), ALL),
        (replace(STANDARD, own=NONE), ALL),
        (DV, ALL),
        (DV, Flags(mac_learning=True, forged_transmits=True)),
        (replace(DV, own=Flags(False, False, True, False)), ALL),
        # Its own values were those of the switch: they stay its own.
        (replace(DV, own=Flags(False, True, True, False)), ALL),
        (replace(DV, version="6.5.0", inherited=SWITCH), ALL),
        (replace(DV, inherits_as_whole=False, inherited=SWITCH), ALL),
    ],
)
def test_restoring_is_the_way_back(policy: SecurityPolicy, wanted: Flags) -> None:
    opened = replace(policy, own=with_flags(policy, wanted))
    assert opened.own != policy.own
    # Ansible turns booleans into words.
    entry = {name: str(value).lower() for name, value in previous_flags(policy.own, opened.own).items()}
    previous = read_previous(entry)
    assert restored(opened, previous) == policy.own
    assert restored(replace(opened, own=policy.own), previous) == policy.own


def test_restoring_keeps_what_others_set_since() -> None:
    previous = {"promiscuous_mode": None, "forged_transmits": None, "mac_changes": None, "mac_learning": None}
    # Somebody rejects MAC changes by now, so the port group cannot inherit as a whole again.
    now = replace(DV, own=Flags(True, True, False, False))
    assert restored(now, {"promiscuous_mode": None, "forged_transmits": None}) == Flags(False, True, False, False)
    assert restored(now, previous) == Flags()


def test_where_a_flag_comes_from() -> None:
    policy = replace(STANDARD, own=Flags(mac_changes=True))
    assert sources(policy) == {
        "promiscuous_mode": "switch",
        "forged_transmits": "switch",
        "mac_changes": "portgroup",
        "mac_learning": "",
    }
    assert sources(SecurityPolicy("standard", "vSwitch1", "", "esxi-1", own=NONE))["mac_changes"] == "switch"


def test_lines_tell_what_is_inherited() -> None:
    assert lines(DV, DV.own)[0] == "promiscuous_mode: false (inherited from the switch)"
    assert lines(DV, Flags(True, True, True, True)) == (
        "promiscuous_mode: true",
        "forged_transmits: true",
        "mac_changes: true",
        "mac_learning: true",
    )


@pytest.mark.parametrize(
    ("policy", "wanted", "said"),
    [
        (STANDARD, Flags(mac_learning=True), "port group 'egress' on host esxi-1 has no MAC learning, which only"),
        (
            replace(DV, version="6.5.0"),
            Flags(mac_learning=True),
            "is of version 6.5.0, but MAC learning requires 6.6.0",
        ),
        (replace(DV, version=""), Flags(mac_learning=True), "is of version unknown"),
        (
            replace(DV, refused="belongs to NSX"),
            ALL,
            "distributed port group 'egress' of distributed switch 'dvs' belongs",
        ),
    ],
)
def test_what_cannot_be_had(policy: SecurityPolicy, wanted: Flags, said: str) -> None:
    assert said in "".join(refusals(policy, wanted))


def test_what_can_be_had() -> None:
    for version in ("6.6.0", "7.0.0", "8.0.3", "10.0.0"):
        assert refusals(replace(DV, version=version), Flags(mac_learning=True)) == []
    assert refusals(STANDARD, replace(ALL, mac_learning=False)) == []


def test_a_needed_port_group_needs_its_switch() -> None:
    needed = needed_ids([STANDARD])
    assert STANDARD.id in needed
    assert replace(STANDARD, portgroup="").id in needed
    assert replace(STANDARD, parent_id="networkSystem-2").id not in needed
