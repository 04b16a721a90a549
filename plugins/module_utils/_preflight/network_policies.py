# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What network policies permit. Pure.

Policies are additive: once one of them selects a pod for a direction, the pod has what any of those that do permits, and no more
(https://kubernetes.io/docs/concepts/services-networking/network-policies/).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Item: TypeAlias = "Mapping[str, Any]"
INGRESS, EGRESS = "Ingress", "Egress"


@dataclass(frozen=True)
class Pods:
    """Pods of one namespace that are alike. `ranges`: networks with all of their addresses; empty: unknown."""

    namespace: str
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str]
    ranges: tuple[str, ...] = ()


@dataclass(frozen=True)
class Port:
    """Where pods listen. `name`: of the port of their container, by which policies may call it."""

    protocol: str
    number: int
    name: str = ""


def types(policy: Item) -> list[str]:
    """The directions that a policy is about."""
    spec = policy.get("spec") or {}
    return list(spec.get("policyTypes") or ([INGRESS, EGRESS] if spec.get("egress") else [INGRESS]))


def selecting(policies: Iterable[Item], namespace: str, labels: Mapping[str, str]) -> list[Item]:
    """Those policies that select pods with these labels."""
    own = [policy for policy in policies if policy["metadata"]["namespace"] == namespace]
    return [policy for policy in own if matches((policy.get("spec") or {}).get("podSelector") or {}, labels)]


def matches(selector: Item, labels: Mapping[str, str]) -> bool:
    """https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.34/#labelselector-v1-meta"""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(item, labels) for item in selector.get("matchExpressions") or ())


def _expression(expression: Item, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(expression["operator"], False)


def blocking(policies: Iterable[Item], pods: Pods, port: Port) -> dict[str, list[Item]]:
    """By direction, the policies that keep these pods from reaching a port of one another; empty if none does."""
    own = selecting(policies, pods.namespace, pods.labels)
    found = {}
    for direction, rules, peers in ((INGRESS, "ingress", "from"), (EGRESS, "egress", "to")):
        about = [policy for policy in own if direction in types(policy)]
        permitted = (rule for policy in about for rule in (policy.get("spec") or {}).get(rules) or ())
        if about and not any(_permits(rule, rule.get(peers) or (), pods, port) for rule in permitted):
            found[direction] = about
    return found


def _permits(rule: Item, peers: Iterable[Item], pods: Pods, port: Port) -> bool:
    ports, peers = rule.get("ports") or (), list(peers)
    if ports and not any(_has_port(item, port) for item in ports):
        return False
    return not peers or any(_has_pods(peer, pods) for peer in peers)


def _has_port(item: Item, port: Port) -> bool:
    if (item.get("protocol") or "TCP") != port.protocol:
        return False
    first = item.get("port")
    if not isinstance(first, int):
        return first in (None, port.name)
    return first <= port.number <= (item.get("endPort") or first)


def _has_pods(peer: Item, pods: Pods) -> bool:
    """Whether a peer of a policy in the pods' own namespace is these pods. An empty selector selects all."""
    if peer.get("ipBlock"):
        return _covers(peer["ipBlock"], pods.ranges)
    of_namespace, of_pods = peer.get("namespaceSelector"), peer.get("podSelector")
    if of_namespace is not None and not matches(of_namespace, pods.namespace_labels):
        return False
    return of_pods is None or matches(of_pods, pods.labels)


def _covers(block: Item, ranges: Iterable[str]) -> bool:
    """Whether a block has all addresses of the ranges. Of unknown ones only a block with every address has."""
    inside = ipaddress.ip_network(block["cidr"], strict=False)
    outside = [ipaddress.ip_network(text, strict=False) for text in block.get("except") or ()]
    wanted = [ipaddress.ip_network(text, strict=False) for text in ranges]
    if not wanted:
        return inside.prefixlen == 0 and not outside
    return all(_within(one, inside) and not any(one.overlaps(other) for other in outside) for one in wanted)


def _within(one: Any, other: Any) -> bool:
    return bool(one.version == other.version and one.subnet_of(other))
