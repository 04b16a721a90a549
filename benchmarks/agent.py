# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one router's pod costs: memory of an idle agent, seconds from its start until it serves, and what a pair costs at rest.

The real agent in network namespaces, with the libraries of the image, against a fake API server on the same machine.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from egress_router.failover.protocol import Periods
from pods import pair, router, segment
from report import Figure, Ratio, publish, rounds

from ansible_collections.egress.router.tests.support.waiting import until

ROUNDS = rounds(5)
IDLE_SECONDS = 3.0
# For so long the segment is asked before the address is taken.
ASK_SECONDS = Periods().ask
# Of a pair at rest: how long the processors' time is counted, and how much of one a pod may use.
REST_SECONDS = 60.0
CORE = 0.01
PAIR_MEGABYTES = 5.0
MEGABYTES = 45.0
SECONDS = 0.6
WHO = ("holder", "standby")
RULES = "5432 TCP 203.0.113.10\n"


def main() -> None:
    """Measure, print, publish."""
    memory = Figure("resident memory, idle, 1 rule", "MB")
    private = Figure("of this, not shared between pods of a node", "MB")
    start = Figure("start to serving, without the wait for the segment", "s")
    cpu = {who: Figure(f"{who} of a pair at rest, processor time in {REST_SECONDS:g} s", "s") for who in WHO}
    rest = {who: Figure(f"{who} of a pair at rest, resident memory", "MB") for who in WHO}
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
        at_rest(cpu, rest)
    # The best round: what else runs on the machine can only add to it.
    ratios = [
        Ratio.at_most(f"resident memory / {MEGABYTES:g} MB", memory.median / MEGABYTES, 1),
        Ratio.at_most(f"fastest start / {SECONDS:g} s", min(start.samples) / SECONDS, 1),
    ]
    for who in WHO:
        ratios.append(Ratio(f"{who}: processor time / {CORE:.0%} of a core", cpu[who].median / REST_SECONDS / CORE))
        more = rest[who].median - memory.median
        ratios.append(
            Ratio.at_most(f"{who}: memory beyond one replica's / {PAIR_MEGABYTES:g} MB", more / PAIR_MEGABYTES, 1)
        )
    publish("One router's pod", [memory, private, start, *cpu.values(), *rest.values()], ratios)


def at_rest(cpu: dict[str, Figure], memory: dict[str, Figure]) -> None:
    """A pair that serves, and has nothing else to do than beats."""
    with pair(11 + ROUNDS, RULES) as (holder, standby):
        holder.serve()
        standby.start()
        until(lambda: holder.status().successor == standby.pod, "the other one is the successor")
        time.sleep(IDLE_SECONDS)
        assert holder.process and standby.process
        pids = dict(zip(WHO, (holder.process.pid, standby.process.pid), strict=True))
        before = {who: seconds(pid) for who, pid in pids.items()}
        time.sleep(REST_SECONDS)
        for who, pid in pids.items():
            cpu[who].samples.append(seconds(pid) - before[who])
            memory[who].samples.append(kilobytes(pid, "VmRSS") / 1024)


def seconds(pid: int) -> float:
    """The processors' time that a process has used, its own and the kernel's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kilobytes(pid: int, name: str) -> int:
    """A figure of /proc/PID/status."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.M)
    assert found
    return int(found[1])


if __name__ == "__main__":
    main()
