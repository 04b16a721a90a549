# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module router_info: what it reports, what it waits for, and the reasons it gives."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.failover import Failover
from ansible_collections.egress.router.plugins.module_utils._contract.identity import VARIABLE, EgressAddress, Identity
from ansible_collections.egress.router.plugins.module_utils._contract.status import CONFLICT, STARTING
from ansible_collections.egress.router.plugins.module_utils._contract.version import VERSION
from ansible_collections.egress.router.plugins.module_utils._kubernetes import router_info as _router_info
from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.tests.support.fake_api_server import FakeAgent, FakeCluster, add_router

from .conftest import Run
from .test_address_pool import add_object

DB = {"name": "billing-db", "namespace": "payments"}


@pytest.fixture
def agent(cluster: FakeCluster) -> FakeAgent:
    return add_router(cluster, "payments", "billing-db", "5432 TCP 203.0.113.10\n")


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_router_info, "GRACE_SECONDS", 0.3)


def pod(cluster: FakeCluster) -> dict[str, Any]:
    return cluster.objects[("pods", "payments", "billing-db-abc")]


def deployment(cluster: FakeCluster) -> dict[str, Any]:
    return cluster.objects[("deployments", "payments", "billing-db")]


def test_a_serving_router(run: Run, agent: FakeAgent) -> None:
    result = run("router_info", routers=[DB])
    assert result["changed"] is False
    router = result["routers"][0]
    assert router.pop("rules_hash") == agent.live.hash()
    assert router.pop("rules_version").isdigit()
    assert router.pop("failover") == {
        "holder": "billing-db-abc", "holder_node": "worker-1", "holder_able": True, "holder_error": "",
        "successor": "", "successor_node": "", "successor_able": False, "successor_error": "", "reason": "", "term": 0,
        "last_take_over": {"at": "", "from": "", "cause": "", "seconds": None}, "beats_lost": 0,
        "relay_seconds": None, "relay_error": "",
    }  # fmt: skip
    assert router == {
        **DB, "serving": True, "state": "serving", "reason": "", "rolled_out": True, "node": "worker-1",
        "pod": "billing-db-abc", "pod_ips": ["10.244.1.17"], "restarts": 0, "addresses": ["198.51.100.50/24"],
        "mac": "02:e6:c6:33:64:32", "rules_count": 1, "rules_error": "", "applied_at": "", "error": "",
        "routes_error": "",
    }  # fmt: skip


def test_a_gateway_of_a_route_that_is_silent(run: Run, agent: FakeAgent) -> None:
    said = "gateway 198.51.100.2 of the route to 192.0.2.0/24 does not answer on net1"
    agent.report(routes_error=said)
    (router,) = run("router_info", routers=[DB])["routers"]
    assert (router["routes_error"], router["serving"], router["error"]) == (said, True, "")


@pytest.mark.usefixtures("agent")
def test_addresses_of_pools(run: Run, cluster: FakeCluster) -> None:
    assert "pool_addresses" not in run("router_info", routers=[DB])["routers"][0]
    assert run("router_info", routers=[DB], pool_namespace="pools")["routers"][0]["pool_addresses"] == []
    add_object(cluster, "billing-db", 64)
    add_object(cluster, "other", 65)
    add_object(cluster, "billing-db", 66, **{"egress.router/released-at": "2026-11-26T09:30:00Z"})
    (router,) = run("router_info", routers=[DB], pool_namespace="pools")["routers"]
    assert router["pool_addresses"] == [
        {"pool": "partners", "ip": "198.51.100.64", "allocated_at": "2026-11-26T09:30:00Z"}
    ]


def waiting(reason: str, message: str = "", last: Any = None) -> dict[str, Any]:
    status = {"image": "img:1", "state": {"waiting": {"reason": reason, "message": message}}}
    return {"phase": "Pending", "containerStatuses": [{**status, "lastState": {"terminated": last} if last else {}}]}


OTHER = "billing-db-def"
TAKE_OVER = {
    "taken_over_at": "2026-11-26T09:30:00Z", "taken_over_from": OTHER, "take_over_cause": "no beats for 600 ms",
    "take_over_seconds": "0.71", "beats_lost": "2",
}  # fmt: skip
STANDING_BY = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [{"state": {"running": {}}}],
}
RUNNING = {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}


@pytest.fixture
def pair(cluster: FakeCluster, agent: FakeAgent) -> FakeAgent:
    """The router with a second pod, which stands by."""
    metadata = {"labels": pod(cluster)["metadata"]["labels"]}
    cluster.add("pods", "payments", OTHER, metadata=metadata, spec={"nodeName": "worker-2"}, status=STANDING_BY)
    deployment(cluster)["spec"]["replicas"] = 2
    deployment(cluster)["status"].update(replicas=2, updatedReplicas=2)
    agent.report(successor=OTHER, **TAKE_OVER)
    cluster.objects[("leases", "payments", "billing-db")]["spec"]["leaseTransitions"] = 4
    return agent


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the module warned of. Ansible keeps it for the life of the process."""
    found: list[str] = []
    monkeypatch.setattr(EgressModule, "warn", lambda _module, text: found.append(text))
    return found


@pytest.mark.usefixtures("pair")
def test_a_pair(run: Run, warned: list[str]) -> None:
    result = run("router_info", routers=[DB], wait=True)
    assert result["routers"][0]["failover"] == {
        "holder": "billing-db-abc", "holder_node": "worker-1", "holder_able": True, "holder_error": "",
        "successor": OTHER, "successor_node": "worker-2", "successor_able": True, "successor_error": "", "reason": "",
        "term": 4, "last_take_over": {
            "at": "2026-11-26T09:30:00Z", "from": OTHER, "cause": "no beats for 600 ms", "seconds": 0.71},
        "beats_lost": 2, "relay_seconds": None, "relay_error": "",
    }  # fmt: skip
    assert warned == []


def test_whether_open_connections_outlive_a_planned_move(cluster: FakeCluster, run: Run, pair: FakeAgent) -> None:
    told = Identity(
        "billing-db", (EgressAddress("198.51.100.50/24"),), "02:e6:c6:33:64:32", failover=Failover(relay_seconds=30)
    )
    container = {"name": "router", "env": [{"name": VARIABLE, "value": told.to_json()}]}
    deployment(cluster)["spec"]["template"] = {"spec": {"containers": [container]}}
    pair.report(successor=OTHER, relay_error="the kernel makes no VXLAN interface")
    found = run("router_info", routers=[DB])["routers"][0]["failover"]
    assert (found["relay_seconds"], found["relay_error"]) == (30, "the kernel makes no VXLAN interface")
    # Of another version, or made by hand.
    container["env"][0]["value"] = "{}"
    assert run("router_info", routers=[DB])["routers"][0]["failover"]["relay_seconds"] is None


def test_annotations_that_somebody_has_edited(run: Run, pair: FakeAgent) -> None:
    pair.report(successor=OTHER, **{**TAKE_OVER, "take_over_seconds": "soon", "beats_lost": "many"})
    found = run("router_info", routers=[DB])["routers"][0]["failover"]
    assert (found["last_take_over"]["seconds"], found["beats_lost"]) == (None, 0)


NO_CARRIER = {"successor": OTHER, "successor_error": "net1 has no carrier"}
NO_KEY = {"successor_error": "key cannot be read"}
NO_PULL = waiting("ErrImagePull", "no such host")
UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [{"type": "PodScheduled", "reason": "Unschedulable", "message": "0/3 nodes are available"}],
}


@pytest.mark.parametrize(("status", "report", "why"), [
    (STANDING_BY, NO_CARRIER, f"pod {OTHER} on node worker-2 could not take over: net1 has no carrier"),
    (RUNNING, {}, f"pod {OTHER} on node worker-2 is not ready to take over: its log says why"),
    (UNSCHEDULABLE, {}, f"pod {OTHER} cannot be scheduled: 0/3 nodes are available"),
    (NO_PULL, {}, f"pod {OTHER}: ErrImagePull: no such host"),
    (STANDING_BY, {}, "no pod is its successor, so it is as fast as its Lease: see whether a network policy keeps the pods' "
                      "messages (29798/UDP) from one another, and whether their Secret is there (docs/failover.md)"),
    # After `kubectl scale`.
    (STANDING_BY, NO_KEY, "no pod is its successor, so it is as fast as its Lease: key cannot be read"),
], ids=["unable", "not ready", "unschedulable", "image", "no successor", "no key"])  # fmt: skip
def test_a_router_without_its_successor_serves_and_a_warning_says_why(
    cluster: FakeCluster,
    run: Run,
    pair: FakeAgent,
    warned: list[str],
    status: dict[str, Any],
    report: dict[str, str],
    why: str,
) -> None:
    cluster.objects[("pods", "payments", OTHER)]["status"] = status
    pair.report(**report)
    began = time.monotonic()
    result = run("router_info", routers=[DB], wait=True, wait_timeout=60)
    assert time.monotonic() - began < 30, "the whole time was waited for, though nothing could come of it"
    assert not result.get("failed")
    assert warned == [f"router payments/billing-db serves, but without the pods that it asks for: {why}"]
    (router,) = result["routers"]
    assert router["serving"] and router["rolled_out"] and router["reason"] == ""
    assert router["failover"]["reason"] == why
    # Whoever only looks is not warned.
    assert run("router_info", routers=[DB])["routers"] == [router] and len(warned) == 1


def test_waits_for_a_pod_that_stands_by(cluster: FakeCluster, run: Run, pair: FakeAgent, warned: list[str]) -> None:
    cluster.objects[("pods", "payments", OTHER)]["status"] = waiting("ContainerCreating")
    pair.report()
    looks = []

    def start_at_the_fourth_look(method: str, path: str) -> None:
        if path.endswith("leases"):
            looks.append(path)
            if len(looks) == 4:
                cluster.objects[("pods", "payments", OTHER)]["status"] = STANDING_BY
                pair.report(successor=OTHER)

    cluster.fault = start_at_the_fourth_look
    result = run("router_info", routers=[DB], wait=True, wait_timeout=60)
    # What a look reads it reads at the same time: of the fourth one, the pods may be those of before.
    assert len(looks) in (4, 5) and warned == []
    assert result["routers"][0]["failover"]["successor_able"]


def test_a_pod_that_stands_by_is_waited_for_no_longer_than_the_user_wants(
    cluster: FakeCluster, run: Run, pair: FakeAgent, warned: list[str]
) -> None:
    del cluster.objects[("pods", "payments", OTHER)]
    pair.report()
    result = run("router_info", routers=[DB], wait=True, wait_timeout=1)
    assert not result.get("failed")
    assert warned[0].endswith("0 of 1 pods that stand by are there")


def test_a_rollout_that_waits_for_a_pod_says_for_which(cluster: FakeCluster, run: Run, pair: FakeAgent) -> None:
    deployment(cluster)["status"]["updatedReplicas"] = 1
    pair.report(**NO_CARRIER)
    result = run("router_info", routers=[DB], wait=True, wait_timeout=60)
    assert result["msg"] == (
        "router payments/billing-db does not serve: its Deployment is being rolled out: "
        f"pod {OTHER} on node worker-2 could not take over: net1 has no carrier"
    )


def test_nobody_is_missed_who_stands_by_while_nobody_serves(cluster: FakeCluster, run: Run, pair: FakeAgent) -> None:
    pair.report(state=CONFLICT, error="198.51.100.50 is in use by 02:42:00:00:00:01", addresses="")
    cluster.objects[("pods", "payments", OTHER)]["status"] = RUNNING
    (router,) = run("router_info", routers=[DB])["routers"]
    assert router["failover"]["reason"] == "" and not router["failover"]["holder_able"]
    assert router["failover"]["holder_error"] == "198.51.100.50 is in use by 02:42:00:00:00:01"


@pytest.mark.usefixtures("agent")
def test_which_routers(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "shop", "partner-api")
    cluster.add("leases", "shop", "of-somebody-else", metadata={"labels": {}})
    names = [item["name"] for item in run("router_info")["routers"]]
    assert names == ["billing-db", "partner-api"]
    assert [item["name"] for item in run("router_info", namespaces=["shop"])["routers"]] == ["partner-api"]
    assert run("router_info", namespaces=["elsewhere"])["routers"] == []
    # Named ones come in the order given, and one that is not there is told.
    partner = {"name": "partner-api", "namespace": "shop"}
    named = run("router_info", routers=[partner, DB, {**DB, "name": "x"}])["routers"]
    assert [(item["name"], item["serving"]) for item in named] == [
        ("partner-api", True), ("billing-db", True), ("x", False),
    ]  # fmt: skip
    assert named[2]["reason"] == "it has no Deployment: deploy it first"


def test_waits_until_the_router_serves(cluster: FakeCluster, run: Run, agent: FakeAgent) -> None:
    agent.report(state=STARTING)
    asked = []

    def serve_at_the_third_look(method: str, path: str) -> None:
        if path.endswith("leases"):
            asked.append(path)
            if len(asked) == 3:
                agent.report()

    cluster.fault = serve_at_the_third_look
    result = run("router_info", routers=[DB], wait=True, wait_timeout=10)
    assert result["routers"][0]["serving"] and len(asked) == 3


def test_waits_for_the_latest_generation(cluster: FakeCluster, run: Run, agent: FakeAgent) -> None:
    deployment(cluster)["metadata"]["generation"] = 2
    result = run("router_info", routers=[DB], wait=True, wait_timeout=0)
    assert result["msg"] == "router payments/billing-db does not serve: its Deployment is being rolled out"
    deployment(cluster)["status"]["observedGeneration"] = 2
    # An old pod is left.
    deployment(cluster)["status"]["replicas"] = 2
    assert run("router_info", routers=[DB], wait=True, wait_timeout=0)["failed"]
    deployment(cluster)["status"]["replicas"] = 1
    # The old pod still has the lease while it goes.
    pod(cluster)["metadata"]["deletionTimestamp"] = "2026-11-23T00:00:00Z"
    result = run("router_info", routers=[DB], wait=True, wait_timeout=0)
    assert result["msg"].endswith("none of its pods holds the lease yet")


@pytest.mark.usefixtures("agent")
def test_check_mode_waits_for_nothing(cluster: FakeCluster, run: Run) -> None:
    deployment(cluster)["metadata"]["generation"] = 2
    assert not run("router_info", check=True, routers=[DB], wait=True, wait_timeout=60).get("failed")


def test_a_lease_that_nobody_renews(cluster: FakeCluster, run: Run, agent: FakeAgent) -> None:
    cluster.objects[("leases", "payments", "billing-db")]["spec"]["renewTime"] = "2026-01-01T00:00:00.000000Z"
    router = run("router_info", routers=[DB])["routers"][0]
    assert not router["serving"] and "does not renew its lease" in router["reason"]
    assert agent.live.rules


TOO_OLD = (
    "egress-router run: error: EGRESS_ROUTER is not the description of a router: Failover.__init__() got an unexpected keyword "
    "argument 'relay_seconds'\n"
)


@pytest.mark.parametrize(("status", "reason"), [
    (waiting("ErrImagePull", "no such host"), "pod billing-db-abc: ErrImagePull: no such host"),
    (waiting("ImagePullBackOff", "Back-off pulling"), "pod billing-db-abc: ImagePullBackOff: Back-off pulling"),
    (waiting("InvalidImageName"), "pod billing-db-abc: InvalidImageName: img:1"),
    (waiting("CreateContainerError", "no command"), "pod billing-db-abc: CreateContainerError: no command"),
    (
        waiting("CrashLoopBackOff", "back-off 10s", {"exitCode": 2, "reason": "Error", "message": "net1 is missing\n"}),
        "pod billing-db-abc: CrashLoopBackOff: exit code 2, net1 is missing",
    ),
    (
        waiting("CrashLoopBackOff", "back-off 10s", {"exitCode": 2, "reason": "Error", "message": TOO_OLD}),
        f"pod billing-db-abc: CrashLoopBackOff: exit code 2, {TOO_OLD.strip()}. The collection is of version {VERSION}: set image to "
        "one that was built from this version or a newer one",
    ),
    (
        {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/3 nodes are available"}]},
        "pod billing-db-abc cannot be scheduled: 0/3 nodes are available",
    ),
])  # fmt: skip
def test_the_pods_own_reason_is_told_early(
    cluster: FakeCluster, run: Run, agent: FakeAgent, status: dict[str, Any], reason: str
) -> None:
    # It may have served just before.
    assert agent.live.rules
    pod(cluster)["status"] = status
    started = time.monotonic()
    result = run("router_info", routers=[DB], wait=True, wait_timeout=60)
    assert time.monotonic() - started < 30, "the whole time was waited for, though nothing could come of it"
    assert result["msg"] == f"router payments/billing-db does not serve: {reason}"


@pytest.mark.usefixtures("agent")
def test_the_reason_of_a_pod_without_sandbox_comes_from_its_events(cluster: FakeCluster, run: Run) -> None:
    pod(cluster)["status"] = waiting("ContainerCreating")
    cluster.objects[("leases", "payments", "billing-db")]["spec"] = {}
    message = 'plugin type="macvlan" failed (add): Link not found'
    cluster.add(
        "events", "payments", "e1", type="Warning", reason="FailedCreatePodSandBox", message=message,
        involvedObject={"name": "billing-db-abc"},
    )  # fmt: skip
    result = run("router_info", routers=[DB], wait=True, wait_timeout=60)
    said = f"pod billing-db-abc cannot be set up on node worker-1: {message}: the node has no interface"
    assert result["msg"].endswith(f"{said} such as the router's master names")
    config = json.dumps({"plugins": [{"type": "macvlan", "master": "eth99"}]})
    cluster.add("network-attachment-definitions", "payments", "billing-db", spec={"config": config})
    cluster.objects[("events", "payments", "e1")]["message"] = message
    result = run("router_info", routers=[DB], wait=True, wait_timeout=0)
    assert result["msg"].endswith(f"{said} eth99, which is the router's master")
    # Whoever may not read events gets the rest.
    cluster.fault = lambda method, path: (403, "events is forbidden") if "events" in path else None
    result = run("router_info", routers=[DB], wait=True, wait_timeout=0)
    assert result["msg"].endswith("none of its pods holds the lease yet")


@pytest.mark.usefixtures("agent")
def test_a_pod_that_the_api_server_refuses(cluster: FakeCluster, run: Run) -> None:
    deployment(cluster)["status"] = {"conditions": [
        {"type": "ReplicaFailure", "status": "True", "message": 'pods "x" is forbidden: exceeded quota'}]}  # fmt: skip
    result = run("router_info", routers=[DB], wait=True, wait_timeout=60)
    assert result["msg"].endswith('the API server refuses to create its pod: pods "x" is forbidden: exceeded quota')


def test_an_address_that_somebody_has(cluster: FakeCluster, run: Run, agent: FakeAgent) -> None:
    agent.report(state=CONFLICT, error="198.51.100.50 is in use by 02:42:00:00:00:01", addresses="")
    result = run("router_info", routers=[DB], wait=True, wait_timeout=60)
    assert result["msg"].endswith("pod billing-db-abc on node worker-1: 198.51.100.50 is in use by 02:42:00:00:00:01")
    # The words of a pod that is gone say nothing of the next one.
    cluster.objects.pop(("pods", "payments", "billing-db-abc"))
    result = run("router_info", routers=[DB], wait=True, wait_timeout=0)
    assert result["msg"].endswith("none of its pods holds the lease yet")


@pytest.mark.usefixtures("agent")
def test_a_router_that_is_stuck_does_not_hide_one_that_still_starts(cluster: FakeCluster, run: Run) -> None:
    slow = add_router(cluster, "payments", "slow")
    slow.report(state=STARTING)
    pod(cluster)["status"] = waiting("ErrImagePull", "no such host")
    looks = []

    def serve_later(method: str, path: str) -> None:
        looks.append(path)
        if len(looks) > 12:
            slow.report()

    cluster.fault = serve_later
    result = run("router_info", routers=[DB, {**DB, "name": "slow"}], wait=True, wait_timeout=30)
    assert result["msg"] == "router payments/billing-db does not serve: pod billing-db-abc: ErrImagePull: no such host"


def test_an_api_server_that_is_away_for_a_moment(cluster: FakeCluster, run: Run, agent: FakeAgent) -> None:
    agent.report(state=STARTING)
    answers: list[tuple[int, str] | None] = [None, None, None, (503, "apiserver is shutting down")]
    cluster.fault = lambda method, path: answers.pop() if answers and "namespaces" in path else None
    result = run("router_info", routers=[DB], wait=True, wait_timeout=1)
    assert result["msg"] == "router payments/billing-db does not serve: pod billing-db-abc is starting"


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("status", [403, 404])
def test_without_names_it_needs_neither_the_kind_of_the_other_backend_nor_a_right(
    cluster: FakeCluster, run: Run, status: int
) -> None:
    cluster.fault = lambda _method, path: (status, "egressrouters: no") if path.endswith("egressrouters") else None
    for wait in (False, True):
        assert [item["name"] for item in run("router_info", wait=wait)["routers"]] == ["billing-db"]
    assert [item["name"] for item in run("redirect_rules_info")["routers"]] == ["billing-db"]
    # Whoever names one is told.
    assert "failed" in run("router_info", routers=[{**DB, "backend": "egress_router_cr"}])


def test_the_same_name_with_both_backends_is_two_routers(cluster: FakeCluster, run: Run, agent: FakeAgent) -> None:
    both = [{**DB, "backend": "egress_router_cr"}, DB]
    found = run("router_info", routers=both)["routers"]
    assert [item["reason"] for item in found] == ["it has no EgressRouter: deploy it first", ""]
    assert found[1]["rules_hash"] == agent.live.hash()
