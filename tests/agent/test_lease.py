# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One pod serves: taking over, releasing, being fenced, going on without the API server."""

from __future__ import annotations

import re
import signal
import time

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.failover import Failover
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.fake_agent_api import FakeApi
from ansible_collections.egress.router.tests.support.router_pod import (
    EGRESS4,
    EGRESS6,
    MAC,
    TERMINATED,
    Router,
    Stream,
    ask,
)
from ansible_collections.egress.router.tests.support.waiting import always, until

RULES = "5432 TCP 203.0.113.10\n"


@pytest.fixture
def pair(make_pod, api: FakeApi) -> tuple[Router, Router]:
    """Two pods of one router on two nodes; the first serves, the second waits."""
    first, second = make_pod("node1"), make_pod("node2")
    first.replicas = second.replicas = 2
    # On a machine that is busy with other tests.
    first.failover = second.failover = Failover(beat_ms=100, promise_ms=1500, lease_seconds=8)
    first.put_rules(RULES)
    first.serve()
    second.start()
    first.await_successor(second)
    return first, second


def test_one_of_two_serves(pair: tuple[Router, Router]) -> None:
    first, second = pair
    always(lambda: first.holder() == first.pod and not second.addresses_on_net1(), "the first alone serves", 2.0)
    assert first.get("/readyz")[0] == 200
    until(lambda: second.ready() == (200, "standby\n"), "the second could serve", 5)
    assert second.get("/healthz")[0] == 200
    assert second.mac() != MAC
    assert ask(first.ip4, 5432)["source_ip"] == EGRESS4
    with pytest.raises(OSError):
        ask(second.ip4, 5432, timeout=1.0)


def test_sigterm_hands_over(pair: tuple[Router, Router]) -> None:
    first, second = pair
    transitions = first.lease()["spec"]["leaseTransitions"]
    seconds = first.terminate()
    assert seconds < TERMINATED
    assert first.addresses_on_net1() == set() and first.mac() != MAC
    second.wait_serving(5)
    assert second.lease()["spec"]["leaseTransitions"] == transitions + 1
    assert second.endpoints()[0]["addresses"] == [second.ip4]
    seen = ask(second.ip4, 5432)
    assert (seen["source_ip"], seen["source_mac"]) == (EGRESS4, MAC)
    assert second.metric("egress_router_lease_transitions_total") == transitions + 1


def test_sigterm_leaves_nothing(make_pod) -> None:
    pod = make_pod()
    pod.put_rules(RULES)
    original = pod.mac()
    pod.serve()
    assert pod.terminate() < TERMINATED
    assert (pod.addresses_on_net1(), pod.mac()) == (set(), original)
    assert (pod.holder(), pod.status().state, pod.status().addresses) == ("", "stopped", "")
    assert pod.endpoints(4) == [] and pod.endpoints(6) == []
    assert pod.process is not None and pod.process.returncode == 0


def test_sigterm_resets_the_connections(make_pod) -> None:
    """Idle ones too, at both ends: clients would wait at a pod that is gone, servers would keep dead sessions."""
    pod = make_pod()
    pod.put_rules(RULES + "5432 TCP 2001:db8:113::10\n")
    pod.serve()
    command = f"ip netns exec @outside ss -Htn state established dst {EGRESS4} or dst [{EGRESS6}]"

    def established() -> set[str]:
        return {" ".join(line.split()[2:4]) for line in namespaces.run(command).splitlines()}

    # Of pods that were killed in earlier tests.
    before = established()
    streams = [Stream(address, 5432) for address in (pod.ip4, pod.ip6) for _number in range(20)]
    made = established() - before
    assert len(made) == len(streams)
    assert pod.terminate() < TERMINATED
    assert all(stream.was_reset() for stream in streams)
    until(lambda: not established() & made, "the servers know too", 1)


def test_sigterm_without_an_answer(make_pod, api: FakeApi) -> None:
    """The address goes at once, and the pod ends within its grace period."""
    pod = make_pod().serve()
    api.freeze()
    assert pod.process is not None
    pod.process.send_signal(signal.SIGTERM)
    until(lambda: pod.addresses_on_net1() == set(), "the address is gone", 2)
    assert pod.process.poll() is None, "it still tries to give the lease back"
    assert pod.process.wait(10) == 0
    assert float(re.findall(r"event=stopped seconds=(\S+)", pod.log())[-1]) < 4.5


def test_sigterm_with_a_slow_api_server_gives_the_lease_back(make_pod, api: FakeApi) -> None:
    """Lease first: a lease that is not released costs the next pod its whole duration."""
    pod = make_pod()
    pod.failover = Failover(lease_seconds=15)
    pod.serve()
    api.delay = 0.25
    try:
        before = len(api.requests)
        assert pod.terminate() < 3.5
        patched = [request.split("?")[0].split("/")[-2] for request in api.requests[before:] if "PATCH" in request]
        # A renewal may have been on its way.
        assert patched[-3:] == ["leases", "endpointslices", "endpointslices"]
    finally:
        api.delay = 0.0
    assert (pod.holder(), pod.status().state) == ("", "stopped")
    assert pod.endpoints(4) == [] and pod.endpoints(6) == []


def test_a_frozen_holder_is_replaced_when_it_is_silent(pair: tuple[Router, Router]) -> None:
    """Its kernel is silent by itself, before the lease is over."""
    first, second = pair
    assert first.process is not None
    first.process.send_signal(signal.SIGSTOP)
    second.wait_serving(10)
    assert "state=conflict" not in second.log()
    assert ask(second.ip4, 5432)["source_ip"] == EGRESS4
    # Awake again, it sees that the lease is gone and stops at once.
    first.process.send_signal(signal.SIGCONT)
    until(lambda: first.addresses_on_net1() == set() and first.mac() != MAC, "the first gave everything up", 3)
    always(lambda: second.endpoints()[0]["addresses"] == [second.ip4], "the endpoint is the second's", 1.0)


@pytest.mark.parametrize("how", ["stop", "freeze"])
def test_with_one_replica_it_goes_on_without_the_api_server(make_pod, api: FakeApi, how: str) -> None:
    pod = make_pod()
    pod.put_rules(RULES)
    pod.serve()
    stream = Stream(pod.ip4, 5432)
    getattr(api, how)()
    always(stream.echoes, "the connection goes on", 3.5 * pod.lease_seconds)
    assert ask(pod.ip4, 5432)["source_ip"] == EGRESS4
    assert pod.get("/readyz")[0] == 200
    # Drift is repaired meanwhile.
    namespaces.ip(f"-n @{pod.pod} rule del iif eth0 lookup 100")
    until(lambda: pod.metric('egress_router_drift_repairs_total{kind="rule"}') == 1, "the rule was repaired", 5)
    renewed = api.get("leases", pod.name)["spec"]["renewTime"]
    api.thaw() if how == "freeze" else api.start()
    until(lambda: pod.lease()["spec"]["renewTime"] != renewed, "the lease is renewed again", 8)
    assert pod.lease()["spec"]["leaseTransitions"] == 1
    pod.set_rules(RULES + "80 TCP 203.0.113.11\n", 8)
    assert stream.echoes()
    stream.close()


@pytest.mark.parametrize("how", ["stop", "freeze"])
def test_with_two_replicas_it_is_fenced_before_the_lease_runs_out(make_pod, api: FakeApi, how: str) -> None:
    pod = make_pod()
    # Long enough for a busy machine: between the fence and the end of the lease is a fifth of it.
    pod.replicas, pod.failover = 2, Failover(lease_seconds=10)
    pod.put_rules(RULES)
    pod.serve()
    renewed = pod.lease()["spec"]["renewTime"]
    until(lambda: pod.lease()["spec"]["renewTime"] != renewed, "a renewal", 8)
    start = time.monotonic()
    getattr(api, how)()
    until(lambda: pod.addresses_on_net1() == set(), "the address is gone", pod.lease_seconds)
    assert time.monotonic() - start < pod.lease_seconds
    until(lambda: pod.mac() != MAC, "the MAC address is given up", 1)
    with pytest.raises(OSError):
        ask(pod.ip4, 5432, timeout=0.5)
    assert pod.get("/readyz")[0] == 503
    api.thaw() if how == "freeze" else api.start()
    until(lambda: pod.addresses_on_net1() == {EGRESS4, EGRESS6}, "it serves again", 8)
    until(lambda: pod.get("/readyz")[0] == 200, "ready", 5)
    assert ask(pod.ip4, 5432)["source_ip"] == EGRESS4


def test_a_pod_more_than_it_was_started_with_fences_the_holder(make_pod, api: FakeApi) -> None:
    """`kubectl scale`: both believe that there is one replica. Together they go on without the API server; one alone stops."""
    first, second = make_pod("node1"), make_pod("node2")
    first.put_rules(RULES)
    first.serve()
    second.start()
    first.await_successor(second)
    api.stop()
    always(lambda: ask(first.ip4, 5432)["source_ip"] == EGRESS4, "they go on", 2 * first.lease_seconds)
    second.kill()
    until(lambda: first.addresses_on_net1() == set() and first.mac() != MAC, "the address is given up", 10)
    api.start()
    until(lambda: first.get("/readyz") == (200, "serving\n"), "it serves again")
    assert ask(first.ip4, 5432)["source_ip"] == EGRESS4


def test_a_standby_asks_when_the_lease_was_written_and_hears_of_it_at_once(
    pair: tuple[Router, Router], api: FakeApi
) -> None:
    """It asked every second, which was a third of what a pod at rest computed, and of what the API server had to do for it."""
    first, second = pair
    name = f"leases/{first.name}"

    def asked(since: int) -> int:
        return sum(line.startswith("GET ") and line.endswith(name) for line in api.requests[since:])

    def written(since: int) -> int:
        return sum(line.startswith("PATCH ") and name in line for line in api.requests[since:])

    since = len(api.requests)
    until(lambda: written(since) >= 3, "the holder renews the Lease", 30)
    assert asked(since) <= written(since) + 1
    before = first.lease()["spec"]["leaseTransitions"]
    first.terminate()
    second.wait_serving(5)
    assert second.lease()["spec"]["leaseTransitions"] == before + 1
