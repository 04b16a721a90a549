# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One API server for all tests of a process, and a namespace of its own for each."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible.utils.collection_loader import _collection_finder

sys.path.insert(0, str(Path(__file__).parent))
# As Ansible does when modules really run.
_collection_finder._AnsibleCollectionFinder(paths=os.environ["ANSIBLE_COLLECTIONS_PATH"].split(os.pathsep))._install()

from egress_openshift.api_server import TOKENS, Api, Refused, running, until  # noqa: E402
from egress_openshift.stand_ins import Nodes, Operator  # noqa: E402

_NUMBERS = itertools.count(1)
_ROUTERS = "/apis/network.operator.openshift.io/v1"


@dataclass
class World:
    """What a test works with."""

    api: Api
    operator: Operator
    nodes: Nodes
    namespace: str
    capsys: pytest.CaptureFixture[str]
    token: str = TOKENS["admin"]
    warnings: list[str] = field(default_factory=list)

    def router(self, **changes: Any) -> dict[str, Any]:
        return {
            "name": "db",
            "namespace": self.namespace,
            "backend": "egress_router_cr",
            "addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}],
            "redirect_rules": [{"port": 5432, "destination_ip": "203.0.113.10"}],
            **changes,
        }

    def deploy(self, *routers: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
        from ansible_collections.egress.router.plugins.module_utils._common.errors import InputError
        from ansible_collections.egress.router.plugins.module_utils._router import checked, option
        from ansible_collections.egress.router.plugins.module_utils._router.routers import load

        def read_text(data: Any, defaults: Any, absent: bool) -> tuple[str, list[Any]]:
            found, problems = load(data, defaults, absent)
            return checked.dump(found), problems

        try:
            given = option.routers_arguments({"routers": list(routers), **options}, read_text)
        except InputError as error:
            return {"failed": True, "msg": str(error)}
        return self.run("router", check, **given)

    def run(self, name: str, check: bool = False, **options: Any) -> dict[str, Any]:
        module = importlib.import_module(f"ansible_collections.egress.router.plugins.modules.{name}")
        given = {"host": self.api.url, "api_key": self.token, "validate_certs": False, **options}
        given.update(_ansible_check_mode=check, _ansible_diff=True)
        with patch_module_args(given), pytest.raises(SystemExit):
            module.main()
        found: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return found

    def path(self, kind: str, name: str = "") -> str:
        prefix, default = {
            "egressrouters": (_ROUTERS, "db"),
            "network-attachment-definitions": ("/apis/k8s.cni.cncf.io/v1", "egress-router-cni-nad"),
            "deployments": ("/apis/apps/v1", "egress-router-cni-deployment"),
            "services": ("/api/v1", "db"),
            "pods": ("/api/v1", ""),
        }[kind]
        return f"{prefix}/namespaces/{self.namespace}/{kind}/{name or default}".rstrip("/")

    def get(self, kind: str, name: str = "") -> Any:
        return self.api.get(self.path(kind, name))

    def pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("pods")["items"]
        return found

    def forwards(self) -> list[str]:
        """What the running pod was started with."""
        (one,) = self.nodes.of(self.namespace)
        found: list[str] = one["ip"]["destinations"]
        return found


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("api_server")) as url:
        yield url


@pytest.fixture
def world(
    api_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[World]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for variable in [name for name in os.environ if name.startswith("K8S_AUTH_")]:
        monkeypatch.delenv(variable)
    # In this process the tests have imported the controller's half of Ansible, where warnings are shown instead of returned.
    monkeypatch.setattr("ansible.module_utils._internal.is_controller", False, raising=False)
    api = Api(api_server)
    namespace = f"payments-{next(_NUMBERS)}"
    api("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    made = World(api, Operator(api), Nodes(api), namespace, capsys)
    made.operator.start()
    made.nodes.start()
    try:
        yield made
    finally:
        # What a test has left behind must not disturb the next one.
        made.nodes.plugin = ""
        for plural in (f"{_ROUTERS}/egressrouters", "/apis/apps/v1/deployments"):
            for item in api("GET", plural)["items"]:
                prefix, name = plural.rpartition("/")[0], plural.rpartition("/")[2]
                with suppress(Refused):
                    where = item["metadata"]
                    api("DELETE", f"{prefix}/namespaces/{where['namespace']}/{name}/{where['name']}")
        try:
            until(lambda: not api("GET", "/api/v1/pods")["items"], "the pods of a test are gone")
        finally:
            made.operator.stop()
            made.nodes.stop()
    assert not made.nodes.overlaps, made.nodes.overlaps


__all__ = ["Callable", "World", "until"]
