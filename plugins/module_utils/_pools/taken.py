# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which addresses the cluster uses already: those of its nodes, and of its egress routers, whoever has deployed them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from .._common.concurrent import each
from .._common.errors import Forbidden, NotFound
from .._contract import names
from .._contract.rules import IPAddress
from .._egress_router_cr.operator import RESOURCE
from .._kubernetes.cluster import Cluster
from .._kubernetes.router_info import identity_of
from .._kubernetes.selection import router_of
from .choose import Taken

_Items = list[dict[str, Any]]


def read_taken(cluster: Cluster, namespaces: Iterable[str]) -> tuple[dict[IPAddress, Taken], _Items, list[str]]:
    """The addresses; the nodes; and why something could not be read. `namespaces`: of the routers of the list."""
    spaces = list(dict.fromkeys(namespaces))

    def nodes() -> _Items:
        return cluster.find("Node")

    def deployments(space: str | None) -> _Items:
        return cluster.find("Deployment", space, labels=names.SELECTOR)

    def resources(space: str | None) -> _Items:
        try:
            return cluster.find(RESOURCE.name, space)
        except NotFound:
            return []  # No OpenShift.

    reads: list[Callable[[], tuple[_Items, str]]] = [
        lambda: _attempt(nodes),
        lambda: _everywhere(deployments, spaces),
        lambda: _everywhere(resources, spaces),
    ]
    (found_nodes, no_nodes), (found_deployments, some), (found_resources, _some) = each(lambda read: read(), reads)
    taken = {
        **_of_nodes(found_nodes),
        **_of_deployments(found_deployments),
        **_of_resources(found_resources),
    }
    return taken, found_nodes, [reason for reason in (no_nodes, some) if reason]


def _attempt(read: Callable[[], _Items]) -> tuple[_Items, str]:
    try:
        return read(), ""
    except Forbidden as error:
        return [], str(error)


def _everywhere(read: Callable[[str | None], _Items], spaces: list[str]) -> tuple[_Items, str]:
    """Of all namespaces, or of those of the list if the others are out of reach."""
    found, reason = _attempt(lambda: read(None))
    if not reason:
        return found, ""
    own = each(lambda space: _attempt(lambda: read(space)), spaces)
    return [item for items, _reason in own for item in items], reason


def _of_nodes(nodes: _Items) -> dict[IPAddress, Taken]:
    return {
        ip: Taken(f"is an address of node {node['metadata']['name']}")
        for node in nodes
        for one in (node.get("status") or {}).get("addresses") or ()
        if (ip := _ip(one.get("address")))
    }


def _of_deployments(items: _Items) -> dict[IPAddress, Taken]:
    found = {}
    for item in items:
        spec = ((item.get("spec") or {}).get("template") or {}).get("spec") or {}
        identity = identity_of(next(iter(spec.get("containers") or ()), {}))
        for one in identity.addresses if identity else ():
            if ip := _ip(one.ip):
                found[ip] = _router(router_of(item))
    return found


def _of_resources(items: _Items) -> dict[IPAddress, Taken]:
    return {
        ip: _router((item["metadata"]["namespace"], item["metadata"]["name"]))
        for item in items
        for one in (item.get("spec") or {}).get("addresses") or ()
        if (ip := _ip(one.get("ip")))
    }


def _router(key: tuple[str, str]) -> Taken:
    return Taken(f"is the address of egress router {key[0]}/{key[1]}", key)


def _ip(text: Any) -> IPAddress | None:
    try:
        return ipaddress.ip_address(str(text).partition("/")[0])
    except ValueError:
        return None  # A host name, for example.
