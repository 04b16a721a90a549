# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What a migration says of each old router: what stays, what changes, what is lost, and what somebody has to do first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .._common.table import aligned

# The router of the list does the same.
UNCHANGED = "unchanged"
# It does something else than the old one did.
CHANGED = "changed"
# It cannot do what the old one did.
LOST = "lost"
# Only a person can tell. Until then the router is not in the list.
QUESTION = "question"
# The old router is described wrongly. Until that is corrected, it is not in the list.
ERROR = "error"
LEVELS = (UNCHANGED, CHANGED, LOST, QUESTION, ERROR)
_BLOCKING = (QUESTION, ERROR)


@dataclass(frozen=True)
class Source:
    """The object that an old router is described by."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Item:
    """One thing to say of an old router. `line` counts from 1 within the text of `field`; 0 if it is about no line."""

    level: str
    source: Source
    field: str
    message: str
    line: int = 0

    @property
    def where(self) -> str:
        """`EGRESS_DESTINATION, line 3`."""
        return f"{self.field}, line {self.line}" if self.line else self.field

    def __str__(self) -> str:
        return f"{self.source}, {self.where}: {self.message}" if self.field else f"{self.source}: {self.message}"


class Notes:
    """Collects what there is to say of one object; the same sentence is kept once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._found: dict[Item, None] = {}

    @property
    def found(self) -> list[Item]:
        """In the order of LEVELS, otherwise as they were noted."""
        return sorted(self._found, key=lambda item: LEVELS.index(item.level))

    @property
    def blocking(self) -> bool:
        """Whether something has to be done before the router can be in the list."""
        return any(item.level in _BLOCKING for item in self._found)

    def add(self, level: str, field: str, message: str, line: int = 0) -> None:
        self._found[Item(level, self.source, field, message, line)] = None


@dataclass(frozen=True)
class Result:
    """An old router, and the router of the list that takes its place; None if none does."""

    source: Source
    router: dict[str, Any] | None
    items: Sequence[Item]


def report(results: Sequence[Result], others: Sequence[Item] = (), not_read: Sequence[str] = ()) -> dict[str, Any]:
    """For programs and people. `others`: about objects that are no routers. `not_read`: reasons."""
    items = [item for result in results for item in result.items] + list(others)
    problems = [str(item) for item in items if item.level in _BLOCKING]
    return {
        "ok": not problems and not not_read,
        "routers": [_router_dict(result) for result in results],
        "findings": [_item_dict(item) for item in items],
        "not_read": list(not_read),
        "problems": problems,
        "table": table(results, others, not_read),
        "summary": _summary(results, items),
    }


def table(results: Iterable[Result], others: Sequence[Item], not_read: Iterable[str]) -> list[str]:
    """A heading for each old router, and a line for each thing to say of it."""
    lines: list[str] = []
    for result in results:
        lines.append(f"{result.source}: {_outcome(result.router)}")
        lines += _rows([(item.level, item.where, item.message) for item in result.items])
    lines += ["other objects"] if others else []
    lines += _rows([(item.level, str(item.source), item.message) for item in others])
    return lines + [f"not read: {reason}" for reason in not_read]


def _rows(rows: list[tuple[str, str, str]]) -> list[str]:
    return aligned(rows) if rows else []


def _outcome(router: dict[str, Any] | None) -> str:
    return f"router {router['namespace']}/{router['name']}" if router else "not in the list"


def _router_dict(result: Result) -> dict[str, Any]:
    router = result.router or {}
    return {
        **vars(result.source),
        "router": router.get("name", ""),
        "service": (router.get("service") or {}).get("name", router.get("name", "")),
    }


def _item_dict(item: Item) -> dict[str, Any]:
    return {
        "level": item.level,
        "object": str(item.source),
        "field": item.field,
        "line": item.line,
        "message": item.message,
    }


def _summary(results: Sequence[Result], items: Iterable[Item]) -> str:
    if not results:
        return "no old egress routers were found"
    levels = [item.level for item in items]
    taken = sum(result.router is not None for result in results)
    words = [f"{taken} of {len(results)} in the list"]
    nouns = (
        (CHANGED, "changed", "changed"),
        (LOST, "lost", "lost"),
        (QUESTION, "question", "questions"),
        (ERROR, "error", "errors"),
    )
    words += [f"{levels.count(level)} {one if levels.count(level) == 1 else many}" for level, one, many in nouns]
    return f"old egress routers: {', '.join(words)}"
