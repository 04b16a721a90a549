# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What a check has to say, and what a check is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from .facts import Facts

# Stops provision.
ERROR = "error"
# Works, or may work, and asks for attention.
WARNING = "warning"
# Worth knowing.
INFO = "info"
SEVERITIES = (ERROR, WARNING, INFO)

# What a check is explained in; every id is an anchor there.
DOCS = "docs/preflight.md"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be. `seen`, `expected` and `advice` read on from each other as one text.

    `routers`: NAMESPACE/NAME of those it is about, none if it is about all of them. `nodes`: names, none if it is about
    none in particular.
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
        """Where it is explained."""
        return f"{DOCS}#{self.check}"

    @property
    def where(self) -> str:
        """`router a/b, node c`, or nothing."""
        words = [listed("router", self.routers)] if self.routers else []
        words += [listed("node", self.nodes)] if self.nodes else []
        return ", ".join(words)

    def as_dict(self) -> dict[str, Any]:
        """For the module's result; from_dict reads it again."""
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
        """A finding out of a module's result."""
        texts = {key: str(data[key]) for key in ("check", "severity", "seen", "expected", "advice")}
        return cls(**texts, routers=tuple(data["routers"]), nodes=tuple(data["nodes"]))

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        return f"{self.check}{where}: {self.seen}; expected: {self.expected}. {self.advice}. See {self.docs}"


@dataclass(frozen=True)
class Part:
    """A question of a check. `needs`: the facts without which it is not asked, as keys of Facts.unread."""

    needs: tuple[str, ...]
    ask: Callable[[Facts], Iterable[Finding]]


@dataclass(frozen=True)
class Check:
    """A check. `fine`: what is the case when nothing was found."""

    id: str
    fine: str
    parts: tuple[Part, ...]


# What could not be checked: a check's id, and why.
Gap: TypeAlias = "tuple[str, str]"


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """The same said of several nodes, and then of several routers, is said once."""
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
