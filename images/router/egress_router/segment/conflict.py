# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Address conflict detection and announcements: RFC 5227 for IPv4, RFC 4862 for IPv6.

The RFCs wait for several seconds because whole networks may boot at once; here a probe is four frames within a second.
An answer counts whoever sends it, even with the router's own MAC address: an earlier pod of the router, whose node is cut off
from the API server, or a router of another cluster. Of two that ask at the same time, one has to win: the question of another
counts if it comes from the lower MAC address, or from the router's, which is the last that a pod asks from.
"""

from __future__ import annotations

import contextlib
import ipaddress
import selectors
import socket
import threading
import time
from collections.abc import Iterable, Iterator

from ..net import IP
from . import frames
from .packet_socket import OUTGOING, join

PROBE_FRAMES = 4
# How long the last question waits for its answer, at most.
ANSWER_SECONDS = 0.1


def probe(
    interface: str,
    mac: str,
    addresses: Iterable[IP],
    seconds: float,
    stop: threading.Event,
    *,
    own: str = "",
    router: str = "",
) -> dict[IP, str]:
    """Ask the segment for `addresses` from `mac`; returns those in use, each with the MAC address that has it.

    Asks at the beginning, at the end, and twice between; takes `seconds`, less if every address is in use or `stop` is set.
    `own`: the pod's own MAC address, which decides between two that ask; `router`: the router's. Raises OSError, for example if
    the interface is gone.
    """
    wanted = list(addresses)
    asking = frames.mac_bytes(mac)
    rank = frames.mac_bytes(own or mac)
    shared = frames.mac_bytes(router) if router else b""
    wait = min(ANSWER_SECONDS, seconds / PROBE_FRAMES)
    apart = (seconds - wait) / (PROBE_FRAMES - 1)
    found: dict[IP, str] = {}
    with _sockets(interface, wanted) as by_family:
        selector = selectors.DefaultSelector()
        for raw in by_family.values():
            selector.register(raw, selectors.EVENT_READ)
        start = time.monotonic()
        sent, last = 0, 0.0
        while len(found) < len(wanted) and not stop.is_set():
            elapsed = time.monotonic() - start
            if sent == PROBE_FRAMES and elapsed >= last + wait:
                break
            if sent < PROBE_FRAMES and elapsed >= sent * apart:
                sent, last = sent + 1, elapsed
                for ip in wanted:
                    by_family[ip.version].send(frames.question(asking, ip))
            for key, _events in selector.select(wait / 5):
                frame, (_name, _protocol, direction, *_rest) = key.fileobj.recvfrom(2048)  # type: ignore[union-attr]
                if direction != OUTGOING:
                    claims = others(frame, asking, rank, shared)
                    found |= {ip: holder.hex(":") for ip, holder in claims if ip in wanted}
    return found


class Announcer:
    """Tells the segment who has addresses. For one thread at a time.

    Its socket stays open: the kernel takes tens of milliseconds to close one of this kind, and clients may be waiting.
    """

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._raw: socket.socket | None = None

    def announce(self, mac: str, addresses: Iterable[IP]) -> None:
        """Tell that `mac` has `addresses`: neighbours update the entry that they have. Raises OSError."""
        if self._raw is None:
            # Protocol 0: it receives nothing.
            self._raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        for ip in addresses:
            protocol = frames.ARP if ip.version == 4 else frames.IPV6
            self._raw.sendto(frames.announcement(frames.mac_bytes(mac), ip), (self._interface, protocol))

    def close(self) -> None:
        """Tell nothing any more."""
        if self._raw is not None:
            self._raw.close()


@contextlib.contextmanager
def _sockets(interface: str, addresses: list[IP]) -> Iterator[dict[int, socket.socket]]:
    with contextlib.ExitStack() as stack:
        found: dict[int, socket.socket] = {}
        for ip in addresses:
            protocol = frames.ARP if ip.version == 4 else frames.IPV6
            raw = found.get(ip.version)
            if raw is None:
                raw = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol)))
                raw.bind((interface, protocol))
                raw.settimeout(1.0)
                found[ip.version] = raw
            if isinstance(ip, ipaddress.IPv6Address):
                for group in (frames.ALL_NODES, frames.solicited_node(ip)):
                    join(raw, interface, frames.group_mac(group))
        yield found


def others(frame: bytes, asking: bytes, rank: bytes, shared: bytes = b"") -> list[tuple[IP, bytes]]:
    """The claims of a frame that was received, without our own question, which a switch may send back.

    And without the questions of those who have to give way: whose MAC address is higher than `rank`, and not `shared`.
    """
    answers = list(frames.answers(frame))
    asked = [claim for claim in frames.claims(frame) if claim not in answers and claim[1] != asking]
    return answers + [claim for claim in asked if claim[1] < rank or claim[1] == shared]
