# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent's HTTP server."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import threading
from pathlib import Path
from unittest.mock import Mock

import pytest
from egress_router.run import web

from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.router_pod import AGENT_PORT, EGRESS4, Router, connect
from ansible_collections.egress.router.tests.support.waiting import until

ROOT = Path(__file__).parents[2]


def test_pages(router: Router) -> None:
    assert router.get("/healthz") == (200, "ok\n")
    assert router.get("/readyz") == (200, "serving\n")
    assert router.get("/nothing")[0] == 404
    status, text = router.get("/metrics")
    assert status == 200
    assert 'egress_router_state{state="serving"} 1.0' in text and 'egress_router_state{state="failed"} 0.0' in text
    assert router.metric("egress_router_conntrack_max") > router.metric("egress_router_conntrack_entries") > 0


def test_every_metric_is_in_the_table_of_the_readme(router: Router) -> None:
    """Alert rules are written, and tested, by that table."""
    rows = re.findall(r"^\| (`egress_router_.+?) \|", (ROOT / "images/router/README.md").read_text(), re.M)
    told = {name for row in rows for name in re.findall(r"`(egress_router_\w+)`", row)}
    # prometheus_client tells of each counter when it was made, too.
    found = set(re.findall(r"^# TYPE (egress_router_\w+) ", router.get("/metrics")[1], re.M))
    assert {name for name in found if not name.endswith("_created")} == told


def test_both_families_of_the_pod(router: Router) -> None:
    assert router.get("/healthz", router.ip6) == (200, "ok\n")


def test_only_the_pods_addresses(router: Router) -> None:
    listening = [line.split()[3] for line in router.run("ss -Hltn").splitlines()]
    assert sorted(listening) == sorted([f"{router.ip4}:{AGENT_PORT}", f"[{router.ip6}]:{AGENT_PORT}"])
    # The egress address is the pod's too, but not the agent's.
    with pytest.raises(OSError):
        connect(router.pod, EGRESS4, AGENT_PORT, 0.5)


def test_the_start_does_not_wait_for_a_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard library's HTTP server looks up its own name, which takes seconds if the cluster's DNS is down."""
    monkeypatch.setattr(socket, "getfqdn", lambda *_: pytest.fail("a name was looked up"))
    namespaces.inside("pods", lambda: web.serve(Mock(), [ipaddress.ip_address("10.244.0.1")], 7997))


def test_what_takes_time_is_made_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    go, made, clock = threading.Event(), [], [100.0]
    monkeypatch.setattr(web, "time", Mock(monotonic=lambda: clock[0]))

    def make() -> dict[str, bytes]:
        assert go.wait(10)
        clock[0] += 2 * web.QUICK_SECONDS
        made.append(clock[0])
        return {"/metrics": b"%d" % len(made), "/rules": b""}

    shared = web.Shared(make)
    answers: list[object] = []

    def ask() -> None:
        try:
            answers.append(shared.get()["/metrics"])
        except web.Busy:
            answers.append("busy")

    threads = [threading.Thread(target=ask) for _number in range(web.WAITING + 2)]
    for thread in threads:
        thread.start()
    until(lambda: answers == ["busy", "busy"], "those who are too many do not wait", 5)
    go.set()
    for thread in threads:
        thread.join()
    assert answers == ["busy", "busy", *[b"1"] * web.WAITING]
    assert shared.get()["/metrics"] == b"1"
    clock[0] += web.FRESH_SECONDS
    assert shared.get()["/metrics"] == b"2", "never older than that"


def test_idle_connections_keep_nobody_out(router: Router) -> None:
    idle = [connect(router.pod, router.ip4, AGENT_PORT) for _number in range(web.CONNECTIONS + 10)]
    assert router.get("/healthz") == (200, "ok\n")
    assert idle[0].recv(1) == b"", "the oldest made room"
    for connection in idle:
        connection.close()


def test_who_connects_beside_many_is_not_lost() -> None:
    """Before anybody is accepted: the kernel would drop the first packet of those who find no room, and they try again a second later."""

    def body() -> None:
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(web._Server(("10.244.0.1", 7998), Mock()))
            for _number in range(web.CONNECTIONS):
                stack.enter_context(socket.create_connection(server.server_address, 0.5))

    namespaces.inside("pods", body)


def test_health_does_not_wait_for_the_kernel() -> None:
    """Nor for those who ask for metrics, nor do they keep the main thread from the kernel."""
    pages = web.Pages(Mock(), Mock(), Mock(), Mock())
    pages._counters._make = lambda: {"/metrics": b"", "/rules": b""}
    with pages._counters._lock:
        assert pages.page("/healthz")[0] == 200
        answers: list[int] = []
        for _number in range(web.WAITING + 1):
            threading.Thread(target=lambda: answers.append(pages.page("/metrics")[0]), daemon=True).start()
        until(lambda: answers == [503], "who is one too many is told so, and the others wait", 5)
        assert pages.page("/healthz")[0] == 200
