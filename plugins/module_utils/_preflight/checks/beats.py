# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether network policies keep the pods of a router from one another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..._contract.failover import BEAT_PORT, RELAY_PORT
from ..._router.manifests import BEAT_PORT_NAME, RELAY_PORT_NAME, pod_labels
from ..._router.router import Router
from ..facts import NAMESPACES, POLICIES, Facts, name_of
from ..finding import WARNING, Check, Finding, Part
from ..network_policies import EGRESS, INGRESS, Pods, Port, blocking


@dataclass(frozen=True)
class _Need:
    """What pods of a router send one another, where, and what is so where it does not arrive."""

    what: str
    port: Port
    cost: str

    def __str__(self) -> str:
        return f"{self.what} ({self.port.number}/{self.port.protocol})"


_BEATS = _Need(
    "messages", Port("UDP", BEAT_PORT, BEAT_PORT_NAME), "a take-over takes as long as the Lease of the router lasts"
)
_RELAYS = _Need(
    "relayed connections",
    Port("UDP", RELAY_PORT, RELAY_PORT_NAME),
    "open connections are reset when a pod is drained, updated or asked to hand over",
)
# Every namespace has it, whoever made it.
_NAME = "kubernetes.io/metadata.name"


def _ask(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        if not router.has_standbys:
            continue
        pods = _pods(facts, router)
        blocked = {need: blocking(facts.policies, pods, need.port) for need in _needs(router)}
        for direction, way in ((INGRESS, "from"), (EGRESS, "to")):
            lacking = [need for need, found in blocked.items() if direction in found]
            if not lacking:
                continue
            # Those that are about this direction, whatever the port.
            names = ", ".join(name_of(policy) for policy in blocked[lacking[0]][direction])
            yield Finding(
                "beats", WARNING,
                f"the network policies {names} of namespace {router.namespace} permit no {' and no '.join(map(str, lacking))} "
                f"{way} its other pods",
                "that its pods reach one another on " + " and ".join(f"{n.port.number}/{n.port.protocol}" for n in lacking),
                "Apply the network policy of docs/failover.md, without which " + ", and ".join(n.cost for n in lacking),
                (router.id,),
            )  # fmt: skip


def _needs(router: Router) -> list[_Need]:
    return [_BEATS, _RELAYS] if router.failover.relay_seconds else [_BEATS]


def _pods(facts: Facts, router: Router) -> Pods:
    namespace = facts.namespaces.get(router.namespace, {"metadata": {}})
    labels = {_NAME: router.namespace, **(namespace["metadata"].get("labels") or {})}
    # Both go to the pods' first addresses.
    ranges = [(node["spec"].get("podCIDRs") or [""])[0] for node in facts.eligible(router)]
    return Pods(router.namespace, pod_labels(router), labels, () if "" in ranges else tuple(ranges))


CHECK = Check(
    "beats", "no network policy keeps the pods of a router from one another", (Part((POLICIES, NAMESPACES), _ask),)
)
