# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A router of two pods on the fake API server, whose agents hand over, and take over from pods that are deleted or evicted."""

from __future__ import annotations

import itertools
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract import names

from .fake_api_server import FakeAgent, FakeCluster, Fault, add_router

Pod = dict[str, str]


class Pair:
    """The first of `pods` serves, the second stands by. `obeys`: whether the agents do anything."""

    def __init__(self, cluster: FakeCluster, name: str = "billing-db", replicas: int = 2) -> None:
        self.agent: FakeAgent = add_router(cluster, "payments", name)
        self.cluster, self.name, self.key = cluster, name, ("leases", "payments", name)
        self.obeys = True
        self.asked: list[str] = []
        self.moves = 0
        self._numbers = itertools.count(1)
        self._labels = cluster.objects[("pods", "payments", f"{name}-abc")]["metadata"]["labels"]
        deployment = cluster.objects[("deployments", "payments", name)]
        deployment["spec"]["replicas"] = replicas
        deployment["status"].update(replicas=replicas, updatedReplicas=replicas)
        self.pods: list[Pod] = [{"pod": f"{name}-abc", "node": "worker-1"}]
        if replicas > 1:
            self.pods.append(self._add(f"{name}-xyz", "worker-2"))
        self.report()
        cluster.watchers.append(self._written)
        self._fault: Fault = cluster.fault
        cluster.fault = self._requested

    def report(self, **fields: str) -> None:
        """What the pod that serves says in the Lease."""
        successor = self.pods[1]["pod"] if len(self.pods) > 1 else ""
        self.agent.report(**{**self.pods[0], "successor": successor, "take_over_seconds": "0.05", **fields})
        self.cluster.objects[self.key]["spec"]["leaseTransitions"] = self.moves

    def take_over(self, cause: str) -> None:
        self.moves += 1
        self.report(take_over_cause=cause)

    def _add(self, name: str, node: str) -> Pod:
        self.cluster.add(
            "pods", "payments", name, metadata={"labels": self._labels}, spec={"nodeName": node}, status={"phase": "Running"}
        )  # fmt: skip
        return {"pod": name, "node": node}

    def _written(self, plural: str, item: dict[str, Any]) -> None:
        value = (item["metadata"].get("annotations") or {}).get(names.HAND_OVER)
        if plural != "leases" or item["metadata"]["name"] != self.name or not value or value in self.asked:
            return
        self.asked.append(value)
        if self.obeys:
            self.pods.reverse()
            self.take_over("handed over")

    def _requested(self, method: str, path: str) -> tuple[int, str] | None:
        refused = self._fault(method, path)
        gone = path.rsplit("/pods/", 1)[-1].removesuffix("/eviction")
        ends = method == "DELETE" or path.endswith("/eviction")
        if refused is None and ends and self.obeys and gone == self.pods[0]["pod"]:
            # The Deployment makes another pod where there is room.
            self.pods.append(self._add(f"{self.name}-{next(self._numbers)}", self.pods[0]["node"]))
            self.pods.pop(0)
            self.take_over("its pod has ended")
        return refused
