# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Rules of routers on the cluster that leave from an address of their own, and what these routers have of addresses.

A pod takes its addresses when it starts and its rules while it runs, so each has to be changed in its turn. Who has both of a
router's, here and now, refuses what its agent would refuse, before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from .._common.errors import Forbidden, NotFound
from .._contract import names
from .._contract.config_map import rules_text
from .._contract.identity import Identity
from .._contract.rules import Rule, RulesError, RuleSet, parse
from .._contract.sources import FIRST, SPREAD, refusal
from .._contract.status import Status
from .._router.router import Router
from .cluster import Cluster
from .router_info import identity_of

# How many rules a sentence names.
_NAMED = 10


def in_the_way(cluster: Cluster, router: Router, deployment: Mapping[str, Any] | None) -> str:
    """Which rules on the cluster leave from an address that the router would not have any more; empty if none does.

    `deployment`: as it is, None if there is none.
    """
    identity = _identity(deployment or {})
    own = [address.ip for address in router.addresses]
    if identity is None or (_ips(identity) <= set(own) and identity.source == router.source):
        return ""
    try:
        rules = parse(rules_text(cluster.get("ConfigMap", router.namespace, names.rules_config_map(router.name))))
    except (NotFound, RulesError):
        return ""
    first = "with egress.router.redirect_rules first"
    stuck = [rule for rule in rules.rules if rule.source_ip and rule.source_ip not in own]
    if stuck:
        gone = " and ".join(dict.fromkeys(rule.source_ip for rule in stuck))
        return (
            f"router {router.id}, addresses: {gone} cannot be removed, {_named(stuck)} of the cluster still leave from there: give them "
            f"another source_ip or none {first}, and if that is a new address, add it before that"
        )
    stuck = [rule for rule in rules.rules if refusal(rule.source_ip, rule.family, own, router.source)]
    if stuck:
        return (
            f"router {router.id}, source: cannot be {SPREAD}, {_named(stuck)} of the cluster have a source_ip: remove it from them "
            f"{first}"
        )
    return ""


def missing(cluster: Cluster, namespace: str, name: str, rules: RuleSet) -> list[str]:
    """Why a router on the cluster cannot take `rules`, for each that leaves from an address of its own. Nothing if nobody knows."""
    some = [rule for rule in rules.rules if rule.source_ip]
    known = _known(cluster, namespace, name) if some else None
    if known is None:
        return []
    ips, source = known
    reasons = {rule: refusal(rule.source_ip, rule.family, ips, source) for rule in some}
    return [
        f"port {rule.port}/{rule.protocol}: source_ip '{rule.source_ip}' {reason}"
        for rule, reason in reasons.items()
        if reason
    ]


def _known(cluster: Cluster, namespace: str, name: str) -> tuple[list[str], str] | None:
    """The addresses of a router, and its source: those of its Deployment, or what its agent reports who may not read that."""
    with suppress(NotFound, Forbidden):
        identity = _identity(cluster.get("Deployment", namespace, name))
        if identity:
            return [address.ip.partition("/")[0] for address in identity.addresses], identity.source
    with suppress(NotFound, Forbidden):
        reported = Status.from_lease(cluster.get("Lease", namespace, name)).addresses
        return ([one.partition("/")[0] for one in reported.split(",")], FIRST) if reported else None
    return None


def _identity(deployment: Mapping[str, Any]) -> Identity | None:
    spec = ((deployment.get("spec") or {}).get("template") or {}).get("spec") or {}
    return identity_of(next(iter(spec.get("containers") or ()), {}))


def _ips(identity: Identity) -> set[str]:
    return {address.ip.partition("/")[0] for address in identity.addresses}


def _named(rules: Iterable[Rule]) -> str:
    ports = [f"{rule.port}/{rule.protocol}" for rule in rules]
    more = f" and {len(ports) - _NAMED} more" if len(ports) > _NAMED else ""
    return f"{'rule' if len(ports) == 1 else 'rules'} {', '.join(ports[:_NAMED])}{more}"
