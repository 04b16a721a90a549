# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which address a router gets. Pure: from what there is, to a choice or to sentences that say why there is none."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from .._common.errors import InputError
from .._contract.rules import IPAddress
from .._router.problems import Problem
from .allocation import Allocation, written
from .matching import matched
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

    def has(self, key: tuple[str, str], pool: str) -> dict[IPAddress, Allocation]:
        """What a router has of a pool, whatever the pool was called when it was allocated."""
        return {one.ip: one for one in self.of_router(key) if one.ip in self.pools[pool]}

    def current(self, request: Request) -> list[IPAddress]:
        """The addresses of the pool with which the router is deployed on the cluster, but for those that are allocated to it."""
        pool, own = self.pools[request.pool], self.has(request.key, request.pool)
        return [ip for ip, key in self.deployed.items() if key == request.key and ip in pool and ip not in own]

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
    found = held(requests, situation)
    problems = _outside(situation)
    for (key, pool), group in _groups(requests).items():
        own = situation.has(key, pool)
        left = [
            one for ip, one in own.items() if ip not in [found[request].ip for request in group if request in found]
        ]
        for request in group:
            if request not in found and request.ip and left:
                message = (
                    f"'{request.ip}' is asked for, but the router has {left[0].ip} of the same pool: leave ip out to keep that, or "
                    "remove the router first"
                )
                problems.append(request.problem("ip", message))
            elif request in found and request.ip is None:
                problems += _doubled(request, [found[request], *left])
    if problems:
        raise InputError("\n".join(map(str, problems)))
    return found


def held(requests: Collection[Request], situation: Situation) -> dict[Request, Allocation]:
    """The requests that have an address, with it."""
    found = {}
    for (key, pool), group in _groups(requests).items():
        own = situation.has(key, pool)
        numbered = {request.number: request for request in group}
        asked = {number: request.ip for number, request in numbered.items()}
        for number, ip in matched(asked, {ip: one.number for ip, one in own.items()}).items():
            found[numbered[number]] = own[ip]
    return found


def _groups(requests: Collection[Request]) -> dict[tuple[tuple[str, str], str], list[Request]]:
    """By router and pool."""
    found: dict[tuple[tuple[str, str], str], list[Request]] = {}
    for request in requests:
        found.setdefault((request.key, request.pool), []).append(request)
    return found


def _doubled(request: Request, has: list[Allocation]) -> Iterator[Problem]:
    """Two runs at the same time have both found an address for the same request. Which one is in use, they do not know."""
    same = [str(one.ip) for one in has if one.number == has[0].number]
    if len(same) > 1:
        yield request.problem(
            "pool",
            f"{' and '.join(same)} of pool {request.pool} are allocated to it: delete the ConfigMap of the one that it does not use",
        )


def renumbered(requests: Collection[Request], situation: Situation) -> Iterator[tuple[Allocation, Allocation]]:
    """Allocations, before and after, that shall have their request's number and its pool's name.

    What is not asked for comes after all that is.
    """
    have = held(requests, situation)
    for (key, pool), group in _groups(requests).items():
        own = situation.has(key, pool).values()
        after = {have[request].ip: (request.pool, request.number) for request in group if request in have}
        last = max([len(group), *(one.number for one in own)])
        for one in own:
            if one.ip not in after and one.number <= len(group):
                last += 1
                after[one.ip] = (one.pool, last)
        for one in own:
            name, number = after.get(one.ip, (one.pool, one.number))
            if (one.pool, one.number) != (name, number):
                yield one, replace(one, pool=name, number=number)


def choose(
    requests: list[Request], situation: Situation, others: Mapping[Request, IPAddress] | None = None
) -> dict[Request, IPAddress]:
    """A different address for each; InputError with all that get none. `others`: what was chosen before.

    What a router asks for, or has on the cluster already, it gets or nothing: servers know it by that address.
    """
    certain: dict[Request, IPAddress] = {}
    for request in sorted(requests, key=lambda request: request.ip is None):
        ip = wanted(request, situation, {**(others or {}), **certain}.values())
        if ip is not None:
            certain[request] = ip
    found: dict[Request, IPAddress] = {}
    problems = []
    # First those that want a certain one.
    for request in sorted(requests, key=lambda request: request not in certain):
        ip, problem = certain.get(request), None
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


def wanted(request: Request, situation: Situation, others: Collection[IPAddress] = ()) -> IPAddress | None:
    """The only address that will do; None if any will. `others`: for other requests."""
    return request.ip or next((ip for ip in situation.current(request) if ip not in others), None)


def free(request: Request, situation: Situation, others: Collection[IPAddress] = ()) -> Iterator[IPAddress]:
    """What the router can get: first what it had before, then the lowest."""
    pool = situation.pools[request.pool]
    before = [
        one for one in situation.allocations.values() if one.key == request.key and one.ip in pool and one.released
    ]
    former = [one.ip for one in sorted(before, key=lambda one: (one.number != request.number, one.number))]
    not_free = {*others, *situation.has(request.key, request.pool)}
    for ip in former:
        if ip not in not_free and not situation.obstacle(ip, request):
            yield ip
    for ip in pool:
        if ip not in not_free and ip not in former and not situation.obstacle(ip, request):
            yield ip


def unused(
    present: Collection[Request], routers: Collection[tuple[str, str]], situation: Situation
) -> list[Allocation]:
    """What the routers of the list have and do not ask for."""
    asked = {one.ip for one in held(present, situation).values()}
    found = [
        one for one in situation.allocations.values() if one.key in routers and not one.released and one.ip not in asked
    ]
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
