# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`egress-router watch` on loopback: a server goes away and comes back, and the client tells for how long."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.watch import Gap, Period, from_lines
from ansible_collections.egress.router.tests.support.waiting import until

AWAY = 0.3
TRIES = 10
# linux/tcp_states.h
TIME_WAIT = "06"


class Server:
    """Answers TCP connections and datagrams, and echoes what it gets, while it is `open`."""

    def __init__(self, echoes: bool = True, greets: bool = True) -> None:
        self.echoes, self.greets = echoes, greets
        self.port = 0
        self.mute = threading.Event()
        self.connections: list[socket.socket] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.open()

    def open(self) -> None:
        stream = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self.port = stream.getsockname()[1]
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagram.bind(("127.0.0.1", self.port))
        self._sockets = [stream, datagram]
        self._threads = [
            threading.Thread(target=serve, args=(one,), daemon=True)
            for serve, one in ((self._accept, stream), (self._answer, datagram))
        ]
        for one in self._threads:
            one.start()

    def close(self) -> None:
        """What is connected stays."""
        for one in self._sockets:
            # Wakes up who waits in it.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join()

    def _accept(self, stream: socket.socket) -> None:
        while True:
            try:
                connection, _source = stream.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        self.connections.append(connection)
        try:
            if self.greets:
                connection.sendall(b'{"source_ip": "127.0.0.1"}\n')
            while data := connection.recv(65536):
                while self.mute.is_set():
                    time.sleep(0.01)
                if self.echoes:
                    connection.sendall(data)
        except OSError:
            pass
        finally:
            connection.close()
            self.connections.remove(connection)

    def _answer(self, datagram: socket.socket) -> None:
        while True:
            try:
                data, source = datagram.recvfrom(65536)
                if not data:
                    return
                datagram.sendto(data, source)
            except OSError:
                return


class Client:
    """The command, and what it has printed."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        with path.open("wb") as output:
            command = [sys.executable, "-m", "egress_router", "watch", "--period", "0.2", *options]
            self.process = subprocess.Popen(command, stdout=output)

    def periods(self) -> list[Period]:
        return from_lines(self.path.read_text())

    def connected(self) -> bool:
        """Whether each target answers."""
        last = self.periods()[-1:]
        return bool(last) and all(
            target.attempts > target.failed and not target.down_seconds for target in last[0].targets
        )

    def gaps(self, number: int = 0) -> list[Gap]:
        return [gap for period in self.periods() for gap in period.targets[number].gaps]

    def end(self) -> list[Period]:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0
        return self.periods()


Start = Callable[..., Client]


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    clients: list[Client] = []

    def begin(*options: str) -> Client:
        clients.append(Client(tmp_path / f"client-{len(clients)}", *options))
        return clients[-1]

    yield begin
    for client in clients:
        client.process.kill()
        client.process.wait()


def both(server: Server) -> list[str]:
    return [f"--target={scheme}://127.0.0.1:{server.port}" for scheme in ("tcp", "udp")]


def failing(client: Client, number: int, known: int = 0) -> list[Gap]:
    """Gaps in which attempts failed. The first `known` of them are left out. A busy server is slow, but it answers."""
    return [gap for gap in client.gaps(number) if gap.failed >= 5][known:]


def test_a_gap_is_told_with_its_length(server: Server, start: Start) -> None:
    """Never shorter than it was. On a busy machine the client may be late, but not each time."""
    client = start(*both(server))
    until(client.connected, "both targets answer")
    known = 0
    for _try in range(TRIES):
        server.close()
        # Not to synchronise: it is what the client has to find out.
        time.sleep(AWAY)
        server.open()
        told = [until(partial(failing, client, number, known), "the gap is told") for number in (0, 1)]
        assert [len(gaps) for gaps in told] == [1, 1] and all(gaps[0].seconds >= 0.25 for gaps in told), told
        known += 1
        if max(gaps[0].seconds for gaps in told) <= 0.6:
            break
        until(client.connected, "both targets answer again")
    else:
        raise AssertionError(
            f"each of the gaps was longer than 0.6 s: {[failing(client, number) for number in (0, 1)]}"
        )
    until(client.connected, "both targets answer again")
    periods = client.end()
    assert [len(failing(client, number)) for number in (0, 1)] == [known, known]
    assert [period.number for period in periods] == list(range(1, len(periods) + 1))
    failed = [sum(period.targets[number].failed for period in periods) for number in (0, 1)]
    assert all(count >= sum(gap.failed for gap in failing(client, number)) for number, count in enumerate(failed))
    assert "Connection refused" in {period.targets[0].error for period in periods}


def test_a_gap_that_is_not_over_is_told_at_the_end(server: Server, start: Start) -> None:
    client = start(*both(server))
    until(client.connected, "both targets answer")
    server.close()
    try:
        until(lambda: client.periods()[-1].targets[0].down_seconds > 0.3, "the client is down")
        client.end()
        assert client.gaps(0)[-1].seconds >= 0.3
    finally:
        server.open()


def test_silence_is_no_answer(start: Start) -> None:
    """Nobody refuses anything: the datagrams and the connections get lost."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        client = start(f"--target=udp://127.0.0.1:{mute.getsockname()[1]}", "--timeout=0.2")
        until(lambda: client.periods() and client.periods()[-1].targets[0].failed, "attempts fail")
        client.end()
        assert {period.targets[0].error for period in client.periods()} == {"no answer in 0.2 s", ""}


def test_a_name_that_does_not_exist(start: Start) -> None:
    client = start("--target=tcp://no.such.name.invalid:1")
    until(lambda: client.periods() and client.periods()[-1].targets[0].failed, "attempts fail")
    assert client.end()[-1].targets[0].error.startswith("cannot resolve no.such.name.invalid: ")


def kept(client: Client) -> tuple[int, int]:
    """How many are open, and how many broke in all."""
    found = [period.established for period in client.periods() if period.established]
    return (found[-1].open if found else 0), sum(one.broken for one in found)


def test_connections_that_are_kept(server: Server, start: Start) -> None:
    client = start(*both(server), "--established=20")
    until(lambda: kept(client) == (20, 0), "all are open")
    server.mute.set()
    time.sleep(AWAY)  # What the client has to find out.
    server.mute.clear()
    until(lambda: max(one.established.stall_seconds for one in client.periods() if one.established) >= 0.2, "a stall")
    seen = [period.established.stall_seconds for period in client.periods() if period.established]
    assert 0.2 <= max(seen) <= 1.5 and kept(client) == (20, 0)

    # A server that goes away for good, and one in its place.
    for connection in [*server.connections]:
        # Those of single attempts end at the same time.
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    until(lambda: kept(client)[1] >= 20, "they are broken")
    errors = {period.established.error for period in client.periods() if period.established}
    assert any("broke: " in error for error in errors), errors
    until(lambda: kept(client)[0] == 20, "there are others in their place")
    assert kept(client) == (20, 20)


def test_a_server_that_does_not_echo(start: Start) -> None:
    server = Server(echoes=False)
    try:
        client = start(both(server)[0], "--established=1")

        def errors() -> set[str]:
            return {period.established.error for period in client.periods() if period.established}

        until(lambda: any("does not echo: no answer in time" in error for error in errors()), "it is told")
        assert kept(client) == (0, 0)
    finally:
        server.close()


def test_it_ends_by_itself(start: Start) -> None:
    # What arrived and was not read would reset a connection anyway.
    server = Server(greets=False)
    try:
        client = start(*both(server), "--seconds=1")
        assert client.process.wait(20) == 0
    finally:
        server.close()
    assert sum(period.targets[0].attempts - period.targets[0].failed for period in client.periods()) > 0
    # Each would occupy a port, of the router too.
    entries = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert [entry for entry in entries if entry[2].endswith(f":{server.port:04X}") and entry[3] == TIME_WAIT] == []


def test_its_memory_does_not_grow(start: Start) -> None:
    """A target that never answers, as fast as can be."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        client = start(f"--target=udp://127.0.0.1:{mute.getsockname()[1]}", "--interval=1", "--timeout=0.1")

        def memory() -> int:
            (line,) = [
                line for line in Path(f"/proc/{client.process.pid}/status").read_text().splitlines() if "VmRSS" in line
            ]
            return int(line.split()[1])

        def failed() -> int:
            return sum(period.targets[0].failed for period in client.periods())

        until(lambda: failed() > 1000, "it has tried for a while")
        before, tried = memory(), failed()
        until(lambda: failed() > tried + 3000, "it has tried for longer", 120)
        assert memory() < before + 1000, "KiB"


@pytest.mark.parametrize(
    "options",
    [
        ["--target=http://a:1"],
        ["--target=tcp://a"],
        ["--target=tcp://a:1", "--interval=0"],
        ["--target=tcp://a:1", "--seconds=inf"],
        ["--target=udp://a:1", "--established=1"],
        [],
    ],
)
def test_wrong_options_are_refused(options: list[str]) -> None:
    command = [sys.executable, "-m", "egress_router", "watch", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "error:" in done.stderr
