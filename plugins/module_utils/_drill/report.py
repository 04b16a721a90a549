# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The report of a drill: for programs, and as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .._common.table import aligned
from .judge import Finding, Kept

_HEADER = (
    "event",
    "served before",
    "served after",
    "failed",
    "without service",
    "limit",
    "established",
    "verdict",
)


@dataclass
class Drilled:
    """A router. `not_run`: events that were left out after one that failed. `notes`: what was not measured."""

    name: str
    namespace: str
    findings: list[Finding] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def broken(self) -> bool:
        """Whether an event did not come to its end, so that nothing more should be done."""
        return bool(self.error) or any(finding.error for finding in self.findings)

    @property
    def ok(self) -> bool:
        return not self.error and all(finding.ok for finding in self.findings)

    @property
    def problems(self) -> list[str]:
        found = [self.error] if self.error else []
        found += [f"{finding.event}: {problem}" for finding in self.findings for problem in finding.problems]
        return [f"router {self.id}: {problem}" for problem in found]

    def as_dict(self) -> dict[str, Any]:
        return {
            "router": self.name,
            "namespace": self.namespace,
            "ok": self.ok,
            "error": self.error,
            "events": [finding.as_dict() for finding in self.findings],
            "not_run": self.not_run,
            "notes": self.notes,
        }


def report(drilled: Sequence[Drilled]) -> dict[str, Any]:
    """`ok`, `routers`, `summary`, `problems` (sentences) and `table` (lines)."""
    return {
        "ok": all(one.ok for one in drilled),
        "routers": [one.as_dict() for one in drilled],
        "summary": _summary(drilled),
        "problems": [problem for one in drilled for problem in one.problems],
        "table": [line for one in drilled for line in _block(one)],
    }


def _block(one: Drilled) -> list[str]:
    lines = [f"router {one.id}" + (f": {one.error}" if one.error else "")]
    lines += [f"  {note}" for note in one.notes]
    rows = [_row(finding) for finding in one.findings]
    rows += [(event, "", "", "", "", "", "", "not run") for event in one.not_run]
    return lines + (aligned([_HEADER, *rows]) if rows else [])


def _row(finding: Finding) -> tuple[str, ...]:
    words = ["ok"] if finding.ok else [f"FAILED: {'; '.join(finding.problems)}"]
    words += [finding.notice] if finding.notice else []
    return (
        finding.event,
        _place(finding.before),
        _place(finding.after),
        f"{finding.failed} of {finding.attempts}",
        _without_service(finding),
        f"{finding.limit:g} s",
        _established(finding.established),
        ", ".join(words),
    )


def _without_service(finding: Finding) -> str:
    """Of a router with both families for each: a target that is not one of a family counts for neither."""
    families = {family: finding.of_family(family) for family in (4, 6) if finding.of_family(family)}
    if len(families) < 2:
        return f"{finding.seconds:.2f} s"
    return ", ".join(f"IPv{family} {max(one.seconds for one in seen):.2f} s" for family, seen in families.items())


def _place(server: Any) -> str:
    return f"{server.pod} on {server.node or '?'}" if server else "nobody"


def _established(kept: Kept | None) -> str:
    if kept is None:
        return "-"
    return f"{kept.broken} of {kept.wanted} broke, stall {kept.stall_seconds:.2f} s"


def _summary(drilled: Sequence[Drilled]) -> str:
    found = [finding.ok for one in drilled for finding in one.findings]
    not_run = sum(len(one.not_run) for one in drilled)
    words = [f"{found.count(True)} passed", f"{found.count(False)} failed"] + (
        [f"{not_run} not run"] if not_run else []
    )
    return f"{len(drilled)} {'router' if len(drilled) == 1 else 'routers'}: {', '.join(words)}"
