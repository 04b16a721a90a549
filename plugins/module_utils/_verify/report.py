# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The report of a verification: for programs, and as a table for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._common.table import aligned
from .._router.backend import BACKENDS
from .._router.router import Router
from .checks import DIRECT, FALLBACK, RULE, Check, Scope, as_seen, by_router, checks
from .judge import judge, serving

_SILENCE = (
    "nothing came back through it, although connections that bypass it work: the network between its node and its gateway "
    "may drop packets with the router's IP and MAC address. If the nodes are OpenStack servers, Neutron's port security "
)
_UNTIL_PAIRS = (
    "does that until the role egress.router.openstack_allowed_address_pair has run (it takes seconds to take effect)."
)
_WHATEVER_PAIRS = (
    "does that unless it is off for the nodes' ports, because allowed address pairs cannot name a random MAC address."
)
_WORDS = {True: "ok", False: "FAILED", None: "-"}


def report(
    routers: Iterable[Router],
    states: Iterable[Mapping[str, Any]],
    results: Iterable[Mapping[str, Any]],
    scope: Scope,
) -> dict[str, Any]:
    """The report on present routers. `states`: the result of router_info, `results`: that of probe.

    It has `ok`, `routers` (each with its checks), `summary`, `problems` and `hints` (sentences), and `table` (lines).
    """
    known = by_router(states)
    answers = {str(result["target"]): result for result in results}
    reports, hints = [], []
    for wanted in routers:
        state = known.get(wanted.id, {})
        router = as_seen(wanted, state)
        listed = checks(router, state, scope)
        findings = [serving(router, state), *(judge(check, answers.get(check.target), scope) for check in listed)]
        reports.append(
            {
                "router": router.name,
                "namespace": router.namespace,
                "node": str(state.get("node") or ""),
                "ip": [address.ip for address in router.addresses],
                "mac": router.mac,
                "ok": all(finding.ok is not False for finding in findings),
                "checks": [finding.as_dict() for finding in findings],
            }
        )
        # A router whose gateway is silent has its addresses, and does not serve.
        if (state.get("serving") or state.get("addresses")) and _silent(listed, answers):
            hint = _UNTIL_PAIRS if BACKENDS[router.backend].has_mac else _WHATEVER_PAIRS
            hints.append(f"router {router.id}: {_SILENCE}{hint}")
    return {
        "ok": all(found["ok"] for found in reports),
        "routers": reports,
        "summary": _summary(reports),
        "table": table(reports),
        "problems": _problems(reports),
        "hints": hints,
    }


def table(reports: Iterable[Mapping[str, Any]]) -> list[str]:
    """The report as lines, one block for each router."""
    lines: list[str] = []
    for found in reports:
        where = f"node {found['node'] or '?'}, IP {', '.join(found['ip']) or '?'}, MAC {found['mac'] or '?'}"
        lines.append(f"router {found['namespace']}/{found['router']}: {where}")
        lines += aligned([("check", "target", "expected", "observed", "result"), *map(_row, found["checks"])])
    return lines


def _silent(listed: Iterable[Check], answers: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether no connection through the router got any answer, not even a refusal, but one without it did."""
    probed = [(check.kind, answers[check.target]) for check in listed if check.target in answers]
    through = [answer for kind, answer in probed if kind in (RULE, FALLBACK)]
    direct = [answer for kind, answer in probed if kind == DIRECT]
    return (
        bool(through)
        and not any(answer["connected"] or answer["refused"] for answer in through)
        and any(answer["connected"] for answer in direct)
    )


def _summary(reports: list[dict[str, Any]]) -> str:
    found = [check["ok"] for one in reports for check in one["checks"]]
    words = [f"{found.count(True)} passed", f"{found.count(False)} failed"]
    words += [f"{found.count(None)} not proven"] if None in found else []
    return f"{len(reports)} {'router' if len(reports) == 1 else 'routers'}: {', '.join(words)}"


def _problems(reports: list[dict[str, Any]]) -> list[str]:
    return [
        f"router {one['namespace']}/{one['router']}, {check['check']} {check['target']}".rstrip()
        + f": {check['detail']}"
        for one in reports
        for check in one["checks"]
        if check["ok"] is False
    ]


def _row(check: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    word = _WORDS[check["ok"]]
    result = f"{word}: {check['detail']}" if check["detail"] else word
    return check["check"], check["target"], _side(check["expected"]), _side(check["observed"]), result


def _side(values: Mapping[str, str]) -> str:
    source = " ".join(values[key] for key in ("answer", "ip", "source_ip", "mac", "source_mac") if values.get(key))
    return f"{source} at {values['destination']}" if values.get("destination") else source
