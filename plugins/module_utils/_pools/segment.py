# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Asks the segments whether somebody answers for an address, with the pods by which preflight inspects the nodes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._common.errors import EgressError
from .._contract.inspect import Occupancy
from .._contract.rules import IPAddress
from .._kubernetes.cluster import Cluster
from .._preflight.facts import Inspection, name_of, ready
from .._preflight.inspection import PodOptions, cni_directory, inspect
from .._router.addresses import Address
from .._router.placement import may_run_on
from .._router.router import Router


@dataclass(frozen=True)
class Options:
    """How the segments are asked. `ask`: whether at all. `cni_directory`: empty for the usual one."""

    ask: bool = True
    namespace: str = ""
    cni_directory: str = ""
    wait_timeout: int = 120


@dataclass(frozen=True)
class Answers:
    """`used`: who has an address. `unasked`: why not everything could be asked, a sentence each."""

    used: Mapping[IPAddress, str]
    unasked: tuple[str, ...] = ()


def ask_segments(
    cluster: Cluster, nodes: list[dict[str, Any]], wanted: list[tuple[Router, list[IPAddress]]], options: Options
) -> Answers:
    """Who answers for the addresses, on the nodes where their routers can run."""
    if not options.ask:
        return Answers({}, ("the node checks are switched off",))
    if not wanted:
        return Answers({}, ("no router of the list has an image with which a node could be inspected",))
    if not nodes:
        return Answers({}, ("the nodes are not known",))
    by_node: dict[str, list[Router]] = {}
    for router in _stand_ins(wanted):
        for node in nodes:
            if ready(node) and may_run_on(router, node):
                by_node.setdefault(name_of(node), []).append(router)
    if not by_node:
        return Answers({}, ("no node that can run the routers is ready",))
    directory = options.cni_directory or cni_directory(nodes)
    try:
        found = inspect(cluster, by_node, PodOptions(options.namespace, directory, options.wait_timeout))
    except EgressError as error:
        return Answers({}, (str(error),))
    return _answers(found)


def _stand_ins(wanted: list[tuple[Router, list[IPAddress]]]) -> list[Router]:
    """The routers with the addresses to ask for, each address once for a segment and the nodes where it matters."""
    asked = set()
    found = []
    for router, ips in wanted:
        segment = (router.master, str(router.node_labels), str(router.tolerations))
        new = [ip for ip in ips if (segment, ip) not in asked]
        asked |= {(segment, ip) for ip in new}
        if new:
            addresses = tuple(Address(str(ip), ip.max_prefixlen) for ip in new)
            found.append(replace(router, addresses=addresses))
    return found


def _answers(inspections: Mapping[str, Inspection]) -> Answers:
    used: dict[IPAddress, str] = {}
    unasked: dict[str, None] = {}
    for node, inspection in inspections.items():
        if inspection.answer is None:
            unasked[f"node {node}: {inspection.problem}"] = None
        for target in _targets(inspection):
            if target.error:
                unasked[f"node {node}: {target.error}"] = None
            elif reason := _user(target):
                used.setdefault(ipaddress.ip_address(target.ip), f"{reason}, as node {node} sees it")
    return Answers(used, tuple(unasked))


def _targets(inspection: Inspection) -> Iterable[Occupancy]:
    return inspection.answer.targets if inspection.answer else ()


def _user(target: Occupancy) -> str:
    if target.node_has_ip_on:
        return f"is an address of the node, on {target.node_has_ip_on}"
    return f"is in use by {target.holder_mac}" if target.holder_mac else ""
