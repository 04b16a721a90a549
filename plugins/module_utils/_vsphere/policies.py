# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The security policy of vSphere's port groups and switches: what is in force, where it comes from, and what to change.

Names of flags are those of VMware's documentation. True accepts, False rejects, None is not set at that place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .adapter import DISTRIBUTED, STANDARD
from .node import VsphereError

FLAGS = ("promiscuous_mode", "forged_transmits", "mac_changes")
LEARNING = "mac_learning"
INHERIT = "inherit"
# The first version of distributed switches with MAC learning.
LEARNS_SINCE = (6, 6)
_WORDS = {True: "accept", False: "reject", None: INHERIT}
_STATES = {True: "enabled", False: "disabled", None: INHERIT}


@dataclass(frozen=True)
class Flags:
    """A security policy, or what is asked of one (None: leave)."""

    promiscuous_mode: bool | None = None
    forged_transmits: bool | None = None
    mac_changes: bool | None = None
    mac_learning: bool | None = None

    def over(self, below: Flags) -> Flags:
        """These flags, and where they are not set those of `below`."""
        return Flags(**{name: getattr(below, name) if value is None else value for name, value in asdict(self).items()})

    def given(self) -> dict[str, bool]:
        """Those that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def words(self) -> dict[str, str]:
        """Those that are set, as users read and write them."""
        return {name: _word(name, value) for name, value in self.given().items()}


@dataclass(frozen=True)
class Place:
    """Where a security policy is: a port group, or a switch (`port_group` empty). Standard ones are on a `host`.

    `own`: what is set there. `above`: what holds where it sets nothing. `reported`: what vSphere says is in force.
    `whole`: its flags are inherited together or not at all. `lane`: id of the host's network or of the distributed
    switch, which is not to be written to twice at a time.
    `key`: of a distributed port group, `hosts`: ids of the hosts on which it is. `refused`: why it cannot be changed by us.
    """

    kind: str
    switch: str
    port_group: str = ""
    host: str = ""
    own: Flags = field(default_factory=Flags)
    above: Flags = field(default_factory=Flags)
    reported: Flags = field(default_factory=Flags)
    whole: bool = False
    version: str = ""
    lane: str = ""
    key: str = ""
    hosts: tuple[str, ...] = ()
    refused: str = ""
    raw: Any = field(default=None, compare=False, repr=False)

    @property
    def id(self) -> tuple[str, str, str, str]:
        # Names of distributed switches may be there once more in another datacenter.
        return (self.kind, self.lane, self.switch, self.port_group)

    @property
    def effective(self) -> Flags:
        """What is in force."""
        return self.reported.over(self.own).over(self.above)

    @property
    def learns(self) -> bool:
        """Whether MAC learning can be had."""
        return self.kind == DISTRIBUTED and _version(self.version) >= LEARNS_SINCE

    def __str__(self) -> str:
        if self.kind == STANDARD:
            return (
                f"port group '{self.port_group}' on host {self.host}"
                if self.port_group
                else f"switch '{self.switch}' on host {self.host}"
            )
        switch = f"distributed switch '{self.switch}'"
        return f"distributed port group '{self.port_group}' of {switch}" if self.port_group else switch

    def address(self) -> dict[str, str]:
        """What users name it by."""
        return {"kind": self.kind, "host": self.host, "switch": self.switch, "port_group": self.port_group}


def with_flags(place: Place, wanted: Flags) -> Flags:
    """What the place has to set for `wanted` to be in force: what it sets now, but for the flags that differ."""
    effective = asdict(place.effective)
    differing = {name: value for name, value in wanted.given().items() if effective[name] != value}
    if not differing:
        return place.own
    after = replace(place.own, **differing)
    # Where flags are inherited together, setting one means to set all: the others to what they are.
    return after.over(place.effective) if place.whole else after


def unmet(place: Place, wanted: Flags) -> list[str]:
    """The wanted flags that are not in force."""
    effective = asdict(place.effective)
    return [name for name, value in wanted.given().items() if effective[name] != value]


def restored(place: Place, previous: Mapping[str, bool | None]) -> Flags:
    """What the place has to set for the flags of `previous` to be as they were. None: inherited."""
    after = replace(place.own, **previous)
    if not place.whole or None not in previous.values():
        return after
    as_switch = all(value in (None, asdict(place.above)[name]) for name, value in asdict(after).items())
    return Flags() if as_switch else after.over(place.above)


def changed_flags(before: Flags, after: Flags) -> dict[str, str]:
    """What has to be kept of `before` to undo a change to `after`, in words."""
    then, now = asdict(before), asdict(after)
    return {name: _word(name, value) for name, value in then.items() if value != now[name]}


def missing(effective: Flags) -> list[str]:
    """What has to change for frames with a MAC address that is not the VM's to pass in both directions."""
    wanted = [name for name in FLAGS if asdict(effective)[name] is not True]
    return [name for name in wanted if name != "promiscuous_mode" or not effective.mac_learning]


def sources(place: Place) -> dict[str, str]:
    """Where each flag in force comes from: `port_group` or `switch`; empty where nothing is known."""
    own = "port_group" if place.port_group else "switch"
    effective = asdict(place.effective)
    return {
        name: own if value is not None else "switch" if effective[name] is not None else ""
        for name, value in asdict(place.own).items()
    }


def lines(place: Place, own: Flags) -> tuple[str, ...]:
    """The policy of a place that sets `own`, one flag a line."""
    # What vSphere reports holds for what is set now, so it cannot tell what will be.
    effective = place.effective if own == place.own else own.over(place.above)
    found = []
    for name, value in asdict(effective).items():
        if value is not None:
            inherited = asdict(own)[name] is None
            found.append(f"{name}: {_word(name, value)}{' (from the switch)' if inherited else ''}")
    return tuple(found)


def refusals(place: Place, wanted: Flags) -> list[str]:
    """Why `wanted` cannot be had at a place."""
    found = [f"{place} {place.refused}"] if place.refused else []
    if wanted.mac_learning and place.kind == STANDARD:
        found.append(
            f"{place} has no MAC learning, which only distributed switches have: use promiscuous_mode: accept instead of "
            "mac_learning"
        )
    elif wanted.mac_learning and not place.learns:
        found.append(
            f"{place} is of version {place.version or 'unknown'}, MAC learning came with 6.6.0: upgrade the switch, or use "
            "promiscuous_mode: accept instead of mac_learning"
        )
    return found


def read_flag(name: str, word: Any) -> bool | None:
    """A flag as `words` writes it."""
    text = str(word).lower() if isinstance(word, bool) else word
    for value, known in (_STATES if name == LEARNING else _WORDS).items():
        if text == known or (name == LEARNING and text == str(value).lower()):
            return value
    raise VsphereError(f"{name} '{word}' is not one of {', '.join((_STATES if name == LEARNING else _WORDS).values())}")


def needed_places(places: Iterable[Place]) -> set[tuple[str, str, str, str]]:
    """Ids of places that hold the flags of `places`: themselves and the switches above them."""
    places = list(places)
    return {place.id for place in places} | {(place.kind, place.lane, place.switch, "") for place in places}


def _word(name: str, value: bool | None) -> str:
    return (_STATES if name == LEARNING else _WORDS)[value]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
