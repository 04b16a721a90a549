# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Reads what there is of a router: its resource, what the operator has made of it, its pod, and what keeps that from running."""

from __future__ import annotations

from typing import Any

from ..._common.errors import Forbidden, InputError, NotFound, NotReady
from ..._contract import names
from ..._egress_router_cr import state
from ..._egress_router_cr.operator import DEPLOYMENT, NETWORK, POD_SELECTOR, RESOURCE, SELECTOR
from ..._egress_router_cr.state import Live
from ..._router.manifests import KIND
from ..._router.router import Router
from ..cluster import Cluster
from ..pods import pod_problem, waits_for_sandbox
from .errors import without_role
from .work import Work


class Reader:
    """What it reads is as the API server has it at that moment."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def read(self, work: Work) -> None:
        """Everything that there is of a router, and in its namespace."""
        router = work.router
        try:
            work.resources = self.cluster.find(RESOURCE.name, router.namespace)
        except NotFound as error:
            if not router.present:
                return  # What the cluster does not know needs no removal.
            raise InputError(
                f"router {router.id}: the API server does not know the kind {RESOURCE.name}: backend {router.backend} needs "
                "OpenShift and its Cluster Network Operator, use backend agent elsewhere"
            ) from error
        except Forbidden as error:
            raise without_role(error) from error
        found = [item for item in work.resources if item["metadata"]["name"] == router.name]
        work.live = self.look(router, found[0] if found else None)
        labels = f"{SELECTOR},{names.LABEL_INSTANCE}={router.name}"
        work.services = self.cluster.find("Service", router.namespace, labels=labels)

    def look(self, router: Router, resource: dict[str, Any] | None) -> Live:
        """The operator's objects as they are now."""
        return Live(
            resource,
            self.get(KIND["NetworkAttachmentDefinition"].name, router.namespace, NETWORK),
            self.get("Deployment", router.namespace, DEPLOYMENT),
            self._pods(router.namespace),
        )

    def look_again(self, work: Work) -> Live:
        """The same during a run. NotReady if the resource is not the one that was applied any more."""
        router = work.router
        resource = self.get(RESOURCE.name, router.namespace, router.name)
        if resource is None or resource["metadata"]["uid"] != work.live.uid:
            raise NotReady(
                f"router {router.id}: its {RESOURCE.name} was removed by somebody during the run, and its pod with it: run again"
            )
        return self.look(router, resource)

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """None if there is nothing."""
        try:
            return self.cluster.get(kind, namespace, name)
        except NotFound:
            return None
        except Forbidden as error:
            raise without_role(error) from error

    def _pods(self, namespace: str) -> list[dict[str, Any]]:
        return self.cluster.find("Pod", namespace, labels=POD_SELECTOR)

    def problem(self, live: Live) -> str:
        """What keeps the pod from running and does not pass by itself; empty if nothing is known."""
        refused = state.refused(live.deployment)
        if refused:
            return f"the API server refuses to create its pod: {refused}"
        for pod in live.pods:
            if not state.is_ending(pod):
                found = pod_problem(pod, self._events(pod))
                if found:
                    return state.explained(found, pod)
        return ""

    def _events(self, pod: dict[str, Any]) -> list[dict[str, Any]]:
        if not waits_for_sandbox(pod):
            return []
        fields = f"involvedObject.name={pod['metadata']['name']},type=Warning"
        try:
            return self.cluster.find("Event", pod["metadata"]["namespace"], fields=fields)
        except Forbidden:
            return []
