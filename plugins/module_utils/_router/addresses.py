# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The router's own addresses on the egress segment, and the MAC address that is derived from them."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass, replace

from .._common.mac import is_multicast, normal_mac, unquoted
from .._contract.routes import no_gateway
from .._contract.rules import IPAddress, IPNetwork, no_host
from .._contract.sources import several, too_many
from .fields import Fields


@dataclass(frozen=True)
class Address:
    """An egress address with its prefix length, and the gateway of its segment (empty: none)."""

    ip: str
    prefix_length: int
    gateway: str = ""

    @property
    def cidr(self) -> str:
        """`198.51.100.50/24`."""
        return f"{self.ip}/{self.prefix_length}"

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.ip else 4

    @property
    def network(self) -> IPNetwork:
        """The segment's network."""
        return ipaddress.ip_interface(self.cidr).network


def read_addresses(fields: Fields, required: bool = True) -> tuple[Address, ...]:
    """The `addresses` of a router, in their order. `required`: at least one.

    Whoever allocates addresses of pools fills them in before. Of a router that is to go, there may be none any more.
    """
    found: list[Address] = []
    sections = fields.sections("addresses")
    if required and not sections and isinstance(fields.raw("addresses"), (list, type(None))):
        fields.problem("addresses", "is required: for example [{ip: 198.51.100.50/24, gateway: 198.51.100.1}]")
    excess = too_many(len(sections))
    if excess:
        fields.problem("addresses", excess)
    for section in sections:
        if section.text("pool"):
            _refuse_pool(section, required)
            continue
        address = _read_address(section)
        if address is not None:
            found.append(_beside(section, address, found))
    return tuple(dict.fromkeys(found))


def _beside(fields: Fields, address: Address, others: list[Address]) -> Address:
    """The address with the gateway of the first one of its family, if it names none. Notes what it cannot be beside."""
    first = next((other for other in others if other.family == address.family), None)
    if first is None:
        return address
    if fields.raw("gateway") is None:
        address = replace(address, gateway=first.gateway)
    known = next((other for other in others if other.ip == address.ip), first)
    field, reason = several(address.cidr, address.gateway, known.cidr, known.gateway)
    if reason:
        fields.problem(field, f"'{address.cidr}' {reason}")
    return address


def default_mac(addresses: tuple[Address, ...]) -> str:
    """The MAC address derived from the egress address: the same on every node and after every restart.

    `02:e6:` and the four bytes of the IPv4 address; with IPv6 alone `02:e7:` and the first four bytes of the
    SHA-256 of the address. 02 in the first byte means locally administered, unicast, and the quadrant that the
    local administrator assigns (IEEE 802c, RFC 8948).
    """
    for address in addresses:
        if address.family == 4:
            return _mac(b"\x02\xe6" + ipaddress.ip_address(address.ip).packed)
    if not addresses:
        return ""
    digest = hashlib.sha256(ipaddress.ip_address(addresses[0].ip).packed).digest()
    return _mac(b"\x02\xe7" + digest[:4])


def read_mac(fields: Fields, addresses: tuple[Address, ...]) -> str:
    """The `mac` that the user gave, in lowercase with colons, or the derived one."""
    given = fields.text("mac")
    if not given:
        return default_mac(addresses)
    mac = normal_mac(given)
    if mac is None:
        fields.problem("mac", unquoted(given) or f"'{given}' is not a MAC address: write it as 02:e6:c6:33:64:32")
        return ""
    if is_multicast(mac):
        fields.problem("mac", f"'{given}' is a multicast address: choose one whose first byte is even, such as 02")
    elif mac == "00:00:00:00:00:00":
        fields.problem("mac", f"'{given}' is not usable: choose another one, or leave mac out to have it derived")
    return mac


def _mac(packed: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in packed)


def _refuse_pool(fields: Fields, required: bool) -> None:
    """A request that nobody has filled in."""
    name = fields.text("pool")
    fields.text("ip")
    fields.text("gateway")
    fields.finish()
    if required:
        fields.problem(
            "pool",
            f"no address of pool '{name}' is allocated to the router: define egress_router_pools and run egress.router.provision, "
            "which allocates one, or in plays of your own first the role egress.router.addresses or the module address_pool",
        )


def _read_address(fields: Fields) -> Address | None:
    written = fields.text("ip") if fields.required("ip") else ""
    gateway = fields.text("gateway")
    fields.finish()
    if not written:
        return None
    interface = _interface(written)
    if interface is None:
        fields.problem(
            "ip", f"'{written}' is not an IP address with a prefix length: write it as {_corrected(written)}"
        )
        return None
    if interface.network.prefixlen == 0:
        fields.problem(
            "ip",
            f"'{written}' has the prefix length of every address: set that of the segment, such as {_corrected(str(interface.ip))}",
        )
        return None
    reason = _not_a_host(interface.ip, interface.network)
    if reason:
        fields.problem("ip", f"'{written}' {reason}: choose the address of a host")
        return None
    return Address(str(interface.ip), interface.network.prefixlen, _read_gateway(fields, interface, gateway))


def _read_gateway(fields: Fields, interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface, written: str) -> str:
    if not written:
        return ""
    try:
        gateway = ipaddress.ip_address(written)
    except ValueError:
        fields.problem("gateway", f"'{written}' is not an IP address: write it without a prefix length")
        return ""
    network = interface.network
    if gateway.version != network.version:
        fields.problem("gateway", f"'{written}' is IPv{gateway.version} and the address is IPv{network.version}")
    elif reason := no_gateway(gateway, [interface]):
        fields.problem("gateway", f"'{written}' {reason}")
    else:
        return str(gateway)
    return ""


def _not_a_host(ip: IPAddress, network: IPNetwork) -> str:
    """Why `ip` cannot be a host's address in `network`; empty if it can."""
    if ip.is_unspecified or ip.is_loopback or ip.is_multicast or ip.is_link_local:
        return "is a loopback, link-local, multicast or unspecified address"
    taken = no_host(ip, network)
    return f"is {taken} of the network {network}" if taken else ""


def _interface(written: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface | None:
    try:
        return ipaddress.ip_interface(written) if "/" in written else None
    except ValueError:
        return None


def _corrected(written: str) -> str:
    """What was meant by an address without a prefix length, or with a netmask; an example for anything else."""
    for candidate in (written.replace(" ", "/"), f"{written}/64" if ":" in written else f"{written}/24"):
        interface = _interface(candidate)
        if interface is not None:
            return interface.with_prefixlen
    return "198.51.100.50/24"
