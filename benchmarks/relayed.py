# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What gets through a connection that goes on after a planned move, because the old pod relays it, and what did before it.

Both pods are those of a real pair, in network namespaces. While iperf3 sends as much as it can, a hand-over is asked for.
"""

from __future__ import annotations

import time

from pods import Failed, json_of, pair, running, segment
from report import Figure, Ratio, paired, publish, rounds

from ansible_collections.egress.router.plugins.module_utils._contract.names import HAND_OVER
from ansible_collections.egress.router.tests.support.router_pod import Router
from ansible_collections.egress.router.tests.support.waiting import until

ROUNDS = rounds(5)
PORT = 5201
RULES = f"{PORT} TCP 203.0.113.10\n"
WAYS: dict[str, list[str]] = {"up": [], "down": ["--reverse"]}
# Of a connection: all of it, until the move is asked for, and what is left out at its start and after the move.
SECONDS, BEFORE, LEFT_OUT = 12, 5, 1
INTERVAL = 0.5
RELAYED_PODS = "egress_router_relay_pods"


def measure(holder: Router, other: Router, options: list[str]) -> tuple[float, float]:
    """Gigabits per second before a move and after it."""
    serve = ["iperf3", "--server", "--one-off", "--port", str(PORT), "--forceflush"]
    ask = ["iperf3", "--client", holder.ip4, "--port", str(PORT), "--json", "--interval", str(INTERVAL)]
    with running("outside", *serve) as server:
        assert server.stdout
        server.stdout.readline()
        with running("pods", *ask, "--time", str(SECONDS), *options) as client:
            began = time.monotonic()
            time.sleep(BEFORE)
            asked = time.monotonic() - began
            annotations = {HAND_OVER: str(began)}
            holder.api.patch("leases", holder.name, {"metadata": {"annotations": annotations}})
            other.wait_serving(SECONDS)
            moved = time.monotonic() - began
            assert client.stdout
            found = json_of(client.stdout.read())
    if "error" in found:
        raise Failed(f"the connection did not outlive the move: {found['error']}")
    parts = [one["sum"] for one in found["intervals"]]
    before = [one for one in parts if one["start"] >= LEFT_OUT and one["end"] <= asked]
    after = [one for one in parts if one["start"] >= moved + LEFT_OUT and one["end"] <= SECONDS + INTERVAL / 2]
    return mean(before), mean(after)


def mean(parts: list[dict[str, float]]) -> float:
    """Gigabits per second in all of them."""
    return sum(one["bytes"] for one in parts) * 8 / sum(one["seconds"] for one in parts) / 1e9


def _await_end(holder: Router) -> None:
    until(lambda: holder.metric(RELAYED_PODS) == 0, "nothing is left of the relay", 60)


def main() -> None:
    """Measure, print, publish."""
    figures = {(way, when): Figure(f"TCP, {way}, {when}", "Gbit/s") for way in WAYS for when in ("direct", "relayed")}
    with segment(), pair(11, RULES) as (holder, other):
        holder.serve()
        other.start()
        for _round in range(ROUNDS):
            for way, options in WAYS.items():
                holder.await_successor(other)
                direct, relayed = measure(holder, other, options)
                figures[way, "direct"].samples.append(direct)
                figures[way, "relayed"].samples.append(relayed)
                holder, other = other, holder
                _await_end(holder)
    ratios = [
        Ratio(f"TCP, {way}: relayed / direct", paired(figures[way, "relayed"], figures[way, "direct"])) for way in WAYS
    ]
    publish("A connection that is relayed after a planned move", list(figures.values()), ratios)


if __name__ == "__main__":
    main()
