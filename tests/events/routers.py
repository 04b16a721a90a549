# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routers on an API server without nodes: their objects, written as the collection, its agents and kubelets write them.

No agent runs, so nobody renews the Leases: they last for longer than the tests.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.rules import parse
from ansible_collections.egress.router.plugins.module_utils._contract.status import SERVING, Status
from ansible_collections.egress.router.plugins.module_utils._router.manifests import KIND, manifests, selector
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.tests.api_server.api import Api

NAMESPACE = "payments"
LEASE_SECONDS = 3600
RULES = "5432 TCP 203.0.113.10\n"


class Router:
    """A router that serves. `node`: of the pod that does."""

    def __init__(self, api: Api, name: str, node: str, replicas: int = 1) -> None:
        self._api, self.name, self._node = api, name, node
        self.pods = [f"{name}-{letter}" for letter in "abc"[:replicas]]
        spec = {"name": name, "namespace": NAMESPACE, "image": "router:1", "replicas": replicas,
                "addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}]}  # fmt: skip
        (router,), problems = load([spec])
        assert not problems
        by_kind = {item["kind"]: item for item in manifests(router)}
        for kind in ("Lease", "Deployment", "ConfigMap"):
            self._apply(by_kind[kind], names.FIELD_MANAGER_DEPLOY)
        self.write_rules(RULES, names.FIELD_MANAGER_RULES)
        made = self._api("GET", self._path("deployments", name))
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
        status = {"observedGeneration": made["metadata"]["generation"], **counts}
        self._api.merge(f"{self._path('deployments', name)}/status", {"status": status})
        for pod in self.pods:
            self.start(pod)
        self.report()

    def report(self, renewed_before: float = 0.0, **fields: str) -> None:
        """What the agent of the first pod writes. `renewed_before`: when it renewed the Lease last, in seconds."""
        rules = parse(RULES)
        status = {
            "state": SERVING, "pod": self.pods[0], "node": self._node, "addresses": "198.51.100.50/24",
            "rules_hash": rules.hash(), "rules_count": str(len(rules.rules)), "successor": "".join(self.pods[1:2]),
        }  # fmt: skip
        at = datetime.now(timezone.utc) - timedelta(seconds=renewed_before)
        spec = {
            "holderIdentity": self.pods[0],
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        annotations = Status(**{**status, **fields}).annotations()
        self._api.merge(self._path("leases", self.name), {"metadata": {"annotations": annotations}, "spec": spec})

    def write_rules(self, text: str, manager: str) -> None:
        """What `kubectl edit` does, or the module redirect_rules."""
        path = self._path("configmaps", names.rules_config_map(self.name))
        self._api.merge(f"{path}?fieldManager={manager}", {"data": {names.RULES_KEY: text}})

    def kubelet(self, pod: str, state: dict[str, Any]) -> None:
        """What a kubelet writes of a pod's container."""
        ready = "running" in state
        container = {
            "name": "router",
            "image": "router:1",
            "imageID": "",
            "ready": ready,
            "restartCount": 0,
            "state": state,
        }
        status = {
            "phase": "Running" if ready else "Pending",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [container],
        }
        self._api.merge(f"{self._path('pods', pod)}/status", {"status": status})

    def delete(self, pod: str) -> None:
        self._api("DELETE", f"{self._path('pods', pod)}?gracePeriodSeconds=0")

    def start(self, pod: str) -> None:
        """A pod as the Deployment's controller, the scheduler and the kubelet leave it."""
        self._api("POST", self._path("pods"), {
            "metadata": {"name": pod, "labels": selector(self.name)},
            "spec": {"nodeName": self._node, "containers": [{"name": "router", "image": "router:1"}]},
        })  # fmt: skip
        self.kubelet(pod, {"running": {"startedAt": "2026-11-27T00:00:00Z"}})

    def _apply(self, manifest: dict[str, Any], manager: str) -> None:
        kind = KIND[manifest["kind"]]
        body = {"apiVersion": kind.api_version, **manifest}
        self._api.apply(self._path(kind.plural, manifest["metadata"]["name"]), manager, body)

    def _path(self, plural: str, name: str = "") -> str:
        prefix = {"leases": "/apis/coordination.k8s.io/v1", "deployments": "/apis/apps/v1"}.get(plural, "/api/v1")
        return f"{prefix}/namespaces/{NAMESPACE}/{plural}" + (f"/{name}" if name else "")


def set_node(api: Api, name: str, ready: str) -> None:
    """A node, with what its kubelet says (`True`, `False`), or what the node controller writes when it is lost (`Unknown`)."""
    if api.get(f"/api/v1/nodes/{name}") is None:
        api("POST", "/api/v1/nodes", {"metadata": {"name": name}})
    condition = {"type": "Ready", "status": ready, "reason": "ByTheTest", "message": ""}
    api.merge(f"/api/v1/nodes/{name}/status", {"status": {"conditions": [condition]}})
