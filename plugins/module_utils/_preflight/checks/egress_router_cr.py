# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What routers need that OpenShift's operator makes."""

from __future__ import annotations

from collections.abc import Iterator

from ..._egress_router_cr.manifests import CLUSTER_ROLE, ROLES_FILE
from ..._egress_router_cr.operator import RESOURCE
from ..._router.router import Router
from ..facts import Facts, Operated
from ..finding import ERROR, WARNING, Check, Finding, Part

_ID, _MAC = "egress_router_cr", "random_mac"
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


def _random_mac(facts: Facts) -> Iterator[Finding]:
    operated = facts.operated
    if operated is None:
        return
    nodes = [node for node in facts.nodes if str(node["spec"].get("providerID") or "").startswith("openstack://")]
    if operated.platform == "OpenStack" or nodes:
        yield Finding(
            _MAC, ERROR, "the nodes are OpenStack servers, and the router has another MAC address at every start, so that no allowed address "
            "pair can name it", "port security that is off on the nodes' ports of the egress network",
            f"If it is off, add {_MAC} to preflight_ignore. If it is to stay on, use backend agent", _all(operated),
        )  # fmt: skip


def _all(operated: Operated) -> tuple[str, ...]:
    found: list[Router] = list(operated.routers)
    return tuple(router.id for router in found)


CHECKS = (
    Check(
        _ID, "no router has backend egress_router_cr, or those can be made",
        (Part((), _served), Part((), _network), Part((), _neighbours), Part((), _agents), Part((), _permissions)),
    ),
    Check(_MAC, "no router has backend egress_router_cr, or the nodes are not OpenStack servers", (Part((), _random_mac),)),
)  # fmt: skip
