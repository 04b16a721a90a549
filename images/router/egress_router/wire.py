# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Frames on the egress segment: is an address in use, and telling the segment who has it.

IPv4 follows RFC 5227 (probe: ARP request without sender address; announcement: ARP request whose sender and target are
the address). IPv6 does the same with neighbour discovery, RFC 4862 5.4 (solicitation from ::) and RFC 4861 7.2.6
(unsolicited advertisement). The RFCs' waits of seconds are for large networks that boot at once; here a probe is three
frames within one second.
"""

from __future__ import annotations

import contextlib
import ipaddress
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator

from .config import IP

PROBE_SECONDS = 1.0
PROBE_FRAMES = 3

_ARP = 0x0806
_IPV6 = 0x86DD
_BROADCAST = b"\xff" * 6
_ALL_NODES = ipaddress.IPv6Address("ff02::1")
_SOLICITATION = 135
_ADVERTISEMENT = 136
# linux/socket.h, linux/if_packet.h
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_MR_MULTICAST = 0


def probe(interface: str, mac: str, addresses: Iterable[IP], stop: threading.Event) -> dict[IP, str]:
    """Ask the segment for `addresses`; returns those in use with the MAC address that has them.

    An answer from `mac` does not count: it is an earlier pod of this router, whose lease is over. Takes PROBE_SECONDS,
    less if every address was found in use or `stop` is set. Raises OSError, for example if the interface is gone.
    """
    wanted = list(addresses)
    own = _mac_bytes(mac)
    found: dict[IP, str] = {}
    with _sockets(interface, wanted) as by_family:
        selector = selectors.DefaultSelector()
        for raw in by_family.values():
            selector.register(raw, selectors.EVENT_READ)
        start = time.monotonic()
        sent = 0
        while len(found) < len(wanted) and not stop.is_set():
            elapsed = time.monotonic() - start
            if elapsed >= PROBE_SECONDS:
                break
            # Two thirds of the time are for asking, the rest for the last answer.
            if sent < PROBE_FRAMES and elapsed >= sent * PROBE_SECONDS * 0.67 / PROBE_FRAMES:
                sent += 1
                for ip in wanted:
                    by_family[ip.version].send(_question(own, ip))
            for key, _events in selector.select(0.05):
                frame = key.fileobj.recv(2048)  # type: ignore[union-attr]
                found |= {ip: holder.hex(":") for ip, holder in _others(frame, own) if ip in wanted}
    return found


def announce(interface: str, mac: str, addresses: Iterable[IP]) -> None:
    """Tell the segment that `mac` has `addresses`: neighbours change an entry that they have. Raises OSError."""
    wanted = list(addresses)
    with _sockets(interface, wanted) as by_family:
        for ip in wanted:
            by_family[ip.version].send(_announcement(_mac_bytes(mac), ip))


@contextlib.contextmanager
def _sockets(interface: str, addresses: list[IP]) -> Iterator[dict[int, socket.socket]]:
    with contextlib.ExitStack() as stack:
        found: dict[int, socket.socket] = {}
        for ip in addresses:
            protocol = _ARP if ip.version == 4 else _IPV6
            raw = found.get(ip.version)
            if raw is None:
                raw = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol)))
                raw.bind((interface, protocol))
                raw.settimeout(1.0)
                found[ip.version] = raw
            if isinstance(ip, ipaddress.IPv6Address):
                for group in (_ALL_NODES, _solicited_node(ip)):
                    _join(raw, interface, _group_mac(group))
        yield found


def _join(raw: socket.socket, interface: str, mac: bytes) -> None:
    request = struct.pack("iHH8s", socket.if_nametoindex(interface), _PACKET_MR_MULTICAST, 6, mac)
    raw.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, request)


def _question(mac: bytes, ip: IP) -> bytes:
    if isinstance(ip, ipaddress.IPv4Address):
        return _arp(mac, ipaddress.IPv4Address(0), ip)
    return _neighbour(mac, ipaddress.IPv6Address(0), _solicited_node(ip), _SOLICITATION, 0, ip, b"")


def _announcement(mac: bytes, ip: IP) -> bytes:
    if isinstance(ip, ipaddress.IPv4Address):
        return _arp(mac, ip, ip)
    # Flags router and override, option 2: target link-layer address.
    return _neighbour(mac, ip, _ALL_NODES, _ADVERTISEMENT, 0xA0000000, ip, b"\x02\x01" + mac)


def _arp(mac: bytes, sender: ipaddress.IPv4Address, target: ipaddress.IPv4Address) -> bytes:
    header = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    return _BROADCAST + mac + struct.pack("!H", _ARP) + header + mac + sender.packed + bytes(6) + target.packed


def _neighbour(
    mac: bytes,
    source: ipaddress.IPv6Address,
    destination: ipaddress.IPv6Address,
    kind: int,
    flags: int,
    target: ipaddress.IPv6Address,
    option: bytes,
) -> bytes:
    body = struct.pack("!I", flags) + target.packed + option
    pseudo = source.packed + destination.packed + struct.pack("!II", 4 + len(body), socket.IPPROTO_ICMPV6)
    checksum = _checksum(pseudo + struct.pack("!BBH", kind, 0, 0) + body)
    message = struct.pack("!BBH", kind, 0, checksum) + body
    # Hop limit 255 proves that a neighbour discovery message was not forwarded.
    header = struct.pack("!IHBB", 6 << 28, len(message), socket.IPPROTO_ICMPV6, 255)
    return (
        _group_mac(destination) + mac + struct.pack("!H", _IPV6) + header + source.packed + destination.packed + message
    )


def _others(frame: bytes, own: bytes) -> list[tuple[IP, bytes]]:
    """The claims of a frame that are not our own: those are an earlier pod's of this router."""
    return [(ip, holder) for ip, holder in _claims(frame) if holder != own]


def _claims(frame: bytes) -> Iterator[tuple[IP, bytes]]:
    """The addresses that a received frame says its sender has or is about to take, each with the sender's MAC."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == _ARP and len(frame) >= 42:
        sender_mac, sender, target = frame[22:28], frame[28:32], frame[38:42]
        yield ipaddress.IPv4Address(sender), sender_mac
        if sender == bytes(4):
            # Another host probes for the same address at the same time (RFC 5227, 2.1.1).
            yield ipaddress.IPv4Address(target), sender_mac
    elif kind == _IPV6 and len(frame) >= 78 and frame[20] == socket.IPPROTO_ICMPV6:
        source, message = frame[22:38], frame[54:]
        if message[0] == _ADVERTISEMENT or (message[0] == _SOLICITATION and source == bytes(16)):
            yield ipaddress.IPv6Address(message[8:24]), frame[6:12]


def _solicited_node(ip: ipaddress.IPv6Address) -> ipaddress.IPv6Address:
    return ipaddress.IPv6Address(ipaddress.IPv6Address("ff02::1:ff00:0").packed[:13] + ip.packed[13:])


def _group_mac(group: ipaddress.IPv6Address) -> bytes:
    return b"\x33\x33" + group.packed[12:]


def _mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
