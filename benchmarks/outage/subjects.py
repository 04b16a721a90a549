# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is measured: a router with two pods, and what there is without one: a Deployment with a fixed address."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from lab import NAMESPACE, PREFLIGHT, command, playbook, routers

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._drill import plan
from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.egress.router.plugins.module_utils._kubernetes.hand_over import Server, serving
from ansible_collections.egress.router.plugins.module_utils._kubernetes.pods import going
from ansible_collections.egress.router.plugins.module_utils._kubernetes.router_info import Facts, read
from ansible_collections.egress.router.tests.support.waiting import until

# The same image by another name, for an update.
OTHER_IMAGE = "localhost/egress-router:bench"
RULES = [
    {"port": 5432, "protocol": "TCP", "destination_ip": "203.0.113.10"},
    {"port": 53, "protocol": "UDP", "destination_ip": "203.0.113.12"},
]
NOBODY = Server("", "", 0)
PATIENCE = 180.0
# Pods that landed on one node are parted again so often.
ATTEMPTS = 4


class Subject(Protocol):
    """A Deployment that clients connect to through its Service."""

    name: str
    cluster: Cluster

    def deploy(self) -> None:
        """Make it, and wait until it serves."""

    def server(self) -> Server:
        """The pod that serves."""

    def pods(self) -> list[dict[str, Any]]:
        """All of its pods."""

    def ready(self) -> str:
        """Why it is not as it was at first, but for pods that end; empty if it is."""


def targets(subject: Subject) -> list[str]:
    """What clients connect to: the Service's own address, so that no name is looked up."""
    address = subject.cluster.get("Service", NAMESPACE, subject.name)["spec"]["clusterIP"]
    return [f"{str(rule['protocol']).lower()}://{address}:{rule['port']}" for rule in RULES]


def await_ready(subject: Subject) -> None:
    """Until it is as it was at first, but for pods that end."""
    _await(subject.ready)


def await_other(subject: Subject, before: Server) -> None:
    """Until another pod serves."""
    until(lambda: subject.server().pod not in ("", before.pod), f"another pod than {before.pod} serves", PATIENCE)


def await_whole(subject: Subject) -> None:
    """Until nothing is left of the last event: no pod ends, and no two are on one node."""
    for _attempt in range(ATTEMPTS):
        _await(lambda: subject.ready() or _ending(subject))
        together = _together(subject)
        if not together:
            return
        # The scheduler counts pods that end, so its choice may be another one now.
        subject.cluster.delete("Pod", NAMESPACE, together)
        _await_removal(subject, together)
    raise AssertionError(f"the pods of {subject.name} stay on one node")


def _await_removal(subject: Subject, pod: str) -> None:
    until(lambda: pod not in _names(subject), f"{pod} is gone", PATIENCE)


def _await(problem: Callable[[], str]) -> None:
    why = ""

    def settled() -> bool:
        nonlocal why
        why = problem()
        return not why

    try:
        until(settled, "as before", PATIENCE, 0.2)
    except AssertionError:
        raise AssertionError(f"not as before after {PATIENCE:g} s: {why}") from None


def _names(subject: Subject) -> list[str]:
    return [pod["metadata"]["name"] for pod in subject.pods()]


def _ending(subject: Subject) -> str:
    return next((f"{pod['metadata']['name']} is ending" for pod in subject.pods() if going(pod)), "")


def _together(subject: Subject) -> str:
    """A pod that does not serve and is on the node of the one that does; empty if there is none."""
    server = subject.server()
    others = [pod for pod in subject.pods() if pod["metadata"]["name"] != server.pod]
    return next((pod["metadata"]["name"] for pod in others if pod["spec"].get("nodeName") == server.node), "")


class Pair:
    """The router."""

    def __init__(self, cluster: Cluster, number: int = 0) -> None:
        self.cluster = cluster
        self._wanted = routers(number + 1, 0, replicas=2, redirect_rules=RULES)[number]
        self.name = str(self._wanted["name"])

    def deploy(self) -> None:
        playbook("egress.router.provision", [self._wanted], **PREFLIGHT)

    def facts(self) -> Facts:
        """Its objects."""
        (found,) = read(self.cluster, [(NAMESPACE, self.name)], [NAMESPACE])
        return found

    def server(self) -> Server:
        return serving(self.facts().lease or {}) or NOBODY

    def pods(self) -> list[dict[str, Any]]:
        return self.facts().pods

    def ready(self) -> str:
        facts = self.facts()
        refused = plan.refused(facts, [], False)
        return facts.reason() or (refused.why if refused else "")

    def take_overs(self) -> int:
        """How many its pods have counted."""
        found = 0
        for pod in self.pods():
            page = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:{names.AGENT_PORT}/proxy/metrics"
            text = command("kubectl", "get", "--raw", page)
            found += sum(int(float(n)) for n in re.findall(r"^egress_router_take_overs_total\{.*\} (\S+)$", text, re.M))
        return found


class Plain:
    """A pod with the rules of the reference and a fixed address, which Kubernetes makes anew after the shortest time."""

    name = "plain"

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def deploy(self) -> None:
        manifests = Path(__file__).with_name("plain.yml").read_text()
        words = ["kubectl", "-n", NAMESPACE, "apply", "-f", "-"]
        subprocess.run(words, input=manifests, text=True, check=True, stdout=subprocess.DEVNULL)
        await_ready(self)

    def server(self) -> Server:
        ready = [pod for pod in self.pods() if not going(pod) and _is_ready(pod)]
        return Server(ready[0]["metadata"]["name"], ready[0]["spec"]["nodeName"], 0) if ready else NOBODY

    def pods(self) -> list[dict[str, Any]]:
        return self.cluster.find("Pod", NAMESPACE, f"app={self.name}")

    def ready(self) -> str:
        nodes = [node["metadata"]["name"] for node in self.cluster.find("Node") if not _is_ready(node)]
        if nodes:
            return f"nodes are not ready: {', '.join(nodes)}"
        return "" if self.server().pod else "no pod is ready"


def _is_ready(thing: dict[str, Any]) -> bool:
    conditions = (thing.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
