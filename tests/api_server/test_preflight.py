# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight finds on a cluster of one family, which the lab is not."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from ansible_collections.egress.router.tests.api_server.world import World

V4 = {"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}
V6 = {"ip": "2001:db8:51::50/64", "gateway": "2001:db8:51::1"}
BOTH = [{"ip": "198.51.100.51/24"}, {"ip": "2001:db8:51::51/64"}]


def test_services_of_a_family_that_the_cluster_lacks(world: World, tmp_path: Path) -> None:
    """The whole playbook: what the API server said is judged outside of the module."""
    named = {"four": [V4], "six": [V6], "both": BOTH}
    report = tmp_path / "report.json"
    variables = {
        "egress_routers": [
            {"name": name, "namespace": world.namespace, "image": "img:1", "addresses": addresses}
            for name, addresses in named.items()
        ],
        "preflight_node_checks": False,
        "preflight_report_path": str(report),
    }
    command = ["ansible-playbook", "--inventory=localhost,", "egress.router.preflight", "--extra-vars"]
    environment = {**os.environ, "K8S_AUTH_KUBECONFIG": str(world.servers.kubeconfig)}
    done = subprocess.run(
        [*command, json.dumps(variables)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0 and report.exists(), done.stdout + done.stderr
    found = [one for one in json.loads(report.read_text())["findings"] if one["check"] == "service"]
    affected = sorted(router for one in found for router in one["routers"])
    assert affected == [f"{world.namespace}/both", f"{world.namespace}/six"], found
    assert all("not configured" in one["seen"] for one in found), found
