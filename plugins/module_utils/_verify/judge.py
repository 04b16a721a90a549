# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What the answers to the client's connections mean for each check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .._router.router import Router
from .checks import DIRECT, FALLBACK, REFUSED, RULE, Check, Scope, endpoint


@dataclass
class Finding:
    """The result of a check. `ok` None: it proves nothing either way, `detail` says why."""

    check: str
    target: str = ""
    ok: bool | None = None
    detail: str = ""
    expected: dict[str, str] = field(default_factory=dict)
    observed: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return asdict(self)


def serving(router: Router, state: Mapping[str, Any]) -> Finding:
    """Whether the router serves as the list describes it. `state`: its entry in the result of router_info."""
    addresses = sorted(str(address).partition("/")[0] for address in state.get("addresses") or ())
    wanted = [address.ip for address in router.addresses]
    observed = {"ip": ", ".join(addresses), "mac": str(state.get("mac") or "")}
    finding = Finding("serving", "", False, "", {"ip": ", ".join(wanted), "mac": router.mac}, observed)
    if not state.get("serving"):
        finding.detail = f"the router does not serve: {state.get('reason') or 'nothing is known about it'}"
    elif addresses != sorted(wanted) or observed["mac"] != router.mac:
        finding.detail = "the router serves with another address"
    elif state.get("rules_hash") != router.rules.hash():
        why = state.get("rules_error")
        finding.detail = "the router's live rules are not those of the list" + (f": {why}" if why else "")
    else:
        finding.ok = True
    return finding


def judge(check: Check, answer: Mapping[str, Any] | None, scope: Scope) -> Finding:
    """What an answer of the probe (None: there is none) means for a check."""
    finding = Finding(check.kind, check.target, detail=check.note, expected=_expected(check))
    if check.target and answer is None:
        finding.ok, finding.detail = False, "not probed: the client's results do not include this target"
    elif answer is not None:
        _JUDGES[check.kind](check, answer, scope, finding)
    return finding


def _expected(check: Check) -> dict[str, str]:
    if not check.target:
        return {}
    if check.kind == DIRECT:
        return {"source_ip": f"not {' nor '.join(check.source_ips)}"}
    if check.kind == REFUSED:
        return {"answer": "refused"}
    return {
        "source_ip": " or ".join(check.source_ips),
        "source_mac": check.source_mac,
        "destination": check.destination,
    }


def _judge_redirect(check: Check, answer: Mapping[str, Any], scope: Scope, finding: Finding) -> None:
    seen = list(answer.get("observed") or [])
    if answer["connected"] < answer["attempts"]:
        finding.ok = False
        finding.detail = f"{answer['connected']} of {answer['attempts']} attempts got an answer: {_outcome(answer)}"
        return
    if not seen:
        finding.ok = False if scope.observers else None
        finding.detail = "connected, but the source was not observed"
        if scope.observers:
            finding.detail += ": the server does not report what it sees (set verify_observers to false to accept that)"
        return
    wrong = []
    for item in seen:
        observed = {
            "source_ip": str(item["source_ip"]),
            "source_mac": str(item.get("source_mac") or ""),
            "destination": endpoint(str(item["local_ip"]), int(item["local_port"])),
        }
        finding.observed = finding.observed or observed
        for key, value in observed.items():
            right = value in check.source_ips if key == "source_ip" else value == finding.expected[key]
            # A server behind a gateway cannot see the router's MAC address.
            if not right and not (key == "source_mac" and not value):
                finding.observed = observed
                wrong.append(f"{key.replace('_', ' ')} {value} instead of {finding.expected[key]}")
    finding.ok, finding.detail = not wrong, "; ".join(dict.fromkeys(wrong))


def _judge_refused(_check: Check, answer: Mapping[str, Any], _scope: Scope, finding: Finding) -> None:
    finding.ok = answer["refused"] == answer["attempts"]
    finding.observed = {"answer": _outcome(answer)}
    if not finding.ok:
        finding.detail = f"a port without rule and fallback must be refused: {_outcome(answer)}"


def _judge_direct(check: Check, answer: Mapping[str, Any], _scope: Scope, finding: Finding) -> None:
    seen = [str(item["source_ip"]) for item in answer.get("observed") or []]
    if not answer["connected"]:
        finding.ok, finding.observed = True, {"source_ip": f"none: {_outcome(answer)}"}
    elif not seen:
        finding.detail = "connected, but the source was not observed"
    else:
        finding.observed = {"source_ip": ", ".join(seen)}
        finding.ok = not set(check.source_ips) & set(seen)
        if not finding.ok:
            finding.detail = "the client has the router's source address without the router, so the rules prove nothing"


_JUDGES = {RULE: _judge_redirect, FALLBACK: _judge_redirect, REFUSED: _judge_refused, DIRECT: _judge_direct}


def _outcome(answer: Mapping[str, Any]) -> str:
    """`refused`, `2 x timed out`, or the client's own words."""
    words = [
        (f"{answer.get(key)} x " if answer.get(key, 0) > 1 else "") + key.replace("_", " ")
        for key in ("connected", "refused", "timed_out", "failed")
        if answer.get(key)
    ]
    if answer.get("failed"):
        words += [str(error) for error in answer.get("errors") or []][:1]
    return ", ".join(words) or "no answer"
