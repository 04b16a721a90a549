# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Allocates addresses of pools to routers, and releases them. What is there is read by one list.

An address is allocated by creating its ConfigMap, which only one of several runs can do. One that was released is taken over
by a replacement in the version that was read, which only one of several runs can do either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import islice
from typing import Any

from .._common.errors import Conflict, EgressError, InputError, NotFound
from .._contract.rules import IPAddress
from .._kubernetes import change, namespaces
from .._kubernetes.change import Change, new_namespace
from .._kubernetes.cluster import Cluster
from .._router.router import Router
from .allocation import FIELD_MANAGER, Allocation, object_name, read_allocation
from .choose import Situation, Taken, choose, free, kept, renumbered, unused, wanted
from .pool import Pool
from .reading import addresses_of, described, read
from .request import Request
from .segment import Options as SegmentOptions
from .segment import ask_segments
from .taken import read_taken

# Addresses beyond those that are needed, of which the segment is asked in the same round.
_SPARE = 4


@dataclass(frozen=True)
class Options:
    """`namespace`: of the ConfigMaps. `release_unused`: what the list's routers have and do not ask for."""

    namespace: str
    create_namespace: bool = False
    release_unused: bool = False
    segment: SegmentOptions = field(default_factory=SegmentOptions)


@dataclass(frozen=True)
class Wanted:
    """What the list says. `used`: of the pools' addresses, with the reason."""

    pools: Mapping[str, Pool]
    requests: list[Request]
    routers: list[Router]
    used: Mapping[IPAddress, str]


@dataclass(frozen=True)
class _Step:
    """One object that is changed. `before`, `after`: None if there is none."""

    before: Allocation | None
    after: Allocation | None

    def change(self, namespace: str) -> Change:
        before, after = (_shown(item, namespace) if item else None for item in (self.before, self.after))
        return Change(f"ConfigMap {namespace}/{self.name}", before, after)

    @property
    def name(self) -> str:
        """Of the object."""
        one = self.after or self.before
        return object_name(one.ip) if one else ""


class Run:
    """One call of the module address_pool. `reader` reads and inspects, in check mode too; `writer` is then a rehearsal."""

    def __init__(self, reader: Cluster, writer: Cluster, wish: Wanted, options: Options) -> None:
        self._reader, self._writer, self._wish, self._options = reader, writer, wish, options
        self._situation = Situation(wish.pools, datetime.now(timezone.utc))
        self._steps: list[_Step] = []
        self._missing: list[str] = []
        self._nodes: list[dict[str, Any]] = []
        self._created_namespaces: list[str] = []
        self._new: dict[Request, IPAddress] = {}
        # Of which the segments were asked.
        self._asked: set[IPAddress] = set()
        # What was skipped although it seemed free, with the reason.
        self._skipped: dict[IPAddress, str] = {}
        self.warnings: list[str] = []
        self.error = ""

    def run(self) -> None:
        """Plans, then writes. EgressError if nothing can be done; `error` says how far it came."""
        self._plan()
        try:
            self._apply()
        except EgressError as error:
            if not self._steps:
                raise
            done = ", ".join(step.change(self._options.namespace).title for step in self._steps)
            self.error = f"{error}\ndone before that: {done}. The next run goes on from there"

    def as_dict(self, with_diff: bool) -> dict[str, Any]:
        """The result of the module."""
        changes = [
            *map(new_namespace, self._created_namespaces),
            *(step.change(self._options.namespace) for step in self._steps),
        ]
        return {
            "changed": bool(changes),
            **({"diff": [one.plan().diff() for one in changes]} if with_diff else {}),
            "addresses": self._addresses(),
            "unused": [described(one) for one in self._unused()],
            "released": [described(step.before) for step in self._steps if step.before and _is_release(step)],
            "skipped": [{"ip": str(ip), "reason": reason} for ip, reason in self._skipped.items()],
            "requests": self._reader.requests + (self._writer.requests if self._writer is not self._reader else 0),
        }

    def _plan(self) -> None:
        self._situation, edited = read(self._reader, self._wish.pools, self._options.namespace)
        have = kept(self._wish.requests, self._situation)
        new = [request for request in self._wish.requests if request not in have]
        if new:
            if edited:
                raise InputError("\n".join(edited))
            self._look_around(new)
            self._new = self._choose(new)
            self._missing = namespaces.missing(self._reader, [self._options.namespace])
            for name in self._missing:
                namespaces.predict(self._reader, name, change.Options(self._options.create_namespace))
        self.warnings += edited

    def _look_around(self, new: list[Request]) -> None:
        """Finds out which addresses others use."""
        taken, self._nodes, unread = read_taken(self._reader, [request.namespace for request in new])
        self._situation.look_at({**{ip: Taken(reason) for ip, reason in self._wish.used.items()}, **taken})
        self.warnings += [f"{reason}: addresses that are in use there may be allocated" for reason in unread]

    def _choose(
        self, new: list[Request], others: Mapping[Request, IPAddress] | None = None
    ) -> dict[Request, IPAddress]:
        """Addresses that nobody answers for on the segments."""
        # A deployed router answers for its address itself.
        self._asked |= {ip for request in new for ip in self._situation.current(request)}
        while True:
            chosen = choose(new, self._situation, others)
            open_ = set(chosen.values()) - self._asked
            if not open_ or not self._ask(chosen, open_):
                return chosen

    def _ask(self, chosen: dict[Request, IPAddress], open_: set[IPAddress]) -> bool:
        """Notes who answers for these addresses, and for a few more. Whether anybody does."""
        of_pool = self._candidates(chosen, open_)
        routers = {router.key: router for router in self._wish.routers}
        pairs = [
            (routers[request.key], of_pool[request.pool])
            for request in chosen
            if request.pool in of_pool and routers[request.key].image
        ]
        answers = ask_segments(self._reader, self._nodes, pairs, self._options.segment)
        self._asked |= {ip for _router, ips in pairs for ip in ips}
        for ip, reason in answers.used.items():
            self._situation.taken[ip] = Taken(reason)
            self._skipped[ip] = reason
            self.warnings.append(f"{ip} is not allocated: it {reason}")
        if answers.unasked:
            addresses = ", ".join(str(ip) for ip in chosen.values() if ip in open_)
            self.warnings.append(
                f"whether somebody uses {addresses} on the segment was not asked everywhere: {'; '.join(answers.unasked)}"
            )
        return bool(answers.used)

    def _candidates(self, chosen: dict[Request, IPAddress], open_: set[IPAddress]) -> dict[str, list[IPAddress]]:
        """What to ask for, by pool."""
        found: dict[str, list[IPAddress]] = {}
        for request, ip in chosen.items():
            if ip in open_:
                found.setdefault(request.pool, []).append(ip)
        for name, ips in found.items():
            asking = (one for one in chosen if one.pool == name and not self._certain(one, chosen))
            for request in islice(asking, 1):
                ips += islice(free(request, self._situation, set(chosen.values())), _SPARE)
        return found

    def _certain(self, request: Request, chosen: dict[Request, IPAddress]) -> bool:
        """Whether no other address will do."""
        others = [ip for one, ip in chosen.items() if one is not request]
        return wanted(request, self._situation, others) is not None

    def _apply(self) -> None:
        for name in self._missing:
            if not self._writer.dry_run:
                namespaces.create(self._writer, name)
            self._created_namespaces.append(name)
        for request, ip in self._new.items():
            while not self._allocate(request, ip):
                # Somebody else was faster.
                others = {other: one for other, one in self._new.items() if other is not request}
                ip = self._choose([request], others)[request]
        for allocation in self._unused() if self._options.release_unused else ():
            self._release(allocation)
        for before, after in list(renumbered(self._wish.requests, self._situation)):
            self._replace(before, after)

    def _allocate(self, request: Request, ip: IPAddress) -> bool:
        """Whether the router has got the address. If not, the situation says who has it."""
        now = self._reader.now()
        former = self._situation.allocations.get(ip)
        made = (
            Allocation(ip, request.pool, *request.key, now, number=request.number)
            if former is None
            else former.given_to(*request.key, request.pool, request.number, now)
        )
        if self._missing and self._writer.dry_run:
            self._done(None, made)
            return True
        try:
            if former is None:
                self._writer.create("ConfigMap", self._options.namespace, made.body())
            else:
                self._writer.replace("ConfigMap", made.body(), FIELD_MANAGER)
        except (Conflict, NotFound) as error:
            if isinstance(error, NotFound) and error.kind == "namespaces":
                raise
            return self._look_again(request, ip)
        self._done(former, made)
        return True

    def _look_again(self, request: Request, ip: IPAddress) -> bool:
        """Reads an object that somebody else has written. Whether the address is the router's."""
        self._situation.allocations.pop(ip, None)
        try:
            found = read_allocation(self._reader.get("ConfigMap", self._options.namespace, object_name(ip)))
        except NotFound:
            return False  # Gone again.
        except InputError as error:
            self._situation.taken[ip] = Taken(f"is not available: {error}")
            self._skipped[ip] = str(error)
            self.warnings.append(f"{ip} of pool {request.pool} was skipped: {error}")
            return False
        self._situation.allocations[ip] = found
        # Another run for the same router.
        return found.key == request.key and found.number == request.number and not found.released

    def _release(self, allocation: Allocation) -> None:
        pool = self._situation.pool_of(allocation.ip) or self._situation.pools.get(allocation.pool)
        if pool is not None and not pool.quarantine_seconds:
            metadata = (allocation.live or {})["metadata"]
            self._writer.delete(
                "ConfigMap",
                self._options.namespace,
                metadata["name"],
                uid=metadata["uid"],
                version=metadata["resourceVersion"],
            )
            del self._situation.allocations[allocation.ip]
            self._steps.append(_Step(allocation, None))
        else:
            self._replace(allocation, replace(allocation, released_at=self._reader.now()))

    def _replace(self, before: Allocation, after: Allocation) -> None:
        self._writer.replace("ConfigMap", after.body(), FIELD_MANAGER)
        self._done(before, after)

    def _done(self, before: Allocation | None, after: Allocation) -> None:
        self._situation.allocations[after.ip] = after
        self._steps.append(_Step(before, after))

    def _unused(self) -> list[Allocation]:
        return unused(self._wish.requests, [router.key for router in self._wish.routers], self._situation)

    def _addresses(self) -> list[dict[str, Any]]:
        """What the routers of the list have of the pools."""
        keys = [router.key for router in self._wish.routers]
        new = {step.after.ip for step in self._steps if step.after and (step.before is None or step.before.released)}
        return [
            {**one, "new": ip in new}
            for ip, one in addresses_of(self._situation).items()
            if (one["namespace"], one["name"]) in keys
        ]


def _shown(allocation: Allocation, namespace: str) -> dict[str, Any]:
    manifest = allocation.manifest()
    metadata = {**manifest["metadata"], "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def _is_release(step: _Step) -> bool:
    return step.after is None or (step.after.released and not (step.before is None or step.before.released))
