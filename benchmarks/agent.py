# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one router's pod costs: memory of an idle agent, and seconds from its start until it serves.

The real agent in network namespaces, with the libraries of the image, against a fake API server on the same machine.
"""

from __future__ import annotations

import itertools
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from egress_router.run.address import PROBE_AGAIN_SECONDS, PROBE_SECONDS
from report import Figure, Ratio, publish

from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.fake_agent_api import FakeApi
from ansible_collections.egress.router.tests.support.router_pod import Router, prepare

ROUNDS = 5
IDLE_SECONDS = 3.0
MEGABYTES = 45.0
SECONDS = 0.6
RULES = "5432 TCP 203.0.113.10\n"


@contextmanager
def segment() -> Iterator[None]:
    """The pod network, the segment and a node."""
    try:
        namespaces.build()
        namespaces.add_node("node1")
        yield
    finally:
        for name in ("pods", "outside", "node1"):
            namespaces.remove(name)


def main() -> None:
    """Measure, print, publish."""
    numbers = itertools.count(11)
    memory = Figure("resident memory, idle, 1 rule", "MB")
    private = Figure("of this, not shared between pods of a node", "MB")
    start = Figure("start to serving, without the wait for the segment", "s")
    with segment(), tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        api = FakeApi("pods", "10.244.0.1", 8001, folder)
        for _round in range(ROUNDS):
            prepare(api, rules=RULES)
            number = next(numbers)
            pod = f"pod{number}"
            namespaces.add_pod(pod, "node1", number)
            router = Router(api, folder, pod, number)
            began = time.monotonic()
            router.serve()
            start.samples.append(time.monotonic() - began - PROBE_SECONDS - PROBE_AGAIN_SECONDS)
            time.sleep(IDLE_SECONDS)
            assert router.process is not None
            memory.samples.append(kilobytes(router.process.pid, "VmRSS") / 1024)
            private.samples.append(kilobytes(router.process.pid, "RssAnon") / 1024)
            router.terminate()
            namespaces.remove(pod)
        api.stop()
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
