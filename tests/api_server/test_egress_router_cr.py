# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module router with backend egress_router_cr, on a real API server. No test lets two pods have the address: see conftest.py."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
import yaml

from ansible_collections.egress.router.plugins.module_utils._egress_router_cr import operator
from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.egress.router.plugins.module_utils._kubernetes.egress_router_cr import waiting, writing
from ansible_collections.egress.router.tests.api_server.api import TOKENS, until
from ansible_collections.egress.router.tests.api_server.others import (
    annotation,
    bind_shipped_role,
    good,
    restart_by_hand,
    set_rules,
)
from ansible_collections.egress.router.tests.api_server.world import World

OTHER_RULES = [{"port": 8080, "destination_ip": "203.0.113.11", "target_port": 80}]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "GRACE_SECONDS", 1.0)


def changed(result: dict[str, Any]) -> dict[str, str]:
    (router,) = result["routers"]
    return {one["kind"]: one["change"] for one in router["objects"]}


def differences(result: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        one["before_header"].split()[0]: (yaml.safe_load(one["before"]), yaml.safe_load(one["after"]))
        for one in result["diff"]
    }


def test_create_change_and_remove_in_check_mode_and_for_real_each_twice(world: World) -> None:
    created = {
        "EgressRouter": "created",
        "NetworkAttachmentDefinition": "created",
        "Deployment": "created",
        "Service": "created",
    }
    for _time in range(2):
        assert changed(good(world.deploy(world.router(), check=True))) == created
        assert world.get("egressrouters") is None
    result = good(world.deploy(world.router()))
    assert changed(result) == created and result["rules_live"] is True and result["changed"]
    assert world.forwards() == ["5432 TCP 203.0.113.10"]
    deployment = world.get("deployments")
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 1
    service = world.get("services")["spec"]
    assert service["selector"] == {"app": "egress-router-cni"} and [port["port"] for port in service["ports"]] == [5432]
    started = world.nodes.started
    for check in (True, False):
        result = good(world.deploy(world.router(), check=check))
        assert not result["changed"] and result["diff"] == [] and result["rules_live"] is True

    modified = dict.fromkeys(created, "modified")
    other = world.router(redirect_rules=OTHER_RULES)
    for _time in range(2):
        result = good(world.deploy(other, check=True))
        assert changed(result) == modified and not result["rules_live"]
    assert world.nodes.started == started and world.forwards() == ["5432 TCP 203.0.113.10"]
    shown = differences(result)
    predicted = shown["Deployment"][1]["spec"]["template"]["metadata"]["annotations"][operator.HASH]
    assert shown["NetworkAttachmentDefinition"][1]["spec"]["config"]["ip"]["destinations"] == [
        "8080 TCP 203.0.113.11 80"
    ]
    result = good(world.deploy(other))
    assert changed(result) == modified and result["rules_live"] and differences(result) == shown
    assert annotation(world) == predicted
    assert world.forwards() == ["8080 TCP 203.0.113.11 80"] and world.nodes.started == started + 1
    assert [port["port"] for port in world.get("services")["spec"]["ports"]] == [8080]
    assert not good(world.deploy(other))["changed"]

    absent = {"name": "db", "namespace": world.namespace, "backend": "egress_router_cr", "state": "absent"}
    removed = {"EgressRouter": "removed", "Service": "removed"}
    for _time in range(2):
        assert changed(good(world.deploy(absent, check=True))) == removed
    assert changed(good(world.deploy(absent))) == removed
    for kind in ("egressrouters", "network-attachment-definitions", "deployments", "services"):
        assert world.get(kind) is None, kind
    assert world.pods() == []
    for check in (True, False):
        assert not good(world.deploy(absent, check=check))["changed"]


def test_a_change_of_the_gateway_and_the_address_never_has_two_pods(world: World) -> None:
    good(world.deploy(world.router()))
    changes = {"addresses": [{"ip": "198.51.100.51/24", "gateway": "198.51.100.2"}]}
    good(world.deploy(world.router(**changes)))
    (pod,) = world.nodes.of(world.namespace)
    assert pod["ip"]["addresses"] == ["198.51.100.51/24"] and pod["ip"]["gateway"] == "198.51.100.2"
    # Garbage collection has made the operator's objects anew, without what the collection had added.
    world.api("DELETE", world.path("deployments"))
    until(lambda: world.get("deployments") is None and not world.pods(), "the Deployment is gone")
    world.wake_operator()
    until(lambda: world.nodes.of(world.namespace), "the operator's pod runs")
    good(world.deploy(world.router()))
    assert world.get("deployments")["spec"]["strategy"] == {"type": "Recreate"} and annotation(world)
    assert not good(world.deploy(world.router()))["changed"]


def test_nothing_but_the_pod_is_changed_where_only_the_pod_has_to_be(world: World) -> None:
    good(world.deploy(world.router()))
    keys = {
        "node_selector": {"example.com/egress": "true"}, "tolerations": [{"operator": "Exists"}],
        "resources": {"limits": {"memory": "64Mi"}}, "pod_labels": {"team": "payments"}, "pod_annotations": {"example.com/owner": "jane"},
    }  # fmt: skip
    assert changed(good(world.deploy(world.router(**keys)))) == {"Deployment": "modified"}
    spec = world.get("deployments")["spec"]["template"]["spec"]
    assert spec["nodeSelector"]["example.com/egress"] == "true" and spec["tolerations"] == [{"operator": "Exists"}]
    # What the operator has set is there as before.
    assert spec["containers"][0]["resources"] == {"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}}
    assert not good(world.deploy(world.router(**keys)))["changed"]
    world.wake_operator()
    assert changed(good(world.deploy(world.router()))) == {"Deployment": "modified"}
    assert "tolerations" not in world.get("deployments")["spec"]["template"]["spec"]


@pytest.mark.parametrize("kind", ["network-attachment-definitions", "deployments"])
def test_what_somebody_removed_by_hand_comes_back(world: World, kind: str) -> None:
    good(world.deploy(world.router()))
    world.api("DELETE", world.path(kind))
    until(lambda: world.get(kind) is None, f"{kind} are removed")
    shown = {"network-attachment-definitions": "NetworkAttachmentDefinition", "deployments": "Deployment"}[kind]
    assert changed(good(world.deploy(world.router(), check=True)))[shown] == "created"
    result = good(world.deploy(world.router()))
    assert changed(result)[shown] == "created" and "EgressRouter" not in changed(result)
    assert (
        world.forwards() == ["5432 TCP 203.0.113.10"]
        and world.get("deployments")["spec"]["strategy"]["type"] == "Recreate"
    )
    assert not good(world.deploy(world.router()))["changed"]


def test_rules_that_somebody_else_changed_are_the_lists_again(world: World) -> None:
    good(world.deploy(world.router()))
    set_rules(world, 9999)
    # The operator does not restart the pod.
    assert world.forwards() == ["5432 TCP 203.0.113.10"]
    result = good(world.deploy(world.router()))
    assert "EgressRouter" in changed(result) and world.forwards() == ["5432 TCP 203.0.113.10"]
    assert not good(world.deploy(world.router()))["changed"]


def test_a_pod_with_rules_of_somebody_else_is_found_even_if_they_were_changed_back(world: World) -> None:
    good(world.deploy(world.router()))
    until(lambda: world.nodes.of(world.namespace), "it runs")
    set_rules(world, 9999)
    restart_by_hand_waits = world.nodes.started
    restart_by_hand(world)
    assert world.forwards() == ["9999 TCP 203.0.113.99"] and world.nodes.started == restart_by_hand_waits + 1
    started = world.pods()[0]["metadata"]["creationTimestamp"]
    until(lambda: _clock(world) > started, "a second has passed")
    rules = [{"port": 5432, "protocol": "TCP", "destinationIP": "203.0.113.10"}]
    world.api.merge(world.path("egressrouters"), {"spec": {"redirect": {"redirectRules": rules}}})
    until(lambda: "5432 TCP" in world.get("network-attachment-definitions")["spec"]["config"], "the operator reacted")
    result = good(world.deploy(world.router()))
    assert changed(result) == {"Deployment": "modified"}
    assert annotation(world, operator.CHANGED_AT) and world.forwards() == ["5432 TCP 203.0.113.10"]
    assert not good(world.deploy(world.router()))["changed"]


def _clock(world: World) -> str:
    """The API server's time, as it writes it."""
    made = world.api(
        "POST", f"/api/v1/namespaces/{world.namespace}/configmaps?dryRun=All", {"metadata": {"generateName": "x-"}}
    )
    found: str = made["metadata"]["creationTimestamp"]
    return found


def test_another_resource_of_the_namespace_is_refused_before_anything_is_touched(world: World) -> None:
    foreign = {
        "apiVersion": "network.operator.openshift.io/v1", "kind": "EgressRouter", "metadata": {"name": "foreign"},
        "spec": {"addresses": [{"ip": "198.51.100.60/24", "gateway": "198.51.100.1"}], "redirect": {}},
    }  # fmt: skip
    path = world.path("egressrouters").rpartition("/")[0]
    world.api("POST", path, foreign)
    said = world.deploy(world.router())
    assert (
        said["failed"]
        and f"router {world.namespace}/db: namespace {world.namespace} has EgressRouter foreign already" in said["msg"]
    )
    assert world.get("egressrouters") is None
    world.api("DELETE", f"{path}/foreign")
    until(lambda: not world.pods(), "its pod is gone")
    world.api("POST", path, {**foreign, "metadata": {"name": "db"}})
    said = world.deploy(world.router())
    assert said["failed"] and "exists already and does not belong to this router" in said["msg"]
    # Nor is it removed.
    absent = {"name": "db", "namespace": world.namespace, "backend": "egress_router_cr", "state": "absent"}
    assert not good(world.deploy(absent))["changed"] and world.get("egressrouters")


def test_one_goes_and_another_comes_in_its_namespace(world: World) -> None:
    good(world.deploy(world.router()))
    absent = {"name": "db", "namespace": world.namespace, "backend": "egress_router_cr", "state": "absent"}
    result = good(world.deploy(world.router(name="web"), absent))
    assert [router["name"] for router in result["routers"]] == ["web", "db"]
    assert world.get("egressrouters") is None and world.get("egressrouters", "web")
    assert world.get("services") is None and world.get("services", "web")
    assert len(world.pods()) == 1 and world.get("deployments")["spec"]["strategy"]["type"] == "Recreate"


def test_a_service_of_somebody_else_is_refused_and_one_of_another_name_is_removed(world: World) -> None:
    ports = [{"port": 1}]
    path = world.path("services").rpartition("/")[0]
    world.api("POST", path, {"metadata": {"name": "db"}, "spec": {"ports": ports}})
    said = world.deploy(world.router())
    assert (
        said["failed"]
        and f"Service {world.namespace}/db exists already and does not belong to this router" in said["msg"]
    )
    assert world.get("egressrouters") is None
    good(world.deploy(world.router(service={"name": "postgres"})))
    good(world.deploy(world.router(service={"name": "mysql"})))
    names = sorted(item["metadata"]["name"] for item in world.api.get(path)["items"])
    assert names == ["db", "mysql"]


def test_the_services_ports_follow_the_rules_and_without_rules_there_is_none(world: World) -> None:
    good(world.deploy(world.router(service={"headless": True})))
    service = world.get("services")["spec"]
    assert service["clusterIP"] == "None" and "ports" not in service
    said = world.deploy(world.router())
    assert said["failed"] and "service.headless has changed" in said["msg"] and "delete Service" in said["msg"]
    world.api("DELETE", world.path("services"))
    good(world.deploy(world.router()))
    result = good(world.deploy(world.router(redirect_rules=[])))
    assert changed(result)["Service"] == "removed" and world.get("services") is None and world.forwards() == []
    assert not good(world.deploy(world.router(redirect_rules=[])))["changed"]


def test_an_operator_that_does_not_react_is_quoted(world: World) -> None:
    world.servers.pause_operator()
    path, report = "/apis/config.openshift.io/v1/clusteroperators", {"metadata": {"name": "network"}, "spec": {}}
    world.api("DELETE", f"{path}/network")
    key = f"{world.namespace}/db"
    begin = f"router {key}: the Cluster Network Operator has not reacted to EgressRouter {key} within 1 s: "
    said = world.deploy(world.router(), wait_timeout=1)
    assert said["failed"] and said["msg"].startswith(f"{begin}there is no ClusterOperator network")
    # What was and what was not done, which is all that is told as changed.
    assert (
        f"done before that: EgressRouter {key}\n" in said["msg"]
        and "not done: NetworkAttachmentDefinition" in said["msg"]
    )
    assert changed(said) == {"EgressRouter": "created"} and said["rules_live"] is False
    world.api("POST", path, {"apiVersion": "config.openshift.io/v1", "kind": "ClusterOperator", **report})
    try:
        said = world.deploy(world.router(), wait_timeout=1)
        assert "it says nothing of this router, see its pod in namespace openshift-network-operator" in said["msg"]
        message = f"could not reconcile Egress Router {key}: no gateway"
        since = "2026-11-26T12:00:00Z"
        conditions = [{"type": "Degraded", "status": "True", "message": message, "lastTransitionTime": since}]
        world.api.merge(f"{path}/network/status", {"status": {"conditions": conditions}})
        said = world.deploy(world.router(), wait_timeout=1)
        assert said["msg"].startswith(f"{begin}it says: {message}")
    finally:
        # As the operator has it where nothing is wrong.
        world.api.merge(f"{path}/network/status", {"status": {"conditions": []}})
    world.servers.resume_operator()
    good(world.deploy(world.router()))


def test_a_slow_operator_is_waited_for_and_woken_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "WAKE_UP_SECONDS", 0.5)
    world.servers.pause_operator()
    woken = {"count": 0}
    original, now = waiting.Waiter._wake_up, datetime.now(timezone.utc)
    versions = set()

    def wake(self: Any, router: Any) -> None:
        # Whoever asks again within a second is heard too: only a change of the resource is told to the operator.
        with monkeypatch.context() as stopped:
            stopped.setattr(Cluster, "now", lambda self: now)
            for _time in range(2):
                original(self, router)
                versions.add(world.get("egressrouters")["metadata"]["resourceVersion"])
        woken["count"] += 1
        world.servers.resume_operator()

    monkeypatch.setattr(waiting.Waiter, "_wake_up", wake)
    good(world.deploy(world.router()))
    assert woken == {"count": 1} and len(versions) == 2
    assert operator.WAKE_UP in world.get("egressrouters")["metadata"]["annotations"]
    assert not good(world.deploy(world.router()))["changed"]


def test_a_plugin_that_fails_is_explained(world: World) -> None:
    world.nodes.plugin = (
        'plugin type="egress-router" failed (add): failed to unmarshal raw result: unexpected end of JSON input'
    )
    said = world.deploy(world.router(), wait_timeout=60)
    assert said["failed"]
    assert (
        f"router {world.namespace}/db does not serve: the CNI plugin egress-router on node worker-1 has refused to set up pod"
        in said["msg"]
    )
    assert (
        "/tmp/egress-router-log" in said["msg"]
        and "oc debug node/worker-1" in said["msg"]
        and "nft older than 1.0.1" in said["msg"]
    )
    assert world.get("services") is None, "no port leads to a router that does not serve"
    assert "not done: Service" in said["msg"]


def test_a_resource_that_somebody_removes_during_the_run_ends_it(world: World) -> None:
    good(world.deploy(world.router()))

    def remove_once() -> None:
        world.nodes.on_start = lambda: None
        world.api("DELETE", world.path("egressrouters"))

    # When the pod with the new rules starts.
    world.nodes.on_start = remove_once
    said = world.deploy(world.router(redirect_rules=OTHER_RULES))
    assert said["failed"] and "was removed by somebody during the run, and its pod with it: run again" in said["msg"], (
        said
    )
    until(lambda: not world.pods(), "the pod is gone")
    good(world.deploy(world.router(redirect_rules=OTHER_RULES)))
    assert world.forwards() == ["8080 TCP 203.0.113.11 80"]


def test_a_resource_that_goes_between_two_requests_is_not_made_anew_beside_its_pod(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    good(world.deploy(world.router()))
    original = writing.Writer.resource

    def late(self: Any, *args: Any, **more: Any) -> Any:
        if not more.get("dry_run"):
            world.api("DELETE", world.path("egressrouters"))
        return original(self, *args, **more)

    monkeypatch.setattr(writing.Writer, "resource", late)
    said = world.deploy(world.router(redirect_rules=OTHER_RULES))
    assert said["failed"] and "was removed by somebody during the run" in said["msg"], said
    assert world.get("egressrouters") is None


def test_a_deployment_that_goes_between_two_requests_is_no_conflict_of_fields(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    good(world.deploy(world.router()))
    original = writing.Writer.deployment

    def late(self: Any, *args: Any, **more: Any) -> Any:
        if not more.get("dry_run"):
            world.api("DELETE", world.path("egressrouters"))
            until(lambda: world.get("deployments") is None, "the Deployment is gone")
        return original(self, *args, **more)

    monkeypatch.setattr(writing.Writer, "deployment", late)
    said = world.deploy(world.router(redirect_rules=OTHER_RULES))
    assert said["failed"] and "was removed by somebody during the run" in said["msg"], said
    assert world.get("deployments") is None


def test_a_router_does_not_change_its_backend_while_it_is_there(world: World) -> None:
    """Its pods would have the address at the same time, and one backend does not know what the other's are."""
    agent = world.router(backend="agent", image="registry.example.com/egress-router:0.1.0")
    good(world.deploy(agent, wait=False))
    until(world.pods, "the agent's pod is there")
    said = world.deploy(world.router(service={"name": "other"}))
    assert (
        said["failed"]
        and "its pods of backend agent are there: run once with that backend and state: absent" in said["msg"]
    )
    assert world.get("egressrouters") is None
    good(world.deploy({**agent, "state": "absent"}))
    good(world.deploy(world.router()))
    said = world.deploy(agent, wait=False)
    assert (
        said["failed"]
        and "it has been created with backend egress_router_cr: run once with that backend" in said["msg"]
    )


def test_two_backends_in_one_call_and_a_warning_for_the_master(world: World) -> None:
    agent = {
        "name": "web",
        "backend": "agent",
        "image": "x",
        "addresses": [{"ip": "198.51.100.51/24"}],
        "redirect_rules": [],
    }
    result = good(world.deploy(world.router(master="eth1"), world.router(**agent), wait=False))
    kinds = [[one["kind"] for one in router["objects"]] for router in result["routers"]]
    assert kinds[0] == ["EgressRouter", "NetworkAttachmentDefinition", "Deployment", "Service"] and "Lease" in kinds[1]
    (warning,) = [str(one) for one in result["warnings"] if "master" in str(one)]
    assert f"router {world.namespace}/db, master: 'eth1' has no effect" in warning
    # The agent's objects are found by their labels, and these are none of them.
    gone = good(world.deploy({**world.router(**agent), "state": "absent"}))
    assert len(gone["routers"][0]["objects"]) > 5 and world.get("services") and world.get("egressrouters")


def test_without_wait_the_pod_is_made_anew_all_the_same(world: World) -> None:
    good(world.deploy(world.router(), wait=False))
    until(lambda: world.nodes.of(world.namespace) and len(world.pods()) == 1, "it runs")
    result = good(world.deploy(world.router(redirect_rules=OTHER_RULES), wait=False))
    assert result["changed"] and not result["rules_live"]
    until(
        lambda: world.nodes.of(world.namespace) and world.forwards() == ["8080 TCP 203.0.113.11 80"],
        "the new rules are live",
    )


def test_a_field_of_somebody_else_is_a_conflict_and_can_be_taken_over(world: World) -> None:
    good(world.deploy(world.router()))
    tolerations = [{"operator": "Exists"}]
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": {"tolerations": tolerations}}}}
    world.api.apply(world.path("deployments"), "somebody", body)
    wanted = world.router(tolerations=[{"key": "egress", "operator": "Exists"}])
    said = world.deploy(wanted)
    assert said["failed"] and "set force_conflicts" in said["msg"] and f"router {world.namespace}/db" in said["msg"]
    good(world.deploy(wanted, force_conflicts=True))
    address = [{"ip": "198.51.100.61/24", "gateway": "198.51.100.1"}]
    world.api(
        "PATCH",
        f"{world.path('egressrouters')}?fieldManager=x",
        {"spec": {"addresses": address}},
        "application/merge-patch+json",
    )
    said = world.deploy(wanted)
    assert said["failed"] and "set force_conflicts" in said["msg"]
    good(world.deploy(wanted, force_conflicts=True))


def test_a_namespace_is_created_if_that_is_wanted(world: World) -> None:
    new = f"{world.namespace}-new"
    said = world.deploy(world.router(namespace=new))
    assert said["failed"] and f"namespace {new} does not exist" in said["msg"]
    result = good(world.deploy(world.router(namespace=new), create_namespaces=True, check=True))
    assert [one["before_header"].split()[0] for one in result["diff"]] == [
        "Namespace", "EgressRouter", "NetworkAttachmentDefinition", "Deployment", "Service",
    ]  # fmt: skip
    assert world.api.get(f"/api/v1/namespaces/{new}") is None
    world.namespace = new
    good(world.deploy(world.router(), create_namespaces=True))
    assert not good(world.deploy(world.router(), create_namespaces=True))["changed"]


def test_whoever_has_the_shipped_role_and_no_more_can_do_everything(world: World) -> None:
    world.token = TOKENS["jane"]
    said = world.deploy(world.router())
    assert (
        said["failed"]
        # What is also her token is not shown of her name.
        and "may not list egressrouters" in said["msg"]
        and "egress-router-cr-deployer in the namespace" in said["msg"]
    )
    bind_shipped_role(world)
    good(world.deploy(world.router()))
    good(world.deploy(world.router(redirect_rules=OTHER_RULES)))
    world.api("DELETE", world.path("deployments"))
    until(lambda: world.get("deployments") is None, "it is removed")
    good(world.deploy(world.router(redirect_rules=OTHER_RULES)))
    absent = {"name": "db", "namespace": world.namespace, "backend": "egress_router_cr", "state": "absent"}
    good(world.deploy(absent))
    assert world.get("egressrouters") is None and not world.pods()


def test_the_operators_fields_stay_the_operators(world: World) -> None:
    good(world.deploy(world.router(resources={"requests": {"cpu": "100m"}})))
    for kind in ("network-attachment-definitions", "deployments"):
        managers = {entry["manager"] for entry in world.get(kind)["metadata"]["managedFields"]}
        assert "cluster-network-operator/egress_router" in managers
    version = world.get("network-attachment-definitions")["metadata"]["resourceVersion"]
    world.wake_operator()
    good(world.deploy(world.router()))
    assert world.get("network-attachment-definitions")["metadata"]["resourceVersion"] == version
