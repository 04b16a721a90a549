# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How soon a changed rule is live at a busy router: the agent's part of it.

From the moment in which a (fake) API server has the changed ConfigMap to the first connection that arrives by the new rule,
or is refused when there is none any more. Meanwhile others open connections by another rule and ask for metrics as fast as
they are answered, all on the same machine. What the module and a real API server add is part of the benchmark `rules`.
"""

from __future__ import annotations

import queue
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

from pods import FAILURES, PATIENCE, SERVER, Failed, json_of, router, running, segment
from report import Figure, Ratio, publish, rounds

from ansible_collections.egress.router.tests.support.router_pod import AGENT_PORT, Router
from ansible_collections.egress.router.tests.support.waiting import until

SIZES = (10, 1000, 5000)
CHANGES = rounds(100)
# For each size, no change begins later than that, except for the first few: their 95th percentile says something still.
LONGEST, FEWEST = 75, 30
SECONDS = 0.3
RATE, CLIENTS = 2000, 60
SERVER_PORT = 9
FIRST_PORT = 10000
# What the changed rule leads to, in turns, and what its clients see: the server says the last byte of its address.
STATES = {"203.0.113.11": "11", "203.0.113.12": "12", "": "refused"}


def rules(size: int, server: str) -> str:
    """`size` rules whose first leads to `server`, or is missing."""
    first = [f"{FIRST_PORT} TCP {server} {SERVER_PORT}\n"] if server else []
    return "".join(first + [f"{FIRST_PORT + n} TCP {SERVER} {SERVER_PORT}\n" for n in range(1, size)])


class Watcher:
    """What `connect watch` says, with its times."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        self._process = process
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)

    def saw(self, answer: str, since: int) -> float:
        """Seconds from `since` until a connection got this answer."""
        line = ""
        try:
            while True:
                line = self._lines.get(timeout=PATIENCE)
                at, found = line.split()
                if found == answer and int(at) >= since:
                    return (int(at) - since) / 1e9
        except queue.Empty:
            raise Failed(f"no client saw {answer!r} within {PATIENCE:g} s; the last saw {line!r}") from None

    def end(self) -> None:
        """End it, and read it to its end."""
        self._process.terminate()
        self._thread.join(PATIENCE)


def change(pod: Router, watcher: Watcher, text: str, answer: str) -> float:
    """Seconds from a change until it is live."""
    # Anywhere between two ticks of the agent.
    time.sleep(random.uniform(0, 0.3))
    since = time.time_ns()
    version = pod.put_rules(text)
    took = watcher.saw(answer, since)
    until(lambda: pod.status().rules_version == version, "the agent dealt with the rules", PATIENCE)
    return took


def ended(process: subprocess.Popen[str]) -> dict[str, float]:
    """What a client says of its work when it is told to end."""
    process.send_signal(signal.SIGTERM)
    return json_of(process.communicate(timeout=PATIENCE)[0])


def measure(connect: str, number: int, size: int) -> list[Figure]:
    """One router: seconds until changes are live, what of it is loading, and what else went on."""
    names = {"live": "s", "loaded and cut, by the agent's log": "s", "connections meanwhile": "1/s"}
    names |= {"pages of metrics meanwhile": "1/s", "requests refused meanwhile": "1/s"}
    figures = [Figure(f"{size} rules: {name}", unit) for name, unit in names.items()]
    live, loaded, connections, pages, refused = figures
    answers = list(STATES.values())
    servers = list(STATES)
    with (
        router(number, rules(size, servers[-1])) as pod,
        running("outside", connect, "serve", f":{SERVER_PORT}") as server,
    ):
        pod.serve()
        assert server.stdout
        server.stdout.readline()
        with (
            running("pods", connect, "open", "-rate", str(RATE), f"{pod.ip4}:{FIRST_PORT + 1}") as others,
            running(
                "pods", connect, "ask", "-clients", str(CLIENTS), f"http://{pod.ip4}:{AGENT_PORT}/metrics"
            ) as askers,
            running("pods", connect, "watch", f"{pod.ip4}:{FIRST_PORT}") as watch,
        ):
            watcher = Watcher(watch)
            watcher.saw(answers[-1], 0)
            began = time.monotonic()
            for turn in range(CHANGES):
                if turn >= FEWEST and time.monotonic() - began > LONGEST:
                    break
                state = turn % len(STATES)
                live.samples.append(change(pod, watcher, rules(size, servers[state]), answers[state]))
            seconds = time.monotonic() - began
            watcher.end()
            connections.samples.append(ended(others)["per_second"])
            asked = ended(askers)
            pages.samples.append(asked.get("200", 0) / seconds)
            refused.samples.append(asked.get("503", 0) / seconds)
        loaded.samples += [
            float(text) for text in re.findall(r"event=rules-applied .*seconds=(\S+)", pod.log())[-len(live.samples) :]
        ]
    return figures


def main() -> None:
    """Measure, print, publish."""
    connect = sys.argv[1]
    figures, ratios, failed = [], [], []
    with segment():
        for number, size in enumerate(SIZES, 11):
            try:
                found = live, _loaded, connections, *_web = measure(connect, number, size)
            except FAILURES as why:
                failed.append(f"{size} rules: {why}")
                continue
            figures += found
            p95 = statistics.quantiles(live.samples, n=20, method="inclusive")[-1]
            ratios += [
                Ratio.at_most(f"{size} rules: p95 of {len(live.samples)} changes / {SECONDS} s", p95 / SECONDS, 1),
                # Those that failed do not count.
                Ratio.at_least(
                    f"{size} rules: connections meanwhile / {RATE} a second", connections.median / RATE, 0.99
                ),
            ]
    for sentence in failed:
        print(sentence, file=sys.stderr)
    publish("Changes at a busy router", figures, ratios)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
