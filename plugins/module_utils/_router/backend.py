# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What makes the router's pod, and what a router of the list may ask of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._contract.rules import RuleSet
from .._contract.sources import FIRST
from .addresses import Address
from .fields import Fields, shown
from .redirects import RESERVED, PortKey

DEFAULT_RESOURCES: dict[str, Any] = {
    "requests": {"cpu": "100m", "memory": "96Mi"},
    "limits": {"memory": "256Mi"},
}
# A pod of the collection's own image, with its agent.
AGENT = "agent"
# A pod that OpenShift's Cluster Network Operator makes of an EgressRouter resource, with a CNI plugin of its own.
EGRESS_ROUTER_CR = "egress_router_cr"


@dataclass(frozen=True)
class Backend:
    """What the reader of the list has to know. `refuse` notes a problem for everything that the backend cannot do."""

    name: str
    # The ports that no rule may have.
    reserved: frozenset[PortKey]
    resources: dict[str, Any]
    families: tuple[int, ...]
    # Whether the router has a MAC address of its own, the same after every restart.
    has_mac: bool
    has_image: bool
    # Whether it may have more than one pod.
    has_standbys: bool
    # Keys of `defaults` that say how pods of another backend are made.
    foreign_keys: tuple[str, ...]
    refuse: Callable[[Fields, tuple[Address, ...], RuleSet, bool], None]
    # The same of rules alone. The first argument is told field and message.
    refuse_rules: Callable[[Callable[[str, str], None], RuleSet], None]


def _refuse_nothing(fields: Fields, _addresses: tuple[Address, ...], _rules: RuleSet, _present: bool) -> None:
    """The schema is this backend's."""


def _refuse_no_rules(problem: Callable[[str, str], None], _rules: RuleSet) -> None:
    """The schema is this backend's."""


# They say how the agent's pod is made and looked at. The operator makes its own, whatever they say, and it has no metrics.
_POD_OF_AGENT = (
    "image",
    "image_pull_secrets",
    "host_users",
    "monitoring",
    "monitoring_labels",
    "runtime_class_name",
    "security_context_constraints",
)
_ADVICE = f"remove it (set it to null if egress_router_defaults has it), or use backend {AGENT}"
# What the operator sets on its Deployment itself, and sets back at once.
OPERATORS_LABEL = ("app", "egress-router-cni")
_OPERATORS_ANNOTATION = "target.workload.openshift.io/management"
_OPERATORS_CPU = "100m"


def _refuse_for_egress_router_cr(fields: Fields, addresses: tuple[Address, ...], rules: RuleSet, present: bool) -> None:
    for key in _POD_OF_AGENT:
        if fields.raw(key) is not None:
            fields.problem(
                key, f"is for the pods of backend {AGENT}; the operator makes the pod of this one: remove it here"
            )
    _refuse_addresses(fields, addresses, present)
    if fields.raw("routes"):
        fields.problem(
            "routes",
            f"are not supported by backend {EGRESS_ROUTER_CR}, whose pod reaches all servers by its gateway: {_ADVICE}",
        )
    _refuse_interface(fields)
    _refuse_rules(fields.problem, rules)
    if fields.section("service").raw("extra_ports"):
        fields.problem(
            "service.extra_ports", f"are for a fallback, which backend {EGRESS_ROUTER_CR} does not have: {_ADVICE}"
        )
    _refuse_pod(fields)


def _refuse_rules(problem: Callable[[str, str], None], rules: RuleSet) -> None:
    if rules.fallback_ip:
        problem(
            "fallback_ip",
            f"'{rules.fallback_ip}' has no effect, other ports stay closed with backend {EGRESS_ROUTER_CR}: {_ADVICE}",
        )
    for rule in rules.rules:
        if rule.source_ip:
            problem(
                "redirect_rules",
                f"port {rule.port}/{rule.protocol}: source_ip '{rule.source_ip}' has no effect, a router with backend "
                f"{EGRESS_ROUTER_CR} has one address: remove it, or use backend {AGENT}",
            )
        if rule.family == 6:
            problem(
                "redirect_rules",
                f"port {rule.port}/{rule.protocol}: destination '{rule.destination_ip}' is IPv6, with which the pod of backend "
                f"{EGRESS_ROUTER_CR} does not start: remove the rule, or use backend {AGENT}",
            )


def _refuse_addresses(fields: Fields, addresses: tuple[Address, ...], present: bool) -> None:
    for section in fields.sections("addresses"):
        if present and section.raw("ip") is not None and section.raw("gateway") is None:
            section.problem(
                "gateway", "is required, the operator makes no pod of a router without one: set the next hop"
            )
    for address in addresses:
        if address.family == 6:
            fields.problem(
                "addresses",
                f"'{address.cidr}' is IPv6, with which the pod of backend {EGRESS_ROUTER_CR} does not start: remove it, or use "
                f"backend {AGENT}",
            )
        elif address.prefix_length == 32:
            fields.problem(
                "addresses",
                f"'{address.cidr}' has no other host in its subnet, so that the pod has no way to its gateway and does not start: "
                "set the prefix length of the segment",
            )
    if len([address for address in addresses if address.family == 4]) > 1:
        fields.problem(
            "addresses",
            f"are more than the one of a router with backend {EGRESS_ROUTER_CR}: remove the others, or use backend {AGENT}",
        )


def _refuse_interface(fields: Fields) -> None:
    if fields.raw("source") not in (None, FIRST):
        fields.problem("source", f"{shown(fields.raw('source'))} has no effect, the router has one address: {_ADVICE}")
    if fields.raw("mac") is not None:
        fields.problem(
            "mac", f"{shown(fields.raw('mac'))} has no effect, net1 gets a random MAC address at every start: {_ADVICE}"
        )
    if fields.raw("mtu") is not None:
        fields.problem(
            "mtu", f"{shown(fields.raw('mtu'))} has no effect, net1 gets the MTU of the node's interface: {_ADVICE}"
        )
    mode = fields.raw("macvlan_mode")
    if mode not in (None, "bridge"):
        fields.problem("macvlan_mode", f"{shown(mode)} has no effect, the mode is always bridge: {_ADVICE}")


def _refuse_pod(fields: Fields) -> None:
    replicas = fields.raw("replicas")
    if replicas is not None and str(replicas) != "1":
        fields.problem("replicas", f"{shown(replicas)} has no effect, the operator runs one pod: {_ADVICE}")
    if fields.raw("failover"):
        fields.problem("failover", f"has no effect, the operator runs one pod, for which no other stands by: {_ADVICE}")
    if fields.raw("disruption_budget") is not None and fields.boolean("disruption_budget"):
        fields.problem(
            "disruption_budget", f"true has no effect, the operator runs one pod, which may be evicted: {_ADVICE}"
        )
    label, value = OPERATORS_LABEL
    if label in (fields.mapping("pod_labels") or {}):
        fields.problem(f"pod_labels.{label}", f"is set by the operator, to {value}: remove it")
    if _OPERATORS_ANNOTATION in (fields.mapping("pod_annotations") or {}):
        fields.problem("pod_annotations", f"'{_OPERATORS_ANNOTATION}' is set by the operator: remove it")
    requests = (fields.mapping("resources") or {}).get("requests")
    cpu = requests.get("cpu") if isinstance(requests, dict) else None
    if cpu is not None and str(cpu) != _OPERATORS_CPU:
        fields.problem(
            "resources.requests.cpu",
            f"{shown(cpu)} does not last, the operator sets it back to {_OPERATORS_CPU}: remove it",
        )


_AGENT = Backend(
    AGENT,
    reserved=RESERVED,
    resources=DEFAULT_RESOURCES,
    families=(4, 6),
    has_mac=True,
    has_image=True,
    has_standbys=True,
    foreign_keys=(),
    refuse=_refuse_nothing,
    refuse_rules=_refuse_no_rules,
)
_EGRESS_ROUTER_CR = Backend(
    EGRESS_ROUTER_CR,
    reserved=frozenset(),
    # Those of the operator.
    resources={},
    families=(4,),
    has_mac=False,
    has_image=False,
    has_standbys=False,
    foreign_keys=_POD_OF_AGENT,
    refuse=_refuse_for_egress_router_cr,
    refuse_rules=_refuse_rules,
)
BACKENDS = {backend.name: backend for backend in (_AGENT, _EGRESS_ROUTER_CR)}
