# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What routers need that OpenShift's operator makes."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..._egress_router_cr.manifests import CLUSTER_ROLE, ROLES_FILE
from ..._egress_router_cr.operator import RESOURCE
from ..._router.router import Router
from ..facts import NODES, PORT_SECURITY, Facts, Operated, name_of
from ..finding import ERROR, WARNING, Check, Finding, Part, listed

_ID, _ROUTE, RANDOM_MAC = "egress_router_cr", "default_route", "random_mac"
# What OpenShift's network plugin writes of the interface with the node's default route.
_GATEWAY_CONFIG = "k8s.ovn.org/l3-gateway-config"
_NETWORK_TYPE = "OVNKubernetes"
_USE_AGENT = "or use backend agent"


def _served(facts: Facts) -> Iterator[Finding]:
    operated = facts.operated
    if operated and not operated.served:
        yield Finding(
            _ID, ERROR, f"the API server does not know the kind {RESOURCE.name}", "OpenShift with its Cluster Network Operator",
            "Use backend agent on other clusters", _all(operated),
        )  # fmt: skip


def _network(facts: Facts) -> Iterator[Finding]:
    operated = facts.operated
    if not operated:
        return
    if not operated.multi_network:
        yield Finding(
            _ID, ERROR, "disableMultiNetwork of network.operator.openshift.io/cluster is true, so that there is no Multus",
            "a cluster that attaches pods to additional networks", "Have a cluster-admin set it to false", _all(operated),
        )  # fmt: skip
    if operated.network_type not in ("", _NETWORK_TYPE):
        yield Finding(
            _ID, ERROR, f"the network type of the cluster is {operated.network_type}", f"{_NETWORK_TYPE}, the only one with this backend",
            f"Move the cluster to it, {_USE_AGENT}", _all(operated),
        )  # fmt: skip
    unread = [
        (key, reason) for key, reason in operated.unread.items() if key in ("multi_network", "network_type", "platform")
    ]
    if unread:
        yield Finding(
            _ID, WARNING, f"the kind of the cluster's network or its platform could not be read: {unread[0][1]}", "that it can be read",
            f"Have a cluster-admin bind the second ClusterRole of {ROLES_FILE}, or go on if you know them", _all(operated),
        )  # fmt: skip


def _neighbours(facts: Facts) -> Iterator[Finding]:
    """Nothing else of the cluster notices that an address is used twice, or that two resources are in a namespace."""
    operated = facts.operated
    for router in operated.routers if operated else ():
        for item in operated.resources if operated else ():
            namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
            if (namespace, name) == router.key:
                continue
            ips = [
                str(one.get("ip") or "").partition("/")[0] for one in (item.get("spec") or {}).get("addresses") or ()
            ]
            shared = [address.ip for address in router.addresses if address.ip in ips]
            if shared:
                yield Finding(
                    _ID, ERROR, f"{RESOURCE.name} {namespace}/{name} has address {shared[0]} too, and nothing keeps both from using it",
                    "an address that no other router has", "Remove that one first, or choose another address", (router.id,),
                )  # fmt: skip
            if namespace == router.namespace:
                yield Finding(
                    _ID, ERROR, f"namespace {namespace} has {RESOURCE.name} {name}, and the operator makes the pod of one in a namespace",
                    "a namespace without another", "Remove that one, or give the router a namespace of its own", (router.id,),
                )  # fmt: skip
    if operated and "resources" in operated.unread:
        yield Finding(
            _ID, WARNING, f"the {RESOURCE.name}s of other namespaces could not be read: {operated.unread['resources']}",
            "that none of them has an address of the list",
            f"Have a cluster-admin bind the second ClusterRole of {ROLES_FILE}, or compare them", _all(operated),
        )  # fmt: skip


def _agents(facts: Facts) -> Iterator[Finding]:
    for router in facts.operated.routers if facts.operated else ():
        for other in facts.deployed.values():
            shared = [address.ip for address in router.addresses if address.ip in other.ips]
            if shared:
                yield Finding(
                    _ID, ERROR, f"egress router {other.id} with backend agent has address {shared[0]} too",
                    "an address that no other router has", "Remove that one first, or choose another address", (router.id,),
                )  # fmt: skip


def _permissions(facts: Facts) -> Iterator[Finding]:
    operated = facts.operated
    for namespace, lacking in operated.missing_permissions.items() if operated else ():
        if lacking and operated:
            yield Finding(
                _ID, ERROR, f"{facts.identity or 'the identity in use'} may not {', '.join(lacking)} in namespace {namespace}",
                "all permissions that provision needs for this backend",
                f"Have a cluster-admin apply {ROLES_FILE}, which the playbook egress.router.render writes, and bind ClusterRole {CLUSTER_ROLE} "
                "in the namespace", tuple(router.id for router in operated.routers if router.namespace == namespace),
            )  # fmt: skip


@dataclass(frozen=True)
class _DefaultRoute:
    """The interface of a node to which the operator's plugin attaches routers, and its IPv4 networks."""

    interface: str
    networks: tuple[ipaddress.IPv4Network, ...]


def _default_route(node: Mapping[str, Any]) -> _DefaultRoute | None:
    """None if the network plugin has not written it, or in another form."""
    try:
        found = json.loads(node["metadata"]["annotations"][_GATEWAY_CONFIG])["default"]
        # The id is that of a port in OVN: the name of the bridge and that of the node.
        bridge = found.get("bridge-id") or found["interface-id"].removesuffix(f"_{name_of(node)}")
        addresses = [ipaddress.ip_interface(text) for text in found["ip-addresses"]]
        networks = [one.network for one in addresses if isinstance(one, ipaddress.IPv4Interface)]
        return _DefaultRoute(str(bridge), tuple(networks)) if networks else None
    except (AttributeError, LookupError, TypeError, ValueError):
        return None


def _master(facts: Facts) -> Iterator[Finding]:
    """Where the routers of the operator are attached, whatever `master` says."""
    for router, node, route in _routes(facts):
        if router.master and route and router.master != route.interface:
            yield Finding(
                _ROUTE, WARNING, f"master '{router.master}' has no effect, the router is attached to the interface of the node's default "
                f"route, {route.interface}", "no master with this backend", f"Remove master, {_USE_AGENT}", (router.id,), (node,),
            )  # fmt: skip


def _subnet(facts: Facts) -> Iterator[Finding]:
    for router, node, route in _routes(facts):
        for address in router.addresses if route else ():
            if route and not any(ipaddress.ip_address(address.ip) in network for network in route.networks):
                yield Finding(
                    _ROUTE, WARNING, f"the interface of the node's default route, {route.interface}, to which the router is attached, is in "
                    f"{', '.join(map(str, route.networks))}", f"the subnet of the egress address {address.cidr}",
                    f"Check that both are on the same segment, else choose an address there, {_USE_AGENT} and its key master",
                    (router.id,), (node,),
                )  # fmt: skip


def _routes(facts: Facts) -> Iterator[tuple[Router, str, _DefaultRoute | None]]:
    for router in facts.operated.routers if facts.operated and facts.operated.served else ():
        for node in facts.eligible(router):
            yield router, name_of(node), _default_route(node)


def _coverage(facts: Facts) -> tuple[int, list[str]]:
    found = list(_routes(facts))
    unknown = tuple(dict.fromkeys(node for _router, node, route in found if route is None))
    reason = f"OVN-Kubernetes has not said what the default route is, in annotation {_GATEWAY_CONFIG}"
    return sum(route is not None for _router, _node, route in found), [
        f"{listed('node', unknown)}: {reason}"
    ] if unknown else []


def findings(question: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[Finding]:
    """`answer`: the result of openstack_allowed_address_pair_info, or its failure, for the question of questions.py."""
    for problem in question["problems"]:
        yield _not_known(problem)
    if not question["options"]:
        return
    if answer.get("failed") or "ports" not in answer:
        yield _not_known(str(answer.get("msg") or "Neutron was not asked"))
        return
    for port in answer["ports"]:
        if port["port_security"]:
            routers = dict.fromkeys(question["routers"][one["ip_address"]] for one in port["addresses"])
            yield _guarded(port["port_id"], tuple(routers), question["nodes"].get(port["server_id"], port["server_id"]))


def _guarded(port: str, routers: tuple[str, ...], node: str) -> Finding:
    return Finding(
        RANDOM_MAC, ERROR, f"port {port} has port security, which drops what the router sends: its MAC address is another one at every "
        "start, so that no allowed address pair can name it, and a pair without one means that of the port",
        "port security that is disabled on the nodes' ports of the egress network",
        "Use backend agent, whose MAC address stays the same and gets pairs, or disable port security on the port (openstack port set "
        f"--no-security-group --no-allowed-address --disable-port-security {port})", routers, (node,),
    )  # fmt: skip


def _not_known(reason: str, routers: tuple[str, ...] = ()) -> Finding:
    return Finding(
        RANDOM_MAC, ERROR, f"whether OpenStack's port security drops what the router sends with its random MAC address is not known: {reason}",
        "port security that is disabled on the nodes' ports of the egress network",
        f"Correct this, use backend agent, or, if port security is disabled there, add {RANDOM_MAC} to preflight_ignore", routers,
    )  # fmt: skip


def _cannot_ask(facts: Facts) -> Iterator[Finding]:
    """Without nodes it is not known which ports to look at."""
    operated = facts.operated
    if operated and operated.platform == "OpenStack" and NODES in facts.unread:
        yield _not_known(facts.unread[NODES], _all(operated))


def _ask(_facts: Facts) -> Iterator[Finding]:
    """Nothing: if a node is an OpenStack server, Neutron is asked."""
    yield from ()


def _all(operated: Operated) -> tuple[str, ...]:
    found: list[Router] = list(operated.routers)
    return tuple(router.id for router in found)


CHECKS = (
    Check(
        _ID, "no router has backend egress_router_cr, or those can be made",
        (Part((), _served), Part((), _network), Part((), _neighbours), Part((), _agents), Part((), _permissions)),
    ),
    Check(
        _ROUTE, "no router has backend egress_router_cr, or its address is in the subnet of the nodes' default route",
        (Part((NODES,), _master), Part((NODES,), _subnet)), _coverage,
    ),
    Check(
        RANDOM_MAC, "no router has backend egress_router_cr, or no OpenStack port drops what it sends",
        (Part((PORT_SECURITY,), _ask), Part((), _cannot_ask)),
    ),
)  # fmt: skip
