# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server with its controllers, without nodes: etcd, kube-apiserver and kube-controller-manager of the lab."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import urllib3
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/lab"), str(ROOT / "tests/support")]
# The API server signs for itself, for a few minutes.
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

from egress_lab import openshift  # noqa: E402
from egress_support import api_server, process  # noqa: E402

from ansible_collections.egress.router.tests.support import waiting  # noqa: E402

# What a controller or a stand-in does takes its time on a machine that is busy.
until = partial(waiting.until, seconds=120)

# What makes pods of objects, and endpoints of pods, and counts what may be evicted. Nodes that do not answer are nobody's concern here.
CONTROLLERS = (
    "deployment-controller,replicaset-controller,replicationcontroller-controller,endpoints-controller,"
    "endpointslice-controller,endpointslice-mirroring-controller,garbage-collector-controller,namespace-controller,"
    "serviceaccount-controller,disruption-controller"
)
NODE = "worker-1"
TOKENS = {"admin": api_server.TOKEN, "jane": "jane"}


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """The API server as somebody else than the collection sees it."""

    def __init__(self, url: str, token: str = TOKENS["admin"]) -> None:
        self.url, self.token = url, token
        self._pool = urllib3.PoolManager(cert_reqs="CERT_NONE", assert_hostname=False, maxsize=8)

    def __call__(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
        answer = self._pool.request(method, f"{self.url}{path}", body=json.dumps(body) if body is not None else None,
                                    headers=headers, timeout=60, retries=False)  # fmt: skip
        found = json.loads(answer.data) if answer.data.startswith(b"{") else answer.data.decode()
        if answer.status >= 400:
            raise Refused(answer.status, found["message"] if isinstance(found, dict) else found)
        return found

    def get(self, path: str) -> Any:
        """None if there is nothing."""
        try:
            return self("GET", path)
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def merge(self, path: str, body: Any) -> Any:
        return self("PATCH", path, body, "application/merge-patch+json")

    def apply(self, path: str, manager: str, body: Any) -> Any:
        return self("PATCH", f"{path}?fieldManager={manager}&force=true", body, "application/apply-patch+yaml")


@dataclass
class Servers:
    """The API server, and OpenShift's operator: the lab's stand-in, or the real one if EGRESS_LAB_CNO gives it."""

    api: Api
    kubeconfig: Path
    _state: Path = field(repr=False)

    def start_operator(self) -> None:
        openshift.start_operator(self._state, self.kubeconfig)

    def pause_operator(self) -> None:
        """It is dead or busy with other things, and nothing that happens meanwhile is lost."""
        process.pause(self._state, "operator")

    def resume_operator(self) -> None:
        process.resume(self._state, "operator")


@contextmanager
def running(folder: Path) -> Iterator[Servers]:
    """Servers with the kinds of OpenShift and of the Network Plumbing Working Group, and a node."""
    operator = folder / "operator"
    operator.mkdir()
    try:
        kubeconfig = api_server.start(folder, CONTROLLERS, users=["jane"])
        servers = Servers(Api(api_server.url(kubeconfig)), kubeconfig, operator)
        _define_kinds(servers.api)
        # The controller for EndpointSlices looks the nodes of pods up.
        servers.api("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
        servers.start_operator()
        yield servers
    finally:
        process.stop_all(operator)
        process.stop_all(folder)


def _define_kinds(api: Api) -> None:
    found = [yaml.safe_load(path.read_text()) for path in openshift.definitions()]
    networks = yaml.safe_load((ROOT / "tests/lab/manifests/network-attachment.yaml").read_text())
    found += [item for item in networks["items"] if item["kind"] == "CustomResourceDefinition"]
    found.append(_deployment_configs())
    for definition in found:
        # Others' text: a status in it is not taken.
        definition.pop("status", None)
        api("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    for definition in found:
        group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
        version = definition["spec"]["versions"][0]["name"]
        until(lambda path=f"/apis/{group}/{version}/{plural}": _served(api, path), f"{plural} are served")


def _deployment_configs() -> dict[str, Any]:
    """OpenShift serves them from an API server of its own. Without their schema, which nothing here depends on."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "deploymentconfigs", "singular": "deploymentconfig", "kind": "DeploymentConfig"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "deploymentconfigs.apps.openshift.io"},
        "spec": {"group": "apps.openshift.io", "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _served(api: Api, path: str) -> bool:
    try:
        return bool(api("GET", path))
    except Refused:
        # It begins to store them.
        return False
