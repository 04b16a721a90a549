# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers that another router of the segment reaches, in both families; the IPv6 one is known by its link-local address."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.identity import Route
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.router_pod import EGRESS4, EGRESS6, MAC, Router, ask
from ansible_collections.egress.router.tests.support.waiting import until

SECOND = "second"
SECOND_MAC = "02:00:5e:00:53:02"
SECOND4, SECOND6 = "198.51.100.2", "fe80::5eff:fe00:5302"
ROUTES = (Route("192.0.2.0/24", SECOND4), Route("2001:db8:192::/64", SECOND6))
SERVERS = ("192.0.2.10", "2001:db8:192::10")
# One by each gateway in each family.
RULES = f"5432 TCP {SERVERS[0]}\n5432 TCP {SERVERS[1]}\n80 TCP 203.0.113.10\n80 TCP 2001:db8:113::10\n"
ROUTES_ERROR = (
    f"gateway {SECOND4} of the route to 192.0.2.0/24 does not answer on net1; "
    f"gateway {SECOND6} of the route to 2001:db8:192::/64 does not answer on net1"
)


@pytest.fixture(scope="module")
def second(network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The other router, off at first, and the servers behind it."""
    namespaces.add_host(SECOND, SECOND_MAC, f"{SECOND4}/24")
    namespaces.ip(f"-n @{SECOND} addr add {EGRESS6}9/64 dev eth0 nodad")
    namespaces.ip(f"-n @{SECOND} route add local 192.0.2.0/24 dev lo")
    namespaces.ip(f"-n @{SECOND} -6 route add local 2001:db8:192::/64 dev lo")
    namespaces.ip(f"-n @outside link set {SECOND} down")
    log = tmp_path_factory.mktemp("second") / "log"
    command = f"ip netns exec {namespaces.PREFIX}{SECOND} /usr/bin/python3 -m egress_router observe --port tcp:5432"
    with log.open("wb") as output, subprocess.Popen(command.split(), stdout=output, stderr=output) as observer:
        try:
            until(lambda: "event=observing" in Path(log).read_text(), "the servers listen", 60)
            yield
        finally:
            observer.terminate()
            namespaces.remove_from_segment(SECOND)


def test_servers_behind_another_router(second: None, make_pod) -> None:
    pod: Router = make_pod()
    pod.routes = ROUTES
    pod.put_rules(RULES)
    # Without the other router: it is needed for nothing but its own servers.
    pod.serve()
    until(lambda: pod.status().routes_error == ROUTES_ERROR, "the silent gateways are told", 8)
    assert pod.status().serving and pod.ready()[0] == 200
    assert pod.metric(f'egress_router_gateway_answers{{gateway="{SECOND4}"}}') == 0
    assert pod.metric('egress_router_gateway_answers{gateway="198.51.100.1"}') == 1
    assert (ask(pod.ip4, 80)["source_ip"], ask(pod.ip6, 80)["source_ip"]) == (EGRESS4, EGRESS6)

    namespaces.ip(f"-n @outside link set {SECOND} up")
    until(lambda: pod.status().routes_error == "", "they answer", 8)
    assert pod.metric(f'egress_router_gateway_answers{{gateway="{SECOND6}"}}') == 1
    _all_served(pod)

    for family, (network, gateway) in (
        (4, ("192.0.2.0/24", "198.51.100.1")),
        (6, ("2001:db8:192::/64", "2001:db8:51::1")),
    ):
        for change in ("del", f"replace via {gateway} dev net1"):
            before = pod.metric('egress_router_drift_repairs_total{kind="route"}')
            verb, _space, rest = change.partition(" ")
            namespaces.ip(f"-n @{pod.pod} -{family} route {verb} {network} {rest} table 100")
            until(
                lambda: pod.metric('egress_router_drift_repairs_total{kind="route"}') > before,  # noqa: B023
                f"{change} was repaired and counted",
                5,
            )
            listed = pod.run(f"ip -{family} route show {network} table 100").splitlines()
            assert len(listed) == 1 and f"via {ROUTES[family == 6].gateway} " in listed[0]
    until(lambda: pod.ready()[0] == 200, "it serves", 5)
    _all_served(pod)

    pod.terminate()
    for family in (4, 6):
        listed = pod.run(f"ip -{family} route show table 100").splitlines()
        assert len(listed) == 1 and listed[0].startswith("unreachable default")


def _all_served(pod: Router) -> None:
    for address, server, source in ((pod.ip4, SERVERS[0], EGRESS4), (pod.ip6, SERVERS[1], EGRESS6)):
        seen = ask(address, 5432)
        assert (seen["local_ip"], seen["source_ip"], seen["source_mac"]) == (server, source, MAC)
        assert ask(address, 80)["source_ip"] == source
