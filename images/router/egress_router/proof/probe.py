# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`egress-router probe`: the client of an acceptance test. Connects to servers, and prints what happened and what they saw."""

from __future__ import annotations

import argparse
import concurrent.futures
import http.client
import socket
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract.probe import (
    CONNECTED,
    FAILED,
    REFUSED,
    TIMED_OUT,
    Observation,
    Observed,
    Result,
    Seconds,
    to_json,
)
from ansible_collections.egress.router.plugins.module_utils._contract.target import Target, TargetError, parse

from ..net import FAMILIES

# A server that speaks first does so at once; others are not waited for longer than this.
GREETING_SECONDS = 1.0
HOLD_INTERVAL = 0.1
MAX_ERRORS = 10


@dataclass
class Attempt:
    """One connection: its outcome, seconds until it was made (for UDP until the answer), what the server observed."""

    outcome: str = FAILED
    seconds: float = 0.0
    error: str = ""
    observed: Observation | None = None
    held: float | None = None
    interrupted: bool = False


@dataclass
class _Options:
    timeout: float
    hold: float


def main(arguments: Sequence[str]) -> int:
    """Probe all targets and print one JSON document; 0 whatever happened."""
    parser = argparse.ArgumentParser(
        prog="egress-router probe", description="Connect to servers and print as JSON what happened and what they saw."
    )
    parser.add_argument(
        "--target",
        action="append",
        required=True,
        type=_target,
        metavar="tcp|udp|http://HOST:PORT",
        help="repeatable; tcp4, tcp6 and so on use the addresses of one family",
    )
    parser.add_argument("--count", type=int, default=1, help="attempts for each target (default: %(default)s)")
    parser.add_argument(
        "--timeout", type=float, default=3.0, help="seconds for each step of an attempt (default: %(default)s)"
    )
    parser.add_argument("--concurrency", type=int, default=8, help="simultaneous attempts (default: %(default)s)")
    parser.add_argument(
        "--hold",
        type=float,
        default=0.0,
        help="seconds to keep TCP connections open and in use (default: close at once)",
    )
    parsed = parser.parse_args(arguments)
    options = _Options(parsed.timeout, parsed.hold)
    with concurrent.futures.ThreadPoolExecutor(max(1, parsed.concurrency)) as pool:
        attempts = [
            (text, target, [pool.submit(_attempt, target, options) for _number in range(parsed.count)])
            for text, target in parsed.target
        ]
        results = [
            _summary(text, target, [future.result() for future in futures], options)
            for text, target, futures in attempts
        ]
    print(to_json(results))
    return 0


def _target(text: str) -> tuple[str, Target]:
    try:
        return text, parse(text, _PROBES)
    except TargetError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


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
    with _connected(target, options) as connection:
        attempt.outcome, attempt.seconds = CONNECTED, time.monotonic() - start
        connection.settimeout(min(options.timeout, GREETING_SECONDS))
        reader = connection.makefile("rb")
        try:
            attempt.observed = Observation.from_json(reader.readline(65536))
        except OSError:
            # Connected all the same: a server that does not observe may say nothing or hang up.
            attempt.observed = None
        if options.hold:
            connection.settimeout(options.timeout)
            _hold(connection, options, attempt)


def _connected(target: Target, options: _Options) -> socket.socket:
    if not target.family:
        return socket.create_connection((target.host, target.port), options.timeout)
    *_kind, address = _resolved(target, socket.SOCK_STREAM)
    return socket.create_connection(address[:2], options.timeout)


def _resolved(target: Target, kind: int) -> Any:
    return socket.getaddrinfo(target.host, target.port, FAMILIES[target.family], kind)[0]


def _hold(connection: socket.socket, options: _Options, attempt: Attempt) -> None:
    start = time.monotonic()
    number = 0
    try:
        while time.monotonic() - start < options.hold:
            number += 1
            line = b"%d\n" % number
            connection.sendall(line)
            if _exactly(connection, len(line)) != line:
                raise ConnectionError("the server closed the connection or did not echo")
            time.sleep(HOLD_INTERVAL)
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
    family, kind, protocol, _name, address = _resolved(target, socket.SOCK_DGRAM)
    with socket.socket(family, kind, protocol) as connection:
        connection.settimeout(options.timeout)
        # Connected, so that a refusal (ICMP port unreachable) is reported.
        connection.connect(address)
        connection.send(b"probe\n")
        answer = connection.recv(65536)
        attempt.outcome, attempt.seconds = CONNECTED, time.monotonic() - start
        attempt.observed = Observation.from_json(answer)


def _http(target: Target, options: _Options, attempt: Attempt, start: float) -> None:
    connection = http.client.HTTPConnection(target.host, target.port, timeout=options.timeout)
    try:
        connection.sock = _connected(target, options)
        attempt.outcome, attempt.seconds = CONNECTED, time.monotonic() - start
        connection.request("GET", target.path, headers={"Connection": "close"})
        attempt.observed = Observation.from_json(connection.getresponse().read(65536))
    finally:
        connection.close()


_PROBES: dict[str, Callable[[Target, _Options, Attempt, float], None]] = {"tcp": _tcp, "udp": _udp, "http": _http}


def _summary(text: str, target: Target, attempts: list[Attempt], options: _Options) -> Result:
    outcomes = Counter(attempt.outcome for attempt in attempts)
    seconds = [attempt.seconds for attempt in attempts if attempt.outcome == CONNECTED]
    holding = options.hold and target.scheme == "tcp"
    held = [attempt.held for attempt in attempts if attempt.held is not None]
    return Result(
        target=text,
        attempts=len(attempts),
        connected=outcomes[CONNECTED],
        refused=outcomes[REFUSED],
        timed_out=outcomes[TIMED_OUT],
        failed=outcomes[FAILED],
        errors=tuple(dict.fromkeys(attempt.error for attempt in attempts if attempt.error))[:MAX_ERRORS],
        seconds=Seconds(*(round(of(seconds), 6) if seconds else None for of in (min, statistics.median, max))),
        observed=_distinct([attempt.observed for attempt in attempts if attempt.observed]),
        held_seconds=round(min(held, default=0.0), 3) if holding else None,
        # A connection that was never made was not held either.
        interrupted=len(held) < len(attempts) or any(a.interrupted for a in attempts) if holding else None,
    )


def _distinct(observations: list[Observation]) -> tuple[Observed, ...]:
    """The different observations, regardless of the source port, and how often each was made."""
    groups: dict[Observation, list[Observation]] = {}
    for observation in observations:
        groups.setdefault(replace(observation, source_port=0), []).append(observation)
    return tuple(Observed(**vars(group[0]), count=len(group)) for group in groups.values())
