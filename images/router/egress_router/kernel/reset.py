# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Segments that make the ends of idle TCP connections speak, so that the forward chain can reset them.

A host that gets a segment whose sequence number is not acceptable answers with an acknowledgement (RFC 9293, 3.10.7.4), in
which are the numbers that a reset needs. Neither end is told anything by the segment itself.
"""

from __future__ import annotations

import secrets
import socket
import struct
import time
from collections.abc import Iterator

from ..net import IP, checksum
from . import conntrack
from .conntrack import Path

_SO_MARK = 36
_HEADER_INCLUDED = {4: (socket.IPPROTO_IP, 3), 6: (socket.IPPROTO_IPV6, 36)}
_FREEBIND = {4: (socket.IPPROTO_IP, 15), 6: (socket.IPPROTO_IPV6, 78)}
_ACK = 0x10


def provoke(mark: int, deadline: float) -> int:
    """Send a segment to both ends of each marked TCP connection, until `deadline` (monotonic seconds); returns how many.

    The packets have `mark`, so that connection tracking can leave them alone.
    """
    sent = 0
    sockets: dict[IP, socket.socket] = {}
    try:
        for path in _paths(deadline):
            if path.source not in sockets:
                sockets[path.source] = _socket(path.source, mark)
            try:
                sockets[path.source].sendto(segment(path), (str(path.target), 0))
                sent += 1
            except OSError:
                # This end has no way any more, or a full buffer: the others may.
                continue
    finally:
        for raw in sockets.values():
            raw.close()
    return sent


def segment(path: Path) -> bytes:
    """An IP packet with an acknowledgement that is out of any window but by chance."""
    number = secrets.randbits(32)
    size = 20
    header = struct.pack("!HHIIBBHHH", path.source_port, path.target_port, number, 0, 5 << 4, _ACK, 0, 0, 0)
    pseudo = path.source.packed + path.target.packed
    pseudo += struct.pack("!II" if path.source.version == 6 else "!HH", socket.IPPROTO_TCP, size)
    header = header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:]
    if path.source.version == 6:
        return struct.pack("!IHBB", 6 << 28, size, socket.IPPROTO_TCP, 64) + pseudo[:32] + header
    # The kernel fills in the checksum of the IPv4 header.
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0, 64, socket.IPPROTO_TCP, 0) + pseudo[:8] + header


def _paths(deadline: float) -> Iterator[Path]:
    """What each end of the marked TCP connections expects to hear from."""
    for connection in conntrack.connections():
        if time.monotonic() >= deadline:
            return
        if connection.request.protocol == socket.IPPROTO_TCP:
            yield connection.request.back
            yield connection.reply.back


def _socket(source: IP, mark: int) -> socket.socket:
    family = socket.AF_INET if source.version == 4 else socket.AF_INET6
    raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.setblocking(False)
    raw.setsockopt(*_HEADER_INCLUDED[source.version], 1)
    # Routing looks at this address, not at the one in the packet. A pod that relays does not have it any more.
    raw.setsockopt(*_FREEBIND[source.version], 1)
    raw.bind((str(source), 0))
    raw.setsockopt(socket.SOL_SOCKET, _SO_MARK, struct.pack("I", mark))
    return raw
