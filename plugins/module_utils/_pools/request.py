# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which routers of the users' list ask which pools, and the list with the addresses filled in. Pure."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .._contract.rules import IPAddress
from .._router.fields import Fields, did_you_mean, is_list, is_omitted
from .._router.problems import Problem, Problems
from .._router.router import merged
from .matching import matched
from .pool import Pool

# By namespace and name of the router and name of the pool: what it has of it, `ip`, `gateway` and `number`.
Addresses: TypeAlias = "Mapping[tuple[str, str, str], list[Mapping[str, Any]]]"


@dataclass(frozen=True)
class Request:
    """A present router asks a pool for an address. `ip`: the one that it wants, None for any. `place`: in its `addresses`.

    `number`: of the router's requests to the pool, from 1.
    """

    namespace: str
    router: str
    place: int
    pool: str
    ip: IPAddress | None = None
    number: int = 1

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of the router."""
        return self.namespace, self.router

    @property
    def router_id(self) -> str:
        """`NAMESPACE/NAME` of the router."""
        return f"{self.namespace}/{self.router}"

    def problem(self, key: str, message: str) -> Problem:
        """What is wrong with it."""
        return Problem(self.router_id, f"addresses[{self.place}].{key}", message)

    def as_list(self) -> list[Any]:
        """For JSON. `Request.from_list(x.as_list()) == x`."""
        return [self.namespace, self.router, self.place, self.pool, str(self.ip) if self.ip else "", self.number]

    @classmethod
    def from_list(cls, data: list[Any]) -> Request:
        namespace, router, place, pool, ip, number = data
        return cls(namespace, router, place, pool, ipaddress.ip_address(ip) if ip else None, number)


@dataclass(frozen=True)
class _Entry:
    """An item of a router's `addresses`."""

    router: Mapping[str, Any]
    place: int
    item: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        return str(self.router.get("namespace") or "").strip(), str(self.router.get("name") or "").strip()

    @property
    def router_id(self) -> str:
        return "/".join(filter(None, self.key))

    @property
    def pool(self) -> str:
        value = self.item.get("pool")
        return "" if value is None or is_omitted(value) else str(value).strip()

    @property
    def ip(self) -> IPAddress | None:
        """Its own address, without the prefix length; None if it has none that can be read."""
        return _ip(self.item.get("ip"))


def read_requests(
    data: object, defaults: object, pools: Mapping[str, Pool] | None, check: Callable[[Any], list[Problem]]
) -> tuple[list[Request], list[Problem], dict[IPAddress, str]]:
    """The requests; every problem of the whole list; and what the list uses of the pools' addresses, with the reason.

    `pools`: None if there are none to be asked. `check`: the problems of a list in which every router has its addresses.
    """
    present = [entry for entry in _entries(data, defaults) if entry.router.get("state") != "absent"]
    if pools is None:
        asking = {entry.router_id for entry in present if entry.pool}
        return [], [one for one in check(data) if one.router not in asking or not _of_addresses(one)], {}
    used = _destinations(data, defaults, pools)
    requests: list[Request] = []
    problems: list[Problem] = []
    numbers: Counter[tuple[str, ...]] = Counter()
    for entry in present:
        numbers[(*entry.key, entry.pool)] += 1
        number = numbers[(*entry.key, entry.pool)]
        request, found = _read_request(entry, number, pools) if entry.pool else (None, _in_a_pool(entry, pools))
        problems += found
        requests += [request] if request else []
    problems += [*_asked_twice(requests), *_too_many(requests, pools)]
    # What was said of a router's addresses is not said again in other words, nor of a pool that is too small.
    said = {problem.router for problem in problems}
    said |= {request.router_id for request in requests} if "" in said else set()
    others = check(filled(data, defaults, _provisional(requests, pools, used)))
    problems += [one for one in others if one.router not in said or not _of_addresses(one)]
    return requests, problems, used


def _of_addresses(problem: Problem) -> bool:
    return problem.field.startswith("addresses")


def by_request(addresses: Iterable[Mapping[str, Any]]) -> Addresses:
    """The addresses of a module's result, for `filled`."""
    found: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for one in addresses:
        found.setdefault((one["namespace"], one["name"], one["pool"]), []).append(one)
    return found


def filled(data: Any, defaults: object, addresses: Addresses) -> Any:
    """The list with addresses instead of requests for them. The users' own list is not changed."""
    if not is_list(data) or not addresses:
        return data
    return [_filled(item, defaults, addresses) for item in data]


def _filled(item: Any, defaults: object, addresses: Addresses) -> Any:
    asking: dict[tuple[str, str, str], list[_Entry]] = {}
    for entry in _entries([item], defaults):
        if entry.pool:
            asking.setdefault((*entry.key, entry.pool), []).append(entry)
    places: dict[int, dict[str, str]] = {}
    for key, entries in asking.items():
        has = {ip: one for one in addresses.get(key, ()) if (ip := _ip(one["ip"]))}
        asked = {number: entry.ip for number, entry in enumerate(entries, 1)}
        for number, ip in matched(asked, {ip: one["number"] for ip, one in has.items()}).items():
            places[entries[number - 1].place] = {key: has[ip][key] for key in ("ip", "gateway") if has[ip][key]}
    if not places:
        return item
    return {**item, "addresses": [places.get(place, one) for place, one in enumerate(item["addresses"])]}


def _routers(data: object, defaults: object) -> Iterator[dict[str, Any]]:
    """The routers of the list that can be read, with their defaults."""
    below = defaults if isinstance(defaults, Mapping) else {}
    for item in data if is_list(data) else ():  # type: ignore[attr-defined]
        if isinstance(item, Mapping):
            yield merged(below, item)


def _entries(data: object, defaults: object) -> Iterator[_Entry]:
    for router in _routers(data, defaults):
        addresses = router.get("addresses")
        for place, item in enumerate(addresses if is_list(addresses) else ()):  # type: ignore[arg-type]
            if isinstance(item, Mapping):
                yield _Entry(router, place, item)


def _read_request(entry: _Entry, number: int, pools: Mapping[str, Pool]) -> tuple[Request | None, list[Problem]]:
    problems = Problems(entry.router_id)
    fields = Fields(entry.item, problems, f"addresses[{entry.place}]")
    name, written = fields.text("pool"), fields.text("ip")
    pool = pools.get(name)
    if pool is None and name:
        known = did_you_mean(name, list(pools)) or f": there is {', '.join(pools) or 'none'} in egress_router_pools"
        fields.problem("pool", f"there is no pool '{name}'{known}")
    if fields.raw("gateway") is not None:
        fields.problem("gateway", f"is that of pool {name}: remove it here")
    fields.finish()
    ip = _ip(written) if written else None
    if written and pool is not None:
        length = written.partition("/")[2]
        if ip is None:
            fields.problem("ip", f"'{written}' is not an IP address: write one of pool {pool}, or leave it out")
        elif length and length != str(pool.subnet.prefixlen):
            fields.problem("ip", f"'{written}' has another prefix length than pool {name}: leave it out here")
        elif ip not in pool:
            fields.problem("ip", f"'{written}' cannot be allocated from pool {pool}: choose one of its addresses")
    if problems.found or not all(entry.key):
        return None, problems.found
    return Request(*entry.key, entry.place, name, ip, number), []


def _in_a_pool(entry: _Entry, pools: Mapping[str, Pool]) -> list[Problem]:
    """Whether an address without a pool is one that a pool may allocate to somebody else."""
    ip = entry.ip
    pool = next((pool for pool in pools.values() if ip in pool), None) if ip else None
    if pool is None:
        return []
    message = (
        f"'{ip}' is in pool {pool}, which may allocate it to another router: write {{pool: {pool.name}, ip: {ip}}}, or add it to "
        "the pool's exclude"
    )
    return [Problem(entry.router_id, f"addresses[{entry.place}].ip", message)]


def _asked_twice(requests: list[Request]) -> Iterator[Problem]:
    first: dict[IPAddress, Request] = {}
    for request in requests:
        other = first.setdefault(request.ip, request) if request.ip else request
        if other is not request:
            yield request.problem(
                "ip", f"'{request.ip}' is also asked for by router {other.router_id}: each router needs its own"
            )


def _too_many(requests: list[Request], pools: Mapping[str, Pool]) -> Iterator[Problem]:
    for pool in pools.values():
        asked = sum(request.pool == pool.name for request in requests)
        if asked > pool.size:
            yield Problem(
                "",
                "egress_router_pools",
                f"pool {pool} has {pool.size} addresses, and the list asks for {asked}",
            )


def _destinations(data: object, defaults: object, pools: Mapping[str, Pool]) -> dict[IPAddress, str]:
    """Servers of the list, and gateways of routes, that are in a pool."""
    found = {}
    for router in _routers(data, defaults):
        rules = router.get("redirect_rules")
        servers = [rule.get("destination_ip") for rule in rules if isinstance(rule, Mapping)] if is_list(rules) else []  # type: ignore[union-attr]
        for ip in map(_ip, (*servers, router.get("fallback_ip"))):
            if ip and any(ip in pool for pool in pools.values()):
                found[ip] = f"is a destination of router {router.get('namespace')}/{router.get('name')}"
        routes = router.get("routes")
        gateways = [route.get("gateway") for route in routes if isinstance(route, Mapping)] if is_list(routes) else []  # type: ignore[union-attr]
        for ip in map(_ip, gateways):
            if ip and any(ip in pool for pool in pools.values()):
                found[ip] = f"is the gateway of a route of router {router.get('namespace')}/{router.get('name')}"
    return found


def _provisional(requests: list[Request], pools: Mapping[str, Pool], used: Mapping[IPAddress, str]) -> Addresses:
    """An address of the pool for each request, to see whether the list could work with one."""
    wanted = {request.ip for request in requests}
    free = {name: (ip for ip in pool if ip not in wanted and ip not in used) for name, pool in pools.items()}
    found: list[dict[str, Any]] = []
    given = set()
    for request in requests:
        # Two that ask for the same one are told already.
        ip = request.ip if request.ip and request.ip not in given else next(free[request.pool], None)
        if ip:
            given.add(ip)
            of = {"namespace": request.namespace, "name": request.router, "pool": request.pool}
            found.append({**of, "number": request.number, **as_address(pools[request.pool], ip)})
    return by_request(found)


def as_address(pool: Pool, ip: IPAddress) -> dict[str, str]:
    """What a router's list has of an address."""
    return {"ip": pool.cidr(ip), "gateway": pool.gateway}


def _ip(value: Any) -> IPAddress | None:
    try:
        return ipaddress.ip_address(str(value).strip().partition("/")[0])
    except ValueError:
        return None
