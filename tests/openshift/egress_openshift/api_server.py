# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server with its controllers, without nodes: etcd, kube-apiserver and kube-controller-manager of the lab."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import urllib3
import yaml

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests/lab"), str(ROOT / "tests/support")]
# The API server signs for itself, for a few minutes.
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

from egress_lab.openshift import definitions  # noqa: E402
from egress_support import api_server, process  # noqa: E402

from ansible_collections.egress.router.tests.support import waiting  # noqa: E402

# What a stand-in does takes a controller, and a machine that is busy.
until = partial(waiting.until, seconds=120)

CONTROLLERS = "deployment-controller,replicaset-controller,garbage-collector-controller,namespace-controller,serviceaccount-controller"
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


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The URL of an API server with the CRDs of OpenShift and of the Network Plumbing Working Group."""
    try:
        url = api_server.url(api_server.start(folder, CONTROLLERS, users=["jane"]))
        _create_definitions(Api(url))
        yield url
    finally:
        process.stop_all(folder)


def _create_definitions(api: Api) -> None:
    found = [yaml.safe_load(path.read_text()) for path in definitions()]
    networks = yaml.safe_load((ROOT / "tests/lab/manifests/network-attachment.yaml").read_text())
    found += [item for item in networks["items"] if item["kind"] == "CustomResourceDefinition"]
    for definition in found:
        # Others' text: a status in it is not taken.
        definition.pop("status", None)
        api("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    for definition in found:
        group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
        version = definition["spec"]["versions"][0]["name"]
        until(lambda path=f"/apis/{group}/{version}/{plural}": _served(api, path), f"{plural} are served")


def _served(api: Api, path: str) -> bool:
    try:
        return bool(api("GET", path))
    except Refused:
        # It begins to store them.
        return False
