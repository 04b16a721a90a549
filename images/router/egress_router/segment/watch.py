# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What others on the segment say of some addresses: the router's own (RFC 5227, 2.4), and its gateways."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Collection, Iterator

from ..net import IP
from . import frames, packet_socket


class Watch:
    """Listens until it is closed; nothing here waits. Raises OSError, for example without the interface.

    `direct`: hears only what is said to `mac` alone, which answers its questions.
    """

    def __init__(self, interface: str, mac: str, addresses: Collection[IP], *, direct: bool = False) -> None:
        self._direct = direct
        self._own = frames.mac_bytes(mac)
        self._addresses = set(addresses)
        self._stack = contextlib.ExitStack()
        self._sockets: dict[int, socket.socket] = {}
        with contextlib.ExitStack() as stack:
            for version in {ip.version for ip in addresses}:
                # Protocol 0: nothing arrives before the filter is attached.
                raw = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
                raw.setblocking(False)
                packet_socket.attach_filter(raw, _filter([ip for ip in addresses if ip.version == version]))
                raw.bind((interface, frames.ARP if version == 4 else frames.IPV6))
                if version == 6:
                    packet_socket.join(raw, interface, frames.group_mac(frames.ALL_NODES))
                self._sockets[version] = raw
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Listen no longer."""
        self._stack.close()

    def ask(self, ip: IP, source: IP | None, to: str) -> None:
        """Who has `ip`? Asks all, or only the MAC address `to`; without `source` nobody learns an address. Raises OSError."""
        frame = frames.question(self._own, ip, source)
        self._sockets[ip.version].send(frames.mac_bytes(to) + frame[6:] if to else frame)

    def heard(self) -> Iterator[tuple[IP, str]]:
        """Each answer about the addresses since the last call, with the MAC address that gave it."""
        for raw in self._sockets.values():
            # BlockingIOError at the end; without the interface another OSError, and whoever looks after it notices.
            with contextlib.suppress(OSError):
                while True:
                    frame, (_name, _protocol, direction, *_rest) = raw.recvfrom(2048)
                    if direction == packet_socket.OUTGOING or (self._direct and frame[:6] != self._own):
                        continue
                    for ip, mac in frames.answers(frame):
                        # Switches may send back what we announced.
                        if ip in self._addresses and mac != self._own:
                            yield ip, mac.hex(":")


def _filter(addresses: list[IP]) -> list[packet_socket.Instruction]:
    """ARP from one of the addresses, or advertisements: a segment has many other frames."""
    drop, accept = (0x06, 0, 0, 0), (0x06, 0, 0, 2048)
    if addresses[0].version == 4:
        senders = [int(ip) for ip in addresses]
        tests = [(0x15, len(senders) - number, 0, sender) for number, sender in enumerate(senders)]
        return [(0x20, 0, 0, 28), *tests, drop, accept]
    next_header = [(0x30, 0, 0, 20), (0x15, 0, 2, socket.IPPROTO_ICMPV6)]
    return [*next_header, (0x30, 0, 0, 54), (0x15, 1, 0, frames.ADVERTISEMENT), drop, accept]
