# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Proves routers by what the far ends saw: what to probe, and what the answers mean.

`targets` and `judge` go through the same list of checks, so what is probed is judged, and the other way round.
Inputs: routers (router.Router), the routers' state (results of router_info) and the probe's results (probe).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._contract.names import AGENT_PORT
from .._contract.rules import Rule
from .._router.router import Router

# A port that no rule has: connections to it must be refused. The first free one from here on.
_FREE_PORT_FROM = 61000

_SILENCE = (
    "nothing came back through it, while connections past it work: the network between its node and its gateway may drop "
    "what has the router's IP and MAC address. If the nodes are OpenStack servers, that is Neutron's port security until "
    "the role egress.router.openstack_allowed_address_pair has run (it takes seconds to act)."
)


@dataclass(frozen=True)
class Check:
    """One thing to prove. `target` is what the client connects to, empty if it cannot be probed.

    `kind`: rule, fallback (both: the far end must see `source_ip`, `source_mac` where it can, and be `destination`),
    refused (nothing may answer), direct (past the router: the far end must not see `source_ip`).
    """

    kind: str
    target: str
    source_ip: str = ""
    source_mac: str = ""
    destination: str = ""
    note: str = ""


@dataclass
class Finding:
    """What became of a check. `ok` None: it says nothing either way, `detail` says why."""

    check: str
    target: str
    ok: bool | None
    detail: str = ""
    expected: dict[str, str] = field(default_factory=dict)
    observed: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "check": self.check,
            "target": self.target,
            "ok": self.ok,
            "detail": self.detail,
            "expected": self.expected,
            "observed": self.observed,
        }


@dataclass(frozen=True)
class Scope:
    """What is known of the far ends.

    `fallback_ports`: TCP ports that the fallback destinations serve. `http_ports`: ports of destinations that speak
    HTTP, so say nothing before they are asked. `observers` False: the destinations are ordinary servers that do not say
    what they see, so being connected is all that can be proved.
    """

    fallback_ports: tuple[int, ...] = ()
    http_ports: tuple[int, ...] = ()
    observers: bool = True


def targets(routers: Iterable[Router], states: Iterable[Mapping[str, Any]], scope: Scope) -> list[str]:
    """What the client has to connect to, each once."""
    known = _by_router(states)
    found = [
        check.target
        for router in routers
        if router.present
        for check in checks(router, known.get(router.id, {}), scope)
        if check.target
    ]
    return list(dict.fromkeys(found))


def judge(
    routers: Iterable[Router],
    states: Iterable[Mapping[str, Any]],
    results: Iterable[Mapping[str, Any]],
    scope: Scope,
) -> dict[str, Any]:
    """The report: `ok`, `routers` (each with its checks), `summary`, `problems` and `hints` (sentences), `table` (lines)."""
    known = _by_router(states)
    answers = {str(result["target"]): result for result in results}
    reports, hints = [], []
    for router in routers:
        if router.present:
            state = known.get(router.id, {})
            listed = checks(router, state, scope)
            findings = [_serving(router, state)]
            findings += [_judge(check, answers.get(check.target), scope) for check in listed]
            reports.append(_report(router, state, findings))
            if state.get("serving") and _silent(listed, answers):
                hints.append(f"router {router.id}: {_SILENCE}")
    ok = all(report["ok"] for report in reports)
    return {
        "ok": ok,
        "routers": reports,
        "summary": _summary(reports),
        "table": table(reports),
        "problems": _problems(reports),
        "hints": hints,
    }


def checks(router: Router, state: Mapping[str, Any], scope: Scope) -> list[Check]:
    """Everything there is to prove of one router, in the order of the report."""
    host = f"{router.service.name}.{router.namespace}.svc"
    pod = next(iter(state.get("pod_ips") or []), "")
    found = [_rule_check(router, rule, host, scope) for rule in router.rules.rules]
    found += _fallback_checks(router, host, pod, scope)
    if not router.rules.fallback_ip:
        port = _free_port(router)
        note = "" if pod else "not probed: the address of the router's pod is not known"
        found.append(Check("refused", _url("tcp", pod, port) if pod else "", note=note))
    first = next((rule for rule in router.rules.rules if rule.protocol == "TCP"), None)
    if first is not None:
        target = _url(_scheme("TCP", first.target_port, scope), first.destination_ip, first.target_port)
        found.append(Check("direct", target, source_ip=_source(router, first.family)))
    return found


def table(reports: Iterable[Mapping[str, Any]]) -> list[str]:
    """The report as lines, aligned in columns, one block a router."""
    lines: list[str] = []
    for report in reports:
        where = f"node {report['node'] or '?'}, IP {', '.join(report['ip']) or '?'}, MAC {report['mac'] or '?'}"
        lines.append(f"router {report['namespace']}/{report['router']}: {where}")
        rows = [("check", "target", "expected", "observed", "result")]
        rows += [_row(check) for check in report["checks"]]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            lines.append("  " + "  ".join([*cells, row[-1]]).rstrip())
    return lines


def _rule_check(router: Router, rule: Rule, host: str, scope: Scope) -> Check:
    if rule.protocol == "SCTP":
        return Check("rule", "", note=f"port {rule.port}/SCTP: not probed, the client speaks TCP and UDP only")
    return Check(
        "rule",
        _url(_scheme(rule.protocol, rule.target_port, scope), host, rule.port),
        source_ip=_source(router, rule.family),
        source_mac=router.mac,
        destination=_endpoint(rule.destination_ip, rule.target_port),
    )


def _fallback_checks(router: Router, host: str, pod: str, scope: Scope) -> list[Check]:
    fallback = router.rules.fallback_ip
    if not fallback:
        return []
    ruled = {(rule.port, rule.protocol) for rule in router.rules.rules}
    probes = [
        (_url(_scheme(protocol, port, scope), host, port), port)
        for port, protocol in router.service.extra_ports
        if protocol != "SCTP"
    ]
    if pod:
        free = [port for port in scope.fallback_ports if (port, "TCP") not in ruled and port != AGENT_PORT]
        probes += [(_url(_scheme("TCP", port, scope), pod, port), port) for port in free]
    if not probes:
        return [Check("fallback", "", note="not probed: no port is known that the fallback destination serves")]
    source = _source(router, 6 if ":" in fallback else 4)
    return [
        Check("fallback", target, source_ip=source, source_mac=router.mac, destination=_endpoint(fallback, port))
        for target, port in probes
    ]


def _serving(router: Router, state: Mapping[str, Any]) -> Finding:
    serving = bool(state.get("serving"))
    expected = {"ip": ", ".join(address.ip for address in router.addresses), "mac": router.mac}
    observed = {"ip": ", ".join(_bare(state.get("addresses") or [])), "mac": str(state.get("mac") or "")}
    if not serving:
        reason = str(state.get("reason") or "nothing is known of it")
        return Finding("serving", "", False, f"the router does not serve: {reason}", expected, observed)
    same = sorted(_bare(state.get("addresses") or [])) == sorted(address.ip for address in router.addresses)
    if not same or observed["mac"] != router.mac:
        return Finding("serving", "", False, "the router serves with another address", expected, observed)
    if state.get("rules_hash") != router.rules.hash():
        return Finding("serving", "", False, "the router's live rules are not those of the list", expected, observed)
    return Finding("serving", "", True, "", expected, observed)


def _judge(check: Check, answer: Mapping[str, Any] | None, scope: Scope) -> Finding:
    finding = Finding(check.kind, check.target, None, check.note)
    if check.kind in ("rule", "fallback") and check.target:
        finding.expected = {
            "source_ip": check.source_ip,
            "source_mac": check.source_mac,
            "destination": check.destination,
        }
    elif check.target:
        finding.expected = {"source_ip": f"not {check.source_ip}"} if check.kind == "direct" else {"answer": "refused"}
    if not check.target:
        return finding
    if answer is None:
        finding.ok, finding.detail = False, "not probed: the client's results do not have this target"
        return finding
    judges = {"rule": _judge_redirect, "fallback": _judge_redirect, "refused": _judge_refused, "direct": _judge_direct}
    judges[check.kind](check, answer, scope, finding)
    return finding


def _judge_redirect(check: Check, answer: Mapping[str, Any], scope: Scope, finding: Finding) -> None:
    seen = list(answer.get("observed") or [])
    if answer["connected"] < answer["attempts"]:
        finding.ok = False
        finding.detail = f"{answer['connected']} of {answer['attempts']} attempts got an answer: {_failure(answer)}"
        return
    if not seen:
        finding.ok = False if scope.observers else None
        finding.detail = "connected, source not observed"
        if scope.observers:
            finding.detail += ": the far end does not say what it sees (observers: false accepts that)"
        return
    wrong = []
    for item in seen:
        observed = {
            "source_ip": str(item["source_ip"]),
            "source_mac": str(item.get("source_mac") or ""),
            "destination": _endpoint(str(item["local_ip"]), int(item["local_port"])),
        }
        finding.observed = finding.observed or observed
        for key, value in observed.items():
            # A far end behind another router cannot see our MAC address.
            if value != finding.expected[key] and not (key == "source_mac" and not value):
                finding.observed = observed
                wrong.append(f"{key.replace('_', ' ')} {value} instead of {finding.expected[key]}")
    finding.ok, finding.detail = not wrong, "; ".join(dict.fromkeys(wrong))


def _judge_refused(check: Check, answer: Mapping[str, Any], _scope: Scope, finding: Finding) -> None:
    finding.ok = answer["refused"] == answer["attempts"]
    finding.observed = {"answer": _failure(answer)}
    if not finding.ok:
        finding.detail = f"a port without rule and fallback must be refused: {_failure(answer)}"


def _judge_direct(check: Check, answer: Mapping[str, Any], _scope: Scope, finding: Finding) -> None:
    seen = [str(item["source_ip"]) for item in answer.get("observed") or []]
    if not answer["connected"]:
        finding.ok, finding.observed = True, {"source_ip": f"none: {_failure(answer)}"}
    elif not seen:
        finding.detail = "connected, source not observed"
    else:
        finding.observed = {"source_ip": ", ".join(seen)}
        finding.ok = check.source_ip not in seen
        if not finding.ok:
            finding.detail = "the client has the router's address without the router: it proves nothing"


def _silent(listed: Iterable[Check], answers: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether no connection through the router got any answer, not even a refusal, while one past it did."""
    probed = [(check.kind, answers[check.target]) for check in listed if check.target in answers]
    through = [answer for kind, answer in probed if kind in ("rule", "fallback")]
    past = [answer for kind, answer in probed if kind == "direct"]
    return (
        bool(through)
        and not any(answer["connected"] or answer["refused"] for answer in through)
        and any(answer["connected"] for answer in past)
    )


def _failure(answer: Mapping[str, Any]) -> str:
    """`refused`, `timed out` or the client's own words."""
    words = [
        (f"{answer.get(key)} x " if answer.get(key, 0) > 1 else "") + key.replace("_", " ")
        for key in ("connected", "refused", "timed_out", "failed")
        if answer.get(key)
    ]
    errors = [str(error) for error in answer.get("errors") or []]
    if answer.get("failed") and errors:
        words.append(errors[0])
    return ", ".join(words) or "no answer"


def _report(router: Router, state: Mapping[str, Any], findings: list[Finding]) -> dict[str, Any]:
    return {
        "router": router.name,
        "namespace": router.namespace,
        "node": str(state.get("node") or ""),
        "ip": [address.ip for address in router.addresses],
        "mac": router.mac,
        "ok": all(finding.ok is not False for finding in findings),
        "checks": [finding.as_dict() for finding in findings],
    }


def _summary(reports: list[dict[str, Any]]) -> str:
    found = [check["ok"] for report in reports for check in report["checks"]]
    words = [f"{found.count(True)} passed", f"{found.count(False)} failed"]
    words += [f"{found.count(None)} not proved"] if None in found else []
    return f"{len(reports)} {'router' if len(reports) == 1 else 'routers'}: {', '.join(words)}"


def _problems(reports: list[dict[str, Any]]) -> list[str]:
    found = []
    for report in reports:
        for check in report["checks"]:
            if check["ok"] is False:
                what = f"{check['check']} {check['target']}".rstrip()
                found.append(f"router {report['namespace']}/{report['router']}, {what}: {check['detail']}")
    return found


def _row(check: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    word = {True: "ok", False: "FAILED", None: "-"}[check["ok"]]
    result = f"{word}: {check['detail']}" if check["detail"] else word
    return check["check"], check["target"], _side(check["expected"]), _side(check["observed"]), result


def _side(values: Mapping[str, str]) -> str:
    source = " ".join(values[key] for key in ("answer", "ip", "source_ip", "mac", "source_mac") if values.get(key))
    return f"{source} at {values['destination']}" if values.get("destination") else source


def _by_router(states: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {f"{state['namespace']}/{state['name']}": state for state in states}


def _source(router: Router, family: int) -> str:
    address = router.address(family)
    return address.ip if address else ""


def _free_port(router: Router) -> int:
    taken = {rule.port for rule in router.rules.rules}
    return next(port for port in range(_FREE_PORT_FROM, 65536) if port not in taken)


def _bare(addresses: Iterable[str]) -> list[str]:
    return [str(address).split("/", 1)[0] for address in addresses]


def _endpoint(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _scheme(protocol: str, target_port: int, scope: Scope) -> str:
    return "http" if protocol == "TCP" and target_port in scope.http_ports else protocol.lower()


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://{_endpoint(host, port)}"
