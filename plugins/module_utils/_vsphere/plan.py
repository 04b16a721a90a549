# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Through which network adapters of which nodes routers send: from routers and nodes to the options of the modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._common.errors import InputError
from .._router.backend import AGENT
from .._router.placement import may_run_on
from .._router.problems import Problem
from .._router.router import Router
from .node import is_vsphere, read_node

Nics = list[dict[str, Any]]


def plan_nics(
    routers: Iterable[Router],
    nodes: Iterable[Mapping[str, Any]],
    vms: Mapping[str, str],
    networks: Mapping[str, str],
) -> tuple[Nics, list[Problem]]:
    """An entry of the modules' option nics for each present router, and the problems.

    `nodes`: Kubernetes Node objects. `vms`: names or UUIDs of VMs by node name, for nodes without a usable providerID.
    `networks`: names of port groups by the interface of the nodes that is a router's master.
    """
    nodes = list(nodes)
    found: Nics = []
    problems: list[Problem] = []
    for router in routers:
        chosen = [node for node in nodes if router.present and may_run_on(router, node)]
        problems += [problem for node in chosen for problem in _problems_of(router, node, _vm(node, vms))]
        if chosen:
            # With another backend the key has no effect: it is always the interface of the default route.
            network = networks.get(router.master if router.backend == AGENT else "")
            which = {"network": network} if network else {"addresses": [address.ip for address in router.addresses]}
            found.append({**which, "nodes": [_vm(node, vms) for node in chosen]})
    return found, problems


def on_vsphere(nodes: Iterable[Mapping[str, Any]], vms: Mapping[str, str]) -> bool:
    """Whether any node of the cluster is a vSphere VM."""
    return bool(vms) or any(is_vsphere(node["spec"].get("providerID") or "") for node in nodes)


def _vm(node: Mapping[str, Any], vms: Mapping[str, str]) -> str:
    return vms.get(node["metadata"]["name"]) or node["spec"].get("providerID") or ""


def _problems_of(router: Router, node: Mapping[str, Any], vm: str) -> list[Problem]:
    try:
        read_node(vm)
    except InputError as error:
        name = node["metadata"]["name"]
        advice = "(exclude the node with node_selector, or name its VM in vsphere_port_group_security_vms)"
        return [Problem(router.id, "node_selector", f"the router may run on node {name}, but {error} {advice}")]
    return []
