# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent's configuration: command line of the pod template, and the pod's identity from the environment."""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.egress.router.plugins.module_utils._contract.rules import PROTOCOLS

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")


class ConfigError(ValueError):
    """The configuration cannot be used; the message says which option or variable and why."""


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
class Config:
    """What `egress-router run` was started with. Durations are in seconds."""

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
    lease_seconds: int = 15
    renew_seconds: float = 5.0

    def pod_ip(self, family: int) -> IP | None:
        """The pod's address of one family on the cluster network."""
        return next((ip for ip in self.pod_ips if ip.version == family), None)

    def address(self, family: int) -> Address | None:
        """The egress address of one family."""
        return next((address for address in self.addresses if address.family == family), None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `egress-router run`."""
    parser.add_argument("--router", required=True, help="name of the router and of its Lease")
    parser.add_argument(
        "--address", action="append", required=True, metavar="IP/PREFIX", help="egress address, one for each family"
    )
    parser.add_argument("--gateway", action="append", default=[], metavar="IP", help="gateway, one for each family")
    parser.add_argument("--mac", required=True, help="MAC address of net1 while the router serves")
    parser.add_argument("--replicas", type=int, default=1, help="how many pods the router has")
    parser.add_argument("--headless", action="store_true", help="the Service is headless: publish no rule ports")
    parser.add_argument(
        "--extra-port", action="append", default=[], metavar="PORT/PROTOCOL", help="further port of the Service"
    )
    parser.add_argument("--lease-seconds", type=int, default=15, help="how long the lease lasts without renewal")
    parser.add_argument("--renew-seconds", type=float, default=5.0, help="how often the lease is renewed")


def load(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Config:
    """The checked configuration; raises ConfigError."""
    addresses = _addresses(arguments.address, arguments.gateway)
    mac = arguments.mac.lower()
    if not is_mac(mac):
        raise ConfigError(f"--mac '{arguments.mac}' is not a unicast MAC address such as 02:e6:c6:33:64:32")
    if arguments.replicas < 1:
        raise ConfigError(f"--replicas {arguments.replicas} must be at least 1")
    if not 0 < arguments.renew_seconds <= arguments.lease_seconds / 2:
        raise ConfigError(
            f"--renew-seconds {arguments.renew_seconds} must be above 0 and at most half of --lease-seconds "
            f"{arguments.lease_seconds}"
        )
    pod_ips = tuple(_ip(text, "POD_IPS") for text in _variable(environment, "POD_IPS").split(","))
    return Config(
        router=arguments.router,
        namespace=_variable(environment, "POD_NAMESPACE"),
        pod=_variable(environment, "POD_NAME"),
        node=_variable(environment, "NODE_NAME"),
        pod_uid=environment.get("POD_UID", ""),
        pod_ips=pod_ips,
        addresses=addresses,
        mac=mac,
        replicas=arguments.replicas,
        headless=arguments.headless,
        extra_ports=tuple(_port(text) for text in arguments.extra_port),
        lease_seconds=arguments.lease_seconds,
        renew_seconds=arguments.renew_seconds,
    )


def is_mac(text: str) -> bool:
    """Whether `text` is a unicast MAC address in lower case with colons."""
    return bool(_MAC.match(text)) and not int(text[:2], 16) & 1


def _addresses(texts: Sequence[str], gateway_texts: Sequence[str]) -> tuple[Address, ...]:
    gateways: dict[int, IP] = {}
    for text in gateway_texts:
        gateway = _ip(text, "--gateway")
        if gateway.version in gateways:
            raise ConfigError(f"--gateway {text}: there is a gateway of IPv{gateway.version} already")
        gateways[gateway.version] = gateway
    addresses: dict[int, Address] = {}
    for text in texts:
        try:
            interface = ipaddress.ip_interface(text)
        except ValueError as error:
            raise ConfigError(f"--address '{text}' is not an address with prefix such as 198.51.100.50/24") from error
        if "/" not in text:
            raise ConfigError(f"--address {text} lacks its prefix, for example {text}/24")
        if interface.version in addresses:
            raise ConfigError(f"--address {text}: there is an address of IPv{interface.version} already")
        addresses[interface.version] = Address(interface, gateways.pop(interface.version, None))
    for version, gateway in gateways.items():
        raise ConfigError(f"--gateway {gateway}: there is no --address of IPv{version} for it")
    return tuple(addresses[version] for version in sorted(addresses))


def _ip(text: str, source: str) -> IP:
    try:
        return ipaddress.ip_address(text.strip())
    except ValueError as error:
        raise ConfigError(f"{source} '{text}' is not an IP address") from error


def _port(text: str) -> tuple[int, str]:
    number, _slash, protocol = text.partition("/")
    protocol = protocol.upper() or "TCP"
    valid = number.isascii() and number.isdigit() and 1 <= int(number) <= 65535
    if not valid or protocol not in PROTOCOLS:
        raise ConfigError(f"--extra-port '{text}' is not PORT/PROTOCOL such as 8443/TCP")
    return int(number), protocol


def _variable(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise ConfigError(f"environment variable {name} is not set: the pod template takes it from the downward API")
    return value
