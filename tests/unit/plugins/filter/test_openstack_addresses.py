# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From routers and nodes to the addresses of the module's call."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.egress.router.plugins.filter.openstack_addresses import openstack_addresses

IDS = {name: f"11111111-2222-4333-8444-00000000000{number}" for number, name in enumerate(("cp", "w1", "w2"))}
DEFAULTS = {"image": "registry.example.com/egress-router:0.1.0", "namespace": "payments"}
CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


def node(name: str, provider_id: str | None = None, taints: Any = None, **labels: str) -> dict[str, Any]:
    spec = {"providerID": f"openstack:///{IDS[name]}" if provider_id is None else provider_id, "taints": taints}
    return {"metadata": {"name": name, "labels": {"kubernetes.io/os": "linux", **labels}}, "spec": spec}


def cluster(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """As kubernetes.core.k8s_info returns them."""
    return {"resources": nodes, "changed": False}


def nodes_of(found: list[dict[str, Any]]) -> dict[str, list[str]]:
    names = {f"openstack:///{id_}": name for name, id_ in IDS.items()}
    return {item["ip_address"]: [names.get(server, server) for server in item["nodes"]] for item in found}


def router(number: int, **fields: Any) -> dict[str, Any]:
    return {"name": f"r{number}", "addresses": [{"ip": f"198.51.100.{number}/24"}], **fields}


NODES = [node("cp", taints=[CONTROL_PLANE]), node("w1", egress="yes"), node("w2", taints=[
    {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
    {"key": "spot", "effect": "PreferNoSchedule"}])]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, ["w1", "w2"]),
        ({"node_selector": {"egress": "yes"}}, ["w1"]),
        ({"node_selector": {"egress": "no"}}, None),
        ({"tolerations": [{"operator": "Exists"}]}, ["cp", "w1", "w2"]),
        ({"tolerations": [{"key": CONTROL_PLANE["key"], "operator": "Exists"}]}, ["cp", "w1", "w2"]),
        ({"tolerations": [{"key": CONTROL_PLANE["key"], "effect": "NoSchedule"}]}, ["cp", "w1", "w2"]),
        ({"tolerations": [{"key": CONTROL_PLANE["key"], "operator": "Exists", "effect": "NoExecute"}]}, ["w1", "w2"]),
        ({"tolerations": [{"key": CONTROL_PLANE["key"], "value": "x"}]}, ["w1", "w2"]),
        ({"tolerations": [{"key": "other", "operator": "Exists"}]}, ["w1", "w2"]),
    ],
)
def test_nodes_that_may_run_a_router(fields: dict[str, Any], names: list[str] | None) -> None:
    found = openstack_addresses([router(50, **fields)], cluster(NODES), DEFAULTS)
    assert found["problems"] == []
    assert nodes_of(found["present"]) == ({"198.51.100.50": names} if names else {})
    assert found["absent"] == []


def test_both_families_share_the_mac_address() -> None:
    both = router(50, addresses=[{"ip": "198.51.100.50/24"}, {"ip": "2001:db8::50/64"}])
    found = openstack_addresses([both], cluster(NODES), DEFAULTS)["present"]
    assert [item["mac_address"] for item in found] == ["02:e6:c6:33:64:32"] * 2
    assert nodes_of(found) == {"198.51.100.50": ["w1", "w2"], "2001:db8::50": ["w1", "w2"]}


def test_absent_routers_are_shut_out_everywhere() -> None:
    found = openstack_addresses([router(50, state="absent"), router(51)], cluster(NODES), DEFAULTS)
    assert nodes_of(found["absent"]) == {"198.51.100.50": ["cp", "w1", "w2"]}
    assert list(nodes_of(found["present"])) == ["198.51.100.51"]
    assert openstack_addresses([{"name": "r50", "state": "absent"}], cluster(NODES), DEFAULTS)["absent"] == []


def test_what_another_router_needs_stays() -> None:
    moved = [router(50, state="absent"), {**router(50, node_selector={"egress": "yes"}), "name": "successor"}]
    found = openstack_addresses(moved, cluster(NODES), DEFAULTS)
    assert nodes_of(found["present"]) == {"198.51.100.50": ["w1"]}
    assert nodes_of(found["absent"]) == {"198.51.100.50": ["cp", "w2"]}


def test_all_as_absent() -> None:
    found = openstack_addresses([router(50), router(51, state="absent")], cluster(NODES), DEFAULTS, state="absent")
    assert found["present"] == []
    assert sorted(nodes_of(found["absent"])) == ["198.51.100.50", "198.51.100.51"]


def test_nodes_that_are_no_servers() -> None:
    nodes = [node("w1"), node("w2", provider_id=""), node("cp", provider_id="aws:///eu-central-1a/i-0abc")]
    problems = openstack_addresses([router(50)], cluster(nodes), DEFAULTS)["problems"]
    assert len(problems) == 2
    assert "router payments/r50, node_selector: the router may run on node w2, but a node has neither" in problems[0]
    assert "the router may run on node cp, but node 'aws:///eu-central-1a/i-0abc' belongs to cloud 'aws'" in problems[1]
    assert "openstack_allowed_address_pair_servers" in problems[1]
    # They do not matter when a router is only removed.
    found = openstack_addresses([router(50)], cluster(nodes), DEFAULTS, state="absent")
    assert found["problems"] == []
    assert nodes_of(found["absent"]) == {"198.51.100.50": ["w1"]}


def test_servers_by_node_name() -> None:
    nodes = [node("w1", provider_id="kind://docker/lab/w1")]
    assert openstack_addresses([router(50)], cluster(nodes), DEFAULTS, detect=True)["skipped"]
    found = openstack_addresses([router(50)], cluster(nodes), DEFAULTS, servers={"w1": IDS["w1"]}, detect=True)
    assert found["skipped"] == ""
    assert found["problems"] == []
    assert nodes_of(found["present"]) == {"198.51.100.50": [IDS["w1"]]}


def test_a_bad_list_is_refused_before_nodes_are() -> None:
    nodes = [node("w1", provider_id="")]
    for detect in (False, True):
        found = openstack_addresses([router(50)], cluster(nodes), {"namespace": "payments"}, detect=detect)
        assert len(found["problems"]) == 1
        assert "image" in found["problems"][0]
        assert (found["present"], found["absent"]) == ([], [])


def test_a_cluster_elsewhere() -> None:
    nodes = [node("w1", provider_id="")]
    found = openstack_addresses([router(50)], cluster(nodes), DEFAULTS, detect=True)
    assert found == {
        "problems": [],
        "skipped": "Nothing to do, because no node of the cluster is an OpenStack server.",
        "present": [],
        "absent": [],
    }
    assert len(openstack_addresses([router(50)], cluster(nodes), DEFAULTS)["problems"]) == 1
    assert openstack_addresses([], cluster(NODES), DEFAULTS, detect=True)["skipped"] == ""


def test_nodes_that_cannot_be_listed() -> None:
    failed = {"failed": True, "msg": "nodes is forbidden"}
    found = openstack_addresses([router(50)], failed, DEFAULTS, detect=True)
    assert found["problems"] == []
    assert found["skipped"] == (
        "Nothing is changed, because the nodes of the cluster cannot be listed: nodes is forbidden"
    )


@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_router_with_another_mac_at_every_start_has_no_pairs(state: str) -> None:
    addresses = [{"ip": "198.51.100.51/24", "gateway": "198.51.100.1"}]
    other = router(51, backend="egress_router_cr", addresses=addresses, state=state)
    found = openstack_addresses([router(50), other], cluster(NODES), DEFAULTS)
    assert found["problems"] == [] and found["absent"] == []
    assert nodes_of(found["present"]) == {"198.51.100.50": ["w1", "w2"]}
