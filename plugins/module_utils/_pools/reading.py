# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Reads what is allocated: one list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._common.errors import InputError
from .._contract.rules import IPAddress
from .._kubernetes.cluster import Cluster
from .allocation import SELECTOR, Allocation, object_name, read_allocation, written
from .choose import Situation
from .pool import Pool
from .request import as_address


def read(cluster: Cluster, pools: Mapping[str, Pool], namespace: str) -> tuple[Situation, list[str]]:
    """The allocations, and a sentence for each object that somebody has edited."""
    allocations, problems = {}, []
    for item in cluster.find("ConfigMap", namespace, labels=SELECTOR):
        try:
            allocation = read_allocation(item)
        except InputError as error:
            problems.append(str(error))
        else:
            allocations[allocation.ip] = allocation
    return Situation(pools, cluster.now(), allocations), problems


def in_order(allocations: Iterable[Allocation]) -> list[Allocation]:
    """By address, IPv4 first."""
    return sorted(allocations, key=lambda one: (one.ip.version, int(one.ip)))


def addresses_of(situation: Situation) -> dict[IPAddress, dict[str, Any]]:
    """Every allocated address of the pools, by which a list of routers is filled in."""
    return {
        one.ip: {
            "name": one.router,
            "namespace": one.namespace,
            "pool": pool.name,
            "number": one.number,
            **as_address(pool, one.ip),
        }
        for one in in_order(situation.allocations.values())
        if not one.released and (pool := situation.pool_of(one.ip))
    }


def described(allocation: Allocation) -> dict[str, Any]:
    """An address with the router that it is allocated to, or was."""
    return {
        "name": allocation.router,
        "namespace": allocation.namespace,
        "pool": allocation.pool,
        "ip": str(allocation.ip),
        "allocated_at": written(allocation.allocated_at),
        "config_map": object_name(allocation.ip),
    }
