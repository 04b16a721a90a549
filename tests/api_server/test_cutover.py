# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cut-over on a real API server with its controllers. A thread is the new router's agent, and what else is not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.rules import RuleSet, parse
from ansible_collections.egress.router.plugins.module_utils._contract.status import FAILED, ON_HOLD, SERVING, Status
from ansible_collections.egress.router.tests.api_server.api import NODE, until
from ansible_collections.egress.router.tests.api_server.nodes import Repeating
from ansible_collections.egress.router.tests.api_server.others import good
from ansible_collections.egress.router.tests.api_server.world import World
from ansible_collections.egress.router.tests.support.waiting import always

ENV = [
    {"name": "EGRESS_SOURCE", "value": "192.168.12.99"},
    {"name": "EGRESS_GATEWAY", "value": "192.168.12.1"},
    {"name": "EGRESS_DESTINATION", "value": "5432 tcp 203.0.113.10"},
]
POD = {"containers": [{"name": "egress", "image": "img:0", "env": ENV}], "automountServiceAccountToken": False}
LABELS = {"name": "egress"}
OPERATORS = {"app": "egress-router-cni"}
NEW = {
    "name": "billing",
    "image": "img:1",
    "addresses": [{"ip": "192.168.12.99/24", "gateway": "192.168.12.1"}],
    "redirect_rules": [{"port": 5432, "destination_ip": "203.0.113.10"}],
    "service": {"name": "billing-db"},
}
CUT_OVER = ["ansible-playbook", "--inventory=localhost,", "egress.router.cutover", "--extra-vars"]
NEW_PODS = {names.LABEL_INSTANCE: "billing"}


class Migration(Repeating):
    """An old router with its Service, and the agent of the new one. `works`: whether that can serve."""

    def __init__(self, world: World, origin: str) -> None:
        super().__init__()
        self.world, self.origin = world, origin
        self.works = True
        self.also: Callable[[], None] = lambda: None
        # The outage is told as it would be with kubelets.
        world.nodes.fast = 1.0
        self._make_old()

    def cut(self, check: bool = False, **options: Any) -> dict[str, Any]:
        given = {"wait_timeout": 60, "takeover_timeout": 30, **options}
        return self.world.run_on("cutover", {**NEW, "namespace": self.world.namespace}, check=check, **given)

    # Who is there

    def old_pods(self) -> list[Any]:
        """Those with an address on the segment."""
        labels = OPERATORS if self.origin == "EgressRouter" else LABELS
        pods = [pod for pod in self.world.pods() if labels.items() <= pod["metadata"]["labels"].items()]
        return [pod for pod in pods if pod["spec"].get("nodeName")]

    def leads_to(self) -> set[str]:
        """Addresses of all slices of the Service, whoever wrote them."""
        slices = self.world.list("endpointslices")
        own = [one for one in slices if one["metadata"]["labels"].get("kubernetes.io/service-name") == "billing-db"]
        return {ip for one in own for endpoint in one.get("endpoints") or () for ip in endpoint["addresses"]}

    def addresses_of_pods(self, labels: dict[str, str]) -> set[str]:
        pods = [pod for pod in self.world.pods() if labels.items() <= pod["metadata"]["labels"].items()]
        return {pod["status"]["podIP"] for pod in pods if pod["status"].get("podIP")}

    def leads_to_the_new_router(self) -> bool:
        return self.leads_to() == self.addresses_of_pods(NEW_PODS)

    def serves(self) -> bool:
        """Whether the new router does."""
        lease = self.world.get("leases", "billing") or {"metadata": {}}
        return bool((lease["metadata"].get("annotations") or {}).get("egress.router/state") == SERVING)

    def service(self) -> Any:
        return self.world.get("services", "billing-db")

    def left_of_the_old_router(self) -> list[str]:
        """What makes pods, and pods."""
        plurals = ("egressrouters", "deploymentconfigs", "replicationcontrollers", "deployments", "replicasets", "pods")
        items = [item["metadata"] for plural in plurals for item in self.world.list(plural)]
        return [item["name"] for item in items if not NEW_PODS.items() <= (item.get("labels") or {}).items()]

    # The old router

    def _make_old(self) -> None:
        template, selector, one = (
            {"metadata": {"labels": LABELS}, "spec": POD},
            LABELS,
            {"metadata": {"name": "egress"}},
        )
        if self.origin == "Pod":
            self._create("pods", {"metadata": {"name": "egress", "labels": LABELS}, "spec": POD})
        elif self.origin == "ReplicationController":
            spec = {"replicas": 1, "selector": LABELS, "template": template}
            self._create("replicationcontrollers", {**one, "spec": spec})
        elif self.origin == "DeploymentConfig":
            spec = {"replicas": 1, "selector": LABELS, "template": template}
            kind = {"apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig"}
            self._create("deploymentconfigs", {**kind, **one, "spec": spec})
        elif self.origin == "Deployment":
            spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": template}
            self._create("deployments", {**one, "spec": spec})
        else:
            selector = OPERATORS
            spec = {"addresses": NEW["addresses"], "redirect": {}}
            body = {"apiVersion": "network.operator.openshift.io/v1", "kind": "EgressRouter", "spec": spec}
            self._create("egressrouters", {**body, "metadata": {"name": "billing"}})
        spec = {"selector": selector, "ports": [{"name": "db", "port": 5432}]}
        self._create("services", {"metadata": {"name": "billing-db", "labels": {"team": "a"}}, "spec": spec})

    def _create(self, plural: str, body: dict[str, Any]) -> None:
        self.world.api("POST", self.world.paths(plural), body)

    # What runs

    def step(self) -> None:
        for config in self.world.list("deploymentconfigs"):
            self._deploy(config)
        self._be_agent()
        self.also()

    def _deploy(self, config: dict[str, Any]) -> None:
        """As OpenShift's controller of DeploymentConfigs: a ReplicationController has the replicas that it says."""
        name, replicas = f"{config['metadata']['name']}-1", config["spec"]["replicas"]
        found = self.world.get("replicationcontrollers", name)
        if found is None:
            owner = {"apiVersion": config["apiVersion"], "kind": "DeploymentConfig", "name": config["metadata"]["name"]}
            owner |= {"uid": config["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}
            spec = {key: config["spec"][key] for key in ("replicas", "selector", "template")}
            self._create(
                "replicationcontrollers", {"metadata": {"name": name, "ownerReferences": [owner]}, "spec": spec}
            )
        elif found["spec"]["replicas"] != replicas:
            self.world.api.merge(self.world.path("replicationcontrollers", name), {"spec": {"replicas": replicas}})

    def _be_agent(self) -> None:
        world = self.world
        lease = world.get("leases", "billing")
        pods = [pod for pod in world.pods() if NEW_PODS.items() <= pod["metadata"]["labels"].items()]
        pods = [pod for pod in pods if pod["status"].get("podIP") and "deletionTimestamp" not in pod["metadata"]]
        if lease is None or not pods:
            return
        on_hold = names.HOLD in (lease["metadata"].get("annotations") or {})
        state, error = (SERVING, "") if self.works else (FAILED, "gateway 192.168.12.1 does not answer")
        state, error = (ON_HOLD, "") if on_hold else (state, error)
        if state == SERVING:
            assert not self.old_pods(), "two routers have the address"
        data = (world.get("configmaps", "billing-rules").get("data") or {}).get("rules", "")
        loaded: RuleSet = parse(data)
        pod = pods[0]["metadata"]["name"]
        endpoints = [{"addresses": [pods[0]["status"]["podIP"]]}] if state == SERVING else []
        ports = [{"name": "tcp-5432", "port": 5432, "protocol": "TCP"}]
        world.api.merge(world.path("endpointslices", "billing-ipv4"), {"endpoints": endpoints, "ports": ports})
        status = Status(state=state, pod=pod, node=NODE, rules_hash=loaded.hash(), error=error)
        renewed = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        holder = {"holderIdentity": pod, "leaseDurationSeconds": 15, "renewTime": renewed}
        world.api.merge(
            world.path("leases", "billing"), {"metadata": {"annotations": status.annotations()}, "spec": holder}
        )


Make = Callable[[str], Migration]


@pytest.fixture
def make(world: World) -> Iterator[Make]:
    made: list[Migration] = []

    def begin(origin: str) -> Migration:
        migration = Migration(world, origin)
        made.append(migration)
        migration.start()
        until(lambda: migration.failures or len(migration.leads_to()) == 1, "clients reach the old router")
        assert migration.failures == []
        return migration

    yield begin
    for migration in made:
        migration.stop()


def spec_of(service: Any) -> Any:
    return (service["metadata"]["uid"], service["metadata"]["labels"], service["spec"])


@pytest.mark.parametrize("origin", ["Deployment", "ReplicationController", "DeploymentConfig", "Pod", "EgressRouter"])
def test_over_and_back_and_for_good(make: Make, origin: str, record_property: Callable[[str, object], None]) -> None:
    migration = make(origin)
    before = migration.service()
    predicted = good(migration.cut(check=True))
    assert predicted["changed"] and migration.world.get("deployments", "billing") is None

    result = good(migration.cut())
    record_property("figure", result["routers"][0]["summary"])
    assert result["routers"][0]["old"].startswith(f"{origin} ")
    assert result["routers"][0]["seconds"]["old_pods"] < 25, "the grace of the old pods was not shortened"
    moved = migration.service()
    assert (moved["metadata"]["uid"], moved["spec"]["clusterIP"]) == (
        before["metadata"]["uid"],
        before["spec"]["clusterIP"],
    )
    assert "selector" not in moved["spec"] and moved["metadata"]["labels"]["team"] == "a"
    assert {port["name"]: port["port"] for port in moved["spec"]["ports"]} == {"metrics": 29797, "tcp-5432": 5432}
    # Whoever else writes slices has nothing more to say: not the controllers of before, not the one that copies Endpoints.
    until(migration.leads_to_the_new_router, "the Service leads to the new router")
    always(lambda: migration.leads_to_the_new_router() and not migration.old_pods(), "it stays so", 2.0)
    again = good(migration.cut())
    assert not again["changed"] and again["diff"] == [], again

    good(migration.cut(active="old"))
    assert spec_of(migration.service()) == spec_of(before)
    assert len(migration.old_pods()) == 1
    until(
        lambda: migration.leads_to() == {pod["status"]["podIP"] for pod in migration.old_pods()}, "the old one is back"
    )
    assert migration.world.get("configmaps", "billing-cutover") is None

    good(migration.cut(remove_old=True))
    until(migration.leads_to_the_new_router, "the Service leads to the new router")
    until(lambda: not migration.left_of_the_old_router(), "the old router's objects are gone")
    assert migration.world.get("configmaps", "billing-cutover") is None


@pytest.mark.parametrize("when", ["the new router is made", "the old pods end"])
def test_a_ctrl_c_half_way_and_another_run(make: Make, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Before anything is taken from the old router it ends at once. After that, only when one of the two serves."""
    migration = make("Deployment")
    interrupted = threading.Event()

    def interrupt() -> None:
        made = migration.world.get("deployments", "billing") is not None
        ends = made and not migration.serves() and migration.world.get("deployments", "egress")["spec"]["replicas"] == 0
        if (made if when == "the new router is made" else ends) and not interrupted.is_set():
            interrupted.set()
            os.kill(os.getpid(), signal.SIGINT)

    # What a shell starts in the background ignores Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    migration.also = interrupt
    try:
        with pytest.raises(KeyboardInterrupt):
            migration.cut()
    finally:
        signal.signal(signal.SIGINT, before)
    assert interrupted.is_set()
    if when == "the new router is made":
        assert migration.old_pods() and not migration.serves()
        assert good(migration.cut())["changed"]
    else:
        assert migration.serves() and not migration.old_pods()
        assert not good(migration.cut())["changed"]
    until(migration.leads_to_the_new_router, "the Service leads to the new router")


def test_a_new_router_that_does_not_serve(make: Make) -> None:
    migration = make("Deployment")
    before, migration.works = migration.service(), False
    result = migration.cut(takeover_timeout=3)
    assert result["failed"] and "gateway 192.168.12.1 does not answer" in result["msg"]
    assert "rolled back: Deployment" in result["msg"]
    assert spec_of(migration.service()) == spec_of(before)
    until(lambda: migration.leads_to() == migration.addresses_of_pods(LABELS), "clients reach the old router")
    migration.works = True
    good(migration.cut())


def test_a_new_router_that_verification_fails_of(make: Make) -> None:
    """The whole playbook. There is no kubelet, so a pod that is to connect through the new router cannot run its command."""
    migration = make("Deployment")
    before = migration.service()
    variables = {
        "egress_routers": [{**NEW, "namespace": migration.world.namespace}],
        "migrate_cutover": f"{migration.world.namespace}/billing",
    }
    done = subprocess.run(
        [*CUT_OVER, json.dumps(variables)],
        env={**os.environ, "K8S_AUTH_KUBECONFIG": str(migration.world.servers.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    # It did take over, and gave everything back because of what verification found.
    for said in (
        "took over from Deployment",
        "TASK [egress.router.verify : Connect",
        "start the old router, wait for the old pods",
    ):
        assert said in done.stdout, done.stdout
    assert spec_of(migration.service()) == spec_of(before)
    until(lambda: migration.leads_to() == migration.addresses_of_pods(LABELS), "clients reach the old router")
    assert migration.old_pods() and not migration.serves()
