# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether routers can work on a cluster: reads everything once, looks at the nodes, and has the model judge it.

The number of requests does not depend on how many routers there are, but on their namespaces, and for the node checks on
the nodes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .._common.errors import ApiError, Forbidden, InputError
from .._kubernetes.cluster import Cluster
from .._router.router import Router
from .._router.routers import load
from .cluster_facts import read
from .facts import INSPECTION, NODES, Facts, Settings, name_of, ready
from .inspection import Place, inspect
from .questions import questions
from .report import examine, report, unknown_ids

# OpenShift's nodes keep their CNI plugins elsewhere, because /opt is read-only there.
_CNI_DIRECTORY, _CNI_DIRECTORY_OPENSHIFT = "/opt/cni/bin", "/var/lib/cni/bin"
_OPENSHIFT_LABEL = "node.openshift.io/os_id"

SPEC: dict[str, Any] = {
    "routers": {"type": "list", "elements": "dict", "required": True},
    "defaults": {"type": "dict", "default": {}},
    "ignore": {"type": "list", "elements": "str", "default": []},
    "node_checks": {"type": "bool", "default": True},
    "skip_serving": {"type": "bool", "default": False},
    "create_namespaces": {"type": "bool", "default": False},
    "namespace": {"type": "str", "default": ""},
    "node_timeout": {"type": "int", "default": 120},
    "cni_directory": {"type": "str", "default": ""},
    "attachment_plugins": {"type": "list", "elements": "str", "default": []},
    "mac_limit": {"type": "int"},
    "openstack_servers": {"type": "dict", "default": {}},
    "vsphere_vms": {"type": "dict", "default": {}},
    "vsphere_networks": {"type": "dict", "default": {}},
}


def read_options(params: dict[str, Any]) -> list[Router]:
    """The routers that shall be there; InputError with everything that is wrong with the options."""
    routers, found = load(params["routers"], params["defaults"])
    problems = [str(problem) for problem in found] + unknown_ids(params["ignore"])
    if problems:
        raise InputError("\n".join(problems))
    return [router for router in routers if router.present]


def run(connect: Callable[[], Cluster], params: dict[str, Any]) -> dict[str, Any]:
    """The module's result: the report, and what the role has to ask clouds."""
    routers, began = read_options(params), time.monotonic()
    cluster = connect()
    settings = Settings(params["create_namespaces"], params["mac_limit"], tuple(params["attachment_plugins"]))
    facts = read(cluster, routers, settings)
    facts = look_at_nodes(cluster, facts, params)
    facts, asked_elsewhere = questions(facts, params)
    nodes = {name_of(node) for router in routers for node in facts.eligible(router)}
    seconds = round(time.monotonic() - began, 1)
    what = (
        f"{_count(len(routers), 'router')}, {_count(len(facts.nodes), 'node')} ({len(nodes)} may run one), "
        f"{cluster.requests} requests in {seconds} s"
    )
    return {
        **report(examine(facts), params["ignore"], what),
        "about": what,
        **asked_elsewhere,
        "inspected_nodes": sorted(node for node, seen in facts.inspections.items() if seen.facts),
        "requests": cluster.requests,
        "seconds": seconds,
    }


def look_at_nodes(cluster: Cluster, facts: Facts, params: dict[str, Any]) -> Facts:
    """The facts with what was seen on the nodes; without, and the reason, where that is not possible or not wanted."""
    if not params["node_checks"]:
        return _without(facts, "the node checks are switched off (preflight_node_checks)")
    if NODES in facts.unread:
        return _without(facts, facts.unread[NODES])
    routers = [router for router in facts.routers if not (params["skip_serving"] and facts.settled(router))]
    if not routers:
        return _without(facts, "all routers serve already, as they are described")
    wanted: dict[str, list[Router]] = {}
    for router in routers:
        for node in facts.eligible(router):
            if ready(node):
                wanted.setdefault(name_of(node), []).append(router)
    directory = params["cni_directory"] or _cni_directory(facts)
    try:
        inspections = inspect(cluster, wanted, Place(params["namespace"], directory, params["node_timeout"]))
    except (Forbidden, ApiError) as error:
        return _without(
            facts, f"{error} (or name a namespace whose Pod Security level is privileged in preflight_namespace)"
        )
    return replace(facts, inspections=inspections, inspected=tuple(router.id for router in routers))


def _without(facts: Facts, reason: str) -> Facts:
    return replace(facts, unread={**facts.unread, INSPECTION: reason})


def _cni_directory(facts: Facts) -> str:
    openshift = any(_OPENSHIFT_LABEL in (node["metadata"].get("labels") or {}) for node in facts.nodes)
    return _CNI_DIRECTORY_OPENSHIFT if openshift else _CNI_DIRECTORY


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
