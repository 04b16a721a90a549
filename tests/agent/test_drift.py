# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody changes by hand inside the pod is put back within seconds, and counted by kind."""

from __future__ import annotations

import json
import signal

import pytest

from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.router_pod import EGRESS4, EGRESS6, MAC, Router, Stream, ask
from ansible_collections.egress.router.tests.support.waiting import always, until

RULES = "5432 TCP 203.0.113.10\n80 TCP 203.0.113.11\n5432 TCP 2001:db8:113::10\n"


def ruleset(router: Router) -> list[str]:
    """Everything in nftables but the permits of the moment."""
    found = []
    for thing in json.loads(router.run("nft -j --stateless list ruleset"))["nftables"]:
        ((kind, body),) = thing.items()
        if kind == "rule" and body["chain"] == "granted":
            continue
        passing = ("handle", "elem") if body.get("name") == "permits" else ("handle",)
        found.append(json.dumps({kind: {key: value for key, value in body.items() if key not in passing}}))
    return sorted(found)


def repairs(router: Router, kind: str) -> float:
    return router.metric(f'egress_router_drift_repairs_total{{kind="{kind}"}}')


@pytest.mark.parametrize(
    "damage",
    [
        "nft flush ruleset",
        "nft delete table inet egress_router",
        "nft delete table arp egress_router",
        "nft flush chain arp egress_router fence",
        "nft flush chain inet egress_router prerouting",
        "nft delete element inet egress_router redirect4 { 6 . 5432 }",
        "nft flush set inet egress_router live",
        "nft add rule inet egress_router forward accept",
        "nft add element inet egress_router redirect4 { 6 . 9999 : 203.0.113.66 . 1 }",
    ],
)
def test_rules(router: Router, damage: str) -> None:
    router.set_rules(RULES)
    healthy = ruleset(router)
    before = repairs(router, "rules")
    router.run(damage)
    until(lambda: repairs(router, "rules") == before + 1, "the rules were repaired and counted", 5)
    assert ruleset(router) == healthy
    assert ask(router.ip4, 5432)["source_ip"] == EGRESS4
    assert ask(router.ip6, 5432)["source_ip"] == EGRESS6
    assert router.status().rules_count == "3"


def test_an_idle_connection_survives_a_flush(router: Router) -> None:
    router.set_rules(RULES)
    stream = Stream(router.ip4, 5432)
    # Idle: a late acknowledgement that meets no table would be answered by the pod itself.
    packets = router.rule(5432, "TCP")["packets"]
    always(lambda: router.rule(5432, "TCP")["packets"] == packets, "the connection is idle", 0.3)
    before = repairs(router, "rules")
    router.run("nft flush ruleset")
    until(lambda: repairs(router, "rules") > before, "the rules were repaired")
    assert stream.echoes()
    stream.close()


def test_a_connection_to_somewhere_else_ends_with_the_repair(router: Router) -> None:
    router.set_rules(RULES + "fallback 203.0.113.12\n")
    staying, other = Stream(router.ip4, 5432), Stream(router.ip4, 9999)
    before = repairs(router, "rules")
    element = "inet egress_router redirect4 { 6 . 80 : 203.0.113.66 . 5432 }"
    # In one transaction, and a connection before the agent looks.
    assert router.process is not None
    router.process.send_signal(signal.SIGSTOP)
    router.run("nft delete element inet egress_router redirect4 { 6 . 80 } ; add element " + element)
    stray = Stream(router.ip4, 80)
    router.process.send_signal(signal.SIGCONT)
    until(lambda: repairs(router, "rules") == before + 1, "the rules were repaired")
    until(lambda: "event=strays-cut connections=1" in router.log(), "the connection was cut")
    assert [stream.echoes() for stream in (staying, other, stray)] == [True, True, False]
    for stream in (staying, other, stray):
        stream.close()


def test_somebody_elses_table_is_left_alone(router: Router) -> None:
    router.set_rules(RULES)
    before = repairs(router, "rules")
    router.run("nft add table inet theirs")
    router.run("nft delete element inet egress_router redirect4 { 6 . 80 }")
    until(lambda: repairs(router, "rules") == before + 1, "the rules were repaired")
    assert "theirs" in router.run("nft list tables")
    router.run("nft delete table inet theirs")


@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        (f"-n @pod addr del {EGRESS4}/24 dev net1", {"address"}),
        (f"-n @pod addr del {EGRESS6}/64 dev net1", {"address"}),
        ("-n @pod link set net1 address 02:00:00:00:00:99", {"mac"}),
        ("-n @pod link set net1 down", {"link"}),
        ("-n @pod route flush table 100", {"route"}),
        ("-n @pod route replace default via 198.51.100.2 dev net1 table 100", {"route"}),
        ("-n @pod -6 route replace default via 2001:db8:51::2 dev net1 table 100", {"route"}),
        ("-n @pod rule del iif eth0 lookup 100", {"rule"}),
        ("-n @pod -6 rule del iif eth0 lookup 100", {"rule"}),
        (f"-n @pod rule del from {EGRESS4} lookup 100", {"rule"}),
        (f"-n @pod -6 rule del from {EGRESS6} lookup 100", {"rule"}),
        ("-n @pod addr add 198.51.100.99/24 dev net1", {"address"}),
        ("-n @pod addr add 2001:db8:99::9/64 dev net1", {"address"}),
        ("-n @pod rule del fwmark 0xe6c00000/0xfff00000 lookup 100", {"rule"}),
        ("-n @pod route add 10.99.0.0/16 dev net1", {"route"}),
        ("-n @pod -6 route add default via 2001:db8:51::1 dev net1 metric 1 onlink", {"route"}),
    ],
)
def test_network(router: Router, damage: str, kinds: set[str]) -> None:
    router.set_rules(RULES)
    before = {kind: repairs(router, kind) for kind in kinds}
    namespaces.ip(damage.replace("@pod", f"@{router.pod}"))
    for kind in kinds:
        until(lambda kind=kind: repairs(router, kind) > before[kind], f"{kind} was repaired and counted", 5)
    assert router.addresses_on_net1() == {EGRESS4, EGRESS6} and router.mac() == MAC
    seen = until(lambda: _ask(router), "traffic flows again")
    assert (seen["source_ip"], seen["source_mac"]) == (EGRESS4, MAC)
    assert ask(router.ip6, 5432)["source_ip"] == EGRESS6
    # Meanwhile its gateways may have been silent.
    until(lambda: router.get("/readyz")[0] == 200, "it serves", 5)


def _ask(router: Router) -> dict:
    try:
        return ask(router.ip4, 5432, timeout=1.0)
    except OSError:
        return {}


@pytest.mark.parametrize(
    "setting", ["eth0.forwarding=0", "net1.accept_redirects=1", "net1.proxy_arp=1", "eth0.medium_id=0"]
)
def test_settings(router: Router, setting: str) -> None:
    before = repairs(router, "setting")
    name, value = f"net.ipv4.conf.{setting}".split("=")
    healthy = router.run(f"sysctl -n {name}")
    router.run(f"sysctl -q -w {name}={value}")
    until(lambda: repairs(router, "setting") == before + 1, "the setting was repaired and counted", 5)
    assert router.run(f"sysctl -n {name}") == healthy != f"{value}\n"


def test_nothing_is_repaired_that_nobody_changed(router: Router) -> None:
    router.set_rules(RULES)
    kinds = ("rules", "link", "mac", "address", "route", "rule", "setting")
    before = {kind: repairs(router, kind) for kind in kinds}
    for _attempt in range(20):
        ask(router.ip4, 5432)
    always(lambda: {kind: repairs(router, kind) for kind in kinds} == before, "nothing is repaired", 4.5)
