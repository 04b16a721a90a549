# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one router's pod costs: memory of an idle agent, and seconds from its start until it serves.

The real agent in network namespaces, with the libraries of the image, against a fake API server on the same machine.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from egress_router.failover.protocol import Periods
from pods import router, segment
from report import Figure, Ratio, publish, rounds

from ansible_collections.egress.router.tests.support.waiting import until

ROUNDS = rounds(5)
IDLE_SECONDS = 3.0
# For so long the segment is asked before the address is taken.
ASK_SECONDS = Periods().ask
MEGABYTES = 45.0
SECONDS = 0.6
RULES = "5432 TCP 203.0.113.10\n"


def main() -> None:
    """Measure, print, publish."""
    memory = Figure("resident memory, idle, 1 rule", "MB")
    private = Figure("of this, not shared between pods of a node", "MB")
    start = Figure("start to serving, without the wait for the segment", "s")
    with segment():
        for number in range(11, 11 + ROUNDS):
            with router(number, RULES) as pod:
                began = time.monotonic()
                pod.start()
                until(lambda: pod.status().serving, "the router serves", every=0.005)
                start.samples.append(time.monotonic() - began - ASK_SECONDS)
                time.sleep(IDLE_SECONDS)
                assert pod.process
                memory.samples.append(kilobytes(pod.process.pid, "VmRSS") / 1024)
                private.samples.append(kilobytes(pod.process.pid, "RssAnon") / 1024)
    # The best round: what else runs on the machine can only add to it.
    ratios = [
        Ratio.at_most(f"resident memory / {MEGABYTES:g} MB", memory.median / MEGABYTES, 1),
        Ratio.at_most(f"fastest start / {SECONDS:g} s", min(start.samples) / SECONDS, 1),
    ]
    publish("One router's pod", [memory, private, start], ratios)


def kilobytes(pid: int, name: str) -> int:
    """A figure of /proc/PID/status."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.M)
    assert found
    return int(found[1])


if __name__ == "__main__":
    main()
