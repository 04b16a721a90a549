# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The `routes` of a router: networks of servers that another router of the egress segment reaches."""

from __future__ import annotations

import contextlib
import ipaddress

from .._contract import routes as contract
from .._contract.identity import Route
from .addresses import Address
from .fields import Fields


def read_routes(fields: Fields, addresses: tuple[Address, ...]) -> tuple[Route, ...]:
    """The routes; those that are no use have a problem. Of a router without a usable address only that is said."""
    found: list[tuple[Fields, Route]] = []
    for section in fields.sections("routes"):
        destination = section.text("destination") if section.required("destination") else ""
        gateway = section.text("gateway") if section.required("gateway") else ""
        section.finish()
        if destination and gateway:
            found.append((section, Route(destination, _canonical(gateway))))
    routes = tuple(route for _section, route in found)
    for place, field, message in (
        contract.problems(routes, [address.cidr for address in addresses]) if addresses else ()
    ):
        found[place][0].problem(field, message)
    return routes


def _canonical(gateway: str) -> str:
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(gateway))
    return gateway
