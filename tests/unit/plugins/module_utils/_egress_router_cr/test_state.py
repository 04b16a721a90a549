# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has become of a router, told from the operator's objects."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._egress_router_cr import manifests, state
from ansible_collections.egress.router.plugins.module_utils._egress_router_cr.operator import CHANGED_AT, HASH
from ansible_collections.egress.router.plugins.module_utils._egress_router_cr.state import Live
from ansible_collections.egress.router.plugins.module_utils._router.own import NETWORK_STATUS, NETWORKS

from .test_manifests import RULES, router

ROUTER = router(redirect_rules=RULES)
OTHER = router(redirect_rules=RULES[:1])
BEFORE, CHANGED, AFTER = (f"2026-11-26T12:00:0{second}Z" for second in (1, 2, 3))


def live(of: Any = ROUTER, **changes: Any) -> Live:
    """A router that serves."""
    owner = [{"uid": "u1", "kind": "EgressRouter"}]
    config = {"cniVersion": "0.4.0", "type": "egress-router", "ip": manifests.forwarding(of), "log_level": "debug"}
    fields: dict[str, Any] = {"f:spec": {"f:config": {}}}
    status = [
        {"name": "x", "ips": ["10.128.0.9"]},
        {"interface": "net1", "ips": ["198.51.100.50"], "mac": "3a:00:00:00:00:01"},
    ]
    found: dict[str, Any] = {
        "resource": {"metadata": {"uid": "u1"}},
        "network": {
            "metadata": {"ownerReferences": owner, "managedFields": [
                {"manager": "operator", "time": CHANGED, "fieldsV1": fields},
                # Somebody's annotation changes no configuration.
                {"manager": "kubectl", "time": "2026-11-26T13:00:00Z", "fieldsV1": {"f:metadata": {}}},
            ]},
            "spec": {"config": json.dumps(config)},
        },
        "deployment": {
            "metadata": {"ownerReferences": owner, "generation": 3},
            "spec": {"replicas": 1, "strategy": {"type": "Recreate"}, "template": {"metadata": {"annotations": {
                HASH: manifests.hash_of(manifests.forwarding(of)),
                NETWORKS: json.dumps([{"name": "egress-router-cni-nad", "default-route": ["198.51.100.1"]}]),
            }}}},
            "status": {"observedGeneration": 3, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
        },
        "pods": [{
            "metadata": {"name": "pod-1", "creationTimestamp": AFTER, "annotations": {NETWORK_STATUS: json.dumps(status)}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }],
        **changes,
    }  # fmt: skip
    return Live(**copy.deepcopy(found))


def test_a_router_that_serves_waits_for_nothing() -> None:
    assert state.operator_is_done(live(), ROUTER)
    assert state.waiting_for(live(), ROUTER) == "" == state.stale(live())
    found = state.egress_interface(live().pods[0], "198.51.100.50")
    assert found and found["mac"] == "3a:00:00:00:00:01"


def test_the_operator_is_not_done_while_anything_is_not_of_the_resource_as_it_is() -> None:
    other_owner = [{"uid": "u2"}]
    for kind in ("network", "deployment"):
        one = live()
        getattr(one, kind)["metadata"]["ownerReferences"] = other_owner
        assert not state.operator_is_done(one, ROUTER), kind
        assert not state.operator_is_done(live(**{kind: None}), ROUTER), kind
    assert not state.operator_is_done(live(OTHER), ROUTER)
    assert not state.operator_is_done(live(resource=None), ROUTER)
    gateway = router(redirect_rules=RULES, addresses=[{"ip": "198.51.100.50/24", "gateway": "198.51.100.2"}])
    one = live(gateway)
    # The network is new, the Deployment is not yet.
    assert not state.operator_is_done(one, gateway)


@pytest.mark.parametrize("config", ["", "{", "[]", '{"type": "macvlan", "ip": {}}', '{"type": "egress-router"}', None])
def test_a_network_that_is_not_the_operators_forwards_nothing(config: Any) -> None:
    assert state.forwarded({"metadata": {}, "spec": {"config": config}}) is None
    assert state.forwarded(None) is None


def test_no_rules_are_the_same_however_they_are_written() -> None:
    config = {"type": "egress-router", "ip": {**manifests.forwarding(router()), "destinations": None}}
    assert state.forwarded({"spec": {"config": json.dumps(config)}}) == manifests.forwarding(router())


def test_other_rules_than_the_pod_was_started_with_are_stale() -> None:
    one = live(OTHER)
    one.network = live(ROUTER).network
    assert state.stale(one) == "its pod was started with other rules or addresses than its EgressRouter has now"
    assert state.waiting_for(one, ROUTER) == state.stale(one)
    # The collection changes the hash, and that makes the pod anew.
    assert state.restart_mark(one, ROUTER) == ""


def test_without_the_hash_it_is_not_known_what_the_pod_was_started_with() -> None:
    one = live()
    assert one.deployment
    del one.deployment["spec"]["template"]["metadata"]["annotations"][HASH]
    said = state.stale(one)
    assert "its Deployment lacks what the collection adds" in said
    assert state.waiting_for(one, ROUTER) == said


def test_a_pod_that_is_older_than_the_network_is_stale_and_gets_a_mark_that_stays() -> None:
    one = live()
    one.pods[0]["metadata"]["creationTimestamp"] = BEFORE
    assert (
        state.stale(one) == "its pod was started before the rules and addresses of its EgressRouter were changed last"
    )
    assert state.restart_mark(one, ROUTER) == CHANGED
    # Once it is new, the mark stays: without it, the pod would be made anew once more.
    one = live()
    assert state.restart_mark(one, ROUTER) == ""
    one.deployment["spec"]["template"]["metadata"]["annotations"][CHANGED_AT] = CHANGED
    assert state.restart_mark(one, ROUTER) == CHANGED
    assert state.restart_mark(one, OTHER) == "", "another hash needs no mark"


def test_pods_that_end_are_not_stale_but_waited_for() -> None:
    one = live()
    one.pods.append({"metadata": {"name": "pod-0", "creationTimestamp": BEFORE, "deletionTimestamp": AFTER}})
    assert state.stale(one) == ""
    assert state.waiting_for(one, ROUTER) == "pod pod-0 has not ended yet"


def test_what_a_router_waits_for() -> None:
    def said(change: Any) -> str:
        one = live()
        change(one)
        found: str = state.waiting_for(one, ROUTER)
        return found

    assert said(lambda one: setattr(one, "network", None)).startswith("the Cluster Network Operator has not made")
    assert (
        said(lambda one: one.deployment["status"].update(observedGeneration=2)) == "its Deployment is being rolled out"
    )
    for count in ("replicas", "updatedReplicas", "availableReplicas"):
        assert (
            said(lambda one, count=count: one.deployment["status"].update({count: 0}))
            == "its Deployment is being rolled out"
        )
    assert said(lambda one: one.pods.clear()) == "its pod is not ready yet"
    assert said(lambda one: one.pods[0].update(status={})) == "its pod is not ready yet"
    for found_there in ({}, {NETWORK_STATUS: "{"}, {NETWORK_STATUS: '[{"ips": ["198.51.100.5"]}]'}):
        found = said(lambda one, new=found_there: one.pods[0]["metadata"].update(annotations=new))
        assert found == "pod pod-1 has not reported address 198.51.100.50 yet"


def test_the_plugins_silence_is_explained() -> None:
    pod = {"metadata": {"name": "pod-1"}, "spec": {"nodeName": "worker-1"}}
    said = state.explained("failed to unmarshal raw result: unexpected end of JSON input", pod)
    assert "CNI plugin egress-router on node worker-1 has refused to set up pod pod-1" in said
    assert "/tmp/egress-router-log" in said and "oc debug node/worker-1" in said
    assert "nft older than 1.0.1" in said and "IPv6" in said and "gateway outside the subnet" in said
    assert state.explained("pod x cannot be scheduled", pod) == "pod x cannot be scheduled"


@pytest.mark.parametrize(
    ("message", "status", "told"),
    [
        ("could not reconcile Egress Router payments/billing-db: no gateway", "True", True),
        ("could not reconcile Egress Router payments/billing-db: no gateway", "False", False),
        ("could not reconcile Egress Router payments/billing-db-2: no gateway", "True", False),
        ("could not reconcile Egress Router other-payments/billing-db: no gateway", "True", False),
        ("something else", "True", False),
    ],
)
def test_the_operators_word_is_quoted_if_it_is_about_the_router(message: str, status: str, told: bool) -> None:
    conditions = [{"type": "Available", "status": "True"}, {"type": "Degraded", "status": status, "message": message}]
    assert state.degraded({"status": {"conditions": conditions}}, ROUTER) == (message if told else "")
    assert state.degraded({}, ROUTER) == ""


def test_what_the_operator_made_of_another_resource_is_not_the_routers() -> None:
    assert state.own(live()) == live()
    other = state.own(live(resource={"metadata": {"uid": "u2"}}))
    assert (other.network, other.deployment, other.pods) == (None, None, [])


def test_the_egress_interface_is_told_whatever_address_it_has() -> None:
    (pod,) = live().pods
    found = state.reported_interface(pod)
    assert found and (found["ips"], found["mac"]) == (["198.51.100.50"], "3a:00:00:00:00:01")
    assert state.egress_interface(pod, "198.51.100.51") is None
    for text in ("", "{", "null", "[1]", '[{"interface": "eth0"}]'):
        pod["metadata"]["annotations"][NETWORK_STATUS] = text
        assert state.reported_interface(pod) is None
