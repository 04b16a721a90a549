# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module drill: what it does to which pod, what it makes of the client's figures, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.watch import Established, Gap, Period, Target
from ansible_collections.egress.router.plugins.module_utils._drill import client as _client
from ansible_collections.egress.router.plugins.module_utils._kubernetes import hand_over as _hand_over
from ansible_collections.egress.router.tests.support.fake_api_server import FakeCluster
from ansible_collections.egress.router.tests.support.fake_pair import Pair
from ansible_collections.egress.router.tests.support.fake_watch import GOOD, TCP, UDP, Watch

from .conftest import Run

ROUTER: dict[str, Any] = {
    "name": "billing-db",
    "namespace": "payments",
    "image": "img:1",
    "replicas": 2,
    "addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}],
    "redirect_rules": [
        {"port": 5432, "destination_ip": "203.0.113.10"},
        {"port": 53, "protocol": "UDP", "destination_ip": "203.0.113.12"},
    ],
}
ALL = ["hand_over", "pod_deleted", "node_drained"]


@pytest.fixture
def watch(cluster: FakeCluster) -> Watch:
    for node in ("worker-1", "worker-2"):
        cluster.add("nodes", "", node, spec={})
    return Watch(cluster)


@pytest.fixture
def pair(cluster: FakeCluster, watch: Watch) -> Pair:
    found = Pair(cluster)
    watch.moves = lambda: found.moves
    return found


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hand_over, "SETTLE_SECONDS", 0.3)
    monkeypatch.setattr(_client, "SETTLE_SECONDS", 1.0)
    monkeypatch.setattr(_client, "GRACE_SECONDS", 0.3)


def unschedulable(cluster: FakeCluster) -> list[str]:
    return [
        name
        for (plural, _space, name), item in cluster.objects.items()
        if plural == "nodes" and item["spec"].get("unschedulable")
    ]


def test_each_event_in_turn(cluster: FakeCluster, run: Run, pair: Pair, watch: Watch) -> None:
    result = run("drill", routers=[ROUTER], events=ALL)
    report = result["report"]
    assert result["changed"] and result["planned"] == [] and report["ok"], report
    (router,) = report["routers"]
    assert [(event["event"], event["before"]["pod"], event["after"]["pod"]) for event in router["events"]] == [
        ("hand_over", "billing-db-abc", "billing-db-xyz"),
        ("pod_deleted", "billing-db-xyz", "billing-db-abc"),
        ("node_drained", "billing-db-abc", "billing-db-1"),
    ]
    for event in router["events"]:
        assert (event["failed"], event["seconds"], event["limit"], event["lease_seconds"]) == (7, 0.07, 1.0, 0.05)
        assert event["targets"][0]["gaps"] == [{"start": 5.0, "seconds": 0.07, "failed": 7}]
        assert event["attempts"] >= 400, "two periods after the event count too"
        assert event["before"]["node"] != event["after"]["node"]
    assert [event["cause"] for event in router["events"]] == ["handed over", *["its pod has ended"] * 2]
    assert report["summary"] == "1 router: 3 passed, 0 failed" and report["problems"] == []
    writes = [write for write in cluster.writes if "leases" not in write]
    assert [write.split("-watch-")[0] for write in writes] == [
        "POST pods/egress", "DELETE pods/billing-db-xyz", "PATCH nodes/worker-1", "DELETE pods/billing-db-abc",
        "PATCH nodes/worker-1", "DELETE pods/egress",
    ]  # fmt: skip
    assert watch.left() == unschedulable(cluster) == [] and len(watch.created) == 1


def test_the_table_is_for_people(run: Run, pair: Pair) -> None:
    lines = run("drill", routers=[ROUTER])["report"]["table"]
    assert lines[0] == "router payments/billing-db"
    header, row = (line.split() for line in lines[1:])
    assert " ".join(header) == "event served before served after failed without service limit established verdict"
    said = " ".join(row)
    assert said.startswith("hand_over billing-db-abc on worker-1 billing-db-xyz on worker-2 7 of ")
    assert said.endswith(" 0.07 s 1 s - ok") and pair.moves == 1


def test_check_mode_touches_nothing(cluster: FakeCluster, run: Run, pair: Pair, watch: Watch) -> None:
    result = run("drill", check=True, routers=[ROUTER], events=ALL)
    assert result["changed"] and result["report"] is None and cluster.writes == [] and watch.created == []
    assert [planned["summary"] for planned in result["planned"]] == [
        "router payments/billing-db, hand_over: ask pod billing-db-abc to hand over; then pod billing-db-xyz on node worker-2 is to serve",
        "router payments/billing-db, pod_deleted: delete pod billing-db-abc; then pod billing-db-xyz on node worker-2 is to serve",
        "router payments/billing-db, node_drained: cordon node worker-1, evict pod billing-db-abc and no other pod, and uncordon the "
        "node when another pod of the router serves; then pod billing-db-xyz on node worker-2 is to serve",
    ]
    assert result["planned"][0]["after"] == {"pod": "billing-db-xyz", "node": "worker-2", "term": 1} and pair.moves == 0


def test_the_client_is_an_ordinary_pod(run: Run, pair: Pair, watch: Watch) -> None:
    router = {**ROUTER, "image_pull_secrets": ["registry"]}
    run("drill", routers=[router], established=20, interval_ms=5, node_selector={"zone": "a"}, wait_timeout=1)
    (pod,) = watch.created
    spec = pod["spec"]
    assert (
        pod["metadata"]["namespace"] == "payments"
        and pod["metadata"]["labels"]["app.kubernetes.io/name"] == "egress-router-watch"
    )
    container = spec["containers"][0]
    assert container["command"] == ["egress-router", "watch"] and container["image"] == "img:1"
    assert container["args"] == [f"--target={TCP}", f"--target={UDP}", "--interval=5", "--established=20"]
    assert container["resources"]["requests"]["cpu"] == "100m"
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"]
    assert spec["automountServiceAccountToken"] is False and spec["activeDeadlineSeconds"] >= 60
    assert (spec["nodeSelector"], spec["imagePullSecrets"]) == ({"zone": "a"}, [{"name": "registry"}])
    run("drill", routers=[ROUTER], namespace="clients", image="img:2")
    assert (watch.created[1]["metadata"]["namespace"], watch.created[1]["spec"]["containers"][0]["image"]) == (
        "clients",
        "img:2",
    )
    assert watch.left() == [] and pair.moves == 2


def test_a_gap_that_is_too_long(run: Run, pair: Pair, watch: Watch) -> None:
    gaps = (Gap(5.0, 0.15, 15), Gap(6.0, 0.16, 16))
    watch.trouble = lambda period: replace(period, targets=(GOOD[TCP], replace(GOOD[UDP], failed=31, gaps=gaps)))
    assert run("drill", routers=[ROUTER])["report"]["ok"]
    report = run("drill", routers=[ROUTER], events=["hand_over", "pod_deleted"], max_seconds=0.3)["report"]
    said = f"{UDP} was without service for 0.31 s, more than 0.3 s"
    assert not report["ok"] and report["problems"] == [
        f"router payments/billing-db: {event}: {said}" for event in ("hand_over", "pod_deleted")
    ]
    assert report["summary"] == "1 router: 0 passed, 2 failed", "a slow event is no reason to stop"
    assert report["table"][2].endswith(f"FAILED: {said}") and pair.moves == 3


def test_established_connections(run: Run, pair: Pair, watch: Watch) -> None:
    watch.established = Established(200, 200, 0, 0.02)
    watch.trouble = lambda period: replace(period, established=Established(200, 200, 0, 0.21))
    report = run("drill", routers=[ROUTER], established=200)["report"]
    assert report["ok"] and "0 of 200 broke, stall 0.21 s" in report["table"][2]
    watch.trouble = lambda period: replace(period, established=Established(200, 200, 3, 1.5))
    report = run("drill", routers=[ROUTER], established=200)["report"]
    assert report["problems"] == [
        "router payments/billing-db: hand_over: 3 of 200 established connections broke",
        "router payments/billing-db: hand_over: an established connection waited for 1.50 s, more than 1 s",
    ]
    watch.established = Established(200, 0, 0, 0.0, f"{TCP} does not echo: no answer in time")
    moves = pair.moves
    (said,) = run("drill", routers=[ROUTER], established=200)["report"]["problems"]
    assert said == (
        "router payments/billing-db: no drill without connections that succeed: 0 of 200 established connections are open: "
        f"{TCP} does not echo: no answer in time"
    )
    assert pair.moves == moves and watch.left() == []


def test_a_port_that_does_not_answer_is_left_out(run: Run, pair: Pair, watch: Watch) -> None:
    watch.targets[UDP] = Target(UDP, 100, 100, 3.0, (), "no answer in 0.5 s")
    report = run("drill", routers=[ROUTER])["report"]
    assert report["ok"] and [target["target"] for target in report["routers"][0]["events"][0]["targets"]] == [TCP]
    note = f"not measured: 100 of 100 connections to {UDP} failed: no answer in 0.5 s"
    assert report["routers"][0]["notes"] == [note] and report["table"][1].strip() == note
    watch.targets[TCP] = Target(TCP, 100, 100, 3.0, (), "Connection refused")
    moves = pair.moves
    report = run("drill", routers=[ROUTER])["report"]
    assert (
        not report["ok"]
        and "connections to tcp://billing-db.payments.svc:5432 failed: Connection refused" in report["problems"][0]
    )
    assert report["routers"][0]["not_run"] == ["hand_over"] and pair.moves == moves and watch.left() == []


def test_nothing_more_is_done_after_an_event_that_does_not_end(
    cluster: FakeCluster, run: Run, pair: Pair, watch: Watch
) -> None:
    other = Pair(cluster, "partner-api")
    pair.obeys = False
    second = {**ROUTER, "name": "partner-api", "addresses": [{"ip": "198.51.100.51/24", "gateway": "198.51.100.1"}]}
    report = run("drill", routers=[ROUTER, second], events=["node_drained", "hand_over"], wait_timeout=1)["report"]
    assert not report["ok"] and report["summary"] == "2 routers: 0 passed, 1 failed, 3 not run"
    first, left = report["routers"]
    assert first["not_run"] == ["hand_over"] and first["events"][0]["after"] is None
    assert left["error"] == "not drilled, because router payments/billing-db has to be looked at first"
    assert "no other pod serves after 1 s: pod billing-db-abc" in report["problems"][0]
    assert unschedulable(cluster) == watch.left() == [] and other.moves == 0 and len(watch.created) == 1


def test_no_pod_stands_by_afterwards(run: Run, pair: Pair, watch: Watch) -> None:
    pair.take_over = lambda cause: pair.report(successor="", take_over_cause=cause)  # type: ignore[method-assign]
    report = run("drill", routers=[ROUTER], events=["hand_over", "pod_deleted"], wait_timeout=1)["report"]
    assert "hand_over: after 1 s: no pod stands by" in report["problems"][0] and pair.asked
    assert report["routers"][0]["events"][0]["after"]["pod"] == "billing-db-xyz"
    assert report["routers"][0]["not_run"] == ["pod_deleted"] and watch.left() == []


def test_a_cancelled_job_leaves_nothing(cluster: FakeCluster, run: Run, pair: Pair, watch: Watch) -> None:
    def cancel(period: Period) -> Period:
        os.kill(os.getpid(), signal.SIGTERM)
        return period

    watch.trouble = cancel
    with pytest.raises(json.JSONDecodeError):
        run("drill", routers=[ROUTER], events=["node_drained"])
    assert pair.moves == 1 and watch.left() == unschedulable(cluster) == []


def test_connections_do_not_come_back(run: Run, pair: Pair, watch: Watch) -> None:
    def fail(period: Period) -> Period:
        watch.targets[TCP] = Target(TCP, 100, 100, 2.0, (), "no answer in 0.5 s")
        return replace(period, targets=tuple(watch.targets.values()))

    watch.trouble = fail
    report = run("drill", routers=[ROUTER], wait_timeout=1)["report"]
    (event,) = report["routers"][0]["events"]
    assert event["problems"][0] == f"100 of 100 connections to {TCP} failed: no answer in 0.5 s"
    assert event["seconds"] == 2.0 and event["after"]["pod"] == "billing-db-xyz" and pair.moves == 1


def test_the_client_ends_halfway(cluster: FakeCluster, run: Run, pair: Pair, watch: Watch) -> None:
    def end(period: Period) -> Period:
        pod = cluster.objects[("pods", "payments", watch.created[0]["metadata"]["name"])]
        pod["status"] = {"phase": "Failed", "reason": "Evicted"}
        return replace(period, targets=(replace(GOOD[TCP], failed=100), GOOD[UDP]))

    watch.trouble = end
    report = run("drill", routers=[ROUTER])["report"]
    (event,) = report["routers"][0]["events"]
    assert "the client pod in namespace payments has ended" in event["problems"][0] and pair.moves == 1
    assert event["after"]["pod"] == "billing-db-xyz", "what was done is told"
    assert watch.left() == []


@pytest.mark.parametrize(("status", "said"), [
    ({"phase": "Pending", "containerStatuses": [
        {"image": "img:1", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]},
     "ImagePullBackOff: no such image"),
    ({"phase": "Pending"}, "not running after 1 s"),
], ids=["image", "pending"])  # fmt: skip
def test_a_client_that_does_not_start(run: Run, pair: Pair, watch: Watch, status: dict[str, Any], said: str) -> None:
    watch.status = status
    started = time.monotonic()
    report = run("drill", routers=[ROUTER], wait_timeout=30 if said.startswith("Image") else 1)["report"]
    assert time.monotonic() - started < 20, "the whole time was waited for, though nothing could come of it"
    assert said in report["problems"][0] and report["routers"][0]["not_run"] == ["hand_over"]
    assert pair.moves == 0 and watch.left() == []


def test_an_image_without_the_client(cluster: FakeCluster, run: Run, pair: Pair, watch: Watch) -> None:
    class Other(dict[str, str]):
        def __getitem__(self, name: str) -> str:
            return "usage: egress-router [-h]\n"

    cluster.logs = Other()
    (said,) = run("drill", routers=[ROUTER])["report"]["problems"]
    assert "it did not print what egress-router watch does" in said and pair.moves == 0 and watch.left() == []


def test_one_replica(cluster: FakeCluster, run: Run, watch: Watch) -> None:
    pair = Pair(cluster, replicas=1)
    watch.moves = lambda: pair.moves
    single = {**ROUTER, "replicas": 1}
    for check in (True, False):
        said = run("drill", check=check, routers=[single])["msg"]
        assert said.startswith("router payments/billing-db: it has one replica, so its clients would wait")
        said = run("drill", check=check, routers=[single], single_replica=True)["msg"]
        assert said.endswith("it has one replica, and nobody to hand over to: leave hand_over out of the events")
    assert cluster.writes == []
    planned = run("drill", check=True, routers=[single], single_replica=True, events=["pod_deleted"])["planned"]
    assert (
        planned[0]["summary"].endswith("delete pod billing-db-abc; then a new pod is to serve")
        and planned[0]["after"] is None
    )
    report = run("drill", routers=[single], single_replica=True, events=["pod_deleted", "node_drained"])["report"]
    assert report["ok"] and [event["after"]["pod"] for event in report["routers"][0]["events"]] == [
        "billing-db-1",
        "billing-db-2",
    ]


def test_what_cannot_be_drilled_is_told_at_once(cluster: FakeCluster, run: Run, pair: Pair) -> None:
    others = [
        {**ROUTER, "name": "old", "state": "absent"},
        {"name": "osp", "namespace": "osp", "backend": "egress_router_cr", "redirect_rules": ROUTER["redirect_rules"][:1],
         "addresses": [{"ip": "198.51.100.60/24", "gateway": "198.51.100.1"}]},
        {**ROUTER, "name": "silent", "redirect_rules": [], "fallback_ip": "203.0.113.9",
         "addresses": [{"ip": "198.51.100.61/24", "gateway": "198.51.100.1"}]},
    ]  # fmt: skip
    datagrams = {**ROUTER, "name": "dns", "redirect_rules": ROUTER["redirect_rules"][1:],
                 "addresses": [{"ip": "198.51.100.63/24", "gateway": "198.51.100.1"}]}  # fmt: skip
    assert run("drill", routers=[ROUTER, *others, datagrams], events=[], interval_ms=0, established=1)[
        "msg"
    ].splitlines() == [
        "router payments/old: an absent router cannot be drilled: leave it out, or set state to present",
        "router osp/osp: no pod stands by, because its backend is egress_router_cr: leave it out",
        "router payments/silent: there is no TCP or UDP port that the client could connect to: add a rule for one, or leave it out",
        "router payments/dns: there is no TCP port for established connections: set established to 0, or leave it out",
        "interval_ms: 0 is not between 1 and 10000",
        "events: there is none: leave it out, or name one",
    ]
    missing = {**ROUTER, "name": "nowhere", "addresses": [{"ip": "198.51.100.62/24", "gateway": "198.51.100.1"}]}
    pair.report(successor_error="net1 has no carrier")
    assert run("drill", routers=[ROUTER, missing])["msg"].splitlines() == [
        "router payments/billing-db: pod billing-db-xyz on node worker-2, which stands by, cannot serve: net1 has no carrier",
        "router payments/nowhere: it has no Deployment: deploy it first",
    ]
    assert cluster.writes == []


def test_a_disruption_budget_is_heeded(cluster: FakeCluster, run: Run, pair: Pair) -> None:
    said = "Cannot evict pod as it would violate the pod's disruption budget."
    answers = [(429, said)] * 2
    pair._fault = lambda method, path: answers.pop() if path.endswith("/eviction") and answers else None
    assert run("drill", routers=[ROUTER], events=["node_drained"])["report"]["ok"] and answers == []
    pair._fault = lambda method, path: (429, said) if path.endswith("/eviction") else None
    report = run("drill", routers=[ROUTER], events=["node_drained"], wait_timeout=1)["report"]
    assert "cannot evict Pod payments/billing-db-xyz: Cannot evict pod as it would violate" in report["problems"][0]
    assert unschedulable(cluster) == [] and pair.moves == 1


def test_a_node_that_was_cordoned_stays_so(cluster: FakeCluster, run: Run, pair: Pair) -> None:
    cluster.objects[("nodes", "", "worker-1")]["spec"]["unschedulable"] = True
    assert run("drill", routers=[ROUTER], events=["node_drained"])["report"]["ok"]
    assert unschedulable(cluster) == ["worker-1"] and not [write for write in cluster.writes if "nodes" in write]
    assert pair.moves == 1


def test_a_node_that_cannot_be_uncordoned_is_named(
    cluster: FakeCluster, run: Run, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(method: str, path: str) -> tuple[int, str] | None:
        held = cluster.objects[("nodes", "", "worker-1")]["spec"].get("unschedulable")
        return (403, "no more") if method == "PATCH" and path.endswith("/nodes/worker-1") and held else None

    pair._fault = fault
    report = run("drill", routers=[ROUTER], events=["node_drained"])["report"]
    assert "node worker-1 stays cordoned, run kubectl uncordon worker-1: " in report["problems"][0]


def test_whoever_may_not_change_nodes(cluster: FakeCluster, run: Run, pair: Pair) -> None:
    said = (
        'nodes "worker-1" is forbidden: User "jane" cannot patch resource "nodes" in API group "" at the cluster scope'
    )
    pair._fault = lambda method, path: (403, said) if method == "PATCH" and "/nodes/" in path else None
    report = run("drill", routers=[ROUTER], events=["node_drained"])["report"]
    assert report["problems"] == [
        "router payments/billing-db: node_drained: jane may not patch nodes in all namespaces: grant it with a Role and a RoleBinding"
    ]
    assert pair.moves == 0
