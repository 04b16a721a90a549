# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module redirect_rules_info: desired rules against live ones."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.egress.router.tests.support.fake_api_server import FakeCluster, add_router

from .conftest import Run

RULES = "5432 TCP 203.0.113.10 name=db\n53 UDP 203.0.113.12\nfallback 203.0.113.99\n"
DB = {"name": "billing-db", "namespace": "payments"}
PAGE = "payments/billing-db-abc:29797/rules"


def live(port: int, protocol: str, ip: str, connections: int = 7) -> dict[str, Any]:
    counters = {"connections": connections, "packets": 70, "bytes": 7000}
    return {"port": port, "protocol": protocol, "destination_ip": ip, "target_port": port, "name": "", **counters}


@pytest.fixture(autouse=True)
def _router(cluster: FakeCluster) -> None:
    add_router(cluster, "payments", "billing-db", RULES)
    rules = [live(53, "UDP", "203.0.113.12"), live(5432, "TCP", "203.0.113.10")]
    fallback = {"destination_ip": "203.0.113.99", "connections": 1, "packets": 2, "bytes": 3}
    cluster.pages[PAGE] = {"hash": "of-the-agent", "rules": rules, "fallback": fallback}


def test_in_sync_whatever_the_names(run: Run) -> None:
    result = run("redirect_rules_info", routers=[DB])
    router = result["routers"][0]
    assert result["changed"] is False
    assert (router["in_sync"], router["drift"], router["error"]) == (True, [], "")
    assert router["hash"] == router["live_hash"]
    assert [rule.get("name") for rule in router["desired"]] == [None, "db"]
    assert router["live"][1]["connections"] == 7
    assert router["live_fallback"]["bytes"] == 3


def test_drift_has_a_line_for_each_rule_that_differs(cluster: FakeCluster, run: Run) -> None:
    cluster.pages[PAGE]["rules"] = [live(53, "UDP", "203.0.113.12"), live(5432, "TCP", "203.0.113.13")]
    cluster.pages[PAGE]["fallback"] = None
    router = run("redirect_rules_info", namespaces=["payments"])["routers"][0]
    assert router["drift"] == ["- 5432 TCP 203.0.113.10", "- fallback 203.0.113.99", "+ 5432 TCP 203.0.113.13"]
    assert router["in_sync"] is False


def test_rules_that_were_broken_by_hand(cluster: FakeCluster, run: Run) -> None:
    cluster.objects[("configmaps", "payments", "billing-db-rules")]["data"]["rules"] = "0 TCP 203.0.113.10\n"
    router = run("redirect_rules_info")["routers"][0]
    assert router["error"].startswith(
        "the rules in ConfigMap payments/billing-db-rules cannot be read: line 1 '0 TCP 203.0.113.10': port '0'"
    )
    assert not router["in_sync"] and router["live"]
    # No rules in the kernel are not what somebody wanted who made a slip.
    cluster.pages[PAGE].update(rules=[], fallback=None)
    assert run("redirect_rules_info")["routers"][0]["in_sync"] is False


def test_an_agent_that_does_not_answer(cluster: FakeCluster, run: Run) -> None:
    cluster.fault = lambda method, path: (503, "dial tcp 10.244.1.17:29797: i/o timeout") if "proxy" in path else None
    router = run("redirect_rules_info")["routers"][0]
    assert "i/o timeout" in router["error"]
    assert (router["in_sync"], router["live_hash"], router["drift"]) == (False, "", [])


def test_an_answer_that_is_no_json(cluster: FakeCluster, run: Run) -> None:
    cluster.pages[PAGE] = "<html>"
    assert "answered /rules with something else than JSON" in run("redirect_rules_info")["routers"][0]["error"]


def test_a_router_that_is_not_there(run: Run) -> None:
    router = run("redirect_rules_info", routers=[{**DB, "name": "x"}])["routers"][0]
    assert router["error"] == (
        "ConfigMap payments/x-rules does not exist; "
        "none of the router's pods has reported yet, so its live rules are not known"
    )
