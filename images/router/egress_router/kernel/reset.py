# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Segments that make the ends of idle TCP connections speak, so that the forward chain can reset them.

A host that gets a segment whose sequence number is not acceptable answers with an acknowledgement (RFC 9293, 3.10.7.4), in
which are the numbers that a reset needs. Neither end is told anything by the segment itself.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

from ..net import IP, checksum
from .marks import BASE, MASK

_SO_MARK = 36
_HEADER_INCLUDED = {4: (socket.IPPROTO_IP, 3), 6: (socket.IPPROTO_IPV6, 36)}
_ACK = 0x10


@dataclass(frozen=True)
class End:
    """Who sends to whom in one direction of a connection: address and port."""

    source: IP
    source_port: int
    target: IP
    target_port: int


def provoke(mark: int, deadline: float) -> int:
    """Send a segment to both ends of each marked TCP connection, until `deadline` (monotonic seconds); returns how many.

    The packets have `mark`, so that connection tracking can leave them alone.
    """
    sent = 0
    sockets: dict[IP, socket.socket] = {}
    try:
        for end in _ends(deadline):
            if end.source not in sockets:
                sockets[end.source] = _socket(end.source, mark)
            try:
                sockets[end.source].sendto(segment(end), (str(end.target), 0))
                sent += 1
            except OSError:
                # This end has no way any more, or a full buffer: the others may.
                continue
    finally:
        for raw in sockets.values():
            raw.close()
    return sent


def segment(end: End) -> bytes:
    """An IP packet with an acknowledgement that is out of any window but by chance."""
    number = secrets.randbits(32)
    size = 20
    header = struct.pack("!HHIIBBHHH", end.source_port, end.target_port, number, 0, 5 << 4, _ACK, 0, 0, 0)
    pseudo = end.source.packed + end.target.packed
    pseudo += struct.pack("!II" if end.source.version == 6 else "!HH", socket.IPPROTO_TCP, size)
    header = header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:]
    if end.source.version == 6:
        return struct.pack("!IHBB", 6 << 28, size, socket.IPPROTO_TCP, 64) + pseudo[:32] + header
    # The kernel fills in the checksum of the IPv4 header.
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0, 64, socket.IPPROTO_TCP, 0) + pseudo[:8] + header


def _ends(deadline: float) -> Iterator[End]:
    """What each end of the marked TCP connections expects to hear from."""
    with NFCTSocket(nfgen_family=socket.AF_UNSPEC) as conntrack:
        for entry in conntrack.dump(mark=BASE, mark_mask=MASK):
            if time.monotonic() >= deadline:
                return
            for name in ("CTA_TUPLE_ORIG", "CTA_TUPLE_REPLY"):
                tuple_ = entry.get_attr(name)
                if tuple_.get_attr("CTA_TUPLE_PROTO").get_attr("CTA_PROTO_NUM") == socket.IPPROTO_TCP:
                    yield _answering(tuple_)


def _answering(tuple_: object) -> End:
    """The other way than one direction's packets come: towards their sender."""
    addresses = tuple_.get_attr("CTA_TUPLE_IP")  # type: ignore[attr-defined]
    ports = tuple_.get_attr("CTA_TUPLE_PROTO")  # type: ignore[attr-defined]
    source, target = (
        ipaddress.ip_address(addresses.get_attr(f"CTA_IP_V4_{side}") or addresses.get_attr(f"CTA_IP_V6_{side}"))
        for side in ("SRC", "DST")
    )
    return End(target, int(ports.get_attr("CTA_PROTO_DST_PORT")), source, int(ports.get_attr("CTA_PROTO_SRC_PORT")))


def _socket(source: IP, mark: int) -> socket.socket:
    family = socket.AF_INET if source.version == 4 else socket.AF_INET6
    raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.setblocking(False)
    raw.setsockopt(*_HEADER_INCLUDED[source.version], 1)
    # Routing looks at this address, not at the one in the packet.
    raw.bind((str(source), 0))
    raw.setsockopt(socket.SOL_SOCKET, _SO_MARK, struct.pack("I", mark))
    return raw
