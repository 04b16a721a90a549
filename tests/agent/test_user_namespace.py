# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pod with `hostUsers: false`: its network namespace is owned by a user namespace of its own, where the two capabilities are.

The meta-plugin and its tuning work from the node's side, as root of the node.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.egress.router.tests.support.router_pod import EGRESS4, EGRESS6, MAC, Router, Stream, ask
from ansible_collections.egress.router.tests.support.waiting import until

RULES = "5432 TCP 203.0.113.10\n53 UDP 203.0.113.12\n5432 TCP 2001:db8:113::10\n"


@pytest.fixture
def confined(make_pod) -> Router:
    return make_pod(user_namespace=True).serve()


def test_everything_that_the_agent_does_works_in_a_user_namespace(confined: Router) -> None:
    assert confined.process is not None
    own, nodes = (Path(f"/proc/{pid}/ns/user").stat().st_ino for pid in (confined.process.pid, "self"))
    assert own != nodes
    before = confined.status()
    confined.set_rules(RULES)
    for address, egress, protocol, port in (
        (confined.ip4, EGRESS4, "TCP", 5432),
        (confined.ip4, EGRESS4, "UDP", 53),
        (confined.ip6, EGRESS6, "TCP", 5432),
    ):
        seen = ask(address, port, protocol)
        assert (seen["source_ip"], seen["source_mac"]) == (egress, MAC)
    stream = Stream(confined.ip4, 5432)
    confined.set_rules("53 UDP 203.0.113.12\n")
    assert stream.reset(), "the connection of a removed rule was cut"
    stream.close()
    assert confined.metric("egress_router_conntrack_insert_failed_total") >= 0
    assert (before.error, confined.status().error) == ("", "")


def test_drift_is_repaired_in_a_user_namespace(confined: Router) -> None:
    for command in (
        "sysctl -q -w net.ipv4.conf.net1.proxy_arp=1",
        "nft flush ruleset",
        f"ip addr del {EGRESS4}/24 dev net1",
    ):
        confined.run(command)
    for kind in ("setting", "rules", "address"):
        sample = f'egress_router_drift_repairs_total{{kind="{kind}"}}'
        until(lambda sample=sample: confined.metric(sample) >= 1, f"{kind} was repaired and counted", 10)
    assert confined.run("sysctl -n net.ipv4.conf.net1.proxy_arp").strip() == "0"
    assert EGRESS4 in confined.addresses_on_net1()


def test_the_address_is_given_back_in_a_user_namespace(confined: Router) -> None:
    assert confined.mac() == MAC
    confined.terminate()
    assert confined.addresses_on_net1() == set() and confined.mac() != MAC
