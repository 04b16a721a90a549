# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Causes the events of a drill."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from .._common.concurrent import wait_until
from .._common.errors import EgressError, NotReady, Unreachable
from .._common.signals import uninterrupted
from .._kubernetes.cluster import Cluster
from .._kubernetes.hand_over import ask, await_other, pod_of
from .._kubernetes.router_info import Facts
from .plan import HAND_OVER, POD_DELETED, server

MANAGER = "egress.router.drill"
# A node that stays cordoned is a nuisance: as long as an API server may be away.
UNCORDON_SECONDS = 60.0


def cause(cluster: Cluster, event: str, facts: Facts, seconds: float) -> dict[str, Any]:
    """Does it to the pod that serves, and returns the Lease when another one serves."""
    key, before = (facts.namespace, facts.name), server(facts)
    if event == HAND_OVER:
        ask(cluster, facts)
        return await_other(cluster, key, before, seconds)
    pod = pod_of(facts, before.pod)
    if pod is None:
        raise NotReady(f"{before} is ending or gone")
    uid = pod["metadata"].get("uid") or ""
    if event == POD_DELETED:
        cluster.delete("Pod", facts.namespace, before.pod, uid=uid)
        return await_other(cluster, key, before, seconds)
    with cordoned(cluster, before.node):
        # A PodDisruptionBudget may be against it for a while, as with kubectl drain.
        wait_until(lambda: _evict(cluster, facts.namespace, before.pod, uid), seconds)
        return await_other(cluster, key, before, seconds)


def _evict(cluster: Cluster, namespace: str, pod: str, uid: str) -> bool:
    cluster.evict(namespace, pod, uid)
    return True


@contextmanager
def cordoned(cluster: Cluster, node: str) -> Generator[None, None, None]:
    """No new pod gets to the node meanwhile. One that was cordoned before stays so. A Ctrl-C waits until it is over."""
    if (cluster.get("Node", "", node).get("spec") or {}).get("unschedulable"):
        yield
        return
    with uninterrupted():
        try:
            cluster.merge("Node", "", node, {"spec": {"unschedulable": True}}, MANAGER)
        except Unreachable:
            # It may have been done.
            _restore(cluster, node)
            raise
        try:
            yield
        finally:
            _restore(cluster, node)


def _restore(cluster: Cluster, node: str) -> None:
    try:
        wait_until(lambda: _uncordon(cluster, node), UNCORDON_SECONDS)
    except EgressError as error:
        raise EgressError(f"node {node} stays cordoned, run kubectl uncordon {node}: {error}") from error


def _uncordon(cluster: Cluster, node: str) -> bool:
    cluster.merge("Node", "", node, {"spec": {"unschedulable": None}}, MANAGER)
    return True
