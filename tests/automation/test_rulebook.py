# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rulebook for the command line in the decision environment, as docs/events.md has it: a router loses its pods, and a playbook is run."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from ansible_collections.egress.router.tests.api_server.api import TOKENS, Servers
from ansible_collections.egress.router.tests.automation.conftest import Make
from ansible_collections.egress.router.tests.support.waiting import until

IMAGE = "localhost/egress-de:dev"
CONNECTION = ("K8S_AUTH_HOST", "K8S_AUTH_API_KEY", "K8S_AUTH_VERIFY_SSL")
BILLING = {"name": "billing", "addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}]}
ACT = [
    {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.copy": {"dest": "/project/part", "content": "{{ router_event }}"}},
            # As a whole, for who waits for it.
            {"ansible.builtin.command": {"cmd": "mv /project/part /project/event"}},
        ],
    }
]


def test_a_playbook_is_run_for_a_router_that_lost_its_pods(
    make: Make, servers: Servers, space: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    clouds = ["egress_router_openstack_allowed_address_pair", "egress_router_vsphere_port_group_security"]
    controller = make([BILLING], space, egress_router_preflight=False, **dict.fromkeys(clouds, False))
    controller.image = IMAGE
    assert controller.launch("provision").status == "successful"

    work, log = tmp_path / "work", tmp_path / "log"
    work.mkdir()
    variables = {"router_namespaces": [space], "router_patience": 1, "router_playbook": "/project/act.yml"}
    hosts = {"all": {"hosts": {"localhost": {"ansible_connection": "local"}}}}
    for name, content in (("events.yml", variables), ("inventory.yml", hosts), ("act.yml", ACT)):
        (work / name).write_text(json.dumps(content))
    given = dict(zip(CONNECTION, (servers.api.url, TOKENS["admin"], "false"), strict=True))
    name = f"egress-rulebook-{os.getpid()}"
    command = [
        controller.engine.name,
        "run",
        "--rm",
        "--name",
        name,
        "--user=root",
        "--network=host",
        f"--volume={work}:/project",
        "--workdir=/project",
    ]
    command += [f"--env={variable}" for variable in CONNECTION]
    rulebook = (
        "ansible-rulebook --rulebook egress.router.routers_run --inventory inventory.yml --vars events.yml --verbose"
    )
    with log.open("w") as out:
        running = subprocess.Popen(
            [*command, IMAGE, *rulebook.split()], env={**os.environ, **given}, stdout=out, stderr=subprocess.STDOUT
        )

    def alive(condition: bool) -> bool:
        assert running.poll() is None, log.read_text()
        return condition

    try:
        until(lambda: alive("Waiting for events" in log.read_text()), "the rulebook waits for events", 120)
        servers.api.merge(f"/apis/apps/v1/namespaces/{space}/deployments/billing", {"spec": {"replicas": 0}})
        until(lambda: alive((work / "event").exists()), "the playbook is run", 120)
    finally:
        controller.engine.run("stop", "--time=10", name, check=False)
        running.wait(60)
    event = json.loads((work / "event").read_text())
    record_property("figure", f"{event['kind']}: {event['reason']}")
    assert event["router"] == f"{space}/billing" and event["kind"] in ("silent", "not_serving")
