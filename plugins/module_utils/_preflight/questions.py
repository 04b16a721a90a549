# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What Neutron and vCenter have to be asked. The action plugin asks them, with the modules that talk to them.

A question has its name from the check that it is for. It has the `module` and its `options` (none: there is nothing to ask), and what
the answer is read with: `nodes`, node names by the ids of the answer, `routers`, those of each address, and `problems`, what is
wrong without asking.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from .._openstack.plan import on_openstack, plan_addresses, plan_ports
from .._router.router import Router
from .._vsphere.plan import on_vsphere, plan_nics
from .checks.egress_router_cr import RANDOM_MAC
from .facts import NODES, OPENSTACK, PORT_SECURITY, VSPHERE, Facts, name_of

Question: TypeAlias = "dict[str, Any]"


def questions(facts: Facts, params: Mapping[str, Any]) -> tuple[Facts, dict[str, Question]]:
    """The facts, in which the clouds' answers are missing, and what each cloud has to be asked."""
    servers, vms = _texts(params["openstack_servers"]), _texts(params["vsphere_vms"])
    operated = facts.operated.routers if facts.operated else ()
    asked, unread = {}, {}
    if on_openstack(facts.eligible_for(facts.routers), servers):
        if params["openstack_checks"]:
            asked["openstack"], unread[OPENSTACK] = _openstack(facts, servers), "Neutron has not been asked"
        else:
            unread[OPENSTACK] = "this check is switched off (egress_router_openstack_allowed_address_pair)"
    on_platform = facts.operated is not None and facts.operated.platform == "OpenStack" and NODES not in facts.unread
    if operated and (on_platform or on_openstack(facts.eligible_for(operated), servers)):
        if params["openstack_checks"]:
            asked[RANDOM_MAC], unread[PORT_SECURITY] = (
                _port_security(facts, operated, servers),
                "Neutron has not been asked",
            )
        else:
            unread[PORT_SECURITY] = "this check is switched off (egress_router_openstack_allowed_address_pair)"
    if on_vsphere(facts.eligible_for(facts.all_routers), vms):
        if params["vsphere_checks"]:
            networks = _texts(params["vsphere_networks"])
            asked["vsphere"], unread[VSPHERE] = _vsphere(facts, vms, networks), "vCenter has not been asked"
        else:
            unread[VSPHERE] = "this check is switched off (egress_router_vsphere_port_group_security)"
    return replace(facts, unread={**unread, **facts.unread}), asked


def clouds(facts: Facts, params: Mapping[str, Any]) -> list[str]:
    """The clouds that any node of the cluster is on, or may be on where the nodes could not be listed."""
    on = {
        "openstack": on_openstack(facts.nodes, _texts(params["openstack_servers"])),
        "vsphere": on_vsphere(facts.nodes, _texts(params["vsphere_vms"])),
    }
    return [cloud for cloud, here in on.items() if here or NODES in facts.unread]


def _openstack(facts: Facts, servers: Mapping[str, str]) -> Question:
    addresses, _absent, problems = plan_addresses(list(facts.routers), facts.nodes, servers)
    return {
        "module": "egress.router.openstack_allowed_address_pair_info",
        "options": {"addresses": addresses, "writable": True} if addresses else {},
        "nodes": _by_id(facts, servers),
        "routers": {f"{address.ip} {one.mac}": one.id for one in facts.routers for address in one.addresses},
        "problems": [str(problem) for problem in problems],
    }


def _port_security(facts: Facts, operated: Iterable[Router], servers: Mapping[str, str]) -> Question:
    addresses, problems = plan_ports(operated, facts.nodes, servers)
    return {
        "module": "egress.router.openstack_allowed_address_pair_info",
        "options": {"addresses": addresses} if addresses else {},
        "nodes": _by_id(facts, servers),
        "routers": {address.ip: one.id for one in operated for address in one.addresses},
        "problems": [str(problem) for problem in problems],
    }


def _vsphere(facts: Facts, vms: Mapping[str, str], networks: Mapping[str, str]) -> Question:
    nics, problems = plan_nics(facts.all_routers, facts.nodes, vms, networks)
    return {
        "module": "egress.router.vsphere_port_group_security_info",
        "options": {"nics": nics, "writable": True} if nics else {},
        "nodes": _named(facts.nodes, vms),
        "problems": [str(problem) for problem in problems],
    }


def _by_id(facts: Facts, servers: Mapping[str, str]) -> dict[str, str]:
    """Names of nodes by the ids of their servers."""
    return {server.rpartition("/")[2]: name for server, name in _named(facts.nodes, servers).items()}


def _named(nodes: Iterable[Mapping[str, Any]], given: Mapping[str, str]) -> dict[str, str]:
    return {given.get(name_of(node)) or node["spec"].get("providerID") or "": name_of(node) for node in nodes}


def _texts(values: Mapping[Any, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in values.items()}
