# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module cutover: from an old router to the new one and back, interrupted anywhere, and when things go wrong."""

from __future__ import annotations

import copy
import difflib
import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.rules import parse
from ansible_collections.egress.router.plugins.module_utils._contract.status import FAILED, ON_HOLD, SERVING
from ansible_collections.egress.router.plugins.module_utils._kubernetes import router_info
from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.egress.router.plugins.module_utils._migrate.cutover import NO_NODE
from ansible_collections.egress.router.tests.support.fake_api_server import FakeAgent, FakeCluster, set_defaults

from .conftest import Run

NAMESPACE = "payments"
NEW: dict[str, Any] = {
    "name": "billing",
    "namespace": NAMESPACE,
    "image": "img:1",
    "addresses": [{"ip": "192.168.12.99/24", "gateway": "192.168.12.1"}],
    "redirect_rules": [
        {"port": 5432, "destination_ip": "203.0.113.10"},
        {"port": 8080, "destination_ip": "203.0.113.11", "target_port": 80},
    ],
    "service": {"name": "billing-db"},
}
POD_SPEC: dict[str, Any] = {
    "containers": [
        {
            "name": "egress",
            "env": [
                {"name": "EGRESS_SOURCE", "value": "192.168.12.99"},
                {"name": "EGRESS_GATEWAY", "value": "192.168.12.1"},
                {"name": "EGRESS_DESTINATION", "value": "5432 tcp 203.0.113.10"},
            ],
        }
    ]
}
LABELS = {"name": "egress"}
RUNNING = {"phase": "Running", "podIPs": [{"ip": "10.244.1.7"}], "conditions": [{"type": "Ready", "status": "True"}]}
ORIGINS = ("Pod", "Deployment", "EgressRouter")


class World:
    """Controllers, kubelets and the new router's agent: what they would do is done before each request is answered.

    `works`: whether the new router can serve. `active`: who has had the address, in turn.
    """

    def __init__(self, cluster: FakeCluster, origin: str) -> None:
        self.cluster, self.origin = cluster, origin
        self.works = True
        self.active: list[str] = []
        self._numbers = itertools.count(1)
        labels = {"app": "egress-router-cni"} if origin == "EgressRouter" else LABELS
        ports = [
            {"name": name, "port": port, "protocol": "TCP", "targetPort": port}
            for name, port in (("db", 5432), ("web", 8080))
        ]
        spec = {"type": "ClusterIP", "clusterIP": "10.96.0.7", "selector": labels, "ports": ports}
        spec |= {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
        cluster.add("services", NAMESPACE, "billing-db", metadata={"labels": {"team": "a"}}, spec=spec)
        self.labels = labels
        template = {"metadata": {"labels": labels}, "spec": POD_SPEC}
        if origin == "Pod":
            cluster.add("pods", NAMESPACE, "egress", metadata={"labels": labels}, spec=copy.deepcopy(POD_SPEC))
        elif origin == "Deployment":
            cluster.add("deployments", NAMESPACE, "egress", spec={"replicas": 1, "template": copy.deepcopy(template)})
        else:
            addresses = [{"ip": "192.168.12.99/24", "gateway": "192.168.12.1"}]
            owner = cluster.add("egressrouters", NAMESPACE, "billing", spec={"addresses": addresses})
            reference = {"kind": "EgressRouter", "name": "billing", "uid": owner["metadata"]["uid"], "controller": True}
            rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
            template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "x"}]}}
            spec = {"replicas": 1, "strategy": rolling, "template": template}
            name = "egress-router-cni-deployment"
            cluster.add("deployments", NAMESPACE, name, metadata={"ownerReferences": [reference]}, spec=spec)
        for (plural, _namespace, _name), item in cluster.objects.items():
            # As the API server did when they were made.
            set_defaults(plural, item)
        cluster.fault = self.pass_on
        self.tick()

    def pass_on(self, method: str, path: str) -> tuple[int, str] | None:
        self.tick()
        return None

    def tick(self) -> None:
        self._run_old()
        self._run_new()
        has = [name for name, there in (("old", self.old_pods()), ("new", self.new_serves())) if there]
        assert len(has) < 2, "two routers have the address"
        if has and self.active[-1:] != has:
            self.active += has

    def get(self, plural: str, name: str) -> dict[str, Any] | None:
        return self.cluster.objects.get((plural, NAMESPACE, name))

    def old_pods(self) -> list[dict[str, Any]]:
        pods = [item for (plural, _ns, _name), item in self.cluster.objects.items() if plural == "pods"]
        return [pod for pod in pods if self.labels.items() <= pod["metadata"]["labels"].items()]

    def new_serves(self) -> bool:
        lease = self.get("leases", "billing") or {"metadata": {}}
        return (lease["metadata"].get("annotations") or {}).get("egress.router/state") == SERVING

    def _run_old(self) -> None:
        name = {"Deployment": "egress", "EgressRouter": "egress-router-cni-deployment"}.get(self.origin)
        maker = self.get("deployments", name) if name else None
        if maker is not None:
            selector = maker["spec"]["template"]["spec"].get("nodeSelector") or {}
            wanted = maker["spec"]["replicas"] > 0 and NO_NODE not in selector
            if wanted and not self.old_pods():
                pod = f"{name}-{next(self._numbers)}"
                self.cluster.add(
                    "pods", NAMESPACE, pod, metadata={"labels": self.labels}, spec={"nodeName": "worker-1"}
                )
        for pod in self.old_pods():
            if maker is not None and not wanted:
                del self.cluster.objects["pods", NAMESPACE, pod["metadata"]["name"]]
            pod["spec"]["nodeName"], pod["status"] = "worker-1", RUNNING
        service = self.get("services", "billing-db")
        if service is not None and service["spec"].get("selector"):
            labels = {"kubernetes.io/service-name": "billing-db"}
            labels["endpointslice.kubernetes.io/managed-by"] = "endpointslice-controller.k8s.io"
            endpoints = [{"addresses": ["10.244.1.7"]}] if self.old_pods() else []
            self.cluster.add(
                "endpointslices", NAMESPACE, "billing-db-x", metadata={"labels": labels}, endpoints=endpoints
            )

    def _run_new(self) -> None:
        deployment, lease = self.get("deployments", "billing"), self.get("leases", "billing")
        if deployment is None or lease is None:
            return
        deployment["metadata"]["generation"] = 1
        deployment["status"] = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}
        pods = [key for key in self.cluster.objects if key[0] == "pods" and key[2].startswith("billing-new")]
        if not pods:
            labels = deployment["metadata"]["labels"]
            name = f"billing-new-{next(self._numbers)}"
            pods = [("pods", NAMESPACE, name)]
            spec = {"nodeName": "worker-2"}
            self.cluster.add("pods", NAMESPACE, name, metadata={"labels": labels}, spec=spec, status=RUNNING)
        on_hold = names.HOLD in (lease["metadata"].get("annotations") or {})
        state, error = (SERVING, "") if self.works else (FAILED, "gateway 192.168.12.1 does not answer")
        agent = FakeAgent(self.cluster, NAMESPACE, "billing")
        self.cluster.watchers.remove(agent._seen)
        config_map = self.get("configmaps", "billing-rules")
        assert config_map is not None
        agent.live = parse(config_map.get("data", {}).get("rules", ""))
        state, error = (ON_HOLD, "") if on_hold else (state, error)
        published = self.get("endpointslices", "billing-ipv4")
        if state == SERVING and published is not None:
            # It withdraws nothing, as one that is killed.
            published["endpoints"] = [{"addresses": ["10.244.1.8"]}]
        version = config_map["metadata"]["resourceVersion"]
        agent.report(state=state, error=error, pod=pods[0][2], node="worker-2", rules_version=version)


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_info, "GRACE_SECONDS", 0.1)


@pytest.fixture(params=ORIGINS)
def world(cluster: FakeCluster, request: pytest.FixtureRequest) -> World:
    return World(cluster, request.param)


@pytest.fixture
def deployment(cluster: FakeCluster) -> World:
    return World(cluster, "Deployment")


@pytest.fixture
def cut(run: Run) -> Run:
    def cut_over(**options: Any) -> dict[str, Any]:
        return run("cutover", **{"routers": [NEW], "wait_timeout": 5, "takeover_timeout": 5, **options})

    return cut_over


def service(world: World) -> dict[str, Any]:
    found = world.get("services", "billing-db")
    assert found is not None
    return found


def of_old(cluster: FakeCluster) -> dict[Any, Any]:
    """The objects of old routers and their Service, without what a write changes anyway."""
    found = {}
    for key, item in cluster.objects.items():
        ours = (item["metadata"].get("labels") or {}).get(names.LABEL_MANAGED_BY) == names.MANAGED_BY
        if not ours and key[0] in ("deployments", "egressrouters", "services"):
            metadata = {k: item["metadata"].get(k) for k in ("labels", "uid", "ownerReferences")}
            spec = copy.deepcopy(item["spec"])
            # Empty and not there are the same.
            template = spec.get("template", {}).get("spec", {})
            if not template.get("nodeSelector"):
                template.pop("nodeSelector", None)
            found[key] = (metadata, spec)
    return found


def real_writes(cluster: FakeCluster) -> list[str]:
    return [write for write in cluster.writes if not write.startswith("dry run")]


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
@pytest.mark.parametrize("what", ["over", "back", "removed"])
def test_twelve_states(world: World, cut: Run, check: bool, what: str) -> None:
    options: dict[str, Any] = {"over": {}, "back": {"active": "old"}, "removed": {"remove_old": True}}[what]
    if what != "over":
        assert cut()["changed"]
    before, writes = copy.deepcopy(world.cluster.objects), len(real_writes(world.cluster))
    first = cut(check=check, **options)
    assert first["changed"] and first["diff"], first
    if check:
        assert len(real_writes(world.cluster)) == writes, "check mode has changed something"
        assert {key: item["spec"] for key, item in world.cluster.objects.items() if "spec" in item and key[0] != "leases"} == {
            key: item["spec"] for key, item in before.items() if "spec" in item and key[0] != "leases"
        }  # fmt: skip
    second = cut(check=check, **options)
    assert second["changed"] is check
    assert bool(second["diff"]) is check
    if check:
        assert [one["before_header"] for one in second["diff"]] == [one["before_header"] for one in first["diff"]]


def test_over(world: World, cut: Run) -> None:
    uid, old = service(world)["metadata"]["uid"], set(world.cluster.objects)
    result = cut()
    (router,) = result["routers"]
    assert world.active == ["old", "new"]
    # Clients keep name and cluster IP; nothing leads to the old pods.
    moved = service(world)
    assert (moved["metadata"]["uid"], moved["spec"]["clusterIP"]) == (uid, "10.96.0.7")
    assert "selector" not in moved["spec"]
    assert {port["port"]: port["name"] for port in moved["spec"]["ports"]} == {
        29797: "metrics", 5432: "tcp-5432", 8080: "tcp-8080",
    }  # fmt: skip
    assert moved["metadata"]["labels"]["team"] == "a"
    slices = world.get("endpointslices", "billing-ipv4")
    assert slices is not None and slices["metadata"]["ownerReferences"][0]["uid"] == uid
    assert router["seconds"].keys() == {"old_pods", "takeover"}
    assert "took over from " in router["summary"] and "on node worker-2" in router["summary"]
    # Nothing that can be kept is deleted.
    gone = {key for key in old - set(world.cluster.objects) if key[0] != "pods"}
    assert gone == set()
    record = world.get("configmaps", "billing-cutover")
    assert record is not None, "there is no way back"
    # What comes after is what always comes: the router is one like others.
    lease = world.get("leases", "billing")
    assert lease is not None and names.HOLD not in lease["metadata"]["annotations"]


def test_afterwards_it_is_a_router_like_others(world: World, cut: Run, run: Run) -> None:
    cut()
    again = run("router", routers=[NEW], wait_timeout=2)
    assert not again["changed"], again["diff"]
    assert again["rules_live"]
    # The Service's ports follow the rules as ever.
    rules = [{"port": 80, "destination_ip": "203.0.113.11"}]
    changed = {"name": "billing", "namespace": NAMESPACE, "redirect_rules": rules}
    run("redirect_rules", routers=[changed])
    assert [port["port"] for port in service(world)["spec"]["ports"]] == [29797, 80]


def test_back(world: World, cut: Run) -> None:
    before = of_old(world.cluster)
    cut()
    result = cut(active="old")
    assert world.active == ["old", "new", "old"]
    assert of_old(world.cluster) == before
    assert world.get("configmaps", "billing-cutover") is None
    slices = world.get("endpointslices", "billing-ipv4")
    assert slices is not None and not slices.get("endpoints")
    assert result["routers"][0]["steps"][0] == "hold the new router"
    # And over once more.
    assert cut()["changed"]
    assert world.active[-1] == "new"


def test_back_from_nothing(world: World, cut: Run) -> None:
    assert not cut(active="old")["changed"]
    assert world.active == ["old"] and real_writes(world.cluster) == []


def test_removed(world: World, cut: Run) -> None:
    cut(remove_old=True)
    assert world.active == ["old", "new"]
    assert not of_old(world.cluster).keys() - {("deployments", NAMESPACE, "egress-router-cni-deployment")}
    assert world.get("configmaps", "billing-cutover") is None
    assert world.get("egressrouters", "billing") is None
    assert service(world)["spec"]["ports"], "the Service was removed with the old router"
    assert not cut(active="old")["changed"]


def test_a_new_router_that_does_not_serve(world: World, cut: Run) -> None:
    world.works, before = False, of_old(world.cluster)
    result = cut(takeover_timeout=1)
    assert result["failed"]
    assert "gateway 192.168.12.1 does not answer" in result["msg"]
    assert "rolled back: " in result["msg"] and "is active again" in result["msg"]
    assert world.active == ["old"]
    assert of_old(world.cluster) == before
    assert world.old_pods()
    # When it is mended, it goes on.
    world.works = True
    assert cut()["changed"]
    assert world.active == ["old", "new"]


def test_a_new_router_that_does_not_get_ready(deployment: World, cut: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = of_old(deployment.cluster)
    monkeypatch.setattr(deployment, "_run_new", lambda: None)
    result = cut(wait_timeout=1)
    assert result["failed"] and "router payments/billing does not get ready beside the old one" in result["msg"]
    assert "The old router was not touched" in result["msg"]
    assert of_old(deployment.cluster) == before and deployment.get("configmaps", "billing-cutover") is None


class Ended(BaseException):
    """The process is killed."""


@pytest.mark.parametrize("world", ["Pod"], indirect=True)
@pytest.mark.parametrize("active", ["new", "old"])
@pytest.mark.parametrize("then", ["new", "old"])
def test_killed_before_any_write(
    world: World, cut: Run, active: str, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before its 1st, 2nd, ... write: the next run goes on, or back, and never do two have the address."""
    first = {"new": {}, "old": {"active": "old"}}[active]
    second: dict[str, Any] = {"new": {}, "old": {"active": "old"}}[then]
    start = copy.deepcopy(of_old(world.cluster))
    original = Cluster._request
    killed = 0
    for number in itertools.count():
        left = number

        def request(self: Any, method: str, path: str, *rest: Any, **more: Any) -> str:
            nonlocal left
            # Those that only ask what there is have neither.
            body, query = rest[3:5] if len(rest) > 4 else (None, ())
            dry_run = ("dryRun", "All") in list(query) or (isinstance(body, dict) and "dryRun" in body)
            if method != "GET" and not dry_run:
                if left == 0:
                    raise Ended
                left -= 1
            return original(self, method, path, *rest, **more)

        if active == "old":
            cut()
        monkeypatch.setattr(Cluster, "_request", request)
        try:
            cut(**first)
            ended = False
        except Ended:
            ended = True
            killed += 1
        monkeypatch.setattr(Cluster, "_request", original)
        result = cut(**second)
        assert not result.get("failed"), (number, result)
        world.tick()
        if then == "new":
            assert world.active[-1] == "new" and world.new_serves(), number
            cut(active="old")
        assert of_old(world.cluster) == start, number
        assert world.old_pods(), number
        if not ended:
            break
    assert killed > 3


def test_all_that_is_in_the_way_is_said_before_anything_is_done(deployment: World, cut: Run) -> None:
    service(deployment)["spec"].update(type="NodePort", selector={"name": "egress", "more": "x"})
    result = cut()
    assert result["failed"]
    assert [line.partition(": ")[2][:60] for line in result["msg"].splitlines()] == [
        "Service payments/billing-db does not lead to the old router:",
        "Service payments/billing-db has type NodePort, and the Servi",
    ]
    assert real_writes(deployment.cluster) == []


@pytest.mark.parametrize(
    ("refused", "says"),
    [
        (("PUT", "/deployments/egress"), "may not touch it"),
        (("PATCH", "/configmaps/billing-cutover"), "may not touch it"),
        (("PATCH", "/services/billing-db"), "may not touch it"),
    ],
)
def test_what_the_api_server_refuses_is_known_before_anything_is_done(
    deployment: World, cut: Run, refused: tuple[str, str], says: str
) -> None:
    def fault(method: str, path: str) -> tuple[int, str] | None:
        deployment.tick()
        return (403, says) if method == refused[0] and path.endswith(refused[1]) else None

    deployment.cluster.fault = fault
    result = cut()
    assert result["failed"] and says in result["msg"]
    assert real_writes(deployment.cluster) == []


def test_other_rules_than_those_of_the_list(deployment: World, cut: Run) -> None:
    deployment.cluster.add(
        "configmaps", NAMESPACE, "billing-rules", data={"rules": "80 TCP 203.0.113.11\n"},
        metadata={"labels": {
            names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_NAME: names.APP_NAME, names.LABEL_INSTANCE: "billing",
        }},
    )  # fmt: skip
    result = cut()
    assert result["failed"] and "run egress.router.redirect_rules first" in result["msg"]
    assert deployment.active == ["old"]


def test_without_an_old_router(cluster: FakeCluster, cut: Run) -> None:
    result = cut()
    assert "namespace payments has no old router with its address: use egress.router.provision" in result["msg"]
    assert cut(active="old", remove_old=True)["msg"].startswith("remove_old: the old router cannot be removed while")
    absent = {"name": "x", "namespace": NAMESPACE, "state": "absent"}
    assert "an absent router cannot take over" in cut(routers=[absent])["msg"]


def test_a_router_that_waits_says_for_what(deployment: World, cut: Run, run: Run) -> None:
    cut()
    cut(active="old")
    (info,) = run("router_info", routers=[{"name": "billing", "namespace": NAMESPACE}])["routers"]
    assert (info["serving"], info["state"]) == (False, ON_HOLD)
    assert "leaves its address to Deployment payments/egress" in info["reason"]
    assert "egress.router.cutover" in info["reason"]


def test_the_example_of_the_page_is_true(cluster: FakeCluster, cut: Run) -> None:
    world = World(cluster, "EgressRouter")
    del service(world)["metadata"]["labels"]
    shown = []
    for one in cut(check=True)["diff"]:
        if one["before_header"].endswith(("egress-router-cni-deployment", "Service payments/billing-db")):
            # A page does not change with each version.
            lines = [
                [line for line in one[key].splitlines() if "kubernetes.io/version" not in line]
                for key in ("before", "after")
            ]
            header = [one[f"{key}_header"] for key in ("before", "after")]
            shown += difflib.unified_diff(*lines, *header, lineterm="", n=1)
    page = (Path(__file__).resolve().parents[4] / "docs/migration.md").read_text()
    assert "```diff\n" + "\n".join(shown) + "\n```\n" in page, "\n".join(shown)


def test_differences(deployment: World, cut: Run) -> None:
    result = cut(check=True)
    found = {
        one["before_header"]: (yaml.safe_load(one["before"]), yaml.safe_load(one["after"])) for one in result["diff"]
    }
    before, after = found["Deployment payments/egress"]
    assert (before["spec"], after["spec"]) == ({"replicas": 1}, {"replicas": 0})
    before, after = found["Service payments/billing-db"]
    assert before["spec"]["selector"] == LABELS and after["spec"]["selector"] == {}
    assert found["Deployment payments/billing"][0] is None, "the new router is shown too"
