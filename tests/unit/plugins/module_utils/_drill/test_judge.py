# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill connects to, what the client's figures mean, and the report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.watch import Established, Gap, Period, Target
from ansible_collections.egress.router.plugins.module_utils._drill.judge import Finding, Kept, kept, late, seen, steady
from ansible_collections.egress.router.plugins.module_utils._drill.plan import targets
from ansible_collections.egress.router.plugins.module_utils._drill.report import Drilled, report
from ansible_collections.egress.router.plugins.module_utils._kubernetes.hand_over import Server
from ansible_collections.egress.router.plugins.module_utils._router.routers import load

GOOD = Target("tcp://db:5432", 100, 0)
BEFORE, AFTER = Server("billing-a", "worker-1", 4), Server("billing-b", "worker-2", 5)


def period(number: int, *of: Target, established: Established | None = None, late_seconds: float = 0.0) -> Period:
    return Period(number, late_seconds, of or (GOOD,), established)


def finding(**more: Any) -> Finding:
    return Finding(
        "hand_over",
        BEFORE,
        AFTER,
        **{"targets": seen([period(1)], ["tcp://db:5432"]), "established": None, "limit": 1.0, **more},
    )


@pytest.mark.parametrize(("more", "expected"), [
    ({"redirect_rules": [{"port": 22, "protocol": "SCTP", "destination_ip": "203.0.113.9"},
                         {"port": 80, "destination_ip": "203.0.113.9"}, {"port": 81, "destination_ip": "203.0.113.9"}]},
     ["tcp://db.payments.svc:80"]),
    ({"redirect_rules": [{"port": 53, "protocol": "UDP", "destination_ip": "203.0.113.9"}], "service": {"name": "dns"}},
     ["udp://dns.payments.svc:53"]),
    ({"fallback_ip": "203.0.113.9", "service": {"extra_ports": [{"port": 7}, {"port": 8, "protocol": "UDP"}]},
      "redirect_rules": [{"port": 80, "destination_ip": "203.0.113.9"}]},
     ["tcp://db.payments.svc:80", "udp://db.payments.svc:8"]),
    ({"fallback_ip": "203.0.113.9"}, []),
    ({"addresses": [{"ip": "203.0.113.50/24"}, {"ip": "2001:db8::50/64"}],
      "redirect_rules": [{"port": 80, "destination_ip": "203.0.113.9"}, {"port": 81, "destination_ip": "2001:db8::9"},
                         {"port": 53, "protocol": "UDP", "destination_ip": "203.0.113.9"}],
      "fallback_ip": "2001:db8::10", "service": {"extra_ports": [{"port": 54, "protocol": "UDP"}]}},
     ["tcp4://db.payments.svc:80", "tcp6://db.payments.svc:81", "udp4://db.payments.svc:53", "udp6://db.payments.svc:54"]),
], ids=["tcp", "udp", "both", "none", "both families"])  # fmt: skip
def test_the_client_connects_to_one_port_of_each_kind(more: dict[str, Any], expected: list[str]) -> None:
    data = {"name": "db", "namespace": "payments", "image": "img:1", "addresses": [{"ip": "203.0.113.50/24"}], **more}
    (router,), problems = load([data])
    assert not problems and targets(router) == expected


def test_gaps_of_several_periods_add_up() -> None:
    bad = replace(GOOD, failed=12, gaps=(Gap(3.0, 0.12, 12),))
    (found,) = seen(
        [period(1), period(2, bad), period(3, replace(bad, gaps=(Gap(4.0, 0.1, 10), Gap(4.5, 0.1, 2))))], [GOOD.target]
    )
    assert (found.attempts, found.failed, found.seconds, len(found.gaps)) == (300, 24, 0.32, 3)
    # One that is not over counts once, however many periods tell of it.
    down = [period(number, replace(GOOD, failed=100, down_seconds=number * 1.0)) for number in (1, 2, 3)]
    assert seen(down, [GOOD.target])[0].seconds == 3.0
    assert seen([], [GOOD.target])[0].attempts == 0


def test_established_connections_of_several_periods() -> None:
    periods = [
        period(1, established=Established(200, 200, 0, 0.01)),
        period(2, established=Established(200, 198, 2, 0.3)),
        period(3, established=Established(200, 199, 1, 0.01)),
    ]
    assert kept(periods) == Kept(200, 3, 0.3) and kept([period(1)]) is None


@pytest.mark.parametrize(("periods", "said"), [
    ([period(1)], "its client has run for 1 of 2 periods"),
    ([period(1), period(2)], ""),
    ([period(1, replace(GOOD, failed=1)), period(2), period(3)], ""),
    ([period(1), period(2, replace(GOOD, failed=1, error="refused")), period(3)],
     "1 of 100 connections to tcp://db:5432 failed: refused"),
    ([period(1), period(2, replace(GOOD, attempts=0))], "0 of 0 connections to tcp://db:5432 failed"),
    ([period(1), period(2, replace(GOOD, down_seconds=0.4))], "0 of 100 connections to tcp://db:5432 failed"),
    ([period(1, GOOD, Target("udp://db:53", 9, 9)), period(2, GOOD, Target("udp://db:53", 9, 9))], ""),
    ([period(1), period(2, established=Established(5, 4, 0, 0.0, "no route"))],
     "4 of 5 established connections are open: no route"),
])  # fmt: skip
def test_whether_all_connections_succeed(periods: list[Period], said: str) -> None:
    assert steady(periods, [GOOD.target], 2) == said


@pytest.mark.parametrize(("more", "problems"), [
    ({}, []),
    ({"targets": seen([period(1, replace(GOOD, gaps=(Gap(1.0, 1.0, 9),)))], [GOOD.target])}, []),
    ({"targets": seen([period(1, replace(GOOD, gaps=(Gap(1.0, 1.01, 9),)))], [GOOD.target])},
     ["tcp://db:5432 was without service for 1.01 s, more than 1 s"]),
    ({"targets": seen([], [GOOD.target])}, ["the client made no connection"]),
    ({"targets": (), "error": "nobody serves"}, ["nobody serves"]),
    ({"established": Kept(200, 0, 1.0)}, []),
    ({"established": Kept(200, 1, 1.1)},
     ["1 of 200 established connections broke", "an established connection waited for 1.10 s, more than 1 s"]),
])  # fmt: skip
def test_the_verdict(more: dict[str, Any], problems: list[str]) -> None:
    found = finding(**more)
    assert found.problems == problems and found.ok == (not problems)


def test_a_client_that_was_late_says_so() -> None:
    assert finding(late_seconds=late([period(1, late_seconds=0.02)])).notice == ""
    busy = finding(late_seconds=late([period(1), period(2, late_seconds=0.31)]))
    assert busy.notice == "the client itself was late by up to 0.31 s: its node is busy" and busy.ok
    assert report([Drilled("db", "payments", [busy])])["table"][-1].endswith(
        "ok, the client itself was late by up to 0.31 s: its node is busy"
    )


def test_the_report_of_a_router_with_both_families_has_the_figures_of_each() -> None:
    ipv4, ipv6 = (replace(GOOD, target=f"tcp{family}://db:5432") for family in (4, 6))
    slow = replace(ipv6, failed=13, gaps=(Gap(1.0, 0.13, 13),))
    drilled = Drilled("a", "payments", [finding(targets=seen([period(1, ipv4, slow)], [ipv4.target, ipv6.target]))])
    assert "13 of 200 IPv4 0.00 s, IPv6 0.13 s 1 s" in " ".join(report([drilled])["table"][-1].split())


def test_the_report() -> None:
    slow = finding(targets=seen([period(1, replace(GOOD, failed=130, gaps=(Gap(1.0, 1.3, 130),)))], [GOOD.target]))
    stuck = replace(finding(error="nobody serves"), event="node_drained", after=None)
    found = report(
        [Drilled("a", "payments", [finding(), slow]), Drilled("b", "payments", [stuck], ["hand_over"], ["a note"])]
    )
    assert (found["ok"], found["summary"]) == (False, "2 routers: 1 passed, 2 failed, 1 not run")
    assert found["problems"] == [
        "router payments/a: hand_over: tcp://db:5432 was without service for 1.30 s, more than 1 s",
        "router payments/b: node_drained: nobody serves",
    ]
    assert [" ".join(line.split()) for line in found["table"]] == [
        "router payments/a",
        "event served before served after failed without service limit established verdict",
        "hand_over billing-a on worker-1 billing-b on worker-2 0 of 100 0.00 s 1 s - ok",
        "hand_over billing-a on worker-1 billing-b on worker-2 130 of 100 1.30 s 1 s - "
        "FAILED: tcp://db:5432 was without service for 1.30 s, more than 1 s",
        "router payments/b",
        "a note",
        "event served before served after failed without service limit established verdict",
        "node_drained billing-a on worker-1 nobody 0 of 100 0.00 s 1 s - FAILED: nobody serves",
        "hand_over not run",
    ]
    assert found["routers"][1]["events"][0]["after"] is None
    assert report([Drilled("a", "payments", [finding()])])["ok"] and not report([Drilled("a", "p", error="no")])["ok"]
