# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Reads old egress routers from a cluster or from files, and migrates them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .._common.errors import InputError
from .._contract.rules import IPNetwork
from .._kubernetes import legacy
from .._kubernetes.cluster import Cluster
from . import environment
from .files import read_files
from .objects import KINDS, Objects
from .routers import migrate
from .sdn_pod import has_macvlan

SPEC: dict[str, Any] = {
    "namespaces": {"type": "list", "elements": "str"},
    "files": {"type": "list", "elements": "path", "default": []},
    "manifests": {"type": "str", "default": ""},
    "networks": {"type": "list", "elements": "str", "default": []},
}


def run(connect: Callable[[], Cluster], params: Mapping[str, Any]) -> dict[str, Any]:
    """The module's result. Without files and manifests, the cluster is asked."""
    networks = read_networks(params["networks"])
    not_read: list[str] = []
    if params["files"] or params["manifests"]:
        objects = Objects(read_files(params["files"], params["manifests"]), params["namespaces"])
    else:
        objects, not_read = read_cluster(connect(), params["namespaces"])
    return migrate(objects, networks, not_read)


def read_networks(written: Iterable[str]) -> list[IPNetwork]:
    """The networks whose prefix lengths addresses get that have none."""
    found: list[IPNetwork] = []
    problems = []
    for item in written:
        try:
            found.append(ipaddress.ip_network(item))
        except ValueError:
            problems.append(f"networks: '{item}' is not a network: write it as {_as_network(item)}")
    if problems:
        raise InputError("\n".join(problems))
    return found


def _as_network(written: str) -> str:
    try:
        return str(ipaddress.ip_interface(written).network)
    except ValueError:
        return "198.51.100.0/24"


def read_cluster(cluster: Cluster, namespaces: list[str] | None) -> tuple[Objects, list[str]]:
    """What old routers are made of, and why other objects could not be read."""
    items, not_read = legacy.find(cluster, KINDS, namespaces)
    workloads = Objects(items, namespaces).workloads()
    wanted = {
        (workload.source.namespace, name)
        for workload in workloads
        if has_macvlan(workload) or environment.variables(workload, Objects(()))
        for name in environment.config_maps(workload)
    }
    config_maps, unread = legacy.config_maps(cluster, sorted(wanted))
    return Objects([*items, *config_maps], namespaces), [*not_read, *unread]
