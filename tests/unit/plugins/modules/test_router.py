# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module router: what it creates, changes, leaves alone and removes, and what it says when it cannot."""

from __future__ import annotations

import base64
import copy
import json
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import yaml

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.rules import parse
from ansible_collections.egress.router.plugins.module_utils._kubernetes import peers, router_info
from ansible_collections.egress.router.plugins.module_utils._kubernetes.backends import Outcome
from ansible_collections.egress.router.plugins.module_utils._kubernetes.managed_fields import extract, owned_fields
from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._router.manifests import KIND, KINDS
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.plugins.modules import router as module
from ansible_collections.egress.router.tests.support.fake_api_server import FakeAgent, FakeCluster

from .conftest import Run

DB: dict[str, Any] = {
    "name": "db",
    "namespace": "payments",
    "image": "img:1",
    "addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}],
    "redirect_rules": [{"port": 5432, "destination_ip": "203.0.113.10"}],
    "service": {"annotations": {"note": "1"}},
}
WEB: dict[str, Any] = {**DB, "name": "web", "addresses": [{"ip": "198.51.100.51/24", "gateway": "198.51.100.1"}]}
ABSENT = {"name": "db", "namespace": "payments", "state": "absent"}
PAIR: dict[str, Any] = {**DB, "replicas": 2}
# One of each kind for the one family, without what only several pods have.
OBJECTS = len(KINDS) - 1
Options = dict[str, Any]


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_info, "GRACE_SECONDS", 0.1)


@pytest.fixture
def deploy(run: Run) -> Run:
    """Without waiting for agents, which the fake cluster does not start."""

    def deploy_routers(*routers: Options, **options: Any) -> Options:
        return run("router", routers=list(routers), **{"wait": False, "wait_timeout": 1, **options})

    return deploy_routers


def item(cluster: FakeCluster, kind: str, name: str = "db") -> dict[str, Any]:
    return cluster.objects[(KIND[kind].plural, "payments", name)]


def kinds_of(cluster: FakeCluster) -> list[str]:
    return sorted(plural for plural, _namespace, _name in cluster.objects)


def real_writes(cluster: FakeCluster) -> list[str]:
    return [write for write in cluster.writes if not write.startswith("dry run")]


def differences(result: Options) -> dict[str, tuple[Any, Any]]:
    """Before and after of each changed object, by its title."""
    return {
        one["before_header"]: (yaml.safe_load(one["before"]), yaml.safe_load(one["after"])) for one in result["diff"]
    }


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
@pytest.mark.parametrize(
    ("there", "wanted", "change", "objects"),
    [
        (None, DB, "created", OBJECTS),
        (DB, {**DB, "image": "img:2", "redirect_rules": []}, "modified", 1),
        (DB, ABSENT, "removed", OBJECTS),
    ],
    ids=["create", "modify", "delete"],
)
def test_twelve_states(
    cluster: FakeCluster, deploy: Run, check: bool, there: Any, wanted: Options, change: str, objects: int
) -> None:
    if there:
        deploy(there)
    before, versions = copy.deepcopy(cluster.objects), len(real_writes(cluster))
    first = deploy(wanted, check=check)
    assert first["changed"] and len(first["diff"]) == objects, first
    (router,) = first["routers"]
    assert router["changed"] and {one["change"] for one in router["objects"]} == {change}
    assert router["state"] == wanted.get("state", "present")
    if check:
        assert cluster.objects == before, "check mode has changed something"
        assert len(real_writes(cluster)) == versions
    second = deploy(wanted, check=check)
    assert second["changed"] is check
    assert second["diff"] == (first["diff"] if check else [])
    if not check:
        assert second["routers"] == [{**router, "changed": False, "objects": []}]


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
@pytest.mark.parametrize(
    ("there", "wanted", "changes"),
    [
        (None, PAIR, {"PodDisruptionBudget": "created", "Secret": "created", "Deployment": "created"}),
        (DB, PAIR, {"PodDisruptionBudget": "created", "Secret": "created", "Deployment": "modified"}),
        (PAIR, {**PAIR, "disruption_budget": False}, {"PodDisruptionBudget": "removed"}),
        (PAIR, {**PAIR, "replicas": 3}, {"Deployment": "modified"}),
        # The Secret goes with the ServiceAccount; one pod has no use for it, and harms none.
        (PAIR, DB, {"PodDisruptionBudget": "removed", "Deployment": "modified"}),
        (PAIR, ABSENT, {"PodDisruptionBudget": "removed", "Deployment": "removed"}),
    ],
    ids=["create", "more pods", "no budget", "third pod", "fewer pods", "delete"],
)
def test_what_several_pods_have(
    cluster: FakeCluster, deploy: Run, check: bool, there: Any, wanted: Options, changes: dict[str, str]
) -> None:
    if there:
        deploy(there)
    before = copy.deepcopy(cluster.objects)
    first = deploy(wanted, check=check)
    (router,) = first["routers"]
    of_pairs = ("PodDisruptionBudget", "Secret", "Deployment")
    assert {one["kind"]: one["change"] for one in router["objects"] if one["kind"] in of_pairs} == changes
    assert len(first["diff"]) == len(router["objects"])
    assert (cluster.objects == before) is check
    second = deploy(wanted, check=check)
    assert second["changed"] is check and second["diff"] == (first["diff"] if check else [])
    if not check:
        there_now = {plural for plural, _namespace, _name in cluster.objects}
        wants_budget = wanted.get("replicas", 1) > 1 and wanted.get("disruption_budget", True)
        assert ("poddisruptionbudgets" in there_now) is wants_budget
        assert ("secrets" in there_now) is (wanted is not ABSENT)


MONITORED: dict[str, Any] = {**DB, "monitoring": True}
OF_OPERATOR = "install the Prometheus Operator, which brings it, or set monitoring to false"


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
@pytest.mark.parametrize(
    ("there", "wanted", "change"),
    [
        (None, MONITORED, "created"),
        (DB, MONITORED, "created"),
        (MONITORED, MONITORED, None),
        (MONITORED, {**MONITORED, "monitoring_labels": {"release": "prometheus"}}, "modified"),
        (MONITORED, DB, "removed"),
        (MONITORED, ABSENT, "removed"),
    ],
    ids=["create", "add", "keep", "label", "no more", "delete"],
)
def test_the_pod_monitor_comes_and_goes(
    cluster: FakeCluster, deploy: Run, check: bool, there: Any, wanted: Options, change: str | None
) -> None:
    if there:
        deploy(there)
    before = copy.deepcopy(cluster.objects)
    (router,) = deploy(wanted, check=check)["routers"]
    assert {one["kind"]: one["change"] for one in router["objects"]}.get("PodMonitor") == change
    if check:
        assert cluster.objects == before
        return
    assert (("podmonitors", "payments", "db") in cluster.objects) is wanted.get("monitoring", False)
    assert not deploy(wanted)["changed"]


def test_a_pod_monitor_of_somebody_else_is_left_alone(cluster: FakeCluster, deploy: Run) -> None:
    cluster.add("podmonitors", "payments", "db", spec={"mine": True})
    assert not deploy(DB).get("failed") and not deploy(ABSENT).get("failed")
    assert cluster.objects["podmonitors", "payments", "db"]["spec"] == {"mine": True}
    said = deploy(MONITORED)["msg"]
    assert said.startswith(
        "router payments/db: PodMonitor payments/db exists already and does not belong to this router"
    )


def test_where_the_kind_pod_monitor_is_unknown_or_forbidden_only_who_wants_one_is_told(
    cluster: FakeCluster, deploy: Run
) -> None:
    forbidden = 'User "jane" cannot list resource "podmonitors" in API group "monitoring.coreos.com"'
    refused = "jane may not list podmonitors in namespace payments: grant it with a Role and a RoleBinding"
    for fault, said in (
        (None, f"the API server does not know the kind PodMonitor: {OF_OPERATOR}"),
        ((403, forbidden), refused),
    ):
        cluster.missing_kinds = set() if fault else {"podmonitors"}
        cluster.fault = lambda _method, path, fault=fault: fault if "/podmonitors" in path else None
        assert deploy(MONITORED)["msg"] == said
        assert real_writes(cluster) == []
        assert not deploy(DB).get("failed") and not deploy(ABSENT).get("failed")
        cluster.writes.clear()


@pytest.fixture
def sentinel(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What every key is made of. In no text that is sent to people may there be any form of it."""
    key = b"sentinel-of-the-tests-0123456789"
    monkeypatch.setattr(peers.secrets, "token_bytes", lambda count: key[:count])
    return key


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
def test_the_key_of_a_pair_is_in_its_secret_and_in_nothing_that_anybody_sees(
    cluster: FakeCluster, deploy: Run, sentinel: bytes, check: bool
) -> None:
    result = deploy(PAIR, check=check)
    text = base64.b64encode(sentinel).decode()
    forms = (sentinel.decode(), text, text.rstrip("="), sentinel.hex(), repr(list(sentinel)))
    assert not [form for form in forms if form in json.dumps(result)]
    before, after = differences(result)["Secret payments/db-peers"]
    assert before is None and set(after) == {"apiVersion", "kind", "metadata", "type"}
    if check:
        assert ("secrets", "payments", "db-peers") not in cluster.objects
        assert "uid of the new owner" in str(after)
    else:
        secret = item(cluster, "Secret", "db-peers")
        assert secret["data"] == {"key": text} and len(sentinel) == 32
        (owner,) = secret["metadata"]["ownerReferences"]
        assert owner == {
            "apiVersion": "v1", "kind": "ServiceAccount", "name": "db",
            "uid": item(cluster, "ServiceAccount")["metadata"]["uid"],
        }  # fmt: skip
        writes = real_writes(cluster)
        assert writes.index("POST secrets/db-peers") < writes.index("PATCH deployments/db"), "the pods find it"


def test_the_secret_is_asked_for_by_one_dry_run_and_never_read_or_changed(cluster: FakeCluster, deploy: Run) -> None:
    other = {**PAIR, "name": "web", "addresses": WEB["addresses"]}
    deploy(PAIR, other)
    secret = copy.deepcopy(item(cluster, "Secret", "db-peers"))
    assert secret["data"] != item(cluster, "Secret", "web-peers")["data"], "each router has a key of its own"
    # Somebody has replaced the key, and the labels.
    item(cluster, "Secret", "db-peers").update(
        data={"key": "x", "previous": "y"}, metadata={**secret["metadata"], "labels": {}}
    )
    cluster.requests.clear()
    assert not deploy(PAIR, other)["changed"]
    asked = [request for request in cluster.requests if "/secrets" in request]
    assert asked == ["POST /api/v1/namespaces/payments/secrets?dryRun=All"] * 2
    assert item(cluster, "Secret", "db-peers")["data"] == {"key": "x", "previous": "y"}
    # One that was deleted comes back.
    del cluster.objects[("secrets", "payments", "web-peers")]
    result = deploy(PAIR, other)
    assert list(differences(result)) == ["Secret payments/web-peers"] and not deploy(PAIR, other)["changed"]


def test_somebody_else_creates_the_secret_at_the_same_time(cluster: FakeCluster, deploy: Run) -> None:
    def take(plural: str, _item: Any) -> None:
        if plural == "serviceaccounts":
            cluster.add("secrets", "payments", "db-peers", data={"key": "theirs"})

    cluster.watchers.append(take)
    assert not deploy(PAIR).get("failed")
    assert item(cluster, "Secret", "db-peers")["data"] == {"key": "theirs"}


def test_the_secret_of_a_router_that_was_just_removed_is_no_key_of_the_new_one(
    cluster: FakeCluster, deploy: Run
) -> None:
    cluster.add("secrets", "payments", "db-peers", data={"key": "old"})
    tries: list[str] = []

    def collect_late(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/secrets"):
            tries.append(path)
            if len(tries) == 4:
                del cluster.objects[("secrets", "payments", "db-peers")]

    cluster.fault = collect_late
    result = deploy(PAIR)
    assert {"kind": "Secret", "name": "db-peers", "change": "created"} in result["routers"][0]["objects"]
    assert item(cluster, "Secret", "db-peers")["data"] != {"key": "old"} and len(tries) == 4
    assert real_writes(cluster)[-1] == "PATCH deployments/db"


def test_a_secret_of_somebody_else_stays_and_is_waited_for_once(
    cluster: FakeCluster, deploy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "GARBAGE_SECONDS", 0.1)
    cluster.add("secrets", "payments", "db-peers", data={"key": "mine"})
    for changed in (True, False):
        cluster.requests.clear()
        result = deploy(PAIR)
        assert result["changed"] is changed and "Secret" not in [one["kind"] for one in result["routers"][0]["objects"]]
        asked = [request for request in cluster.requests if "/secrets" in request]
        assert (len(asked) > 1) is changed
    assert item(cluster, "Secret", "db-peers")["data"] == {"key": "mine"}


@pytest.mark.parametrize("plural", ["secrets", "poddisruptionbudgets"])
def test_without_the_permission_for_what_pairs_have_nothing_is_written(
    cluster: FakeCluster, deploy: Run, plural: str
) -> None:
    verb = {"POST": "create", "GET": "list", "PATCH": "patch"}
    cluster.fault = lambda method, path: (
        (403, f'User "jane" cannot {verb[method]} resource "{plural}" in API group') if f"/{plural}" in path else None
    )
    verb_of = {"secrets": "create", "poddisruptionbudgets": "list"}[plural]
    assert deploy(PAIR)["msg"] == (
        f"jane may not {verb_of} {plural} in namespace payments: grant it with a Role and a RoleBinding"
    )
    assert real_writes(cluster) == []
    # One pod needs no Secret.
    assert ("failed" in deploy(DB)) is (plural != "secrets")


def test_a_pair_in_a_namespace_that_is_yet_to_be_created(cluster: FakeCluster, deploy: Run) -> None:
    cluster.missing_namespaces.add("payments")
    predicted = deploy(PAIR, create_namespaces=True, check=True)
    assert "Secret payments/db-peers" in differences(predicted) and not real_writes(cluster)
    created = deploy(PAIR, create_namespaces=True)
    assert list(differences(created)) == list(differences(predicted))
    assert item(cluster, "Secret", "db-peers")["data"] and not deploy(PAIR)["changed"]


def test_a_run_that_changes_nothing_takes_one_request_for_each_kind(cluster: FakeCluster, deploy: Run) -> None:
    deploy(DB, WEB)
    for wanted in ([DB], [DB, WEB]):
        cluster.requests.clear()
        assert not deploy(*wanted)["changed"]
        asked = [request for request in cluster.requests if "/namespaces/" in request]
        # And one for PodMonitors.
        assert len(asked) == len(KINDS) + 1 and all(request.startswith("GET") for request in asked), asked


def test_what_is_created(cluster: FakeCluster, deploy: Run) -> None:
    result = deploy(DB)
    assert kinds_of(cluster) == sorted(kind.plural for kind in KINDS if kind.name != "PodDisruptionBudget")
    labels = {labels["app.kubernetes.io/instance"] for labels in (
        one["metadata"]["labels"] for one in cluster.objects.values())}  # fmt: skip
    assert labels == {"db"}
    owner = item(cluster, "EndpointSlice", "db-ipv4")["metadata"]["ownerReferences"][0]
    assert owner["uid"] == item(cluster, "Service")["metadata"]["uid"] and owner["name"] == "db"
    # The pods come after all that they need.
    writes = real_writes(cluster)
    assert writes[-1] == "PATCH deployments/db"
    assert writes.index("PATCH roles/db") < writes.index("PATCH rolebindings/db")
    shown = differences(result)
    assert next(iter(shown)) == "NetworkAttachmentDefinition payments/db"
    assert shown["Deployment payments/db"][0] is None
    assert shown["Deployment payments/db"][1]["spec"]["template"]["spec"]["containers"][0]["image"] == "img:1"


def test_a_new_config_map_has_the_rules_and_they_are_not_this_modules(cluster: FakeCluster, deploy: Run) -> None:
    deploy(DB)
    found = item(cluster, "ConfigMap", "db-rules")
    assert [rule.port for rule in parse(found["data"]["rules"]).rules] == [5432]
    owners = {entry["manager"]: entry["fieldsV1"] for entry in found["metadata"]["managedFields"]}
    assert set(owners[names.FIELD_MANAGER_DEPLOY]) == {"f:metadata"}
    assert set(owners[names.FIELD_MANAGER_RULES]) == {"f:data", "f:metadata"}
    assert "f:app.kubernetes.io/version" not in str(owners[names.FIELD_MANAGER_RULES]), "it changes with each release"
    # Those of a ConfigMap that exists are left alone, whatever the list says and whatever else changes.
    found["data"]["rules"] = "by hand"
    found["metadata"]["labels"].pop("app.kubernetes.io/version")
    result = deploy({**DB, "redirect_rules": []})
    assert [one["kind"] for one in result["routers"][0]["objects"]] == ["ConfigMap"]
    assert item(cluster, "ConfigMap", "db-rules")["data"] == {"rules": "by hand"}


def test_a_lost_config_map_is_made_with_the_rules_at_once(cluster: FakeCluster, deploy: Run) -> None:
    deploy(DB)
    del cluster.objects[("configmaps", "payments", "db-rules")]
    seen: list[Any] = []
    cluster.watchers.append(lambda plural, one: seen.append(one.get("data")) if plural == "configmaps" else None)
    assert deploy(DB)["changed"]
    assert len(seen) == 2 and all(parse(data["rules"]).lines() == ["5432 TCP 203.0.113.10"] for data in seen)
    assert item(cluster, "ConfigMap", "db-rules")["metadata"]["labels"]["app.kubernetes.io/version"]
    assert not deploy(DB)["changed"]


def test_a_config_map_that_was_only_begun_is_finished(cluster: FakeCluster, deploy: Run) -> None:
    deploy(DB)
    del cluster.objects[("configmaps", "payments", "db-rules")]
    writes: list[str] = []

    def fault(method: str, path: str) -> tuple[int, str] | None:
        if method == "PATCH" and path.endswith("/db-rules"):
            writes.append(path)
            return (403, "no") if len(writes) == 3 else None  # A dry run, the rules, and then the rest.
        return None

    cluster.fault = fault
    assert deploy(DB)["failed"]
    cluster.fault = lambda method, path: None
    assert deploy(DB)["changed"] and not deploy(DB)["changed"]
    assert parse(item(cluster, "ConfigMap", "db-rules")["data"]["rules"]).rules


def test_rules_that_were_applied_in_the_name_of_this_module_stay(cluster: FakeCluster, deploy: Run) -> None:
    deploy({**DB, "redirect_rules": []})
    found = item(cluster, "ConfigMap", "db-rules")
    found["data"] = {"rules": "5432 TCP 203.0.113.10"}
    found["metadata"]["managedFields"][0]["fieldsV1"]["f:data"] = {"f:rules": {}}
    assert not deploy(DB)["changed"]
    item(cluster, "ConfigMap", "db-rules")["metadata"]["labels"].pop("app.kubernetes.io/version")
    assert deploy(DB)["changed"]
    assert item(cluster, "ConfigMap", "db-rules")["data"] == {"rules": "5432 TCP 203.0.113.10"}


def test_a_config_map_without_rules_stays_empty(cluster: FakeCluster, deploy: Run) -> None:
    deploy({**DB, "redirect_rules": []})
    assert "data" not in item(cluster, "ConfigMap", "db-rules")


@pytest.mark.parametrize(("kind", "name", "path", "value"), [
    ("Role", "db", "rules", []),
    ("Service", "db", "spec.ports", []),
    ("Service", "db", "metadata.annotations.note", "2"),
    ("Deployment", "db", "spec.template.spec.containers.0.image", "evil:1"),
    ("Deployment", "db", "spec.template.spec.containers.0.securityContext.capabilities.add", ["SYS_ADMIN"]),
    ("NetworkAttachmentDefinition", "db", "spec.config", "{}"),
    ("EndpointSlice", "db-ipv4", "metadata.labels", {
        names.LABEL_NAME: names.APP_NAME, names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_INSTANCE: "db"}),
])  # fmt: skip
def test_drift_is_seen_and_put_right(
    cluster: FakeCluster, deploy: Run, kind: str, name: str, path: str, value: Any
) -> None:
    deploy(DB)
    below: Any = item(cluster, kind, name)
    before = json.dumps(below["metadata"]["managedFields"])
    *steps, last = path.split(".")
    for step in steps:
        below = below[int(step) if step.isdigit() else step]
    wanted = below[last]
    below[last] = value
    result = deploy(DB)
    assert list(differences(result)) == [f"{kind} payments/{name}"]
    below = item(cluster, kind, name)
    assert json.dumps(below["metadata"]["managedFields"]) == before
    for step in steps:
        below = below[int(step) if step.isdigit() else step]
    assert below[last] == wanted
    assert not deploy(DB)["changed"]


def test_what_others_own_is_left_alone_and_not_shown(cluster: FakeCluster, deploy: Run) -> None:
    deploy(DB)
    service, lease = item(cluster, "Service"), item(cluster, "Lease")
    service["spec"]["ports"].append({"name": "tcp-5432", "port": 5432, "protocol": "TCP", "targetPort": 5432})
    service["metadata"]["annotations"]["theirs"] = "1"
    lease["spec"] = {"holderIdentity": "db-abc"}
    item(cluster, "EndpointSlice", "db-ipv4")["endpoints"] = [{"addresses": ["10.0.0.1"]}]
    assert not deploy(DB)["changed"]
    result = deploy({**DB, "service": {"annotations": {"note": "2"}}})
    ((before, after),) = differences(result).values()
    assert before["metadata"]["annotations"] == {"note": "1"} and after["metadata"]["annotations"] == {"note": "2"}
    assert [port["name"] for port in before["spec"]["ports"]] == ["metrics"]
    assert set(before) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(before["metadata"]) == {"name", "namespace", "labels", "annotations"}
    service = item(cluster, "Service")
    assert [port["name"] for port in service["spec"]["ports"]] == ["metrics", "tcp-5432"]
    assert service["metadata"]["annotations"] == {"note": "2", "theirs": "1"}


def test_what_is_not_wanted_any_more_goes(cluster: FakeCluster, deploy: Run) -> None:
    more = {"fallback_ip": "203.0.113.99", "service": {"extra_ports": [{"port": 9999}], "labels": {"team": "pay"}}}
    deploy({**DB, **more, "node_selector": {"zone": "a"}, "mtu": 1400})
    deploy({**DB, "service": {}})
    service = item(cluster, "Service")
    assert [port["port"] for port in service["spec"]["ports"]] == [names.AGENT_PORT]
    assert "team" not in service["metadata"]["labels"] and not service["metadata"].get("annotations")
    pod = item(cluster, "Deployment")["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert "1400" not in item(cluster, "NetworkAttachmentDefinition")["spec"]["config"]


def test_objects_that_a_router_does_not_need_any_more_are_removed(cluster: FakeCluster, deploy: Run) -> None:
    both = [*DB["addresses"], {"ip": "2001:db8::50/64"}]
    deploy({**DB, "addresses": both, "service": {"name": "old"}})
    result = deploy(DB)
    removed = [(one["kind"], one["name"]) for one in result["routers"][0]["objects"] if one["change"] == "removed"]
    assert sorted(removed) == [("EndpointSlice", "db-ipv6"), ("Service", "old")]
    assert ("services", "payments", "old") not in cluster.objects
    assert item(cluster, "EndpointSlice", "db-ipv4")["metadata"]["labels"]["kubernetes.io/service-name"] == "db"
    assert not deploy(DB)["changed"]


def test_a_conflict_names_the_owner_and_nothing_is_written(cluster: FakeCluster, deploy: Run) -> None:
    deploy(DB, WEB)
    for name in ("db", "web"):
        deployment = item(cluster, "Deployment", name)
        deployment["spec"]["replicas"] = 5
        fields = deployment["metadata"]["managedFields"]
        del fields[0]["fieldsV1"]["f:spec"]["f:replicas"]
        fields.append({"manager": "autoscaler", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}})
    item(cluster, "Role")["rules"] = []
    cluster.writes.clear()
    result = deploy(DB, WEB)
    said = result["msg"].splitlines()
    assert len(said) == 2 and said[0].startswith(
        "router payments/db: cannot patch Deployment payments/db: Apply failed"
    )
    assert '"autoscaler": .spec.replicas: another field manager owns these fields, set force_conflicts' in said[0]
    assert real_writes(cluster) == []
    result = deploy(DB, WEB, force_conflicts=True)
    assert differences(result)["Deployment payments/db"][0]["spec"]["replicas"] == 5
    assert item(cluster, "Deployment")["spec"]["replicas"] == 1
    assert not deploy(DB, WEB)["changed"]


@pytest.mark.parametrize("headless", [True, False])
def test_a_service_keeps_its_form(cluster: FakeCluster, deploy: Run, headless: bool) -> None:
    deploy({**DB, "service": {"headless": headless}})
    if headless:
        # As the API server does: what is not asked for any more is kept.
        cluster.keeps_cluster_ip = True
    cluster.writes.clear()
    result = deploy({**DB, "service": {"headless": not headless}})
    assert "this field cannot change, delete Service payments/db and run again" in result["msg"]
    assert real_writes(cluster) == []


def test_an_object_of_somebody_else_is_not_taken(cluster: FakeCluster, deploy: Run) -> None:
    cluster.add("serviceaccounts", "payments", "db")
    cluster.add("configmaps", "payments", "db-rules", data={"theirs": "1"})
    for check in (True, False):
        result = deploy(DB, check=check)
        assert result["msg"].splitlines() == [
            f"router payments/db: {what} exists already and does not belong to this router: remove it, or give the router "
            "or its service another name"
            for what in ("ServiceAccount payments/db", "ConfigMap payments/db-rules")
        ]
    assert real_writes(cluster) == []


def test_the_service_of_another_router_is_not_taken(cluster: FakeCluster, deploy: Run) -> None:
    deploy(WEB)
    result = deploy({**DB, "service": {"name": "web"}})
    assert "Service payments/web exists already and does not belong to this router" in result["msg"]


def test_labels_that_somebody_took_away_come_back(cluster: FakeCluster, deploy: Run) -> None:
    deploy(DB)
    item(cluster, "Role")["metadata"]["labels"] = {}
    result = deploy(DB)
    assert list(differences(result)) == ["Role payments/db"]
    assert result["routers"][0]["objects"][0]["change"] == "modified"


def test_a_missing_namespace(cluster: FakeCluster, deploy: Run) -> None:
    cluster.missing_namespaces |= {"payments", "shop"}
    shop = {**WEB, "namespace": "shop"}
    result = deploy(DB, shop)
    advice = "create it, or set create_namespaces (of the role: deploy_create_namespaces) to true"
    assert result["msg"].splitlines() == [f"namespace {name} does not exist: {advice}" for name in ("payments", "shop")]
    assert real_writes(cluster) == []
    # A check run predicts with what it has.
    predicted = deploy(DB, shop, create_namespaces=True, check=True)
    shown = differences(predicted)
    assert len(shown) == 2 + 2 * OBJECTS and shown["Namespace shop"][1]["metadata"] == {"name": "shop"}
    assert shown["Deployment payments/db"][1]["spec"]["replicas"] == 1
    assert real_writes(cluster) == [] and cluster.missing_namespaces == {"payments", "shop"}
    created = deploy(DB, shop, create_namespaces=True)
    assert list(differences(created)) == list(shown) and not cluster.missing_namespaces
    assert not deploy(DB, shop, create_namespaces=True)["changed"]


def test_whoever_may_not_see_namespaces_can_deploy(cluster: FakeCluster, deploy: Run) -> None:
    forbidden = 'namespaces "payments" is forbidden: User "jane" cannot get resource "namespaces" in API group ""'
    cluster.fault = lambda method, path: (403, forbidden) if path.endswith("namespaces/payments") else None
    cluster.may_bind_unseen = False
    assert deploy(DB, check=True)["changed"]
    assert deploy(DB)["changed"] and not deploy(DB)["changed"]


def test_missing_permissions_are_told_at_once(cluster: FakeCluster, deploy: Run) -> None:
    def fault(method: str, path: str) -> tuple[int, str] | None:
        for plural in ("roles", "services"):
            if method == "PATCH" and f"/{plural}/" in path:
                return 403, f'User "jane" cannot patch resource "{plural}" in API group'
        return None

    cluster.fault = fault
    assert deploy(DB, WEB)["msg"].splitlines() == [
        "jane may not patch roles in namespace payments: grant it with a Role and a RoleBinding",
        "jane may not patch services in namespace payments: grant it with a Role and a RoleBinding",
    ]
    assert real_writes(cluster) == []


DENIED = 'admission webhook "policy" denied the request: no host networks'


def test_a_refusal_of_the_api_server_is_told_of_its_router(cluster: FakeCluster, deploy: Run) -> None:
    cluster.fault = lambda method, path: (403, DENIED) if path.endswith("deployments/web") else None
    result = deploy(DB, {**WEB, "replicas": 2})
    assert result["msg"] == f"router payments/web: cannot patch Deployment payments/web: {DENIED}"
    assert real_writes(cluster) == []


def test_new_routers_that_differ_in_name_and_address_alone_share_their_dry_runs(
    cluster: FakeCluster, deploy: Run
) -> None:
    def address(number: int) -> dict[str, str]:
        return {"ip": f"198.51.100.{number}/24", "gateway": "198.51.100.1"}

    other = {**DB, "name": "mail", "addresses": [address(52)], "replicas": 2}
    dual = {**DB, "name": "dual", "addresses": [address(53), {"ip": "2001:db8:51::53/64"}]}
    result = deploy(DB, WEB, other, dual)
    assert not result.get("failed"), result["msg"]
    dry = [write.split()[-1] for write in cluster.writes if write.startswith("dry run")]
    # One pair has a PodDisruptionBudget and a Secret.
    assert len(dry) == 3 * OBJECTS + 1 + 2, dry
    assert not [write for write in dry if "web" in write]
    # What is shown is what is written.
    assert len(result["diff"]) == 4 * OBJECTS + 1 + 2
    written = {**item(cluster, "Deployment", "web"), "kind": "Deployment"}
    written = extract(written, owned_fields(written, names.FIELD_MANAGER_DEPLOY))
    before, shown = differences(result)["Deployment payments/web"]
    for one in (written, shown):
        one["spec"]["template"]["spec"]["containers"][0]["env"].sort(key=lambda variable: variable["name"])
    assert (before, shown) == (None, written)


def test_what_one_of_them_is_refused_for_is_told_of_each(cluster: FakeCluster, deploy: Run) -> None:
    cluster.fault = lambda method, path: (403, DENIED) if "/deployments/" in path else None
    result = deploy(DB, WEB)
    assert result["msg"].splitlines() == [
        f"router payments/{name}: cannot patch Deployment payments/{name}: {DENIED}" for name in ("db", "web")
    ]
    assert real_writes(cluster) == []


def test_a_refusal_by_name_comes_halfway_and_says_what_was_done(cluster: FakeCluster, deploy: Run) -> None:
    cluster.fault = lambda method, path: (403, DENIED) if path.endswith("deployments/web") else None
    error, done, left = deploy(DB, WEB)["msg"].splitlines()
    assert error == f"router payments/web: cannot patch Deployment payments/web: {DENIED}"
    assert "Deployment payments/db" in done and left == "not done: Deployment payments/web"
    cluster.fault = lambda method, path: None
    assert [router["changed"] for router in deploy(DB, WEB)["routers"]] == [False, True]


def test_an_object_of_somebody_else_is_not_taken_by_one_of_many(cluster: FakeCluster, deploy: Run) -> None:
    cluster.add("serviceaccounts", "payments", "web")
    result = deploy(DB, WEB)
    assert result["failed"] and "ServiceAccount payments/web exists already" in result["msg"]
    assert real_writes(cluster) == []


def test_without_multus_nothing_is_applied(cluster: FakeCluster, deploy: Run) -> None:
    cluster.missing_kinds.add("network-attachment-definitions")
    result = deploy(DB)
    said = "the API server does not know the kind NetworkAttachmentDefinition: install Multus CNI, which brings it"
    assert result["msg"] == said
    assert real_writes(cluster) == []
    # Where it is gone there is nothing of it to remove either.
    assert not deploy(ABSENT).get("failed")


def test_without_egress_routers_of_openshift_nothing_is_applied(cluster: FakeCluster, deploy: Run, run: Run) -> None:
    cluster.missing_kinds.add("egressrouters")
    named = {"name": "cr", "namespace": "payments", "backend": "egress_router_cr"}
    keys = {"addresses": [{"ip": "198.51.100.77/24", "gateway": "198.51.100.1"}], "redirect_rules": []}
    said = (
        "router payments/cr: the API server does not know the kind EgressRouter: backend egress_router_cr needs OpenShift and its "
        "Cluster Network Operator, use backend agent elsewhere"
    )
    # One of many, and nothing is done for the others either.
    assert deploy(DB, {**named, **keys})["msg"] == said
    rules = run("redirect_rules", routers=[{**named, "redirect_rules": []}], state="replaced")
    assert rules["failed"] and said in rules["msg"]
    assert run("router_info", routers=[named])["msg"] == said
    assert real_writes(cluster) == []
    assert not deploy({**named, "state": "absent"}).get("failed")


def test_an_api_server_that_cannot_be_reached_is_told_once(cluster: FakeCluster, deploy: Run) -> None:
    cluster.fault = lambda method, path: (503, "apiserver is shutting down") if "/namespaces/" in path else None
    result = deploy(DB, WEB)
    assert len(result["msg"].splitlines()) == 1 and "apiserver is shutting down" in result["msg"]


def test_a_failure_halfway_says_what_was_done(cluster: FakeCluster, deploy: Run) -> None:
    dry: set[str] = set()

    def fault(method: str, path: str) -> tuple[int, str] | None:
        # The dry run passes, then the quota is gone.
        if method == "PATCH" and path.endswith("services/web"):
            if path in dry:
                return 500, "etcd is full"
            dry.add(path)
        return None

    cluster.fault = fault
    result = deploy(DB, {**WEB, "replicas": 2})
    error, done, left = result["msg"].splitlines()
    assert error == "router payments/web: cannot patch Service payments/web: etcd is full"
    assert "Service payments/db" in done and "Service payments/web" not in done
    assert left == (
        "not done: Service payments/web, RoleBinding payments/db, RoleBinding payments/web, EndpointSlice payments/db-ipv4, "
        "EndpointSlice payments/web-ipv4, Secret payments/web-peers, Deployment payments/db, Deployment payments/web"
    )
    assert result["changed"] and len(result["diff"]) == 12
    assert "deployments" not in kinds_of(cluster)
    cluster.fault = lambda method, path: None
    assert deploy(DB, {**WEB, "replicas": 2})["changed"]


def test_removal_is_by_label_and_never_by_name(cluster: FakeCluster, deploy: Run) -> None:
    deploy(DB, WEB)
    cluster.add("configmaps", "payments", "legacy-rules", data={"theirs": "1"})
    cluster.add("serviceaccounts", "payments", "legacy")
    legacy = {**ABSENT, "name": "legacy"}
    result = deploy(ABSENT, legacy)
    assert [one["changed"] for one in result["routers"]] == [True, False]
    left = {name for _plural, _namespace, name in cluster.objects}
    assert left == {"web", "web-rules", "web-ipv4", "legacy", "legacy-rules"}
    # The pods first, while their agents may still say goodbye.
    assert next(write for write in cluster.writes if write.startswith("DELETE")) == "DELETE deployments/db"
    ((before, after),) = [pair for title, pair in differences(result).items() if title == "Lease payments/db"]
    assert after is None and before["metadata"]["name"] == "db" and "managedFields" not in before["metadata"]


def test_whoever_may_not_remove_changes_nothing(cluster: FakeCluster, deploy: Run) -> None:
    deploy(DB)
    forbidden = 'User "jane" cannot delete resource "roles" in API group "rbac.authorization.k8s.io"'
    cluster.fault = lambda method, path: (403, forbidden) if method == "DELETE" and "/roles/" in path else None
    cluster.writes.clear()
    result = deploy(WEB, ABSENT)
    assert result["msg"] == "jane may not delete roles in namespace payments: grant it with a Role and a RoleBinding"
    assert real_writes(cluster) == []


def test_state_absent_removes_all_whatever_their_own_state(cluster: FakeCluster, deploy: Run) -> None:
    deploy(DB, WEB)
    result = deploy(DB, WEB, state="absent")
    assert cluster.objects == {} and {one["state"] for one in result["routers"]} == {"absent"}


def test_a_pod_that_does_not_end_is_named_and_the_rest_stays(cluster: FakeCluster, deploy: Run) -> None:
    deploy(DB)
    labels = item(cluster, "Deployment")["spec"]["selector"]["matchLabels"]
    cluster.add("pods", "payments", "db-abc", metadata={"labels": labels}, spec={"nodeName": "worker-1"})
    cluster.lingering.add("db")
    result = deploy(ABSENT, wait_timeout=0)
    said = result["msg"].splitlines()
    assert said[0] == (
        "router payments/db is not removed after 0 s: waiting for pod db-abc on node worker-1 to terminate "
        "(if node worker-1 is gone for good, delete its Node object)"
    )
    assert said[1] == "done before that: Deployment payments/db"
    assert "Role payments/db" in said[2] and item(cluster, "Role")
    cluster.lingering.clear()
    assert not deploy(ABSENT, wait_timeout=5).get("failed") and cluster.objects == {}


LOST = {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}


@pytest.fixture
def lost(cluster: FakeCluster, deploy: Run) -> Callable[..., dict[str, Any]]:
    """Removes a router whose pod's grace period has been over for so long; returns what the module said, and how long it took."""
    deploy(DB)
    labels = item(cluster, "Deployment")["spec"]["selector"]["matchLabels"]
    cluster.lingering.add("db")

    def remove(overdue: float, node: dict[str, Any] | None, wait_timeout: int = 30) -> dict[str, Any]:
        # By the clock of the cluster, which is another one than ours.
        cluster.ahead = 3600.0
        until = datetime.now(timezone.utc) + timedelta(seconds=cluster.ahead - overdue)
        metadata = {"labels": labels, "deletionTimestamp": until.isoformat(timespec="seconds").replace("+00:00", "Z")}
        cluster.add("pods", "payments", "db-abc", metadata=metadata, spec={"nodeName": "worker-1"})
        if node:
            cluster.add(
                "nodes", "", "worker-1", status={"conditions": [{"type": "DiskPressure", "status": "False"}, node]}
            )
        began = time.monotonic()
        result = deploy(ABSENT, wait_timeout=wait_timeout)
        assert item(cluster, "Role"), "the rest stays"
        return {"said": result["msg"].splitlines()[0], "seconds": time.monotonic() - began}

    return remove


def test_a_pod_on_a_lost_node_is_not_waited_for(lost: Callable[..., dict[str, Any]]) -> None:
    found = lost(20, LOST)
    assert re.sub(r"2\d s", "20 s", found["said"]) == (
        "router payments/db is not removed: pod db-abc on node worker-1 has not ended 20 s after its grace period, and the node is not "
        "ready (Kubelet stopped posting node status). If the node comes back, the pod ends: run again then. If it is gone for good, "
        "delete its Node object"
    )
    assert found["seconds"] < 10


@pytest.mark.parametrize(("overdue", "node"), [
    (-5, LOST), (20, {"type": "Ready", "status": "True"}), (20, None),
], ids=["grace period", "node is ready", "node is gone"])  # fmt: skip
def test_a_pod_that_may_still_end_is_waited_for(
    lost: Callable[..., dict[str, Any]], overdue: float, node: dict[str, Any] | None
) -> None:
    assert "is not removed after 1 s: waiting for pod db-abc" in lost(overdue, node, wait_timeout=1)["said"]


@pytest.mark.parametrize(("overdue", "ends"), [(20, False), (60, True)])
def test_a_pod_on_a_node_that_may_not_be_read(
    cluster: FakeCluster, lost: Callable[..., dict[str, Any]], overdue: float, ends: bool
) -> None:
    """It may only be slow, so it gets more time."""
    cluster.fault = lambda method, path: (403, "nodes is forbidden") if path.endswith("/nodes/worker-1") else None
    said = lost(overdue, LOST, wait_timeout=1)["said"]
    assert ("whether node worker-1 is ready may not be read: look at it. If the node comes back" in said) is ends
    assert ("is not removed after 1 s" in said) is not ends


def test_as_long_as_another_pod_may_end_it_is_waited_for(
    cluster: FakeCluster, lost: Callable[..., dict[str, Any]]
) -> None:
    labels = item(cluster, "Deployment")["spec"]["selector"]["matchLabels"]
    cluster.add("pods", "payments", "db-xyz", metadata={"labels": labels}, spec={"nodeName": "worker-2"})
    assert "is not removed after 1 s" in lost(20, LOST, wait_timeout=1)["said"]


def test_an_object_that_was_replaced_meanwhile_stays(cluster: FakeCluster, deploy: Run) -> None:
    deploy(DB)

    def replace(method: str, path: str) -> None:
        if method == "DELETE" and "deployments" in path:
            item(cluster, "Role")["metadata"]["uid"] = "of-somebody-else"

    cluster.fault = replace
    assert not deploy(ABSENT).get("failed")
    assert kinds_of(cluster) == ["roles"]


def test_waits_until_the_routers_serve(cluster: FakeCluster, deploy: Run) -> None:
    result = deploy(DB, wait=True)
    assert result["failed"] and result["changed"]
    assert result["msg"].startswith("router payments/db does not serve: ")
    assert not deploy(DB, wait=True, check=True).get("failed"), "nothing is waited for in check mode"


@pytest.fixture
def served(cluster: FakeCluster, deploy: Run, run: Run) -> FakeAgent:
    """The router db as it is after the playbook provision; the agent that serves it."""
    deploy(DB)
    item(cluster, "Deployment")["status"] = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}
    labels = {"labels": item(cluster, "Deployment")["metadata"]["labels"]}
    cluster.add("pods", "payments", "db-abc", metadata=labels, spec={}, status={"phase": "Running"})
    agent = FakeAgent(cluster, "payments", "db")
    agent.take(item(cluster, "ConfigMap", "db-rules"))
    given = {"name": "db", "namespace": "payments", "redirect_rules": DB["redirect_rules"]}
    assert not run("redirect_rules", routers=[given], wait_timeout=1).get("failed")
    return agent


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the module warned of. Ansible keeps it for the life of the process."""
    found: list[str] = []
    monkeypatch.setattr(EgressModule, "warn", lambda _module, text: found.append(text))
    return found


@pytest.fixture
def second(served: FakeAgent, cluster: FakeCluster, deploy: Run) -> Options:
    """The second pod of the router db, which is running."""
    assert served.live.rules
    deploy(PAIR)
    item(cluster, "Deployment")["status"] = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2}
    labels = {"labels": item(cluster, "Deployment")["metadata"]["labels"]}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return cluster.add(
        "pods", "payments", "db-def", metadata=labels, spec={"nodeName": "worker-2"}, status=status
    )  # fmt: skip


def test_a_router_whose_successor_cannot_serve_is_deployed_and_a_warning_says_why(
    served: FakeAgent, second: Options, deploy: Run, warned: list[str]
) -> None:
    served.report(successor=second["metadata"]["name"], successor_error="net1 has no carrier")
    result = deploy(PAIR, wait=True, wait_timeout=60)
    assert not result.get("failed")
    assert warned == [
        "router payments/db serves, but without the pods that it asks for: pod db-def on node worker-2 could not take over: net1 has "
        "no carrier"
    ]
    # Nobody asked, nobody is told.
    assert deploy(PAIR)["changed"] is False and len(warned) == 1


def test_waits_until_the_other_pod_stands_by(
    served: FakeAgent, second: Options, cluster: FakeCluster, deploy: Run, warned: list[str]
) -> None:
    ready, second["status"] = second["status"], {"phase": "Pending"}
    served.report()
    looks: list[str] = []

    def start_at_the_fourth_look(_method: str, path: str) -> None:
        if path.endswith("/leases"):
            looks.append(path)
            if len(looks) == 4:
                second["status"] = ready
                served.report(successor="db-def")

    cluster.fault = start_at_the_fourth_look
    assert not deploy(PAIR, wait=True, wait_timeout=60).get("failed")
    # The first look is the one at its objects. Pods are read at the same time, so they may be seen at the one after it.
    assert len(looks) in (4, 5) and warned == []


def test_rules_that_are_live_need_no_other_module(served: FakeAgent, deploy: Run) -> None:
    result = deploy(DB, {**ABSENT, "name": "old"}, wait=True)
    assert not result["changed"] and result["rules_live"]
    assert [router["rules_live"] for router in result["routers"]] == [True, False], "an absent router has none"
    assert not deploy(DB)["rules_live"], "it was not waited for"
    assert not deploy(DB, wait=True, check=True)["rules_live"]


@pytest.mark.parametrize("what", ["other rules", "edited", "refused", "no port", "a port more", "no labels"])
def test_rules_that_are_not_live(served: FakeAgent, cluster: FakeCluster, deploy: Run, what: str) -> None:
    wanted = DB
    config_map, ports = item(cluster, "ConfigMap", "db-rules"), names.FIELD_MANAGER_RULES
    if what == "other rules":
        wanted = {**DB, "redirect_rules": [{"port": 5432, "destination_ip": "203.0.113.99"}]}
    elif what == "edited":
        # The agent has not seen it yet.
        served.mood = "silent"
        cluster.add("configmaps", "payments", "db-rules", metadata=config_map["metadata"], data={"rules": ""})
    elif what == "refused":
        served.report(rules_version=config_map["metadata"]["resourceVersion"], rules_error="too many rules")
    elif what == "no port":
        entries = item(cluster, "Service")["metadata"]["managedFields"]
        entries[:] = [entry for entry in entries if entry["manager"] != ports]
    elif what == "a port more":
        wanted = {**DB, "redirect_rules": [*DB["redirect_rules"], {"port": 80, "destination_ip": "203.0.113.10"}]}
        served.live = parse("5432 TCP 203.0.113.10\n80 TCP 203.0.113.10\n")
        served.report(rules_version=config_map["metadata"]["resourceVersion"])
    else:
        del config_map["metadata"]["labels"]["app.kubernetes.io/version"]
    result = deploy(wanted, wait=True)
    assert not result.get("failed") and not result["rules_live"]


def test_problems_of_the_list_are_told_before_anything_is_asked(cluster: FakeCluster, deploy: Run) -> None:
    result = deploy({**DB, "replicas": "many"}, {**WEB, "adresses": []})
    assert len(result["msg"].splitlines()) >= 2 and "did you mean" in result["msg"]
    assert cluster.requests == []


def test_no_routers(cluster: FakeCluster, deploy: Run) -> None:
    assert deploy() == {**deploy(), "changed": False, "diff": [], "routers": []}


def test_the_examples_are_routers() -> None:
    values: dict[str, Any] = {"{{ egress_routers }}": [DB], "{{ egress_router_defaults }}": {"image": "img:1"}}
    for task in yaml.safe_load(module.EXAMPLES):
        options = task["egress.router.router"]
        routers, defaults = (values.get(str(options.get(key)), options.get(key)) for key in ("routers", "defaults"))
        found, problems = load(routers, defaults, options.get("state") == "absent")
        assert found and not problems, [str(problem) for problem in problems]


def test_differences_are_written_only_for_those_who_look() -> None:
    assert "diff" not in Outcome([]).as_dict(with_diff=False)
    assert Outcome([]).as_dict(with_diff=True)["diff"] == []


SCC = ("securitycontextconstraints", "", "egress-router")
NO_SCC = (
    'securitycontextconstraints.security.openshift.io "egress-router" is forbidden: User "jane" cannot {verb} resource '
    '"securitycontextconstraints" in API group "security.openshift.io" at the cluster scope'
)


@pytest.fixture
def openshift(cluster: FakeCluster) -> FakeCluster:
    cluster.apis["/apis/security.openshift.io/v1"] = ["rangeallocations", "securitycontextconstraints"]
    return cluster


def forbid_constraints(cluster: FakeCluster, *methods: str) -> None:
    cluster.fault = lambda method, path: (
        (403, NO_SCC.format(verb=method.lower()))
        if "/securitycontextconstraints" in path and method in methods
        else None
    )


def pinned_to(cluster: FakeCluster) -> str | None:
    annotations = item(cluster, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    found: str | None = annotations.get("openshift.io/required-scc")
    return found


def test_openshift_gets_its_constraints_once_and_keeps_them(openshift: FakeCluster, deploy: Run) -> None:
    predicted = deploy(DB, WEB, check=True)
    assert SCC not in openshift.objects and real_writes(openshift) == []
    created = deploy(DB, WEB)
    assert list(differences(created)) == list(differences(predicted))
    assert next(iter(differences(created))) == "SecurityContextConstraints egress-router"
    writes = [write for write in real_writes(openshift) if "securitycontext" in write or "deployments" in write]
    assert writes[0] == "PATCH securitycontextconstraints/egress-router" and len(writes) == 3
    made = openshift.objects[SCC]
    assert (made["priority"], made["users"], made["allowedCapabilities"]) == (None, [], ["NET_ADMIN", "NET_RAW"])
    assert pinned_to(openshift) == "egress-router"
    assert any("securitycontextconstraints" in rule["resources"] for rule in item(openshift, "Role")["rules"])
    assert not deploy(DB, WEB)["changed"]
    deploy({**DB, "state": "absent"}, {**WEB, "state": "absent"})
    assert SCC in openshift.objects, "other routers may use them"


def test_another_cluster_knows_no_constraints_even_if_they_are_named(cluster: FakeCluster, deploy: Run) -> None:
    deploy({**DB, "security_context_constraints": "mine"})
    assert pinned_to(cluster) is None and SCC not in cluster.objects
    assert len(item(cluster, "Role")["rules"]) == 4
    assert not deploy(DB)["changed"]


def test_constraints_that_are_missing_and_may_not_be_made(openshift: FakeCluster, deploy: Run) -> None:
    forbid_constraints(openshift, "PATCH")
    result = deploy(DB)
    assert result["failed"] and openshift.objects == {}
    assert result["msg"] == (
        "there are no SecurityContextConstraints egress-router, by which OpenShift admits the routers' pods: have a "
        "cluster-admin run kubectl apply --server-side --filename=cluster-admin/egress-router.yaml, with the file that the playbook "
        "egress.router.render writes if security_context_constraints is egress-router ("
        + NO_SCC.format(verb="patch")
        + ")"
    )


def test_constraints_that_may_not_be_looked_at_stop_nothing(openshift: FakeCluster, deploy: Run) -> None:
    forbid_constraints(openshift, "GET", "PATCH")
    assert "failed" not in deploy(DB)
    assert pinned_to(openshift) == "egress-router" and SCC not in openshift.objects


@pytest.mark.parametrize("labels", [{}, {"app.kubernetes.io/managed-by": "egress.router"}], ids=["foreign", "ours"])
def test_constraints_that_are_there_are_used(openshift: FakeCluster, deploy: Run, labels: Options) -> None:
    openshift.add(*SCC, metadata={"labels": labels}, priority=7)
    forbid_constraints(openshift, "PATCH")
    assert "failed" not in deploy(DB)
    assert openshift.objects[SCC]["priority"] == 7


def test_ours_are_brought_up_to_date(openshift: FakeCluster, deploy: Run) -> None:
    deploy(DB)
    openshift.objects[SCC]["volumes"] = ["projected"]
    result = deploy(DB)
    assert list(differences(result)) == ["SecurityContextConstraints egress-router"]
    assert openshift.objects[SCC]["volumes"] == ["persistentVolumeClaim", "projected"]


def test_constraints_of_openshift_are_never_written(openshift: FakeCluster, deploy: Run) -> None:
    result = deploy({**DB, "security_context_constraints": "privileged"})
    assert "have a cluster-admin restore privileged, which comes with OpenShift" in result["msg"]
    openshift.add("securitycontextconstraints", "", "privileged", priority=None)
    assert deploy({**DB, "security_context_constraints": "privileged"})["changed"]
    assert pinned_to(openshift) == "privileged"
    assert set(openshift.objects[("securitycontextconstraints", "", "privileged")]) == {"metadata", "priority"}


def test_a_failure_names_no_constraints_that_were_not_made(openshift: FakeCluster, deploy: Run) -> None:
    openshift.fault = lambda method, path: (
        (500, "no leader") if method == "PATCH" and "security" in path and openshift.writes[-1:] else None
    )
    result = deploy(DB)
    assert result["failed"] and "no leader" in result["msg"] and result["diff"] == []
    assert "done before that: nothing" in result["msg"]


def test_openshift_refuses_the_pod(openshift: FakeCluster, deploy: Run) -> None:
    deploy(DB)
    said = 'pods "db-1" is forbidden: unable to validate against any security context constraint: []'
    failure = {"type": "ReplicaFailure", "status": "True", "message": said}
    item(openshift, "Deployment")["status"] = {"conditions": [failure]}
    result = deploy(DB, wait=True)
    assert f"{said}: a cluster-admin has to apply the SecurityContextConstraints of the router" in result["msg"]


TWO: dict[str, Any] = {**DB, "addresses": [*DB["addresses"], *WEB["addresses"]]}


def with_rules(cluster: FakeCluster, text: str) -> None:
    item(cluster, "ConfigMap", "db-rules")["data"] = {names.RULES_KEY: text}


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (DB, "router payments/db, addresses: 198.51.100.51 cannot be removed, rules 53/UDP, 5432/TCP of the cluster still leave from "
             "there: give them another source_ip or none with egress.router.redirect_rules first, and if that is a new address, add it "
             "before that"),
        ({**TWO, "source": "spread"},
         "router payments/db, source: cannot be spread, rules 53/UDP, 80/TCP, 5432/TCP of the cluster have a source_ip: remove it from "
         "them with egress.router.redirect_rules first"),
    ],
    ids=["an address", "source"],
)  # fmt: skip
def test_rules_that_leave_from_what_would_go(
    cluster: FakeCluster, deploy: Run, check: bool, wanted: Options, said: str
) -> None:
    """A pod that starts without the address would refuse all of its rules."""
    deploy(TWO)
    with_rules(
        cluster,
        "5432 TCP 203.0.113.10 source=198.51.100.51\n53 UDP 203.0.113.10 source=198.51.100.51\n80 TCP 203.0.113.10 source=198.51.100.50",
    )
    before = copy.deepcopy(cluster.objects)
    assert deploy(wanted, check=check)["msg"] == said
    assert cluster.objects == before
    # Those of the list do not count: they are loaded when the pod is there.
    with_rules(cluster, "80 TCP 203.0.113.10 source=198.51.100.50" if wanted is DB else "80 TCP 203.0.113.10")
    assert deploy(wanted, check=check)["changed"]


def test_the_rules_are_read_only_if_an_address_goes(cluster: FakeCluster, deploy: Run) -> None:
    deploy(TWO)
    with_rules(cluster, "5432 TCP 203.0.113.10 source=198.51.100.51")
    cluster.requests.clear()
    third = {"ip": "198.51.100.52/24", "gateway": "198.51.100.1"}
    assert deploy({**TWO, "addresses": [*TWO["addresses"], third]})["changed"]
    assert not [request for request in cluster.requests if "/configmaps/db-rules" in request]
    assert deploy(ABSENT)["changed"], "of a router that goes, nothing leaves any more"


def test_rules_that_nobody_can_read_keep_no_address(cluster: FakeCluster, deploy: Run) -> None:
    deploy(TWO)
    with_rules(cluster, "what is this")
    assert deploy(DB)["changed"]
