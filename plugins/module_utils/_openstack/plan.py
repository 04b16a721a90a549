# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which pairs the ports of which nodes have to allow: from routers and nodes to the options of the modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._common.errors import InputError
from .._router.placement import may_run_on
from .._router.problems import Problem
from .._router.router import Router
from .node import is_openstack, read_node

Addresses = list[dict[str, Any]]


def plan_addresses(
    routers: Iterable[Router], nodes: Iterable[Mapping[str, Any]], servers: Mapping[str, str]
) -> tuple[Addresses, Addresses, list[Problem]]:
    """The addresses to allow and those to remove, each with its nodes, and the problems.

    `nodes`: Kubernetes Node objects. `servers`: server or port ids by node name, for nodes without a usable providerID.
    The addresses of absent routers are removed from all nodes, because a router may have run on others before, except where
    a present router needs them.
    """
    # A pair names a MAC address. Where that is another one at every start, no pair helps.
    routers, nodes = [router for router in routers if router.mac], list(nodes)
    wanted: dict[tuple[str, str], list[str]] = {}
    problems: list[Problem] = []
    for router in routers:
        for node in nodes:
            if router.present and may_run_on(router, node):
                server = _server(node, servers)
                problems += _problems_of(router, node, server)
                for address in router.addresses:
                    wanted.setdefault((address.ip, router.mac), []).append(server)
    everywhere = [server for node in nodes if _usable(server := _server(node, servers))]
    unwanted = {
        (address.ip, router.mac): [
            server for server in everywhere if server not in wanted.get((address.ip, router.mac), [])
        ]
        for router in routers
        for address in router.addresses
        if not router.present
    }
    return _listed(wanted), _listed(unwanted), problems


def plan_ports(
    routers: Iterable[Router], nodes: Iterable[Mapping[str, Any]], servers: Mapping[str, str]
) -> tuple[Addresses, list[Problem]]:
    """The same for present routers that have another MAC address at every start: their addresses alone, each with its nodes."""
    nodes = list(nodes)
    wanted: dict[str, list[str]] = {}
    problems: list[Problem] = []
    for router in routers:
        for node in nodes if router.present and not router.mac else ():
            if may_run_on(router, node):
                server = _server(node, servers)
                problems += _problems_of(router, node, server)
                for address in router.addresses:
                    wanted.setdefault(address.ip, []).append(server)
    return [{"ip_address": ip, "nodes": list(dict.fromkeys(found))} for ip, found in wanted.items()], problems


def on_openstack(nodes: Iterable[Mapping[str, Any]], servers: Mapping[str, str]) -> bool:
    """Whether any node of the cluster is an OpenStack server."""
    return bool(servers) or any(is_openstack(node["spec"].get("providerID") or "") for node in nodes)


def _server(node: Mapping[str, Any], servers: Mapping[str, str]) -> str:
    return servers.get(node["metadata"]["name"]) or node["spec"].get("providerID") or ""


def _usable(server: str) -> bool:
    try:
        read_node(server)
    except InputError:
        return False
    return True


def _problems_of(router: Router, node: Mapping[str, Any], server: str) -> list[Problem]:
    try:
        read_node(server)
    except InputError as error:
        name = node["metadata"]["name"]
        advice = "(exclude the node with node_selector, or name its server in openstack_allowed_address_pair_servers)"
        return [Problem(router.id, "node_selector", f"the router may run on node {name}, but {error} {advice}")]
    return []


def _listed(found: Mapping[tuple[str, str], list[str]]) -> Addresses:
    return [
        {"ip_address": ip, "mac_address": mac, "nodes": list(dict.fromkeys(nodes))}
        for (ip, mac), nodes in found.items()
    ]
