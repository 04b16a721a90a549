# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ethernet frames of ARP and neighbour discovery: pure, nothing is sent here.

IPv4 follows RFC 5227 (probe: ARP request without sender address; announcement: ARP request whose sender and target are
the address). IPv6 does the same with neighbour discovery, RFC 4862 5.4 (solicitation from ::) and RFC 4861 7.2.6
(unsolicited advertisement).
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from functools import lru_cache

from ..net import IP, checksum

ARP = 0x0806
IPV6 = 0x86DD
ALL_NODES = ipaddress.IPv6Address("ff02::1")
ECHO_REPLY = 129
SOLICITATION = 135
ADVERTISEMENT = 136

_ECHO_REQUEST = 128
_BROADCAST = b"\xff" * 6
_UNSPECIFIED: dict[int, IP] = {4: ipaddress.IPv4Address(0), 6: ipaddress.IPv6Address(0)}


@lru_cache(maxsize=32)
def question(mac: bytes, ip: IP, source: IP | None = None) -> bytes:
    """Who has `ip`? Without `source` it is the probe of a host that is about to take `ip`."""
    if isinstance(ip, ipaddress.IPv4Address):
        return _arp(mac, source or _UNSPECIFIED[4], ip)
    # Option 1: source link-layer address, which the unspecified address must not have.
    option = b"\x01\x01" + mac if source else b""
    group = solicited_node(ip)
    return _icmp6(mac, group_mac(group), source or _UNSPECIFIED[6], group, SOLICITATION, 0, ip.packed + option)


def announcement(mac: bytes, ip: IP) -> bytes:
    """`mac` has `ip`."""
    if isinstance(ip, ipaddress.IPv4Address):
        return _arp(mac, ip, ip)
    # Flags router and override, option 2: target link-layer address.
    body = ip.packed + b"\x02\x01" + mac
    return _icmp6(mac, group_mac(ALL_NODES), ip, ALL_NODES, ADVERTISEMENT, 0xA0000000, body)


def echo(mac: bytes, source: IP, to: bytes) -> bytes:
    """An IPv6 echo request to all nodes in a frame for `to` alone (RFC 6085): the host with that MAC address answers."""
    return _icmp6(mac, to, source, ALL_NODES, _ECHO_REQUEST, 0, b"")


def answers(frame: bytes) -> Iterator[tuple[IP, bytes]]:
    """The addresses that a received frame says its sender has, each with the MAC address."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == ARP and len(frame) >= 42:
        if frame[28:32] != bytes(4):
            yield ipaddress.IPv4Address(frame[28:32]), frame[22:28]
    elif _is_icmp6(frame, ADVERTISEMENT):
        yield ipaddress.IPv6Address(frame[62:78]), frame[6:12]


def claims(frame: bytes) -> Iterator[tuple[IP, bytes]]:
    """As `answers`, and the addresses that the sender is about to take, because it probes for them (RFC 5227, 2.1.1)."""
    yield from answers(frame)
    kind = int.from_bytes(frame[12:14], "big")
    if kind == ARP and len(frame) >= 42 and frame[28:32] == bytes(4):
        yield ipaddress.IPv4Address(frame[38:42]), frame[22:28]
    elif _is_icmp6(frame, SOLICITATION) and frame[22:38] == bytes(16):
        yield ipaddress.IPv6Address(frame[62:78]), frame[6:12]


def sender(frame: bytes) -> tuple[bytes, IP | None]:
    """The MAC address that sent a frame, and the sender's IP address if the frame has one."""
    kind = int.from_bytes(frame[12:14], "big")
    ip: IP | None = None
    if kind == ARP and len(frame) >= 42:
        ip = ipaddress.IPv4Address(frame[28:32])
    elif kind == IPV6 and len(frame) >= 54:
        ip = ipaddress.IPv6Address(frame[22:38])
    return frame[6:12], ip if ip is not None and int(ip) else None


def solicited_node(ip: ipaddress.IPv6Address) -> ipaddress.IPv6Address:
    """The multicast group in which `ip` is asked for."""
    return ipaddress.IPv6Address(ipaddress.IPv6Address("ff02::1:ff00:0").packed[:13] + ip.packed[13:])


def group_mac(group: ipaddress.IPv6Address) -> bytes:
    """The MAC address of an IPv6 multicast group."""
    return b"\x33\x33" + group.packed[12:]


def link_local(mac: bytes) -> ipaddress.IPv6Address:
    """The link-local address of a MAC address (RFC 4291, appendix A)."""
    return ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:])


def mac_bytes(mac: str) -> bytes:
    """The six bytes of aa:bb:cc:dd:ee:ff."""
    return bytes.fromhex(mac.replace(":", ""))


def _arp(mac: bytes, source: IP, target: IP) -> bytes:
    header = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    return _BROADCAST + mac + struct.pack("!H", ARP) + header + mac + source.packed + bytes(6) + target.packed


def _icmp6(mac: bytes, to: bytes, source: IP, destination: IP, kind: int, flags: int, content: bytes) -> bytes:
    body = struct.pack("!I", flags) + content
    pseudo = source.packed + destination.packed + struct.pack("!II", 4 + len(body), socket.IPPROTO_ICMPV6)
    total = checksum(pseudo + struct.pack("!BBH", kind, 0, 0) + body)
    message = struct.pack("!BBH", kind, 0, total) + body
    # Hop limit 255 proves that a neighbour discovery message was not forwarded.
    header = struct.pack("!IHBB", 6 << 28, len(message), socket.IPPROTO_ICMPV6, 255)
    return to + mac + struct.pack("!H", IPV6) + header + source.packed + destination.packed + message


def _is_icmp6(frame: bytes, kind: int) -> bool:
    return (
        int.from_bytes(frame[12:14], "big") == IPV6
        and len(frame) >= 78
        and frame[20] == socket.IPPROTO_ICMPV6
        and frame[54] == kind
    )
