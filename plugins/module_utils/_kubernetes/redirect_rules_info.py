# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Compares the rules that are wanted (ConfigMap) with those in the routers' kernels (the agents' answers)."""

from __future__ import annotations

from typing import Any

from .._common.concurrent import each
from .._common.errors import EgressError
from .._contract import names
from .._contract.config_map import rules_text
from .._contract.rules import RulesError, RuleSet, make_rule, parse
from .._contract.status import Status
from .cluster import Cluster
from .selection import Key, find_all, router_of


def read(cluster: Cluster, wanted: list[Key] | None, where: list[Any]) -> list[dict[str, Any]]:
    """One dictionary for each router: those `wanted`, in that order, or all that exist (None)."""
    objects = find_all(cluster, ("ConfigMap", "Lease"), where)
    texts = {router_of(item): item for item in objects["ConfigMap"]}
    leases = {router_of(item): item for item in objects["Lease"]}
    keys = wanted if wanted is not None else sorted({*texts, *leases})
    return each(lambda key: _one(cluster, key, texts.get(key), leases.get(key)), keys)


def _one(cluster: Cluster, key: Key, config_map: dict[str, Any] | None, lease: dict[str, Any] | None) -> dict[str, Any]:
    namespace, name = key
    desired, errors = RuleSet(), []
    if config_map is None:
        errors.append(f"ConfigMap {namespace}/{names.rules_config_map(name)} does not exist")
    else:
        try:
            desired = parse(rules_text(config_map))
        except RulesError as error:
            errors.append(f"the rules in ConfigMap {namespace}/{names.rules_config_map(name)} cannot be read: {error}")
    live: list[dict[str, Any]] = []
    fallback, live_set = None, None
    try:
        answer = _ask(cluster, namespace, Status.from_lease(lease or {}))
        live, fallback = answer.get("rules") or [], answer.get("fallback")
        live_set = _rule_set(live, fallback)
    except (EgressError, RulesError) as error:
        errors.append(str(error))
    return compared(key, desired, live, fallback, live_set, errors)


def compared(
    key: Key,
    desired: RuleSet,
    live: list[dict[str, Any]],
    fallback: dict[str, Any] | None,
    live_set: RuleSet | None,
    errors: list[str],
) -> dict[str, Any]:
    """The result for one router. `live` and `fallback`: as they are shown; `live_set`: the same to compare, None if not known."""
    namespace, name = key
    drift = _drift(desired, live_set) if live_set is not None else []
    return {
        "name": name,
        "namespace": namespace,
        "desired": [rule.as_dict() for rule in desired.rules],
        "desired_fallback_ip": desired.fallback_ip,
        "live": live,
        "live_fallback": fallback,
        "hash": desired.hash(),
        "live_hash": live_set.hash() if live_set is not None else "",
        "in_sync": live_set is not None and live_set.hash() == desired.hash() and not errors,
        "drift": drift,
        "error": "; ".join(errors),
    }


def _ask(cluster: Cluster, namespace: str, status: Status) -> dict[str, Any]:
    if not status.pod:
        raise EgressError("none of the router's pods has reported yet, so its live rules are not known")
    answer: dict[str, Any] = cluster.pod_http(namespace, status.pod, names.AGENT_PORT, "/rules")
    return answer


def _rule_set(rules: list[dict[str, Any]], fallback: dict[str, Any] | None) -> RuleSet:
    found = [
        make_rule(
            item["port"],
            item["protocol"],
            item["destination_ip"],
            item["target_port"],
            item.get("name"),
            item.get("source_ip"),
        )
        for item in rules
    ]
    return RuleSet(tuple(sorted(found)), fallback["destination_ip"] if fallback else "")


def _drift(desired: RuleSet, live: RuleSet) -> list[str]:
    """`-` for what is wanted and not live, `+` for what is live and not wanted. Names do not count."""
    want, have = _effects(desired), _effects(live)
    return [f"- {line}" for line in want if line not in have] + [f"+ {line}" for line in have if line not in want]


def _effects(rules: RuleSet) -> dict[str, None]:
    lines = [rule.line(with_name=False) for rule in rules.rules]
    return dict.fromkeys(lines + ([f"fallback {rules.fallback_ip}"] if rules.fallback_ip else []))
