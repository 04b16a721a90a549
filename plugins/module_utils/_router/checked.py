# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Routers that have been checked, as a text: from one process to the next, without reading the users' list again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from .._contract.failover import Failover
from .._contract.identity import Route
from .._contract.rules import Rule, RuleSet
from .addresses import Address
from .router import Router, Service


def dump(routers: Iterable[Router]) -> str:
    """The routers as JSON. `load(dump(routers)) == routers`."""
    return json.dumps([_to_dict(router) for router in routers])


def load(text: str) -> list[Router]:
    """The routers of `dump`. Nothing is checked again."""
    return [_from_dict(item) for item in json.loads(text)]


def _to_dict(router: Router) -> dict[str, Any]:
    return {
        **vars(router),
        "service": vars(router.service),
        "failover": vars(router.failover),
        "addresses": [vars(address) for address in router.addresses],
        "routes": [vars(route) for route in router.routes],
        "rules": [
            [list(rule) for rule in router.rules.rules],
            router.rules.fallback_ip,
        ],
    }


def _from_dict(data: dict[str, Any]) -> Router:
    service, (rules, fallback) = data["service"], data["rules"]
    ports = tuple((port, protocol) for port, protocol in service["extra_ports"])
    return Router(
        **{
            **data,
            "service": Service(**{**service, "extra_ports": ports}),
            "failover": Failover(**data["failover"]),
            "addresses": tuple(Address(**address) for address in data["addresses"]),
            "routes": tuple(Route(**route) for route in data["routes"]),
            "rules": RuleSet(tuple(Rule(*rule) for rule in rules), fallback),
        }
    )
