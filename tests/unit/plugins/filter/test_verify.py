# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of the role verify: the plan for the client, the report, and problems of the list."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.egress.router.plugins.filter.verify_plan import verify_plan
from ansible_collections.egress.router.plugins.filter.verify_report import verify_report

RULE = {"port": 53, "protocol": "UDP", "destination_ip": "198.51.100.6"}
ROUTERS = [
    {"name": "gone", "namespace": "m", "state": "absent"},
    {"name": "a", "namespace": "n", "addresses": [{"ip": "198.51.100.5/24"}], "redirect_rules": [RULE]},
]
DEFAULTS = {"image": "img:1", "image_pull_secrets": ["registry"]}


def test_the_plan() -> None:
    states: list[dict[str, Any]] = [{"name": "a", "namespace": "n", "pod_ips": ["10.244.1.17"]}]
    plan = verify_plan(ROUTERS, DEFAULTS)
    assert plan == {
        "problems": [], "routers": [{"name": "a", "namespace": "n", "backend": "agent"}], "namespace": "n", "image": "img:1",
        "image_pull_secrets": ["registry"], "targets": ["udp://a.n.svc:53"],
    }  # fmt: skip
    assert verify_plan(ROUTERS, DEFAULTS, states) == {
        **plan,
        "targets": ["udp://a.n.svc:53", "tcp://10.244.1.17:61000"],
    }


def test_problems_of_the_list() -> None:
    (problem,) = verify_plan(ROUTERS)["problems"]
    assert problem.startswith("router n/a, image: is required")
    assert verify_plan(ROUTERS)["routers"] == verify_plan(ROUTERS)["targets"] == []
    with pytest.raises(AnsibleFilterError, match="router n/a, image: is required"):
        verify_report(ROUTERS, [], [])


def test_the_report_is_on_present_routers() -> None:
    report = verify_report(ROUTERS, [], [], DEFAULTS)
    assert not report["ok"] and [router["router"] for router in report["routers"]] == ["a"]
    empty = verify_report(ROUTERS[:1], [], [])
    assert empty == {
        "ok": True, "routers": [], "summary": "0 routers: 0 passed, 0 failed", "table": [], "problems": [], "hints": [],
    }  # fmt: skip
    plan = verify_plan(ROUTERS[:1])
    assert plan == {
        "problems": [],
        "routers": [],
        "namespace": "",
        "image": "",
        "image_pull_secrets": [],
        "targets": [],
    }


CR: dict[str, Any] = {
    "name": "cr", "namespace": "m", "backend": "egress_router_cr",
    "redirect_rules": [{**RULE, "destination_ip": "203.0.113.6"}],
    "addresses": [{"ip": "198.51.100.6/24", "gateway": "198.51.100.1"}],
}  # fmt: skip


def test_a_router_without_an_agent_is_probed_by_a_client_of_the_collections_image() -> None:
    plan = verify_plan([CR, *ROUTERS], DEFAULTS)
    assert plan["problems"] == [] and (plan["image"], plan["image_pull_secrets"]) == ("img:1", ["registry"])
    assert plan["routers"][0] == {"name": "cr", "namespace": "m", "backend": "egress_router_cr"}
    assert plan["namespace"] == "m" and plan["targets"] == ["udp://cr.m.svc:53", "udp://a.n.svc:53"]
    assert verify_plan([CR, *ROUTERS], DEFAULTS, image="img:2")["image"] == "img:2"
    assert verify_plan([CR], image="img:2")["image"] == "img:2"
    # `image` of the defaults is for other routers.
    for defaults in (None, DEFAULTS):
        assert verify_plan([CR], defaults)["routers"] == []
        assert verify_plan([CR], defaults)["problems"] == [
            "verify_image: is required, because no router of the list has an image: set it to the collection's, of which the client "
            "pod is made"
        ]
    assert verify_plan([{**CR, "state": "absent"}])["problems"] == []
