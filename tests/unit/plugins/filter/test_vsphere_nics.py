# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From routers and nodes to the network adapters of the module's call."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.egress.router.plugins.filter.vsphere_nics import vsphere_nics
from ansible_collections.egress.router.plugins.filter.vsphere_previous import vsphere_previous

IDS = {name: f"42161111-2222-4333-8444-00000000000{number}" for number, name in enumerate(("w1", "w2"))}
DEFAULTS = {"image": "registry.example.com/egress-router:0.1.0", "namespace": "payments", "master": "eth1"}


def node(name: str, provider_id: str | None = None, **labels: str) -> dict[str, Any]:
    spec = {"providerID": f"vsphere://{IDS[name]}" if provider_id is None else provider_id}
    return {"metadata": {"name": name, "labels": {"kubernetes.io/os": "linux", **labels}}, "spec": spec}


def cluster(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """As kubernetes.core.k8s_info returns them."""
    return {"resources": nodes, "changed": False}


def router(number: int, **fields: Any) -> dict[str, Any]:
    return {"name": f"r{number}", "addresses": [{"ip": f"198.51.100.{number}/24"}], **fields}


NODES = [node("w1", egress="yes"), node("w2")]
BOTH = [f"vsphere://{id_}" for id_ in IDS.values()]


def test_each_router_has_its_nodes() -> None:
    routers = [router(50), router(51, node_selector={"egress": "yes"}), router(52, state="absent")]
    found = vsphere_nics(routers, cluster(NODES), DEFAULTS)
    assert found == {
        "skipped": "",
        "namespace": "payments",
        "problems": [],
        "nics": [{"addresses": ["198.51.100.50"], "nodes": BOTH}, {"addresses": ["198.51.100.51"], "nodes": BOTH[:1]}],
    }


def test_both_families_are_on_one_adapter() -> None:
    both = router(50, addresses=[{"ip": "198.51.100.50/24"}, {"ip": "2001:db8::50/64"}])
    assert vsphere_nics([both], cluster(NODES), DEFAULTS)["nics"][0]["addresses"] == ["198.51.100.50", "2001:db8::50"]


def test_the_network_of_a_master() -> None:
    routers = [router(50), router(51, master="eth2")]
    found = vsphere_nics(routers, cluster(NODES), DEFAULTS, networks={"eth1": "egress"})["nics"]
    assert found == [{"network": "egress", "nodes": BOTH}, {"addresses": ["198.51.100.51"], "nodes": BOTH}]


def test_no_node_may_run_it() -> None:
    assert vsphere_nics([router(50, node_selector={"egress": "no"})], cluster(NODES), DEFAULTS)["nics"] == []


def test_nodes_that_are_no_vms() -> None:
    nodes = [node("w1"), node("w2", provider_id="openstack:///1")]
    problems = vsphere_nics([router(50)], cluster(nodes), DEFAULTS)["problems"]
    assert len(problems) == 1
    assert (
        "router payments/r50, node_selector: the router may run on node w2, but node 'openstack:///1' belongs"
        in problems[0]
    )
    assert "vsphere_port_group_security_vms" in problems[0]
    assert vsphere_nics([router(50)], cluster(nodes), DEFAULTS, vms={"w2": "worker-2"})["problems"] == []


def test_a_cluster_elsewhere() -> None:
    elsewhere = [node("w1", provider_id="kind://docker/lab/w1")]
    found = vsphere_nics([router(50)], cluster(elsewhere), DEFAULTS, detect=True)
    assert found == {
        "problems": [],
        "skipped": "Nothing to do, because no node of the cluster is a vSphere VM.",
        "namespace": "payments",
        "nics": [],
    }
    assert len(vsphere_nics([router(50)], cluster(elsewhere), DEFAULTS)["problems"]) == 1
    assert vsphere_nics([], cluster(elsewhere), DEFAULTS, vms={"w1": "worker-1"}, detect=True)["skipped"] == ""
    assert vsphere_nics([], cluster(NODES), DEFAULTS, detect=True)["skipped"] == ""


def test_all_as_absent() -> None:
    assert vsphere_nics([router(50)], cluster(NODES), DEFAULTS, state="absent")["nics"] == []


def test_a_bad_list_is_refused_before_nodes_are() -> None:
    for detect in (False, True):
        elsewhere = [node("w1", provider_id="")]
        found = vsphere_nics([router(50)], cluster(elsewhere), {"namespace": "payments"}, detect=detect)
        assert len(found["problems"]) == 1
        assert "image" in found["problems"][0]


def test_what_was_before_the_first_change_is_kept() -> None:
    address = {"kind": "standard", "esxi_hostname": "esxi-1", "switch": "vSwitch1", "portgroup": "egress"}
    other = {**address, "portgroup": "other", "mac_changes": "reject"}
    assert vsphere_previous([other]) == [other]
    assert vsphere_previous([other], {"resources": []}) == [other]
    kept = {"resources": [{"data": {"previous": json.dumps([{**address, "mac_changes": "reject"}])}}]}
    later = {**address, "mac_changes": "accept", "promiscuous_mode": "inherit"}
    assert vsphere_previous([later, other], kept) == [
        {**address, "mac_changes": "reject", "promiscuous_mode": "inherit"}, other
    ]  # fmt: skip
