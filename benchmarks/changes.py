# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How soon a changed rule is live at a busy router: the agent's part of it.

From the moment in which a (fake) API server has the changed ConfigMap to the first connection that arrives by the new rule,
or is refused when there is none any more. Meanwhile others open connections by another rule and ask for metrics as fast as
they are answered, all on the same machine. What the module and a real API server add is part of the benchmark `rules`.
"""

from __future__ import annotations

import os
import queue
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

from pods import SERVER, json_of, router, running, segment
from report import Figure, Ratio, publish

from ansible_collections.egress.router.tests.support.router_pod import AGENT_PORT, Router
from ansible_collections.egress.router.tests.support.waiting import until

SIZES = (10, 1000, 5000)
CHANGES = int(os.environ.get("EGRESS_BENCH_ROUNDS", "100"))
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
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)

    def saw(self, answer: str, since: int) -> float:
        """Seconds from `since` until a connection got this answer."""
        while True:
            at, found = self._lines.get(timeout=60).split()
            if found == answer and int(at) >= since:
                return (int(at) - since) / 1e9


def change(pod: Router, watcher: Watcher, text: str, answer: str) -> float:
    """Seconds from a change until it is live."""
    # Anywhere between two ticks of the agent.
    time.sleep(random.uniform(0, 0.3))
    since = time.time_ns()
    version = pod.put_rules(text)
    took = watcher.saw(answer, since)
    until(lambda: pod.status().rules_version == version, "the agent dealt with the rules", 60)
    return took


def ended(process: subprocess.Popen[str]) -> dict[str, float]:
    """What a client says of its work when it is told to end."""
    process.send_signal(signal.SIGTERM)
    return json_of(process.communicate(timeout=60)[0])


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
                state = turn % len(STATES)
                live.samples.append(change(pod, watcher, rules(size, servers[state]), answers[state]))
            seconds = time.monotonic() - began
            connections.samples.append(ended(others)["per_second"])
            asked = ended(askers)
            pages.samples.append(asked.get("200", 0) / seconds)
            refused.samples.append(asked.get("503", 0) / seconds)
        loaded.samples += [
            float(text) for text in re.findall(r"event=rules-applied .*seconds=(\S+)", pod.log())[-CHANGES:]
        ]
    return figures


def main() -> None:
    """Measure, print, publish."""
    connect = sys.argv[1]
    figures, ratios = [], []
    with segment():
        for number, size in enumerate(SIZES, 11):
            found = live, _loaded, connections, *_web = measure(connect, number, size)
            figures += found
            p95 = statistics.quantiles(live.samples, n=20)[-1]
            ratios += [
                Ratio.at_most(f"{size} rules: p95 of {CHANGES} changes / {SECONDS} s", p95 / SECONDS, 1),
                # Those that failed do not count.
                Ratio.at_least(
                    f"{size} rules: connections meanwhile / {RATE} a second", connections.median / RATE, 0.99
                ),
            ]
    publish("Changes at a busy router", figures, ratios)


if __name__ == "__main__":
    main()
