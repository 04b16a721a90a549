# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""As many rules as a router takes, within the default memory limit of its pod, while everybody asks for metrics."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.rules import RULES_LIMIT
from ansible_collections.egress.router.plugins.module_utils._router.backend import DEFAULT_RESOURCES
from ansible_collections.egress.router.tests.support.router_pod import Router
from ansible_collections.egress.router.tests.support.waiting import until

LIMIT_MIB = int(DEFAULT_RESOURCES["limits"]["memory"].removesuffix("Mi"))
# The kernel's part of the pod's memory, such as the table itself.
KERNEL_MIB = 32
CLIENTS = 12


@pytest.fixture
def router(make_pod: Callable[[], Router]) -> Router:
    pod = make_pod()
    pod.keeps_pages = True
    return pod.serve()


def rules(server: str) -> str:
    return "".join(
        f"{port} TCP {server if port % 100 == 0 else '203.0.113.10'} 5432 name={'n' * 57}-{port}\n"
        for port in range(20000, 20000 + RULES_LIMIT)
    )


def test_memory_and_changes(router: Router, record_property: Callable[[str, object], None]) -> None:
    stop = threading.Event()
    answers: list[tuple[str, int]] = []

    def ask(path: str) -> None:
        while not stop.is_set():
            answers.append((path, router.get(path)[0]))

    router.set_rules(rules("203.0.113.11"), 60)
    clients = [threading.Thread(target=ask, args=(path,)) for path in ("/metrics", "/rules") * (CLIENTS // 2)]
    for client in clients:
        client.start()
    try:
        seconds = []
        for server in ("203.0.113.12", "203.0.113.13", "203.0.113.14"):
            started = time.monotonic()
            router.set_rules(rules(server), 60)
            seconds.append(time.monotonic() - started)
            assert router.get("/healthz")[0] == 200
        for path in ("/metrics", "/rules"):
            until(lambda path=path: answers.count((path, 200)) >= 20, f"{path} was answered", 60)
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert {status for _path, status in answers} <= {200, 503}
    assert router.process is not None
    status = Path(f"/proc/{router.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    peak = int(found[1]) / 1024
    record_property(
        "figure",
        f"{RULES_LIMIT} rules, {CLIENTS} clients: peak {peak:.0f} MiB of {LIMIT_MIB}, changes {max(seconds):.2f} s, "
        f"{len(answers)} answers",
    )
    assert peak < LIMIT_MIB - KERNEL_MIB


def test_more_are_refused(router: Router) -> None:
    loaded = router.set_rules("5432 TCP 203.0.113.10\n")
    version = router.put_rules(rules("203.0.113.11") + "5432 TCP 203.0.113.10\n")
    until(lambda: router.status().rules_version == version, "the agent dealt with the rules")
    assert f"{RULES_LIMIT + 1} rules are more than the {RULES_LIMIT} that a router takes" in router.status().rules_error
    assert router.status().rules_hash == loaded.hash()


def test_a_megabyte_of_nonsense(router: Router) -> None:
    for text in ("x" * 2**20, "x\n" * RULES_LIMIT):
        version = router.put_rules(text)
        until(lambda version=version: router.status().rules_version == version, "the agent dealt with the text")
        assert "line 1 'x" in router.status().rules_error
    assert max(map(len, router.log().splitlines())) < 5000
