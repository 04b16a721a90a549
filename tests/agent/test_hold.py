# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On hold: a pod that waits beside an old router with its rules loaded, and takes the address when it is told to."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.failover import Failover
from ansible_collections.egress.router.plugins.module_utils._contract.names import HOLD
from ansible_collections.egress.router.plugins.module_utils._contract.rules import parse
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.client import Client
from ansible_collections.egress.router.tests.support.fake_agent_api import FakeApi
from ansible_collections.egress.router.tests.support.router_pod import EGRESS4, MAC, Router, Stream, ask
from ansible_collections.egress.router.tests.support.waiting import always, until

RULES = "5432 TCP 203.0.113.10\n"
# As the Lease of a real router has them: an agent that looked only when it renews would be seen.
FAILOVER = Failover(lease_seconds=15)
_numbers = itertools.count(101)


def hold(api: FakeApi, pod: Router, on: bool = True) -> None:
    """What a cut-over writes."""
    code, answer = api.patch("leases", pod.name, {"metadata": {"annotations": {HOLD: "cut-over" if on else None}}})
    assert code == 200, answer


@pytest.fixture
def held(make_pod, api: FakeApi) -> Router:
    """A pod that is on hold."""
    pod = make_pod("node1")
    pod.failover = FAILOVER
    pod.put_rules(RULES)
    hold(api, pod)
    pod.start()
    until(lambda: pod.status().state == "on-hold", "it is on hold")
    return pod


def test_it_loads_the_rules_and_leaves_the_address(held: Router, segment_host: Callable[..., None]) -> None:
    status = held.status()
    assert (held.holder(), status.rules_hash) == (held.pod, parse(RULES).hash())
    assert (status.addresses, status.mac, status.error) == ("", "", "")
    assert [rule["port"] for rule in held.loaded()["rules"]] == [5432]
    assert held.get("/readyz") == (503, "on-hold\n")
    assert held.get("/healthz")[0] == 200
    assert held.metric('egress_router_state{state="on-hold"}') == 1
    always(lambda: not held.addresses_on_net1() and held.mac() != MAC, "it leaves the address", 2.0)
    assert held.endpoints(4) == [] and held.endpoints(6) == []
    # Rules are changed as always.
    held.set_rules(RULES + "80 TCP 203.0.113.11\n")
    assert held.status().state == "on-hold"


def test_it_takes_the_address_when_the_hold_is_lifted(held: Router, api: FakeApi) -> None:
    hold(api, held, on=False)
    start = time.monotonic()
    held.wait_serving(5)
    # The next renewal may be five seconds away.
    assert time.monotonic() - start < 4
    seen = ask(held.ip4, 5432)
    assert (seen["source_ip"], seen["source_mac"]) == (EGRESS4, MAC)


def test_a_serving_router_gives_the_address_up(make_pod, api: FakeApi) -> None:
    pod = make_pod("node1")
    pod.put_rules(RULES)
    pod.serve()
    original, stream = pod.endpoints(), Stream(pod.ip4, 5432)
    assert original
    hold(api, pod)
    until(lambda: pod.status().state == "on-hold", "it is on hold", 5)
    assert (pod.addresses_on_net1(), pod.status().addresses) == (set(), "")
    assert pod.mac() != MAC
    assert stream.was_reset(), "clients wait at a pod that does not serve"
    # It still has the lease, so no other pod would withdraw it.
    until(lambda: pod.endpoints(4) == [] and pod.endpoints(6) == [], "it is withdrawn", 5)
    assert pod.holder() == pod.pod
    hold(api, pod, on=False)
    pod.wait_serving(10)
    until(lambda: pod.endpoints() == original, "it is published again", 5)
    assert ask(pod.ip4, 5432)["source_ip"] == EGRESS4


def test_another_pod_of_the_router_is_on_hold_too(held: Router, make_pod, api: FakeApi) -> None:
    second = make_pod("node2")
    second.failover = FAILOVER
    second.start()
    until(lambda: second.log().count("event=rules-applied"), "the second has its rules")
    held.terminate()
    until(lambda: second.holder() == second.pod and second.status().state == "on-hold", "the second is on hold", 10)
    always(lambda: not second.addresses_on_net1(), "it leaves the address", 1.0)
    hold(api, second, on=False)
    second.wait_serving(5)


class OldPod:
    """A pod as OpenShift's plugin sets it up: a macvlan with a MAC address of its own, and its rules in a table."""

    def __init__(self, node: str) -> None:
        self.number = next(_numbers)
        self.name = f"old{self.number}"
        self.ip4 = f"10.244.0.{self.number}"
        namespaces.add_pod(self.name, node, self.number)
        self._ip("addr add 198.51.100.50/24 dev net1")
        self._ip("route replace default via 198.51.100.1 dev net1")
        namespaces.set_sysctls(self.name, {"net.ipv4.ip_forward": "1"})
        for command in (
            "add table ip egress_cni",
            "add chain ip egress_cni prerouting { type nat hook prerouting priority -100 ; }",
            "add chain ip egress_cni postrouting { type nat hook postrouting priority 100 ; }",
            "add rule ip egress_cni prerouting iif eth0 tcp dport 5432 dnat to 203.0.113.10",
            f"add rule ip egress_cni postrouting oif net1 snat to {EGRESS4}",
        ):
            namespaces.run(f"ip netns exec @{self.name} nft {command}")

    def _ip(self, text: str) -> None:
        namespaces.ip(f"-n @{self.name} {text}")

    def mac(self) -> str:
        return namespaces.run(f"ip netns exec @{self.name} cat /sys/class/net/net1/address").strip()

    def remove(self) -> None:
        """As its node does when it ends: the interface goes, and with it the address."""
        namespaces.remove(self.name)


@pytest.fixture
def old_pod() -> Iterator[Callable[[str], OldPod]]:
    made: list[OldPod] = []

    def make(node: str) -> OldPod:
        made.append(OldPod(node))
        return made[-1]

    yield make
    for pod in made:
        pod.remove()


@pytest.mark.parametrize("node", ["node1", "node2"], ids=["the same node", "another node"])
def test_the_outage_of_a_cut_over(
    held: Router, api: FakeApi, old_pod, node: str, record_property: Callable[[str, object], None]
) -> None:
    """From an old pod that serves to the new one: how long clients get no connection."""
    old = old_pod(node)
    namespaces.ip("-n @outside neigh flush all")
    until(lambda: ask(old.ip4, 5432)["source_mac"] == old.mac(), "the old pod serves")

    def service() -> str:
        return str((held.endpoints() or [{"addresses": [old.ip4]}])[0]["addresses"][0])

    client = Client(service)
    until(lambda: len(client.seen) > 20, "the client connects")
    mac, ended = old.mac(), time.monotonic()
    old.remove()
    hold(api, held, on=False)
    until(lambda: MAC in client.macs(), "the new pod serves", 10)
    took = time.monotonic() - ended
    before = len(client.seen)
    until(lambda: len(client.seen) > before + 20, "more connections")
    outage, late = client.stop()
    record_property(
        "figure",
        f"cut-over, old pod on {node}: {outage:.2f} s without a connection (machine busy for {late:.2f} s), {took:.2f} s in all",
    )
    assert client.macs() == {mac, MAC}
    # The goal is that of a machine with nothing else to do.
    assert outage < 3 + late


def test_an_address_that_is_in_use_is_not_taken(held: Router, api: FakeApi, old_pod) -> None:
    """The hold was lifted too early, or the old router came back."""
    old = old_pod("node2")
    hold(api, held, on=False)
    until(lambda: held.status().state == "conflict", "a conflict", 10)
    assert old.mac() in held.status().error
    assert ask(old.ip4, 5432)["source_mac"] == old.mac()
    hold(api, held)
    until(lambda: held.status().state == "on-hold" and not held.status().error, "on hold again", 10)
    assert held.endpoints() == []
