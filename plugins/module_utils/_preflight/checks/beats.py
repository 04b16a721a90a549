# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether network policies keep the pods of a router from telling one another that they are alive."""

from __future__ import annotations

from collections.abc import Iterator

from ..._contract.failover import BEAT_PORT
from ..._router.manifests import BEAT_PORT_NAME, pod_labels
from ..._router.router import Router
from ..facts import NAMESPACES, POLICIES, Facts, name_of
from ..finding import WARNING, Check, Finding, Part
from ..network_policies import INGRESS, Pods, Port, blocking

_PORT = Port("UDP", BEAT_PORT, BEAT_PORT_NAME)
# Every namespace has it, whoever made it.
_NAME = "kubernetes.io/metadata.name"


def _ask(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        if not router.has_standbys:
            continue
        for direction, policies in blocking(facts.policies, _pods(facts, router), _PORT).items():
            names = ", ".join(name_of(policy) for policy in policies)
            way = "from" if direction == INGRESS else "to"
            yield Finding(
                "beats", WARNING,
                f"the network policies {names} of namespace {router.namespace} permit no messages {way} its other pods "
                f"({BEAT_PORT}/UDP)",
                "that its pods reach one another, so that one takes over at once when the other one fails",
                "Apply the network policy of docs/failover.md, without which it takes as long as the Lease of the router lasts",
                (router.id,),
            )  # fmt: skip


def _pods(facts: Facts, router: Router) -> Pods:
    namespace = facts.namespaces.get(router.namespace, {"metadata": {}})
    labels = {_NAME: router.namespace, **(namespace["metadata"].get("labels") or {})}
    # Messages go to the pods' first addresses.
    ranges = [(node["spec"].get("podCIDRs") or [""])[0] for node in facts.eligible(router)]
    return Pods(router.namespace, pod_labels(router), labels, () if "" in ranges else tuple(ranges))


CHECK = Check(
    "beats", "no network policy keeps the pods of a router from one another", (Part((POLICIES, NAMESPACES), _ask),)
)
