# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of preflight_info in a run of Ansible: it asks the clouds, with the module_defaults of their groups."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.egress.router.tests.support.fake_api_server import FakeCluster, serving

ROUTER = {"name": "db", "namespace": "payments", "image": "img:1", "addresses": [{"ip": "198.51.100.50/24"}]}
SERVER = "openstack:///0a1b2c3d-0000-4000-8000-000000000001"


def cluster() -> FakeCluster:
    """One node, which is an OpenStack server."""
    found = FakeCluster()
    found.apis["/apis/k8s.cni.cncf.io/v1"] = ["network-attachment-definitions"]
    found.add("namespaces", "", "payments")
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    metadata = {"labels": {"kubernetes.io/os": "linux"}}
    found.add("nodes", "", "worker-1", spec={"providerID": SERVER}, status=status, metadata=metadata)
    return found


def run_play(url: str, directory: Path, defaults: dict[str, Any]) -> dict[str, Any]:
    """What the module returned in a play."""
    options = {"host": url, "api_key": "token", "node_checks": False, "routers": [ROUTER]}
    tasks = [
        {"egress.router.preflight_info": options, "register": "found"},
        {"ansible.builtin.copy": {"content": "{{ found | to_json }}", "dest": str(directory / "found.json")}},
    ]
    book = [{"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "tasks": tasks}]
    (directory / "play.yml").write_text(yaml.safe_dump(book))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OS_", "VMWARE_", "K8S_"))}
    done = subprocess.run(
        ["ansible-playbook", "play.yml"],
        cwd=directory,
        env={**environment, "ANSIBLE_LOCAL_TEMP": str(directory), "HOME": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((directory / "found.json").read_text())
    return found


def test_a_cloud_is_asked_with_the_module_defaults_of_its_group(tmp_path: Path) -> None:
    defaults = {"group/egress.router.openstack": {"cloud": "{{ 'there-is-no-such-cloud' }}"}}
    with serving(cluster()) as url:
        result = run_play(url, tmp_path, defaults)
    report = result["report"]
    (finding,) = [finding for finding in report["findings"] if finding["check"] == "openstack"]
    assert "there-is-no-such-cloud" in finding["seen"], "the cloud's credentials did not reach the module"
    assert not report["ok"] and "openstack" in report["checked"]
    assert not result["failed"] and "gathered" not in result
