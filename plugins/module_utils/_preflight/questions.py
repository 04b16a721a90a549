# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What Neutron and vCenter have to be asked, and who of them: the role does it, with the modules that talk to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .._openstack.plan import on_openstack, plan_addresses
from .._vsphere.plan import on_vsphere, plan_nics
from .facts import OPENSTACK, VSPHERE, Facts, name_of


def questions(facts: Facts, params: Mapping[str, Any]) -> tuple[Facts, dict[str, Any]]:
    """The facts, in which these answers are still open, and the parts `openstack` and `vsphere` of the module's result."""
    neutron, vcenter = _openstack(facts, params), _vsphere(facts, params)
    open_ = {OPENSTACK: "Neutron"} if neutron["on_openstack"] else {}
    open_ |= {VSPHERE: "vCenter"} if vcenter["on_vsphere"] else {}
    reasons = {key: f"the role preflight asks {who}, the module does not" for key, who in open_.items()}
    return replace(facts, unread={**facts.unread, **reasons}), {"openstack": neutron, "vsphere": vcenter}


def _openstack(facts: Facts, params: Mapping[str, Any]) -> dict[str, Any]:
    """`addresses`: as openstack_allowed_address_pair_info takes them. `nodes`: node names by the ids of their servers."""
    servers = _texts(params["openstack_servers"])
    here = on_openstack(facts.eligible_anywhere, servers)
    nodes = facts.nodes if here else ()
    present, _absent, problems = plan_addresses(facts.routers, nodes, servers)
    return {
        "on_openstack": here,
        "addresses": present,
        "nodes": {server.rpartition("/")[2]: name for server, name in _named(nodes, servers).items()},
        "problems": [str(problem) for problem in problems],
    }


def _vsphere(facts: Facts, params: Mapping[str, Any]) -> dict[str, Any]:
    """`nics`: as vsphere_port_group_security_info takes them. `nodes`: node names by what stands there for the node."""
    vms, networks = _texts(params["vsphere_vms"]), _texts(params["vsphere_networks"])
    here = on_vsphere(facts.eligible_anywhere, vms)
    nodes = facts.nodes if here else ()
    nics, problems = plan_nics(facts.routers, nodes, vms, networks)
    return {
        "on_vsphere": here,
        "nics": nics,
        "nodes": _named(nodes, vms),
        "problems": [str(problem) for problem in problems],
    }


def _named(nodes: Any, given: Mapping[str, str]) -> dict[str, str]:
    return {given.get(name_of(node)) or node["spec"].get("providerID") or "": name_of(node) for node in nodes}


def _texts(values: Mapping[Any, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in values.items()}
