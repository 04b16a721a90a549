# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of routers with backend egress_router_cr, on a real API server, and what verify makes of it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.filter.verify_plan import verify_plan
from ansible_collections.egress.router.plugins.filter.verify_report import verify_report
from ansible_collections.egress.router.plugins.module_utils._kubernetes import router_info
from ansible_collections.egress.router.tests.api_server.api import TOKENS, until
from ansible_collections.egress.router.tests.api_server.others import (
    bind_shipped_role,
    good,
    restart_by_hand,
    set_rules,
)
from ansible_collections.egress.router.tests.api_server.world import World

RULE = {"port": 5432, "protocol": "TCP", "destination_ip": "203.0.113.10", "target_port": 5432}


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_info, "GRACE_SECONDS", 0.5)


def read(world: World, module: str = "router_info", **options: Any) -> dict[str, Any]:
    named = {"name": "db", "namespace": world.namespace, "backend": "egress_router_cr"}
    (found,) = good(world.run(module, **{"routers": [named], **options}))["routers"]
    return dict(found)


def test_a_router_that_serves(world: World) -> None:
    good(world.deploy(world.router()))
    (pod,) = world.pods()
    found = read(world)
    assert len(found.pop("rules_hash")) == 64
    assert found == {
        "name": "db", "namespace": world.namespace, "serving": True, "state": "serving", "reason": "", "rolled_out": True,
        "node": "worker-1", "pod": pod["metadata"]["name"], "pod_ips": [pod["status"]["podIP"]], "restarts": 0,
        "addresses": ["198.51.100.50/24"], "mac": f"3a:00:00:00:00:{world.nodes.started % 256:02x}", "rules_count": 1,
        "rules_version": "", "rules_error": "", "applied_at": pod["metadata"]["creationTimestamp"], "error": "",
        "routes_error": "", "failover": {},
    }  # fmt: skip
    # Without a name it is found by its labels, by somebody who may list such resources.
    assert read(world, routers=None, namespaces=[world.namespace]) == read(world, wait=True)
    everywhere = good(world.run("router_info"))["routers"]
    assert [one for one in everywhere if one["namespace"] == world.namespace] == [read(world)]
    rules = read(world, "redirect_rules_info")
    assert rules["in_sync"] and rules["desired"] == rules["live"] == [RULE]
    assert (rules["drift"], rules["error"], rules["live_fallback"]) == ([], "", None)
    assert rules["hash"] == rules["live_hash"] == read(world)["rules_hash"]


def test_rules_that_others_changed_are_told_and_end_the_wait(world: World) -> None:
    good(world.deploy(world.router()))
    set_rules(world, 9999)
    stale = "its pod was started with other rules or addresses than its EgressRouter has now"
    found = read(world)
    # It serves, with rules that nobody knows any more.
    assert found["serving"] and (found["reason"], found["rules_error"], found["rules_hash"]) == (stale, stale, "")
    rules = read(world, "redirect_rules_info")
    assert (rules["in_sync"], rules["error"], rules["live_hash"]) == (False, stale, "")
    assert [rule["port"] for rule in rules["desired"]] == [9999] and rules["live"] == rules["drift"] == []
    named = {"name": "db", "namespace": world.namespace, "backend": "egress_router_cr"}
    started = time.monotonic()
    result = world.run("router_info", routers=[named], wait=True, wait_timeout=60)
    assert time.monotonic() - started < 30
    assert result["failed"] and result["msg"] == f"router {world.namespace}/db does not serve: {stale}"


def test_an_operator_that_does_not_react(world: World) -> None:
    good(world.deploy(world.router()))
    world.servers.pause_operator()
    rules = [{"port": 9999, "protocol": "TCP", "destinationIP": "203.0.113.99"}]
    world.api.merge(world.path("egressrouters"), {"spec": {"redirect": {"redirectRules": rules}}})
    found = read(world)
    assert found["rules_error"] == "the Cluster Network Operator has not reacted to the last change of its EgressRouter"
    assert found["serving"] and found["rules_count"] == 1
    # The pod has the rules that the network still has.
    rules_found = read(world, "redirect_rules_info")
    assert rules_found["live"] == [RULE] and not rules_found["in_sync"]
    assert rules_found["drift"] == ["- 9999 TCP 203.0.113.99", "+ 5432 TCP 203.0.113.10"]
    world.servers.resume_operator()


def test_a_pod_that_the_plugin_refuses(world: World) -> None:
    good(world.deploy(world.router()))
    world.nodes.plugin = "failed to unmarshal raw result: unexpected end of JSON input"
    (pod,) = world.pods()
    world.api("DELETE", world.path("pods", pod["metadata"]["name"]))
    until(lambda: (read(world)["state"] == "failed") or None, "the new pod is refused")
    found = read(world)
    assert not found["serving"] and (found["pod"], found["mac"], found["addresses"]) == ("", "", [])
    assert "the CNI plugin egress-router on node worker-1 has refused" in found["reason"]
    assert found["error"] == found["reason"]
    assert read(world, "redirect_rules_info")["error"] == "its pod does not run, so its live rules are not known"
    world.nodes.plugin = ""
    until(lambda: len(world.pods()) == 1 or None, "the old pod is gone")
    assert read(world, wait=True, wait_timeout=60)["serving"]


def test_another_pod_has_another_mac(world: World) -> None:
    good(world.deploy(world.router()))
    before = read(world)
    restart_by_hand(world)
    after = read(world, wait=True, wait_timeout=60)
    assert after["serving"] and after["mac"] != before["mac"] and after["pod"] != before["pod"]


def test_what_is_not_there_or_may_not_be_read(world: World) -> None:
    found = read(world)
    assert (found["serving"], found["state"], found["mac"]) == (False, "", "")
    assert found["reason"] == "it has no EgressRouter: deploy it first"
    assert read(world, "redirect_rules_info")["error"] == "it has no EgressRouter: deploy it first"
    good(world.deploy(world.router()))
    world.token = TOKENS["jane"]
    named = {"name": "db", "namespace": world.namespace, "backend": "egress_router_cr"}
    result = world.run("router_info", routers=[named])
    assert result["failed"] and "egress-router-cr-deployer" in result["msg"]
    bind_shipped_role(world)
    assert read(world)["serving"] and read(world, "redirect_rules_info")["in_sync"]


def test_the_pod_of_another_resource_of_the_namespace_is_not_the_routers(world: World) -> None:
    good(world.deploy(world.router()))
    world.servers.pause_operator()
    other = {
        "apiVersion": "network.operator.openshift.io/v1", "kind": "EgressRouter", "metadata": {"name": "other"},
        "spec": {"addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}], "redirect": {}},
    }  # fmt: skip
    world.api("POST", world.path("egressrouters").rpartition("/")[0], other)
    named = {"name": "other", "namespace": world.namespace, "backend": "egress_router_cr"}
    found = read(world, routers=[named])
    assert (found["serving"], found["pod"], found["mac"]) == (False, "", "")
    assert found["reason"] == "the Cluster Network Operator has not made its Deployment and network yet"
    # Only what the collection has made is found without a name.
    assert read(world, routers=None, namespaces=[world.namespace])["name"] == "db"


def verified(world: World, mac: str, **changes: Any) -> dict[str, Any]:
    """The report of the role verify, if servers see the router's address with this MAC address."""
    routers = [world.router(**changes)]
    plan = verify_plan(routers, image="img:1")
    assert plan["problems"] == []
    states = good(world.run("router_info", routers=plan["routers"]))["routers"]
    through, free, direct = verify_plan(routers, None, states, image="img:1")["targets"]
    (ip,) = states[0]["pod_ips"]
    assert free == f"tcp://{ip}:61000" and through.startswith(f"tcp://db.{world.namespace}.svc:")
    counts = {"attempts": 1, "connected": 1, "refused": 0, "timed_out": 0, "failed": 0, "errors": [], "observed": []}
    seen = {"source_ip": "198.51.100.50", "source_mac": mac, "local_ip": "203.0.113.10", "local_port": 5432, "count": 1}
    results = [
        {**counts, "target": through, "observed": [seen]},
        {**counts, "target": free, "connected": 0, "refused": 1},
        {**counts, "target": direct, "observed": [{**seen, "source_ip": "198.51.100.11"}]},
    ]
    return verify_report(routers, states, results)


def test_verify_expects_the_mac_of_the_pod_that_runs_and_the_rules_of_the_list(world: World) -> None:
    good(world.deploy(world.router()))
    mac = read(world)["mac"]
    report = verified(world, mac)
    assert report["ok"] and report["summary"] == "1 router: 4 passed, 0 failed", report["problems"]
    assert report["routers"][0]["node"] == "worker-1"
    (problem,) = verified(world, "3a:00:00:00:00:ff")["problems"]
    assert problem.endswith(f"source mac 3a:00:00:00:00:ff instead of {mac}")
    other = {"redirect_rules": [{"port": 5433, "destination_ip": "203.0.113.10", "target_port": 5432}]}
    (problem,) = verified(world, mac, **other)["problems"]
    assert problem.endswith("serving: the router's live rules are not those of the list")
    restart_by_hand(world)
    until(lambda: read(world)["serving"] or None, "the new pod serves")
    assert not verified(world, mac)["ok"] and verified(world, read(world)["mac"])["ok"]
    # Somebody has changed the rules, and the pod has not been restarted.
    set_rules(world, 9999)
    (problem,) = verified(world, read(world)["mac"])["problems"]
    assert "the router's live rules are not those of the list: its pod was started with other rules" in problem
