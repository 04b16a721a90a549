# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module preflight_info: what it reads, the pods on the nodes, and that they are deleted."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.identity import VARIABLE
from ansible_collections.egress.router.plugins.module_utils._contract.inspect import (
    Answer,
    Cni,
    Conntrack,
    Interface,
    Nft,
    Occupancy,
    Question,
)
from ansible_collections.egress.router.plugins.module_utils._preflight import inspection as _inspection
from ansible_collections.egress.router.plugins.module_utils._preflight.checks.all import IDS
from ansible_collections.egress.router.plugins.module_utils._preflight.finding import DOCS
from ansible_collections.egress.router.plugins.module_utils._preflight.report import complete
from ansible_collections.egress.router.plugins.module_utils._router.manifests import identity, network_config
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.tests.support.fake_api_server import FakeCluster, add_router

from .conftest import Run

DEFAULTS = {"image": "img:1", "namespace": "payments", "master": "eth1"}
ADDRESS = {"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}
OPTIONS: dict[str, Any] = {"routers": [{"name": "db", "addresses": [ADDRESS]}], "defaults": DEFAULTS}
MAC = "02:e6:c6:33:64:32"
Change = Callable[[str, dict[str, Any]], None]
Preflight = Callable[..., "dict[str, Any]"]


@pytest.fixture
def preflight(run: Run) -> Preflight:
    """preflight(check=True, answers={...}, ignore=[...]) returns the report that the action plugin makes, or the failure."""

    def module_and_action(check: bool = False, answers: Any = None, **options: Any) -> dict[str, Any]:
        result = run("preflight_info", check=check, **{**OPTIONS, **options})
        if result.get("failed"):
            return result
        assert not result["changed"]
        return complete(result["gathered"], answers or {})

    return module_and_action


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_inspection, "GRACE_SECONDS", 0.3)


@pytest.fixture
def cluster(cluster: FakeCluster) -> FakeCluster:
    """Two good workers, the API of attachments, and the namespace."""
    cluster.apis["/apis/k8s.cni.cncf.io/v1"] = ["network-attachment-definitions"]
    cluster.add("namespaces", "", "payments")
    for name, address in (("worker-1", "10.0.0.1"), ("worker-2", "10.0.0.2")):
        status = {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": address}],
        }
        metadata = {"labels": {"kubernetes.io/os": "linux"}}
        cluster.add("nodes", "", name, metadata=metadata, spec={"podCIDRs": ["10.244.0.0/16"]}, status=status)
    return cluster


def answer(question: str) -> str:
    """What inspect prints on a good node."""
    asked = Question.from_json(question)
    interface = Interface(
        "eth1", True, True, True, 1500, "physical", "virtio_net", "02:00:5e:00:53:11", ("198.51.100.11/24",)
    )
    return Answer(
        kernel="6.1.0",
        interfaces=dict.fromkeys(asked.masters, interface),
        targets=tuple(
            Occupancy(item.ip, item.mac, item.master, gateway_mac="02:00:5e:00:53:01") for item in asked.targets
        ),
        nft=Nft(True, True),
        conntrack=Conntrack(1000, 1),
        sysctl={"net.ipv4.ip_forward": "1"},
        cni=Cni("/opt/cni/bin", ("macvlan", "multus", "tuning")),
    ).to_json()


def kubelet(cluster: FakeCluster, change: Change | None = None) -> list[dict[str, Any]]:
    """Lets each new pod look at its node and end; returns the pods as they were created.

    `change` may alter the stored pod, or what it prints, by the node's name.
    """
    created = []

    def start(plural: str, item: dict[str, Any]) -> None:
        if plural != "pods" or "hostNetwork" not in item["spec"]:
            return
        created.append(item)
        metadata, spec = item["metadata"], item["spec"]
        stored = cluster.objects[("pods", metadata["namespace"], metadata["name"])]
        ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
        statuses = [{"name": one["name"], "image": one["image"], "state": dict(ended)} for one in spec["containers"]]
        stored["status"] = {"phase": "Succeeded", "containerStatuses": statuses}
        cluster.logs[f"{metadata['name']}/inspect"] = answer(spec["containers"][0]["env"][0]["value"])
        if change:
            change(spec["nodeName"], stored)

    cluster.watchers.append(start)
    return created


def waiting(reason: str, message: str, number: int = 0) -> Change:
    """A container does not start on worker-2."""

    def change(node: str, pod: dict[str, Any]) -> None:
        if node == "worker-2":
            pod["status"]["phase"] = "Pending"
            pod["status"]["containerStatuses"][number]["state"] = {"waiting": {"reason": reason, "message": message}}

    return change


def says(cluster: FakeCluster, text: str) -> Change:
    def change(node: str, pod: dict[str, Any]) -> None:
        if node == "worker-2":
            cluster.logs[f"{pod['metadata']['name']}/inspect"] = text

    return change


def left(cluster: FakeCluster) -> list[tuple[str, str, str]]:
    return [key for key in cluster.objects if "egress-preflight-" in "".join(key)]


def ids(result: dict[str, Any]) -> list[str]:
    return [finding["check"] for finding in result["findings"]]


def reasons(result: dict[str, Any]) -> str:
    return "\n".join(f"{gap['check']}: {gap['reason']}" for gap in result["not_checked"])


@pytest.mark.parametrize("check", [False, True], ids=["for real", "check mode"])
def test_all_is_well(cluster: FakeCluster, preflight: Preflight, check: bool) -> None:
    created = kubelet(cluster)
    before = set(cluster.objects)
    result = preflight(check=check)
    assert (result["ok"], result["findings"], result["problems"], result["message"]) == (True, [], [], "")
    assert (result["not_checked"], result["inspected_nodes"]) == ([], ["worker-1", "worker-2"])
    about = f"1 router, 2 nodes (2 can run one), {result['requests']} requests in {result['seconds']} s"
    assert result["summary"] == f"{about}: {len(IDS)} checks, 0 errors"
    assert len(result["table"]) == len(result["checked"]) == len(IDS)
    assert len(created) == 2 and set(cluster.objects) == before


def test_the_namespace_of_the_pods_goes(cluster: FakeCluster, preflight: Preflight) -> None:
    created = kubelet(cluster)
    preflight()
    namespace = created[0]["metadata"]["namespace"]
    assert namespace.startswith("egress-preflight-") and ("namespaces", "", namespace) not in cluster.objects
    assert f"DELETE namespaces/{namespace}" in cluster.writes


def test_the_pods_may_do_no_more_than_they_have_to(cluster: FakeCluster, preflight: Preflight) -> None:
    spec = (kubelet(cluster), preflight())[0][0]["spec"]
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_RAW", "NET_ADMIN"]},
        "readOnlyRootFilesystem": True,
        "runAsUser": 0,
    }
    assert spec["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert (spec["automountServiceAccountToken"], spec["restartPolicy"], spec["hostNetwork"]) == (False, "Never", True)
    assert spec["activeDeadlineSeconds"] == 120
    assert spec["volumes"] == [{"name": "cni", "hostPath": {"path": "/opt/cni/bin", "type": "Directory"}}]
    assert container["volumeMounts"] == [{"name": "cni", "mountPath": "/opt/cni/bin", "readOnly": True}]
    assert json.loads(container["env"][0]["value"]) == {
        "masters": ["eth1"],
        "targets": [
            {"ip": "198.51.100.50", "mac": MAC, "gateway": "198.51.100.1", "master": "eth1", "route_gateways": []}
        ],
        "timeout": 2,
        "cni_directory": "/opt/cni/bin",
    }


def test_twenty_routers_take_as_many_requests_as_one(cluster: FakeCluster, preflight: Preflight) -> None:
    created = kubelet(cluster)
    one = preflight()
    routers = [{"name": f"r{n}", "addresses": [{"ip": f"198.51.100.{n}/24"}]} for n in range(20, 40)]
    twenty = preflight(routers=routers)
    assert twenty["ok"] and twenty["requests"] == one["requests"]
    assert (
        len(created) == 4 and len(json.loads(created[2]["spec"]["containers"][0]["env"][0]["value"])["targets"]) == 20
    )


def test_what_the_wire_says(cluster: FakeCluster, preflight: Preflight) -> None:
    def squatted(node: str, pod: dict[str, Any]) -> None:
        key = f"{pod['metadata']['name']}/inspect"
        said = json.loads(cluster.logs[key])
        said["targets"][0]["holder_mac"] = "02:00:00:00:00:07"
        cluster.logs[key] = json.dumps(said)

    kubelet(cluster, squatted)
    result = preflight()
    assert (result["ok"], ids(result), result["findings"][0]["nodes"]) == (False, ["address"], ["worker-1", "worker-2"])
    assert "198.51.100.50 is in use by 02:00:00:00:00:07" in result["problems"][0]
    ignored = preflight(ignore=["address"])
    assert (ignored["ok"], ids(ignored), ignored["ignored"], ignored["problems"]) == (
        True,
        ["address"],
        ["address"],
        [],
    )
    assert "1 ignored" in ignored["summary"] and any("ignored" in line for line in ignored["table"])


@pytest.mark.parametrize(("change", "said"), [
    (waiting("ErrImagePull", "no such image"), "ErrImagePull: no such image"),
    (waiting("CreateContainerError", "no command"), "CreateContainerError: no command"),
])  # fmt: skip
def test_an_image_that_does_not_start(cluster: FakeCluster, preflight: Preflight, change: Change, said: str) -> None:
    kubelet(cluster, change)
    result = preflight()
    assert (result["ok"], ids(result), result["findings"][0]["nodes"]) == (False, ["image"], ["worker-2"])
    assert result["findings"][0]["seen"] == said
    assert "node worker-2: image img:1 does not start there" in reasons(result)
    assert result["inspected_nodes"] == ["worker-1"]


def test_further_images_are_started_too(cluster: FakeCluster, preflight: Preflight) -> None:
    created = kubelet(cluster, waiting("InvalidImageName", "img:2!", number=1))
    second = {"name": "web", "image": "img:2!", "addresses": [{"ip": "198.51.100.51/24"}]}
    result = preflight(routers=[*OPTIONS["routers"], second])
    assert [one["command"] for one in created[0]["spec"]["containers"]] == [
        ["egress-router", "inspect"], ["egress-router", "--version"],
    ]  # fmt: skip
    assert (ids(result), result["findings"][0]["routers"]) == (["image"], ["payments/web"])
    assert result["inspected_nodes"] == ["worker-1", "worker-2"]


@pytest.mark.parametrize(("text", "said"), [
    ("invalid choice: 'inspect'", "node worker-2: image img:1: it did not print what egress-router inspect prints"),
    ('{"schema": 7}', "it answers in version 7 of the schema instead of 1"),
    ("", "it did not print"),
])  # fmt: skip
def test_an_image_that_says_something_else(cluster: FakeCluster, preflight: Preflight, text: str, said: str) -> None:
    kubelet(cluster, says(cluster, text))
    result = preflight()
    assert (result["ok"], result["findings"]) == (True, [])
    assert said in reasons(result)


def test_a_pod_that_does_not_end(cluster: FakeCluster, preflight: Preflight) -> None:
    def hangs(node: str, pod: dict[str, Any]) -> None:
        pod["status"] = {"phase": "Running", "containerStatuses": [{"name": "inspect", "state": {"running": {}}}]}

    kubelet(cluster, hangs)
    result = preflight(wait_timeout=1)
    assert "node worker-1: its pod did not finish in time" in reasons(result)
    assert "address: no node could be inspected" in reasons(result) and "address" not in result["checked"]
    assert left(cluster) == []


def test_a_directory_that_is_not_there(cluster: FakeCluster, preflight: Preflight) -> None:
    def no_mount(node: str, pod: dict[str, Any]) -> None:
        if node == "worker-1":
            return
        state = {"waiting": {"reason": "ContainerCreating"}}
        pod["status"] = {"phase": "Pending", "containerStatuses": [{"name": "inspect", "state": state}]}
        cluster.add(
            "events", pod["metadata"]["namespace"], f"{pod['metadata']['name']}.1", type="Warning", reason="FailedMount",
            involvedObject={"name": pod["metadata"]["name"]}, count=1,
            message='MountVolume.SetUp failed for volume "cni" : hostPath type check failed: /x is not a directory',
        )  # fmt: skip

    kubelet(cluster, no_mount)
    result = preflight(cni_directory="/x", wait_timeout=5)
    assert (ids(result), result["findings"][0]["nodes"]) == (["cni_plugins"], ["worker-2"])
    assert "preflight_cni_directory" in result["findings"][0]["advice"]


def test_a_namespace_of_ones_own(cluster: FakeCluster, preflight: Preflight) -> None:
    created = kubelet(cluster)
    cluster.add("namespaces", "", "tools")
    preflight(namespace="tools")
    assert [one["metadata"]["namespace"] for one in created] == ["tools", "tools"]
    assert left(cluster) == [] and ("namespaces", "", "tools") in cluster.objects


def test_pods_go_when_the_module_is_terminated(cluster: FakeCluster, preflight: Preflight) -> None:
    """AWX cancels a job with SIGTERM."""

    def hangs(node: str, pod: dict[str, Any]) -> None:
        pod["status"] = {"phase": "Running", "containerStatuses": [{"name": "inspect", "state": {"running": {}}}]}
        if node == "worker-2":
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()

    kubelet(cluster, hangs)
    cluster.add("namespaces", "", "tools")
    with pytest.raises(SystemExit) as left_by:
        _terminated(cluster)
    assert left_by.value.code == 143
    assert left(cluster) == []


def _terminated(cluster: FakeCluster) -> None:
    """Looks at the nodes directly: a module would turn its end into output."""
    (router,), _problems = load(OPTIONS["routers"], DEFAULTS)
    wanted = {"worker-1": [router], "worker-2": [router]}
    _inspection.inspect(_Direct(cluster), wanted, _inspection.PodOptions("tools"))  # type: ignore[arg-type]


class _Direct:
    """The seam's calls, straight to the fake."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    def create(self, _kind: str, namespace: str, body: Any) -> Any:
        return self._cluster.handle("POST", f"/api/v1/namespaces/{namespace}/pods", body)

    def find(self, _kind: str, namespace: str, labels: str = "", fields: str = "") -> Any:
        return self._cluster.handle("GET", f"/api/v1/namespaces/{namespace}/pods?labelSelector={labels}", None)["items"]

    def delete(self, _kind: str, namespace: str, name: str, _grace: int) -> None:
        self._cluster.handle("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", None)


def forbid(*words: str) -> Callable[[str, str], tuple[int, str] | None]:
    def fault(method: str, path: str) -> tuple[int, str] | None:
        for word in words:
            if f"{method} {path}".endswith(word):
                verb = "create" if method == "POST" else "list"
                return 403, f'User "jane" cannot {verb} resource "{path.rsplit("/", 1)[-1]}" in API group ""'
        return None

    return fault


def test_without_permission_for_a_namespace_the_report_says_what_was_not_checked(
    cluster: FakeCluster, preflight: Preflight
) -> None:
    created = kubelet(cluster)
    cluster.fault = forbid("POST /api/v1/namespaces")
    result = preflight()
    assert (result["ok"], created) == (True, [])
    assert "address: jane may not create namespaces in all namespaces" in reasons(result)
    assert "preflight_namespace" in reasons(result)
    assert "address" not in result["checked"] and "cluster_address" in result["checked"]


def test_without_permission_to_read_the_report_says_what_was_not_checked(
    cluster: FakeCluster, preflight: Preflight
) -> None:
    cluster.fault = forbid(
        "/api/v1/nodes", "/api/v1/pods", "/api/v1/services", "/api/v1/namespaces", "/apis/apps/v1/deployments"
    )
    result = preflight()
    assert (result["ok"], result["findings"]) == (True, [])
    for check in ("cloud", "openstack", "vsphere", "nodes", "address", "image", "namespace"):
        assert f"{check}: jane may not list" in reasons(result) and check not in result["checked"]
    assert {"permissions", "network_policy", "attachment_api", "foreign_objects"} <= set(result["checked"])


def test_own_routers_are_known_without_permissions_elsewhere(cluster: FakeCluster, preflight: Preflight) -> None:
    def serves(node: str, pod: dict[str, Any]) -> None:
        key = f"{pod['metadata']['name']}/inspect"
        said = json.loads(cluster.logs[key])
        said["targets"][0].update(holder_mac=MAC, mac_seen_at="198.51.100.50")
        cluster.logs[key] = json.dumps(said)

    kubelet(cluster, serves)
    serve(cluster)
    cluster.fault = forbid("GET /apis/apps/v1/deployments")
    result = preflight()
    assert result["findings"] == []
    assert "cluster_address: jane may not list deployments in all namespaces" in reasons(result)


def test_missing_permissions_are_listed_at_once(cluster: FakeCluster, preflight: Preflight) -> None:
    kubelet(cluster)
    cluster.rules = [
        {"verbs": ["get", "list", "watch"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "apiGroups": [""], "resources": ["services", "serviceaccounts", "configmaps"]},
    ]
    result = preflight()
    assert ids(result) == ["permissions"]
    seen = result["findings"][0]["seen"]
    assert seen.startswith("jane may not create network-attachment-definitions.k8s.cni.cncf.io, patch network-")
    assert "create endpointslices.discovery.k8s.io/restricted" in seen and "configmaps" not in seen
    assert "patch endpointslices.discovery.k8s.io/restricted" not in seen
    cluster.rules_incomplete, cluster.access = True, lambda attributes: attributes["resource"] != "deployments"
    result = preflight()
    assert result["findings"][0]["seen"] == (
        "jane may not create deployments.apps, patch deployments.apps in namespace payments"
    )


def test_who_may_escalate_need_not_have_what_the_agent_gets(cluster: FakeCluster, preflight: Preflight) -> None:
    kubelet(cluster)
    every = {"verbs": ["get", "list", "create", "patch"], "apiGroups": ["*"], "resources": ["*"]}
    extra = {"verbs": ["update"], "apiGroups": [""], "resources": ["configmaps"]}
    cluster.rules = [every, extra]
    assert ids(preflight()) == ["permissions"]
    cluster.rules = [every, extra, {"verbs": ["escalate", "bind"], "apiGroups": ["*"], "resources": ["roles"]}]
    assert preflight()["findings"] == []


def test_a_namespace_that_has_to_be_made(cluster: FakeCluster, preflight: Preflight) -> None:
    kubelet(cluster)
    del cluster.objects[("namespaces", "", "payments")]
    cluster.missing_namespaces.add("payments")
    assert ids(preflight()) == ["namespace"]
    assert preflight(create_namespaces=True)["findings"] == []
    cluster.access = lambda attributes: attributes["resource"] != "namespaces"
    result = preflight(create_namespaces=True)
    assert result["findings"][0]["seen"] == "jane may not create namespaces in the cluster"


def test_a_pod_that_admission_refuses(cluster: FakeCluster, preflight: Preflight) -> None:
    kubelet(cluster)
    cluster.fault = lambda method, path: (
        (403, 'pods "db-1" is forbidden: violates PodSecurity "restricted:latest": unrestricted capabilities')
        if (method, path) == ("POST", "/api/v1/namespaces/payments/pods")
        else None
    )
    result = preflight()
    assert ids(result) == ["pod_security"] and "unrestricted capabilities" in result["findings"][0]["seen"]


def test_the_trial_is_a_dry_run(cluster: FakeCluster, preflight: Preflight) -> None:
    preflight(node_checks=False)
    assert {write.rsplit("-", 1)[0] for write in cluster.writes} == {"dry run POST pods/db", "dry run POST services/db"}


def test_pods_that_differ_in_what_admission_looks_at_are_tried_one_by_one(
    cluster: FakeCluster, preflight: Preflight
) -> None:
    """One dry run stands for all routers of a namespace whose pods do not differ."""
    of: list[dict[str, Any]] = [{}, {}, {"priority_class_name": "x"}, {"pod_labels": {"a": "b"}}, {"host_users": False}]
    routers = [{"name": f"r{n}", "addresses": [{"ip": f"198.51.100.{n}/24"}], **keys} for n, keys in enumerate(of, 20)]
    preflight(routers=routers, node_checks=False)
    assert len([write for write in cluster.writes if write.startswith("dry run POST pods/")]) == 4


def test_a_cluster_that_ignores_host_users(cluster: FakeCluster, preflight: Preflight) -> None:
    for wanted, there in (({"host_users": False}, True), ({"host_users": True}, False), ({}, False)):
        cluster.user_namespaces = there
        assert ids(preflight(defaults={**DEFAULTS, **wanted}, node_checks=False)) == []
    cluster.user_namespaces = False
    result = preflight(defaults={**DEFAULTS, "host_users": False}, node_checks=False)
    assert ids(result) == ["user_namespaces"]


def test_pull_secrets_are_used_where_they_can_be(cluster: FakeCluster, preflight: Preflight) -> None:
    created = kubelet(cluster)
    cluster.add("namespaces", "", "tools")
    second = {"name": "web", "image_pull_secrets": ["registry", "mirror"], "addresses": [{"ip": "198.51.100.51/24"}]}
    options = {"routers": [*OPTIONS["routers"], second], "defaults": {**DEFAULTS, "image_pull_secrets": ["registry"]}}
    preflight(namespace="tools", **options)
    preflight(**options)
    names = [[one["name"] for one in pod["spec"]["imagePullSecrets"]] for pod in created]
    assert names == [["registry", "mirror"], ["registry", "mirror"], [], []]


def test_without_node_checks(cluster: FakeCluster, preflight: Preflight) -> None:
    created = kubelet(cluster)
    result = preflight(node_checks=False)
    assert (result["ok"], created, result["inspected_nodes"]) == (True, [], [])
    assert "address: the node checks are switched off" in reasons(result)
    assert any(line.startswith("  not checked: meta_plugin, cni_plugins, master") for line in result["table"])


def serve(cluster: FakeCluster, **changes: Any) -> None:
    """Deploys db as it is described, but for `changes` of the pod's specification."""
    (router,), _problems = load(OPTIONS["routers"], DEFAULTS)
    add_router(cluster, "payments", "db")
    container = {"name": "router", "image": "img:1", "env": [{"name": VARIABLE, "value": identity(router).to_json()}]}
    template = {"spec": {"containers": [{**container, **changes}], "nodeSelector": router.node_labels}}
    cluster.objects[("deployments", "payments", "db")]["spec"]["template"] = template
    labels = cluster.objects[("leases", "payments", "db")]["metadata"]["labels"]
    cluster.add(
        "network-attachment-definitions", "payments", "db", metadata={"labels": labels},
        spec={"config": network_config(router)},
    )  # fmt: skip


def test_nodes_of_routers_that_serve_may_be_left_alone(cluster: FakeCluster, preflight: Preflight) -> None:
    created = kubelet(cluster)
    serve(cluster)
    result = preflight(skip_serving=True)
    assert (result["ok"], created) == (True, [])
    assert "address: all routers are already serving as described" in reasons(result)
    second = {"name": "web", "addresses": [{"ip": "198.51.100.51/24"}]}
    result = preflight(routers=[*OPTIONS["routers"], second], skip_serving=True)
    assert len(json.loads(created[0]["spec"]["containers"][0]["env"][0]["value"])["targets"]) == 1
    assert "already serving, so their nodes were not inspected for them: payments/db" in reasons(result)
    preflight()
    assert len(created) == 4, "without skip_serving they are looked at"


@pytest.mark.parametrize("changes", [{"image": "img:0"}, {"env": []}, {"env": [{"name": VARIABLE, "value": "{}"}]}])
def test_a_router_that_changes_is_looked_at(
    cluster: FakeCluster, preflight: Preflight, changes: dict[str, Any]
) -> None:
    created = kubelet(cluster)
    serve(cluster, **changes)
    preflight(skip_serving=True)
    assert len(created) == 2


def test_a_router_that_gets_another_gateway_is_looked_at(cluster: FakeCluster, preflight: Preflight) -> None:
    created = kubelet(cluster)
    serve(cluster)
    preflight(skip_serving=True, routers=[{"name": "db", "addresses": [{**ADDRESS, "gateway": "198.51.100.2"}]}])
    assert len(created) == 2


def test_nodes_that_are_not_ready_get_no_pod(cluster: FakeCluster, preflight: Preflight) -> None:
    created = kubelet(cluster)
    cluster.objects[("nodes", "", "worker-2")]["status"]["conditions"][0]["status"] = "Unknown"
    result = preflight()
    assert ids(result) == ["node_state"] and "node worker-2: it is not ready" in reasons(result)
    assert [one["spec"]["nodeName"] for one in created] == ["worker-1"]


def test_openshift_has_its_plugins_elsewhere(cluster: FakeCluster, preflight: Preflight) -> None:
    created = kubelet(cluster)
    cluster.objects[("nodes", "", "worker-1")]["metadata"]["labels"]["node.openshift.io/os_id"] = "rhel"
    preflight()
    assert created[0]["spec"]["volumes"][0]["hostPath"]["path"] == "/var/lib/cni/bin"


def test_addresses_in_the_cluster(cluster: FakeCluster, preflight: Preflight) -> None:
    kubelet(cluster)
    status = json.dumps([{"name": "primary", "ips": ["10.244.1.5"]}, {"name": "shop/lan", "ips": ["198.51.100.50"]}])
    annotations = {"k8s.v1.cni.cncf.io/network-status": status}
    cluster.add(
        "pods", "shop", "web", metadata={"annotations": annotations}, spec={"nodeName": "worker-1"},
        status={"phase": "Running", "podIP": "10.244.1.5"},
    )  # fmt: skip
    result = preflight()
    assert ids(result) == ["cluster_address"]
    assert "198.51.100.50 is an address of pod shop/web" in result["problems"][0]
    cluster.objects[("pods", "shop", "web")]["status"]["phase"] = "Succeeded"
    assert preflight()["findings"] == []


def test_a_cluster_without_attachments(cluster: FakeCluster, preflight: Preflight) -> None:
    kubelet(cluster)
    cluster.apis.clear()
    cluster.fault = lambda method, path: (404, "not found") if "k8s.cni.cncf.io" in path else None
    assert ids(preflight()) == ["attachment_api"]


SERVER, VM = "0a1b2c3d-0000-4000-8000-00000000000", "vsphere://42170000-0000-4000-8000-00000000000"


def provide(cluster: FakeCluster, provider_id: str) -> None:
    for number in (1, 2):
        cluster.objects[("nodes", "", f"worker-{number}")]["spec"]["providerID"] = f"{provider_id}{number}"


@pytest.mark.parametrize(("provider_id", "clouds"), [
    ("", []), (f"openstack:///{SERVER}", ["openstack"]), (VM, ["vsphere"]), (None, ["openstack", "vsphere"]),
])  # fmt: skip
def test_on_which_clouds_the_nodes_are(
    cluster: FakeCluster, preflight: Preflight, provider_id: str | None, clouds: list[str]
) -> None:
    """The playbook provision leaves the roles of other clouds out."""
    kubelet(cluster)
    provide(cluster, provider_id or "")
    if provider_id is None:
        cluster.fault = forbid("/api/v1/nodes")
    assert preflight()["clouds"] == clouds


def test_what_neutron_is_asked(cluster: FakeCluster, run: Run) -> None:
    kubelet(cluster)
    provide(cluster, f"openstack:///{SERVER}")
    (question,) = run("preflight_info", **OPTIONS)["gathered"]["questions"].values()
    nodes = [f"openstack:///{SERVER}{number}" for number in (1, 2)]
    assert question == {
        "module": "egress.router.openstack_allowed_address_pair_info",
        "options": {
            "addresses": [{"ip_address": "198.51.100.50", "mac_address": MAC, "nodes": nodes}],
            "writable": True,
        },
        "nodes": {f"{SERVER}1": "worker-1", f"{SERVER}2": "worker-2"},
        "routers": {f"198.51.100.50 {MAC}": "payments/db"},
        "problems": [],
    }


OF_OPERATOR = {
    "name": "db", "namespace": "payments", "backend": "egress_router_cr", "addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}],
    "node_selector": {"site": "a"}, "master": "eth1",
}  # fmt: skip


def test_what_neutron_is_asked_for_a_random_mac_address(cluster: FakeCluster, run: Run) -> None:
    kubelet(cluster)
    cluster.apis["/apis/network.operator.openshift.io/v1"] = ["egressrouters"]
    cluster.objects[("nodes", "", "worker-2")]["metadata"]["labels"]["site"] = "a"
    options: dict[str, Any] = {"routers": [OF_OPERATOR], "defaults": {}}

    def questions(**more: Any) -> Any:
        return run("preflight_info", **options, **more)["gathered"]["questions"]

    assert questions() == {}
    provide(cluster, f"openstack:///{SERVER}")
    assert questions() == {"random_mac": {
        "module": "egress.router.openstack_allowed_address_pair_info",
        # Its port is the one that counts, on the node that can run it.
        "options": {"addresses": [{"ip_address": "198.51.100.50", "nodes": [f"openstack:///{SERVER}2"]}]},
        "nodes": {f"{SERVER}1": "worker-1", f"{SERVER}2": "worker-2"},
        "routers": {"198.51.100.50": "payments/db"},
        "problems": [],
    }}  # fmt: skip
    assert questions(openstack_checks=False) == {}
    examination = run("preflight_info", **options, openstack_checks=False)["gathered"]["examination"]
    reason = "this check is switched off (egress_router_openstack_allowed_address_pair)"
    assert {"check": "random_mac", "reason": reason} in examination["not_checked"]
    # The platform tells it too, and then the nodes' servers have to be known.
    provide(cluster, "")
    cluster.apis["/apis/config.openshift.io/v1"] = ["infrastructures"]
    cluster.add("infrastructures", "", "cluster", status={"platformStatus": {"type": "OpenStack"}})
    (problem,) = questions()["random_mac"]["problems"]
    assert "may run on node worker-2" in problem and "openstack_allowed_address_pair_servers" in problem
    assert questions(openstack_servers={"worker-2": SERVER + "2"})["random_mac"]["problems"] == []


def test_what_vcenter_is_asked_for_a_router_of_the_operator(cluster: FakeCluster, run: Run) -> None:
    """Its master has no effect, so the name of the network for it is not that of the adapter."""
    kubelet(cluster)
    cluster.apis["/apis/network.operator.openshift.io/v1"] = ["egressrouters"]
    provide(cluster, VM)
    given = {"routers": [{**OF_OPERATOR, "node_selector": {}}], "defaults": {}, "vsphere_networks": {"eth1": "egress"}}
    question = run("preflight_info", **given)["gathered"]["questions"]["vsphere"]
    assert question["options"]["nics"] == [{"addresses": ["198.51.100.50"], "nodes": [f"{VM}1", f"{VM}2"]}]


def test_what_vcenter_is_asked(cluster: FakeCluster, run: Run) -> None:
    kubelet(cluster)
    provide(cluster, VM)
    (question,) = run("preflight_info", vsphere_networks={"eth1": "egress"}, **OPTIONS)["gathered"][
        "questions"
    ].values()
    assert question == {
        "module": "egress.router.vsphere_port_group_security_info",
        "options": {"nics": [{"network": "egress", "nodes": [f"{VM}1", f"{VM}2"]}], "writable": True},
        "nodes": {f"{VM}1": "worker-1", f"{VM}2": "worker-2"},
        "problems": [],
    }


@pytest.mark.parametrize(("check", "provider_id", "variable"), [
    ("openstack", f"openstack:///{SERVER}", "egress_router_openstack_allowed_address_pair"),
    ("vsphere", VM, "egress_router_vsphere_port_group_security"),
])  # fmt: skip
def test_a_cloud_that_is_switched_off(
    cluster: FakeCluster, preflight: Preflight, check: str, provider_id: str, variable: str
) -> None:
    kubelet(cluster)
    off: dict[str, Any] = {f"{check}_checks": False}
    assert preflight(**off)["checked"] == list(IDS), "no node is of that cloud"
    provide(cluster, provider_id)
    result = preflight(**off)
    assert f"{check}: this check is switched off ({variable})" in reasons(result) and check not in result["checked"]


def test_quotas_are_read_as_quantities(cluster: FakeCluster, preflight: Preflight) -> None:
    kubelet(cluster)
    status = {"hard": {"requests.cpu": "1", "pods": "5", "unknown": "?"}, "used": {"requests.cpu": "950m", "pods": "4"}}
    cluster.add("resourcequotas", "payments", "team", status=status)
    (finding,) = preflight()["findings"]
    assert finding["seen"] == ("quota team of namespace payments leaves 0.05 of requests.cpu, but the routers need 0.1")
    for spec in ({"scopes": ["BestEffort"]}, {"scopeSelector": {"matchExpressions": [{}]}}):
        cluster.objects[("resourcequotas", "payments", "team")]["spec"] = spec
        assert preflight()["findings"] == []


def test_problems_of_the_list_are_reported_at_once(cluster: FakeCluster, preflight: Preflight) -> None:
    result = preflight(routers=[{"name": "db"}], defaults={})
    assert "router db, namespace: " in result["msg"] and "router db, addresses: " in result["msg"]
    assert cluster.requests == []


def test_an_id_that_no_check_has(cluster: FakeCluster, preflight: Preflight) -> None:
    result = preflight(ignore=["adress", "address", "x"])
    assert result["msg"] == (
        f"ignore: 'adress' is not the id of a check: did you mean address?\nignore: 'x' is not the id of a check: see {DOCS}"
    )
    assert cluster.requests == []


def test_absent_routers_are_left_out(cluster: FakeCluster, preflight: Preflight) -> None:
    result = preflight(routers=[{"name": "db", "state": "absent"}])
    assert result["ok"] and result["summary"].startswith("0 routers, 2 nodes (0 can run one), ")


def test_network_policies_are_compared_with_the_endpoints_of_the_api_server(
    cluster: FakeCluster, preflight: Preflight
) -> None:
    kubelet(cluster)
    labels = {"kubernetes.io/service-name": "kubernetes"}
    cluster.add(
        "endpointslices", "default", "kubernetes", metadata={"labels": labels},
        endpoints=[{"addresses": ["192.0.2.10"]}], ports=[{"name": "https", "port": 6443}],
    )  # fmt: skip
    egress = [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.8/29"]}}]}]
    cluster.add(
        "networkpolicies", "payments", "p", spec={"podSelector": {}, "policyTypes": ["Egress"], "egress": egress}
    )
    result = preflight()
    (finding,) = result["findings"]
    assert "does not reach the API server at 192.0.2.10 port 6443" in finding["seen"]
    egress[0]["to"][0]["ipBlock"]["except"] = ["192.0.2.16/29"]
    assert "network_policy" not in ids(preflight())


@pytest.fixture
def openshift(cluster: FakeCluster) -> FakeCluster:
    """The cluster as OpenShift on bare metal, ready for routers."""
    kubelet(cluster)
    cluster.apis["/apis/security.openshift.io/v1"] = ["securitycontextconstraints"]
    cluster.add("securitycontextconstraints", "", "egress-router")
    # One object for the network and its operator's.
    cluster.add("networks", "", "cluster", spec={"disableMultiNetwork": False}, status={"networkType": "OVNKubernetes"})
    cluster.add("infrastructures", "", "cluster", status={"platformStatus": {"type": "BareMetal"}})
    lines = "^net.ipv6.conf.IFNAME.accept_ra$\n^net.ipv6.conf.all.forwarding$\n"
    cluster.add("configmaps", "openshift-multus", "cni-sysctl-allowlist", data={"allowlist.conf": lines})
    cluster.admission = lambda namespace, template: {"allowedBy": {"name": "egress-router"}}
    return cluster


V6 = {"routers": [{"name": "db", "addresses": [{"ip": "2001:db8::50/64"}]}]}


def bind(cluster: FakeCluster, *verbs: str) -> None:
    """The Role and RoleBinding that provision made."""
    labels = {"app.kubernetes.io/managed-by": "egress.router", "app.kubernetes.io/name": "egress-router"}
    metadata = {"labels": {**labels, "app.kubernetes.io/instance": "db"}}
    rule = {"resources": ["securitycontextconstraints"], "resourceNames": ["egress-router"], "verbs": list(verbs)}
    cluster.add("roles", "payments", "db", metadata=dict(metadata), rules=[rule])
    cluster.add("rolebindings", "payments", "db", metadata=dict(metadata))


def test_a_good_openshift(openshift: FakeCluster, preflight: Preflight) -> None:
    reviewed: list[dict[str, Any]] = []
    openshift.admission = lambda namespace, template: (
        reviewed.append(template) or {"allowedBy": {"name": "egress-router"}}
    )
    result = preflight(**V6)
    assert result["findings"] == [] and set(IDS) - set(result["checked"]) == {"admission"}
    (template,) = reviewed
    assert template["spec"]["serviceAccountName"] == "db"
    assert template["metadata"]["annotations"]["openshift.io/required-scc"] == "egress-router"
    assert not [write for write in openshift.writes if "pods/db" in write], "a dry run of the pod proves nothing"
    assert "admission: OpenShift admits the pod of a dry run by what the identity in use may do" in reasons(result)


def test_a_pod_that_openshift_does_not_admit(openshift: FakeCluster, preflight: Preflight) -> None:
    openshift.admission = lambda namespace, template: {"reason": "no constraint admits it"}
    assert ids(preflight()) == [], "the account gets its Role from provision"
    bind(openshift, "get")
    assert ids(preflight()) == ["leftovers"], "provision corrects the Role"
    bind(openshift, "use")
    result = preflight()
    assert sorted(ids(result)) == ["leftovers", "security_context_constraints"] and not result["ok"]
    assert "for its ServiceAccount: no constraint admits it" in result["message"]
    del openshift.objects[("rolebindings", "payments", "db")]
    assert ids(preflight()) == ["leftovers"], "provision binds it"


def test_the_review_is_of_a_router_whose_account_is_bound(openshift: FakeCluster, preflight: Preflight) -> None:
    openshift.admission = lambda namespace, template: {"reason": f"not {template['spec']['serviceAccountName']}"}
    bind(openshift, "use")
    new = {"name": "a-new-one", "addresses": [{"ip": "198.51.100.60/24"}]}
    result = preflight(routers=[new, *OPTIONS["routers"]])
    assert [one["routers"] for one in result["findings"] if one["check"] == "security_context_constraints"] == [
        ["payments/db"]
    ]


def test_constraints_that_provision_will_make(openshift: FakeCluster, preflight: Preflight) -> None:
    del openshift.objects[("securitycontextconstraints", "", "egress-router")]
    assert preflight()["findings"] == []
    assert "dry run PATCH securitycontextconstraints/egress-router" in openshift.writes
    result = preflight(defaults={**DEFAULTS, "security_context_constraints": "privileged"})
    openshift.fault = forbid("PATCH /apis/security.openshift.io/v1/securitycontextconstraints/egress-router")
    assert ids(preflight()) == ["security_context_constraints"] and not preflight()["ok"]
    assert "Have a cluster-admin restore privileged" in result["findings"][0]["advice"]


def test_a_project_admin_of_openshift_gets_warnings(openshift: FakeCluster, preflight: Preflight) -> None:
    openshift.fault = forbid(
        "GET /apis/security.openshift.io/v1/securitycontextconstraints/egress-router",
        "POST /apis/security.openshift.io/v1/namespaces/payments/podsecuritypolicysubjectreviews",
        "GET /api/v1/namespaces/openshift-multus/configmaps/cni-sysctl-allowlist",
        "GET /apis/config.openshift.io/v1/networks/cluster",
        "GET /apis/operator.openshift.io/v1/networks/cluster",
        "GET /apis/config.openshift.io/v1/infrastructures/cluster",
    )
    result = preflight(**V6)
    assert result["ok"] and {finding["severity"] for finding in result["findings"]} == {"warning"}
    assert sorted(ids(result)) == [
        *["cluster_network"] * 2, "platform", *["security_context_constraints"] * 2, "sysctls"
    ]  # fmt: skip
    assert all("jane may not " in finding["seen"] for finding in result["findings"])


def test_an_openshift_without_some_of_its_apis(openshift: FakeCluster, preflight: Preflight) -> None:
    openshift.missing_kinds |= {"podsecuritypolicysubjectreviews", "networks", "infrastructures"}
    openshift.objects[("configmaps", "openshift-multus", "cni-sysctl-allowlist")]["data"] = {}
    result = preflight(**V6)
    assert result["ok"] and {finding["severity"] for finding in result["findings"]} == {"warning"}
    seen = "\n".join(finding["seen"] for finding in result["findings"])
    assert "the cluster does not serve podsecuritypolicysubjectreviews" in seen
    assert "ConfigMap openshift-multus/cni-sysctl-allowlist has no allowlist.conf" in seen
    assert "Infrastructure cluster does not exist" in seen


def test_what_openshift_says_of_its_network_and_platform(openshift: FakeCluster, preflight: Preflight) -> None:
    openshift.add("networks", "", "cluster", spec={"disableMultiNetwork": True}, status={"networkType": "Calico"})
    openshift.add("infrastructures", "", "cluster", status={"platformStatus": {"type": "AWS"}})
    del openshift.objects[("configmaps", "openshift-multus", "cni-sysctl-allowlist")]
    assert ids(preflight()) == ["cluster_network", "cluster_network", "platform"], "IPv4 asks for no sysctls"
    assert not [request for request in openshift.requests if "openshift-multus" in request]


def test_openshift_is_asked_as_much_for_many_routers(openshift: FakeCluster, preflight: Preflight) -> None:
    one = preflight()
    many = [{"name": f"db-{n}", "addresses": [{"ip": f"198.51.100.{n}/24"}]} for n in range(60, 70)]
    assert preflight(routers=many)["requests"] == one["requests"]


def test_who_deploys_on_openshift_needs_the_use_of_these_constraints(
    openshift: FakeCluster, preflight: Preflight
) -> None:
    everything = [
        {"verbs": ["*"], "apiGroups": [group], "resources": ["*"]}
        for group in ("", "apps", "coordination.k8s.io", "discovery.k8s.io", "k8s.cni.cncf.io", "policy")
    ]
    roles = {"verbs": ["list", "create", "patch"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"]}
    use = {"verbs": ["use"], "apiGroups": ["security.openshift.io"], "resources": ["securitycontextconstraints"]}
    openshift.rules = [*everything, roles, {**use, "resourceNames": ["other"]}]
    assert [finding["seen"] for finding in preflight()["findings"]] == [
        "jane may not use securitycontextconstraints.security.openshift.io named egress-router in namespace payments"
    ]
    openshift.rules = [*everything, roles, {**use, "resourceNames": ["egress-router"]}]
    assert preflight()["findings"] == []


def test_a_router_of_the_operator_is_judged_by_other_facts(cluster: FakeCluster, preflight: Preflight) -> None:
    """None of the agent's checks is about it: no node is inspected, and no pod is tried."""
    kubelet(cluster)
    options: dict[str, Any] = {
        "routers": [{"name": "db", "namespace": "payments", "backend": "egress_router_cr", "addresses": [ADDRESS]}],
        "defaults": {},
    }

    def errors() -> list[str]:
        return [one["seen"] for one in preflight(**options)["findings"] if one["severity"] == "error"]

    assert errors() == ["the API server does not know the kind EgressRouter"]
    cluster.apis["/apis/network.operator.openshift.io/v1"] = ["egressrouters"]
    assert errors() == []
    assert "(2 can run one)" in preflight(**options)["summary"]
    cluster.add("egressrouters", "cards", "web", spec={"addresses": [{"ip": "198.51.100.50/24"}]})
    assert errors() == ["EgressRouter cards/web has address 198.51.100.50 too, and nothing keeps both from using it"]
    del cluster.objects["egressrouters", "cards", "web"]
    cluster.rules = []
    (lacking,) = errors()
    assert lacking.startswith("jane may not list egressrouters.network.operator.openshift.io, ")
    assert "patch deployments.apps named egress-router-cni-deployment" in lacking
