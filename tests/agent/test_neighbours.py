# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a pod that does not serve finds out about the segment, without telling anybody another MAC address for the router's."""

from __future__ import annotations

import ipaddress
import itertools
import json
from collections.abc import Iterator

import pytest
from egress_router.config import Address, Config
from egress_router.run.neighbours import Neighbours

from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.router_pod import EGRESS4, EGRESS6, GATEWAY4, GATEWAY6, MAC
from ansible_collections.egress.router.tests.support.switch_ports import Recorder
from ansible_collections.egress.router.tests.support.waiting import always, until

_numbers = itertools.count()
GATEWAYS = {ipaddress.ip_address(GATEWAY4), ipaddress.ip_address(GATEWAY6)}
CONFIG = Config(
    router="billing-db",
    namespace="payments",
    pod="standby",
    node="node1",
    pod_uid="uid",
    pod_ips=(ipaddress.ip_address("10.244.0.8"),),
    addresses=(
        Address(ipaddress.ip_interface(f"{EGRESS4}/24"), ipaddress.ip_address(GATEWAY4)),
        Address(ipaddress.ip_interface(f"{EGRESS6}/64"), ipaddress.ip_address(GATEWAY6)),
    ),
    mac=MAC,
)


@pytest.fixture
def pod(network: None) -> Iterator[str]:
    name = f"standby{next(_numbers)}"
    namespaces.add_pod(name, "node1", 8)
    yield name
    namespaces.remove(name)


def mac(pod: str) -> str:
    return str(json.loads(namespaces.ip(f"-n @{pod} -j link show net1"))[0]["address"])


def test_a_standby_asks_the_gateways_and_nobody_learns_an_address(pod: str) -> None:
    # Frames of the pod change whom an entry names at once; one that nobody answers for is only given up.
    for ip in (EGRESS4, EGRESS6):
        namespaces.ip(f"-n @outside neigh replace {ip} dev seg0 lladdr {MAC} nud stale")
    neighbours = Neighbours(CONFIG, lambda: True)
    neighbours.stand_by(mac(pod))

    def others() -> set[str]:
        """Whom the outside has for the addresses, but for the router."""
        entries = " ".join(namespaces.ip(f"-n @outside neigh show {ip}") for ip in (EGRESS4, EGRESS6)).split()
        return {mac for word, mac in itertools.pairwise(entries) if word == "lladdr"} - {MAC}

    assert others() == set()

    def hear() -> bool:
        assert namespaces.inside(pod, neighbours.listen) == {}
        return neighbours.all_known

    until(hear, "both gateways answered", 5)
    always(lambda: hear() and neighbours.gateways(1.0) == dict.fromkeys(GATEWAYS, True), "they go on", 2.0)
    assert others() == set()
    namespaces.ip("-n @node1 link set eth1 down")
    try:
        until(lambda: hear() and not any(neighbours.gateways(1.0).values()), "they are silent", 5)
    finally:
        namespaces.ip("-n @node1 link set eth1 up")
    until(lambda: hear() and all(neighbours.gateways(1.0).values()), "they answer again", 5)
    neighbours.close()


@pytest.mark.parametrize("answering", [True, False], ids=["gateways answered it", "they never did"])
def test_what_a_pod_knew_when_it_served(pod: str, answering: bool) -> None:
    """Or two that both reach no gateway would send the address to and fro."""
    neighbours = Neighbours(CONFIG, lambda: True)
    neighbours.stand_by(mac(pod))

    def hear() -> bool:
        namespaces.inside(pod, neighbours.listen)
        return neighbours.all_known

    def silent() -> bool:
        hear()
        return not any(neighbours.gateways(1.0).values())

    if answering:
        until(hear, "both gateways answered", 5)
    namespaces.ip("-n @node1 link set eth1 down")
    try:
        neighbours.serve(answered=False)
        until(silent, "they are silent", 5)
        neighbours.stand_by(mac(pod))
        always(silent, "they still are", 1.5)
    finally:
        namespaces.ip("-n @node1 link set eth1 up")
    until(lambda: hear() and all(neighbours.gateways(1.0).values()), "they answer again", 10)
    neighbours.close()


def test_a_gateway_that_nobody_asked_is_not_silent(pod: str) -> None:
    """The process was frozen, or had no processor."""
    neighbours = Neighbours(CONFIG, lambda: True)
    neighbours.serve(answered=True)
    for ip in GATEWAYS:
        neighbours._heard[ip] -= 60
    namespaces.inside(pod, neighbours.listen)
    assert all(neighbours.gateways(1.0).values())
    neighbours.close()


def test_a_pod_whose_right_is_over_says_nothing(pod: str) -> None:
    """The kernel's fence does not see frames of raw sockets."""
    allowed = [True]
    neighbours = Neighbours(CONFIG, lambda: bool(allowed))
    neighbours.serve(answered=True)
    recorder = Recorder("node1")
    namespaces.inside(pod, neighbours.listen)
    until(lambda: len(recorder.times) >= len(GATEWAYS), "it asks all gateways as the router", 5)
    allowed.clear()
    before = len(recorder.times)

    def silent() -> bool:
        neighbours._ask_at = 0.0
        namespaces.inside(pod, neighbours.listen)
        return len(recorder.times) == before

    always(silent, "nothing", 0.5)
    recorder.stop()
    neighbours.close()


def test_what_a_gateway_says_to_others_is_no_answer(pod: str) -> None:
    """Where a hypervisor drops the questions, it would be silent ever after."""
    neighbours = Neighbours(CONFIG, lambda: True)
    neighbours.stand_by("02:00:00:00:00:01")

    def hear() -> bool:
        namespaces.inside(pod, neighbours.listen)
        namespaces.run("ip netns exec @outside ping -c 1 -W 0.01 198.51.100.77", check=False)
        return not neighbours.all_known and all(neighbours.gateways(0.2).values())

    always(hear, "nothing is known", 1.0)
    neighbours.close()


def test_a_standby_whose_questions_are_dropped_knows_nothing(pod: str) -> None:
    """A hypervisor that lets only the router's MAC address through."""
    namespaces.ip("-n @node1 link set eth1 down")
    try:
        neighbours = Neighbours(CONFIG, lambda: True)
        neighbours.stand_by(mac(pod))

        def able() -> bool:
            assert namespaces.inside(pod, neighbours.listen) == {}
            return all(neighbours.gateways(0.5).values())

        always(able, "what cannot be found out counts as able", 1.5)
        neighbours.close()
    finally:
        namespaces.ip("-n @node1 link set eth1 up")
