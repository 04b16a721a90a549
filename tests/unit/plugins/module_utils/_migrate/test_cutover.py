# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut-over: what is left to do in each situation, how each kind is stopped and started, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._common.errors import InputError
from ansible_collections.egress.router.plugins.module_utils._migrate import cutover
from ansible_collections.egress.router.plugins.module_utils._migrate.cutover import (
    AWAIT_END,
    AWAIT_NEW,
    AWAIT_OLD,
    DEPLOY,
    END_NEW,
    FORGET,
    HOLD,
    LIFT,
    MOVE_SERVICE,
    NEW,
    OLD,
    REMOVE_OLD,
    RETURN_SERVICE,
    SAVE,
    START,
    STOP,
    Situation,
)
from ansible_collections.egress.router.plugins.module_utils._migrate.objects import Objects
from ansible_collections.egress.router.plugins.module_utils._migrate.old import find_old
from ansible_collections.egress.router.plugins.module_utils._router.router import Router
from ansible_collections.egress.router.plugins.module_utils._router.routers import load

BEFORE = Situation()
WAITING = replace(BEFORE, on_hold=True, waiting=True)
SAVED = replace(WAITING, recorded=True)
HALF_STOPPED = replace(SAVED, started=False)
STOPPED = replace(HALF_STOPPED, stopped=True)
ENDED = replace(STOPPED, ended=True)
LIFTED = replace(ENDED, on_hold=False, waiting=False)
HALF_MOVED = replace(LIFTED, returned=False)
MOVED = replace(HALF_MOVED, moved=True)
DONE = replace(MOVED, serving=True)
REMOVED = Situation(present=False, stopped=True, ended=True, moved=True, serving=True)


@pytest.mark.parametrize(
    ("now", "left"),
    [
        (BEFORE, (HOLD, DEPLOY, SAVE, STOP, AWAIT_END, MOVE_SERVICE, LIFT, AWAIT_NEW)),
        (WAITING, (DEPLOY, SAVE, STOP, AWAIT_END, MOVE_SERVICE, LIFT, AWAIT_NEW)),
        (SAVED, (DEPLOY, STOP, AWAIT_END, MOVE_SERVICE, LIFT, AWAIT_NEW)),
        (HALF_STOPPED, (DEPLOY, STOP, AWAIT_END, MOVE_SERVICE, LIFT, AWAIT_NEW)),
        (STOPPED, (DEPLOY, AWAIT_END, MOVE_SERVICE, LIFT, AWAIT_NEW)),
        (ENDED, (DEPLOY, MOVE_SERVICE, LIFT, AWAIT_NEW)),
        (LIFTED, (DEPLOY, MOVE_SERVICE, AWAIT_NEW)),
        (HALF_MOVED, (DEPLOY, MOVE_SERVICE, AWAIT_NEW)),
        (MOVED, (DEPLOY, AWAIT_NEW)),
        (DONE, ()),
        (REMOVED, ()),
        # Somebody has started the old router again: the new one has the address and keeps it.
        (replace(DONE, started=True, stopped=False, ended=False), (STOP, AWAIT_END)),
        # Somebody has removed the new one.
        (replace(LIFTED, serving=False), (DEPLOY, MOVE_SERVICE, AWAIT_NEW)),
        # Its pod was about to give the address up when somebody decided otherwise.
        (replace(MOVED, on_hold=True), (DEPLOY, LIFT, AWAIT_NEW)),
    ],
)
def test_what_is_left_to_the_new_router(now: Situation, left: tuple[str, ...]) -> None:
    assert cutover.steps(NEW, now) == left


@pytest.mark.parametrize(
    ("now", "left"),
    [
        # Nothing was stopped, so nothing is started.
        (BEFORE, ()),
        (WAITING, ()),
        (REMOVED, ()),
        (SAVED, (AWAIT_OLD, FORGET)),
        (HALF_STOPPED, (START, AWAIT_OLD, FORGET)),
        (STOPPED, (START, AWAIT_OLD, FORGET)),
        (ENDED, (START, AWAIT_OLD, FORGET)),
        (LIFTED, (HOLD, END_NEW, START, AWAIT_OLD, FORGET)),
        (HALF_MOVED, (HOLD, END_NEW, RETURN_SERVICE, START, AWAIT_OLD, FORGET)),
        (DONE, (HOLD, END_NEW, RETURN_SERVICE, START, AWAIT_OLD, FORGET)),
        # Interrupted on the way back.
        (replace(DONE, on_hold=True, serving=False), (END_NEW, RETURN_SERVICE, START, AWAIT_OLD, FORGET)),
        (replace(MOVED, on_hold=True, waiting=True), (RETURN_SERVICE, START, AWAIT_OLD, FORGET)),
        (replace(ENDED, started=True, stopped=False), (AWAIT_OLD, FORGET)),
    ],
)
def test_what_is_left_to_the_way_back(now: Situation, left: tuple[str, ...]) -> None:
    assert cutover.steps(OLD, now) == left
    # The new router has no address before the old one gets it.
    if START in left:
        assert now.waiting or left.index(END_NEW) < left.index(START)


def test_the_old_one_is_removed_only_when_told_to_and_last() -> None:
    everything = (BEFORE, WAITING, SAVED, HALF_STOPPED, STOPPED, ENDED, LIFTED, HALF_MOVED, MOVED, DONE)
    for now in everything:
        assert REMOVE_OLD not in cutover.steps(NEW, now)
        assert cutover.steps(NEW, now, remove_old=True)[-1] == REMOVE_OLD
    assert cutover.steps(NEW, REMOVED, remove_old=True) == ()


@pytest.mark.parametrize("now", [BEFORE, WAITING, SAVED, HALF_STOPPED, STOPPED])
def test_the_address_is_free_before_the_new_router_may_take_it(now: Situation) -> None:
    left = cutover.steps(NEW, now)
    assert left.index(AWAIT_END) < left.index(LIFT)
    assert now.on_hold or left[0] == HOLD
    assert now.recorded or left.index(SAVE) < left.index(STOP)


# Objects

ROUTER: dict[str, Any] = {
    "name": "billing",
    "namespace": "payments",
    "image": "img:1",
    "addresses": [{"ip": "192.168.12.99/24", "gateway": "192.168.12.1"}],
    "redirect_rules": [{"port": 5432, "destination_ip": "203.0.113.10"}],
    "fallback_ip": "203.0.113.99",
    "service": {"name": "billing-db", "extra_ports": [{"port": 25}]},
}


def router(**changes: Any) -> Router:
    routers, problems = load([{**ROUTER, **changes}])
    assert not problems, problems
    return routers[0]


def item(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    of_group = {"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "DeploymentConfig": "apps.openshift.io/v1"}
    head = {"apiVersion": of_group.get(kind, "v1"), "kind": kind}
    return {
        **head,
        "metadata": {"name": name, "namespace": "payments", "uid": f"uid-of-{name}", **metadata},
        "spec": spec,
    }


def sdn_pod(source: str = "192.168.12.99") -> dict[str, Any]:
    env = [{"name": "EGRESS_SOURCE", "value": source}, {"name": "EGRESS_GATEWAY", "value": "192.168.12.1"}]
    return {
        "metadata": {"labels": {"name": "egress"}},
        "spec": {"containers": [{"name": "egress", "env": env}], "nodeSelector": {"site": "a"}},
    }


def workload(kind: str, name: str = "egress", **spec: Any) -> dict[str, Any]:
    return item(kind, name, {"replicas": 2, "template": sdn_pod(), **spec})


RESOURCE = item("EgressRouter", "old", {"addresses": [{"ip": "192.168.12.99/24", "gateway": "192.168.12.1"}]})
OWNER = {"kind": "EgressRouter", "name": "old", "uid": "uid-of-old", "controller": True}
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
BY_OPERATOR = item(
    "Deployment",
    "egress-router-cni-deployment",
    {
        "replicas": 1,
        "strategy": ROLLING,
        "template": {"metadata": {"labels": {"app": "egress-router-cni"}}, "spec": {"containers": [{"name": "x"}]}},
    },
    ownerReferences=[OWNER],
)
POD = item(
    "Pod",
    "egress",
    {**sdn_pod()["spec"], "nodeName": "worker-1"},
    labels={"name": "egress"},
    annotations={"note": "1"},
    resourceVersion="7",
)
SERVICE = item(
    "Service",
    "billing-db",
    {
        "selector": {"name": "egress"},
        "type": "ClusterIP",
        "clusterIP": "10.96.0.7",
        "ports": [{"name": "db", "port": 5432, "protocol": "TCP", "targetPort": 5432}],
    },
    labels={"team": "a"},
)


@pytest.mark.parametrize("kind", ["Deployment", "DeploymentConfig", "ReplicationController", "ReplicaSet"])
def test_what_has_replicas_is_stopped_by_them(kind: str) -> None:
    record = find_old(router(), Objects([workload(kind), SERVICE]))
    assert record is not None and str(record.source) == f"{kind} payments/egress"
    (maker,) = record.makers
    live = workload(kind)
    stopped = cutover.stopped(maker, live)
    assert stopped is not None and stopped["spec"]["replicas"] == 0
    assert {**stopped, "spec": {**stopped["spec"], "replicas": 2}} == live, "something else has changed"
    assert (cutover.is_stopped(maker, live), cutover.is_stopped(maker, stopped)) == (False, True)
    assert cutover.started(maker, stopped) == live == workload(kind)
    assert cutover.shown(maker, stopped)["spec"] == {"replicas": 0}  # type: ignore[index]


def test_what_the_operator_makes_is_stopped_by_a_node_selector() -> None:
    """It writes `replicas` again at its next resync, and leaves fields of others alone."""
    selected = {**SERVICE, "spec": {**SERVICE["spec"], "selector": {"app": "egress-router-cni"}}}
    record = find_old(router(), Objects([RESOURCE, BY_OPERATOR, selected]))
    assert record is not None and record.source.kind == "EgressRouter"
    (maker,) = record.makers
    stopped = cutover.stopped(maker, BY_OPERATOR)
    assert stopped is not None
    assert stopped["spec"]["template"]["spec"]["nodeSelector"] == {"egress.router/stopped": "true"}
    # A rolling update would wait for the new pod, which finds no node, before it ends the old one.
    assert stopped["spec"]["strategy"] == {"type": "Recreate"}
    assert stopped["spec"]["replicas"] == 1
    again = cutover.started(maker, stopped)
    assert again["spec"]["strategy"] == ROLLING
    assert not again["spec"]["template"]["spec"].get("nodeSelector")
    # The operator's own resync leaves it stopped.
    assert cutover.is_stopped(maker, stopped) and not cutover.is_stopped(maker, again)


def test_a_pod_that_nothing_makes_is_removed_and_made_again() -> None:
    record = find_old(router(), Objects([POD, SERVICE]))
    assert record is not None
    (maker,) = record.makers
    assert cutover.stopped(maker, POD) is None
    ending = {**POD, "metadata": {**POD["metadata"], "deletionTimestamp": "2026-11-23T00:00:00Z"}}
    assert [cutover.is_stopped(maker, live) for live in (POD, ending, None)] == [False, True, True]
    again = cutover.started(maker, None)
    assert again["metadata"] == {
        "name": "egress", "namespace": "payments", "labels": {"name": "egress"}, "annotations": {"note": "1"},
    }  # fmt: skip
    assert again["spec"] == sdn_pod()["spec"], "it is bound to its old node"


def test_a_record_is_read_as_it_was_written() -> None:
    for found in ([POD, SERVICE], [workload("Deployment")], [RESOURCE, BY_OPERATOR]):
        record = find_old(router(), Objects(found))
        assert record is not None
        manifest = cutover.record_manifest(router(), record)
        assert cutover.read_record(manifest) == record
        # Else provision would take it for an object of a router that it has to remove.
        assert manifest["metadata"]["labels"]["app.kubernetes.io/name"] == "egress-router-cutover"


def test_the_old_router_is_the_one_with_the_address() -> None:
    other = item("Deployment", "other", {"template": sdn_pod("192.168.12.98/24")})
    elsewhere = {**workload("Deployment"), "metadata": {"name": "egress", "namespace": "bank"}}
    assert find_old(router(), Objects([other, elsewhere])) is None
    record = find_old(router(), Objects([other, elsewhere, workload("Deployment")]))
    assert record is not None and record.source.name == "egress"


def test_users_of_an_attachment_are_stopped() -> None:
    config = '{"type": "egress-router", "ip": {"addresses": ["192.168.12.99/24"], "gateway": "192.168.12.1"}}'
    attachment = item("NetworkAttachmentDefinition", "partner", {"config": config})
    template = {
        "metadata": {"labels": {"app": "p"}, "annotations": {"k8s.v1.cni.cncf.io/networks": "partner"}},
        "spec": {},
    }
    users = [item("Deployment", name, {"replicas": 1, "template": template}) for name in ("one", "two")]
    record = find_old(router(), Objects([attachment, *users]))
    assert record is not None and record.source.kind == "NetworkAttachmentDefinition"
    assert [maker.name for maker in record.makers] == ["one", "two"]


@pytest.mark.parametrize(
    ("objects", "says"),
    [
        ([workload("Deployment"), POD], "Deployment payments/egress and Pod payments/egress have its address"),
        ([RESOURCE], "the operator has made no Deployment egress-router-cni-deployment of it"),
        (
            [RESOURCE, {**BY_OPERATOR, "metadata": {**BY_OPERATOR["metadata"], "ownerReferences": [{**OWNER, "uid": "x"}]}}],
            "the operator has made no Deployment",
        ),
        (
            [{**POD, "metadata": {**POD["metadata"], "ownerReferences": [{"kind": "DaemonSet", "name": "d", "uid": "u", "controller": True}]}}],
            "Pod payments/egress is made by DaemonSet d, which would start it again",
        ),
        (
            [{**POD, "metadata": {**POD["metadata"], "annotations": {"kubernetes.io/config.mirror": "x"}}}],
            "Pod payments/egress is a static pod of its node",
        ),
    ],
)  # fmt: skip
def test_refused(objects: list[Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        find_old(router(), Objects(objects))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"selector": {}}, ["has no selector"]),
        ({"selector": {"name": "egress", "tier": "x"}}, ["does not lead to the old router"]),
        ({"type": "LoadBalancer"}, ["has type LoadBalancer"]),
        ({"externalIPs": ["198.51.100.9"]}, ["has externalIPs"]),
        ({"clusterIP": "None"}, ["is headless, which cannot change: set service.headless to true"]),
        ({"type": "NodePort", "selector": {}}, ["has no selector", "has type NodePort"]),
    ],
)
def test_services_that_are_refused(spec: dict[str, Any], says: list[str]) -> None:
    """All reasons at once."""
    service = {**SERVICE, "spec": {**SERVICE["spec"], **spec}}
    with pytest.raises(InputError) as caught:
        find_old(router(), Objects([workload("Deployment"), service]))
    lines = str(caught.value).splitlines()
    assert len(lines) == len(says)
    assert all(f"Service payments/billing-db {said}" in line for said, line in zip(says, lines, strict=True)), lines


def test_a_service_with_two_selectors_that_the_old_pods_have() -> None:
    template = {**sdn_pod(), "metadata": {"labels": {"name": "egress", "tier": "x"}}}
    service = {**SERVICE, "spec": {**SERVICE["spec"], "selector": {"name": "egress", "tier": "x"}}}
    record = find_old(router(), Objects([workload("Deployment", template=template), service]))
    assert record is not None and record.service is not None
    assert record.service["selector"] == {"name": "egress", "tier": "x"}


def test_not_read_is_not_taken_for_not_there() -> None:
    with pytest.raises(InputError, match="jane may not list pods"):
        find_old(router(), Objects([]), ["jane may not list pods in namespace payments"])


def test_the_service_keeps_what_is_not_of_a_router() -> None:
    ours = [
        {"name": "metrics", "port": 29797, "protocol": "TCP"},
        {"name": "tcp-25", "port": 25, "protocol": "TCP"},
    ]
    live = {**SERVICE, "spec": {**SERVICE["spec"], "ports": [*SERVICE["spec"]["ports"], *ours]}}
    stripped = cutover.stripped_service(live, router())
    assert stripped["spec"] == {"type": "ClusterIP", "clusterIP": "10.96.0.7", "ports": ours}
    saved = cutover.saved_service(SERVICE)
    assert cutover.returned_service(stripped, saved) == SERVICE
    assert cutover.is_returned(SERVICE, saved) and not cutover.is_returned(stripped, saved)
    assert live["spec"]["selector"], "the live object was changed"


def pod(name: str, node: str = "worker-1", ready: bool = True, **metadata: Any) -> dict[str, Any]:
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]}
    spec = {"nodeName": node} if node else {}
    return {**item("Pod", name, spec, labels={"name": "egress"}, **metadata), "status": status}


def test_which_pods_have_the_address() -> None:
    record = find_old(router(), Objects([workload("Deployment")]))
    assert record is not None
    ended = {**pod("c"), "status": {"phase": "Failed"}}
    other = {**pod("d"), "metadata": {**pod("d")["metadata"], "labels": {"name": "x"}}}
    ending = pod("e", deletionTimestamp="2026-11-23T00:00:00Z")
    found = cutover.pods_of(record.makers, [pod("a"), pod("b", node=""), ended, other, ending])
    assert [one["metadata"]["name"] for one in found] == ["a", "e"]
    for pods, running in (([pod("a")], True), ([pod("a", ready=False)], False), ([ending], False), ([], False)):
        assert cutover.are_running(record.makers, pods) is running
    off = find_old(router(), Objects([workload("Deployment", replicas=0)]))
    assert off is not None and cutover.are_running(off.makers, []), "it was switched off before"
