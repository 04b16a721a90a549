# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of the old Service reach the same servers on the same ports of the new one."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.rules import parse
from ansible_collections.egress.router.plugins.module_utils._migrate.draft import Draft
from ansible_collections.egress.router.plugins.module_utils._migrate.objects import Objects
from ansible_collections.egress.router.plugins.module_utils._migrate.report import Notes, Source
from ansible_collections.egress.router.plugins.module_utils._migrate.service import take_services

SELECTOR = {"name": "egress-1"}


def draft(rules: str, **more: Any) -> Draft:
    found = parse(rules)
    return Draft(
        Notes(Source("Pod", "ns", "egress-1")),
        "egress-1",
        SELECTOR,
        rules=found.by_key(),
        fallback_ip=found.fallback_ip,
        **more,
    )


def service(name: str = "egress-1", **spec: Any) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"name": name, "namespace": "ns"}, "spec": {"selector": SELECTOR, **spec}}


def taken(old: Draft, *services: dict[str, Any]) -> dict[str, Any]:
    assert take_services([old], Objects(services)) == []
    router = old.as_router()
    return {
        "rules": [rule.line() for rule in sorted(old.rules.values())],
        **(router.get("service") or {}),
    }


@pytest.mark.parametrize(("rules", "ports", "after"), [
    ("80 TCP 203.0.113.1", [{"port": 80}], {"rules": ["80 TCP 203.0.113.1"]}),
    ("8080 TCP 203.0.113.1 80", [{"port": 80, "targetPort": 8080}], {"rules": ["80 TCP 203.0.113.1", "8080 TCP 203.0.113.1 80"]}),
    ("8080 TCP 203.0.113.1 80", [{"port": 80, "targetPort": "8080"}], {"rules": ["80 TCP 203.0.113.1", "8080 TCP 203.0.113.1 80"]}),
    # Clients use the Service, so its ports count: here the two are swapped.
    (
        "80 TCP 203.0.113.1\n81 TCP 203.0.113.2", [{"port": 80, "targetPort": 81}, {"port": 81, "targetPort": 80}],
        {"rules": ["80 TCP 203.0.113.2 81", "81 TCP 203.0.113.1 80"]},
    ),
    # The fallback keeps the port, whichever it is.
    ("fallback 203.0.113.9", [{"port": 443}], {"rules": [], "extra_ports": [{"port": 443, "protocol": "TCP"}]}),
    ("fallback 203.0.113.9", [{"port": 443, "targetPort": 8443}], {"rules": ["443 TCP 203.0.113.9 8443"]}),
    ("53 UDP 203.0.113.1", [{"port": 53, "protocol": "TCP"}], {"rules": ["53 UDP 203.0.113.1"]}),
    ("8080 TCP 203.0.113.1", [{"port": 80, "targetPort": "web"}], {"rules": ["80 TCP 203.0.113.1 8080", "8080 TCP 203.0.113.1"]}),
    ("8080 TCP 203.0.113.1", [{"port": 80, "targetPort": "other"}], {"rules": ["8080 TCP 203.0.113.1"]}),
])  # fmt: skip
def test_ports(rules: str, ports: list[dict[str, Any]], after: dict[str, Any]) -> None:
    assert taken(draft(rules, ports={"web": 8080}), service(ports=ports)) == after


def test_a_port_that_led_nowhere() -> None:
    old = draft("80 TCP 203.0.113.1")
    taken(old, service(ports=[{"port": 80, "targetPort": 8080}, {"port": 81}]))
    said = {item.level: item.message for item in old.notes.found}
    assert said["lost"] == "port 81/TCP leads to port 81, which has no rule: it is left out"
    assert said["changed"].endswith("port 8080, which has no rule: now it leads where the rule for that port does")


def test_the_name_of_somebody_elses_service_is_left_to_it() -> None:
    old = draft("80 TCP 203.0.113.1")
    assert taken(old, service(selector={"app": "web"}))["name"] == "egress-1-router"


def test_a_headless_service_has_every_port() -> None:
    old = draft("80 TCP 203.0.113.1\nfallback 203.0.113.9")
    assert taken(old, service("other", clusterIP="None", ports=[{"port": 1}])) == {
        "rules": ["80 TCP 203.0.113.1"], "name": "other", "headless": True,
    }  # fmt: skip


def test_of_several_services_that_of_the_same_name_is_taken() -> None:
    old = draft("80 TCP 203.0.113.1")
    assert taken(old, service("a", ports=[{"port": 80}]), service("egress-1", ports=[{"port": 80}])) == {
        "rules": ["80 TCP 203.0.113.1"]
    }
    assert any("lead its clients to egress-1" in item.message for item in old.notes.found if item.level == "lost")


@pytest.mark.parametrize("labels", [SELECTOR, {**SELECTOR, "tier": "core"}])
def test_a_selector_with_two_labels_has_to_match_as_a_whole(labels: dict[str, str]) -> None:
    old = draft("80 TCP 203.0.113.1")
    old.labels = labels
    (item,) = take_services([old], Objects([service("b", selector={**SELECTOR, "tier": "edge"})]))
    assert "lack tier=edge" in item.message and "service" not in old.as_router()


def test_a_selector_with_two_labels_that_the_pods_have() -> None:
    old = draft("80 TCP 203.0.113.1")
    old.labels = {**SELECTOR, "tier": "edge", "more": "labels"}
    assert take_services([old], Objects([service("b", selector={**SELECTOR, "tier": "edge"})])) == []
    assert old.as_router()["service"] == {"name": "b"}


def test_services_of_other_pods_and_without_selector_are_left_alone() -> None:
    old = draft("80 TCP 203.0.113.1")
    others = [service("a", selector={"app": "web"}), service("b", selector=None), service("c", selector={})]
    elsewhere = service()
    elsewhere["metadata"]["namespace"] = "other"
    assert taken(old, *others, elsewhere) == {"rules": ["80 TCP 203.0.113.1"]}
