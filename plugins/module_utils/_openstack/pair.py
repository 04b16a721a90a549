# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Neutron's allowed address pairs: which are the same, and a port's list with some of them added or taken out.

Neutron keeps pairs as they were sent and compares them as text: 02:E6:... and 02:e6:..., 198.51.100.50 and
198.51.100.50/32 stand side by side (measured on Neutron 24.2.2 and 28.0.2). Here they are the same pair. Pairs of
others are written back byte for byte, in their order.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .._common.errors import InputError
from .._common.mac import is_multicast, normal_mac, unquoted


@dataclass(frozen=True)
class Pair:
    """An address pair, normalised: `ip` in its short form without /32 or /128, `mac` in lower case with colons.

    `mac` empty: that of a router that has another one at every start, which no pair of Neutron's can stand for.
    """

    ip: str
    mac: str

    def __str__(self) -> str:
        return f"{self.ip} {self.mac}"

    @property
    def raw(self) -> dict[str, str]:
        """The form that is sent to Neutron."""
        return {"ip_address": self.ip, **({"mac_address": self.mac} if self.mac else {})}


def read_pair(ip_address: str | None, mac_address: str | None) -> Pair:
    """The pair of a user's options: a single host and the router's own MAC address."""
    address, mac = read_ip(ip_address), (mac_address or "").strip()
    if not mac:
        raise InputError(
            f"mac_address of {address} is missing: specify the router's own MAC address, because Neutron would use that of the "
            "node's port"
        )
    normalised = normal_mac(mac)
    if normalised is None:
        meant = unquoted(mac)
        raise InputError(
            f"mac_address of {address}: {meant}"
            if meant
            else f"mac_address '{mac}' of {address} is not a MAC address: use the form 02:e6:c6:33:64:32"
        )
    if is_multicast(normalised):
        raise InputError(
            f"mac_address '{mac}' of {address} is a multicast address: specify the router's own MAC address"
        )
    return Pair(address, normalised)


def read_ip(ip_address: str | None) -> str:
    """The address of a user's options: that of a single host."""
    ip = (ip_address or "").strip()
    try:
        address = normal_ip(ip)
    except ValueError:
        raise InputError(f"ip_address '{ip}' is not an IP address: use the form 198.51.100.50") from None
    if "/" in address:
        raise InputError(f"ip_address '{ip}' is a network: specify the egress address without a prefix length")
    if not is_host(address):
        raise InputError(f"ip_address '{ip}' is not the address of a host: specify the egress address of the router")
    return address


def is_host(ip: str) -> bool:
    """Whether one host can have the address. A pair with 0.0.0.0 would open the port for more than the router."""
    address = ipaddress.ip_address(ip)
    return not (address.is_unspecified or address.is_multicast or address.is_loopback or ip == "255.255.255.255")


def normal_ip(text: str) -> str:
    """`198.51.100.50/32` as `198.51.100.50`, IPv6 in its short form. Host bits of a network are kept. Raises ValueError."""
    interface = ipaddress.ip_interface(text)
    if interface.network.prefixlen == interface.network.max_prefixlen:
        return str(interface.ip)
    return str(interface)


def normal_pair(raw: Mapping[str, Any]) -> Pair | None:
    """A pair as Neutron stores it; None if it cannot be one of ours."""
    mac = normal_mac(str(raw.get("mac_address") or ""))
    try:
        ip = normal_ip(str(raw.get("ip_address") or ""))
    except ValueError:
        return None
    return Pair(ip, mac) if mac else None


def with_pairs(existing: Iterable[Mapping[str, Any]], wanted: Iterable[Pair]) -> list[dict[str, Any]]:
    """`existing` unchanged, followed by the pairs of `wanted` that are missing."""
    kept = [dict(raw) for raw in existing]
    have = {normal_pair(raw) for raw in kept}
    return kept + [pair.raw for pair in dict.fromkeys(wanted) if pair not in have]


def without_pairs(existing: Iterable[Mapping[str, Any]], unwanted: Iterable[Pair]) -> list[dict[str, Any]]:
    """`existing` without the pairs of `unwanted`, whatever their notation."""
    gone = set(unwanted)
    return [dict(raw) for raw in existing if normal_pair(raw) not in gone]
