# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several addresses of a family: which one connections leave from, how many they carry, and that all of them move."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.identity import EgressAddress
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.router_pod import (
    EGRESS4,
    EGRESS6,
    GATEWAY4,
    GATEWAY6,
    MAC,
    Router,
    Stream,
    ask,
)
from ansible_collections.egress.router.tests.support.waiting import always, until

SECOND4, THIRD4, SECOND6 = "198.51.100.51", "198.51.100.52", "2001:db8:51::51"
ALL4, ALL6 = (EGRESS4, SECOND4, THIRD4), (EGRESS6, SECOND6)
SQUATTER = "02:00:00:00:00:99"
ADDRESSES = (
    *(EgressAddress(f"{ip}/24", GATEWAY4) for ip in ALL4),
    *(EgressAddress(f"{ip}/64", GATEWAY6) for ip in ALL6),
)
RULES = f"""
5432 TCP 203.0.113.10
5433 TCP 203.0.113.11 5432 source={THIRD4} name=third
5432 TCP 2001:db8:113::10
53 UDP 2001:db8:113::12 source={SECOND6}
fallback 203.0.113.99
"""
# What an address has of source ports, and more than that.
PORTS = 65536 - 1024
CONNECTIONS = 100000
MakePod = Callable[..., Router]
Figure = Callable[[str, object], None]


@pytest.fixture
def make(make_pod: MakePod) -> MakePod:
    def several(node: str = "node1", source: str = "first", rules: str = RULES) -> Router:
        pod = make_pod(node)
        pod.addresses, pod.source = ADDRESSES, source
        pod.put_rules(rules)
        return pod

    return several


def test_a_rule_leaves_from_its_address_and_others_from_the_first(make: MakePod) -> None:
    pod = make().serve()
    assert pod.addresses_on_net1() == {*ALL4, *ALL6}
    assert pod.status().addresses == ",".join([*(f"{ip}/24" for ip in ALL4), *(f"{ip}/64" for ip in ALL6)])
    first, third = Stream(pod.ip4, 5432), Stream(pod.ip4, 5433)
    assert (first.seen["source_ip"], third.seen["source_ip"]) == (EGRESS4, THIRD4)
    assert ask(pod.ip4, 9999)["source_ip"] == EGRESS4
    assert ask(pod.ip6, 5432)["source_ip"] == EGRESS6
    seen = ask(pod.ip6, 53, "UDP")
    assert (seen["source_ip"], seen["source_mac"]) == (SECOND6, MAC)
    assert pod.rule(5433, "TCP")["source_ip"] == THIRD4
    # Another source ends the connections of the rule, and of no other one.
    pod.set_rules(RULES.replace(f"source={THIRD4}", f"source={SECOND4}"))
    assert first.echoes() and not third.echoes()
    assert ask(pod.ip4, 5433)["source_ip"] == SECOND4
    first.close()
    third.close()


def test_a_source_that_is_not_there_is_refused_with_all_rules(make: MakePod) -> None:
    pod = make().serve()
    before = pod.status().rules_hash
    version = pod.put_rules(RULES + "80 TCP 203.0.113.10 source=198.51.100.53\n")
    until(lambda: pod.status().rules_version == version, "the agent dealt with the rules")
    assert (
        "rule 80/TCP of router billing-db: source_ip '198.51.100.53' is not an address of the"
        in pod.status().rules_error
    )
    assert pod.status().rules_hash == before


@pytest.mark.parametrize("forgotten", [False, True], ids=["", "forgotten"])
def test_connections_that_changed_their_source_meanwhile_are_cut(make: MakePod, forgotten: bool) -> None:
    """While nobody looked. `forgotten`: the table too is gone, by which the agent knows what the rules were."""
    pod = make().serve()
    first, third = Stream(pod.ip4, 5432), Stream(pod.ip4, 5433)
    pod.kill()
    if forgotten:
        pod.run("nft flush ruleset")
    pod.put_rules(RULES.replace(f"source={THIRD4}", ""))
    pod.serve()
    until(lambda: source_of(pod) == EGRESS4, "the rules are loaded")
    until(lambda: not third.echoes(), "what left from elsewhere is cut")
    assert first.echoes()
    first.close()
    third.close()


def source_of(pod: Router) -> str:
    """From where a connection leaves; empty while nobody can connect."""
    with contextlib.suppress(OSError):
        return str(ask(pod.ip4, 5433)["source_ip"])
    return ""


def test_spread_takes_all_addresses(make: MakePod) -> None:
    pod = make(source="spread", rules="53 UDP 203.0.113.12\n53 UDP 2001:db8:113::12\n5432 TCP 203.0.113.10\n").serve()
    for client, to, everything in (("10.244.0.1", pod.ip4, ALL4), ("2001:db8:244::1", pod.ip6, ALL6)):
        seen = {port: from_port(client, port, to) for port in range(40000, 40060)}
        used = Counter(seen.values())
        assert used.keys() == set(everything), used
        # A third or a half of sixty, give or take what chance does once in a million times.
        assert min(used.values()) > 60 / len(everything) / 3, used
        pod.run("conntrack -F")
        again = {port: from_port(client, port, to) for port in range(40000, 40060)}
        assert again == seen, "the same client and port leave from the same address"
    assert {ask(pod.ip4, 5432)["source_mac"] for _number in range(5)} == {MAC}


def from_port(client: str, port: int, to: str) -> str:
    """From which address a datagram of a client's port leaves."""

    def body() -> str:
        with socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.settimeout(3)
            datagrams.bind((client, port))
            datagrams.connect((to, 53))
            datagrams.send(b"?")
            return str(json.loads(datagrams.recv(1000))["source_ip"])

    return namespaces.inside("pods", body)


@pytest.mark.parametrize("addresses", [1, 2])
def test_more_connections_than_an_address_has_ports(make: MakePod, addresses: int, record_property: Figure) -> None:
    """To one address and port of a server, which says nothing."""
    pod = make(source="spread", rules="7 UDP 203.0.113.10\n")
    pod.addresses = ADDRESSES[:addresses]
    pod.serve()
    # On a busy machine the flood takes longer than the kernel keeps a connection without answer, which is 30 s.
    pod.run("sysctl -q -w net.netfilter.nf_conntrack_udp_timeout=600")
    # Errors of the server, which has no such port, are as many packets again.
    pod.run("nft add table inet quiet")
    pod.run("nft add chain inet quiet in { type filter hook prerouting priority -400 ; }")
    pod.run("nft add rule inet quiet in iifname net1 ip protocol icmp drop")
    labels = '{destination="203.0.113.10:7",name="",port="7",protocol="UDP"}'
    lost = "egress_router_conntrack_insert_failed_total"
    before = pod.metric(lost)
    namespaces.inside("pods", lambda: flood(pod.ip4))
    used = pod.metric(f"egress_router_rule_source_ports{labels}")
    dropped = pod.metric(lost) - before
    record_property(
        "figure",
        f"{CONNECTIONS} connections to one server from {addresses} addresses: {used:.0f} open, {dropped:.0f} dropped",
    )
    # What is not open is told.
    assert (used, dropped) == ((PORTS, CONNECTIONS - PORTS) if addresses == 1 else (CONNECTIONS, 0))


def flood(to: str) -> None:
    """A datagram from each of so many ports: from all that an address has, each of another client than the ones beside it."""
    # Of two new connections at the very same time the kernel may give both the same port, and drops one.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        clients = [ipaddress.ip_address(f"10.244.0.{host}").packed for host in (201, 202, 203, 204)]
        target = ipaddress.ip_address(to).packed
        for number in range(CONNECTIONS):
            port = 1024 + number % PORTS
            # The first port is of another one when its turn comes again.
            client = clients[(number + number // PORTS) % len(clients)]
            head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0, client, target)
            raw.sendto(head + struct.pack("!HHHH", port, 7, 8, 0), (to, 0))


def test_all_addresses_move_and_are_announced(make: MakePod) -> None:
    first, second = make("node1"), make("node2")
    for pod in (first, second):
        pod.replicas, pod.failover = 2, replace(pod.failover, beat_ms=100, promise_ms=1200, lease_seconds=6)
    first.serve()
    second.start()
    until(lambda: first.status().successor == second.pod and not first.status().successor_error, "there is a successor")
    for address in (*ALL4, *ALL6):
        namespaces.ip(f"-n @outside neigh replace {address} lladdr {SQUATTER} dev seg0 nud stale")
    first.terminate()
    second.wait_serving()
    # Before any traffic, which would tell the gateway too.
    for address in (*ALL4, *ALL6):
        known = f"-n @outside neigh show {address} dev seg0"
        until(lambda known=known: MAC in namespaces.ip(known), f"{address} is announced", 3)
    assert (first.addresses_on_net1(), second.addresses_on_net1()) == (set(), {*ALL4, *ALL6})
    assert [ask(second.ip4, port)["source_ip"] for port in (5432, 5433)] == [EGRESS4, THIRD4]


@pytest.mark.parametrize("address", [f"{SECOND4}/24", f"{SECOND6}/64"])
def test_a_further_address_that_is_in_use(make: MakePod, segment_host: Callable[..., None], address: str) -> None:
    segment_host(SQUATTER, address)
    pod = make().start()
    until(lambda: pod.status().state == "conflict", "the conflict is told")
    assert pod.status().error.startswith(f"{address.partition('/')[0]} is in use by {SQUATTER}, since ")
    assert pod.addresses_on_net1() == set(), "nor are the others taken"
    namespaces.ip("-n @host0 link set eth0 down")
    pod.wait_serving()


def test_an_address_that_somebody_removed_comes_back(make: MakePod) -> None:
    """With the first one, the kernel removes all others of its subnet."""
    pod = make().serve()
    for address in (f"{EGRESS4}/24", f"{THIRD4}/24"):
        pod.run(f"ip addr del {address} dev net1")
        until(lambda: pod.addresses_on_net1() == {*ALL4, *ALL6}, f"{address} is back", 5)
    assert [ask(pod.ip4, port)["source_ip"] for port in (5432, 5433)] == [EGRESS4, THIRD4]
    # Three of the subnet, the route by which they leave, and one.
    until(lambda: pod.log().count("event=repaired") == 5, "that is told")
    always(lambda: pod.log().count("event=repaired") == 5, "nothing is repaired for ever", 1.0)
