# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which address a router gets. Pure: from what there is, to a choice or to sentences that say why there is none."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .._common.errors import InputError
from .._contract.rules import IPAddress
from .._router.problems import Problem
from .allocation import Allocation, written
from .pool import Pool
from .request import Request

# How many of those who have the addresses of a pool a sentence names.
_NAMED = 10


@dataclass(frozen=True)
class Taken:
    """Why an address is not to be allocated. `key`: the router that has it on the cluster, which may get it."""

    reason: str
    key: tuple[str, str] | None = None


@dataclass
class Situation:
    """What there is. `now`: by the API server's clock. `allocations`: by address.

    `taken`: what else is used. `deployed`: the routers that are deployed with an address.
    """

    pools: Mapping[str, Pool]
    now: datetime
    allocations: dict[IPAddress, Allocation] = field(default_factory=dict)
    taken: dict[IPAddress, Taken] = field(default_factory=dict)
    deployed: dict[IPAddress, tuple[str, str]] = field(default_factory=dict)

    def look_at(self, taken: Mapping[IPAddress, Taken]) -> None:
        """What the cluster uses."""
        self.taken.update(taken)
        self.deployed.update({ip: one.key for ip, one in taken.items() if one.key})

    def pool_of(self, ip: IPAddress) -> Pool | None:
        """The pool that has the address now, whatever it was called when it was allocated."""
        return next((pool for pool in self.pools.values() if ip in pool), None)

    def of_router(self, key: tuple[str, str]) -> list[Allocation]:
        """What a router has."""
        return [one for one in self.allocations.values() if one.key == key and not one.released]

    def current(self, request: Request) -> IPAddress | None:
        """The address of the pool with which the router is deployed on the cluster; None if there is none."""
        pool = self.pools[request.pool]
        return next((ip for ip, key in self.deployed.items() if key == request.key and ip in pool), None)

    def obstacle(self, ip: IPAddress, request: Request) -> str:
        """Why the router cannot get an address; empty if it can."""
        taken, allocation = self.taken.get(ip), self.allocations.get(ip)
        if allocation is not None and allocation.key != request.key:
            rests_until = allocation.rests_until(self.pools[request.pool].quarantine_seconds)
            if rests_until is None:
                return f"is allocated to router {allocation.router_id}"
            if rests_until > self.now:
                return f"was released by router {allocation.router_id} and rests until {written(rests_until)}"
        return taken.reason if taken and taken.key != request.key else ""


def kept(requests: list[Request], situation: Situation) -> dict[Request, Allocation]:
    """The requests that have their address already. InputError with all that contradicts the pools and the list."""
    found: dict[Request, Allocation] = {}
    problems = _outside(situation)
    for request in requests:
        own = [one for one in situation.of_router(request.key) if one.ip in situation.pools[request.pool]]
        if len(own) > 1:
            both = " and ".join(str(one.ip) for one in own)
            problems.append(
                request.problem(
                    "pool",
                    f"{both} of pool {request.pool} are allocated to it: delete the ConfigMap of the one that it does not use",
                )
            )
        elif own and request.ip not in (None, own[0].ip):
            message = (
                f"'{request.ip}' is asked for, but the router has {own[0].ip} of the same pool: leave ip out to keep that, or remove "
                "the router first"
            )
            problems.append(request.problem("ip", message))
        elif own:
            found[request] = own[0]
    if problems:
        raise InputError("\n".join(map(str, problems)))
    return found


def choose(
    requests: list[Request], situation: Situation, others: Mapping[Request, IPAddress] | None = None
) -> dict[Request, IPAddress]:
    """A different address for each; InputError with all that get none. `others`: what was chosen before.

    What a router asks for, or has on the cluster already, it gets or nothing: servers know it by that address.
    """
    found: dict[Request, IPAddress] = {}
    problems = []
    # First those that want a certain one.
    for request in sorted(requests, key=lambda request: wanted(request, situation) is None):
        ip, problem = wanted(request, situation), None
        if ip is not None:
            problem = _refused(request, ip, situation)
        else:
            before = {**(others or {}), **found}
            ip = next(free(request, situation, before.values()), None)
            problem = _full(request, situation, before) if ip is None else None
        if problem is not None:
            problems.append(problem)
        elif ip is not None:
            found[request] = ip
    if problems:
        raise InputError("\n".join(map(str, problems)))
    return {request: found[request] for request in requests}


def wanted(request: Request, situation: Situation) -> IPAddress | None:
    """The only address that will do; None if any will."""
    return request.ip or situation.current(request)


def free(request: Request, situation: Situation, others: Collection[IPAddress] = ()) -> Iterator[IPAddress]:
    """What the router can get: first what it had before, then the lowest."""
    pool = situation.pools[request.pool]
    former = [one.ip for one in situation.allocations.values() if one.key == request.key and one.ip in pool]
    for ip in former:
        if ip not in others and not situation.obstacle(ip, request):
            yield ip
    for ip in pool:
        if ip not in others and ip not in former and not situation.obstacle(ip, request):
            yield ip


def unused(
    present: Collection[Request], routers: Collection[tuple[str, str]], situation: Situation
) -> list[Allocation]:
    """What the routers of the list have and do not ask for."""
    asked = {(request.key, request.pool) for request in present}
    found = []
    for allocation in situation.allocations.values():
        pool = situation.pool_of(allocation.ip)
        wanted_still = pool is not None and (allocation.key, pool.name) in asked
        if allocation.key in routers and not allocation.released and not wanted_still:
            found.append(allocation)
    return sorted(found, key=lambda one: (one.ip.version, one.ip))


def _outside(situation: Situation) -> list[Problem]:
    """Allocated addresses that their pool does not have any more."""
    found = []
    for one in situation.allocations.values():
        pool = situation.pools.get(one.pool)
        if pool is not None and not one.released and situation.pool_of(one.ip) is None:
            message = (
                f"pool {pool} does not have {one.ip} any more, which is allocated to router {one.router_id}: put it into ranges "
                "again, or remove that router first"
            )
            found.append(Problem("", "egress_router_pools", message))
    return found


def _refused(request: Request, ip: IPAddress, situation: Situation) -> Problem | None:
    reason = situation.obstacle(ip, request)
    if not reason:
        return None
    if request.ip is None:
        return request.problem(
            "pool",
            f"the router is deployed with {ip} of pool {request.pool}, which {reason}: set ip to the address that it shall have",
        )
    return request.problem(
        "ip", f"'{ip}' of pool {request.pool} {reason}: ask for another one, or leave ip out for any"
    )


def _full(request: Request, situation: Situation, others: Mapping[Request, IPAddress]) -> Problem:
    """With those who have the addresses."""
    pool = situation.pools[request.pool]
    # Those that have theirs by now are among the allocations.
    new = {ip: one for one, ip in others.items() if ip in pool and situation.obstacle(ip, request) == ""}
    owners = [
        f"{one.ip} {one.router_id}" for one in situation.allocations.values() if one.ip in pool and not one.released
    ]
    unavailable = [
        f"{ip} {reason}"
        for ip in sorted({*situation.allocations, *situation.taken}, key=lambda ip: (ip.version, ip))
        if ip in pool
        and ip not in [one.ip for one in situation.allocations.values() if not one.released]
        and (reason := situation.obstacle(ip, request))
    ]
    said = [
        _listed("Allocated", owners),
        _listed("For other routers of this run", [f"{ip} {one.router_id}" for ip, one in new.items()]),
        _listed("Not available", unavailable),
        "Add a range, or remove a router",
    ]
    return request.problem("pool", f"pool {pool} is full. {'. '.join(filter(None, said))}")


def _listed(what: str, texts: list[str]) -> str:
    more = f" and {len(texts) - _NAMED} more (module address_pool_info lists them)" if len(texts) > _NAMED else ""
    return f"{what}: {', '.join(texts[:_NAMED])}{more}" if texts else ""
