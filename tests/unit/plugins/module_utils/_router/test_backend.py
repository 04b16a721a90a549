# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backend egress_router_cr cannot do is refused for its routers, each with its reason, and all at once."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._router import checked
from ansible_collections.egress.router.plugins.module_utils._router.backend import BACKENDS
from ansible_collections.egress.router.plugins.module_utils._router.router import Router
from ansible_collections.egress.router.plugins.module_utils._router.routers import load

V4 = {"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}
# In the segment, so that it needs no gateway.
RULE = {"port": 5432, "destination_ip": "198.51.100.80"}
CR: dict[str, Any] = {
    "name": "billing-db", "namespace": "payments", "backend": "egress_router_cr", "addresses": [V4], "redirect_rules": [RULE],
}  # fmt: skip
ADVICE = "remove it (set it to null if egress_router_defaults has it), or use backend agent"
OF_THE_AGENT = "is for the pods of backend agent; the operator makes the pod of this one: remove it here"
NO_START = "is IPv6, with which the pod of backend egress_router_cr does not start: remove"

# What is asked for -> what is said after "router payments/billing-db, ".
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"addresses": [{"ip": V4["ip"]}]},
     ["addresses[0].gateway: is required, the operator makes no pod of a router without one: set the next hop"]),
    ({"addresses": [{**V4, "gateway": "203.0.113.1"}]},
     ["addresses[0].gateway: '203.0.113.1' is outside the subnet 198.51.100.0/24: choose a gateway in it"]),
    ({"addresses": [{"ip": "198.51.100.50/32", "gateway": "198.51.100.1"}], "redirect_rules": []},
     ["addresses[0].gateway: '198.51.100.1' is outside the subnet 198.51.100.50/32: choose a gateway in it",
      "addresses: '198.51.100.50/32' has no other host in its subnet, so that the pod has no way to its gateway and does not "
      "start: set the prefix length of the segment"]),
    ({"addresses": [V4, {"ip": "2001:db8::50/64", "gateway": "2001:db8::1"}]},
     [f"addresses: '2001:db8::50/64' {NO_START} it, or use backend agent"]),
    ({"addresses": [V4, {"ip": "198.51.100.51/24", "gateway": "198.51.100.1"}]},
     ["addresses: are more than the one of a router with backend egress_router_cr: remove the others, or use backend agent"]),
    ({"routes": [{"destination": "192.0.2.0/24", "gateway": "198.51.100.2"}]},
     ["routes: are not supported by backend egress_router_cr, whose pod reaches all servers by its gateway: remove it (set it to "
      "null if egress_router_defaults has it), or use backend agent"]),
    ({"redirect_rules": [{**RULE, "source_ip": "198.51.100.50"}]},
     ["redirect_rules: port 5432/TCP: source_ip '198.51.100.50' has no effect, a router with backend egress_router_cr has one address: "
      "remove it, or use backend agent"]),
    ({"source": "spread"}, [f"source: 'spread' has no effect, the router has one address: {ADVICE}"]),
    ({"redirect_rules": [RULE, {"port": 53, "protocol": "UDP", "destination_ip": "2001:db8:1::53"}]},
     [f"redirect_rules: port 53/UDP: destination '2001:db8:1::53' {NO_START} the rule, or use backend agent"]),
    ({"fallback_ip": "203.0.113.99"},
     [f"fallback_ip: '203.0.113.99' has no effect, other ports stay closed with backend egress_router_cr: {ADVICE}"]),
    ({"mac": "02:00:5e:00:53:01"},
     [f"mac: '02:00:5e:00:53:01' has no effect, net1 gets a random MAC address at every start: {ADVICE}"]),
    ({"mtu": 1400}, [f"mtu: '1400' has no effect, net1 gets the MTU of the node's interface: {ADVICE}"]),
    ({"macvlan_mode": "private"}, [f"macvlan_mode: 'private' has no effect, the mode is always bridge: {ADVICE}"]),
    ({"replicas": 2}, [f"replicas: '2' has no effect, the operator runs one pod: {ADVICE}"]),
    ({"failover": {"lease_seconds": 9}},
     [f"failover: has no effect, the operator runs one pod, for which no other stands by: {ADVICE}"]),
    ({"replicas": 2, "disruption_budget": True},
     [f"replicas: '2' has no effect, the operator runs one pod: {ADVICE}",
      f"disruption_budget: true has no effect, the operator runs one pod, which may be evicted: {ADVICE}"]),
    ({"resources": {"requests": {"cpu": "50m"}}},
     ["resources.requests.cpu: '50m' does not last, the operator sets it back to 100m: remove it"]),
    ({"pod_labels": {"app": "db"}}, ["pod_labels.app: is set by the operator, to egress-router-cni: remove it"]),
    ({"pod_annotations": {"target.workload.openshift.io/management": "x"}},
     ["pod_annotations: 'target.workload.openshift.io/management' is set by the operator: remove it"]),
    ({"image": "registry.example.com/egress-router:0.1.0"}, [f"image: {OF_THE_AGENT}"]),
    ({"image_pull_secrets": ["registry"]}, [f"image_pull_secrets: {OF_THE_AGENT}"]),
    ({"host_users": False}, [f"host_users: {OF_THE_AGENT}"]),
    ({"monitoring": True}, [f"monitoring: {OF_THE_AGENT}"]),
    ({"runtime_class_name": "crun"}, [f"runtime_class_name: {OF_THE_AGENT}"]),
    ({"security_context_constraints": "egress-router"}, [f"security_context_constraints: {OF_THE_AGENT}"]),
    ({"backend": "egress-router-cr"},
     ["backend: 'egress-router-cr' is not one of agent, egress_router_cr: did you mean egress_router_cr?", "image: is required: set it for "
      "all routers in egress_router_defaults"]),
]  # fmt: skip


def sentences(data: Any, defaults: Any = None) -> list[str]:
    return [str(problem).removeprefix("router payments/billing-db, ") for problem in load(data, defaults)[1]]


def good(defaults: Any = None, **changes: Any) -> Router:
    (found,), problems = load([{**CR, **changes}], defaults)
    assert not problems, [str(problem) for problem in problems]
    return found


@pytest.mark.parametrize(("changes", "said"), REFUSED, ids=[" ".join(changes) for changes, _said in REFUSED])
def test_what_the_resource_cannot_do_is_refused(changes: dict[str, Any], said: list[str]) -> None:
    assert sentences([{**CR, **changes}]) == said


@pytest.mark.parametrize(("changes", "said"), REFUSED[:23], ids=[" ".join(changes) for changes, _said in REFUSED[:23]])
def test_the_agent_takes_what_is_refused_for_the_resource_alone(changes: dict[str, Any], said: list[str]) -> None:
    of_agent = {**CR, "image": "registry.example.com/egress-router:0.1.0", **changes, "backend": "agent"}
    allowed = [sentence for sentence in said if "outside the subnet" in sentence]
    found = [line for line in sentences([of_agent]) if "has no IPv6 address" not in line]
    assert found == allowed


def test_extra_ports_are_refused_with_and_without_a_fallback() -> None:
    ports = {"service": {"extra_ports": [{"port": 9999}]}}
    said = f"service.extra_ports: are for a fallback, which backend egress_router_cr does not have: {ADVICE}"
    assert said in sentences([{**CR, **ports}])
    assert said in sentences([{**CR, **ports, "fallback_ip": "203.0.113.99"}])


def test_all_at_once() -> None:
    wrong = {
        **CR,
        "addresses": [{"ip": V4["ip"]}],
        "mtu": 1400,
        "mac": "02:00:5e:00:53:01",
        "replicas": 3,
        "image": "x",
        "nmae": 1,
    }
    assert [line.partition(":")[0] for line in sentences([wrong])] == [
        "image", "addresses[0].gateway", "mac", "mtu", "replicas", "nmae",
    ]  # fmt: skip


def test_what_is_fine() -> None:
    router = good(
        master="eth1",
        macvlan_mode="bridge",
        replicas="1",
        disruption_budget="no",
        failover={},
        node_selector={"example.com/egress": "true"},
        tolerations=[{"operator": "Exists"}],
        resources={"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}},
        pod_labels={"team": "payments"},
        pod_annotations={"example.com/owner": "payments"},
        priority_class_name="important",
        service={"name": "postgres", "headless": True},
        # The agent is not there to need its port.
        redirect_rules=[{"port": 29797, "destination_ip": "203.0.113.10"}],
    )
    assert router.backend == "egress_router_cr" and router.rules.rules[0].port == 29797
    # What only the agent's pod has.
    assert (router.mac, router.image) == ("", "")
    assert checked.load(checked.dump([router])) == [router]


def test_without_resources_they_are_those_of_the_operator() -> None:
    assert good().resources == {}
    assert good(backend="agent", image="x").resources == BACKENDS["agent"].resources != {}


def test_defaults_for_the_pods_of_the_agent_are_left_out_and_others_are_refused() -> None:
    pods = {
        "image": "registry.example.com/egress-router:0.1.0", "image_pull_secrets": ["registry"], "host_users": False,
        "runtime_class_name": "crun", "security_context_constraints": "egress-router",
    }  # fmt: skip
    router = good(
        defaults={**pods, "backend": "egress_router_cr", "priority_class_name": "important"}, backend="egress_router_cr"
    )
    assert router.image == "" and router.image_pull_secrets == [] and router.security_context_constraints == ""
    assert router.priority_class_name == "important"
    agents = {**CR, "name": "web", "backend": "agent", "addresses": [{"ip": "198.51.100.51/24"}], "redirect_rules": []}
    routers, problems = load([CR, agents], pods)
    assert not problems and routers[1].image == pods["image"]
    assert sentences([CR], {"fallback_ip": "203.0.113.99"})[0].startswith("fallback_ip: '203.0.113.99' has no effect")
    assert sentences([{**CR, "fallback_ip": None}], {"fallback_ip": "203.0.113.99"}) == []


def test_two_in_a_namespace_are_refused() -> None:
    other = {**CR, "name": "web", "addresses": [{"ip": "198.51.100.51/24", "gateway": "198.51.100.1"}]}
    assert [str(problem) for problem in load([CR, other])[1]] == [
        "router payments/web, namespace: 'payments' is also that of router payments/billing-db: the operator makes the pod of one "
        "router in a namespace, give each its own"
    ]
    assert not load([CR, {**other, "namespace": "cards"}])[1]
    # One goes, the other comes.
    assert not load([{**CR, "state": "absent"}, other])[1]
    assert not load([CR, {**other, "backend": "agent", "image": "x"}])[1]


def test_the_same_address_elsewhere_in_the_list_is_refused_whatever_the_backend() -> None:
    for backend in ({"backend": "egress_router_cr"}, {"backend": "agent", "image": "x"}):
        (problem,) = load([CR, {**CR, "namespace": "cards", "name": "web", **backend}])[1]
        assert str(problem) == (
            "router cards/web, addresses: '198.51.100.50' is also that of router payments/billing-db: each router needs its own"
        )


def test_an_absent_one_needs_no_gateway() -> None:
    assert not load([{**CR, "state": "absent", "addresses": [{"ip": V4["ip"]}]}])[1]
    assert not load(
        [{"name": "billing-db", "namespace": "payments", "backend": "egress_router_cr", "state": "absent"}]
    )[1]
