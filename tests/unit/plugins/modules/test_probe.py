# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module probe: the client pod, its results, and that nothing of it stays."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._verify import probe as _probe
from ansible_collections.egress.router.tests.support import scc_rules
from ansible_collections.egress.router.tests.support.fake_api_server import FakeCluster

from .conftest import Run

OPTIONS: dict[str, Any] = {"namespace": "payments", "image": "img:1", "targets": ["tcp://billing-db.payments.svc:5432"]}
RESULTS = [
    {"target": OPTIONS["targets"][0], "attempts": 1, "connected": 1, "refused": 0, "timed_out": 0, "failed": 0, "errors": [],
     "seconds": {"min": 0.1, "median": 0.1, "max": 0.1}, "observed": []}
]  # fmt: skip


def kubelet(cluster: FakeCluster, output: str = "", **status: Any) -> list[dict[str, Any]]:
    """Lets each new pod end at once with this output; returns the pods as they were created."""
    created = []

    def start(plural: str, item: dict[str, Any]) -> None:
        if plural == "pods":
            created.append(item)
            stored = cluster.objects[("pods", "payments", item["metadata"]["name"])]
            stored["spec"]["nodeName"] = "worker-1"
            stored["status"] = {"phase": "Succeeded", "podIPs": [{"ip": "10.244.1.9"}], **status}
            cluster.logs[item["metadata"]["name"]] = output

    cluster.watchers.append(start)
    return created


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_probe, "GRACE_SECONDS", 0.3)


def pods(cluster: FakeCluster) -> list[str]:
    return [name for plural, _namespace, name in cluster.objects if plural == "pods"]


def test_results_come_back_and_the_pod_goes(cluster: FakeCluster, run: Run) -> None:
    created = kubelet(cluster, json.dumps({"results": RESULTS}))
    result = run("probe", count=2, hold=1.5, **OPTIONS)
    assert (result["changed"], result["results"]) == (False, RESULTS)
    assert (result["node"], result["pod_ips"]) == ("worker-1", ["10.244.1.9"])
    assert pods(cluster) == []
    assert created[0]["spec"]["containers"][0]["args"] == [
        "--target=tcp://billing-db.payments.svc:5432", "--count=2", "--timeout=3", "--concurrency=8", "--hold=1.5",
    ]  # fmt: skip


def test_the_pod_has_no_privilege(cluster: FakeCluster, run: Run) -> None:
    created = kubelet(cluster, json.dumps({"results": []}))
    more = {"tolerations": [{"operator": "Exists"}], "labels": {"x": "y"}, "image_pull_secrets": ["registry"]}
    run("probe", node_selector={"zone": "a"}, **more, **OPTIONS)
    spec, metadata = created[0]["spec"], created[0]["metadata"]
    assert spec["automountServiceAccountToken"] is False and spec["restartPolicy"] == "Never"
    assert spec["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert spec["activeDeadlineSeconds"] == 120
    assert (spec["nodeSelector"], spec["tolerations"]) == ({"zone": "a"}, [{"operator": "Exists"}])
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert metadata["labels"]["x"] == "y"


def test_openshift_chooses_the_user(cluster: FakeCluster, run: Run) -> None:
    """Whoever is no cluster-admin may not name one there."""
    created = kubelet(cluster, json.dumps({"results": []}))
    cluster.apis["/apis/security.openshift.io/v1"] = ["securitycontextconstraints"]
    run("probe", **OPTIONS)
    spec = created[0]["spec"]
    assert "runAsUser" not in spec["containers"][0]["securityContext"]
    for name in ("restricted-v2", "nonroot-v2"):
        everybody = [one for one in scc_rules.STOCK if one["metadata"]["name"] == name]
        assert scc_rules.admit(spec, everybody), name
    named = {**spec["containers"][0]["securityContext"], "runAsUser": 65532}
    refused = {**spec, "containers": [{**spec["containers"][0], "securityContext": named}]}
    assert not scc_rules.admit(refused, [one for one in scc_rules.STOCK if one["metadata"]["name"] == "restricted-v2"])


def test_check_mode_runs_nothing(cluster: FakeCluster, run: Run) -> None:
    assert run("probe", check=True, **OPTIONS)["results"] == []
    assert cluster.writes == []


def test_no_targets_need_no_pod(cluster: FakeCluster, run: Run) -> None:
    assert run("probe", **{**OPTIONS, "targets": []})["results"] == []
    assert cluster.writes == []


@pytest.mark.parametrize(("output", "status", "said"), [
    ("", {"phase": "Pending", "containerStatuses": [
        {"image": "img:1", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]},
     "ImagePullBackOff: no such image"),
    ("", {"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/3 nodes"}]},
     "cannot be scheduled: 0/3 nodes"),
    ("unknown option --hold\n", {"phase": "Failed"}, "failed; it printed: unknown option --hold"),
    ("Usage: something else", {}, "image img:1: it did not print the results of egress-router probe"),
], ids=["image", "unschedulable", "failed", "other image"])  # fmt: skip
def test_failures_give_the_reason_and_leave_no_pod(
    cluster: FakeCluster, run: Run, output: str, status: dict[str, Any], said: str
) -> None:
    kubelet(cluster, output, **status)
    started = time.monotonic()
    assert said in run("probe", **OPTIONS)["msg"]
    assert time.monotonic() - started < 30, "the whole time was waited for, though nothing could come of it"
    assert pods(cluster) == []


def test_a_client_that_never_ends(cluster: FakeCluster, run: Run) -> None:
    kubelet(cluster, phase="Running")
    assert run("probe", wait_timeout=1, **OPTIONS)["msg"].endswith("did not finish: still running after 1 s")
    assert pods(cluster) == []


def test_a_namespace_that_is_missing(cluster: FakeCluster, run: Run) -> None:
    cluster.missing_namespaces.add("payments")
    assert run("probe", **OPTIONS)["msg"] == (
        "cannot create Pods of namespace payments: namespace payments does not exist, create it first"
    )


def test_a_pod_that_may_not_be_made(cluster: FakeCluster, run: Run) -> None:
    said = 'pods "egress-probe-x" is forbidden: violates PodSecurity "restricted"'
    cluster.fault = lambda method, path: (403, said) if method == "POST" else None
    assert run("probe", **OPTIONS)["msg"] == f"cannot create Pods of namespace payments: {said}"


@pytest.mark.parametrize("check", [False, True])
def test_targets_are_checked_before_a_pod_runs(cluster: FakeCluster, run: Run, check: bool) -> None:
    wrong = ["billing-db:5432", "tcp://billing-db", "tcp://:80", "tcp://db:http", "sctp://db:80", "tcp://db:99999"]
    result = run(
        "probe", check=check, **{**OPTIONS, "targets": [*wrong, *OPTIONS["targets"], "udp://[2001:db8::1]:53"]}
    )
    said = "is not a target: write it as tcp://HOST:PORT, udp:// or http://, or as tcp4:// or tcp6:// for one family"
    assert result["msg"].splitlines() == [f"targets: '{target}' {said}" for target in wrong]
    assert pods(cluster) == [] and cluster.writes == []
