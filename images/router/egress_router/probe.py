# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`egress-router probe`: connects as a client does, and prints as JSON what happened and what the far end saw.

A target is `tcp://HOST:PORT`, `udp://HOST:PORT` or `http://HOST:PORT/PATH`. A far end that runs `egress-router observe`
says which source it saw; any other far end is connected to, and `observed` stays empty.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

# Between two lines of a held connection.
HOLD_INTERVAL = 0.1
LONGEST_ANSWER = 4096


@dataclass
class Attempt:
    """One connection. `outcome`: connected, refused, timed_out or failed; `seconds` until connected or answered."""

    outcome: str = "failed"
    seconds: float = 0.0
    observed: dict[str, Any] | None = None
    error: str = ""
    held: dict[str, Any] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `egress-router probe`."""
    parser.add_argument("--target", action="append", required=True, metavar="URL", help="tcp://, udp:// or http://")
    parser.add_argument("--count", type=int, default=1, help="connections to each target")
    parser.add_argument("--timeout", type=float, default=3.0, metavar="SECONDS", help="for each connection")
    parser.add_argument("--concurrency", type=int, default=8, help="connections at a time")
    parser.add_argument(
        "--hold", type=float, default=0.0, metavar="SECONDS", help="keep TCP connections open for so long, with traffic"
    )


def main(arguments: argparse.Namespace) -> int:
    """Probe all targets at once and print one JSON document. Ends with 0 whatever the targets did."""
    targets = [_target(text) for text in arguments.target]
    jobs = [(text, target) for text, target in zip(arguments.target, targets, strict=True) for _ in range(arguments.count)]
    with ThreadPoolExecutor(max(1, arguments.concurrency)) as pool:
        attempts = list(pool.map(lambda job: _attempt(job[1], arguments.timeout, arguments.hold), jobs))
    grouped: dict[str, list[Attempt]] = {text: [] for text in arguments.target}
    for (text, _), attempt in zip(jobs, attempts, strict=True):
        grouped[text].append(attempt)
    print(json.dumps({"results": [_summary(text, found) for text, found in grouped.items()]}), flush=True)
    return 0


def _target(text: str) -> SplitResult:
    target = urlsplit(text)
    try:
        port = target.port
    except ValueError:
        port = None
    if target.scheme not in _KINDS or not target.hostname or not port:
        raise SystemExit(f"--target '{text}' is not tcp://HOST:PORT, udp://HOST:PORT or http://HOST:PORT/PATH")
    return target


def _attempt(target: SplitResult, timeout: float, hold: float) -> Attempt:
    attempt = Attempt()
    start = time.monotonic()
    try:
        _KINDS[target.scheme](target, timeout, hold, attempt)
    except ConnectionRefusedError:
        attempt.outcome = "refused"
    except TimeoutError:
        attempt.outcome = "timed_out"
    except (OSError, http.client.HTTPException) as error:
        attempt.error = str(error) or type(error).__name__
    attempt.seconds = attempt.seconds or time.monotonic() - start
    return attempt


def _tcp(target: SplitResult, timeout: float, hold: float, attempt: Attempt) -> None:
    start = time.monotonic()
    with socket.create_connection((target.hostname, target.port), timeout) as connection:
        attempt.outcome, attempt.seconds = "connected", time.monotonic() - start
        lines = connection.makefile("rb")
        try:
            attempt.observed = _observation(lines.readline(LONGEST_ANSWER))
        except OSError as error:
            # Most servers wait for the client to speak first; that they were reached is what counts here.
            attempt.error = "" if isinstance(error, TimeoutError) else str(error)
        if hold:
            attempt.held = _hold(connection, lines, hold)


def _hold(connection: socket.socket, lines: Any, seconds: float) -> dict[str, Any]:
    """Sends a line again and again, each to be echoed before the next, until the time is over or the connection is."""
    start = time.monotonic()
    number, interrupted, error = 0, False, ""
    while time.monotonic() - start < seconds and not interrupted:
        line = b"%d\n" % number
        try:
            connection.sendall(line)
            interrupted = lines.readline(LONGEST_ANSWER) != line
        except OSError as reason:
            interrupted, error = True, str(reason)
        number += 1
        time.sleep(HOLD_INTERVAL)
    return {"held_seconds": round(time.monotonic() - start, 3), "interrupted": interrupted, "hold_error": error}


def _udp(target: SplitResult, timeout: float, hold: float, attempt: Attempt) -> None:
    family, kind, protocol, _name, address = socket.getaddrinfo(target.hostname, target.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as connection:
        connection.settimeout(timeout)
        connection.connect(address)
        connection.send(b"egress-router probe\n")
        answer = connection.recv(LONGEST_ANSWER)
        attempt.outcome, attempt.observed = "connected", _observation(answer)


def _http(target: SplitResult, timeout: float, hold: float, attempt: Attempt) -> None:
    connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=timeout)
    try:
        connection.request("GET", target.path or "/", headers={"Connection": "close"})
        body = connection.getresponse().read(LONGEST_ANSWER)
        attempt.outcome, attempt.observed = "connected", _observation(body)
    finally:
        connection.close()


_KINDS = {"tcp": _tcp, "udp": _udp, "http": _http}


def _observation(answer: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(answer)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "source_ip" in found else None


def _summary(target: str, attempts: Sequence[Attempt]) -> dict[str, Any]:
    outcomes = [attempt.outcome for attempt in attempts]
    seconds = [attempt.seconds for attempt in attempts]
    summary: dict[str, Any] = {
        "target": target,
        "attempts": len(attempts),
        **{name: outcomes.count(name) for name in ("connected", "refused", "timed_out", "failed")},
        "errors": sorted({attempt.error for attempt in attempts if attempt.error}),
        "seconds": {
            "min": round(min(seconds), 6),
            "median": round(statistics.median(seconds), 6),
            "max": round(max(seconds), 6),
        },
        "observed": _distinct([attempt.observed for attempt in attempts if attempt.observed]),
    }
    held = [attempt.held for attempt in attempts if attempt.held]
    if held:
        summary["held_seconds"] = min(entry["held_seconds"] for entry in held)
        summary["interrupted"] = any(entry["interrupted"] for entry in held)
        summary["errors"] = sorted({*summary["errors"], *(entry["hold_error"] for entry in held if entry["hold_error"])})
    return summary


def _distinct(observed: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The different sources seen, each with the first connection's ports and the number of connections."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for seen in observed:
        key = tuple(seen.get(name) for name in ("source_ip", "source_mac", "local_ip", "local_port", "protocol"))
        found.setdefault(key, {**seen, "count": 0})["count"] += 1
    return list(found.values())
