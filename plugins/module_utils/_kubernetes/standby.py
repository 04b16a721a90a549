# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Who stands by for the serving pod of a router, and why nobody does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from .._contract.failover import BEAT_PORT
from .._contract.status import Status
from .pods import going, pod_problem

Item: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True)
class Lacking:
    """What a router that serves lacks of the pods that it asks for. `reason`: empty if nothing. `starting`: it is on its way."""

    reason: str = ""
    starting: bool = False


def lacking(replicas: int, status: Status, holder: str, pods: list[Item], events: list[Item]) -> Lacking:
    """Which pods do not stand by, and why. `holder`: the pod that holds the Lease. `events`: of pods that do not start."""
    others = {pod["metadata"]["name"]: pod for pod in pods if not going(pod) and pod["metadata"]["name"] != holder}
    if replicas < 2:
        return Lacking()
    if len(others) < replicas - 1:
        return Lacking(f"{len(others)} of {replicas - 1} pods that stand by are there", starting=True)
    reasons = [why for pod in others.values() if (why := _why_not(pod, status, events)).reason]
    if reasons:
        # First what lasts: somebody has to do something about it.
        return min(reasons, key=lambda why: why.starting)
    if status.successor not in others:
        told = "" if status.successor else status.successor_error
        return Lacking(
            "no pod is its successor, so it is as fast as its Lease: "
            + (
                told
                or f"see whether a network policy keeps the pods' messages ({BEAT_PORT}/UDP) from one another, and whether their Secret "
                "is there (docs/failover.md)"
            )
        )
    return Lacking()


def _why_not(pod: Item, status: Status, events: list[Item]) -> Lacking:
    name, node = pod["metadata"]["name"], (pod.get("spec") or {}).get("nodeName") or ""
    own = [event for event in events if event["involvedObject"].get("name") == name]
    problem = pod_problem(pod, own)
    if problem:
        return Lacking(problem)
    if name == status.successor and status.successor_error:
        return Lacking(f"pod {name} on node {node} could not take over: {status.successor_error}")
    if _is_ready(pod):
        return Lacking()
    containers = (pod.get("status") or {}).get("containerStatuses") or []
    running = bool(containers) and all("running" in (one.get("state") or {}) for one in containers)
    if running:
        return Lacking(f"pod {name} on node {node} is not ready to take over: its log says why")
    return Lacking(f"pod {name} is starting", starting=True)


def described(lease: Item, status: Status, serving: bool, pods: list[Item], why: Lacking) -> dict[str, Any]:
    """How the pods of a router stand by for each other, as router_info returns it."""
    spec = lease.get("spec") or {}
    nodes = {pod["metadata"]["name"]: (pod.get("spec") or {}).get("nodeName") or "" for pod in pods}
    holder = spec.get("holderIdentity") or ""
    return {
        "holder": holder,
        "holder_node": nodes.get(holder, ""),
        "holder_able": serving,
        "holder_error": status.error,
        "successor": status.successor,
        "successor_node": nodes.get(status.successor, ""),
        "successor_able": bool(status.successor) and not status.successor_error,
        "successor_error": status.successor_error,
        "reason": why.reason,
        "term": spec.get("leaseTransitions") or 0,
        "last_take_over": {
            "at": status.taken_over_at,
            "from": status.taken_over_from,
            "cause": status.take_over_cause,
            "seconds": _number(status.take_over_seconds, float),
        },
        "beats_lost": _number(status.beats_lost, int) or 0,
        "relay_error": status.relay_error,
    }


def _number(text: str, kind: Callable[[str], Any]) -> Any:
    """The number of an annotation; None if there is none, or if somebody has edited it."""
    try:
        return kind(text)
    except ValueError:
        return None


def _is_ready(pod: Item) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
