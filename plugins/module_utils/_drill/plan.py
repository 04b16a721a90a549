# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What a drill does to a router, and whether it can be done."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from .._contract.target import scheme_of
from .._kubernetes.hand_over import Refusal, Server, node_of, refusal, term
from .._kubernetes.router_info import Facts
from .._router.backend import AGENT
from .._router.router import Router
from .._verify.checks import endpoint

# What is done to the pod that serves.
HAND_OVER, POD_DELETED, NODE_DRAINED = "hand_over", "pod_deleted", "node_drained"
EVENTS = (HAND_OVER, POD_DELETED, NODE_DRAINED)

_DOES = {
    HAND_OVER: "ask {pod} to hand over",
    POD_DELETED: "delete {pod}",
    NODE_DRAINED: "cordon node {node}, evict {pod} and no other pod, and uncordon the node when another pod of the router serves",
}


def targets(router: Router) -> list[str]:
    """What the client connects to: the first TCP port of the router's Service, and the first UDP port, in each of its families."""
    ports = [(rule.protocol, rule.family, rule.port) for rule in router.rules.rules]
    # Without a rule they lead to the fallback.
    fallback = 6 if ":" in router.rules.fallback_ip else 4
    ports += [(protocol, fallback, port) for port, protocol in router.service.extra_ports]
    host = f"{router.service.name}.{router.namespace}.svc"
    families = tuple(dict.fromkeys(router.families))
    found = []
    for protocol, family in itertools.product(("TCP", "UDP"), families):
        first = next((port for port in ports if port[:2] == (protocol, family)), None)
        if first is not None:
            # A router of one family has the name of its Service in that alone.
            found.append(f"{scheme_of(protocol, family if len(families) > 1 else 0)}://{endpoint(host, first[2])}")
    return found


def input_problems(routers: Iterable[Router], established: int) -> list[str]:
    """Why the list cannot be drilled with so many established connections, whatever the cluster says."""
    found = []
    for router in routers:
        if not router.present:
            found.append(
                f"router {router.id}: an absent router cannot be drilled: leave it out, or set state to present"
            )
        elif router.backend != AGENT:
            found.append(f"router {router.id}: no pod stands by, because its backend is {router.backend}: leave it out")
        elif not targets(router):
            found.append(
                f"router {router.id}: there is no TCP or UDP port that the client could connect to: add a rule for one, or leave it out"
            )
        elif established and not targets(router)[0].startswith("tcp"):
            found.append(
                f"router {router.id}: there is no TCP port for established connections: set established to 0, or leave it out"
            )
    return found


def replicas(facts: Facts) -> int:
    """How many pods the router's Deployment has."""
    return int((((facts.deployment or {}).get("spec")) or {}).get("replicas", 1))


def refused(facts: Facts, events: Sequence[str], single_replica: bool) -> Refusal | None:
    """Why a router cannot be drilled now; None if it can."""
    if facts.deployment is None or replicas(facts) != 1:
        return refusal(facts)
    if not single_replica:
        return Refusal(
            "it has one replica, so its clients would wait until a new pod serves: set replicas to 2, or say that this is meant "
            "(drill_single_replica, or single_replica of the module)"
        )
    if HAND_OVER in events:
        return Refusal(f"it has one replica, and nobody to hand over to: leave {HAND_OVER} out of the events")
    return None if facts.serving else Refusal(f"it does not serve: {facts.reason()}", passes=True)


def server(facts: Facts) -> Server:
    """The pod that serves."""
    status = facts.status
    return Server(status.pod, node_of(facts, status.pod) or status.node, term(facts.lease or {}))


def heir(facts: Facts) -> Server | None:
    """The pod that is expected to serve next; None if it does not exist yet."""
    name = facts.status.successor
    return Server(name, node_of(facts, name), term(facts.lease or {}) + 1) if name and replicas(facts) > 1 else None


def sentence(event: str, router: Router, before: Server, after: Server | None) -> str:
    """What would be done."""
    does = _DOES[event].format(pod=f"pod {before.pod}", node=before.node)
    return f"router {router.id}, {event}: {does}; then {after or 'a new pod'} is to serve"
