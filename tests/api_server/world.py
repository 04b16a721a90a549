# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test works with: a namespace, the collection's modules, and everybody else on the cluster."""

from __future__ import annotations

import importlib
import itertools
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.egress.router.plugins.module_utils._common.errors import InputError
from ansible_collections.egress.router.plugins.module_utils._router import checked, option
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.tests.api_server.api import TOKENS, Api, Refused, Servers, until
from ansible_collections.egress.router.tests.api_server.nodes import FAST, Nodes

PREFIXES = {
    "pods": "/api/v1",
    "services": "/api/v1",
    "configmaps": "/api/v1",
    "replicationcontrollers": "/api/v1",
    "deployments": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "deploymentconfigs": "/apis/apps.openshift.io/v1",
    "egressrouters": "/apis/network.operator.openshift.io/v1",
    "network-attachment-definitions": "/apis/k8s.cni.cncf.io/v1",
    "leases": "/apis/coordination.k8s.io/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
}
# Those of a router with backend egress_router_cr.
_NAMES = {
    "egressrouters": "db",
    "services": "db",
    "deployments": "egress-router-cni-deployment",
    "network-attachment-definitions": "egress-router-cni-nad",
}
_NUMBERS = itertools.count(1)


@dataclass
class World:
    servers: Servers
    nodes: Nodes
    namespace: str
    capsys: pytest.CaptureFixture[str]
    token: str = TOKENS["admin"]
    warnings: list[str] = field(default_factory=list)

    @property
    def api(self) -> Api:
        return self.servers.api

    # The collection

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
        return self.run_on("router", *routers, check=check, **options)

    def run_on(self, module: str, *routers: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
        """A module that takes the list, as its action plugin calls it."""

        def read_text(data: Any, defaults: Any, absent: bool) -> tuple[str, list[Any]]:
            found, problems = load(data, defaults, absent)
            return checked.dump(found), problems

        try:
            given = option.routers_arguments({"routers": list(routers), **options}, read_text)
        except InputError as error:
            return {"failed": True, "msg": str(error)}
        return self.run(module, check, **given)

    def run(self, name: str, check: bool = False, **options: Any) -> dict[str, Any]:
        module = importlib.import_module(f"ansible_collections.egress.router.plugins.modules.{name}")
        given = {"host": self.api.url, "api_key": self.token, "validate_certs": False, **options}
        given.update(_ansible_check_mode=check, _ansible_diff=True)
        with patch_module_args(given), pytest.raises(SystemExit):
            module.main()
        found: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return found

    # What there is

    def path(self, plural: str, name: str = "", below: str = "") -> str:
        name = name or _NAMES.get(plural, "")
        return f"{PREFIXES[plural]}/namespaces/{self.namespace}/{plural}/{name}".rstrip("/") + below

    def paths(self, plural: str) -> str:
        """Where new ones are made, and all are read."""
        return f"{PREFIXES[plural]}/namespaces/{self.namespace}/{plural}"

    def get(self, plural: str, name: str = "") -> Any:
        return self.api.get(self.path(plural, name))

    def list(self, plural: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get(self.paths(plural))["items"]
        return found

    def pods(self) -> list[dict[str, Any]]:
        return self.list("pods")

    def forwards(self) -> list[str]:
        """What the running pod was started with."""
        (one,) = self.nodes.of(self.namespace)
        found: list[str] = one["ip"]["destinations"]
        return found

    # Others

    def wake_operator(self) -> None:
        """It looks at the resource again, as at its resync."""
        annotations = {"example.com/awake": str(next(_NUMBERS))}
        self.api.merge(self.path("egressrouters"), {"metadata": {"annotations": annotations}})

    def clean(self) -> None:
        """What a test has left behind must not disturb the next one."""
        self.servers.resume_operator()
        self.nodes.plugin, self.nodes.fast = "", FAST
        for plural in ("egressrouters", "deploymentconfigs", "deployments", "replicationcontrollers", "replicasets"):
            self._remove_all(plural)
        until(lambda: not self._remove_all("pods", {"gracePeriodSeconds": 0}), "the pods of a test are gone")

    def _remove_all(self, plural: str, options: Any = None) -> int:
        """In all namespaces. How many there were."""
        found = self.api("GET", f"{PREFIXES[plural]}/{plural}")["items"]
        for item in found:
            metadata = item["metadata"]
            with suppress(Refused):
                where = f"{PREFIXES[plural]}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}"
                self.api("DELETE", where, options)
        return len(found)
