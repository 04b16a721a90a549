# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two pods of one router and every fault of one of them: the other serves soon, and both switch ports show that never two did."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.failover import KEY, Failover
from ansible_collections.egress.router.plugins.module_utils._contract.names import HAND_OVER
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.client import Client
from ansible_collections.egress.router.tests.support.fake_agent_api import FakeApi
from ansible_collections.egress.router.tests.support.router_pod import (
    EGRESS4,
    MAC,
    TERMINATED,
    Router,
    Stream,
    ask,
)
from ansible_collections.egress.router.tests.support.switch_ports import Owners, owners
from ansible_collections.egress.router.tests.support.waiting import always, until

RULES = "5432 TCP 203.0.113.10\n"
Figure = Callable[[str, object], None]


def settle(holder: Router, successor: Router) -> None:
    """The holder serves, and the other could."""
    holder.wait_serving().await_successor(successor)
    until(lambda: successor.ready() == (200, "standby\n"), "it says so")


# Where nothing shall happen, on a machine that is busy with other tests.
PATIENT = Failover(beat_ms=100, promise_ms=2000, lease_seconds=10)
patiently = pytest.mark.parametrize("pair", [PATIENT], indirect=True, ids=[""])


@pytest.fixture
def pair(make_pod, request: pytest.FixtureRequest) -> tuple[Router, Router]:
    """The first serves, and the second is its successor."""
    first, second = make_pod("node1"), make_pod("node2")
    first.replicas = second.replicas = 2
    first.failover = second.failover = getattr(request, "param", Failover(lease_seconds=3))
    first.put_rules(RULES)
    first.serve()
    second.start()
    settle(first, second)
    return first, second


@pytest.fixture
def seen(pair: tuple[Router, Router]) -> Iterator[Owners]:
    with owners("node1", "node2") as found:
        until(lambda: found.ports == ["node1"], "the first has the address")
        yield found


@pytest.fixture
def client(pair: tuple[Router, Router], record_property: Figure, request: pytest.FixtureRequest) -> Iterator[Client]:
    """Connects to where the Service leads; prints for how long nobody answered."""
    first, _second = pair
    found = Client(lambda: str((first.endpoints() or [{"addresses": [""]}])[0]["addresses"][0]))
    until(lambda: len(found.seen) > 20, "the client connects")
    yield found
    outage, late = found.stop()
    record_property("outage", outage - late)
    record_property("figure", f"{request.node.name}: {outage:.2f} s without service (machine busy for {late:.2f} s)")


def more(client: Client) -> None:
    """Some connections get an answer."""
    before = sum(bool(mac) for _began, mac in client.seen)
    until(lambda: sum(bool(mac) for _began, mac in client.seen) > before + 20, "connections are answered")


def port(node: str, state: str) -> None:
    """The switch's port of a node."""
    namespaces.ip(f"-n @outside link set {node} {state}")


def cluster_network(pod: Router, state: str) -> None:
    namespaces.ip(f"-n @pods link set {pod.pod} {state}")


def cut_both(pod: Router) -> None:
    port("node1", "down")
    cluster_network(pod, "down")


def freeze(pod: Router) -> None:
    assert pod.process is not None
    pod.process.send_signal(signal.SIGSTOP)


@pytest.fixture
def mended(make_pod) -> Iterator[None]:
    """After the test, all nodes are connected."""
    yield
    for node in ("node1", "node2"):
        port(node, "up")


FAULTS: dict[str, Callable[[Router], object]] = {
    "both networks cut": cut_both,
    "cluster network cut": lambda pod: cluster_network(pod, "down"),
    "agent killed": Router.kill,
    "agent frozen": freeze,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_other_serves(
    pair, mended: None, seen: Owners, client: Client, fault: str, record_property: Figure
) -> None:
    first, second = pair
    term = first.lease()["spec"]["leaseTransitions"]
    FAULTS[fault](first)
    until(lambda: second.holder() == second.pod, "the second has the lease", 10)
    second.wait_serving(10)
    more(client)
    assert seen.ports == ["node1", "node2"]
    assert second.lease()["spec"]["leaseTransitions"] == term + 1
    status = second.status()
    assert (status.taken_over_from, status.take_over_cause, status.successor) == (first.pod, "silent", "")
    assert 0.0 < float(status.take_over_seconds) < 10 and status.taken_over_at
    assert second.metric('egress_router_take_overs_total{cause="silent"}') == 1
    assert second.metric("egress_router_holder") == 1 and second.metric("egress_router_successor") == 0
    assert second.metric("egress_router_source_ports") == 32256, "the other half may be of connections that it relays"
    assert ask(second.ip4, 5432)["source_mac"] == MAC
    (taking,) = re.findall(r"event=address-taken .* seconds=(\S+)", second.log())
    told = f"{status.take_over_seconds} s after the last beat, {taking} s of it to take the address"
    record_property("figure", f"{fault}: {told}")
    # A standby is ready: what is left is one step. On a machine with nothing else to do it takes a few hundredths.
    assert float(taking) < 5


def test_a_partition_and_its_end(pair, mended: None, seen: Owners, client: Client) -> None:
    """The node comes back with all that it believed: it serves no more, and becomes the successor."""
    first, second = pair
    cut_both(first)
    second.wait_serving(10)
    always(lambda: seen.ports in (["node1"], ["node1", "node2"]), "one of them", 3.0)
    port("node1", "up")
    cluster_network(first, "up")
    # Its routes went with the link.
    namespaces.ip(f"-n @{first.pod} route replace default via 10.244.0.1")
    settle(second, first)
    assert first.mac() != MAC and first.addresses_on_net1() == set()
    more(client)
    assert seen.ports == ["node1", "node2"]
    assert second.endpoints()[0]["addresses"] == [second.ip4]


def hand_over(api: FakeApi, pod: Router, value: str) -> None:
    code, answer = api.patch("leases", pod.name, {"metadata": {"annotations": {HAND_OVER: value}}})
    assert code == 200, answer


@pytest.mark.parametrize("pair", [PATIENT], indirect=True)
def test_it_hands_over_when_it_is_asked_to(
    pair, api: FakeApi, seen: Owners, client: Client, record_property: Figure
) -> None:
    first, second = pair
    stream = Stream(first.ip4, 5432)
    renewed = first.lease()["spec"]["renewTime"]
    until(lambda: first.lease()["spec"]["renewTime"] != renewed, "the next renewal is far away")
    hand_over(api, first, "1")
    asked = time.monotonic()
    until(lambda: "event=hand-over " in first.log(), "the watch brings the wish", 10, 0.005)
    seconds = time.monotonic() - asked
    record_property("figure", f"a hand-over that is asked for begins after {seconds:.3f} s")
    assert seconds < first.failover.lease_seconds / 6, "it did not wait for the next renewal"
    second.wait_serving(10)
    assert second.status().take_over_cause == "handed-over"
    assert stream.echoes(), "its connection goes on"
    settle(second, first)
    # It is old by now.
    always(lambda: second.holder() == second.pod, "the second goes on", 2.5)
    hand_over(api, second, "2")
    first.wait_serving(10)
    settle(first, second)
    more(client)
    assert stream.echoes()
    stream.close()
    assert seen.ports == ["node1", "node2", "node1"]
    assert first.metric('egress_router_drift_repairs_total{kind="rules"}') == 0


def test_nobody_to_hand_over_to(make_pod, api: FakeApi) -> None:
    pod = make_pod()
    pod.replicas = 2
    hand_over(api, pod, "before it was the holder")
    pod.put_rules(RULES)
    pod.serve()
    hand_over(api, pod, "again")
    until(lambda: "event=hand-over-refused" in pod.log(), "it says why not", 20)
    assert pod.log().count("hand-over-refused") == 1
    always(lambda: ask(pod.ip4, 5432)["source_ip"] == EGRESS4, "it goes on", 1.0)


def test_sigterm_hands_over(pair, seen: Owners, client: Client) -> None:
    first, second = pair
    first.terminate()
    second.wait_serving(5)
    more(client)
    assert second.status().take_over_cause == "handed-over"
    assert seen.ports == ["node1", "node2"]


def test_the_egress_uplink_is_down(pair, mended: None, seen: Owners, client: Client) -> None:
    first, second = pair
    port("node1", "down")
    second.wait_serving(10)
    more(client)
    assert second.status().take_over_cause == "handed-over"
    assert seen.ports == ["node1", "node2"]
    until(
        lambda: "has no carrier" in second.status().successor_error,
        "the holder knows why the other could not serve",
        10,
    )
    assert second.metric("egress_router_successor_able") == 0 and second.metric("egress_router_successor") == 1
    assert first.get("/readyz")[0] == 503 and "has no carrier" in first.get("/readyz")[1]
    port("node1", "up")
    settle(second, first)


@pytest.fixture
def deaf() -> Iterator[Callable[[str], None]]:
    """What the gateway says reaches a node no more: deaf("node1"). It sees its own port up all the time."""
    namespaces.run("ip netns exec @outside nft add table bridge deaf")
    namespaces.run("ip netns exec @outside nft add chain bridge deaf output { type filter hook output priority 0 ; }")
    yield lambda node: namespaces.run(f"ip netns exec @outside nft add rule bridge deaf output oifname {node} drop")
    namespaces.run("ip netns exec @outside nft delete table bridge deaf")


def test_the_gateway_is_silent_at_one_of_them(pair, deaf: Callable[[str], None], seen: Owners, client: Client) -> None:
    first, second = pair
    deaf("node1")
    second.wait_serving(10)
    more(client)
    assert second.status().take_over_cause == "handed-over"
    assert seen.ports == ["node1", "node2"]
    until(lambda: "does not answer" in first.log(), "it said why")


@patiently
def test_the_gateway_is_silent_everywhere(pair, deaf: Callable[[str], None]) -> None:
    """Nothing is won by moving the address to and fro."""
    first, second = pair
    deaf("node1")
    deaf("node2")
    until(lambda: first.status().state == "failed" or second.status().state == "failed", "the failure is told", 15)
    term = first.lease()["spec"]["leaseTransitions"]
    always(lambda: first.lease()["spec"]["leaseTransitions"] == term, "it stays where it is", 4.0)
    assert term <= 2


@patiently
def test_the_standby_dies(pair, make_pod, seen: Owners, client: Client, record_property: Figure) -> None:
    first, second = pair
    term = first.lease()["spec"]["leaseTransitions"]
    second.kill()
    until(lambda: first.status().successor == "", "it is given up", 10)
    always(lambda: first.status().serving, "the first serves", 2.0)
    assert first.metric("egress_router_fence_expired_total") == 0
    until(lambda: float(first.status().beats_lost) >= 1, "lost beats are told with the next renewal", 15)
    assert first.metric("egress_router_beats_lost_total") >= 1
    third = make_pod("node2")
    third.replicas, third.failover = 2, first.failover
    third.start()
    settle(first, third)
    assert seen.ports == ["node1"]
    assert first.lease()["spec"]["leaseTransitions"] <= term + 1
    assert first.status().taken_over_from == ""


@patiently
@pytest.mark.parametrize("how", ["stop", "freeze"])
def test_the_api_server_is_away(pair, api: FakeApi, seen: Owners, client: Client, how: str) -> None:
    """For many times the Lease's duration: the two need nobody else."""
    first, second = pair
    stream = Stream(first.ip4, 5432)
    term = first.lease()["spec"]["leaseTransitions"]
    getattr(api, how)()
    always(stream.echoes, "the connection goes on", 2 * first.lease_seconds)
    assert first.get("/readyz") == (200, "serving\n")
    assert first.metric('egress_router_api_failing{request="lease"}') == 1
    getattr(api, {"stop": "start", "freeze": "thaw"}[how])()
    settle(first, second)
    assert first.lease()["spec"]["leaseTransitions"] == term
    assert first.metric("egress_router_fence_expired_total") == 0
    assert stream.echoes()
    stream.close()
    assert seen.ports == ["node1"]


def test_without_the_api_server_the_agent_of_the_standby_is_restarted(
    pair, api: FakeApi, seen: Owners, client: Client
) -> None:
    """No witness is left meanwhile. The new process has not seen the Lease, and promises all the same."""
    first, second = pair
    api.stop()
    second.kill()
    until(lambda: first.ready()[0] == 503, "the first stops", 5)
    second.start()
    # Only the API server could tell that its endpoints are in order.
    until(lambda: first.ready()[1].startswith("starting GET") and first.mac() == MAC, "it serves again", 20)
    more(client)
    assert first.metric("egress_router_fence_expired_total") >= 1
    always(lambda: not second.addresses_on_net1(), "it alone", 1.0)
    assert seen.ports == ["node1"]
    api.start()
    settle(first, second)


def test_the_agent_of_the_holder_is_restarted(pair, seen: Owners, client: Client) -> None:
    first, _second = pair
    first.kill()
    first.start()
    until(lambda: first.status().serving and first.status().successor, "one serves and the other could", 20)
    more(client)
    assert seen.ports in (["node1"], ["node1", "node2"])


@patiently
def test_the_agent_of_the_standby_is_restarted(pair, seen: Owners, client: Client) -> None:
    first, second = pair
    for _number in range(3):
        second.kill()
        second.start()
        settle(first, second)
    assert seen.ports == ["node1"]


def test_both_are_gone(pair, make_pod, mended: None, seen: Owners, client: Client) -> None:
    """Their nodes are lost: another pod waits for the Lease and asks the segment."""
    first, _second = pair
    third = make_pod("node2")
    third.replicas, third.failover = 2, first.failover
    third.start()
    until(lambda: third.ready() == (200, "standby\n"), "it could serve")
    for pod in pair:
        pod.kill()
        namespaces.remove(pod.pod)
    third.wait_serving(30)
    more(client)
    assert third.status().take_over_cause == "expired"
    assert seen.ports == ["node1", "node2"]


def test_both_are_deleted(pair, make_pod, seen: Owners, client: Client, record_property: Figure) -> None:
    """Neither waits for the other, though a connection is open."""
    first, second = pair
    stream = Stream(first.ip4, 5432)
    began = time.monotonic()
    for pod in (second, first):
        assert pod.process is not None
        pod.process.send_signal(signal.SIGTERM)
    for pod in (second, first):
        assert pod.process is not None
        assert pod.process.wait(15) == 0
    record_property("figure", f"two pods deleted at once end after {time.monotonic() - began:.2f} s")
    stream.close()
    third = make_pod("node1")
    third.replicas, third.failover = 2, first.failover
    third.start()
    third.wait_serving(15)
    more(client)
    assert third.status().take_over_cause in ("free", "expired")


def test_three_pods(pair, make_pod, api: FakeApi, client: Client) -> None:
    """When the successor dies the third becomes it, and takes over when the holder dies."""
    first, second = pair
    namespaces.add_node("node3")
    try:
        third = make_pod("node3")
        third.replicas, third.failover = 2, first.failover
        third.start()
        until(lambda: third.ready() == (200, "standby\n"), "the third could serve")
        with owners("node1", "node2", "node3") as seen:
            until(lambda: seen.ports == ["node1"], "the first has the address")
            second.kill()
            until(lambda: first.status().successor == third.pod, "the third is the successor", 10)
            first.kill()
            third.wait_serving(10)
            more(client)
            assert seen.ports == ["node1", "node3"]
        third.kill()
    finally:
        namespaces.remove_from_segment("node3")


# --- The Lease and people ---


def test_the_lease_is_deleted(pair, api: FakeApi, seen: Owners, client: Client) -> None:
    first, _second = pair
    term = first.lease()["spec"]["leaseTransitions"]
    api.delete("leases", first.name)
    always(lambda: ask(first.ip4, 5432)["source_ip"] == EGRESS4, "the first goes on", 2.0 * first.lease_seconds)
    until(lambda: '"billing-db\\" not found' in first.log() or "not found" in first.log(), "it says what is missing")
    # Deployed again.
    api.put("leases", first.name, {"spec": {}})
    until(lambda: first.lease()["spec"].get("holderIdentity"), "somebody has it", 15)
    until(lambda: first.status().serving and first.status().successor, "one serves and the other could", 20)
    assert first.lease()["spec"]["leaseTransitions"] > term
    more(client)
    assert seen.ports in (["node1"], ["node1", "node2"])


EDITS: dict[str, Callable[[Router, Router, int], dict[str, Any]]] = {
    "another holder": lambda first, second, term: {"holderIdentity": second.pod},
    "no holder": lambda first, second, term: {"holderIdentity": None},
    "a pod that does not exist": lambda first, second, term: {"holderIdentity": "billing-db-gone"},
    "an older term": lambda first, second, term: {"leaseTransitions": 0},
    "a later term": lambda first, second, term: {"leaseTransitions": term + 5},
}


@pytest.mark.parametrize("edit", EDITS)
def test_the_lease_is_edited(pair, api: FakeApi, seen: Owners, client: Client, edit: str) -> None:
    first, second = pair
    term = first.lease()["spec"]["leaseTransitions"]
    api.patch("leases", first.name, {"spec": EDITS[edit](first, second, term)})
    # At its next renewal the holder sees it.
    until(lambda: first.lease()["spec"]["leaseTransitions"] > term, "somebody has a newer term", 20)
    until(lambda: first.status().serving and first.status().successor, "one serves and the other could", 30)
    assert first.holder() in (first.pod, second.pod)
    more(client)
    assert seen.ports in (["node1"], ["node1", "node2"])


# --- Pods and their nodes ---


@patiently
def test_somebody_flushes_the_table(pair, seen: Owners, client: Client) -> None:
    """The permits of the moment come back with it, so the right to serve goes on."""
    first, second = pair
    term = first.lease()["spec"]["leaseTransitions"]
    repaired = 'egress_router_drift_repairs_total{kind="rules"}'
    for number in range(1, 4):
        for pod in pair:
            pod.run("nft flush ruleset")
        until(lambda number=number: all(pod.metric(repaired) >= number for pod in pair), "both were repaired", 5)
        assert ask(first.ip4, 5432)["source_ip"] == EGRESS4
    assert first.metric("egress_router_fence_expired_total") == 0
    assert (first.lease()["spec"]["leaseTransitions"], first.status().successor) == (term, second.pod)
    assert seen.ports == ["node1"]


@patiently
def test_a_standby_without_net1(pair, api: FakeApi, seen: Owners) -> None:
    first, second = pair
    namespaces.ip(f"-n @{second.pod} link del net1")
    until(lambda: "there is no interface net1" in first.status().successor_error, "the holder knows why", 10)
    assert first.status().successor == second.pod and second.ready()[0] == 503
    hand_over(api, first, "now")
    until(lambda: "event=hand-over-refused" in first.log(), "it says why not", 20)
    assert first.status().serving and seen.ports == ["node1"]


@pytest.fixture
def neighbours_pair(make_pod) -> tuple[Router, Router]:
    """Both on one node, where no two interfaces may have the router's MAC address."""
    first, second = make_pod("node1"), make_pod("node1")
    first.replicas = second.replicas = 2
    first.put_rules(RULES)
    first.serve()
    second.start()
    settle(first, second)
    return first, second


def test_both_on_one_node(neighbours_pair: tuple[Router, Router], api: FakeApi) -> None:
    first, second = neighbours_pair
    hand_over(api, first, "1")
    second.wait_serving(10)
    settle(second, first)
    assert ask(second.ip4, 5432)["source_mac"] == MAC and first.mac() != MAC
    second.kill()
    # Its kernel is silent, and still has the MAC address until an agent tidies up.
    until(lambda: "is in use by another interface" in first.ready()[1], "it says who is in the way", 10)
    second.start()
    first.wait_serving(15)
    assert ask(first.ip4, 5432)["source_mac"] == MAC


def test_a_hypervisor_drops_what_the_standby_sends(pair, seen: Owners, client: Client) -> None:
    """Only the router's MAC address is let through; what the standby cannot find out counts as able."""
    first, second = pair
    nft = "ip netns exec @outside nft"
    namespaces.run(f"{nft} add table bridge security")
    try:
        for hook in ("forward", "input"):
            chain = f"bridge security {hook}"
            namespaces.run(f"{nft} add chain {chain} {{ type filter hook {hook} priority 0 ; }}")
            namespaces.run(f"{nft} add rule {chain} iifname node2 ether saddr != {MAC} drop")
        second.kill()
        until(lambda: not first.status().successor, "it is given up", 10)
        second.start()
        settle(first, second)
        first.kill()
        second.wait_serving(10)
        more(client)
        assert seen.ports == ["node1", "node2"]
    finally:
        namespaces.run(f"{nft} delete table bridge security")


@patiently
def test_what_a_pair_costs_at_rest(pair, record_property: Figure) -> None:
    def seconds(pod: Router) -> float:
        assert pod.process is not None
        fields = Path(f"/proc/{pod.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before, began = [seconds(pod) for pod in pair], time.monotonic()
    always(lambda: pair[0].status().serving, "nothing happens", 10.0)
    took = time.monotonic() - began
    holder, standby = ((seconds(pod) - was) / took for pod, was in zip(pair, before, strict=True))
    record_property("figure", f"a pair at rest: holder {100 * holder:.1f} %, standby {100 * standby:.1f} % of a core")
    assert max(holder, standby) < 0.2


# --- kubectl scale, of a Deployment that was made for one pod ---


@pytest.fixture
def seen_both(scaled: tuple[Router, Router]) -> Iterator[Owners]:
    with owners("node1", "node2") as found:
        until(lambda: found.ports == ["node1"], "the first has the address")
        yield found


@pytest.fixture
def scaled(make_pod) -> tuple[Router, Router]:
    """Both were started as the only one, without a key: such a router has no Secret. The second has said that it is there."""
    first, second = make_pod("node1"), make_pod("node2")
    for pod in (first, second):
        pod.failover = Failover(beat_ms=100, promise_ms=1000, lease_seconds=6)
        pod.set_key(KEY, None)
    first.put_rules(RULES)
    first.serve()
    assert permits(first) == ["without end"]
    second.start()
    until(lambda: permits(first) == ["for a time"], "the first is fenced", 20)
    return first, second


def permits(pod: Router) -> list[str]:
    """Of those that are in the kernel: how long they last."""
    listed = pod.run("nft -j list set inet egress_router permits")
    (found,) = [one["set"] for one in json.loads(listed)["nftables"] if "set" in one]
    kinds = {"for a time" if isinstance(one, dict) else "without end" for one in found.get("elem", [])}
    return sorted(kinds)


def test_scaled_to_two_without_a_key(scaled, seen_both: Owners) -> None:
    """The first is fenced, and says why the second is not its successor; the second says so too, and waits."""
    first, second = scaled
    until(lambda: f"{first.keys}/key cannot be read" in first.status().successor_error, "the Lease says why", 10)
    assert "with replicas set to the number of its pods" in first.status().successor_error
    assert first.status().successor == "" and first.status().serving
    assert second.ready() == (200, "standby\n")
    assert second.log().count("event=beats-impossible") == 1 and f"{second.keys}/key cannot be read" in second.log()
    # Whatever is written into the Lease meanwhile.
    always(lambda: first.status().serving and not second.addresses_on_net1(), "nothing moves", 3 * first.lease_seconds)
    assert seen_both.ports == ["node1"] and first.metric("egress_router_fence_expired_total") == 0


def test_one_pod_misses_no_key(make_pod) -> None:
    pod = make_pod()
    pod.set_key(KEY, None)
    pod.serve()
    assert "beats-impossible" not in pod.log() and pod.status().successor_error == ""


def test_scaled_to_two_and_cut_off(scaled, mended: None, seen_both: Owners) -> None:
    """When only the segment comes back, the first does not know that it was replaced, and is silent all the same."""
    first, second = scaled
    cut_both(first)
    second.wait_serving(40)
    port("node1", "up")
    always(lambda: seen_both.ports == ["node1", "node2"], "the first has it no more", first.lease_seconds)
    assert ask(second.ip4, 5432)["source_ip"] == EGRESS4
    assert second.status().take_over_cause == "expired"


def test_scaled_to_two_without_the_api_server(scaled, api: FakeApi, seen_both: Owners) -> None:
    """No witness is left. Nor does a new process of the first serve by what an earlier one was granted."""
    first, second = scaled
    api.stop()
    first.kill()
    first.start()
    until(lambda: not first.addresses_on_net1() and first.mac() != MAC, "the permit has run out", 10)
    always(lambda: not second.addresses_on_net1(), "the second takes nothing", first.lease_seconds)
    with pytest.raises(OSError):
        ask(first.ip4, 5432, timeout=0.5)
    api.start()
    until(lambda: first.status().serving or second.status().serving, "one serves again", 40)
    always(lambda: len({*seen_both.ports[-1:]}) == 1, "one", 1.0)
    assert seen_both.ports in (["node1"], ["node1", "node2"])


def test_scaled_to_two_while_the_agent_was_gone(make_pod, api: FakeApi) -> None:
    """The kernel serves on without an end, and the second waits; the new process adopts that, and is fenced."""
    first, second = make_pod("node1"), make_pod("node2")
    for pod in (first, second):
        pod.set_key(KEY, None)
    first.put_rules(RULES)
    first.serve()
    stream = Stream(first.ip4, 5432)
    first.kill()
    second.start()
    always(lambda: stream.echoes() and not second.addresses_on_net1(), "the first serves", 3 * first.lease_seconds)
    first.start()
    until(lambda: permits(first) == ["for a time"], "the first is fenced", 20)
    assert stream.echoes() and first.metric("egress_router_fence_expired_total") == 0
    stream.close()


def test_scaled_back_to_one(scaled) -> None:
    """The second ends, and the first needs the API server no more: as it was deployed."""
    first, second = scaled
    assert second.terminate() < TERMINATED
    until(lambda: permits(first) == ["without end"], "the first is fenced no more", 5 * first.lease_seconds)
    assert first.status().successor_error == ""
    assert first.metric("egress_router_fence_expired_total") == 0


@pytest.mark.parametrize("ends", ["holder", "standby"])
def test_a_pair_that_is_scaled_to_one(pair, api: FakeApi, seen: Owners, ends: str) -> None:
    """Whichever pod Kubernetes chooses. The other one is a pod of a pair still: it stops without the API server."""
    first, second = pair
    (first if ends == "holder" else second).terminate()
    left = second if ends == "holder" else first
    left.wait_serving(10)
    until(lambda: left.status().successor == "", "it has no successor", 10)
    assert ask(left.ip4, 5432)["source_ip"] == EGRESS4
    api.stop()
    until(lambda: not left.addresses_on_net1() and left.mac() != MAC, "it stops", 10)
    api.start()
    left.wait_serving(20)
    assert seen.ports == (["node1", "node2"] if ends == "holder" else ["node1"])
