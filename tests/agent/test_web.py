# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent's HTTP server."""

from __future__ import annotations

import ipaddress
import socket
from unittest.mock import Mock

import pytest
from egress_router.run import web

from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.router_pod import AGENT_PORT, EGRESS4, Router, connect


def test_pages(router: Router) -> None:
    assert router.get("/healthz") == (200, "ok\n")
    assert router.get("/readyz") == (200, "serving\n")
    assert router.get("/nothing")[0] == 404
    status, text = router.get("/metrics")
    assert status == 200
    for name in (
        "state",
        "rules",
        "rule_connections",
        "drift_repairs",
        "apply_seconds",
        "conntrack",
        "lease",
        "build_info",
    ):
        assert f"egress_router_{name}" in text
    assert 'egress_router_state{state="serving"} 1.0' in text and 'egress_router_state{state="failed"} 0.0' in text
    assert router.metric("egress_router_conntrack_max") > router.metric("egress_router_conntrack_entries") > 0


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
