# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Address pools as users describe them: which addresses may be allocated to routers. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .._contract.rules import DNS_LABEL, IPAddress, IPNetwork, no_host
from .._router.fields import Fields, expected, is_list, is_omitted
from .._router.problems import Problem, Problems

VARIABLE = "egress_router_pools"
QUARANTINE_SECONDS = 3600
_LONGEST_QUARANTINE = 30 * 24 * 3600


@dataclass(frozen=True, order=True)
class Span:
    """Addresses of one family from `first` to `last`, as numbers: those of IPv6 are too many to list."""

    version: int
    first: int
    last: int

    def __contains__(self, ip: IPAddress) -> bool:
        return ip.version == self.version and self.first <= int(ip) <= self.last

    def __str__(self) -> str:
        first, last = address(self.version, self.first), address(self.version, self.last)
        return str(first) if first == last else f"{first}-{last}"

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def overlaps(self, other: Span) -> bool:
        """Whether an address is in both."""
        return self.version == other.version and self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Pool:
    """A pool. `ranges`: sorted, none overlaps another. `gateway`: empty if there is none. `excluded`: sorted."""

    name: str
    ranges: tuple[Span, ...]
    subnet: IPNetwork
    gateway: str = ""
    excluded: tuple[Span, ...] = ()
    quarantine_seconds: int = QUARANTINE_SECONDS

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """What can be allocated: the ranges without what is excluded and what is no host's address."""
        return tuple(_without(self.ranges, (*self.excluded, *_of_subnet(self.subnet), *_single(self.gateway))))

    @property
    def size(self) -> int:
        """How many addresses can be allocated."""
        return sum(span.size for span in self.spans)

    def __contains__(self, ip: IPAddress) -> bool:
        return any(ip in span for span in self.spans)

    def __iter__(self) -> Iterator[IPAddress]:
        """Its addresses, the lowest first."""
        for span in self.spans:
            for number in range(span.first, span.last + 1):
                yield address(span.version, number)

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(map(str, self.ranges))})"

    def cidr(self, ip: IPAddress) -> str:
        """`198.51.100.64/24`."""
        return f"{ip}/{self.subnet.prefixlen}"


def address(version: int, number: int) -> IPAddress:
    """The address with this number."""
    return ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number)


def read_pools(data: Any) -> tuple[dict[str, Pool], list[Problem]]:
    """The pools by name, and every problem of all of them. With problems they must not be used."""
    if data is None:
        return {}, []
    if not is_list(data):
        return {}, [Problem("", VARIABLE, expected("a list of pools", data))]
    problems = Problems("")
    pools: list[Pool] = []
    names: list[str] = []
    for number, item in enumerate(data):
        if is_omitted(item):
            continue
        fields = Fields(item, problems, f"{VARIABLE}[{number}]")
        pool = _read_pool(fields) if isinstance(item, Mapping) else None
        if pool is not None:
            if pool.name in names:
                fields.problem("name", f"'{pool.name}' is also the name of another pool: give each its own")
            names.append(pool.name)
            _check_overlap(fields, pool, pools)
            pools.append(pool)
    return {pool.name: pool for pool in pools}, problems.found


def _read_pool(fields: Fields) -> Pool | None:
    before = len(fields.problems.found)
    name = fields.text("name") if fields.required("name") else ""
    if name and not DNS_LABEL.match(name):
        fields.problem("name", f"'{name}' must be 1 to 63 lowercase letters, digits and inner hyphens")
    ranges = _read_spans(fields, "ranges") if fields.required("ranges") else []
    prefix_length = fields.number("prefix_length", 1, 128, None) if fields.required("prefix_length") else None
    gateway = _read_gateway(fields)
    excluded = _read_spans(fields, "exclude")
    quarantine = fields.number("quarantine_seconds", 0, _LONGEST_QUARANTINE, QUARANTINE_SECONDS)
    fields.finish()
    if len(fields.problems.found) > before or not ranges or prefix_length is None:
        if not ranges and len(fields.problems.found) == before:
            fields.problem("ranges", "has no range: for example [198.51.100.64-198.51.100.95]")
        return None
    subnet = _subnet(fields, ranges, gateway, prefix_length)
    if subnet is None:
        return None
    spans = [span for _place, span in ranges]
    pool = Pool(
        name,
        tuple(sorted(spans)),
        subnet,
        str(gateway or ""),
        tuple(sorted(span for _place, span in excluded)),
        QUARANTINE_SECONDS if quarantine is None else quarantine,
    )
    _check_ranges(fields, ranges, gateway, subnet)
    if len(fields.problems.found) == before and not pool.size:
        fields.problem("ranges", f"no address of pool {pool} is left: they are excluded, or are none of hosts")
    return pool if len(fields.problems.found) == before else None


def _read_gateway(fields: Fields) -> IPAddress | None:
    written = fields.text("gateway")
    if not written:
        return None
    try:
        return ipaddress.ip_address(written)
    except ValueError:
        fields.problem("gateway", f"'{written}' is not an IP address: write it without a prefix length")
        return None


def _read_spans(fields: Fields, key: str) -> list[tuple[int, Span]]:
    """The ranges of a list, each with its place."""
    found = []
    for place, item in fields.items(key):
        where = f"{key}[{place}]"
        if not isinstance(item, str):
            fields.problem(where, f"{expected('a string', item)}: write FIRST-LAST, ADDRESS/LENGTH or one address")
            continue
        try:
            found.append((place, read_span(item.strip())))
        except ValueError as error:
            fields.problem(where, str(error))
    return found


def read_span(text: str) -> Span:
    """`198.51.100.64-198.51.100.95`, `198.51.100.100/30` or one address; ValueError with a sentence for anything else."""
    try:
        if "/" in text:
            network = ipaddress.ip_network(text, strict=False)
            first, last = network.network_address, network.broadcast_address
        else:
            start, dash, end = text.partition("-")
            first = ipaddress.ip_address(start.strip())
            last = ipaddress.ip_address(end.strip()) if dash else first
    except ValueError:
        raise ValueError(
            f"'{text}' is not a range: write FIRST-LAST, ADDRESS/LENGTH or one address, such as 198.51.100.64-198.51.100.95"
        ) from None
    if "/" in text and not text.startswith(f"{first}/"):
        raise ValueError(f"'{text}' does not begin at the first address of its block: write {network}, or FIRST-LAST")
    if first.version != last.version:
        raise ValueError(f"'{text}' begins with an IPv{first.version} and ends with an IPv{last.version} address")
    if int(first) > int(last):
        raise ValueError(f"'{text}' is reversed: write {last}-{first}")
    return Span(first.version, int(first), int(last))


def _subnet(
    fields: Fields, ranges: list[tuple[int, Span]], gateway: IPAddress | None, prefix_length: int
) -> IPNetwork | None:
    """The segment's network: that of the gateway. A link-local gateway is in none, so then it is that of the first address."""
    version = ranges[0][1].version
    if gateway is not None and gateway.version != version:
        fields.problem("gateway", f"'{gateway}' is IPv{gateway.version} and the ranges are IPv{version}")
        return None
    if prefix_length > (32 if version == 4 else 128):
        fields.problem("prefix_length", f"'{prefix_length}' is not a prefix length of IPv4: 32 is the longest")
        return None
    in_it = address(version, ranges[0][1].first) if gateway is None or gateway.is_link_local else gateway
    return ipaddress.ip_network(f"{in_it}/{prefix_length}", strict=False)


def _check_ranges(fields: Fields, ranges: list[tuple[int, Span]], gateway: IPAddress | None, subnet: IPNetwork) -> None:
    if gateway is not None and not gateway.is_link_local and no_host(gateway, subnet):
        fields.problem("gateway", f"'{gateway}' is {no_host(gateway, subnet)} of the network {subnet}")
    whole = Span(subnet.version, int(subnet.network_address), int(subnet.broadcast_address))
    seen: list[Span] = []
    for place, span in ranges:
        where = f"ranges[{place}]"
        first = address(span.version, span.first)
        if first.is_unspecified or first.is_loopback or first.is_multicast or first.is_link_local:
            fields.problem(
                where, f"'{span}' has loopback, link-local, multicast or unspecified addresses: no host has them"
            )
        elif span.version != whole.version:
            fields.problem(
                where, f"'{span}' is IPv{span.version} and the pool IPv{whole.version}: make a pool for each"
            )
        elif not whole.first <= span.first <= span.last <= whole.last:
            why = (
                f"that of gateway {gateway}" if gateway is not None and gateway in subnet else "that of the first range"
            )
            fields.problem(
                where, f"'{span}' is not in the subnet {subnet}, {why}: correct it, or prefix_length and gateway"
            )
        elif gateway is not None and gateway in span:
            fields.problem(
                where,
                f"'{span}' contains the gateway {gateway}: end the range before it and begin another one after it",
            )
        for other in seen:
            if span.overlaps(other):
                fields.problem(where, f"'{span}' overlaps {other} of the same pool: remove one of them")
        seen.append(span)


def _check_overlap(fields: Fields, pool: Pool, others: list[Pool]) -> None:
    for other in others:
        both = [(span, theirs) for span in pool.ranges for theirs in other.ranges if span.overlaps(theirs)]
        for span, theirs in both[:1]:
            fields.problem(
                "ranges",
                f"{span} of pool {pool.name} overlaps {theirs} of pool {other.name}: an address is in one pool",
            )


def _of_subnet(subnet: IPNetwork) -> list[Span]:
    """The addresses of the subnet that no host has."""
    ends = {subnet.network_address, subnet.broadcast_address}
    return [Span(ip.version, int(ip), int(ip)) for ip in ends if no_host(ip, subnet)]


def _single(gateway: str) -> list[Span]:
    return [read_span(gateway)] if gateway else []


def _without(spans: Iterable[Span], holes: Iterable[Span]) -> Iterator[Span]:
    """What the holes leave of the spans."""
    holes = sorted(holes)
    for span in spans:
        first = span.first
        for hole in holes:
            if hole.version == span.version and hole.last >= first and hole.first <= span.last:
                if hole.first > first:
                    yield Span(span.version, first, hole.first - 1)
                first = hole.last + 1
        if first <= span.last:
            yield Span(span.version, first, span.last)
