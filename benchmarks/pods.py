# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmarks with a real agent in network namespaces share: the networks of the agent's tests, and clients there."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract.failover import Failover
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.fake_agent_api import FakeApi
from ansible_collections.egress.router.tests.support.router_pod import Router, prepare

NODES = ("node1", "node2")
SERVER = "203.0.113.10"
# What a client may take longer than it was asked to, and what any program may take to end, in seconds.
PATIENCE = 15.0


class Failed(Exception):
    """A client of a measurement failed; the message says which and why."""


# What a measurement raises that does not succeed: its clients, what it looks at with a command, and `until`.
FAILURES = (Failed, AssertionError, subprocess.TimeoutExpired)


@contextmanager
def segment() -> Iterator[None]:
    """The pod network, the segment and two nodes."""
    try:
        namespaces.build()
        for node in NODES:
            namespaces.add_node(node)
        yield
    finally:
        for name in ("pods", "outside", *NODES):
            namespaces.remove(name)


@contextmanager
def router(number: int, rules: str) -> Iterator[Router]:
    """A router that can be started, with a fake API server on the same machine. Its pod is podNUMBER."""
    with _pods([number], rules) as (made,):
        yield made


@contextmanager
def pair(number: int, rules: str) -> Iterator[list[Router]]:
    """Two pods of one router, podNUMBER and the next, which can be started."""
    with _pods([number, number + 1], rules) as made:
        yield made


@contextmanager
def _pods(numbers: list[int], rules: str) -> Iterator[list[Router]]:
    with tempfile.TemporaryDirectory() as folder:
        api = FakeApi("pods", "10.244.0.1", 8001, Path(folder))
        made = []
        try:
            prepare(api, rules=rules)
            for number, node in zip(numbers, NODES, strict=False):
                # Whether a node checks sources for all interfaces is its own; most do not, and the plain hop's does not.
                tuning = {**namespaces.TUNING, "net.ipv4.conf.all.rp_filter": "0"}
                namespaces.add_pod(f"pod{number}", node, number, tuning)
                made.append(Router(api, Path(folder), f"pod{number}", number))
                made[-1].keeps_pages = True
                made[-1].replicas = len(numbers)
                made[-1].failover = Failover()
            yield made
            for pod in made:
                pod.terminate()
        finally:
            for pod in made:
                namespaces.remove(pod.pod)
            api.stop()


@contextmanager
def running(namespace: str, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a namespace that says when it is ready; it is ended afterwards, if it runs still.

    A command that goes on talking needs somebody who reads it: once the pipe is full, it stands still.
    """
    words = ["ip", "netns", "exec", namespaces.PREFIX + namespace, *command]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def result(namespace: str, *command: str, seconds: float) -> dict[str, Any]:
    """The JSON that a command in a namespace prints, which takes about so many seconds."""
    words = ["ip", "netns", "exec", namespaces.PREFIX + namespace, *command]
    try:
        done = subprocess.run(words, text=True, capture_output=True, check=False, timeout=seconds + PATIENCE)
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(command)} did not end within {seconds + PATIENCE:g} s") from None
    if done.returncode:
        # iperf3 reports its error at the end of its JSON.
        raise Failed(f"{' '.join(command)}: {(done.stderr.strip() or done.stdout.strip())[-300:]}")
    return json_of(done.stdout)


def json_of(text: str) -> dict[str, Any]:
    """An object."""
    found: dict[str, Any] = json.loads(text)
    return found
