# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the pods of a router say to each other: with which keys, what strangers can do, and what may not delay it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.failover import (
    BEAT_PORT,
    KEY,
    PREVIOUS_KEY,
    RELAY_PORT,
    STOP,
    Failover,
)
from ansible_collections.egress.router.plugins.module_utils._contract.rules import RULES_LIMIT
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.fake_agent_api import FakeApi
from ansible_collections.egress.router.tests.support.router_pod import EGRESS4, MAC, PEERS_KEY, Router, ask
from ansible_collections.egress.router.tests.support.waiting import always, until

RULES = "5432 TCP 203.0.113.10\n"
NEW_KEY = b"n" * len(PEERS_KEY)


@pytest.fixture
def pods(make_pod) -> tuple[Router, Router]:
    """Not started."""
    first, second = make_pod("node1"), make_pod("node2")
    first.replicas = second.replicas = 2
    # On a machine that is busy with other tests.
    first.failover = second.failover = Failover(beat_ms=100, promise_ms=1500, lease_seconds=8)
    first.put_rules(RULES)
    return first, second


@pytest.fixture
def pair(pods: tuple[Router, Router]) -> tuple[Router, Router]:
    first, second = pods
    first.serve()
    second.start()
    first.await_successor(second)
    return first, second


def term(pod: Router) -> int:
    return int(pod.lease()["spec"]["leaseTransitions"])


def goes_on(first: Router, seconds: float) -> None:
    """The first serves with its successor, and no beat is lost for long."""
    before = term(first)
    always(lambda: first.status().serving and first.status().successor, "nothing happens", seconds)
    assert term(first) == before and first.metric("egress_router_fence_expired_total") == 0


def test_without_a_key_a_router_is_as_fast_as_its_lease(pods: tuple[Router, Router]) -> None:
    first, second = pods
    for pod in pods:
        pod.set_key(KEY, None)
    first.serve()
    second.start()
    until(lambda: second.ready() == (200, "standby\n"), "the second could serve")
    until(lambda: "cannot be read" in first.status().successor_error, "the state says why there is no successor")
    assert first.status().successor == "" and f"{first.keys}/key" in first.status().successor_error
    assert first.metric("egress_router_beats_sent_total") == 0 and first.metric("egress_router_beats_key") == 0
    first.kill()
    began = time.monotonic()
    second.wait_serving(40)
    # Twice the Lease's duration after its last renewal, which was less than a third of it ago.
    assert time.monotonic() - began > 1.5 * first.lease_seconds
    assert second.status().take_over_cause == "expired"


def test_a_key_that_appears_later(pods: tuple[Router, Router]) -> None:
    first, second = pods
    second.set_key(KEY, None)
    first.serve()
    second.start()
    until(lambda: second.ready() == (200, "standby\n"), "the second could serve")
    always(lambda: not first.status().successor, "it is nobody's successor", 1.5)
    second.set_key(KEY, PEERS_KEY)
    until(lambda: first.status().successor == second.pod, "the second is the successor", 10)
    assert second.metric("egress_router_beats_key") == 1


def test_a_wrong_key(pods: tuple[Router, Router]) -> None:
    first, second = pods
    second.set_key(KEY, NEW_KEY)
    first.serve()
    second.start()
    refused = 'egress_router_beats_refused_total{reason="stranger"}'
    until(lambda: first.metric(refused) >= 2, "what it says is refused", 15)
    assert first.status().successor == "" and first.status().serving
    always(lambda: second.mac() != MAC, "it takes nothing", 2.0)


def test_the_key_is_replaced(pair: tuple[Router, Router]) -> None:
    """The Secret has both for a while, and kubelets are not of one mind when."""
    first, second = pair
    for pod in pair:
        pod.set_key(PREVIOUS_KEY, PEERS_KEY)
        pod.set_key(KEY, NEW_KEY)
        goes_on(first, 1.5)
    for pod in pair:
        pod.set_key(PREVIOUS_KEY, None)
        goes_on(first, 1.5)
    assert first.metric('egress_router_beats_refused_total{reason="stranger"}') == 0
    assert second.metric('egress_router_beats_refused_total{reason="stranger"}') == 0


def test_a_key_that_only_one_of_them_has_left(pair: tuple[Router, Router]) -> None:
    """The holder goes by the Lease, and nobody takes over."""
    first, second = pair
    second.set_key(KEY, NEW_KEY)
    until(lambda: first.status().successor == "", "it is given up", 10)
    always(lambda: first.status().serving and second.mac() != MAC, "the first serves", 3.0)
    second.set_key(KEY, PEERS_KEY)
    until(lambda: first.status().successor == second.pod, "the second is the successor again", 15)


def recorded(seconds: float, to: Router) -> list[bytes]:
    """The datagrams that somebody on the pod network sees on their way to a pod."""

    def listen() -> socket.socket:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        raw.bind(("cni0", 0))
        raw.settimeout(0.1)
        return raw

    found = []
    with namespaces.inside("pods", lambda: _promiscuous(listen)) as raw:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                packet = raw.recv(2048)
            except TimeoutError:
                continue
            to_pod = packet[9:10] == bytes([socket.IPPROTO_UDP]) and packet[16:20] == socket.inet_aton(to.ip4)
            if packet[:1] == b"\x45" and to_pod and int.from_bytes(packet[22:24], "big") == BEAT_PORT:
                found.append(packet[28:])
    return found


def _promiscuous(listen: Callable[[], socket.socket]) -> socket.socket:
    namespaces.ip("-n @pods link set cni0 promisc on")
    return listen()


def test_replayed_datagrams_change_nothing(pair: tuple[Router, Router]) -> None:
    """What the holder said while it was the holder, said again when it is gone."""
    first, second = pair
    beats = until(lambda: recorded(1.0, second), "somebody has recorded beats", 10)
    with namespaces.inside("pods", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
        for datagram in (*beats, b"", b"x" * 100, b"\xff" * 2000):
            stranger.sendto(datagram, (second.ip4, BEAT_PORT))
        replayed = 'egress_router_beats_refused_total{reason="replayed"}'
        until(lambda: second.metric(replayed) >= len(beats), "they are refused and counted", 10)
        assert second.metric('egress_router_beats_refused_total{reason="stranger"}') >= 3
        goes_on(first, 1.0)
        first.kill()

        def taken() -> bool:
            for datagram in beats:
                stranger.sendto(datagram, (second.ip4, BEAT_PORT))
            return second.holder() == second.pod

        # It would promise for ever.
        until(taken, "replayed beats do not keep the second from taking over", 15)
    second.wait_serving(10)
    assert second.status().take_over_cause == "silent"


def test_a_flood_of_datagrams_does_not_stop_the_beats(pair: tuple[Router, Router]) -> None:
    first, second = pair
    with namespaces.inside("pods", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
        stranger.setblocking(False)
        before, began = term(first), time.monotonic()
        while time.monotonic() - began < 3:
            for _number in range(5):
                try:
                    stranger.sendto(b"x" * 200, (first.ip4, BEAT_PORT))
                except BlockingIOError:
                    break
            time.sleep(0.01)
    assert first.metric('egress_router_beats_refused_total{reason="stranger"}') > 100
    assert term(first) == before and first.status().successor == second.pod


def test_the_port_is_not_redirected(pair: tuple[Router, Router]) -> None:
    """Whatever the rules are, or beats would leave through net1."""
    first, _second = pair
    first.set_rules("fallback 203.0.113.10\n")
    goes_on(first, 2.0)
    version = first.put_rules("".join(f"{port} UDP 203.0.113.10\n" for port in (BEAT_PORT, RELAY_PORT)))
    until(lambda: first.status().rules_version == version, "the agent dealt with the rules")
    for port in (BEAT_PORT, RELAY_PORT):
        assert f"rule {port}/UDP of router billing-db: the agent itself uses this port" in first.status().rules_error


def test_thousands_of_rules_do_not_delay_the_beats(
    pair: tuple[Router, Router], record_property: Callable[[str, object], None]
) -> None:
    """Both load and read them back, while they are asked for metrics."""
    first, _second = pair
    before = term(first)
    for server in ("203.0.113.11", "203.0.113.12", "203.0.113.13"):
        text = "".join(f"{port} TCP {server} 5432\n" for port in range(20000, 20000 + RULES_LIMIT))
        version = first.put_rules(text)
        until(lambda version=version: first.status().rules_version == version, "the rules", 60)
        for pod in pair:
            # Listing 5,000 rules takes seconds on a busy machine, and both pods do it.
            until(lambda pod=pod: _answers(pod), "it answers", 150)
    record_property("figure", f"3 x {RULES_LIMIT} rules: {first.status().beats_lost} beats lost")
    assert term(first) == before and "event=fenced" not in first.log()


def _answers(pod: Router) -> bool:
    try:
        return pod.get("/metrics")[0] == 200
    except OSError:
        return False


def test_one_replica_may_be_told_to_stop_without_the_api_server(make_pod, api: FakeApi) -> None:
    pod = make_pod()
    pod.failover = Failover(lease_seconds=4, without_api=STOP)
    pod.put_rules(RULES)
    pod.serve()
    assert ask(pod.ip4, 5432)["source_ip"] == EGRESS4
    api.stop()
    began = time.monotonic()
    until(lambda: not pod.addresses_on_net1() and pod.mac() != MAC, "the address is given up", 10)
    assert time.monotonic() - began < pod.failover.lease_seconds
    with pytest.raises(OSError):
        ask(pod.ip4, 5432, timeout=0.5)
    assert pod.metric("egress_router_fence_expired_total") == 1
    api.start()
    pod.wait_serving(15)
