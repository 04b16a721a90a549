# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What a router's pod is: the one JSON document that the Deployment gives to the agent, whose change restarts the pod.

It stands in the environment variable `VARIABLE` of the container. Rules are not in it, they change while the pod runs.
Preflight reads it back from Deployments, to know which addresses are taken.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .failover import Failover
from .sources import FIRST

VARIABLE = "EGRESS_ROUTER"
# How an agent's reason begins not to start with a document. The collection knows it by this in the message of a pod.
UNREADABLE = f"{VARIABLE} is not the description of a router"
# What came into the document later, as it is where it is not used.
_CAME_LATER = {"routes": (), "source": FIRST}


class IdentityError(ValueError):
    """The document cannot be read; the message says why."""


@dataclass(frozen=True)
class EgressAddress:
    """`ip`: with prefix length, such as `198.51.100.50/24`. `gateway`: empty if only the subnet is reached."""

    ip: str
    gateway: str = ""


@dataclass(frozen=True)
class Port:
    """A port of the router's Service."""

    port: int
    protocol: str


@dataclass(frozen=True)
class Route:
    """Servers that another router of the segment reaches. `destination`: a network such as `203.0.113.0/24`."""

    destination: str
    gateway: str

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.destination else 4


@dataclass(frozen=True)
class Identity:
    """`router`: the router's name. `addresses`: the first of each family is the default. `mac`: lower case, with colons.

    `extra_ports`: fallback ports that the Service names. `failover`: how its pods stand by for each other. `routes`: besides those
    of the addresses. `source`: from which address connections leave, see sources.
    """

    router: str
    addresses: tuple[EgressAddress, ...]
    mac: str
    replicas: int = 1
    headless: bool = False
    extra_ports: tuple[Port, ...] = ()
    failover: Failover = field(default_factory=Failover)
    routes: tuple[Route, ...] = ()
    source: str = FIRST

    def to_json(self) -> str:
        """The document, on one line. `Identity.from_json(x.to_json()) == x`."""
        # A pod restarts when its document changes: one that does not use what came later has the document of older versions.
        found = {key: value for key, value in asdict(self).items() if value != _CAME_LATER.get(key, ...)}
        return json.dumps(found)

    @classmethod
    def from_json(cls, text: str) -> Identity:
        """Reads the document; IdentityError if it is none. Values are not checked here."""
        try:
            data = json.loads(text)
            _refuse_unknown_keys(data)
            addresses = tuple(EgressAddress(**item) for item in data.pop("addresses"))
            ports = tuple(Port(**item) for item in data.pop("extra_ports", ()))
            failover = Failover(**data.pop("failover", {}))
            routes = tuple(Route(**item) for item in data.pop("routes", ()))
            return cls(addresses=addresses, extra_ports=ports, failover=failover, routes=routes, **data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise IdentityError(f"{UNREADABLE}: {error}") from error


def _refuse_unknown_keys(data: dict[str, Any]) -> None:
    """All of them at once, by where they are."""
    parts: list[tuple[str, Any, dict[str, Any]]] = [
        ("", Identity, data),
        ("failover.", Failover, data.get("failover", {})),
        *((f"addresses[{place}].", EgressAddress, item) for place, item in enumerate(data["addresses"])),
        *((f"extra_ports[{place}].", Port, item) for place, item in enumerate(data.get("extra_ports", ()))),
        *((f"routes[{place}].", Route, item) for place, item in enumerate(data.get("routes", ()))),
    ]
    unknown = [
        where + key for where, kind, part in parts for key in part if key not in {one.name for one in fields(kind)}
    ]
    if unknown:
        raise ValueError(f"unknown keys {', '.join(unknown)}")
