# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Checks, and what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from .facts import Facts

# Stops provision.
ERROR = "error"
# Works, or may work, but needs attention.
WARNING = "warning"
# Good to know.
INFO = "info"

# The page on which every check has a heading: its id is the anchor.
DOCS = "https://example.com/egress.router/blob/main/docs/preflight.md"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be. `advice` is a sentence without its full stop.

    `routers`: NAMESPACE/NAME of those it affects, none if it affects all of them. `nodes`: names, none if no node in
    particular is affected.
    """

    check: str
    severity: str
    seen: str
    expected: str
    advice: str
    routers: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()

    @property
    def docs(self) -> str:
        """The URL of its explanation."""
        return f"{DOCS}#{self.check}"

    @property
    def where(self) -> str:
        """`router a/b, node c`; empty if neither is known."""
        words = [listed("router", self.routers)] if self.routers else []
        words += [listed("node", self.nodes)] if self.nodes else []
        return ", ".join(words)

    def as_dict(self) -> dict[str, Any]:
        """For results; from_dict reads it back."""
        return {
            "check": self.check,
            "severity": self.severity,
            "routers": list(self.routers),
            "nodes": list(self.nodes),
            "seen": self.seen,
            "expected": self.expected,
            "advice": self.advice,
            "docs": self.docs,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Finding:
        """The finding that as_dict wrote."""
        texts = {key: str(data[key]) for key in ("check", "severity", "seen", "expected", "advice")}
        return cls(**texts, routers=tuple(data["routers"]), nodes=tuple(data["nodes"]))

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        return f"{self.check}{where}: {self.seen}; expected: {self.expected}. {self.advice}. See {self.docs}"


@dataclass(frozen=True)
class Part:
    """A part of a check. `needs`: the facts without which it is left out, as keys of Facts.unread."""

    needs: tuple[str, ...]
    ask: Callable[[Facts], Iterable[Finding]]


def _complete(_facts: Facts) -> tuple[int, Iterable[str]]:
    return 0, ()


@dataclass(frozen=True)
class Check:
    """A check. `passed`: what the report says if nothing was found.

    `coverage`: how much it could look at, and why not at the rest.
    """

    id: str
    passed: str
    parts: tuple[Part, ...]
    coverage: Callable[[Facts], tuple[int, Iterable[str]]] = _complete


# What was not checked: the id of a check, and why.
Gap: TypeAlias = "tuple[str, str]"


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Findings that differ only in their nodes, or only in their routers, become one."""
    nodes: dict[Finding, dict[str, None]] = {}
    for finding in findings:
        nodes.setdefault(replace(finding, nodes=()), {}).update(dict.fromkeys(finding.nodes))
    routers: dict[Finding, dict[str, None]] = {}
    for finding, names in nodes.items():
        key = replace(finding, routers=(), nodes=tuple(names))
        routers.setdefault(key, {}).update(dict.fromkeys(finding.routers))
    return [replace(finding, routers=tuple(names)) for finding, names in routers.items()]


def listed(noun: str, names: tuple[str, ...], most: int = 6) -> str:
    """`node a`, `nodes a, b`, `nodes a, b, c, d, e, f and 94 more`."""
    shown = ", ".join(names[:most])
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{noun}{'s' if len(names) > 1 else ''} {shown}{more}"
