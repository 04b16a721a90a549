# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real faults of routers on the lab, through rulebooks of the collection, to the playbook that mends them.

All begin at about the same time. A rulebook runs one playbook after another.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from egress_lab import engine
from egress_lab.settings import CONTROL_PLANE
from egress_support import api_server, process

from ansible_collections.egress.router.tests.automation.lab.cluster import DEFAULTS, DOCS, Lab
from ansible_collections.egress.router.tests.automation.lab.faults import FAULTS, HERE, LOST, Fault
from ansible_collections.egress.router.tests.events.alerting import MONITORING, Alertmanager, Place, Prometheus
from ansible_collections.egress.router.tests.events.rulebook import RULEBOOKS, Rulebook
from ansible_collections.egress.router.tests.support import waiting

# On a machine that is busy: a rulebook runs its playbooks one after another.
until = partial(waiting.until, seconds=300, every=0.2)
PATIENCE = 4
TOKEN = "of-the-tests"


@dataclass
class World:
    """`causes`: when which router's fault began."""

    lab: Lab
    folder: Path
    rulebook: Rulebook
    alerts: Rulebook
    prometheus: Prometheus
    causes: dict[str, float] = field(default_factory=dict)

    def told(self, router: str) -> dict[str, float]:
        """When which kind of event came of a router, in order."""
        events = [event for event in self.rulebook.events() if event["name"] == router]
        return {event["kind"]: _seconds(event["meta"]["received_at"]) for event in events}

    def began(self, router: str) -> float:
        """When the playbook for a router began; 0 if it did not."""
        path = self.folder / f"{router}.began"
        return float(path.read_text()) if path.exists() else 0.0


@pytest.fixture(scope="module")
def world(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("events")
    inventory = {
        "egress_router_defaults": {**DEFAULTS, "namespace": lab.namespace},
        "egress_routers": [_router(fault, number) for number, fault in enumerate(FAULTS)],
        # Its pods need the nodes' network, which the identity may not use.
        "preflight_node_checks": False,
    }
    environment = {"K8S_AUTH_KUBECONFIG": str(lab.kubeconfig)}
    (folder / "mend.yml").write_text(_playbook(folder))
    variables = {
        "router_namespaces": [lab.namespace],
        "router_patience": PATIENCE,
        "router_playbook": str(folder / "mend.yml"),
    }
    rulebook = Rulebook(folder, RULEBOOKS / "routers_run.yml", variables, environment, inventory)
    with ExitStack() as stack:
        stack.callback(process.stop_all, folder)
        process.run(["ansible-playbook", f"--inventory={folder}/inventory.yml", "egress.router.provision"], environment)
        rulebook.start()
        alerts, prometheus = _alerting(lab, stack, tmp_path_factory.mktemp("alerts"))
        made = World(lab, folder, rulebook, alerts, prometheus)
        until(lambda: prometheus.value("count(egress_router_state)"), "Prometheus reads the routers' metrics")
        assert rulebook.alive and prometheus.firing() == []
        for fault in FAULTS:
            if fault.mend:
                stack.callback(fault.mend, lab)
            made.causes[fault.router] = time.time()
            fault.cause(lab)
        yield made


def _router(fault: Fault, number: int) -> dict[str, Any]:
    return {
        "name": fault.router,
        "replicas": fault.replicas,
        "node_selector": {"kubernetes.io/hostname": LOST if fault.router == "node-lost" else HERE},
        "addresses": [{"ip": f"198.51.100.{100 + number}/24", "gateway": "198.51.100.1"}],
        "redirect_rules": [{"port": 5432, "destination_ip": "203.0.113.10"}],
    }


def _playbook(folder: Path) -> str:
    """That of docs/events.md, and before it a play that writes down when it begins."""
    (block,) = re.findall(
        r"^```yaml\n(.*import_playbook.*?)^```", (DOCS / "events.md").read_text(), re.MULTILINE | re.DOTALL
    )
    line = {
        "path": f"{folder}/{{{{ router_event.name }}}}.began",
        "line": "{{ now(utc=true).timestamp() }}",
        "create": True,
    }
    begins = {"hosts": "localhost", "gather_facts": False, "tasks": [{"ansible.builtin.lineinfile": line}]}
    return yaml.safe_dump([begins, *yaml.safe_load(block)])


def _alerting(lab: Lab, stack: ExitStack, folder: Path) -> tuple[Rulebook, Prometheus]:
    """Prometheus and Alertmanager on the control plane's network, from where pods are reached, and a rulebook on this machine."""
    node = engine.choose().running()[CONTROL_PLANE]
    (address,) = (
        one["address"]
        for one in lab.get("node", CONTROL_PLANE)["status"]["addresses"]
        if one["type"] == "InternalIP" and ":" not in one["address"]
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as towards:
        towards.connect((address, 9))
        host = towards.getsockname()[0]
    for_rulebook, for_alertmanager, for_prometheus = api_server.free_ports(3)
    inside = ["nsenter", f"--net=/proc/{node}/ns/net"]
    stack.callback(process.stop_all, folder)
    variables = {"alerts_host": host, "alerts_port": for_rulebook, "alerts_token": TOKEN}
    alerts = Rulebook(folder, RULEBOOKS / "routers_alerts_run.yml", variables, {})
    alerts.start()
    webhook = f"http://{host}:{for_rulebook}/alerts"
    alertmanager = Alertmanager(folder, Place(address, for_alertmanager, inside), webhook, TOKEN)
    prometheus = Prometheus(folder, Place(address, for_prometheus, inside), alertmanager.url, _scrape(lab))
    alertmanager.start()
    prometheus.start()
    until(lambda: _listens(host, for_rulebook) or not alerts.alive, "the rulebook for alerts listens")
    assert alerts.alive, alerts.output
    return alerts, prometheus


def _scrape(lab: Lab) -> dict[str, Any]:
    """monitoring/scrape.yml, but that Debian's Prometheus is built without discovery in Kubernetes: here are the labels that it finds."""
    (scrape,) = yaml.safe_load((MONITORING / "scrape.yml").read_text())["scrape_configs"]
    (discovery,) = scrape.pop("kubernetes_sd_configs")
    (selector,) = discovery["selectors"]
    assert (discovery["role"], selector["role"]) == ("pod", "pod")
    targets = []
    for pod in lab.pods(selector["label"]):
        meta = {
            "namespace": pod["metadata"]["namespace"],
            "pod_name": pod["metadata"]["name"],
            "pod_node_name": pod["spec"]["nodeName"],
            **{
                f"pod_label_{re.sub('[^a-zA-Z0-9_]', '_', key)}": value
                for key, value in pod["metadata"]["labels"].items()
            },
        }
        for port in (port for container in pod["spec"]["containers"] for port in container["ports"]):
            found = {**meta, "pod_container_port_name": port["name"]}
            labels = {f"__meta_kubernetes_{key}": value for key, value in found.items()}
            targets.append({"targets": [f"{pod['status']['podIP']}:{port['containerPort']}"], "labels": labels})
    # One that is missed fires already, without `for`: on a machine that is busy an answer takes a second.
    return {**scrape, "static_configs": targets, "scrape_interval": "2s", "scrape_timeout": "2s"}


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()


# Those first whose playbook waits for somebody to mend the rest by hand: meanwhile no other is run.
@pytest.mark.parametrize("fault", sorted(FAULTS, key=lambda fault: not fault.mend), ids=lambda fault: fault.router)
def test_cause_event_action_and_end(world: World, fault: Fault, record_property: Callable[[str, object], None]) -> None:
    name = fault.router
    began = until(lambda: world.began(name), f"the playbook is run, after {world.told(name)}")
    if fault.mend:
        fault.mend(world.lab)
    told = until(lambda: (told := world.told(name)) and "recovered" in told and told, "the router has recovered")
    assert list(told) == [fault.kind, "recovered"]
    record_property(
        "figure",
        f"{fault.kind:<15} event {told[fault.kind] - world.causes[name]:5.1f} s after its cause (patience {PATIENCE} s, looks every 5 s), "
        f"action {began - told[fault.kind]:4.1f} s after the event, over {told['recovered'] - began:4.1f} s after that",
    )
    if name in ("edited", "refused"):
        rules = world.lab.get("configmap", f"{name}-rules")["data"]["rules"]
        assert "5432 TCP 203.0.113.10" in rules.splitlines()


def test_an_alert_of_a_real_router(world: World, record_property: Callable[[str, object], None]) -> None:
    """Its metric, read by Prometheus, to the playbook."""

    def recorded() -> list[dict[str, Any]]:
        return [
            action.event | {"at": action.at}
            for action in world.alerts.actions()
            if action.event["kind"] == "EgressRouterRulesRefused"
        ]

    (action,) = until(recorded, "the playbook has run for the alert")
    assert action["router"] == f"{world.lab.namespace}/refused"
    (event,) = [
        one
        for one in world.alerts.events()
        if one["labels"]["alertname"] == action["kind"] and one["status"] == "firing"
    ]
    fires = _seconds(event["startsAt"]) - world.causes["refused"]
    record_property(
        "figure",
        f"{action['kind']} fires {fires:.1f} s after its cause (without `for`), action {action['at'] - _seconds(event['startsAt']):.1f} s after that",
    )
    assert json.dumps(event).count(world.lab.token) == 0
