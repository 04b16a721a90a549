# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""From facts to a report: what was found, what was not checked, and whether provision may go on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .._router.fields import did_you_mean
from .checks.all import CHECKS, IDS
from .facts import INSPECTION, Facts, name_of, ready
from .finding import ERROR, INFO, WARNING, Finding, Gap, merged

_WORDS = {ERROR: "ERROR", WARNING: "warning", INFO: "info"}


@dataclass(frozen=True)
class Examination:
    """What the checks found, the ids of those that were made, and what could not be checked."""

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    gaps: tuple[Gap, ...]

    def as_dict(self) -> dict[str, Any]:
        """For the module's result; from_dict reads it again."""
        return {
            "findings": [finding.as_dict() for finding in self.findings],
            "checked": list(self.checked),
            "not_checked": [{"check": check, "reason": reason} for check, reason in self.gaps],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Examination:
        """An examination out of a module's result."""
        return cls(
            tuple(map(Finding.from_dict, data["findings"])),
            tuple(data["checked"]),
            tuple((gap["check"], gap["reason"]) for gap in data["not_checked"]),
        )

    def with_answer(self, check: str, findings: Iterable[Finding]) -> Examination:
        """The same with what was found out later about one check."""
        kept = tuple(finding for finding in self.findings if finding.check != check)
        return Examination(
            (*kept, *merged(findings)),
            tuple(item for item in IDS if item == check or item in self.checked),
            tuple(gap for gap in self.gaps if gap[0] != check),
        )


def examine(facts: Facts) -> Examination:
    """Makes every check for which there are facts."""
    findings: list[Finding] = []
    checked, gaps = [], list(_gaps_of_nodes(facts))
    for check in CHECKS:
        made = [part for part in check.parts if not any(need in facts.unread for need in part.needs)]
        for part in made:
            findings += part.ask(facts)
        reasons = {facts.unread[need] for part in check.parts for need in part.needs if need in facts.unread}
        gaps += [(check.id, reason) for reason in sorted(reasons)]
        checked += [check.id] if made else []
    return Examination(tuple(merged(findings)), tuple(checked), tuple(gaps))


def _gaps_of_nodes(facts: Facts) -> Iterable[Gap]:
    """Nodes whose pod said nothing, and routers whose nodes were not looked at."""
    for node, inspection in facts.inspections.items():
        if inspection.problem:
            yield INSPECTION, f"node {node}: {inspection.problem}"
    for item in facts.eligible_anywhere:
        if facts.inspected and name_of(item) not in facts.inspections and not ready(item):
            yield INSPECTION, f"node {name_of(item)}: it is not ready"
    others = [router.id for router in facts.routers if router.id not in facts.inspected]
    if others and INSPECTION not in facts.unread:
        yield INSPECTION, f"serving already, so not looked at from the nodes: {', '.join(others)}"


def report(examination: Examination, ignore: Collection[str] = (), what: str = "") -> dict[str, Any]:
    """For programs and people. `ignore`: ids of checks whose errors stop nothing. `what`: begins the summary."""
    counted = [finding for finding in examination.findings if finding.check not in ignore]
    errors = [finding for finding in counted if finding.severity == ERROR]
    return {
        **examination.as_dict(),
        "ok": not errors,
        "ignored": [check for check in IDS if check in ignore],
        "summary": _summary(examination, counted, what),
        "table": table(examination, ignore),
        "problems": [str(finding) for finding in errors],
    }


def unknown_ids(ignore: Iterable[str]) -> list[str]:
    """A sentence for each id that no check has."""
    return [
        f"there is no check '{check}' that could be ignored{did_you_mean(check, IDS) or ': see docs/preflight.md'}"
        for check in ignore
        if check not in IDS
    ]


def table(examination: Examination, ignore: Collection[str] = ()) -> list[str]:
    """A line for each check, and one more with what to do about each finding."""
    rows: list[tuple[str, str, str]] = []
    for check in CHECKS:
        found = [finding for finding in examination.findings if finding.check == check.id]
        for finding in found:
            word = "ignored" if check.id in ignore else _WORDS[finding.severity]
            where = f"{finding.where}: " if finding.where else ""
            rows.append((check.id, word, f"{where}{finding.seen}; expected: {finding.expected}"))
            rows.append(("", "", f"-> {finding.advice} ({finding.docs})"))
        if check.id in examination.checked and not found:
            rows.append((check.id, "ok", check.fine))
    width = max((len(row[0]) for row in rows), default=0)
    lines = [f"  {name.ljust(width)}  {word.ljust(7)}  {text}".rstrip() for name, word, text in rows]
    return lines + [f"  not checked: {', '.join(ids)}: {why}" for why, ids in _by_reason(examination.gaps).items()]


def _by_reason(gaps: Iterable[Gap]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for check, reason in gaps:
        found.setdefault(reason, []).append(check)
    return found


def _summary(examination: Examination, counted: list[Finding], what: str) -> str:
    words = []
    for severity, noun in ((ERROR, "error"), (WARNING, "warning"), (INFO, "note")):
        count = sum(finding.severity == severity for finding in counted)
        words += [f"{count} {noun}{'' if count == 1 else 's'}"] if count or severity == ERROR else []
    ignored = len(examination.findings) - len(counted)
    words += [f"{ignored} ignored"] if ignored else []
    gaps = {check for check, _reason in examination.gaps}
    words += [f"{len(gaps)} not or partly checked"] if gaps else []
    return f"{f'{what}: ' if what else ''}{len(examination.checked)} checks, {', '.join(words)}"
