# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which addresses have to be let through for which nodes of the cluster: what role openstack_allowed_address_pair asks the module for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._router.addresses import read_addresses, read_mac
from .._router.fields import Fields
from .._router.placement import may_run_on
from .._router.problems import Problem, Problems
from .._router.router import Router, merged
from .._router.routers import load
from .node import is_openstack, read_node
from .pair import PairError

Addresses = list[dict[str, Any]]


def plan_addresses(
    data: Any, nodes: Iterable[Mapping[str, Any]], defaults: Any, servers: Mapping[str, str], all_absent: bool = False
) -> tuple[Addresses, Addresses, list[Problem]]:
    """The addresses to let through, those to shut out, each with its nodes, and what is wrong.

    `nodes`: Kubernetes' Node objects. `servers`: server or port ids by node name, for nodes without a usable providerID.
    An address is shut out on every node, because its router may have run on others before, but not where another router
    of the list needs it.
    """
    nodes = list(nodes)
    routers, problems = load(data, defaults)
    if problems:
        return [], [], problems
    present = [] if all_absent else [router for router in routers if router.present]
    wanted: dict[tuple[str, str], list[str]] = {}
    for router in present:
        for node in nodes:
            if may_run_on(router, node):
                server = _server(node, servers)
                problems += _problems_of(router, node, server)
                for address in router.addresses:
                    wanted.setdefault((address.ip, router.mac), []).append(server)
    everywhere = [server for node in nodes if (server := _server(node, servers)) and _usable(server)]
    unwanted = {}
    for pair in dict.fromkeys(_pairs_of_absent(data, defaults, all_absent)):
        unwanted[pair] = [server for server in everywhere if server not in wanted.get(pair, [])]
    return _listed(wanted), _listed(unwanted), problems


def on_openstack(nodes: Iterable[Mapping[str, Any]], servers: Mapping[str, str]) -> bool:
    """Whether any node of the cluster is a server of OpenStack."""
    return bool(servers) or any(is_openstack(node["spec"].get("providerID") or "") for node in nodes)


def _server(node: Mapping[str, Any], servers: Mapping[str, str]) -> str:
    return servers.get(node["metadata"]["name"]) or node["spec"].get("providerID") or ""


def _usable(server: str) -> bool:
    try:
        read_node(server)
    except PairError:
        return False
    return True


def _problems_of(router: Router, node: Mapping[str, Any], server: str) -> list[Problem]:
    try:
        read_node(server)
    except PairError as error:
        name = node["metadata"]["name"]
        advice = "(node_selector leaves a node out, openstack_allowed_address_pair_servers names its server)"
        return [Problem(router.id, "node_selector", f"node {name} may run it, but {error} {advice}")]
    return []


def _pairs_of_absent(data: Any, defaults: Any, all_absent: bool) -> list[tuple[str, str]]:
    """What absent routers had: an absent router is known by its name alone, its addresses are read here if it has any."""
    found = []
    for item in data or ():
        fields = Fields(merged(defaults or {}, item), Problems(""))
        if all_absent or fields.text("state") == "absent":
            addresses = read_addresses(fields)
            mac = read_mac(fields, addresses)
            found += [(address.ip, mac) for address in addresses]
    return found


def _listed(found: Mapping[tuple[str, str], list[str]]) -> Addresses:
    return [
        {"ip_address": ip, "mac_address": mac, "nodes": list(dict.fromkeys(nodes))}
        for (ip, mac), nodes in found.items()
    ]
