# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hand-overs, deleted pods and drained nodes on a real API server with its controllers.

A thread is a stand-in for the kubelets, the scheduler and the router's agents: it shows what the modules ask of the API server, and
nothing of what real agents do with it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from ansible_collections.egress.router.plugins.module_utils._common.errors import Conflict, NotReady, Unreachable
from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.status import SERVING, Status
from ansible_collections.egress.router.plugins.module_utils._drill import events
from ansible_collections.egress.router.plugins.module_utils._drill.plan import HAND_OVER, NODE_DRAINED, POD_DELETED
from ansible_collections.egress.router.plugins.module_utils._kubernetes import hand_over
from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.egress.router.plugins.module_utils._kubernetes.router_info import Facts
from ansible_collections.egress.router.plugins.module_utils._router.manifests import manifests
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.tests.api_server.control_plane import ControlPlane
from ansible_collections.egress.router.tests.support.waiting import until

SPEC = {
    "name": "billing",
    "image": "img:1",
    "replicas": 2,
    "addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}],
}
_numbers = itertools.count(1)


class World:
    """A namespace with a router of two pods, each on a node of its own. `obeys`: whether the agents do what they are asked for."""

    def __init__(self, plane: ControlPlane) -> None:
        number = next(_numbers)
        self.plane, self.namespace = plane, f"hand-over-{number}"
        self.nodes = [f"hand-over-{number}-{side}" for side in "ab"]
        self.obeys = True
        self.problems: list[str] = []
        self._heeded = ""
        self._ips = itertools.count(5)
        self._stop = threading.Event()
        plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        for node in self.nodes:
            plane.request("POST", "/api/v1/nodes", {"metadata": {"name": node}})
        routers, problems = load([{**SPEC, "namespace": self.namespace}])
        assert not problems
        for item in manifests(routers[0]):
            if item["kind"] in ("Lease", "Deployment"):
                group = "coordination.k8s.io/v1" if item["kind"] == "Lease" else "apps/v1"
                path = f"/apis/{group}/namespaces/{self.namespace}/{item['kind'].lower()}s"
                plane.request("POST", path, {"apiVersion": group, **item})
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()
        until(lambda: self.problems or self.status().successor, "a pod serves, and one stands by", 60)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def lease_path(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/billing"

    def lease(self) -> dict[str, Any]:
        found: dict[str, Any] = self.plane.request("GET", self.lease_path)
        return found

    def status(self) -> Status:
        return Status.from_lease(self.lease())

    def unschedulable(self) -> list[str]:
        items = [self.plane.request("GET", f"/api/v1/nodes/{node}") for node in self.nodes]
        return [item["metadata"]["name"] for item in items if item["spec"].get("unschedulable")]

    def cluster(self, dry_run: bool = False) -> Cluster:
        return Cluster(self.plane.client, dry_run)

    def hand_over(self, dry_run: bool = False, **more: Any) -> dict[str, Any]:
        """What the module does."""
        router = {"name": "billing", "namespace": self.namespace, "backend": "agent"}
        params = {"routers": [router], "namespaces": None, "wait": True, "wait_timeout": 20, **more}
        result, error = hand_over.run(self.cluster(dry_run), params, True)
        return {**result, "error": error}

    def facts(self) -> Facts:
        """When a pod serves and another one stands by."""
        (found,) = hand_over.able(self.cluster(), [(self.namespace, "billing")], [self.namespace])
        return found

    def _live(self) -> None:
        while not self._stop.wait(0.05):
            try:
                pods = self.plane.request("GET", f"/api/v1/namespaces/{self.namespace}/pods")["items"]
                for pod in pods:
                    self._run(pod, pods)
                self._be_agents([pod for pod in pods if pod["status"].get("podIP") and not ending(pod)])
            except ApiException as error:
                # Somebody else was faster, or the object is gone: the next round sees it.
                if error.status not in (404, 409):
                    self.problems.append(str(error))
            except Exception as error:
                self.problems.append(repr(error))

    def _run(self, pod: Any, pods: list[Any]) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}"
        if ending(pod):
            self.plane.request("DELETE", f"{path}?gracePeriodSeconds=0")
        elif not pod["spec"].get("nodeName"):
            taken = [other["spec"].get("nodeName") for other in pods] + self.unschedulable()
            free = [node for node in self.nodes if node not in taken]
            if free:
                body = {"metadata": {"name": pod["metadata"]["name"]}, "target": {"kind": "Node", "name": free[0]}}
                self.plane.request("POST", f"{path}/binding", {"apiVersion": "v1", "kind": "Binding", **body})
        elif pod["status"].get("phase") != "Running":
            ip = f"10.244.2.{next(self._ips)}"
            ready = [{"type": "Ready", "status": "True"}]
            status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": ready}
            self.plane.merge(f"{path}/status", {"status": status})

    def _be_agents(self, pods: list[Any]) -> None:
        lease = self.lease()
        spec, annotations = lease.get("spec") or {}, lease["metadata"].get("annotations") or {}
        alive = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in pods}
        holder, asked = spec.get("holderIdentity") or "", annotations.get(names.HAND_OVER, "")
        others = sorted(name for name in alive if name != holder)
        cause = "" if holder in alive else "its predecessor has ended"
        if asked != self._heeded and self.obeys and others:
            self._heeded, cause = asked, "it was asked to"
        if not self.obeys or not alive or (cause and not others):
            return
        status = Status.from_lease(lease)
        successor = next((name for name in others if not cause), "")
        if not cause and (status.successor == successor and fresh(spec)):
            return
        before, holder = holder, others[0] if cause else holder
        fields = {"taken_over_from": before, "take_over_cause": cause, "take_over_seconds": "0.02"} if cause else {}
        kept = {name: getattr(status, name) for name in ("taken_over_from", "take_over_cause", "take_over_seconds")}
        now = Status(state=SERVING, pod=holder, node=alive[holder], successor=successor, **(fields or kept))
        renewed = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        body = {
            "metadata": {"annotations": now.annotations(), "resourceVersion": lease["metadata"]["resourceVersion"]},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": 15,
                "renewTime": renewed,
                "leaseTransitions": spec.get("leaseTransitions", 0) + bool(cause),
            },
        }
        self.plane.merge(self.lease_path, body)


def ending(pod: Any) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def fresh(spec: dict[str, Any]) -> bool:
    renewed = datetime.fromisoformat(spec["renewTime"].replace("Z", "+00:00"))
    return (datetime.now(timezone.utc) - renewed).total_seconds() < 1


@pytest.fixture
def world(control_plane: ControlPlane) -> Iterator[World]:
    found = World(control_plane)
    yield found
    found.stop()
    assert found.problems == []


def test_over_and_back(world: World) -> None:
    one = world.status()
    predicted = world.hand_over(dry_run=True)
    assert predicted["changed"] and predicted["routers"][0]["after"]["pod"] == one.successor
    assert names.HAND_OVER not in world.lease()["metadata"]["annotations"] and world.status().pod == one.pod

    over = world.hand_over()
    assert not over["error"] and over["diff"] == predicted["diff"], over
    (router,) = over["routers"]
    assert (router["before"]["pod"], router["after"]["pod"]) == (one.pod, one.successor)
    assert router["after"] == {**predicted["routers"][0]["after"], "term": router["before"]["term"] + 1}
    assert (router["seconds"], router["cause"]) == (0.02, "it was asked to")

    back = world.hand_over()
    assert back["routers"][0]["after"]["pod"] == one.pod and back["changed"]
    owners = {
        entry["manager"]
        for entry in world.lease()["metadata"]["managedFields"]
        if f"f:{names.HAND_OVER}" in entry["fieldsV1"].get("f:metadata", {}).get("f:annotations", {})
    }
    assert owners == {names.FIELD_MANAGER_HAND_OVER}


def test_agents_that_do_not_obey(world: World) -> None:
    world.obeys = False
    result = world.hand_over(wait_timeout=1)
    assert "is still serving" in result["error"] and not result["changed"], result
    assert names.HAND_OVER in world.lease()["metadata"]["annotations"]


def test_the_pod_that_was_seen_is_the_one_that_is_asked(world: World) -> None:
    seen = world.facts()
    assert not world.hand_over()["error"]
    before = world.lease()["metadata"]["annotations"][names.HAND_OVER]
    with pytest.raises(Conflict, match=f"not served by pod {seen.status.pod} any more"):
        hand_over.ask(world.cluster(), seen)
    assert world.lease()["metadata"]["annotations"][names.HAND_OVER] == before


def test_a_renewal_in_between_is_no_conflict(world: World) -> None:
    seen = world.facts()
    until(
        lambda: world.lease()["metadata"]["resourceVersion"] != seen.lease["metadata"]["resourceVersion"], "a renewal"
    )
    hand_over.ask(world.cluster(), seen)
    until(lambda: world.status().pod == seen.status.successor, "the other pod serves")


@pytest.mark.parametrize("event", [HAND_OVER, POD_DELETED, NODE_DRAINED])
def test_events_of_a_drill(world: World, event: str) -> None:
    for _turn in range(2):
        facts = world.facts()
        lease = events.cause(world.cluster(), event, facts, 30)
        assert hand_over.serving(lease) == hand_over.Server(
            facts.status.successor,
            hand_over.node_of(facts, facts.status.successor),
            hand_over.term(facts.lease or {}) + 1,
        )
        assert world.unschedulable() == []
        left = {pod["metadata"]["name"] for pod in world.facts().pods if not ending(pod)}
        assert (facts.status.pod in left) == (event == HAND_OVER) and facts.status.successor in left


def budget(world: World, min_available: int) -> None:
    labels = {"matchLabels": {names.LABEL_INSTANCE: "billing"}}
    path = f"/apis/policy/v1/namespaces/{world.namespace}/poddisruptionbudgets"
    body = {"metadata": {"name": "billing"}, "spec": {"minAvailable": min_available, "selector": labels}}
    made = world.plane.request("POST", path, body)
    # Nobody's controller runs here that would count.
    counts = {
        "disruptionsAllowed": 2 - min_available,
        "currentHealthy": 2,
        "desiredHealthy": min_available,
        "expectedPods": 2,
    }
    status = {"observedGeneration": made["metadata"]["generation"], **counts}
    world.plane.merge(f"{path}/billing/status", {"status": status})


def test_a_budget_that_allows_it(world: World) -> None:
    budget(world, 1)
    facts = world.facts()
    events.cause(world.cluster(), NODE_DRAINED, facts, 30)
    assert world.status().pod == facts.status.successor and world.unschedulable() == []


def test_a_budget_that_is_against_it(world: World) -> None:
    budget(world, 2)
    facts = world.facts()
    with pytest.raises(Unreachable, match=r"cannot evict Pod .*disruption budget"):
        events.cause(world.cluster(), NODE_DRAINED, facts, 1)
    assert world.status().pod == facts.status.pod and world.unschedulable() == []


def test_a_node_that_was_cordoned_stays_so(world: World) -> None:
    facts = world.facts()
    world.plane.merge(f"/api/v1/nodes/{facts.status.node}", {"spec": {"unschedulable": True}})
    events.cause(world.cluster(), NODE_DRAINED, facts, 30)
    assert world.unschedulable() == [facts.status.node]


def test_nobody_takes_over_from_a_drained_node(world: World) -> None:
    facts = world.facts()
    world.obeys = False
    with pytest.raises(NotReady, match="no other pod serves after 1 s"):
        events.cause(world.cluster(), NODE_DRAINED, facts, 1)
    assert world.unschedulable() == []


def test_another_pod_of_the_same_name_is_left_alone(world: World) -> None:
    facts = world.facts()
    for pod in facts.pods:
        pod["metadata"]["uid"] = "of-another-one"
    for event in (POD_DELETED, NODE_DRAINED):
        with pytest.raises(Conflict):
            events.cause(world.cluster(), event, facts, 1)
    assert world.status().pod == facts.status.pod and world.unschedulable() == []
