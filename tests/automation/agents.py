# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the agents of all routers of some namespaces: they say that they serve the rules of their ConfigMap, and hand over."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.rules import parse
from ansible_collections.egress.router.plugins.module_utils._contract.status import SERVING, Status
from ansible_collections.egress.router.tests.api_server.api import NODE, Api
from ansible_collections.egress.router.tests.api_server.nodes import Repeating


class Agents(Repeating):
    def __init__(self, api: Api, namespaces: list[str]) -> None:
        super().__init__()
        self._api, self._namespaces = api, namespaces
        # What was asked last of each router to hand over, and was done.
        self._heeded: dict[str, str] = {}

    def step(self) -> None:
        for namespace in self._namespaces:
            pods = self._api("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
            leases = self._api("GET", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")["items"]
            for lease in leases:
                own = [
                    pod
                    for pod in pods
                    if pod["metadata"]["labels"].get(names.LABEL_INSTANCE) == lease["metadata"]["name"]
                ]
                running = [
                    pod for pod in own if pod["status"].get("podIP") and "deletionTimestamp" not in pod["metadata"]
                ]
                if running:
                    self._serve(namespace, lease, sorted(pod["metadata"]["name"] for pod in running))

    def _serve(self, namespace: str, lease: Any, pods: list[str]) -> None:
        name, spec = lease["metadata"]["name"], lease.get("spec") or {}
        before = spec.get("holderIdentity") or ""
        asked = (lease["metadata"].get("annotations") or {}).get(names.HAND_OVER, "")
        path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"
        rules = self._api("GET", f"/api/v1/namespaces/{namespace}/configmaps/{name}-rules")
        given = (rules.get("data") or {}).get("rules", "")
        loaded = parse(given)
        others = [pod for pod in pods if pod != before]
        moves = bool(others) and asked != self._heeded.get(path, "")
        holder = others[0] if moves or before not in pods else before
        self._heeded[path] = asked
        old = Status.from_lease(lease)
        status = Status(
            state=SERVING,
            pod=holder,
            node=NODE,
            successor=next((pod for pod in pods if pod != holder), ""),
            rules_hash=loaded.hash(),
            rules_version=rules["metadata"]["resourceVersion"],
            taken_over_from=before if moves else old.taken_over_from,
            take_over_cause="it was asked to" if moves else old.take_over_cause,
            take_over_seconds="0.02" if moves else old.take_over_seconds,
        )
        renewed = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        held = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed}
        held["leaseTransitions"] = spec.get("leaseTransitions", 0) + moves
        self._api.merge(path, {"metadata": {"annotations": status.annotations()}, "spec": held})
