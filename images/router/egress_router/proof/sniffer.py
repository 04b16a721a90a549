# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Source MAC addresses, from the frames themselves: the neighbour table only says where replies would go."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import socket
import threading
import time
from collections import OrderedDict, deque

from pyroute2.iproute import IPRoute

from ..segment.packet_socket import OUTGOING, attach_filter

# Protocol number, source address, source port.
Source = tuple[int, str, int]

_ALL = 0x0003
_LOOPBACK = 772
_REMEMBERED = 65536
# How long to wait for the thread: the kernel queues the frame before the connection is established.
_WAIT_SECONDS = 0.3
# An older frame is of an earlier connection from the same port, which nobody asked about.
_AGE_SECONDS = 10.0
# Of one source: datagrams that wait for their answer.
_FRAMES = 256

# On network headers: UDP, and the first packet of TCP connections, IPv4 and IPv6.
_FILTER = (
    (0x28, 0, 0, 0xFFFFF000),  # 0: A = ethertype
    (0x15, 0, 5, 0x0800),  # 1: IPv4, or 7
    (0x30, 0, 0, 9),  # 2: A = protocol
    (0x15, 12, 0, socket.IPPROTO_UDP),  # 3: accept UDP
    (0x15, 0, 10, socket.IPPROTO_TCP),  # 4: drop what is not TCP
    (0xB1, 0, 0, 0),  # 5: X = length of the IPv4 header
    (0x05, 0, 0, 5),  # 6: on to 12
    (0x15, 0, 7, 0x86DD),  # 7: IPv6, or drop
    (0x30, 0, 0, 6),  # 8: A = next header
    (0x15, 6, 0, socket.IPPROTO_UDP),  # 9: accept UDP
    (0x15, 0, 4, socket.IPPROTO_TCP),  # 10: drop what is not TCP
    (0x01, 0, 0, 40),  # 11: X = length of the IPv6 header
    (0x50, 0, 0, 13),  # 12: A = TCP flags
    (0x54, 0, 0, 0x12),  # 13: of these SYN and ACK
    (0x15, 1, 0, 0x02),  # 14: accept SYN alone
    (0x06, 0, 0, 0),  # 15: drop
    (0x06, 0, 0, 64),  # 16: accept, the headers
)


class Sniffer:
    """Remembers the MAC addresses of the last sources. Raises PermissionError without NET_RAW.

    Each frame is told once: a source port is used again, by another router after a move.
    """

    def __init__(self) -> None:
        self._raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
        attach_filter(self._raw, _FILTER)
        with contextlib.suppress(OSError):
            self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        # When each frame came, and from whom.
        self._frames: OrderedDict[Source, deque[tuple[float, str]]] = OrderedDict()
        self._news = threading.Condition()
        threading.Thread(target=self._listen, name="sniffer", daemon=True).start()

    def mac(self, protocol: int, ip: str, port: int, wait: float = _WAIT_SECONDS) -> str | None:
        """The MAC address that the source's frame came from; None if it came through a gateway or over loopback."""
        if not _on_link(ip):
            return None
        source = (protocol, ip, port)
        with self._news:
            self._news.wait_for(lambda: self._has(source), wait)
            return self._take(source) if self._has(source) else None

    def _has(self, source: Source) -> bool:
        frames = self._frames.get(source)
        while frames and frames[0][0] < time.monotonic() - _AGE_SECONDS:
            frames.popleft()
        return bool(frames)

    def _take(self, source: Source) -> str:
        """Of TCP the last frame, as the first packet of a connection may have been sent again; of UDP the next."""
        if source[0] == socket.IPPROTO_TCP:
            return self._frames.pop(source)[-1][1]
        return self._frames[source].popleft()[1]

    def _note(self, source: Source, mac: str) -> None:
        with self._news:
            self._frames.setdefault(source, deque(maxlen=_FRAMES)).append((time.monotonic(), mac))
            self._frames.move_to_end(source)
            if len(self._frames) > _REMEMBERED:
                self._frames.popitem(last=False)
            self._news.notify_all()

    def _listen(self) -> None:
        while True:
            packet, (_interface, _protocol, direction, hardware, address) = self._raw.recvfrom(64)
            if direction == OUTGOING or hardware == _LOOPBACK or len(address) != 6:
                continue
            source = _source(packet)
            if source is not None:
                self._note(source, address.hex(":"))


@functools.lru_cache(maxsize=4096)
def _on_link(ip: str) -> bool:
    """Whether the kernel would reach `ip` without a gateway: only then is the sender of the frame `ip` itself."""
    with IPRoute() as netlink:
        found = netlink.route("get", dst=ip)
    return bool(found) and not any(found[0].get_attr(name) for name in ("RTA_GATEWAY", "RTA_VIA"))


def _source(packet: bytes) -> Source | None:
    if len(packet) < 28:
        return None
    if packet[0] >> 4 == 4:
        start = (packet[0] & 0xF) * 4
        protocol, ip = packet[9], str(ipaddress.IPv4Address(packet[12:16]))
    else:
        start = 40
        protocol, ip = packet[6], str(ipaddress.IPv6Address(packet[8:24]))
    if len(packet) < start + 2:
        return None
    return protocol, ip, int.from_bytes(packet[start : start + 2], "big")
