# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Sets the security policy where nodes are connected, and nothing else there; or puts an earlier one back.

Everything is read first (_vsphere_survey.py), then everything is planned, and only then written. Distributed switches
and port groups compare versions, so a write that meets somebody else's is made again on what is there then. Standard ones
have nothing to compare: each is read again right before it is written, and read back until it has what was asked for.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from .._common.concurrent import each
from .._common.errors import Conflict, EgressError, InputError
from .._common.plan import Plan
from .adapter import STANDARD
from .node import VsphereError
from .policies import (
    FLAGS,
    LEARNING,
    Flags,
    Place,
    changed_flags,
    lines,
    missing,
    needed_places,
    read_flag,
    refusals,
    restored,
    sources,
    unmet,
    with_flags,
)
from .survey import TARGET_SPEC, Chain, Request, Survey, Target, survey
from .vcenter import Vcenter

# How often a write is tried when somebody else changes the same thing, or it does not take effect.
ATTEMPTS = 10
# Upper bound of the pause before the next attempt, in seconds, for each attempt so far.
JITTER = 0.2

_WORD_SPEC = {"type": "str", "choices": ["accept", "reject"]}
SPEC: dict[str, Any] = {
    **dict.fromkeys(FLAGS, _WORD_SPEC),
    LEARNING: {"type": "bool"},
    "state": {"type": "str", "choices": ["present", "restored"], "default": "present"},
    "previous": {
        "type": "list",
        "elements": "dict",
        "options": {
            **TARGET_SPEC,
            "kind": {"type": "str"},
            **{name: {"type": "str", "choices": ["accept", "reject", "inherit"]} for name in FLAGS},
            LEARNING: {"type": "str", "choices": ["enabled", "disabled", "inherit"]},
        },
    },
}


@dataclass
class Outcome:
    """What became of one place, or is to become of it. `after`: what it sets then. `wanted`: computes that."""

    place: Place
    nodes: list[str]
    wanted: Callable[[Place], Flags]
    lacking: Callable[[Place], list[str]]
    after: Flags = field(default_factory=Flags)
    error: str = ""

    @property
    def changed(self) -> bool:
        return self.place.own != self.after

    @property
    def plan(self) -> Plan:
        return Plan(str(self.place), lines(self.place, self.place.own), lines(self.place, self.after))

    @property
    def previous(self) -> dict[str, str]:
        """What to hand to state restored later."""
        return {**self.place.address(), **changed_flags(self.place.own, self.after)}

    def as_dict(self) -> dict[str, Any]:
        """For the module's result."""
        after = replace(self.place, own=self.after, reported=Flags() if self.changed else self.place.reported)
        return {
            **self.place.address(),
            "nodes": self.nodes,
            "before": self.place.effective.words(),
            "after": after.effective.words(),
            "changed": self.changed,
            "error": self.error,
        }


def read_flags(params: Mapping[str, Any]) -> Flags:
    """The flags that are asked for."""
    words = {name: None if params[name] is None else params[name] == "accept" for name in FLAGS}
    flags = Flags(**words, mac_learning=params[LEARNING])
    if params["state"] == "present" and not flags.given():
        raise InputError(
            f"nothing is asked for: give at least one of {', '.join(FLAGS)} (accept or reject) and {LEARNING}"
        )
    return flags


def plan(
    vcenter: Vcenter, requests: list[Request], targets: list[Target], flags: Flags, params: Mapping[str, Any]
) -> tuple[Survey, list[Outcome]]:
    """What is there and what is to become of it, as the module's options say."""
    options = {name: params[name] for name in ("scope", "allow_disconnected")}
    if params["state"] == "restored":
        return plan_restored(vcenter, requests, params["previous"], options)
    found = survey(vcenter, requests, targets, **options)
    return found, plan_present(found, flags)


def plan_present(found: Survey, flags: Flags) -> list[Outcome]:
    """The flags at every place of the survey; InputError where they cannot be had."""
    found.problems += [problem for place in found.places for problem in refusals(place, flags)]
    found.refuse()
    return [
        Outcome(place, found.nodes_of(place), lambda one: with_flags(one, flags), lambda one: unmet(one, flags))
        for place in found.places
    ]


def plan_restored(
    vcenter: Vcenter, requests: list[Request], previous: list[Mapping[str, Any]], options: Mapping[str, Any]
) -> tuple[Survey, list[Outcome]]:
    """The flags of `previous`, but where the NICs of `requests` need theirs."""
    values = [(_target(entry), _values(entry)) for entry in previous]
    found = survey(vcenter, requests, [target for target, _flags in values], **options)
    gone = [problem for problem in found.problems if "was not found" in problem]
    # What is not there any more needs nothing.
    found.warnings += [f"{problem} (nothing to put back)" for problem in gone]
    found.problems = [problem for problem in found.problems if problem not in gone]
    found.problems += [problem for place in found.targeted for problem in refusals(place, Flags())]
    found.refuse()
    needed = needed_places(place for chain in found.chains for place in chain.places)
    outcomes = []
    for place in found.targeted:
        flags = next(flags for target, flags in values if target.means(place))
        if place.id in needed:
            found.warnings.append(f"{place} keeps its policy: other nodes need it")
        else:
            outcomes.append(Outcome(place, [], _restorer(flags), lambda one: []))
    return found, outcomes


def write(vcenter: Vcenter, outcomes: list[Outcome], check: bool) -> None:
    """Makes the places what they are wanted to be. `check`: only tells what would be."""
    for outcome in outcomes:
        outcome.after = outcome.wanted(outcome.place)
    lanes: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.changed:
            lanes.setdefault(outcome.place.lane, []).append(outcome)
    if not check:
        # A host's network is configured by one at a time.
        each(lambda lane: [_settle(vcenter, outcome) for outcome in lane], lanes.values())


def failure(outcomes: Iterable[Outcome]) -> str:
    """The failures, one a line, and then what was changed all the same; empty if there is none."""
    outcomes = list(outcomes)
    errors = [outcome.error for outcome in outcomes if outcome.error]
    if not errors:
        return ""
    changed = [str(outcome.place) for outcome in outcomes if outcome.changed]
    unchanged = [str(outcome.place) for outcome in outcomes if outcome.error and not outcome.changed]
    return "\n".join(
        [
            *errors,
            f"changed: {', '.join(changed) or 'nothing'}",
            f"not changed: {', '.join(unchanged) or 'nothing'}",
        ]
    )


def write_errors(vcenter: Vcenter, places: Iterable[Place]) -> dict[tuple[str, str, str, str], str]:
    """Why what is missing at places cannot be changed, by their ids."""
    closed = [place for place in places if missing(place.effective)]
    found = vcenter.lacking(place for place in closed if not place.refused)
    return found | {place.id: f"{place} {place.refused}" for place in closed if place.refused}


def info(chain: Chain, errors: Mapping[tuple[str, str, str, str], str]) -> dict[str, Any]:
    """One node and NIC for the result of the module that only reads. `errors`: of write_errors."""
    machine, nic = chain.machine, chain.nic
    return {
        "node": chain.node.text,
        "vm": machine.vm.name if machine else "",
        "host": chain.host,
        "powered_on": machine.powered_on if machine else False,
        "nic": nic.label if nic else "",
        "mac_address": nic.mac if nic else "",
        "addresses": list(nic.guest) if nic else [],
        "network": nic.network if nic else "",
        "problem": chain.problem,
        "policies": [policy(place, errors) for place in chain.places],
    }


def policy(place: Place, errors: Mapping[tuple[str, str, str, str], str]) -> dict[str, Any]:
    """One place for the result of the module that only reads."""
    return {
        **place.address(),
        "effective": place.effective.words(),
        "sources": {name: source for name, source in sources(place).items() if source},
        "missing": missing(place.effective),
        "write_error": errors.get(place.id, ""),
    }


def _settle(vcenter: Vcenter, outcome: Outcome) -> None:
    """Writes one place, from its newest state, until it is as it is wanted. Its outcome says what was and is."""
    place, written = outcome.place, False
    try:
        for attempt in range(ATTEMPTS + 1):
            if attempt > 1:
                time.sleep(random.uniform(0, JITTER * attempt))
            if attempt or place.kind == STANDARD:
                place = vcenter.reread(place)
                if not written:
                    outcome.place = place
                outcome.after = outcome.wanted(place)
            if outcome.after == place.own and not outcome.lacking(place):
                return
            if attempt < ATTEMPTS:
                with suppress(Conflict):
                    vcenter.set_policy(place, outcome.after)
                    written = True
        raise Conflict(
            f"{place} was changed by others at each of {ATTEMPTS} attempts, or does not take what it is given: find out who "
            "writes it all the time"
        )
    except EgressError as error:
        outcome.error = str(error)
        if not written:
            outcome.after = outcome.place.own


def _restorer(flags: Mapping[str, bool | None]) -> Callable[[Place], Flags]:
    return lambda place: restored(place, flags)


def _target(entry: Mapping[str, Any]) -> Target:
    return Target(entry.get("host") or "", entry.get("switch") or "", entry.get("port_group") or "")


def _values(entry: Mapping[str, Any]) -> dict[str, bool | None]:
    try:
        return {name: read_flag(name, entry[name]) for name in (*FLAGS, LEARNING) if entry.get(name) is not None}
    except VsphereError as error:
        raise InputError(f"previous: {error}") from error
