# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections through a router that say something all the time, to see whether they go on and how long they stood still."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time

from ansible_collections.egress.router.tests.support.router_pod import ask, connect
from ansible_collections.egress.router.tests.support.waiting import until


class Echoes(threading.Thread):
    """Connections that say something all the time; `stalls`: the longest wait of each for its answer."""

    def __init__(self, streams: list[socket.socket], size: int = 100, every: float = 0.02) -> None:
        super().__init__(daemon=True)
        self._streams = streams
        self._line = b"x" * size + b"\n"
        self._every = every
        self._ended = threading.Event()
        self.rounds = 0
        self.broken: list[str] = []
        self.stalls = [0.0] * len(streams)
        self.start()

    def run(self) -> None:
        while not self._ended.is_set() and not self.broken:
            began = time.monotonic()
            waiting = {stream.fileno(): [number, stream, 0] for number, stream in enumerate(self._streams)}
            sender = threading.Thread(target=self._send, daemon=True)
            sender.start()
            while waiting:
                ready, _write, _errors = select.select(list(waiting), [], [], 15)
                if not ready:
                    self.broken.append(f"{len(waiting)} got no answer")
                    return
                for descriptor in ready:
                    entry = waiting[descriptor]
                    try:
                        data = entry[1].recv(1 << 18)
                    except OSError as error:
                        data = b""
                        self.broken.append(str(error))
                    entry[2] += len(data)
                    if not data or entry[2] >= len(self._line):
                        if not data:
                            self.broken.append("closed")
                        self.stalls[entry[0]] = max(self.stalls[entry[0]], time.monotonic() - began)
                        del waiting[descriptor]
            sender.join()
            self.rounds += 1
            self._ended.wait(self._every)

    def _send(self) -> None:
        for stream in self._streams:
            with contextlib.suppress(OSError):
                stream.sendall(self._line)

    def go_on(self, rounds: int = 5) -> None:
        """Some more rounds, none of them broken."""
        wanted = self.rounds + rounds
        until(lambda: self.broken or self.rounds >= wanted, "connections go on", 40)
        assert not self.broken, self.broken[:3]

    def stop(self) -> float:
        """The longest wait."""
        self._ended.set()
        self.join(20)
        assert not self.is_alive() and not self.broken, self.broken[:3]
        for stream in self._streams:
            stream.close()
        return max(self.stalls)


def streams(address: str, count: int, port: int = 5432) -> list[socket.socket]:
    found = []
    for _number in range(count):
        made = connect("pods", address, port, 20.0)
        assert made.recv(1000).endswith(b"\n")
        found.append(made)
    return found


class Datagrams(threading.Thread):
    """UDP sockets that ask all the time; `stalls`: the longest time without an answer of each."""

    def __init__(self, sockets: list[socket.socket], every: float = 0.05) -> None:
        super().__init__(daemon=True)
        self._sockets = sockets
        self._every = every
        self._ended = threading.Event()
        self._answered = [time.monotonic()] * len(sockets)
        self.stalls = [0.0] * len(sockets)
        self.broken: list[str] = []
        self.start()

    def run(self) -> None:
        while not self._ended.wait(self._every):
            try:
                for each in self._sockets:
                    each.send(b"?")
                ready, _write, _errors = select.select(self._sockets, [], [], self._every)
                for each in ready:
                    each.recv(1 << 12)
                    number = self._sockets.index(each)
                    now = time.monotonic()
                    self.stalls[number] = max(self.stalls[number], now - self._answered[number])
                    self._answered[number] = now
            except OSError as error:
                self.broken.append(str(error))
                return

    def go_on(self) -> None:
        """Each gets an answer to what it says from now on."""
        began = time.monotonic()
        until(lambda: self.broken or min(self._answered) > began, "each has an answer", 40)
        assert not self.broken, self.broken

    def stop(self) -> float:
        """The longest time without an answer."""
        self._ended.set()
        self.join(20)
        assert not self.is_alive() and not self.broken, self.broken
        for each in self._sockets:
            each.close()
        return max(self.stalls)


class Newcomers(threading.Thread):
    """Begins a connection to one pod every 10 ms, all of which shall get an answer, if one takes long."""

    def __init__(self, address: str, port: int) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._port = port
        self._ended = threading.Event()
        self._asking: list[threading.Thread] = []
        # How long each took.
        self.answered: list[float] = []
        self.failed: list[str] = []
        self.start()

    def run(self) -> None:
        while not self._ended.wait(0.01):
            self._asking.append(threading.Thread(target=self._ask, daemon=True))
            self._asking[-1].start()

    def _ask(self) -> None:
        began = time.monotonic()
        try:
            ask(self._address, self._port, timeout=20)
            self.answered.append(time.monotonic() - began)
        except (OSError, ValueError) as error:
            self.failed.append(repr(error))

    def stop(self) -> float:
        """How long the slowest one took; none has failed."""
        self._ended.set()
        self.join()
        for thread in self._asking:
            thread.join()
        assert self.failed == [], f"{len(self.failed)} of {len(self._asking)}: {self.failed[:3]}"
        return max(self.answered)
