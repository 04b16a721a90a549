# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cut-over on a real API server with its controllers. A thread is the kubelet, the new router's agent and the operator."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial
from typing import Any

import pytest
from control_plane import NODE, ControlPlane
from kubernetes.client.exceptions import ApiException

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.rules import RuleSet, parse
from ansible_collections.egress.router.plugins.module_utils._contract.status import FAILED, ON_HOLD, SERVING, Status
from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.egress.router.plugins.module_utils._migrate.cutover_run import run
from ansible_collections.egress.router.plugins.module_utils._router import checked
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.tests.support.waiting import always, until

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
_numbers = itertools.count(1)


class World:
    """A namespace, and what runs pods in it. `works`: whether the new router can serve."""

    def __init__(self, plane: ControlPlane, origin: str) -> None:
        self.plane, self.origin = plane, origin
        self.namespace = f"payments-{next(_numbers)}"
        self.works = True
        self.problems: list[str] = []
        self._ips = itertools.count(5)
        self._stop = threading.Event()
        plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        until(lambda: self.get("v1", "serviceaccounts", "default"), "the namespace has its ServiceAccount")
        self._make_old()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def path(self, version: str, plural: str, name: str = "", below: str = "") -> str:
        prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
        return f"{prefix}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "") + below

    def get(self, version: str, plural: str, name: str) -> Any:
        return self.plane.request("GET", self.path(version, plural, name))

    def list(self, version: str, plural: str) -> list[Any]:
        found: list[Any] = self.plane.request("GET", self.path(version, plural))["items"]
        return found

    def cut(self, dry_run: bool = False, **params: Any) -> dict[str, Any]:
        """What the module does."""
        routers, problems = load([{**NEW, "namespace": self.namespace}])
        assert not problems
        given = {"active": "new", "remove_old": False, "wait_timeout": 60, "takeover_timeout": 30, **params}
        result, error = run(
            partial(Cluster, self.plane.client, dry_run), {**given, "checked": checked.dump(routers)}, True
        )
        return {**result, "error": error}

    # Who is there

    def old_pods(self) -> list[Any]:
        """Those with an address on the segment."""
        labels = OPERATORS if self.origin == "EgressRouter" else LABELS
        pods = [pod for pod in self.list("v1", "pods") if labels.items() <= pod["metadata"]["labels"].items()]
        return [pod for pod in pods if pod["spec"].get("nodeName")]

    def leads_to(self) -> set[str]:
        """Addresses of all slices of the Service, whoever wrote them."""
        slices = self.list("discovery.k8s.io/v1", "endpointslices")
        own = [one for one in slices if one["metadata"]["labels"].get("kubernetes.io/service-name") == "billing-db"]
        return {ip for one in own for endpoint in one.get("endpoints") or () for ip in endpoint["addresses"]}

    def addresses_of_pods(self, labels: dict[str, str]) -> set[str]:
        pods = [pod for pod in self.list("v1", "pods") if labels.items() <= pod["metadata"]["labels"].items()]
        return {pod["status"]["podIP"] for pod in pods if pod["status"].get("podIP")}

    def service(self) -> Any:
        return self.get("v1", "services", "billing-db")

    # The old router

    def _make_old(self) -> None:
        plane, template = self.plane, {"metadata": {"labels": LABELS}, "spec": POD}
        selector: dict[str, str] = LABELS
        if self.origin == "Pod":
            plane.request(
                "POST", self.path("v1", "pods"), {"metadata": {"name": "egress", "labels": LABELS}, "spec": POD}
            )
        elif self.origin == "ReplicationController":
            body = {"metadata": {"name": "egress"}, "spec": {"replicas": 1, "selector": LABELS, "template": template}}
            plane.request("POST", self.path("v1", "replicationcontrollers"), body)
        elif self.origin == "Deployment":
            spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": template}
            plane.request("POST", self.path("apps/v1", "deployments"), {"metadata": {"name": "egress"}, "spec": spec})
        else:
            selector = OPERATORS
            spec = {"addresses": NEW["addresses"]}
            body = {"apiVersion": "network.operator.openshift.io/v1", "kind": "EgressRouter", "spec": spec}
            body["metadata"] = {"name": "billing"}
            plane.request("POST", self.path("network.operator.openshift.io/v1", "egressrouters"), body)
        ports = [{"name": "db", "port": 5432}]
        body = {
            "metadata": {"name": "billing-db", "labels": {"team": "a"}},
            "spec": {"selector": selector, "ports": ports},
        }
        plane.request("POST", self.path("v1", "services"), body)

    # The kubelet, the agent and the operator

    def _live(self) -> None:
        while not self._stop.wait(0.1):
            try:
                if self.origin == "EgressRouter":
                    self._operate()
                for pod in self.list("v1", "pods"):
                    self._run(pod)
                self._be_agent()
            except ApiException as error:
                # Somebody else was faster, or the object is gone: the next round sees it.
                if error.status not in (404, 409):
                    self.problems.append(str(error))
            except Exception as error:
                self.problems.append(repr(error))

    def _operate(self) -> None:
        """As the Cluster Network Operator does at each resync: every field that it knows."""
        owner = self.get("network.operator.openshift.io/v1", "egressrouters", "billing")
        if owner is None:
            return
        reference = {"apiVersion": owner["apiVersion"], "kind": "EgressRouter", "name": "billing", "controller": True}
        name = "egress-router-cni-deployment"
        container = {"name": "egress-router-cni-pod", "image": "img:0", "command": ["/bin/sh", "-c", "sleep infinity"]}
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "ownerReferences": [{**reference, "uid": owner["metadata"]["uid"]}]},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": OPERATORS},
                "template": {"metadata": {"labels": OPERATORS}, "spec": {"containers": [container]}},
            },
        }
        query = "?fieldManager=cluster-network-operator/egress_router&force=true"
        path = self.path("apps/v1", "deployments", name) + query
        self.plane.request("PATCH", path, json.dumps(deployment), "application/apply-patch+yaml")

    def _run(self, pod: Any) -> None:
        name, spec = pod["metadata"]["name"], pod["spec"]
        if "deletionTimestamp" in pod["metadata"]:
            # A pod that ignores SIGTERM ends with its grace.
            end = datetime.fromisoformat(pod["metadata"]["deletionTimestamp"].replace("Z", "+00:00"))
            if datetime.now(timezone.utc) >= end:
                self.plane.request("DELETE", self.path("v1", "pods", name) + "?gracePeriodSeconds=0")
        elif not spec.get("nodeName"):
            # The one node is Linux and nothing else.
            if (spec.get("nodeSelector") or {}).items() <= {"kubernetes.io/os": "linux"}.items():
                body = {"metadata": {"name": name}, "target": {"kind": "Node", "name": NODE}}
                self.plane.request(
                    "POST", self.path("v1", "pods", name, "/binding"), {"apiVersion": "v1", "kind": "Binding", **body}
                )
        elif pod["status"].get("phase") != "Running":
            ip = f"10.244.1.{next(self._ips)}"
            ready = [{"type": "Ready", "status": "True"}]
            status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": ready}
            self.plane.merge(self.path("v1", "pods", name, "/status"), {"status": status})

    def _be_agent(self) -> None:
        lease = self.get("coordination.k8s.io/v1", "leases", "billing")
        pods = [
            pod for pod in self.list("v1", "pods") if pod["metadata"]["labels"].get(names.LABEL_INSTANCE) == "billing"
        ]
        pods = [pod for pod in pods if pod["status"].get("podIP") and "deletionTimestamp" not in pod["metadata"]]
        if lease is None or not pods:
            return
        on_hold = names.HOLD in (lease["metadata"].get("annotations") or {})
        state, error = (SERVING, "") if self.works else (FAILED, "gateway 192.168.12.1 does not answer")
        state, error = (ON_HOLD, "") if on_hold else (state, error)
        if state == SERVING:
            assert not self.old_pods(), "two routers have the address"
        data = (self.get("v1", "configmaps", "billing-rules").get("data") or {}).get("rules", "")
        loaded: RuleSet = parse(data)
        pod = pods[0]["metadata"]["name"]
        endpoints = [{"addresses": [pods[0]["status"]["podIP"]]}] if state == SERVING else []
        ports = [{"name": "tcp-5432", "port": 5432, "protocol": "TCP"}]
        self.plane.merge(
            self.path("discovery.k8s.io/v1", "endpointslices", "billing-ipv4"), {"endpoints": endpoints, "ports": ports}
        )
        status = Status(state=state, pod=pod, node=NODE, rules_hash=loaded.hash(), error=error)
        renewed = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        holder = {"holderIdentity": pod, "leaseDurationSeconds": 15, "renewTime": renewed}
        body = {"metadata": {"annotations": status.annotations()}, "spec": holder}
        self.plane.merge(self.path("coordination.k8s.io/v1", "leases", "billing"), body)


Make = Callable[[str], World]


@pytest.fixture
def make(control_plane: ControlPlane) -> Iterator[Make]:
    made: list[World] = []

    def begin(origin: str) -> World:
        world = World(control_plane, origin)
        made.append(world)
        until(lambda: world.problems or len(world.leads_to()) == 1, "clients reach the old router", 60)
        assert world.problems == []
        return world

    yield begin
    for world in made:
        world.stop()
        assert world.problems == []


def spec_of(service: Any) -> Any:
    return (service["metadata"]["uid"], service["metadata"]["labels"], service["spec"])


@pytest.mark.parametrize("origin", ["Deployment", "ReplicationController", "Pod", "EgressRouter"])
def test_over_and_back_and_for_good(make: Make, origin: str, record_property: Callable[[str, object], None]) -> None:
    world = make(origin)
    before = world.service()
    predicted = world.cut(dry_run=True)
    assert predicted["changed"] and not predicted["error"] and world.get("apps/v1", "deployments", "billing") is None

    result = world.cut()
    assert not result["error"], result["error"]
    record_property("figure", result["routers"][0]["summary"])
    assert result["routers"][0]["seconds"]["old_pods"] < 25, "the grace of the old pods was not shortened"
    moved = world.service()
    assert (moved["metadata"]["uid"], moved["spec"]["clusterIP"]) == (
        before["metadata"]["uid"],
        before["spec"]["clusterIP"],
    )
    assert "selector" not in moved["spec"] and moved["metadata"]["labels"]["team"] == "a"
    assert {port["name"]: port["port"] for port in moved["spec"]["ports"]} == {"metrics": 29797, "tcp-5432": 5432}
    new = {names.LABEL_INSTANCE: "billing"}
    # Whoever else writes slices has nothing more to say: not the controllers of before, not the one that copies Endpoints.
    until(lambda: world.leads_to() == world.addresses_of_pods(new), "the Service leads to the new router")
    always(lambda: world.leads_to() == world.addresses_of_pods(new) and not world.old_pods(), "it stays so", 2.0)
    again = world.cut()
    assert not again["changed"] and again["diff"] == [], again

    back = world.cut(active="old")
    assert not back["error"], back["error"]
    assert spec_of(world.service()) == spec_of(before)
    assert len(world.old_pods()) == 1
    until(lambda: world.leads_to() == {pod["status"]["podIP"] for pod in world.old_pods()}, "the old router is back")
    assert world.get("v1", "configmaps", "billing-cutover") is None

    assert not world.cut(remove_old=True)["error"]
    until(lambda: world.leads_to() == world.addresses_of_pods(new), "the Service leads to the new router")
    until(lambda: not self_made(world), "the old router's objects are gone", 30)
    assert world.get("v1", "configmaps", "billing-cutover") is None


def self_made(world: World) -> list[str]:
    """What there is left of old routers."""
    kinds = [("v1", "replicationcontrollers"), ("apps/v1", "deployments"), ("apps/v1", "replicasets"), ("v1", "pods")]
    kinds.append(("network.operator.openshift.io/v1", "egressrouters"))
    items = [item["metadata"] for kind in kinds for item in world.list(*kind)]
    ours = (names.LABEL_INSTANCE, "billing")
    return [item["name"] for item in items if ours not in (item.get("labels") or {}).items()]


def test_a_new_router_that_does_not_serve(make: Make) -> None:
    world = make("Deployment")
    before, world.works = world.service(), False
    result = world.cut(takeover_timeout=3)
    assert "gateway 192.168.12.1 does not answer" in result["error"]
    assert "rolled back: Deployment" in result["error"]
    assert spec_of(world.service()) == spec_of(before)
    until(lambda: world.leads_to() == world.addresses_of_pods(LABELS), "clients reach the old router")
    world.works = True
    assert not world.cut()["error"]
