# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the agent is: the router's identity from EGRESS_ROUTER, and the pod's from the downward API, checked."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ansible_collections.egress.router.plugins.module_utils._contract.failover import (
    PERIODS,
    SERVE,
    STOP,
    Failover,
    problems,
)
from ansible_collections.egress.router.plugins.module_utils._contract.identity import (
    VARIABLE,
    EgressAddress,
    Identity,
    IdentityError,
    Port,
    Route,
)
from ansible_collections.egress.router.plugins.module_utils._contract.routes import problems as problems_of_routes
from ansible_collections.egress.router.plugins.module_utils._contract.rules import PROTOCOLS
from ansible_collections.egress.router.plugins.module_utils._contract.sources import (
    FIRST,
    SOURCES,
    SPREAD,
    several,
    too_many,
)
from ansible_collections.egress.router.plugins.module_utils._contract.version import VERSION

from .net import IP, Interface, Network, is_mac


class ConfigError(ValueError):
    """The configuration cannot be used; the message says which variable and field, and why."""


@dataclass(frozen=True)
class Address:
    """One egress address with its subnet's prefix, and the gateway of that subnet (None: only on-link servers)."""

    interface: Interface
    gateway: IP | None = None

    @property
    def ip(self) -> IP:
        """The address without prefix."""
        return self.interface.ip

    @property
    def family(self) -> int:
        """4 or 6."""
        return self.interface.version


@dataclass(frozen=True)
class StaticRoute:
    """A network of servers that another router of the segment reaches."""

    network: Network
    gateway: IP

    @property
    def family(self) -> int:
        """4 or 6."""
        return self.network.version


@dataclass(frozen=True)
class Config:
    """What `egress-router run` was started with. Durations are in seconds.

    `addresses`: those of IPv4 first, in each family in the order of the list. `source`: see the contract's sources.
    """

    router: str
    namespace: str
    pod: str
    node: str
    pod_uid: str
    pod_ips: tuple[IP, ...]
    addresses: tuple[Address, ...]
    mac: str
    replicas: int = 1
    headless: bool = False
    extra_ports: tuple[tuple[int, str], ...] = ()
    failover: Failover = field(default_factory=Failover)
    routes: tuple[StaticRoute, ...] = ()
    source: str = FIRST

    @property
    def families(self) -> tuple[int, ...]:
        """The families of the egress addresses."""
        return tuple(dict.fromkeys(address.family for address in self.addresses))

    def pod_ip(self, family: int) -> IP | None:
        """The pod's address of one family on the cluster network."""
        return next((ip for ip in self.pod_ips if ip.version == family), None)

    def address(self, family: int) -> Address | None:
        """The first egress address of one family."""
        return next(iter(self.addresses_of(family)), None)

    @property
    def default_sources(self) -> tuple[IP, ...]:
        """From where connections leave whose rule has no source of its own."""
        if self.source == SPREAD:
            return tuple(address.ip for address in self.addresses)
        return tuple(self.addresses_of(family)[0].ip for family in self.families)

    def addresses_of(self, family: int) -> tuple[Address, ...]:
        """The egress addresses of one family."""
        return tuple(address for address in self.addresses if address.family == family)


def load(environment: Mapping[str, str]) -> Config:
    """The checked configuration; raises ConfigError."""
    try:
        identity = Identity.from_json(_variable(environment, VARIABLE, "the router's Deployment sets it"))
    except IdentityError as error:
        raise ConfigError(
            f"{error}. This image is of version {VERSION}, and has to be as new as the collection that wrote it"
        ) from error
    downward = "the pod template takes it from the downward API"
    addresses = _addresses(identity.addresses)
    return Config(
        router=_name(identity.router),
        namespace=_variable(environment, "POD_NAMESPACE", downward),
        pod=_variable(environment, "POD_NAME", downward),
        node=_variable(environment, "NODE_NAME", downward),
        pod_uid=environment.get("POD_UID", ""),
        pod_ips=tuple(_ip(text, "POD_IPS:") for text in _variable(environment, "POD_IPS", downward).split(",")),
        addresses=addresses,
        mac=_mac(identity.mac),
        replicas=_whole_number(identity.replicas, "replicas", least=1),
        headless=_boolean(identity.headless, "headless"),
        extra_ports=tuple(_port(item, number) for number, item in enumerate(identity.extra_ports)),
        failover=_failover(identity.failover),
        routes=_routes(identity.routes, addresses),
        source=_source(identity.source),
    )


def _addresses(items: Iterable[EgressAddress]) -> tuple[Address, ...]:
    addresses: list[Address] = []
    for number, item in enumerate(items):
        where = f"{VARIABLE}: addresses[{number}]"
        try:
            interface = ipaddress.ip_interface(item.ip)
        except ValueError as error:
            example = "198.51.100.50/24"
            raise ConfigError(
                f"{where}.ip '{item.ip}' is not an address with prefix length such as {example}"
            ) from error
        if "/" not in str(item.ip):
            raise ConfigError(f"{where}.ip '{item.ip}' lacks its prefix length, for example {item.ip}/24")
        gateway = _ip(item.gateway, f"{where}.gateway") if item.gateway else None
        if gateway is not None and gateway.version != interface.version:
            raise ConfigError(f"{where}.gateway '{gateway}' is not an IPv{interface.version} address as {interface} is")
        for known in addresses:
            if known.family == interface.version:
                reason = several(str(interface), item.gateway, str(known.interface), str(known.gateway or ""))[1]
                if reason:
                    raise ConfigError(f"{where}.ip '{item.ip}' {reason}")
        addresses.append(Address(interface, gateway))
    if not addresses:
        raise ConfigError(f"{VARIABLE}: addresses is empty; a router has at least one")
    if too_many(len(addresses)):
        raise ConfigError(f"{VARIABLE}: {too_many(len(addresses))}")
    return tuple(sorted(addresses, key=lambda address: address.family))


def _routes(items: Iterable[Route], addresses: Iterable[Address]) -> tuple[StaticRoute, ...]:
    routes = [Route(str(item.destination), str(item.gateway)) for item in items]
    for place, name, message in problems_of_routes(routes, [str(address.interface) for address in addresses]):
        raise ConfigError(f"{VARIABLE}: routes[{place}].{name} {message}")
    return tuple(
        StaticRoute(ipaddress.ip_network(route.destination), ipaddress.ip_address(route.gateway)) for route in routes
    )


def _mac(value: object) -> str:
    mac = str(value).lower()
    if not is_mac(mac):
        raise ConfigError(f"{VARIABLE}: mac '{value}' is not a unicast MAC address such as 02:e6:c6:33:64:32")
    return mac


def _whole_number(value: object, field: str, least: int | None = None) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
        wanted = "a whole number" if least is None else f"a whole number of at least {least}"
        raise ConfigError(f"{VARIABLE}: {field} '{value}' is not {wanted}")
    return value


def _failover(found: Failover) -> Failover:
    wrong = problems(**{name: _whole_number(getattr(found, name), f"failover.{name}") for name in PERIODS})
    if wrong:
        raise ConfigError(f"{VARIABLE}: failover: {'; '.join(wrong)}")
    if found.without_api not in (SERVE, STOP):
        raise ConfigError(f"{VARIABLE}: failover.without_api '{found.without_api}' is neither {SERVE} nor {STOP}")
    return found


def _source(value: object) -> str:
    if value not in SOURCES:
        raise ConfigError(f"{VARIABLE}: source '{value}' is neither {' nor '.join(SOURCES)}")
    return str(value)


def _boolean(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{VARIABLE}: {field} '{value}' is neither true nor false")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{VARIABLE}: router '{value}' is not the name of a router")
    return value


def _port(item: Port, number: int) -> tuple[int, str]:
    where = f"{VARIABLE}: extra_ports[{number}]"
    port = _whole_number(item.port, f"extra_ports[{number}].port", least=1)
    if port > 65535:
        raise ConfigError(f"{where}.port '{port}' is above 65535")
    if item.protocol not in PROTOCOLS:
        raise ConfigError(f"{where}.protocol '{item.protocol}' is not one of {', '.join(PROTOCOLS)}")
    return port, item.protocol


def _ip(text: str, where: str) -> IP:
    try:
        return ipaddress.ip_address(text.strip())
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{where} '{text}' is not an IP address") from error


def _variable(environment: Mapping[str, str], name: str, source: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise ConfigError(f"environment variable {name} is not set; {source}")
    return value
