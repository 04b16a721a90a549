# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods and routers with one family or both: who is served, and for how long nobody is when another pod takes over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.failover import Failover
from ansible_collections.egress.router.plugins.module_utils._contract.identity import EgressAddress
from ansible_collections.egress.router.plugins.module_utils._contract.names import HAND_OVER
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.client import Client
from ansible_collections.egress.router.tests.support.fake_agent_api import FakeApi
from ansible_collections.egress.router.tests.support.router_pod import (
    EGRESS4,
    EGRESS6,
    GATEWAY6,
    MAC,
    Router,
    ask,
    prepare,
)
from ansible_collections.egress.router.tests.support.waiting import until

RULES = "5432 TCP 203.0.113.10\n5432 TCP 2001:db8:113::10\n80 TCP 203.0.113.11\n9999 TCP 2001:db8:113::11\n"


@pytest.fixture(scope="module")
def api6(network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeApi]:
    """The API server of a cluster that has IPv6 alone."""
    fake = FakeApi("pods", "2001:db8:244::1", 7997, tmp_path_factory.mktemp("serviceaccount6"))
    yield fake
    fake.stop()
    assert fake.refused == []


def ipv6_only(pod: Router, api: FakeApi) -> Router:
    """As it is in a cluster that has IPv6 alone."""
    pod.api = api
    pod.pod_ips = [pod.ip6]
    namespaces.ip(f"-n @{pod.pod} -4 addr flush dev eth0")
    return pod


def ports(pod: Router, family: int) -> set[str]:
    return {port["name"] for port in pod.api.get("endpointslices", f"{pod.name}-ipv{family}").get("ports") or ()}


def test_a_cluster_with_ipv6_alone(make_pod, api6: FakeApi) -> None:
    """It reaches the API server, serves, hands over to the pod that stands by, and is asked for metrics: all by IPv6."""
    prepare(api6)
    first, second = (ipv6_only(make_pod(node), api6) for node in ("node1", "node2"))
    for pod in (first, second):
        pod.replicas = 2
        # On a machine that is busy with other tests.
        pod.failover = Failover(beat_ms=100, promise_ms=1500, lease_seconds=8)
        pod.addresses = (EgressAddress(f"{EGRESS6}/64", GATEWAY6),)
    first.put_rules("5432 TCP 2001:db8:113::10\n")
    first.serve()
    assert first.endpoints(6)[0]["addresses"] == [first.ip6] and first.endpoints(4) == []
    assert first.status().pod_ip == first.ip6 and first.addresses_on_net1() == {EGRESS6}
    seen = ask(first.ip6, 5432)
    assert (seen["source_ip"], seen["source_mac"], seen["local_ip"]) == (EGRESS6, MAC, "2001:db8:113::10")
    second.start()
    first.await_successor(second)
    assert first.metric("egress_router_successor_able") == 1
    first.kill()
    second.wait_serving(10)
    assert second.status().take_over_cause == "silent", "by beats, not by the lease"
    assert second.endpoints(6)[0]["addresses"] == [second.ip6]
    assert ask(second.ip6, 5432)["source_mac"] == MAC


def test_rules_of_a_family_that_the_pod_has_no_address_of(make_pod, api6: FakeApi) -> None:
    """Nobody could connect."""
    prepare(api6)
    pod = ipv6_only(make_pod(), api6).serve()
    version = pod.put_rules("80 TCP 203.0.113.10\n")
    until(lambda: pod.status().rules_version == version, "the agent dealt with the rules")
    said = "destination '203.0.113.10' is IPv4 and the pod has no IPv4 address for clients to connect to"
    assert said in pod.status().rules_error


def test_destinations_of_one_family(make_pod) -> None:
    pod: Router = make_pod()
    pod.put_rules(RULES)
    pod.serve()
    until(lambda: ports(pod, 4) == {"metrics", "tcp-5432", "tcp-80"}, "the IPv4 slice has the ports of its rules")
    assert ports(pod, 6) == {"metrics", "tcp-5432", "tcp-9999"}
    assert (ask(pod.ip4, 80)["source_ip"], ask(pod.ip6, 9999)["source_ip"]) == (EGRESS4, EGRESS6)
    for address, port in ((pod.ip6, 80), (pod.ip4, 9999)):
        with pytest.raises(ConnectionRefusedError):
            ask(address, port)
    pod.set_rules("9999 TCP 2001:db8:113::11\n")
    until(lambda: ports(pod, 4) == {"metrics"}, "there is no IPv4 port any more")
    with pytest.raises(ConnectionRefusedError):
        ask(pod.ip4, 80)


@pytest.mark.parametrize("planned", [True, False], ids=["planned", "killed"])
def test_both_families_of_a_pair_move_together(
    make_pod, api: FakeApi, planned: bool, record_property: Callable[[str, object], None]
) -> None:
    first, second = make_pod("node1"), make_pod("node2")
    for pod in (first, second):
        pod.replicas, pod.failover = 2, Failover(lease_seconds=3)
    first.put_rules(RULES)
    first.serve()
    second.start()
    first.await_successor(second)

    def leads_to(family: int) -> Callable[[], str]:
        return lambda: str((first.endpoints(family) or [{"addresses": [""]}])[0]["addresses"][0])

    clients = {family: Client(leads_to(family)) for family in (4, 6)}
    until(lambda: all(len(client.seen) > 20 for client in clients.values()), "the clients connect")
    if planned:
        code, answer = api.patch("leases", first.name, {"metadata": {"annotations": {HAND_OVER: "1"}}})
        assert code == 200, answer
    else:
        first.kill()
    second.wait_serving(10)
    for client in clients.values():
        before = len([mac for _began, mac in client.seen if mac])
        until(lambda: len([mac for _began, mac in client.seen if mac]) > before + 20, "it is answered")  # noqa: B023
    outages = {family: client.stop() for family, client in clients.items()}
    for family, (outage, late) in outages.items():
        figure = f"IPv{family}, {planned=}: {outage:.2f} s without service (machine busy for {late:.2f} s)"
        record_property("figure", figure)
        assert clients[family].macs() == {MAC}
    # The clients of neither wait for something that those of the other do not.
    (ipv4, late4), (ipv6, late6) = outages.values()
    assert abs(ipv4 - ipv6) < 0.5 + late4 + late6
    assert second.addresses_on_net1() == {EGRESS4, EGRESS6}
    assert first.addresses_on_net1() == (set() if planned else {EGRESS4, EGRESS6}), "of a killed one they are fenced"
