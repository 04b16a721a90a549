# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What is to be proved of a router: one check for each rule, for the fallback, and for what must not work.

The targets of a client and the report come from the same list of checks, so what is judged is what was probed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._contract.names import AGENT_PORT
from .._contract.rules import Rule
from .._contract.sources import SPREAD
from .._contract.target import scheme_of
from .._router.router import Router

# A connection to a port without a rule must be refused. The first such port from here on is tried.
_FREE_PORT_FROM = 61000

RULE, FALLBACK, REFUSED, DIRECT = "rule", "fallback", "refused", "direct"


@dataclass(frozen=True)
class Check:
    """One thing to prove. `target`: what the client connects to; empty if it cannot, and `note` says why.

    `kind`: `rule` and `fallback` (the server at `destination` must see one of `source_ips`, and `source_mac` if it is on the
    segment), `refused` (nothing may answer), `direct` (without the router the server must see none of `source_ips`).
    """

    kind: str
    target: str
    source_ips: tuple[str, ...] = ()
    source_mac: str = ""
    destination: str = ""
    note: str = ""


@dataclass(frozen=True)
class Scope:
    """What is known of the servers.

    `fallback_ports`: TCP ports that the fallback destinations serve. `http_ports`: ports of destinations that speak
    HTTP, and so say nothing until they are asked. `observers` False: the destinations are ordinary servers that do not
    report what they see, so a connection is all that can be proved.
    """

    fallback_ports: tuple[int, ...] = ()
    http_ports: tuple[int, ...] = ()
    observers: bool = True


def targets(routers: Iterable[Router], states: Iterable[Mapping[str, Any]], scope: Scope) -> list[str]:
    """What the client has to connect to, each once. `states`: the result of router_info."""
    known = by_router(states)
    found = [check.target for router in routers for check in checks(router, known.get(router.id, {}), scope)]
    return list(dict.fromkeys(filter(None, found)))


def checks(router: Router, state: Mapping[str, Any], scope: Scope) -> list[Check]:
    """Everything there is to prove of one router, in the order of the report. What has to work in each family is proved in each."""
    host = f"{router.service.name}.{router.namespace}.svc"
    families = tuple(dict.fromkeys(router.families))
    pods = {_family(str(ip)): str(ip) for ip in state.get("pod_ips") or []}
    found = [_rule_check(router, rule, host, scope) for rule in router.rules.rules]
    found += _fallback_checks(router, host, pods, scope)
    for family in families:
        if not router.rules.fallback_ip or _family(router.rules.fallback_ip) != family:
            found.append(_refused_check(router, family, pods))
    for family in families:
        first = next((rule for rule in router.rules.rules if (rule.protocol, rule.family) == ("TCP", family)), None)
        if first is not None:
            target = _url(_scheme("TCP", first.target_port, scope), first.destination_ip, first.target_port)
            own = tuple(address.ip for address in router.addresses_of(family))
            found.append(Check(DIRECT, target, source_ips=own))
    return found


def as_seen(router: Router, state: Mapping[str, Any]) -> Router:
    """The router with the MAC address that its pod reports, where the list has none because it changes at every start."""
    return router if router.mac else replace(router, mac=str(state.get("mac") or ""))


def by_router(states: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The results of router_info by NAMESPACE/NAME."""
    return {f"{state['namespace']}/{state['name']}": state for state in states}


def endpoint(ip: str, port: int) -> str:
    """`203.0.113.10:5432`, `[2001:db8::10]:5432`."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _rule_check(router: Router, rule: Rule, host: str, scope: Scope) -> Check:
    if rule.protocol == "SCTP":
        return Check(RULE, "", note=f"port {rule.port}/SCTP is not probed: the client only speaks TCP and UDP")
    return Check(
        RULE,
        _url(_scheme(rule.protocol, rule.target_port, scope, _named(router, rule.family)), host, rule.port),
        source_ips=(rule.source_ip,) if rule.source_ip else _sources(router, rule.family),
        source_mac=router.mac,
        destination=endpoint(rule.destination_ip, rule.target_port),
    )


def _refused_check(router: Router, family: int, pods: Mapping[int, str]) -> Check:
    if family in pods:
        return Check(REFUSED, _url("tcp", pods[family], _free_port(router)))
    which = f"IPv{family} address" if _named(router, family) else "address"
    return Check(REFUSED, "", note=f"not probed: the {which} of the router's pod is unknown")


def _fallback_checks(router: Router, host: str, pods: Mapping[int, str], scope: Scope) -> list[Check]:
    fallback = router.rules.fallback_ip
    if not fallback:
        return []
    family = _family(fallback)
    pod = pods.get(family, "")
    ruled = {(rule.port, rule.protocol) for rule in router.rules.rules if rule.family == family}
    probes = [
        (_url(_scheme(protocol, port, scope, _named(router, family)), host, port), port)
        for port, protocol in router.service.extra_ports
        if protocol != "SCTP"
    ]
    if pod:
        free = [port for port in scope.fallback_ports if (port, "TCP") not in ruled and port != AGENT_PORT]
        probes += [(_url(_scheme("TCP", port, scope), pod, port), port) for port in free]
    if not probes:
        return [Check(FALLBACK, "", note="not probed: no port is known that the fallback destination serves")]
    sources = _sources(router, family)
    return [
        Check(FALLBACK, target, source_ips=sources, source_mac=router.mac, destination=endpoint(fallback, port))
        for target, port in probes
    ]


def _sources(router: Router, family: int) -> tuple[str, ...]:
    """The addresses that a connection may leave from if its rule names none."""
    own = tuple(address.ip for address in router.addresses_of(family))
    return own if router.source == SPREAD else own[:1]


def _family(ip: str) -> int:
    return 6 if ":" in ip else 4


def _named(router: Router, family: int) -> int:
    """The family that a target by the Service's name has to say: that of a router of both."""
    return family if len(set(router.families)) > 1 else 0


def _free_port(router: Router) -> int:
    taken = {rule.port for rule in router.rules.rules}
    return next(port for port in range(_FREE_PORT_FROM, 65536) if port not in taken)


def _scheme(protocol: str, target_port: int, scope: Scope, family: int = 0) -> str:
    return scheme_of("http" if protocol == "TCP" and target_port in scope.http_ports else protocol, family)


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://{endpoint(host, port)}"
