# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's cluster for automation: an identity with the roles that the documentation has, and what tests do to a cluster by hand."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from egress_lab.cluster import kubectl
from egress_lab.settings import ROUTER_IMAGE

from ansible_collections.egress.router.tests.support.waiting import until

DOCS = Path(__file__).resolve().parents[3] / "docs"
# Where docs/awx.md has the list of routers.
LIST = "egress-routers"
IDENTITY = "automation"
DEFAULTS = {"image": ROUTER_IMAGE, "master": "eth1"}


@dataclass(frozen=True)
class Lab:
    """`token` and `kubeconfig` are those of the identity. Its routers are in `namespace`."""

    url: str
    certificate: str
    token: str
    namespace: str
    kubeconfig: Path

    def get(self, what: str, name: str = "") -> Any:
        """An object, or a list of them, as an administrator sees it."""
        found = kubectl("--namespace", self.namespace, "get", what, *([name] if name else []), "--output=json").stdout
        return json.loads(found)

    def run(self, *words: str) -> None:
        """kubectl in the routers' namespace."""
        kubectl("--namespace", self.namespace, *words)

    def patch(self, what: str, name: str, body: dict[str, Any]) -> None:
        self.run("patch", what, name, "--type=merge", f"--patch={json.dumps(body)}")

    def pods(self, selector: str) -> list[Any]:
        """Those that are not ending."""
        found = kubectl("-n", self.namespace, "get", "pods", f"--selector={selector}", "--output=json").stdout
        return [pod for pod in json.loads(found)["items"] if "deletionTimestamp" not in pod["metadata"]]

    def pods_of(self, router: str) -> list[Any]:
        """Of a router, those that are not ending."""
        return self.pods(f"app.kubernetes.io/instance={router}")

    def listed(self) -> dict[str, str]:
        """The list of routers that surveys change, as people see it: the YAML of each, by the name of its ConfigMap."""
        found = json.loads(kubectl("--namespace", LIST, "get", "configmaps", "--output=json").stdout)["items"]
        return {
            one["metadata"]["name"]: one["data"]["router.yml"]
            for one in found
            if "router.yml" in (one.get("data") or {})
        }

    def holder(self, router: str) -> str:
        found: str = self.get("lease", router)["spec"].get("holderIdentity", "")
        return found


@contextmanager
def cluster(namespace: str, folder: Path) -> Iterator[Lab]:
    """With namespaces and an identity that are gone afterwards."""
    names = (namespace, LIST)
    _delete(names)
    try:
        for name in names:
            kubectl("create", "namespace", name)
        _permit(namespace)
        shown = json.loads(kubectl("config", "view", "--raw", "--minify", "--output=json").stdout)
        of = shown["clusters"][0]["cluster"]
        token = kubectl("create", "token", IDENTITY, f"--namespace={LIST}", "--duration=2h").stdout.strip()
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(
            json.dumps({**shown, "users": [{"name": shown["users"][0]["name"], "user": {"token": token}}]})
        )
        kubeconfig.chmod(0o600)
        certificate = base64.b64decode(of["certificate-authority-data"]).decode()
        yield Lab(of["server"], certificate, token, namespace, kubeconfig)
    finally:
        _delete(names)


def _delete(names: tuple[str, ...]) -> None:
    kubectl("delete", "namespace", *names, "--ignore-not-found", "--timeout=120s")
    kubectl("delete", "clusterrole,clusterrolebinding", f"--selector={IDENTITY}")


def _permit(namespace: str) -> None:
    """What docs/openshift.md says beside `admin`, docs/awx.md of the list, and docs/events.md of nodes. Nothing else."""
    (deployer,) = (one for one in _roles("openshift.md") if one["metadata"]["name"] == "egress-router-deployer")
    (of_list,) = (one for one in _roles("awx.md") if one["metadata"]["name"] == "egress-router-list")
    assert of_list["metadata"]["namespace"] == LIST
    nodes = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{IDENTITY}-nodes"},
        "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}],
    }
    for role in (deployer, nodes):
        role["metadata"]["labels"] = {IDENTITY: ""}
    for role in (deployer, of_list, nodes):
        kubectl("apply", "--filename=-", stdin=json.dumps(role))
    kubectl("create", "serviceaccount", IDENTITY, f"--namespace={LIST}")
    who = f"--serviceaccount={LIST}:{IDENTITY}"
    for role in ("admin", "egress-router-deployer"):
        kubectl("create", "rolebinding", f"{IDENTITY}-{role}", f"--namespace={namespace}", f"--clusterrole={role}", who)
    kubectl("create", "rolebinding", IDENTITY, f"--namespace={LIST}", "--role=egress-router-list", who)
    kubectl("create", "clusterrolebinding", f"{IDENTITY}-nodes", f"--clusterrole={IDENTITY}-nodes", who)
    kubectl("label", "clusterrolebinding", f"{IDENTITY}-nodes", f"{IDENTITY}=")
    until(lambda: _may("list", "nodes") and _may("list", "configmaps", LIST) and _may("list", "leases", namespace),
          "the API server knows what the identity may do")  # fmt: skip


def _may(verb: str, resource: str, namespace: str = "default") -> bool:
    who = f"--as=system:serviceaccount:{LIST}:{IDENTITY}"
    asked = kubectl("auth", "can-i", verb, resource, f"--namespace={namespace}", who, check=False)
    return bool(asked.returncode == 0)


def _roles(page: str) -> list[dict[str, Any]]:
    blocks = re.findall(r"^```yaml\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    found = [one for block in blocks for one in yaml.safe_load_all(block) if isinstance(one, dict)]
    return [one for one in found if one.get("kind") in ("Role", "ClusterRole")]
