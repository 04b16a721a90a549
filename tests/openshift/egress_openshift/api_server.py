# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server with its controllers, without nodes: etcd, kube-apiserver and kube-controller-manager of the lab."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import urllib3
import yaml

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/lab"))
# The API server signs for itself, for a few minutes.
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

from egress_lab import gobuild  # noqa: E402

# In OpenShift's own module, which Go's proxy serves. The newest release by name is from 2018.
CRD_MODULE = "github.com/openshift/api@v0.0.0-20260213204242-d34f11c515b3"
CRD = "networkoperator/v1/zz_generated.crd-manifests/001_egressrouters.crd.yaml"
CONTROLLERS = "deployment-controller,replicaset-controller,garbage-collector-controller,namespace-controller,serviceaccount-controller"
TOKENS = {"admin": "admin-token", "jane": "jane-token"}

Found = TypeVar("Found")


def until(condition: Callable[[], Found | None], what: str, seconds: float = 120) -> Found:
    """What `condition` returns once it is something else than None and False."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


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
                                    headers=headers, timeout=60,retries=False)  # fmt: skip
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
    kubernetes, etcd = gobuild.KUBERNETES.build(), gobuild.ETCD.build()
    client, peer, secure = (_free_port() for _number in range(3))
    key = folder / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    tokens = folder / "tokens.csv"
    tokens.write_text(
        f"{TOKENS['admin']},admin,admin,system:masters\n{TOKENS['jane']},jane,jane,system:authenticated\n"
    )
    url = f"https://127.0.0.1:{secure}"
    config = folder / "kubeconfig"
    config.write_text(yaml.safe_dump(_kubeconfig(url)))
    api = Api(url)
    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("w"))

        def start(*command: Any) -> None:
            stack.enter_context(_process([str(word) for word in command], log))

        start(etcd / "server", "--data-dir", folder / "etcd", f"--listen-client-urls=http://127.0.0.1:{client}",
              f"--advertise-client-urls=http://127.0.0.1:{client}", f"--listen-peer-urls=http://127.0.0.1:{peer}",
              "--unsafe-no-fsync")  # fmt: skip
        start(kubernetes / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{client}", f"--secure-port={secure}",
              "--bind-address=127.0.0.1", "--cert-dir", folder / "certs", "--service-account-issuer=https://localhost",
              "--service-account-signing-key-file", key, "--service-account-key-file", key, "--token-auth-file", tokens,
              "--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16", "--watch-cache=true",
              "--disable-admission-plugins=ServiceAccount")  # fmt: skip
        until(lambda: _ready(api), f"the API server is ready, see {folder / 'log'}", 300)
        start(kubernetes / "kube-controller-manager", "--kubeconfig", config, "--leader-elect=false", f"--controllers={CONTROLLERS}",
              "--secure-port=0", "--concurrent-deployment-syncs=5")  # fmt: skip
        _create_definitions(api)
        yield url


def _create_definitions(api: Api) -> None:
    download = ["go", "mod", "download", "-json", CRD_MODULE]
    module = json.loads(subprocess.run(download, check=True, capture_output=True, text=True, cwd="/").stdout)
    found = [yaml.safe_load((Path(module["Dir"]) / CRD).read_text())]
    networks = yaml.safe_load((ROOT / "tests/lab/manifests/network-attachment.yaml").read_text())
    found += [item for item in networks["items"] if item["kind"] == "CustomResourceDefinition"]
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    names = {"plural": "clusteroperators", "singular": "clusteroperator", "kind": "ClusterOperator"}
    spec = {"group": "config.openshift.io", "scope": "Cluster", "names": names, "versions": [version]}
    metadata = {"name": "clusteroperators.config.openshift.io"}
    found.append(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": metadata,
            "spec": spec,
        }
    )
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


def _ready(api: Api) -> bool:
    try:
        return bool(api("GET", "/readyz") == "ok" and api.get("/api/v1/namespaces/default"))
    except (Refused, urllib3.exceptions.HTTPError):
        return False


def _kubeconfig(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "it", "user": {"token": TOKENS["admin"]}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }


@contextmanager
def _process(command: list[str], log: IO[str]) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
