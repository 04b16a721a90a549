# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has the router's address, as the switch sees it: frames with its MAC address, by port and time."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator

from egress_router.segment import frames

from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.router_pod import EGRESS4, EGRESS6, GATEWAY4, GATEWAY6, MAC

# The bridge's own, or it would not take the answers.
ASKING_MAC = "02:00:5e:00:53:01"
ADDRESSES = [ipaddress.ip_address(EGRESS4), ipaddress.ip_address(EGRESS6)]


class Recorder(threading.Thread):
    """When frames with a MAC address, the router's, arrived at a switch port. Without the questions of a pod that has no address."""

    def __init__(self, port: str, mac: str = MAC) -> None:
        super().__init__(daemon=True)
        self._mac = bytes.fromhex(mac.replace(":", ""))
        self.times: list[float] = []
        self._ended = False
        self._raw = namespaces.inside("outside", lambda: self._socket(port))
        self.start()

    @staticmethod
    def _socket(port: str) -> socket.socket:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        raw.bind((port, 0))
        raw.settimeout(0.2)
        return raw

    def run(self) -> None:
        while not self._ended:
            try:
                frame, (_name, _protocol, direction, *_rest) = self._raw.recvfrom(2048)
            except OSError:
                # Nothing for a while, or the port is down, which is told once.
                continue
            asked = set(frames.claims(frame)) - set(frames.answers(frame))
            if frame[6:12] == self._mac and direction != socket.PACKET_OUTGOING and not asked:
                self.times.append(time.monotonic())

    def stop(self) -> list[float]:
        self._ended = True
        self.join()
        self._raw.close()
        return self.times


class Asker(threading.Thread):
    """The gateway asks for the router's addresses all the time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()
        self._raw = namespaces.inside("outside", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        self._raw.bind(("seg0", 0))
        self.start()

    def run(self) -> None:
        gateways = (ipaddress.ip_address(GATEWAY4), ipaddress.ip_address(GATEWAY6))
        while not self._ended.wait(0.05):
            for ip, gateway in zip(ADDRESSES, gateways, strict=True):
                self._raw.send(frames.question(frames.mac_bytes(ASKING_MAC), ip, gateway))

    def stop(self) -> None:
        self._ended.set()
        self.join()
        self._raw.close()


class Owners:
    """What the ports of all nodes saw. `ports`: which had the address, in their order; each is there once for each time."""

    def __init__(self, *nodes: str) -> None:
        self._recorders = {node: Recorder(node) for node in nodes}
        self._asker = Asker()

    @property
    def ports(self) -> list[str]:
        seen = sorted((at, node) for node, recorder in self._recorders.items() for at in list(recorder.times))
        found: list[str] = []
        for _at, node in seen:
            if found[-1:] != [node]:
                found.append(node)
        return found

    def stop(self) -> None:
        self._asker.stop()
        for recorder in self._recorders.values():
            recorder.stop()


@contextlib.contextmanager
def owners(*nodes: str) -> Iterator[Owners]:
    """Records for a while. Two pods that serve at the same time would take turns in `ports`."""
    found = Owners(*nodes)
    try:
        yield found
    finally:
        found.stop()
