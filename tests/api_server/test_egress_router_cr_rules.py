# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module redirect_rules with backend egress_router_cr, on a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._egress_router_cr import operator
from ansible_collections.egress.router.plugins.module_utils._kubernetes.egress_router_cr import rules as changing
from ansible_collections.egress.router.plugins.module_utils._kubernetes.egress_router_cr import waiting
from ansible_collections.egress.router.tests.api_server.api import until
from ansible_collections.egress.router.tests.api_server.others import annotation, good, set_rules
from ansible_collections.egress.router.tests.api_server.world import World

WEB = {"port": 8080, "destination_ip": "203.0.113.11", "target_port": 80, "name": "web"}
DB_LINE, WEB_LINE = "5432 TCP 203.0.113.10", "8080 TCP 203.0.113.11 80"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "GRACE_SECONDS", 1.0)


def change(
    world: World, check: bool = False, state: str = "replaced", name: str = "db", **router: Any
) -> dict[str, Any]:
    given = {"name": name, "namespace": world.namespace, "backend": "egress_router_cr", **router}
    return world.run("redirect_rules", check, routers=[given], state=state, wait_timeout=router.pop("wait_timeout", 60))


def one(result: dict[str, Any]) -> dict[str, Any]:
    (found,) = good(result)["routers"]
    return dict(found)


def ports(world: World) -> list[int]:
    return [port["port"] for port in world.get("services")["spec"]["ports"]]


def test_replaced_merged_and_deleted_in_check_mode_and_for_real_each_twice(world: World) -> None:
    keys = {
        "tolerations": [{"operator": "Exists"}],
        "pod_annotations": {"example.com/owner": "jane"},
        "service": {"labels": {"team": "x"}},
    }
    good(world.deploy(world.router(**keys)))
    steps = [
        ("merged", [WEB], [DB_LINE], [DB_LINE, WEB_LINE]),
        ("deleted", [{"port": 5432}], [DB_LINE, WEB_LINE], [WEB_LINE]),
        ("replaced", [{"port": 29797, "destination_ip": "203.0.113.10"}], [WEB_LINE], ["29797 TCP 203.0.113.10"]),
    ]
    for state, rules, before, after in steps:
        started = world.nodes.started
        for _time in range(2):
            found = one(change(world, True, state, redirect_rules=rules))
            assert found["changed"] and (found["before"], found["after"]) == (before, after)
        assert world.nodes.started == started and world.forwards() == before
        found = one(change(world, False, state, redirect_rules=rules))
        assert found["changed"] and (found["before"], found["after"]) == (before, after) and found["seconds"] > 0
        assert world.forwards() == after and world.nodes.started == started + 1
        assert ports(world) == [int(line.split()[0]) for line in after]
        for check in (True, False):
            assert not one(change(world, check, state, redirect_rules=rules))["changed"]
        assert world.nodes.started == started + 1
    # Whatever else the module router has set is there.
    template = world.get("deployments")["spec"]["template"]
    assert template["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert template["metadata"]["annotations"]["example.com/owner"] == "jane"
    assert world.get("services")["metadata"]["labels"]["team"] == "x"
    assert not good(world.deploy(world.router(redirect_rules=steps[-1][1], **keys)))["changed"]


def test_all_rules_are_deleted_and_come_back_with_a_service(world: World) -> None:
    good(world.deploy(world.router()))
    assert one(change(world, state="deleted"))["after"] == []
    assert world.get("services") is None and world.forwards() == []
    assert one(change(world, redirect_rules=[WEB]))["changed"]
    assert ports(world) == [8080] and world.forwards() == [WEB_LINE]


def test_rules_that_others_changed_are_stale_and_made_live_or_replaced(world: World) -> None:
    good(world.deploy(world.router()))
    set_rules(world, 9999)
    theirs = [{"port": 9999, "destination_ip": "203.0.113.99"}]
    assert world.forwards() == [DB_LINE]
    found = one(change(world, True, redirect_rules=theirs))
    stale = "stale: its pod was started with other rules or addresses than its EgressRouter has now"
    assert found["changed"] and stale in found["before"] and stale not in found["after"]
    assert one(change(world, redirect_rules=theirs))["changed"] and world.forwards() == ["9999 TCP 203.0.113.99"]
    assert not one(change(world, redirect_rules=theirs))["changed"] and ports(world) == [9999]
    set_rules(world, 7777)
    assert one(change(world, redirect_rules=[WEB]))["after"] == [WEB_LINE] and world.forwards() == [WEB_LINE]


def test_rules_with_which_the_pod_does_not_start_are_taken_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    good(world.deploy(world.router()))
    original = changing._Change._roll_back

    def mended(self: Any, *args: Any) -> Any:
        world.nodes.plugin = ""
        return original(self, *args)

    monkeypatch.setattr(changing._Change, "_roll_back", mended)
    world.nodes.plugin = "failed to unmarshal raw result: unexpected end of JSON input"
    result = change(world, redirect_rules=[WEB])
    assert result["failed"] and "the CNI plugin egress-router on node worker-1 has refused" in result["msg"]
    assert f"The previous rules are restored in EgressRouter {world.namespace}/db and live" in result["msg"]
    (found,) = result["routers"]
    assert not found["changed"] and found["before"] == found["after"] == [DB_LINE]
    assert world.forwards() == [DB_LINE] and ports(world) == [5432]
    assert not good(world.deploy(world.router()))["changed"]


def test_an_operator_that_is_dead_loses_no_rule(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    good(world.deploy(world.router()))
    monkeypatch.setattr(waiting, "OPERATOR_SECONDS", 1.0)
    world.servers.pause_operator()
    result = change(world, redirect_rules=[WEB])
    assert result["failed"] and "the Cluster Network Operator has not reacted" in result["msg"]
    # With the previous rules there is nothing for it to do.
    assert f"The previous rules are restored in EgressRouter {world.namespace}/db and live" in result["msg"]
    assert world.forwards() == [DB_LINE]
    world.servers.resume_operator()


def test_what_is_written_in_between_is_not_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    good(world.deploy(world.router()))
    original, times = changing._Change._write, {"count": 0}

    def raced(self: Any, *args: Any) -> Any:
        times["count"] += 1
        if times["count"] == 1:
            rules = [{"port": 7777, "protocol": "TCP", "destinationIP": "203.0.113.77"}]
            world.api.merge(world.path("egressrouters"), {"spec": {"redirect": {"redirectRules": rules}}})
        return original(self, *args)

    monkeypatch.setattr(changing._Change, "_write", raced)
    assert one(change(world, state="merged", redirect_rules=[WEB]))["after"] == ["7777 TCP 203.0.113.77", WEB_LINE]
    assert world.forwards() == ["7777 TCP 203.0.113.77", WEB_LINE]
    times["count"] = 0
    result = change(world, redirect_rules=[{"port": 1, "destination_ip": "203.0.113.1"}])
    assert result["failed"] and "changed by somebody else between read and write" in result["msg"]
    (found,) = result["routers"]
    assert not found["changed"]


GONE = "was removed by somebody during the run, and its pod with it: run again"


def test_a_resource_that_somebody_removes_while_its_rules_are_changed(world: World) -> None:
    good(world.deploy(world.router()))

    def remove_once() -> None:
        world.nodes.on_start = lambda: None
        world.api("DELETE", world.path("egressrouters"))

    # When the pod with the new rules starts.
    world.nodes.on_start = remove_once
    result = change(world, redirect_rules=[WEB])
    assert result["failed"] and GONE in result["msg"], result
    assert "The previous rules could not be restored: " in result["msg"]
    assert world.get("egressrouters") is None, "it is not made anew from rules alone"
    until(lambda: not world.pods(), "the pod is gone")
    good(world.deploy(world.router(redirect_rules=[WEB])))
    assert world.forwards() == [WEB_LINE]


def test_a_resource_that_somebody_removes_before_its_rules_are_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    good(world.deploy(world.router()))
    original = changing._Change._write

    def late(self: Any, *args: Any) -> Any:
        if world.get("egressrouters"):
            world.api("DELETE", world.path("egressrouters"))
        return original(self, *args)

    monkeypatch.setattr(changing._Change, "_write", late)
    result = change(world, state="merged", redirect_rules=[WEB])
    assert result["failed"] and "does not exist: deploy the router first" in result["msg"], result
    assert world.get("egressrouters") is None and not result["routers"][0]["changed"]


def test_fields_that_garbage_collection_dropped_are_put_back(world: World) -> None:
    good(world.deploy(world.router()))
    world.api("DELETE", world.path("deployments"))
    until(lambda: world.get("deployments") is None and not world.pods(), "the Deployment is gone")
    world.wake_operator()
    until(lambda: world.nodes.of(world.namespace), "the operator's pod runs")
    assert annotation(world) is None
    assert one(change(world, redirect_rules=[WEB]))["changed"]
    deployment = world.get("deployments")["spec"]
    assert (
        deployment["strategy"] == {"type": "Recreate"}
        and deployment["template"]["spec"]["terminationGracePeriodSeconds"] == 1
    )
    assert deployment["template"]["metadata"]["annotations"][operator.HASH]


def test_what_is_not_there_or_not_ours(world: World) -> None:
    result = change(world, redirect_rules=[WEB])
    assert (
        result["failed"]
        and f"EgressRouter {world.namespace}/db does not exist: deploy the router first" in result["msg"]
    )
    assert not one(change(world, state="deleted"))["changed"]
    foreign = {
        "apiVersion": "network.operator.openshift.io/v1", "kind": "EgressRouter", "metadata": {"name": "db"},
        "spec": {"addresses": [{"ip": "198.51.100.60/24", "gateway": "198.51.100.1"}], "redirect": {}},
    }  # fmt: skip
    world.api("POST", world.path("egressrouters").rpartition("/")[0], foreign)
    result = change(world, redirect_rules=[WEB])
    assert result["failed"] and "was not made by this collection: its rules are left alone" in result["msg"]


def test_what_the_resource_cannot_do_is_refused(world: World) -> None:
    result = change(world, redirect_rules=[{"port": 1, "destination_ip": "2001:db8:1::1"}], fallback_ip="203.0.113.99")
    assert (
        result["failed"] and "is IPv6, with which the pod of backend egress_router_cr does not start" in result["msg"]
    )
    assert "fallback_ip: '203.0.113.99' has no effect" in result["msg"]
