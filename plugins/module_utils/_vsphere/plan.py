# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which network adapters of which nodes egress routers send through: what role vsphere_port_group_security asks the module for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._router.placement import may_run_on
from .._router.problems import Problem
from .._router.router import Router
from .._router.routers import load
from .node import VsphereError, is_vsphere, read_node

Nics = list[dict[str, Any]]


def plan_nics(
    data: Any, nodes: Iterable[Mapping[str, Any]], defaults: Any, vms: Mapping[str, str], networks: Mapping[str, str]
) -> tuple[Nics, list[Problem]]:
    """An entry of the module's option nics for each present router, and what is wrong.

    `nodes`: Kubernetes' Node objects. `vms`: names or UUIDs of VMs by node name, for nodes without a usable providerID.
    `networks`: the port group's name by the nodes' interface that is a router's master.
    """
    nodes = list(nodes)
    routers, problems = load(data, defaults)
    if problems:
        return [], problems
    found: Nics = []
    for router in routers:
        chosen = [node for node in nodes if router.present and may_run_on(router, node)]
        problems += [problem for node in chosen for problem in _problems_of(router, node, _vm(node, vms))]
        if chosen:
            named = [_vm(node, vms) for node in chosen]
            network = networks.get(router.master)
            which = {"network": network} if network else {"addresses": [address.ip for address in router.addresses]}
            found.append({**which, "nodes": named})
    return found, problems


def on_vsphere(nodes: Iterable[Mapping[str, Any]], vms: Mapping[str, str]) -> bool:
    """Whether any node of the cluster is a VM of vSphere."""
    return bool(vms) or any(is_vsphere(node["spec"].get("providerID") or "") for node in nodes)


def _vm(node: Mapping[str, Any], vms: Mapping[str, str]) -> str:
    return vms.get(node["metadata"]["name"]) or node["spec"].get("providerID") or ""


def _problems_of(router: Router, node: Mapping[str, Any], vm: str) -> list[Problem]:
    try:
        read_node(vm)
    except VsphereError as error:
        name = node["metadata"]["name"]
        advice = "(node_selector leaves a node out, vsphere_port_group_security_vms names its VM)"
        return [Problem(router.id, "node_selector", f"node {name} may run it, but {error} {advice}")]
    return []
