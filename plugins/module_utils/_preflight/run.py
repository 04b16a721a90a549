# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Gathers what there is to know of a cluster, and has the checks judge it.

The number of requests depends on the namespaces of the routers and on the nodes, but not on how many routers there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .._common.errors import ApiError, Forbidden, InputError
from .._kubernetes.cluster import Cluster
from .._router import option
from .._router.backend import EGRESS_ROUTER_CR
from .._router.router import Router
from . import operated_facts
from .cluster_facts import read
from .facts import ANSWERS, INSPECTION, NODES, Facts, Settings, name_of, ready
from .inspection import PodOptions, cni_directory, inspect
from .questions import clouds, questions
from .report import examine, unknown_ids

SPEC: dict[str, Any] = {
    **option.SPEC,
    "ignore": {"type": "list", "elements": "str", "default": []},
    "node_checks": {"type": "bool", "default": True},
    "openstack_checks": {"type": "bool", "default": True},
    "vsphere_checks": {"type": "bool", "default": True},
    "skip_serving": {"type": "bool", "default": False},
    "create_namespaces": {"type": "bool", "default": False},
    "namespace": {"type": "str", "default": ""},
    "wait_timeout": {"type": "int", "default": 120},
    "cni_directory": {"type": "str", "default": ""},
    "meta_plugins": {"type": "list", "elements": "str", "default": []},
    "mac_limit": {"type": "int"},
    "openstack_servers": {"type": "dict", "default": {}},
    "vsphere_vms": {"type": "dict", "default": {}},
    "vsphere_networks": {"type": "dict", "default": {}},
}


def run(connect: Callable[[], Cluster], params: dict[str, Any]) -> dict[str, Any]:
    """What report.complete makes the report of, once the clouds have answered."""
    unknown = unknown_ids(params["ignore"])
    if unknown:
        raise InputError("\n".join(unknown))
    routers, began = [router for router in option.read(params) if router.present], time.monotonic()
    cluster = connect()
    settings = Settings(
        params["create_namespaces"], params["mac_limit"], tuple(params["meta_plugins"]), params["namespace"]
    )
    # A router of the operator has nothing in common with the others but its list.
    operated = [router for router in routers if router.backend == EGRESS_ROUTER_CR]
    facts = read(cluster, [router for router in routers if router not in operated], settings)
    if operated:
        facts = replace(facts, operated=operated_facts.read(cluster, operated))
    facts = inspect_nodes(cluster, facts, params)
    facts, asked = questions(facts, params)
    seconds = round(time.monotonic() - began, 1)
    able = len(facts.eligible_for(facts.all_routers))
    about = (
        f"{_count(len(routers), 'router')}, {_count(len(facts.nodes), 'node')} ({able} can run one), {cluster.requests} requests in "
        f"{seconds} s"
    )
    return {
        "examination": examine(facts).as_dict(),
        "questions": asked,
        "clouds": clouds(facts, params),
        "ignore": params["ignore"],
        "about": about,
        "inspected_nodes": sorted(node for node, seen in facts.inspections.items() if seen.answer),
        "requests": cluster.requests,
        "seconds": seconds,
    }


def inspect_nodes(cluster: Cluster, facts: Facts, params: dict[str, Any]) -> Facts:
    """The facts with what was seen on the nodes, or with the reason why they were not inspected."""
    if not params["node_checks"]:
        return _without(facts, "the node checks are switched off (preflight_node_checks)")
    if NODES in facts.unread:
        return _without(facts, facts.unread[NODES])
    routers = [router for router in facts.routers if not (params["skip_serving"] and facts.settled(router))]
    if not routers:
        return _without(facts, "all routers are already serving as described")
    wanted: dict[str, list[Router]] = {}
    for router in routers:
        for node in facts.eligible(router):
            if ready(node):
                wanted.setdefault(name_of(node), []).append(router)
    directory = params["cni_directory"] or cni_directory(facts.nodes)
    try:
        inspections = inspect(cluster, wanted, PodOptions(params["namespace"], directory, params["wait_timeout"]))
    except (Forbidden, ApiError) as error:
        return _without(
            facts,
            f"{error} (or set preflight_namespace to a namespace that allows Pod Security level privileged)",
        )
    found = replace(facts, inspections=inspections, inspected=tuple(router.id for router in routers))
    if any(inspection.answer for inspection in inspections.values()):
        return found
    return replace(found, unread={**facts.unread, ANSWERS: "no node could be inspected"})


def _without(facts: Facts, reason: str) -> Facts:
    return replace(facts, unread={**facts.unread, INSPECTION: reason, ANSWERS: reason})


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
