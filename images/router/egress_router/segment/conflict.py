# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Address conflict detection and announcements: RFC 5227 for IPv4, RFC 4862 for IPv6.

The RFCs wait for several seconds because whole networks may boot at once; here a probe is three frames within a second.
An answer counts whoever sends it, even with the router's own MAC address: an earlier pod of the router, whose node is cut off
from the API server, or a router of another cluster.
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

PROBE_FRAMES = 3


def probe(interface: str, mac: str, addresses: Iterable[IP], seconds: float, stop: threading.Event) -> dict[IP, str]:
    """Ask the segment for `addresses` from `mac`; returns those in use, each with the MAC address that has it.

    Takes `seconds`, less if every address is in use or `stop` is set. Raises OSError, for example if the interface is gone.
    """
    wanted = list(addresses)
    own = frames.mac_bytes(mac)
    found: dict[IP, str] = {}
    with _sockets(interface, wanted) as by_family:
        selector = selectors.DefaultSelector()
        for raw in by_family.values():
            selector.register(raw, selectors.EVENT_READ)
        start = time.monotonic()
        sent = 0
        while len(found) < len(wanted) and not stop.is_set():
            elapsed = time.monotonic() - start
            if elapsed >= seconds:
                break
            # Two thirds of the time for questions, the rest for the last answer.
            if sent < PROBE_FRAMES and elapsed >= sent * seconds * 0.67 / PROBE_FRAMES:
                sent += 1
                for ip in wanted:
                    by_family[ip.version].send(frames.question(own, ip))
            for key, _events in selector.select(min(0.05, seconds - elapsed)):
                frame, (_name, _protocol, direction, *_rest) = key.fileobj.recvfrom(2048)  # type: ignore[union-attr]
                if direction != OUTGOING:
                    found |= {ip: holder.hex(":") for ip, holder in others(frame, own) if ip in wanted}
    return found


def announce(interface: str, mac: str, addresses: Iterable[IP]) -> None:
    """Tell the segment that `mac` has `addresses`: neighbours update the entry that they have. Raises OSError."""
    wanted = list(addresses)
    with _sockets(interface, wanted) as by_family:
        for ip in wanted:
            by_family[ip.version].send(frames.announcement(frames.mac_bytes(mac), ip))


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


def others(frame: bytes, own: bytes) -> list[tuple[IP, bytes]]:
    """The claims of a frame that was received, without our own question, which a switch may send back."""
    asked = set(frames.claims(frame)) - set(frames.answers(frame))
    return [claim for claim in frames.claims(frame) if not (claim in asked and claim[1] == own)]
