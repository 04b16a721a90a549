# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What network policies permit between the pods of a router."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._preflight.network_policies import Pods, Port, blocking

LABELS = {"app": "router", "team": "payments"}
PODS = Pods(
    "payments", LABELS, {"kubernetes.io/metadata.name": "payments", "kind": "money"}, ("10.244.1.0/24", "10.244.2.0/24")
)
BEATS = Port("UDP", 29798, "beats")
ALL: dict[str, Any] = {}
OWN = {"podSelector": {"matchLabels": {"app": "router"}}}
OTHERS = {"podSelector": {"matchLabels": {"app": "shop"}}}


def block(cidr: str, *but: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": cidr, **({"except": list(but)} if but else {})}}


def port(number: Any = None, protocol: str | None = "UDP", end: int | None = None) -> dict[str, Any]:
    given = {"port": number, "protocol": protocol, "endPort": end}
    return {key: value for key, value in given.items() if value is not None}


# A rule, and whether it lets the messages through. `PEERS` stands for `from` and `to`.
RULES: dict[str, tuple[dict[str, Any], bool]] = {
    "everything": ({}, True),
    "the port": ({"ports": [port(29798)]}, True),
    "another port": ({"ports": [port(29797)]}, False),
    "TCP": ({"ports": [port(29798, "TCP")]}, False),
    "TCP is the default": ({"ports": [port(29798, None)]}, False),
    "all ports of UDP": ({"ports": [port()]}, True),
    "all ports of SCTP": ({"ports": [port(None, "SCTP")]}, False),
    "one of several ports": ({"ports": [port(53), port(29798)]}, True),
    "a range with it": ({"ports": [port(29000, end=29798)]}, True),
    "a range that begins with it": ({"ports": [port(29798, end=30000)]}, True),
    "a range that ends before": ({"ports": [port(29000, end=29797)]}, False),
    "a range that begins after": ({"ports": [port(29799, end=30000)]}, False),
    "the port's name": ({"ports": [port("beats")]}, True),
    "another name": ({"ports": [port("dns")]}, False),
    "the router's pods": ({"PEERS": [OWN]}, True),
    "all pods of the namespace": ({"PEERS": [{"podSelector": ALL}]}, True),
    "other pods": ({"PEERS": [OTHERS]}, False),
    "one of several peers": ({"PEERS": [OTHERS, OWN]}, True),
    "no peers are all": ({"PEERS": []}, True),
    "the peers, but another port": ({"PEERS": [OWN], "ports": [port(53)]}, False),
    "the port, but other peers": ({"PEERS": [OTHERS], "ports": [port(29798)]}, False),
    "peers and port": ({"PEERS": [OWN], "ports": [port(29798)]}, True),
    "pods by an expression": (
        {"PEERS": [{"podSelector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["payments"]}]}}]}, True),
    "pods by an expression that is not theirs": (
        {"PEERS": [{"podSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}]}, False),
    "all namespaces": ({"PEERS": [{"namespaceSelector": ALL}]}, True),
    "the namespace": ({"PEERS": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "payments"}}}]}, True),
    "the namespace by a label of its own": ({"PEERS": [{"namespaceSelector": {"matchLabels": {"kind": "money"}}}]}, True),
    "another namespace": ({"PEERS": [{"namespaceSelector": {"matchLabels": {"kind": "shop"}}}]}, False),
    "the pods of the namespace": ({"PEERS": [{"namespaceSelector": ALL, **OWN}]}, True),
    "other pods of the namespace": ({"PEERS": [{"namespaceSelector": ALL, **OTHERS}]}, False),
    "such pods of another namespace": ({"PEERS": [{"namespaceSelector": {"matchLabels": {"kind": "shop"}}, **OWN}]}, False),
    "the pods' networks": ({"PEERS": [block("10.244.0.0/16")]}, True),
    "every address": ({"PEERS": [block("0.0.0.0/0")]}, True),
    "the network of one node": ({"PEERS": [block("10.244.1.0/24")]}, False),
    "the pods' networks but for one": ({"PEERS": [block("10.244.0.0/16", "10.244.2.0/24")]}, False),
    "the pods' networks but for some addresses": ({"PEERS": [block("10.244.0.0/16", "10.244.2.8/29")]}, False),
    "the pods' networks, and others are excepted": ({"PEERS": [block("10.0.0.0/8", "10.96.0.0/12")]}, True),
    "a network elsewhere": ({"PEERS": [block("192.168.0.0/16")]}, False),
    "a network of the other family": ({"PEERS": [block("::/0")]}, False),
}  # fmt: skip


def policy(name: str = "p", namespace: str = "payments", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"podSelector": ALL, **spec}}


def blocked(*policies: dict[str, Any], pods: Pods = PODS) -> dict[str, list[str]]:
    found = blocking(policies, pods, BEATS)
    return {direction: [one["metadata"]["name"] for one in some] for direction, some in found.items()}


def rule(given: dict[str, Any], peers: str) -> dict[str, Any]:
    return {peers if key == "PEERS" else key: value for key, value in given.items()}


@pytest.mark.parametrize("case", RULES)
def test_a_rule_counts_alike_in_both_directions(case: str) -> None:
    given, through = RULES[case]
    assert blocked(policy(ingress=[rule(given, "from")])) == ({} if through else {"Ingress": ["p"]})
    outward = policy(policyTypes=["Egress"], egress=[rule(given, "to")])
    assert blocked(outward) == ({} if through else {"Egress": ["p"]})


@pytest.mark.parametrize(("policies", "expected"), [
    ([], {}),
    # Without any rule.
    ([policy()], {"Ingress": ["p"]}),
    ([policy(policyTypes=["Egress"])], {"Egress": ["p"]}),
    ([policy(policyTypes=["Ingress", "Egress"])], {"Ingress": ["p"], "Egress": ["p"]}),
    # Without types it is about what is received, and about what is sent if it has rules for that.
    ([policy(egress=[{"ports": [port(53)]}], ingress=[{}])], {"Egress": ["p"]}),
    # One direction may be blocked, and the other open.
    ([policy(policyTypes=["Ingress", "Egress"], egress=[{}])], {"Ingress": ["p"]}),
    # Rules of a direction that it is not about do not count.
    ([policy(policyTypes=["Egress"], ingress=[{}])], {"Egress": ["p"]}),
    # They add up, and all that take part are named.
    ([policy("a"), policy("b", ingress=[{"from": [OWN]}])], {}),
    ([policy("a"), policy("b", ingress=[{"from": [OTHERS]}])], {"Ingress": ["a", "b"]}),
    ([policy("a", policyTypes=["Egress"]), policy("b")], {"Ingress": ["b"], "Egress": ["a"]}),
    # Those of others.
    ([policy(namespace="elsewhere")], {}),
    ([policy(podSelector={"matchLabels": {"app": "shop"}})], {}),
    ([policy(podSelector={"matchExpressions": [{"key": "app", "operator": "Exists"}]})], {"Ingress": ["p"]}),
])  # fmt: skip
def test_policies(policies: list[dict[str, Any]], expected: dict[str, list[str]]) -> None:
    assert blocked(*policies) == expected


@pytest.mark.parametrize(("given", "through"), [
    (block("0.0.0.0/0"), True), (block("::/0"), True), (block("10.244.0.0/16"), False),
    (block("0.0.0.0/0", "10.0.0.0/8"), False),
])  # fmt: skip
def test_of_unknown_networks_only_all_addresses_are_those_of_the_pods(given: dict[str, Any], through: bool) -> None:
    unknown = Pods(PODS.namespace, PODS.labels, PODS.namespace_labels)
    assert (blocked(policy(ingress=[{"from": [given]}]), pods=unknown) == {}) is through


def test_networks_of_ipv6_pods() -> None:
    pods = Pods(PODS.namespace, PODS.labels, PODS.namespace_labels, ("2001:db8:1::/64",))
    assert blocked(policy(ingress=[{"from": [block("2001:db8::/32")]}]), pods=pods) == {}
    assert blocked(policy(ingress=[{"from": [block("0.0.0.0/0")]}]), pods=pods) == {"Ingress": ["p"]}
