# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What is known of the pools: what is used, by whom, what is free, and what belongs to no router. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .._common.errors import Forbidden
from .._kubernetes import backends
from .._kubernetes.cluster import Cluster
from .._kubernetes.selection import Key
from .allocation import Allocation, written
from .choose import Situation
from .pool import Pool
from .reading import addresses_of, described, in_order, read


def report(cluster: Cluster, pools: dict[str, Pool], namespace: str, with_orphans: bool) -> dict[str, Any]:
    """The result of the module address_pool_info."""
    situation, problems = read(cluster, pools, namespace)
    allocated = [one for one in situation.allocations.values() if not one.released]
    existing, unknown = _routers(cluster, allocated) if with_orphans else (set(), {one.namespace for one in allocated})
    orphans = [one for one in in_order(allocated) if one.key not in existing and one.namespace not in unknown]
    return {
        "pools": [_pool(pool, situation) for pool in pools.values()],
        "addresses": list(addresses_of(situation).values()),
        "orphans": [described(one) for one in orphans],
        "others": [described(one) for one in in_order(allocated) if situation.pool_of(one.ip) is None],
        "problems": problems,
        "requests": cluster.requests,
    }


def add_pool_addresses(cluster: Cluster, namespace: str, routers: list[dict[str, Any]]) -> None:
    """What each router of the module router_info has of pools."""
    situation, _problems = read(cluster, {}, namespace)
    for router in routers:
        router["pool_addresses"] = [
            {"pool": one.pool, "ip": str(one.ip), "allocated_at": written(one.allocated_at)}
            for one in in_order(situation.of_router((router["namespace"], router["name"])))
        ]


def _pool(pool: Pool, situation: Situation) -> dict[str, Any]:
    here = in_order(one for one in situation.allocations.values() if one.ip in pool)
    used = [described(one) for one in here if not one.released]
    resting = [
        {**described(one), "rests_until": written(until)}
        for one in here
        if (until := one.rests_until(pool.quarantine_seconds)) and until > situation.now
    ]
    return {
        "name": pool.name,
        "ranges": [str(span) for span in pool.ranges],
        "subnet": str(pool.subnet),
        "gateway": pool.gateway,
        "size": pool.size,
        "free": pool.size - len(used) - len(resting),
        "used": used,
        "resting": resting,
    }


def _routers(cluster: Cluster, allocated: Collection[Allocation]) -> tuple[set[Key], set[str]]:
    """The routers that exist, and the namespaces of which that is not known."""
    found: set[Key] = set()
    unknown: set[str] = set()
    spaces = sorted({one.namespace for one in allocated})
    for space in spaces:
        try:
            states = backends.read_states(cluster, {"routers": None, "namespaces": [space]})
        except Forbidden:
            unknown.add(space)
        else:
            found |= {(state.namespace, state.name) for state in states}
    return found, unknown
