# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The flags of a security policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FLAGS = ("promiscuous_mode", "forged_transmits", "mac_changes")
LEARNING = "mac_learning"
INHERIT = "inherit"
_PREVIOUS = {"true": True, "false": False, INHERIT: None}
# A flag in the option `previous`. Ansible turns booleans into these words.
PREVIOUS_SPEC: dict[str, Any] = {"type": "str", "choices": list(_PREVIOUS)}


@dataclass(frozen=True)
class Flags:
    """The flags of a security policy; None: not set, or in a request not to be changed."""

    promiscuous_mode: bool | None = None
    forged_transmits: bool | None = None
    mac_changes: bool | None = None
    mac_learning: bool | None = None

    def over(self, below: Flags) -> Flags:
        """These flags, and those of `below` where they are not set."""
        return Flags(**{name: getattr(below, name) if value is None else value for name, value in asdict(self).items()})

    def given(self) -> dict[str, bool]:
        """The flags that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def previous_flags(before: Flags, after: Flags) -> dict[str, bool | str]:
    """What the option `previous` takes to undo a change from `before` to `after`."""
    now = asdict(after)
    changed = {name: value for name, value in asdict(before).items() if value != now[name]}
    return {name: INHERIT if value is None else value for name, value in changed.items()}


def read_previous(entry: Mapping[str, Any]) -> dict[str, bool | None]:
    """The flags of an entry of the option `previous`; None: inherited."""
    return {name: _PREVIOUS[entry[name]] for name in (*FLAGS, LEARNING) if entry.get(name) is not None}


def missing(effective: Flags) -> list[str]:
    """What has to change so that frames with a MAC address other than the VM's pass in both directions."""
    found = [name for name in FLAGS if asdict(effective)[name] is not True]
    return [name for name in found if name != "promiscuous_mode" or not effective.mac_learning]
