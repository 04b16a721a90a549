# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API server for all tests, and for each a controller with namespaces of its own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.utils.collection_loader import _collection_finder

_collection_finder._AnsibleCollectionFinder(paths=os.environ["ANSIBLE_COLLECTIONS_PATH"].split(os.pathsep))._install()

from egress_lab import engine  # noqa: E402

from ansible_collections.egress.router.tests.api_server.api import NODE, TOKENS, Servers, running  # noqa: E402
from ansible_collections.egress.router.tests.api_server.nodes import Nodes  # noqa: E402
from ansible_collections.egress.router.tests.automation.agents import Agents  # noqa: E402
from ansible_collections.egress.router.tests.automation.controller import Controller, Credential, prepare  # noqa: E402
from ansible_collections.egress.router.tests.support import figures  # noqa: E402

IMAGE = "localhost/egress-ee:dev"
PASSWORDS = ("Xi0-of-openstack", "Xi0-of-vsphere")
_NUMBERS = itertools.count(1)
pytest_terminal_summary = figures.show


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """With two nodes as preflight wants them."""
    with running(tmp_path_factory.mktemp("servers")) as started:
        for name in (NODE, "worker-2"):
            if started.api.get(f"/api/v1/nodes/{name}") is None:
                started.api("POST", "/api/v1/nodes", {"metadata": {"name": name}})
            started.api.merge(f"/api/v1/nodes/{name}", {"metadata": {"labels": {"kubernetes.io/os": "linux"}}})
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            started.api.merge(f"/api/v1/nodes/{name}/status", {"status": ready})
        yield started


@pytest.fixture(scope="session")
def certificate(servers: Servers) -> str:
    """What the API server made for itself at its start."""
    return (servers.kubeconfig.parent / "certificates/apiserver.crt").read_text()


Make = Callable[..., Controller]


@pytest.fixture
def make(servers: Servers, certificate: str, tmp_path: Path) -> Iterator[Make]:
    """A controller. `token`: of its credential; other arguments are variables of its inventory.

    In the end, what its jobs have left is searched for the secrets of their credentials.
    """
    made: list[Controller] = []

    def make(
        routers: list[dict[str, Any]], namespace: str, token: str = TOKENS["admin"], **variables: Any
    ) -> Controller:
        chosen = engine.choose()
        prepare(chosen)
        inputs = {"host": servers.api.url, "bearer_token": token, "ssl_ca_cert": certificate}
        openstack = {"username": "egress", "project_name": "egress", "auth_url": "https://openstack.example.com:5000"}
        vsphere = {"host": "vcenter.example.com", "username": "egress"}
        inventory = {
            "egress_router_defaults": {"namespace": namespace, "image": "img:1", "master": "eth1"},
            "egress_routers": routers,
            # Nothing runs in the pods of the stand-ins.
            "preflight_node_checks": False,
            **variables,
        }
        credentials = {"Egress cluster": Credential("OpenShift or Kubernetes API Bearer Token", inputs)}
        more = [
            Credential("OpenStack", {**openstack, "password": PASSWORDS[0]}),
            Credential("VMware vCenter", {**vsphere, "password": PASSWORDS[1]}),
        ]
        made.append(Controller(tmp_path, chosen, IMAGE, inventory, credentials, more))
        return made[-1]

    yield make
    for controller in made:
        token = controller.credentials["Egress cluster"].inputs["bearer_token"]
        for job in controller.jobs:
            (own,) = job.folder.glob("artifacts/*/env.list")
            assert token in own.read_text() and PASSWORDS[1] in own.read_text(), "the job had its credentials"
            # The name of a user without permissions, who has it for a token, is said.
            for secret in {token, *PASSWORDS} - {TOKENS["jane"]}:
                assert job.files_with(secret) == []


@pytest.fixture
def space(servers: Servers) -> Iterator[str]:
    """A namespace whose routers serve as soon as they are deployed."""
    name = f"automation-{next(_NUMBERS)}"
    servers.api("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    nodes, agents = Nodes(servers.api), Agents(servers.api, [name])
    nodes.start()
    agents.start()
    yield name
    agents.stop()
    servers.api("DELETE", f"/api/v1/namespaces/{name}")
    nodes.stop()
