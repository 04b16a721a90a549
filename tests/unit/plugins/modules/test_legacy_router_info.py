# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module legacy_router_info: what it asks a cluster, and what it says if it may not ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.egress.router.tests.support.fake_api_server import FakeCluster

from .conftest import Run

OPENSHIFT = {"egressrouters", "deploymentconfigs", "network-attachment-definitions"}
RESOURCE = {
    "addresses": [{"ip": "192.168.12.99/24", "gateway": "192.168.12.1"}],
    "redirect": {"redirectRules": [{"destinationIP": "203.0.113.10", "port": 80, "protocol": "TCP"}]},
}


def container(**variables: Any) -> dict[str, Any]:
    env = [
        {"name": name, **(value if isinstance(value, dict) else {"value": value})} for name, value in variables.items()
    ]
    return {"initContainers": [{"name": "egress-router", "env": env}]}


def from_config_map(name: str) -> dict[str, Any]:
    return {"valueFrom": {"configMapKeyRef": {"name": name, "key": "destination"}}}


def add_pod(cluster: FakeCluster) -> None:
    metadata = {"labels": {"name": "egress-1"}, "annotations": {"pod.network.openshift.io/assign-macvlan": "true"}}
    spec = container(
        EGRESS_SOURCE="192.168.12.98",
        EGRESS_GATEWAY="192.168.12.1",
        EGRESS_DESTINATION=from_config_map("egress-routes"),
    )
    cluster.add("pods", "payments", "egress-1", metadata=metadata, spec={**spec, "nodeName": "worker-1"}, status={})
    cluster.add("configmaps", "payments", "egress-routes", data={"destination": "80 tcp 203.0.113.25\n"})
    cluster.add("configmaps", "payments", "of-others", data={"password": "secret"})
    cluster.add("services", "payments", "partner", spec={"selector": {"name": "egress-1"}, "ports": [{"port": 80}]})
    # Nobody's router, with a ConfigMap that is none of our business.
    other = container(DESTINATION=from_config_map("of-others"))["initContainers"][0]
    other["envFrom"] = [{"configMapRef": {"name": "of-others"}}]
    cluster.add("pods", "payments", "web", spec={"containers": [other]}, status={})


def test_reads_a_cluster(cluster: FakeCluster, run: Run) -> None:
    add_pod(cluster)
    cluster.add("egressrouters", "shop", "redirect", spec=RESOURCE)
    for check in (False, True):
        cluster.requests.clear()
        result = run("legacy_router_info", check=check, networks=["192.168.12.0/24"])
        assert result["changed"] is False and result["report"]["ok"]
        assert [(router["namespace"], router["name"]) for router in result["routers"]] == [
            ("shop", "redirect"), ("payments", "egress-1"),
        ]  # fmt: skip
        assert result["report"]["routers"][1] == {
            "kind": "Pod", "namespace": "payments", "name": "egress-1", "router": "egress-1", "service": "partner",
        }  # fmt: skip
        # The scheduler's choice of a node is none of ours.
        assert "node_selector" not in result["routers"][1]
        assert result["text"].endswith("    service:\n      name: partner\n")
        asked = [
            request.partition("?")[0].rpartition("/")[2] for request in cluster.requests if "configmaps" in request
        ]
        assert asked == ["egress-routes"]
        assert not cluster.writes


def test_reads_some_namespaces(cluster: FakeCluster, run: Run) -> None:
    add_pod(cluster)
    for namespace in ("shop", "bank"):
        cluster.add("egressrouters", namespace, "redirect", spec=RESOURCE)
    result = run("legacy_router_info", namespaces=["shop"])
    assert [router["namespace"] for router in result["routers"]] == ["shop"]
    reads = [request.partition(" ")[2] for request in cluster.requests if request.count("/") > 2]
    assert reads and all("/namespaces/shop/" in path for path in reads)


def test_a_cluster_without_openshift_has_none_of_its_kinds(cluster: FakeCluster, run: Run) -> None:
    cluster.missing_kinds = set(OPENSHIFT)
    result = run("legacy_router_info")
    assert result["routers"] == [] and result["report"]["ok"]
    assert result["report"]["summary"] == "no old egress routers were found"


def test_what_may_not_be_read_is_told_and_the_rest_is_read(cluster: FakeCluster, run: Run) -> None:
    add_pod(cluster)
    cluster.add("egressrouters", "shop", "redirect", spec=RESOURCE)

    def forbid(_method: str, path: str) -> tuple[int, str] | None:
        for plural in ("deploymentconfigs", "configmaps"):
            if f"/{plural}" in path:
                return 403, f'{plural} is forbidden: User "jane" cannot list resource "{plural}" in API group ""'
        return None

    cluster.fault = forbid
    cluster.apis["/apis/apps.openshift.io/v1"] = ["deploymentconfigs"]
    result = run("legacy_router_info", networks=["192.168.12.0/24"])
    report = result["report"]
    assert [router["name"] for router in result["routers"]] == ["redirect"] and not report["ok"]
    assert len(report["not_read"]) == 2 and all("jane may not list" in reason for reason in report["not_read"])
    assert any("EGRESS_DESTINATION" in problem for problem in report["problems"])


def test_what_may_not_be_read_because_it_does_not_exist_is_no_gap(cluster: FakeCluster, run: Run) -> None:
    def forbid(_method: str, path: str) -> tuple[int, str] | None:
        plural = path.rpartition("/")[2]
        refusal = f'{plural} is forbidden: User "jane" cannot list resource "{plural}" in API group ""'
        return (403, refusal) if plural in OPENSHIFT else None

    cluster.fault = forbid
    assert run("legacy_router_info", namespaces=["payments"])["report"]["ok"]


def test_files_are_read_without_a_cluster(cluster: FakeCluster, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "router.yaml"
    path.write_text(
        "kind: EgressRouter\nmetadata: {name: redirect, namespace: shop}\n"
        "spec: {addresses: [{ip: 192.168.12.99/24, gateway: 192.168.12.1}], redirect: {}}\n"
    )
    assert [router["name"] for router in run("legacy_router_info", files=[str(path)])["routers"]] == ["redirect"]
    assert [router["name"] for router in run("legacy_router_info", manifests=path.read_text())["routers"]] == [
        "redirect"
    ]
    assert run("legacy_router_info", files=[str(path)], namespaces=["other"])["routers"] == []
    assert not cluster.requests


def test_bad_options_are_told_before_anything_is_asked(cluster: FakeCluster, run: Run) -> None:
    result = run("legacy_router_info", networks=["192.168.12.99/24"])
    assert result["msg"] == "networks: '192.168.12.99/24' is not a network: write it as 192.168.12.0/24"
    assert "nothing.yaml" in run("legacy_router_info", files=["nothing.yaml"])["msg"]
    assert not cluster.requests
