# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What a list becomes by what was asked for, and what is wrong with that. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._common.errors import InputError
from .._pools.pool import read_pools
from .._pools.request import read_requests
from .._router.fields import expected, is_list
from .._router.problems import Problem
from .._router.routers import load
from .entry import Entry, key_of

Key = tuple[str, str]


@dataclass(frozen=True)
class Wish:
    """`fixed`: routers that are listed elsewhere. `changes`: keys of routers that are added or changed, with name and namespace.

    `out`: routers that are taken out of the list.
    """

    fixed: list[Any] = field(default_factory=list)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    pools: Any = None
    changes: list[Mapping[str, Any]] = field(default_factory=list)
    out: list[Key] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """One entry, before and after. None: there is none."""

    before: Entry | None
    after: Entry | None


def steps(entries: Mapping[Key, Entry], wish: Wish) -> tuple[list[Step], list[str]]:
    """What is to be done, and warnings. InputError with all that is wrong with the list as it would be."""
    found: dict[Key, Step] = {}
    for change in wish.changes:
        key = key_of({**wish.defaults, **change})
        before = entries.get(key)
        now = found[key].after if key in found else before
        start = now or Entry({"name": key[1], "namespace": key[0]})
        found[key] = Step(before, start.changed({**change, "name": key[1], "namespace": key[0]}))
    warnings = []
    for key in wish.out:
        entry = entries.get(key)
        if entry is not None and entry.absent:
            found[key] = Step(entry, None)
        elif entry is not None:
            warnings.append(f"router {'/'.join(key)} stays in the list: it is not absent there")
    after = {**entries, **{key: step.after for key, step in found.items()}}
    problems = check([entry for entry in after.values() if entry is not None], wish)
    if problems:
        raise InputError("\n".join(dict.fromkeys(map(str, problems))))
    return [step for step in found.values() if not same(step)], warnings


def same(step: Step) -> bool:
    """Whether there is nothing to do."""
    before, after = step.before, step.after
    return before is not None and after is not None and before.manifest() == after.manifest()


def check(entries: Iterable[Entry], wish: Wish) -> list[Problem]:
    """Every problem of the whole list."""
    if not is_list(wish.fixed):
        return [Problem("", "egress_routers", expected("a list of routers", wish.fixed))]
    pools, problems = read_pools(wish.pools)
    entries = list(entries)
    fixed = {key_of({**wish.defaults, **one}) for one in wish.fixed if isinstance(one, Mapping)}
    for entry in entries:
        if entry.key in fixed:
            message = "is in egress_routers of the inventory: change it there, or remove it there first"
            problems.append(Problem("/".join(entry.key), "", message))
    if problems:
        return problems
    _requests, found, _used = read_requests(
        whole(wish.fixed, entries), wish.defaults, pools, lambda routers: load(routers, wish.defaults)[1]
    )
    return found


def whole(fixed: Iterable[Any], entries: Iterable[Entry]) -> list[Any]:
    """The list: first the routers that are listed elsewhere, then the others by namespace and name."""
    return [*fixed, *(dict(entry.router) for entry in sorted(entries, key=lambda entry: entry.key))]
