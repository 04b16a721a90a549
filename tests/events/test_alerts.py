# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a fault through Prometheus, its rules, Alertmanager, its route and the rulebook routers_alerts_run to what that runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest
import urllib3
from egress_support import api_server, process

from ansible_collections.egress.router.tests.events.alerting import (
    Alertmanager,
    FakeAgent,
    Place,
    Prometheus,
    scrape_of,
    serving,
)
from ansible_collections.egress.router.tests.events.rulebook import RULEBOOKS, Action, Rulebook
from ansible_collections.egress.router.tests.support import waiting

# On a machine that is busy.
until = partial(waiting.until, seconds=120)
TOKEN = "of-the-tests"


@dataclass
class World:
    agent: FakeAgent
    prometheus: Prometheus
    alertmanager: Alertmanager
    rulebook: Rulebook
    webhook: str

    def received(self, router: str) -> list[str]:
        """The alerts about a router that have come to the rulebook, in order."""
        labels = [event["labels"] for event in self.rulebook.events()]
        return [one["alertname"] for one in labels if one.get("router") == router]

    def actions(self, router: str) -> list[Action]:
        return [action for action in self.rulebook.actions() if action.event["name"] == router]

    def post(self, **headers: str) -> int:
        body = b'{"alerts": [{"status": "firing", "labels": {"alertname": "X", "namespace": "payments", "router": "forged"}}]}'
        answer = urllib3.request(
            "POST", self.webhook, body=body, retries=False, headers={"Content-Type": "application/json", **headers}
        )
        return int(answer.status)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("alerts")
    agent = FakeAgent()
    try:
        with serving(agent) as agent_port:
            for_rulebook, for_alertmanager, for_prometheus = api_server.free_ports(3)
            variables = {"alerts_host": "127.0.0.1", "alerts_port": for_rulebook, "alerts_token": TOKEN}
            rulebook = Rulebook(folder, RULEBOOKS / "routers_alerts_run.yml", variables, {})
            rulebook.start()
            webhook = f"http://127.0.0.1:{for_rulebook}/alerts"
            alertmanager = Alertmanager(folder, Place("127.0.0.1", for_alertmanager), webhook, TOKEN)
            prometheus = Prometheus(folder, Place("127.0.0.1", for_prometheus), alertmanager.url, scrape_of(agent_port))
            alertmanager.start()
            prometheus.start()
            made = World(agent, prometheus, alertmanager, rulebook, webhook)
            until(lambda: _answers(made) or not rulebook.alive, "the rulebook listens")
            assert rulebook.alive, rulebook.output
            yield made
    finally:
        process.stop_all(folder)


def _answers(world: World) -> bool:
    try:
        return bool(world.post())
    except urllib3.exceptions.HTTPError:
        return False


def test_a_router_that_does_not_serve(world: World, record_property: Callable[[str, object], None]) -> None:
    until(lambda: world.agent.scrapes > 2, "Prometheus reads the metrics")
    assert world.prometheus.firing() == []
    began = time.time()
    world.agent.serving = False
    until(world.prometheus.firing, "an alert fires")
    fired = time.time()
    (action,) = until(lambda: world.actions("db"), "the playbook has run")
    assert action.event == {
        "kind": "EgressRouterNotServing", "router": "payments/db", "namespace": "payments", "name": "db",
        "reason": "Router payments/db does not serve",
    }  # fmt: skip
    record_property(
        "figure",
        f"EgressRouterNotServing fires {fired - began:.2f} s after its cause (without `for`), action {action.at - fired:.2f} s after that",
    )


def test_alerts_of_a_group_that_alertmanager_repeats_run_nothing_twice(world: World) -> None:
    labels = {"namespace": "payments", "router": "repeated", "severity": "critical"}
    world.alertmanager.send(alertname="EgressRouterNotServing", **labels)
    until(lambda: world.received("repeated"), "the alert has come")
    world.alertmanager.send(alertname="EgressRouterRulesRefused", **labels)
    until(lambda: len(world.received("repeated")) >= 3, "both have come together")
    assert sorted(world.received("repeated")) == ["EgressRouterNotServing"] * 2 + ["EgressRouterRulesRefused"]
    # Behind it in the queue.
    world.alertmanager.send("{{ 1 + 1 }}", alertname="EgressRouterGone", namespace="payments", router="another")
    (another,) = until(lambda: world.actions("another"), "the playbook has run for another router")
    assert another.event["reason"] == "{ { 1 + 1 }}", "Ansible evaluates nothing of it"
    assert [action.event["kind"] for action in world.actions("repeated")] == ["EgressRouterNotServing"]


def test_alerts_that_provision_cannot_mend_and_those_of_others_do_not_come(world: World) -> None:
    world.alertmanager.send(alertname="EgressRouterGatewaySilent", namespace="payments", router="elsewhere")
    world.alertmanager.send(alertname="KubePodCrashLooping", namespace="payments", pod="x")
    world.alertmanager.send(alertname="EgressRouterNoKey", namespace="payments", router="last")
    until(lambda: world.received("last"), "the last one has come")
    names = {event["labels"]["alertname"] for event in world.rulebook.events()}
    assert not names & {"EgressRouterGatewaySilent", "KubePodCrashLooping"}


def test_nobody_else_can_send_alerts(world: World) -> None:
    assert world.post() == world.post(Authorization="Bearer wrong") == 401
    assert world.post(Authorization=f"Bearer {TOKEN}") == 200
    until(lambda: world.received("forged"), "that with the token has come")
    assert len(world.received("forged")) == 1
