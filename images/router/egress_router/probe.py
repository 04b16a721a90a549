# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client for acceptance tests: connects to targets, and says in JSON how that went and what the far end saw."""

from __future__ import annotations

import argparse
import concurrent.futures
import http.client
import json
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

CONNECTED = "connected"
REFUSED = "refused"
TIMED_OUT = "timed_out"
FAILED = "failed"

# A far end that speaks first does so at once; another one is not waited for longer than this.
GREETING_SECONDS = 1.0
HOLD_INTERVAL = 0.1
MAX_ERRORS = 10

_SEEN = ("source_ip", "source_mac", "local_ip", "local_port", "protocol")


@dataclass
class Target:
    """One `scheme://host:port[/path]`; scheme is tcp, udp or http."""

    text: str
    scheme: str
    host: str
    port: int
    path: str


@dataclass
class Attempt:
    """One connection: its outcome, seconds until it stood (or until the answer, for UDP), what the far end said."""

    outcome: str = FAILED
    seconds: float = 0.0
    error: str = ""
    observed: dict[str, Any] | None = None
    held: float | None = None
    interrupted: bool = False


@dataclass
class _Options:
    timeout: float
    hold: float
    pause: Callable[[float], None] = field(default=time.sleep)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `egress-router probe`."""
    parser.add_argument("--target", action="append", required=True, type=_target, metavar="tcp|udp|http://HOST:PORT")
    parser.add_argument("--count", type=int, default=1, help="attempts for each target")
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds for each step of an attempt")
    parser.add_argument("--concurrency", type=int, default=8, help="attempts at the same time")
    parser.add_argument("--hold", type=float, default=0.0, help="seconds to keep TCP connections open, sending lines")


def run(arguments: argparse.Namespace) -> int:
    """Probe all targets and print one JSON document."""
    options = _Options(arguments.timeout, arguments.hold)
    with concurrent.futures.ThreadPoolExecutor(max(1, arguments.concurrency)) as pool:
        attempts = [
            (target, [pool.submit(_attempt, target, options) for _number in range(arguments.count)])
            for target in arguments.target
        ]
        results = [_summary(target, [future.result() for future in futures], options) for target, futures in attempts]
    print(json.dumps({"results": results}))
    return 0


def _target(text: str) -> Target:
    try:
        parts = urlsplit(text)
        port = parts.port or (80 if parts.scheme == "http" else 0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}': {error}") from error
    if parts.scheme not in _PROBES or not parts.hostname or not port:
        raise argparse.ArgumentTypeError(f"'{text}' is not tcp://HOST:PORT, udp://HOST:PORT or http://HOST:PORT[/PATH]")
    return Target(text, parts.scheme, parts.hostname, port, parts.path or "/")


def _attempt(target: Target, options: _Options) -> Attempt:
    attempt = Attempt()
    start = time.monotonic()
    try:
        _PROBES[target.scheme](target, options, attempt, start)
    except ConnectionRefusedError:
        attempt.outcome, attempt.error = REFUSED, "connection refused"
    except TimeoutError:
        attempt.outcome, attempt.error = TIMED_OUT, f"no answer in {options.timeout:g} s"
    except (OSError, http.client.HTTPException) as error:
        attempt.outcome, attempt.error = FAILED, str(error) or repr(error)
    attempt.seconds = attempt.seconds or time.monotonic() - start
    return attempt


def _tcp(target: Target, options: _Options, attempt: Attempt, start: float) -> None:
    with socket.create_connection((target.host, target.port), options.timeout) as connection:
        attempt.outcome, attempt.seconds = CONNECTED, time.monotonic() - start
        connection.settimeout(min(options.timeout, GREETING_SECONDS))
        reader = connection.makefile("rb")
        try:
            attempt.observed = _seen(reader.readline(65536))
        except OSError:
            # Connected is connected; a far end that is no observer may say nothing or hang up.
            attempt.observed = None
        if options.hold:
            connection.settimeout(options.timeout)
            _hold(connection, options, attempt)


def _hold(connection: socket.socket, options: _Options, attempt: Attempt) -> None:
    start = time.monotonic()
    number = 0
    try:
        while time.monotonic() - start < options.hold:
            number += 1
            line = b"%d\n" % number
            connection.sendall(line)
            if _exactly(connection, len(line)) != line:
                raise ConnectionError("the far end closed the connection or did not echo")
            options.pause(HOLD_INTERVAL)
    except OSError as error:
        attempt.interrupted = True
        attempt.error = f"interrupted after {time.monotonic() - start:.1f} s: {error}"
    attempt.held = time.monotonic() - start


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            break
        data += more
    return data


def _udp(target: Target, options: _Options, attempt: Attempt, start: float) -> None:
    family, kind, protocol, _name, address = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as connection:
        connection.settimeout(options.timeout)
        # Connected, so that a refusal (ICMP port unreachable) is reported.
        connection.connect(address)
        connection.send(b"probe\n")
        answer = connection.recv(65536)
        attempt.outcome, attempt.seconds, attempt.observed = CONNECTED, time.monotonic() - start, _seen(answer)


def _http(target: Target, options: _Options, attempt: Attempt, start: float) -> None:
    connection = http.client.HTTPConnection(target.host, target.port, timeout=options.timeout)
    try:
        connection.connect()
        attempt.outcome, attempt.seconds = CONNECTED, time.monotonic() - start
        connection.request("GET", target.path, headers={"Connection": "close"})
        attempt.observed = _seen(connection.getresponse().read(65536))
    finally:
        connection.close()


_PROBES: dict[str, Callable[[Target, _Options, Attempt, float], None]] = {"tcp": _tcp, "udp": _udp, "http": _http}


def _seen(answer: bytes) -> dict[str, Any] | None:
    """What an observer said; None if the far end is something else."""
    try:
        found = json.loads(answer)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "source_ip" in found else None


def _summary(target: Target, attempts: list[Attempt], options: _Options) -> dict[str, Any]:
    outcomes = [attempt.outcome for attempt in attempts]
    result: dict[str, Any] = {"target": target.text, "attempts": len(attempts)}
    result |= {outcome: outcomes.count(outcome) for outcome in (CONNECTED, REFUSED, TIMED_OUT, FAILED)}
    result["errors"] = list(dict.fromkeys(attempt.error for attempt in attempts if attempt.error))[:MAX_ERRORS]
    seconds = [attempt.seconds for attempt in attempts if attempt.outcome == CONNECTED]
    result["seconds"] = {
        "min": round(min(seconds), 6) if seconds else None,
        "median": round(statistics.median(seconds), 6) if seconds else None,
        "max": round(max(seconds), 6) if seconds else None,
    }
    result["observed"] = _distinct([attempt.observed for attempt in attempts if attempt.observed])
    if options.hold and target.scheme == "tcp":
        held = [attempt.held for attempt in attempts if attempt.held is not None]
        result["held_seconds"] = round(min(held), 3) if held else 0.0
        # A connection that never stood was not held either.
        result["interrupted"] = len(held) < len(attempts) or any(attempt.interrupted for attempt in attempts)
    return result


def _distinct(seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The different sources with how often each was seen; the source port is that of the first."""
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in seen:
        group = groups.setdefault(tuple(one.get(key) for key in _SEEN), {**one, "count": 0})
        group["count"] += 1
    return list(groups.values())
