# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`egress-router watch`: the client of a drill. Connects all the time, and prints for how long nothing answered."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract.target import TargetError, parse
from ansible_collections.egress.router.plugins.module_utils._contract.watch import Established, Period

from ..net import FAMILIES
from .gaps import Gaps

# A gap is at least so many attempts long, and so many seconds: what a node does to a client that is not too busy is shorter.
GAP_ATTEMPTS = 3
GAP_SECONDS = 0.05
RESOLVE_SECONDS = 1.0
# Of connections that are kept: how often each is used, when one without an echo is broken, when there is another in its place. They
# take turns, so that some are always used when nothing gets through, and many do not keep a node busy.
ECHO_INTERVAL = 0.5
ECHO_SECONDS = 30.0
FIRST_ECHO_SECONDS = 5.0
REOPEN_SECONDS = 1.0
# Closing sends a reset. Otherwise each connection would occupy one of the router's source ports for two minutes.
_RESET = struct.pack("ii", 1, 0)
_BROKEN = (OSError, EOFError, asyncio.LimitOverrunError)


@dataclass
class _Target:
    """`address`: family, and where to connect to; None until the name is known. `family`: of the addresses that count."""

    text: str
    kind: int
    host: str
    port: int
    family: int
    address: tuple[int, Any] | None = None
    error: str = "its name is not resolved yet"


def main(arguments: Sequence[str]) -> int:
    """Connect until SIGTERM or the time is over; 0 whatever happened."""
    parser = argparse.ArgumentParser(
        prog="egress-router watch", description="Connect all the time, and print as JSON what failed and for how long."
    )
    parser.add_argument(
        "--target",
        action="append",
        required=True,
        type=_target,
        metavar="tcp|udp://HOST:PORT",
        help="repeatable; tcp4, tcp6 and so on use the addresses of one family",
    )
    parser.add_argument(
        "--interval", type=_positive, default=10.0, help="milliseconds between attempts (default: %(default)g)"
    )
    parser.add_argument(
        "--timeout", type=_positive, default=0.5, help="seconds after which one has failed (default: %(default)g)"
    )
    parser.add_argument(
        "--established", type=int, default=0, help="TCP connections to keep open; the first TCP target has to echo"
    )
    parser.add_argument(
        "--period", type=_positive, default=1.0, help="seconds between lines of output (default: %(default)g)"
    )
    parser.add_argument("--seconds", type=_positive, default=None, help="when to end (default: at SIGTERM)")
    options = parser.parse_args(arguments)
    kept = next((target for target in options.target if target.kind == socket.SOCK_STREAM), None)
    if options.established and kept is None:
        parser.error("--established: none of the targets is tcp://HOST:PORT")
    asyncio.run(_Client(options, kept).run())
    return 0


def _target(text: str) -> _Target:
    try:
        found = parse(text, _ATTEMPTS)
    except TargetError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    kind = socket.SOCK_STREAM if found.scheme == "tcp" else socket.SOCK_DGRAM
    return _Target(text, kind, found.host, found.port, FAMILIES[found.family])


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


class _Client:
    """Everything at once, in one thread. What is outstanding is bounded by the time that an attempt may take."""

    def __init__(self, options: argparse.Namespace, kept: _Target | None) -> None:
        self._options = options
        self._interval = options.interval / 1000
        shortest = max(GAP_ATTEMPTS * self._interval, GAP_SECONDS)
        self._gaps = [(target, Gaps(target.text, shortest, options.timeout)) for target in options.target]
        self._kept = _Kept(kept, options.established, options.timeout) if kept and options.established else None
        self._start = self._late = 0.0
        self._number = 0
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, done.set)
        if self._options.seconds:
            loop.call_later(self._options.seconds, done.set)
        self._start = loop.time()
        await self._resolve()
        others = [loop.create_task(self._resolve_again()), loop.create_task(self._print())]
        others += [loop.create_task(one) for one in (self._kept.connections() if self._kept else ())]
        await self._connect(done)
        self._print_period(last=True)
        ended = [*others, *self._running]
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)

    async def _connect(self, done: asyncio.Event) -> None:
        """An attempt at each target in each interval. What was missed is not made up for."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not done.is_set():
            now = loop.time()
            self._late = max(self._late, now - due)
            for target, gaps in self._gaps:
                gaps.late(now - due)
                task = loop.create_task(self._attempt(target, gaps))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            due = max(due, now - self._interval) + self._interval
            for _target, gaps in self._gaps:
                gaps.due = due - self._start
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._start

    async def _attempt(self, target: _Target, gaps: Gaps) -> None:
        begun = self._now()
        gaps.begin(begun)
        try:
            if target.address is None:
                raise OSError(target.error)
            family, address = target.address
            async with asyncio.timeout(self._options.timeout):
                with socket.socket(family, target.kind) as connection:
                    connection.setblocking(False)
                    await _ATTEMPTS["tcp" if target.kind == socket.SOCK_STREAM else "udp"](connection, address)
        except TimeoutError:
            gaps.fail(begun, f"no answer in {self._options.timeout:g} s")
        except OSError as error:
            gaps.fail(begun, _words(error))
        else:
            gaps.succeed(self._now())

    async def _resolve(self) -> None:
        """The address of a headless Service changes with the pod that serves."""
        loop = asyncio.get_running_loop()
        for target, _gaps in self._gaps:
            try:
                found = await loop.getaddrinfo(target.host, target.port, family=target.family, type=target.kind)
                target.address = found[0][0], found[0][4]
            except OSError as error:
                target.error = f"cannot resolve {target.host}: {error.strerror or error}"

    async def _resolve_again(self) -> None:
        while True:
            await asyncio.sleep(RESOLVE_SECONDS)
            await self._resolve()

    async def _print(self) -> None:
        while True:
            await asyncio.sleep(self._options.period)
            self._print_period()

    def _print_period(self, last: bool = False) -> None:
        self._number += 1
        now = self._now()
        targets = tuple(gaps.take(now, last) for _target, gaps in self._gaps)
        kept = self._kept.take() if self._kept else None
        print(Period(self._number, round(self._late, 3), targets, kept).to_json(), flush=True)
        self._late = 0.0


async def _tcp(connection: socket.socket, address: Any) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    await asyncio.get_running_loop().sock_connect(connection, address)


async def _udp(connection: socket.socket, address: Any) -> None:
    loop = asyncio.get_running_loop()
    # Connected, so that a refusal (ICMP port unreachable) is reported.
    connection.connect(address)
    await loop.sock_sendall(connection, b"egress-router watch\n")
    await loop.sock_recv(connection, 65536)


_ATTEMPTS = {"tcp": _tcp, "udp": _udp}


@dataclass
class _Kept:
    """TCP connections to a server that echoes, each used all the time. One that breaks is counted and replaced."""

    target: _Target
    wanted: int
    timeout: float
    open: int = 0
    broken: int = 0
    stall: float = 0.0
    error: str = ""
    # When each that waits for an echo began to.
    waiting: dict[int, float] = field(default_factory=dict)

    def connections(self) -> list[Any]:
        """What keeps each of them."""
        return [self._keep(number) for number in range(self.wanted)]

    def take(self) -> Established:
        """What became of them since the last call."""
        now = asyncio.get_running_loop().time()
        stall = max([self.stall, *(now - since for since in self.waiting.values())])
        found = Established(self.wanted, self.open, self.broken, round(stall, 3), self.error)
        self.broken, self.stall = 0, 0.0
        if self.open == self.wanted:
            self.error = ""
        return found

    async def _keep(self, number: int) -> None:
        while True:
            writer = None
            try:
                if self.target.address is None:
                    raise OSError(self.target.error)
                async with asyncio.timeout(FIRST_ECHO_SECONDS):
                    host, port = self.target.address[1][:2]
                    reader, writer = await asyncio.open_connection(host, port)
                    await self._echo(reader, writer, b"egress-router %d\n" % number)
            except _BROKEN as error:
                self.error = f"{self.target.text} does not echo: {_words(error)}"
            else:
                await self._use(number, reader, writer)
            finally:
                if writer is not None:
                    writer.transport.abort()
            await asyncio.sleep(REOPEN_SECONDS)

    async def _use(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until it breaks."""
        loop = asyncio.get_running_loop()
        count = 0
        self.open += 1
        try:
            await asyncio.sleep(ECHO_INTERVAL * number / self.wanted)
            while True:
                count += 1
                self.waiting[number] = loop.time()
                async with asyncio.timeout(ECHO_SECONDS):
                    await self._echo(reader, writer, b"egress-router %d %d\n" % (number, count))
                self.stall = max(self.stall, loop.time() - self.waiting.pop(number))
                await asyncio.sleep(ECHO_INTERVAL)
        except _BROKEN as error:
            self.broken += 1
            self.error = f"a connection to {self.target.text} broke: {_words(error)}"
        finally:
            self.open -= 1
            since = self.waiting.pop(number, None)
            self.stall = max(self.stall, loop.time() - since if since is not None else 0.0)

    @staticmethod
    async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> None:
        writer.write(line)
        await writer.drain()
        # What a server says first is no echo.
        while True:
            read = await reader.readuntil()
            if read == line:
                return


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not error.args:
        return "no answer in time"
    if isinstance(error, EOFError):
        return "the server closed it"
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number is not None and number > 0 else str(error) or repr(error)
