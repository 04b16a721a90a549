# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module hand_over: who is asked, who is waited for, and who cannot be handed over."""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._kubernetes import hand_over as _hand_over
from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.egress.router.tests.support.fake_api_server import FakeCluster, add_router
from ansible_collections.egress.router.tests.support.fake_pair import Pair

from .conftest import Run

DB = {"name": "billing-db", "namespace": "payments"}
LEASE = ("leases", "payments", "billing-db")
ONE, TWO = {"pod": "billing-db-abc", "node": "worker-1"}, {"pod": "billing-db-xyz", "node": "worker-2"}


@pytest.fixture
def pair(cluster: FakeCluster) -> Pair:
    return Pair(cluster)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hand_over, "SETTLE_SECONDS", 0.3)


def test_over_and_back(run: Run, pair: Pair) -> None:
    expected = {**DB, "changed": True, "before": {**ONE, "term": 0}, "after": {**TWO, "term": 1}}
    summary = (
        "router payments/billing-db: from pod billing-db-abc on node worker-1 to pod billing-db-xyz on node worker-2"
    )
    predicted = run("hand_over", check=True, routers=[DB])
    assert predicted["changed"]
    assert predicted["routers"] == [{**expected, "seconds": None, "cause": "", "summary": summary}]
    assert pair.asked == [] and names.HAND_OVER not in pair.cluster.objects[LEASE]["metadata"]["annotations"]

    result = run("hand_over", routers=[DB])
    assert result["changed"] and result["routers"] == [
        {**expected, "seconds": 0.05, "cause": "handed over", "summary": f"{summary}, nobody served for 0.05 s"}
    ]
    assert result["diff"] == predicted["diff"]
    assert result["diff"][0]["before"] == "serving: pod billing-db-abc on node worker-1\n"
    assert result["diff"][0]["after"] == "serving: pod billing-db-xyz on node worker-2\n"

    back = run("hand_over", routers=[DB])["routers"][0]
    assert (back["before"], back["after"]) == ({**TWO, "term": 1}, {**ONE, "term": 2})
    assert len(set(pair.asked)) == 2, "each request is a new one"
    owners = [entry["manager"] for entry in pair.cluster.objects[LEASE]["metadata"]["managedFields"]]
    assert owners == [names.FIELD_MANAGER_HAND_OVER]


def test_two_requests_at_the_same_time_are_two(run: Run, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(timezone.utc)
    monkeypatch.setattr(Cluster, "now", lambda self: now)
    for served in (ONE, TWO):
        (router,) = run("hand_over", routers=[DB], wait_timeout=2)["routers"]
        assert router["changed"] and {key: router["before"][key] for key in served} == served
    assert len(set(pair.asked)) == 2


def test_only_the_lease_is_written(cluster: FakeCluster, run: Run, pair: Pair) -> None:
    run("hand_over", check=True, routers=[DB])
    run("hand_over", routers=[DB])
    assert cluster.writes == ["dry run PATCH leases/billing-db", "PATCH leases/billing-db"]
    assert pair.asked


def test_all_of_a_namespace(cluster: FakeCluster, run: Run, pair: Pair) -> None:
    other = Pair(cluster, "partner-api")
    assert len(run("hand_over", namespaces=["payments"])["routers"]) == 2
    assert len(pair.asked) == len(other.asked) == 1
    assert run("hand_over", namespaces=["elsewhere"])["routers"] == []
    assert "routers, namespaces" in run("hand_over")["msg"]


def test_without_waiting(run: Run, pair: Pair) -> None:
    pair.obeys = False
    result = run("hand_over", routers=[DB], wait=False)["routers"][0]
    assert result["after"] == {**TWO, "term": 1} and result["seconds"] is None and len(pair.asked) == 1


def test_a_pod_that_does_not_hand_over(cluster: FakeCluster, run: Run, pair: Pair) -> None:
    pair.obeys = False
    other = Pair(cluster, "partner-api")
    result = run("hand_over", namespaces=["payments"], wait_timeout=1)
    assert result["msg"] == (
        "router payments/billing-db: no other pod serves after 1 s: pod billing-db-abc on node worker-1 is still serving. If its "
        "image is older than this collection, deploy the router again"
    )
    changed = {item["name"]: (item["changed"], item["after"]["pod"]) for item in result["routers"]}
    assert changed == {"billing-db": (False, "billing-db-abc"), "partner-api": (True, "partner-api-xyz")}
    assert other.asked


def test_the_next_pod_fails(run: Run, pair: Pair) -> None:
    def fail(plural: str, _item: dict[str, Any]) -> None:
        if plural == "leases" and pair.asked:
            pair.report(state="failed", error="gateway 198.51.100.1 does not answer")

    pair.cluster.watchers.append(fail)
    said = run("hand_over", routers=[DB], wait_timeout=1)["msg"]
    assert said.endswith("after 1 s: pod billing-db-xyz is failed: gateway 198.51.100.1 does not answer")


def test_what_cannot_be_handed_over_is_told_at_once(cluster: FakeCluster, run: Run, pair: Pair) -> None:
    add_router(cluster, "payments", "single")
    routers = [DB, {**DB, "name": "single"}, {**DB, "name": "nowhere"}]
    assert run("hand_over", routers=routers)["msg"].splitlines() == [
        "router payments/single: no pod stands by, because its replicas are 1: set replicas to 2",
        "router payments/nowhere: it has no Deployment: deploy it first",
    ]
    operator = run("hand_over", routers=[DB, {**DB, "name": "osp", "backend": "egress_router_cr"}])["msg"]
    assert operator == ("router payments/osp: no pod stands by, because its backend is egress_router_cr: leave it out")
    assert pair.asked == [] and cluster.writes == []


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(("fields", "said"), [
    ({"successor": ""}, "no pod stands by: pod billing-db-abc has found no other pod of the router that answers it"),
    ({"successor": "", "successor_error": "key cannot be read"}, "no pod stands by: key cannot be read"),
    ({"successor": "billing-db-old"}, "pod billing-db-old, which stands by, is ending or gone"),
    ({"successor_error": "net1 has no carrier"},
     "pod billing-db-xyz on node worker-2, which stands by, cannot serve: net1 has no carrier"),
    ({"state": "starting"}, "it does not serve: pod billing-db-abc is starting"),
], ids=["none", "no key", "gone", "not able", "not serving"])  # fmt: skip
def test_no_pod_that_could_take_over(run: Run, pair: Pair, fields: dict[str, str], said: str, check: bool) -> None:
    pair.cluster.objects[("deployments", "payments", "billing-db")]["status"].update(replicas=2, updatedReplicas=2)
    pair.report(**fields)
    assert run("hand_over", check=check, routers=[DB])["msg"] == f"router payments/billing-db: {said}"
    assert pair.asked == [] and pair.cluster.writes == []


def test_a_pod_that_is_just_taking_over(run: Run, pair: Pair) -> None:
    """The Lease is its own already, and what it says is still its predecessor's."""
    pair.cluster.objects[LEASE]["spec"]["holderIdentity"] = TWO["pod"]
    assert run("hand_over", routers=[DB])["msg"].endswith("it does not serve: another pod is taking over")
    assert pair.asked == []


def test_why_the_other_pod_does_not_stand_by(run: Run, pair: Pair) -> None:
    pair.report(successor="")
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    pair.cluster.objects[("pods", "payments", "billing-db-xyz")]["status"] = {
        "phase": "Pending",
        "containerStatuses": [{"image": "img:1", "state": {"waiting": waiting}}],
    }
    said = run("hand_over", routers=[DB])["msg"]
    assert said.endswith("no pod stands by: pod billing-db-xyz: ImagePullBackOff: no such image")


def test_a_router_on_hold(run: Run, pair: Pair) -> None:
    pair.cluster.objects[LEASE]["metadata"]["annotations"][names.HOLD] = "EgressRouter payments/old"
    assert run("hand_over", routers=[DB])["msg"].endswith(
        "it is on hold and leaves its address to EgressRouter payments/old"
    )


def test_a_pod_that_stands_by_in_a_moment(run: Run, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hand_over, "SETTLE_SECONDS", 10.0)
    pair.report(successor="")
    timer = threading.Timer(0.4, pair.report)
    timer.start()
    assert run("hand_over", routers=[DB])["changed"]
    timer.join()


def between(pair: Pair, change: Any) -> None:
    """Before the first request arrives, somebody else writes the Lease."""
    waiting = [change]

    def fault(method: str, path: str) -> None:
        if method == "PATCH" and path.endswith("/leases/billing-db") and waiting:
            waiting.pop()()
            pair.cluster.add(*LEASE, **pair.cluster.objects[LEASE])

    pair.cluster.fault = fault


def test_the_lease_is_renewed_meanwhile(run: Run, pair: Pair) -> None:
    between(pair, pair.report)
    assert run("hand_over", routers=[DB])["routers"][0]["after"]["pod"] == TWO["pod"]
    assert len(pair.asked) == 1


def test_another_pod_takes_over_meanwhile(run: Run, pair: Pair) -> None:
    def take_over() -> None:
        pair.pods.reverse()
        pair.report()

    between(pair, take_over)
    result = run("hand_over", routers=[DB])
    assert result["msg"] == (
        "router payments/billing-db: it is not served by pod billing-db-abc any more, but by pod billing-db-xyz: look again"
    )
    assert result["routers"] == [] and not result["changed"] and pair.asked == []


def test_the_other_pod_fails_meanwhile(run: Run, pair: Pair) -> None:
    between(pair, lambda: pair.report(successor_error="net1 has no carrier"))
    assert run("hand_over", routers=[DB])["msg"].endswith("which stands by, cannot serve: net1 has no carrier")
    assert pair.asked == []


def test_an_answer_that_is_lost(run: Run, pair: Pair) -> None:
    """The API server has done it, and said that it failed: it is asked once."""
    real, lost = pair.cluster.handle, []

    def handle(method: str, url: str, body: Any, accept: str = "") -> Any:
        answer = real(method, url, body, accept)
        if method == "PATCH" and not lost:
            lost.append(url)
            pair.cluster.fault = lambda method, path: (500, "etcd is gone") if method == "PATCH" else None
            try:
                return real(method, url, body, accept)
            finally:
                pair.cluster.fault = lambda method, path: None
        return answer

    pair.cluster.handle = handle  # type: ignore[method-assign]
    assert run("hand_over", routers=[DB])["routers"][0]["after"]["pod"] == TWO["pod"]
    assert len(pair.asked) == 1 and lost


def test_whoever_may_not(run: Run, pair: Pair) -> None:
    said = 'leases "billing-db" is forbidden: User "jane" cannot patch resource "leases" in API group "coordination.k8s.io"'
    pair.cluster.fault = lambda method, path: (403, said) if method == "PATCH" else None
    for check in (True, False):
        assert "jane may not patch leases in namespace payments" in run("hand_over", check=check, routers=[DB])["msg"]
    assert pair.asked == []
