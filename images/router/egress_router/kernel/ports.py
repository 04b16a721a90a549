# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which source ports the pods of a router use, so that two of them never use the same one for the same server. Pure.

A router of one replica uses all of them. With more, each pod that has connections uses a part of its own: a pod that takes
over knows which parts the relayed connections of the others are in, because it is told of them before it serves, and
takes another one. So with two pods the parts are halves, and the pods take turns, as terms do. There is a part for each
replica, four at most. During an update of the image there may be one pod more than parts, for as long as the
oldest one still relays: the newest then takes the part with the fewest relayed connections, and keeps off the ports of those
(see `conntrack.reserve`), which costs time for each.
"""

from __future__ import annotations

from collections.abc import Iterable

# First and last.
Ports = tuple[int, int]

ALL: Ports = (1024, 65535)
# A quarter is 16,128 connections to one server.
_MOST = 4


def parts(replicas: int) -> list[Ports]:
    """The parts of a router with so many replicas."""
    count = min(max(replicas, 1), _MOST)
    first, last = ALL
    size = (last + 1 - first) // count
    return [(first + size * number, first + size * (number + 1) - 1) for number in range(count)]


def choose(
    replicas: int,
    current: Ports,
    relayed: Iterable[int],
    closed: Iterable[Ports] = (),
    coming: Iterable[tuple[Ports, float]] = (),
) -> Ports:
    """The part that a pod uses while it serves. `current`: what it uses now; `relayed`: the source ports of other pods.

    `closed`: what has one of these is another pod's, whether it is relayed by name or not; never all parts. `coming`: so are new
    connections of other pods for a while, each until a time. They cannot be relayed if this pod uses the same, and those of a pod
    that hands over are many: the part is taken where that is over first.
    """
    every, coming = parts(replicas), list(coming)
    used = dict.fromkeys(every, 0)
    for port in relayed:
        for part in every:
            if part[0] <= port <= part[1]:
                used[part] += 1
    open_ones = [part for part in every if not any(overlap(part, one) for one in closed)]
    until = {part: max((end for one, end in coming if overlap(part, one)), default=0.0) for part in every}
    return min(open_ones or every, key=lambda part: (until[part], used[part], part != current, part))


def overlap(one: Ports, other: Ports) -> bool:
    """Whether a port is in both."""
    return one[0] <= other[1] and other[0] <= one[1]


def part_numbers(replicas: int, ports: Iterable[int]) -> int:
    """In which parts these are: a bit for each."""
    first = parts(replicas)[0][0]
    size = parts(replicas)[0][1] + 1 - first
    found = 0
    for port in ports:
        found |= 1 << max(0, port - first) // size
    return found
