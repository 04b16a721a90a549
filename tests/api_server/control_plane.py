# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd, kube-apiserver and kube-controller-manager, with the programs that the lab builds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes.client
import kubernetes.dynamic
import urllib3
from egress_support import api_server, process

# What makes pods of objects, and endpoints of pods, and counts what may be evicted. Nodes that do not answer are nobody's concern here.
CONTROLLERS = (
    "deployment-controller,replicaset-controller,replicationcontroller-controller,endpoints-controller,"
    "endpointslice-controller,endpointslice-mirroring-controller,serviceaccount-controller,garbage-collector-controller,"
    "namespace-controller,disruption-controller"
)
NODE = "worker-1"


@dataclass(frozen=True)
class ControlPlane:
    """`client`: of an administrator, as the collection's modules have one."""

    client: Any

    def impersonating(self, user: str) -> Any:
        """A client that does what this user may do."""
        client = kubernetes.client.ApiClient(self.client.configuration)
        client.set_default_header("Impersonate-User", user)
        return kubernetes.dynamic.DynamicClient(client)

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One request; its answer, or None for an object that is not there."""
        try:
            answer = self.client.request(method, path, body=body, serialize=False, content_type=content_type)
        except kubernetes.client.exceptions.ApiException as error:
            if error.status == 404:
                return None
            raise
        return json.loads(answer.data)

    def merge(self, path: str, body: Any) -> Any:
        return self.request("PATCH", path, body, "application/merge-patch+json")


@contextmanager
def running(state: Path) -> Iterator[ControlPlane]:
    """Starts it with files in an empty directory, and stops it."""
    try:
        client = _client(api_server.url(api_server.start(state, CONTROLLERS)))
        plane = ControlPlane(kubernetes.dynamic.DynamicClient(client, cache_file=str(state / "discovery")))
        _define_kinds(plane)
        # The controller for EndpointSlices looks the nodes of pods up.
        plane.request("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
        yield plane
    finally:
        process.stop_all(state)


def _define_kinds(plane: ControlPlane) -> None:
    """Kinds of others, without their schemas."""
    for group, version, plural, kind in (
        ("k8s.cni.cncf.io", "v1", "network-attachment-definitions", "NetworkAttachmentDefinition"),
        ("network.operator.openshift.io", "v1", "egressrouters", "EgressRouter"),
    ):
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
        body = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [served]},
        }
        plane.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)


def _client(url: str) -> Any:
    configuration = kubernetes.client.Configuration(host=url)
    # Its certificate is made at its start, and this is the machine itself.
    configuration.verify_ssl = False
    configuration.api_key = {"authorization": f"Bearer {api_server.TOKEN}"}
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return kubernetes.client.ApiClient(configuration)
