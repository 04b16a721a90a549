# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Waits for the pods of removed routers to end, and says which one does not, and why that may last.

A pod that is deleted stays until the kubelet of its node says that it has ended. One that has not said so long after the pod's grace
period may be slow. If its node is not ready as well, nobody will say so before the node is back, so there is nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeAlias

from .._common.concurrent import each, wait_until
from .._common.errors import Forbidden, NotFound, NotReady
from .._contract import names
from .cluster import Cluster
from .selection import router_of

Key: TypeAlias = "tuple[str, str]"

# So long after its grace period a pod's node is looked at.
OVERDUE_SECONDS = 5.0
# And so long after it the wait ends where the node may not be read: kubelets need a few seconds to clear up.
UNREADABLE_SECONDS = 45.0


def wait_for_removal(cluster: Cluster, keys: set[Key], seconds: float) -> None:
    """Until the Deployments and pods of these routers are gone. NotReady, if they are not in time or will not be."""
    spaces = list(dict.fromkeys(namespace for namespace, _name in keys))
    left: list[dict[str, Any]] = []

    def gone() -> list[str] | None:
        """Empty when all are gone; sentences when nothing that is left will go by itself."""
        nonlocal left
        calls = [(kind, space) for kind in ("Deployment", "Pod") for space in spaces]
        found = each(lambda call: cluster.find(call[0], call[1], labels=names.SELECTOR), calls)
        left = [item for items in found for item in items if router_of(item) in keys]
        pods = _pods(left)
        stuck = [why for pod in pods if (why := _stuck(cluster, pod))]
        return stuck if len(stuck) == len(pods) and (stuck or not left) else None

    stuck = wait_until(gone, seconds) if keys else []
    if stuck is None:
        raise NotReady("\n".join(_still_there(item, seconds) for item in _pods(left) or left))
    if stuck:
        raise NotReady("\n".join(stuck))


def _pods(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in items if item["kind"] == "Pod"]


def _stuck(cluster: Cluster, pod: dict[str, Any]) -> str:
    """Why the pod will not end by itself, with what to do; empty if it may."""
    node, overdue = (pod.get("spec") or {}).get("nodeName") or "", _overdue(pod, cluster.now())
    if not node or overdue < OVERDUE_SECONDS:
        return ""
    try:
        why = _not_ready(cluster.get("Node", "", node))
    except NotFound:
        # Kubernetes removes its pods.
        return ""
    except Forbidden:
        why = f"whether node {node} is ready may not be read: look at it" if overdue >= UNREADABLE_SECONDS else ""
    if not why:
        return ""
    namespace, router = router_of(pod)
    return (
        f"router {namespace}/{router} is not removed: pod {pod['metadata']['name']} on node {node} has not ended {overdue:.0f} s after its "
        f"grace period, and {why}. If the node comes back, the pod ends: run again then. If it is gone for good, delete its Node object"
    )


def _overdue(pod: dict[str, Any], now: datetime) -> float:
    """For how many seconds the pod's grace period has been over; negative before, and if the pod is not deleted yet."""
    # Kubernetes writes the end of the grace period there.
    until = pod["metadata"].get("deletionTimestamp")
    return (now - datetime.fromisoformat(until.replace("Z", "+00:00"))).total_seconds() if until else -1.0


def _not_ready(node: dict[str, Any]) -> str:
    """What the node's condition Ready says, unless it is ready."""
    conditions = (node.get("status") or {}).get("conditions") or []
    ready = next((one for one in conditions if one.get("type") == "Ready"), None)
    if ready is None or ready.get("status") == "True":
        return ""
    said = ready.get("message") or ready.get("reason") or "no reason given"
    return f"the node is not ready ({said.rstrip('.')})"


def _still_there(item: dict[str, Any], seconds: float) -> str:
    namespace, router = router_of(item)
    name, node = item["metadata"]["name"], (item.get("spec") or {}).get("nodeName")
    what = f"pod {name} on node {node or 'none'}" if item["kind"] == "Pod" else f"Deployment {name}"
    advice = f" (if node {node} is gone for good, delete its Node object)" if item["kind"] == "Pod" and node else ""
    return f"router {namespace}/{router} is not removed after {seconds:g} s: waiting for {what} to terminate{advice}"
