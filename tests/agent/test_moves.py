# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The address moves between pods as planned: established connections go on, and if they cannot, both ends are told."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.failover import RELAY_PORT, Failover
from ansible_collections.egress.router.plugins.module_utils._contract.names import HAND_OVER
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.echoes import Datagrams, Echoes, Newcomers, streams
from ansible_collections.egress.router.tests.support.fake_agent_api import FakeApi
from ansible_collections.egress.router.tests.support.router_pod import Router, Stream, connect
from ansible_collections.egress.router.tests.support.switch_ports import Owners, owners
from ansible_collections.egress.router.tests.support.waiting import always, until

RULES = """
5432 TCP 203.0.113.10
5432 TCP 2001:db8:113::10
53 UDP 203.0.113.10
6000 TCP 203.0.113.10
"""
# The machine may be busy with other tests.
PATIENT = Failover(beat_ms=100, promise_ms=1200, lease_seconds=6)
# For so long the cluster's nodes still send new connections to the old pod.
SPREAD = 1.5
NODES = ("node1", "node2", "node1")
STRANGERS = "egress_router_relay_strangers_total"
Figure = Callable[[str, object], None]
MakePods = Callable[..., list[Router]]


@pytest.fixture
def make_pods(make_pod: Callable[..., Router]) -> MakePods:
    """The first serves, and the second could."""

    def make(count: int = 2, failover: Failover = PATIENT) -> list[Router]:
        pods = [make_pod(node) for node in NODES[:count]]
        for pod in pods:
            pod.replicas, pod.failover = count, failover
        pods[0].put_rules(RULES)
        pods[0].serve()
        for pod in pods[1:]:
            pod.start()
        settle(*pods)
        return pods

    return make


def settle(*pods: Router) -> None:
    """The first serves, and one of the others could."""
    holder, *others = pods
    holder.wait_serving().await_successor(*others)


@pytest.fixture
def seen() -> Iterator[Owners]:
    with owners("node1", "node2") as found:
        yield found


def hand_over(api: FakeApi, pod: Router, value: str) -> None:
    code, answer = api.patch("leases", pod.name, {"metadata": {"annotations": {HAND_OVER: value}}})
    assert code == 200, answer


def interfaces(pod: Router) -> list[str]:
    """The tunnels of a pod."""
    return [word.split("@")[0] for word in pod.run("ip -br link").split() if word.startswith("relay")]


def choose_successor(pods: list[Router], holder: Router, wanted: Router) -> None:
    """Restart the agents of others until `wanted` is the successor: what they relay goes on meanwhile."""
    while holder.status().successor != wanted.pod or holder.status().successor_error:
        (other,) = [pod for pod in pods if pod not in (holder, wanted)]
        other.kill()
        until(lambda: holder.status().successor == wanted.pod, f"{wanted.pod} is the successor")
        other.start()


def datagrams(address: str, count: int) -> Datagrams:
    return Datagrams([connect("pods", address, 53, kind=socket.SOCK_DGRAM) for _number in range(count)])


def test_no_connection_breaks(make_pods: MakePods, api: FakeApi, seen: Owners, record_property: Figure) -> None:
    """The Lease asks for the move. Afterwards both agents are restarted, one after the other."""
    first, second = make_pods()
    small = Echoes(streams(first.ip4, 120) + streams(first.ip6, 30))
    large, udp = Echoes(streams(first.ip4, 10), 60000), datagrams(first.ip4, 40)
    everything = (small, large, udp)
    for each in everything:
        each.go_on()
    newcomers = Newcomers(first.ip4, 5432)
    hand_over(api, first, "1")
    second.wait_serving()
    always(lambda: not newcomers.failed, "new connections at the old pod are served", SPREAD)
    slowest = newcomers.stop()
    for each in everything:
        each.go_on()
    waits = max(small.stalls), max(large.stalls), max(udp.stalls)
    record_property(
        "figure",
        f"hand-over with 200 connections: longest wait {waits[0]:.2f} s, with 60 KB messages {waits[1]:.2f} s, UDP {waits[2]:.2f} s; "
        f"new ones at the old pod {slowest:.2f} s",
    )
    assert seen.ports == ["node1", "node2"]
    assert first.metric("egress_router_relay_connections") >= 200 and second.metric("egress_router_relay_pods") == 1
    assert first.metric("egress_router_relay_possible") == 1 and first.metric("egress_router_relay_resets_total") == 0

    with namespaces.inside("pods", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
        for pod in (first, second):
            stranger.sendto(b"x" * 100, (pod.ip4, RELAY_PORT))
    for pod in (first, second):
        until(lambda pod=pod: pod.metric(STRANGERS) >= 1, "strangers' packets are dropped and counted", 30)

    first.kill()
    first.start()
    until(lambda: "event=relay-adopted" in first.log(), "it goes on as it was", 20)
    settle(second, first)
    for each in everything:
        each.go_on()
    until(lambda: first.metric("egress_router_relay_connections") >= 200, "they are relayed", 10)
    second.kill()
    second.start()
    # Whoever serves now.
    until(lambda: first.status().serving and first.status().successor, "one serves and the other could", 40)
    for each in everything:
        each.go_on()
        each.stop()


def few_seconds_of_udp(pod: Router) -> None:
    """The kernel forgets connections that say nothing after two minutes otherwise."""
    names = ("udp_timeout", "udp_timeout_stream")
    namespaces.set_sysctls(pod.pod, {f"net.netfilter.nf_conntrack_{name}": "2" for name in names})


def test_sigterm(make_pods: MakePods, seen: Owners, record_property: Figure) -> None:
    """It ends when the last connection does."""
    first, second = make_pods()
    few_seconds_of_udp(first)
    everything = Echoes(streams(first.ip4, 50)), datagrams(first.ip4, 10)
    newcomers = Newcomers(first.ip4, 5432)
    for each in everything:
        each.go_on()
    assert first.process is not None
    first.process.send_signal(signal.SIGTERM)
    second.wait_serving()
    always(lambda: not newcomers.failed, "new connections at the old pod are served", SPREAD)
    newcomers.stop()
    for each in everything:
        each.go_on()
    assert second.status().take_over_cause == "handed-over" and seen.ports == ["node1", "node2"]
    assert first.process.poll() is None and first.ready()[0] == 503
    record_property(
        "figure", f"SIGTERM with 60 connections: longest wait {max(each.stop() for each in everything):.2f} s"
    )
    assert first.process.wait(30) == 0
    assert "event=stopped" in first.log() and "event=relayed-connections-reset" not in first.log()
    until(
        lambda: second.metric("egress_router_relay_pods") == 0 and not interfaces(second), "nothing is left of it", 10
    )


@pytest.mark.parametrize("how", ["asked for", "SIGTERM"])
def test_nobody_waits_for_a_slow_api_server(
    make_pods: MakePods, api: FakeApi, seen: Owners, how: str, record_property: Figure
) -> None:
    """The holder serves until the Lease names the other pod."""
    first, second = make_pods(failover=Failover(beat_ms=100, promise_ms=1200, lease_seconds=15))
    few_seconds_of_udp(first)
    everything = Echoes(streams(first.ip4, 20)), datagrams(first.ip4, 5)
    newcomers = Newcomers(first.ip4, 5432)
    for each in everything:
        each.go_on()
    began = time.monotonic()
    api.delay = 2.0
    try:
        if how == "SIGTERM":
            assert first.process is not None
            first.process.send_signal(signal.SIGTERM)
        else:
            hand_over(api, first, "1")
        until(lambda: seen.ports == ["node1", "node2"], "the second has the address", 20)
        moved = time.monotonic() - began
        always(lambda: not newcomers.failed, "new connections at the old pod are served", SPREAD)
    finally:
        api.delay = 0.0
    for each in everything:
        each.go_on()
    slowest, longest = newcomers.stop(), max(each.stop() for each in everything)
    record_property(
        "figure",
        f"{how}, each answer of the API server takes 2 s: moved after {moved:.1f} s, longest wait {longest:.2f} s, "
        f"new ones at the old pod {slowest:.2f} s",
    )
    assert moved > 2.0 and longest < 1.5 and slowest < 1.5
    second.wait_serving()
    assert second.status().take_over_cause == "handed-over"
    assert first.log().count("event=relay through") == 1, "the move was prepared once"


@pytest.mark.parametrize("count", [2, 3])
def test_five_moves_in_a_row(make_pods: MakePods, api: FakeApi, seen: Owners, count: int) -> None:
    """Connections of every stop go on at every other one. With three, the holder is lost in the end."""
    pods = make_pods(count)
    opened: dict[str, Echoes] = {}
    holder, stops = pods[0], ["node1"]
    for number in range(5):
        if holder.pod not in opened:
            opened[holder.pod] = Echoes(streams(holder.ip4, 5) + streams(holder.ip6, 5))
            opened[holder.pod].go_on()
        following = pods[(number + 1) % count]
        choose_successor(pods, holder, following)
        hand_over(api, holder, str(number))
        settle(following, *(pod for pod in pods if pod is not following))
        holder = following
        for each in opened.values():
            each.go_on()
        until(lambda holder=holder: "relay" not in interfaces(holder), "its own connections are direct")
        stops.append(NODES[(number + 1) % count])
    assert seen.ports == [node for node, before in zip(stops, ["", *stops], strict=False) if node != before]
    assert all(pod.metric("egress_router_relay_resets_total") == 0 for pod in pods)
    if count == 3:
        holder.kill()
        namespaces.remove(holder.pod)
        # The state of its connections is lost with it.
        del opened[holder.pod]
        until(lambda: holder.holder() != holder.pod and holder.status().serving, "another one serves")
        for each in opened.values():
            each.go_on()
    for each in opened.values():
        each.stop()


def test_the_successor_does_not_answer(make_pods: MakePods, api: FakeApi, seen: Owners) -> None:
    """It may be of an earlier version."""
    first, second = make_pods(failover=replace(PATIENT, relay_seconds=0))
    assert first.metric("egress_router_relay_possible") == 0
    first.kill()
    # A process that is there again at once may keep the address.
    until(lambda: second.holder() == second.pod and second.status().serving, "the other serves", 40)
    first.failover = PATIENT
    first.start()
    settle(second, first)
    assert second.status().relay_error == "failover.relay_seconds is 0"
    stream = Stream(second.ip4, 5432)
    hand_over(api, second, "1")
    settle(first, second)
    assert stream.was_reset() and "relay_seconds is 0" in second.log()
    stream = Stream(first.ip4, 5432)
    hand_over(api, first, "2")
    settle(second, first)
    assert stream.was_reset(), "the client waits at a pod that does not serve"
    assert "does not answer" in first.log() and not interfaces(first) + interfaces(second)
    assert seen.ports[-3:] == ["node2", "node1", "node2"]


def test_the_time_of_a_pod_that_ends_is_over(make_pods: MakePods, seen: Owners) -> None:
    """Both ends are told, though neither says anything."""
    first, second = make_pods(failover=replace(PATIENT, relay_seconds=8))
    listener = namespaces.inside("outside", lambda: socket.create_server(("203.0.113.10", 6000)))
    with listener, connect("pods", first.ip4, 6000) as client, listener.accept()[0] as server:
        assert first.process is not None
        first.process.send_signal(signal.SIGTERM)
        second.wait_serving()
        server.sendall(b"still there")
        client.settimeout(5)
        assert client.recv(20) == b"still there"
        for end in (client, server):
            end.settimeout(20)
            with pytest.raises(ConnectionResetError):
                end.recv(1)
        assert first.process.wait(10) == 0
    assert "event=relayed-connections-reset connections=1" in first.log()
    until(lambda: not interfaces(second), "nothing is left of it", 10)
    assert seen.ports == ["node1", "node2"]
