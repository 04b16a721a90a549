# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which of a router's addresses of a pool belongs to which of its requests. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from .._contract.rules import IPAddress


def matched(asked: Mapping[int, IPAddress | None], has: Mapping[IPAddress, int]) -> dict[int, IPAddress]:
    """The address of each request that has one, by the request's number.

    Numbers count the requests of one router to one pool, from 1. `asked`: the address that each names, None for any. `has`: the
    router's addresses, with the numbers of the requests that they were allocated for.

    A request has the address that it names. One that names none has the address that was allocated for its number, otherwise the
    one with the lowest number that is left: so the first address of a router stays the first when others come and go.
    """
    left = sorted(has, key=lambda ip: (has[ip], ip.version, int(ip)))
    found: dict[int, IPAddress] = {}

    def take(number: int, fitting: list[IPAddress]) -> None:
        if number not in found and fitting:
            found[number] = fitting[0]
            left.remove(fitting[0])

    for number, ip in asked.items():
        take(number, [one for one in left if one == ip])
    unnamed = [number for number, ip in asked.items() if ip is None]
    for number in unnamed:
        take(number, [one for one in left if has[one] == number])
    for number in unnamed:
        take(number, list(left))
    return found
