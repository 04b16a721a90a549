# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""From facts to a report: what was found, what was not checked, and whether provision may go on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .._common.table import aligned
from .._router.fields import did_you_mean
from .checks import egress_router_cr, openstack, vsphere
from .checks.all import CHECKS, IDS
from .facts import INSPECTION, Facts, name_of, ready
from .finding import DOCS, ERROR, INFO, WARNING, Finding, Gap, merged

_WORDS = {ERROR: "ERROR", WARNING: "warning", INFO: "info"}
# How the answer to each of questions.py is read.
_READERS: dict[str, Callable[..., Iterable[Finding]]] = {
    "openstack": openstack.findings,
    "vsphere": vsphere.findings,
    egress_router_cr.RANDOM_MAC: egress_router_cr.findings,
}


@dataclass(frozen=True)
class Examination:
    """What the checks found, the ids of those that were made, and what was not checked."""

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    gaps: tuple[Gap, ...]

    def as_dict(self) -> dict[str, Any]:
        """For results; from_dict reads it back."""
        return {
            "findings": [finding.as_dict() for finding in self.findings],
            "checked": list(self.checked),
            "not_checked": [{"check": check, "reason": reason} for check, reason in self.gaps],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Examination:
        """The examination that as_dict wrote."""
        return cls(
            tuple(map(Finding.from_dict, data["findings"])),
            tuple(data["checked"]),
            tuple((gap["check"], gap["reason"]) for gap in data["not_checked"]),
        )

    def with_answer(self, check: str, findings: Iterable[Finding]) -> Examination:
        """The same with the findings of a check that was open."""
        return Examination(
            (*self.findings, *merged(findings)),
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
        seen, unseen = check.coverage(facts)
        gaps += [(check.id, reason) for reason in [*sorted(reasons), *unseen]]
        # With nothing to look at, nothing was checked.
        checked += [check.id] if made and (seen or not unseen) else []
    return Examination(tuple(merged(findings)), tuple(checked), tuple(gaps))


def complete(gathered: Mapping[str, Any], answers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The report. `gathered`: the result of run.run. `answers`: those of the clouds, by name, failed ones too."""
    examination = Examination.from_dict(gathered["examination"])
    for cloud, question in gathered["questions"].items():
        examination = examination.with_answer(cloud, _READERS[cloud](question, answers.get(cloud, {})))
    kept = {key: gathered[key] for key in ("clouds", "inspected_nodes", "requests", "seconds")}
    return {**report(examination, gathered["ignore"], gathered["about"]), **kept}


def report(examination: Examination, ignore: Collection[str] = (), about: str = "") -> dict[str, Any]:
    """For programs and people. `ignore`: ids of checks whose errors stop nothing. `about`: begins the summary."""
    counted = [finding for finding in examination.findings if finding.check not in ignore]
    errors = [finding for finding in counted if finding.severity == ERROR]
    summary = _summary(examination, counted, about)
    return {
        **examination.as_dict(),
        "ok": not errors,
        "ignored": [check for check in IDS if check in ignore],
        "summary": summary,
        "table": table(examination, ignore),
        "problems": [str(finding) for finding in errors],
        "message": _message(errors, summary),
    }


def unknown_ids(ignore: Iterable[str]) -> list[str]:
    """A sentence for each id that no check has."""
    return [
        f"ignore: '{check}' is not the id of a check{did_you_mean(check, IDS) or f': see {DOCS}'}"
        for check in ignore
        if check not in IDS
    ]


def table(examination: Examination, ignore: Collection[str] = ()) -> list[str]:
    """A line for each check, and one more with the advice for each finding."""
    rows: list[tuple[str, str, str]] = []
    for check in CHECKS:
        found = [finding for finding in examination.findings if finding.check == check.id]
        for finding in found:
            word = "ignored" if check.id in ignore else _WORDS[finding.severity]
            where = f"{finding.where}: " if finding.where else ""
            rows.append((check.id, word, f"{where}{finding.seen}; expected: {finding.expected}"))
            rows.append(("", "", f"-> {finding.advice} ({finding.docs})"))
        if check.id in examination.checked and not found:
            rows.append((check.id, "ok", check.passed))
    gaps = _by_reason(examination.gaps)
    return aligned(rows) + [f"  not checked: {', '.join(ids)}: {reason}" for reason, ids in gaps.items()]


def _gaps_of_nodes(facts: Facts) -> Iterable[Gap]:
    """Nodes that could not be inspected, and routers whose nodes were not."""
    for node, inspection in facts.inspections.items():
        if inspection.problem:
            yield INSPECTION, f"node {node}: {inspection.problem}"
    for item in facts.eligible_for(facts.routers):
        if facts.inspected and name_of(item) not in facts.inspections and not ready(item):
            yield INSPECTION, f"node {name_of(item)}: it is not ready"
    others = [router.id for router in facts.routers if router.id not in facts.inspected]
    if others and INSPECTION not in facts.unread:
        yield INSPECTION, f"already serving, so their nodes were not inspected for them: {', '.join(others)}"


def _by_reason(gaps: Iterable[Gap]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for check, reason in gaps:
        found.setdefault(reason, []).append(check)
    return found


def _summary(examination: Examination, counted: list[Finding], about: str) -> str:
    words = []
    for severity, noun in ((ERROR, "error"), (WARNING, "warning"), (INFO, "note")):
        count = sum(finding.severity == severity for finding in counted)
        words += [f"{count} {noun}{'' if count == 1 else 's'}"] if count or severity == ERROR else []
    ignored = len(examination.findings) - len(counted)
    words += [f"{ignored} ignored"] if ignored else []
    gaps = {check for check, _reason in examination.gaps}
    words += [f"{len(gaps)} not or only partly checked"] if gaps else []
    return f"{f'{about}: ' if about else ''}{len(examination.checked)} checks, {', '.join(words)}"


def _message(errors: list[Finding], summary: str) -> str:
    """Why provision must not go on, and how it can; empty if it may."""
    if not errors:
        return ""
    ids = ", ".join(dict.fromkeys(finding.check for finding in errors))
    way_out = (
        f"Nothing was changed. Correct the problems, or set preflight_ignore to [{ids}], or to those of them that do not "
        "apply here, to continue in spite of them."
    )
    return "\n".join([*map(str, errors), summary, way_out])
