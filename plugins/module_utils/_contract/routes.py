# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which routes a router can have besides those of its addresses, and which gateways: the same for the list and for the agent."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias

from .identity import Route
from .rules import IPAddress, IPNetwork, no_host, no_servers

Interface: TypeAlias = "ipaddress.IPv4Interface | ipaddress.IPv6Interface"


def problems(routes: Sequence[Route], addresses: Iterable[str]) -> Iterator[tuple[int, str, str]]:
    """What is wrong with the routes of a router: place, field, and the message. `addresses`: with prefix length, checked."""
    interfaces = [ipaddress.ip_interface(address) for address in addresses]
    known: set[IPNetwork] = set()
    for place, route in enumerate(routes):
        network, gateway = _network(route.destination), _ip(route.gateway)
        if network is None or str(network) != route.destination:
            written_as = network or "203.0.113.0/24"
            yield (
                place,
                "destination",
                f"'{route.destination}' is not a network in canonical form: write it as {written_as}",
            )
        elif network in known:
            yield place, "destination", f"'{network}' is in the list twice: remove one of the two"
        else:
            known.add(network)
            reason = _no_destination(network, interfaces)
            if reason:
                yield place, "destination", f"'{network}' {reason}"
        if gateway is None:
            yield place, "gateway", f"'{route.gateway}' is not an IP address: write it without a prefix length"
        elif network is not None:
            own = [interface for interface in interfaces if interface.version == network.version]
            reason = _other_family(gateway, network) or (no_gateway(gateway, own) if own else "")
            if reason:
                yield place, "gateway", f"'{gateway}' {reason}"


def no_gateway(gateway: IPAddress, interfaces: Sequence[Interface]) -> str:
    """Why a router with these addresses of the same family cannot have a gateway, as the continuation of its address; empty if it can."""
    if gateway in [interface.ip for interface in interfaces]:
        return "is the router's own address: set the address of the next hop"
    if gateway.version == 6 and gateway.is_link_local:
        # Routers advertise themselves by link-local addresses; net1 is the link.
        return ""
    networks = dict.fromkeys(interface.network for interface in interfaces)
    around = [network for network in networks if gateway in network]
    if not around:
        subnets = f"the subnet {next(iter(networks))}" if len(networks) == 1 else f"the subnets {_listed(networks)}"
        return f"is outside {subnets}: choose a gateway in {'it' if len(networks) == 1 else 'one of them'}"
    taken = [f"is {kind} of the network {network}" for network in around if (kind := no_host(gateway, network))]
    return f"{taken[0]}: set the address of the next hop" if taken else ""


def gateway_to(destination_ip: str, routes: Iterable[Route]) -> str:
    """The gateway of a route that leads to a server; empty if none does. Routes with problems lead nowhere."""
    ip = ipaddress.ip_address(destination_ip)
    networks = ((route.gateway, _network(route.destination)) for route in routes)
    return next((gateway for gateway, network in networks if network is not None and ip in network), "")


def _no_destination(network: IPNetwork, interfaces: Sequence[Interface]) -> str:
    family = f"IPv{network.version}"
    own = [interface for interface in interfaces if interface.version == network.version]
    if not network.prefixlen:
        return f"is every {family} address: set gateway of the router's {family} address instead"
    if not own:
        return f"is {family} and the router has no {family} address: add one to addresses"
    around = [interface.network for interface in own if network.subnet_of(interface.network)]  # type: ignore[arg-type]
    if around:
        return f"is in the router's own subnet {around[0]}, whose hosts are reached directly: remove the route"
    reason = no_servers(network)
    return f"has no remote servers, {reason}: remove the route" if reason else ""


def _other_family(gateway: IPAddress, network: IPNetwork) -> str:
    return (
        f"is IPv{gateway.version} and the destination is IPv{network.version}"
        if gateway.version != network.version
        else ""
    )


def _listed(networks: Iterable[IPNetwork]) -> str:
    return ", ".join(map(str, networks))


@lru_cache(maxsize=1024)
def _network(text: str) -> IPNetwork | None:
    """What was meant by a network, even if it has bits beyond its prefix length, or a netmask."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _ip(text: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
