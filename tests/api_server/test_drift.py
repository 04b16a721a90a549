# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""provision in check mode fails if somebody has changed what it has deployed, and passes if not."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.egress.router.tests.api_server.api import Servers
from ansible_collections.egress.router.tests.api_server.control_plane import ControlPlane
from ansible_collections.egress.router.tests.api_server.playbooks import run_playbook

DRIFT = {"egress_router_fail_on_drift": "true"}
_numbers = itertools.count(1)


@pytest.fixture
def space(control_plane: ControlPlane) -> Iterator[str]:
    name = f"drift-{next(_numbers)}"
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    control_plane.request("DELETE", f"/api/v1/namespaces/{name}")


# provision would wait for agents, and no pod runs here.
DEPLOY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  roles: [egress.router.deploy]
"""


def test_drift(control_plane: ControlPlane, servers: Servers, space: str, tmp_path: Path) -> None:
    (tmp_path / "deploy.yml").write_text(DEPLOY)

    def play(*arguments: str, **more: Any) -> tuple[int, str]:
        variables = {
            "egress_routers": [{"name": "a", "addresses": [{"ip": "198.51.100.50/24"}]}],
            "egress_router_defaults": {"namespace": space, "image": "img:1", "master": "eth1"},
            **more,
        }
        done = run_playbook(servers, tmp_path, arguments, variables)
        return done.returncode, done.stdout

    check = ("egress.router.provision", "--check", "--diff")
    status, shown = play("egress.router.provision", **DRIFT)
    assert status == 2 and "run it in check mode, with --check --diff" in shown
    assert control_plane.request("GET", f"/apis/apps/v1/namespaces/{space}/deployments/a") is None
    assert play("deploy.yml")[0] == 0
    status, shown = play(*check, **DRIFT)
    assert status == 0, shown
    control_plane.request("DELETE", f"/api/v1/namespaces/{space}/services/a")
    status, shown = play(*check, **DRIFT)
    assert status == 2 and f"These are not what the list says: Service {space}/a" in shown, shown
