# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happens to packets: redirection, source, fallback, refusal, both drops of the forward chain, counters."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.failover import RELAY_PORT
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.router_pod import (
    AGENT_PORT,
    EGRESS4,
    EGRESS6,
    MAC,
    Router,
    Stream,
    ask,
    connect,
)
from ansible_collections.egress.router.tests.support.waiting import until

RULES = """
5432 TCP 203.0.113.10
8080 TCP 203.0.113.11 80 name=web
53 UDP 203.0.113.12
53 TCP 203.0.113.13
"""
RULES6 = """
5432 TCP 2001:db8:113::10
53 UDP 2001:db8:113::12
5432 TCP 203.0.113.10
"""


def test_redirects_tcp_from_the_egress_address_and_mac(router: Router) -> None:
    router.set_rules(RULES)
    seen = ask(router.ip4, 5432)
    assert (seen["source_ip"], seen["source_mac"]) == (EGRESS4, MAC)
    assert (seen["local_ip"], seen["local_port"]) == ("203.0.113.10", 5432)


def test_redirects_to_another_port(router: Router) -> None:
    router.set_rules(RULES)
    seen = ask(router.ip4, 8080)
    assert (seen["local_ip"], seen["local_port"], seen["source_ip"]) == ("203.0.113.11", 80, EGRESS4)


def test_the_same_port_for_udp_and_tcp(router: Router) -> None:
    router.set_rules(RULES)
    udp, tcp = ask(router.ip4, 53, "UDP"), ask(router.ip4, 53, "TCP")
    assert (udp["local_ip"], udp["source_ip"], udp["source_mac"]) == ("203.0.113.12", EGRESS4, MAC)
    assert (tcp["local_ip"], tcp["source_ip"]) == ("203.0.113.13", EGRESS4)


def test_redirects_sctp(router: Router) -> None:
    router.set_rules("7000 SCTP 203.0.113.10 7001\n")

    def listen() -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        listener.bind(("203.0.113.10", 7001))
        listener.listen()
        listener.settimeout(3)
        return listener

    try:
        listener = namespaces.inside("outside", listen)
    except OSError as error:
        # This kernel has no SCTP sockets; that it takes the rule is what can be seen then.
        assert error.errno == 93
        assert router.rule(7000, "SCTP")["target_port"] == 7001
        return

    def call() -> socket.socket:
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        client.settimeout(3)
        client.connect((router.ip4, 7000))
        return client

    with listener, namespaces.inside("pods", call), listener.accept()[0] as accepted:
        assert accepted.getpeername()[0] == EGRESS4


def test_ipv6_and_ipv4_at_once(router: Router) -> None:
    router.set_rules(RULES6)
    seen = ask(router.ip6, 5432)
    assert (seen["source_ip"], seen["source_mac"], seen["local_ip"]) == (EGRESS6, MAC, "2001:db8:113::10")
    assert ask(router.ip6, 53, "UDP")["source_ip"] == EGRESS6
    assert ask(router.ip4, 5432)["source_ip"] == EGRESS4


def test_a_port_without_rule_is_refused(router: Router) -> None:
    router.set_rules(RULES)
    with pytest.raises(ConnectionRefusedError):
        ask(router.ip4, 5433)
    with pytest.raises(ConnectionRefusedError):
        ask(router.ip4, 9999, "UDP")
    with pytest.raises(ConnectionRefusedError):
        ask(router.ip6, 5432)


def test_fallback_takes_every_other_port_but_the_agents(router: Router) -> None:
    router.set_rules(RULES + "fallback 203.0.113.99\n")
    for protocol in ("TCP", "UDP"):
        seen = ask(router.ip4, 9999, protocol)
        assert (seen["local_ip"], seen["source_ip"]) == ("203.0.113.99", EGRESS4)
    assert ask(router.ip4, 5432)["local_ip"] == "203.0.113.10"
    assert router.get("/healthz") == (200, "ok\n")
    with pytest.raises(ConnectionRefusedError):
        ask(router.ip4, RELAY_PORT, "UDP")
    assert router.loaded()["fallback"]["connections"] == 2


def test_fallback_ipv6(router: Router) -> None:
    router.set_rules("fallback 2001:db8:113::99\n")
    assert ask(router.ip6, 9999)["local_ip"] == "2001:db8:113::99"
    with pytest.raises(ConnectionRefusedError):
        ask(router.ip4, 9999)


def test_clients_traffic_that_was_not_redirected_is_dropped(router: Router) -> None:
    """A client that uses the router as a gateway reaches nothing outside."""
    router.set_rules(RULES)
    namespaces.ip(f"-n @pods route add 203.0.113.0/24 via {router.ip4}")
    # The outside knows the way back, so that only the router's forward chain is between.
    namespaces.ip("-n @outside route add 10.244.0.0/24 via 198.51.100.50")
    try:
        with pytest.raises(TimeoutError):
            ask("203.0.113.10", 5432, timeout=0.7)
    finally:
        namespaces.ip("-n @outside route del 10.244.0.0/24")
        namespaces.ip("-n @pods route del 203.0.113.0/24")


def test_hosts_outside_do_not_reach_the_pod_network(router: Router) -> None:
    router.set_rules(RULES)
    listener = namespaces.inside("pods", lambda: socket.create_server(("10.244.0.1", 7777)))
    namespaces.ip("-n @outside route add 10.244.0.0/24 via 198.51.100.50")
    try:
        with pytest.raises(TimeoutError):
            connect("outside", "10.244.0.1", 7777, 0.7)
    finally:
        namespaces.ip("-n @outside route del 10.244.0.0/24")
        listener.close()


def test_the_segment_reaches_nothing_but_ping(router: Router) -> None:
    """Neither the agent's port nor a rule's port, at the egress address or at the pod's."""
    router.set_rules(RULES + "fallback 203.0.113.99\n")
    namespaces.ip(f"-n @outside route add {router.ip4}/32 via {EGRESS4}")
    try:
        for address, port in ((EGRESS4, AGENT_PORT), (EGRESS4, 5432), (router.ip4, AGENT_PORT), (router.ip4, 5432)):
            with pytest.raises(TimeoutError):
                connect("outside", address, port, 0.4)
    finally:
        namespaces.ip(f"-n @outside route del {router.ip4}/32")
    # An answer would take the cluster's network, so it is counted in the pod.
    received = "nstat -asz IcmpInEchos Icmp6InEchos"
    before = router.run(received)
    for family, address in ((4, router.ip4), (6, router.ip6)):
        namespaces.ip(f"-n @outside -{family} route add {address} via {EGRESS4 if family == 4 else EGRESS6}")
        namespaces.run(f"ip netns exec @outside ping -c 1 -W 0.5 {address}", check=False)
        namespaces.ip(f"-n @outside -{family} route del {address}")
    assert router.run(received) == before
    namespaces.run(f"ip netns exec @outside ping -c 1 -W 2 {EGRESS4}")
    namespaces.run(f"ip netns exec @outside ping -6 -c 1 -W 2 {EGRESS6}")


def test_icmp_errors_of_a_redirected_connection_come_back(router: Router) -> None:
    router.set_rules("7 UDP 203.0.113.10\n")
    with pytest.raises(ConnectionRefusedError):
        ask(router.ip4, 7, "UDP")


def test_counters(router: Router) -> None:
    router.set_rules("")
    router.set_rules(RULES)
    for _attempt in range(3):
        ask(router.ip4, 5432)
    ask(router.ip4, 53, "UDP")
    until(lambda: router.rule(5432, "TCP")["packets"] >= 18, "packets of three connections, both directions")
    tcp, udp, other = router.rule(5432, "TCP"), router.rule(53, "UDP"), router.rule(8080, "TCP")
    assert tcp["connections"] == 3 and tcp["bytes"] > tcp["packets"] * 40
    assert (udp["connections"], udp["packets"]) == (1, 2)
    assert (other["connections"], other["packets"], other["bytes"], other["name"]) == (0, 0, 0, "web")
    assert (
        router.metric(
            'egress_router_rule_connections_total{destination="203.0.113.10:5432",name="",port="5432",protocol="TCP"}'
        )
        == 3
    )


def test_a_rule_change_keeps_the_others_connections_and_counters(router: Router) -> None:
    router.set_rules("")
    router.set_rules("5432 TCP 203.0.113.10\n5433 TCP 203.0.113.10\n80 TCP 203.0.113.10\n53 UDP 203.0.113.10\n")
    staying, revoked, changed = (Stream(router.ip4, port) for port in (5432, 5433, 80))
    before = router.rule(5432, "TCP")
    assert staying.echoes() and revoked.echoes() and changed.echoes()

    router.set_rules("5432 TCP 203.0.113.10 name=db\n80 TCP 203.0.113.11\n9999 TCP 203.0.113.10\n")

    assert staying.echoes(), "the connection of the rule that stayed"
    assert revoked.reset(), "the connection of the revoked rule"
    assert changed.reset(), "the connection of the rule that leads elsewhere now"
    after = router.rule(5432, "TCP")
    assert after["connections"] == before["connections"] == 1
    assert after["packets"] > before["packets"]
    assert after["name"] == "db"
    assert router.rule(80, "TCP")["connections"] <= 1, "a rule that leads elsewhere counts from zero"
    assert ask(router.ip4, 80)["local_ip"] == "203.0.113.11"
    assert ask(router.ip4, 9999)["local_ip"] == "203.0.113.10"
    with pytest.raises(ConnectionRefusedError):
        ask(router.ip4, 5433)
    staying.close()


def test_many_rules_revoked_at_once(router: Router) -> None:
    """So many that the connections are looked at first; both families."""
    many = "".join(f"{port} TCP 203.0.113.10 5432\n{port} TCP 2001:db8:113::10 5432\n" for port in range(3000, 3100))
    router.set_rules("5432 TCP 203.0.113.10\n" + many)
    staying = Stream(router.ip4, 5432)
    revoked = [Stream(router.ip4, 3000), Stream(router.ip4, 3099), Stream(router.ip6, 3050)]
    router.set_rules("5432 TCP 203.0.113.10\n")
    assert [stream.reset() for stream in revoked] == [True] * 3
    assert staying.echoes()
    staying.close()


def test_a_new_fallback_cuts_the_connections_of_the_old_one(router: Router) -> None:
    router.set_rules("5432 TCP 203.0.113.10\nfallback 203.0.113.98\n")
    staying, old = Stream(router.ip4, 5432), Stream(router.ip4, 9999)
    router.set_rules("5432 TCP 203.0.113.10\nfallback 203.0.113.99\n")
    assert staying.echoes() and old.reset()
    assert ask(router.ip4, 9999)["local_ip"] == "203.0.113.99"
    router.set_rules("5432 TCP 203.0.113.10\n")
    with pytest.raises(ConnectionRefusedError):
        ask(router.ip4, 9999)


def test_the_default_route_of_eth0_stays(router: Router) -> None:
    assert json.loads(router.run("ip -j route show default"))[0]["dev"] == "eth0"
    assert json.loads(router.run("ip -j route get 203.0.113.10 from 10.244.0.1 iif eth0"))[0]["dev"] == "net1"


@pytest.mark.parametrize(("client", "family"), [("198.51.100.77", 4), ("2001:db8:51::77", 6)])
def test_a_client_whose_address_is_in_the_egress_subnet(router: Router, client: str, family: int) -> None:
    """A node, where net1's parent is the node's own interface: its answers take the cluster's network."""
    router.set_rules(RULES6)
    pod = router.ip4 if family == 4 else router.ip6
    namespaces.ip(f"-n @pods addr add {client}/{32 if family == 4 else 128} dev lo" + (" nodad" if family == 6 else ""))
    try:
        assert ask(pod, 5432, source=client)["source_ip"] == (EGRESS4 if family == 4 else EGRESS6)
        assert router.get("/healthz", pod, client)[0] == 200
    finally:
        namespaces.ip(f"-n @pods addr del {client}/{32 if family == 4 else 128} dev lo")


def test_what_the_pod_sends_from_an_egress_address_leaves_by_net1(router: Router) -> None:
    for source, outside in ((EGRESS4, "203.0.113.10"), (EGRESS6, "2001:db8:113::10")):
        assert json.loads(router.run(f"ip -j route get {outside} from {source}"))[0]["dev"] == "net1"
        listed = router.run(f"ip -{6 if ':' in source else 4} route show table main dev net1")
        assert [line for line in listed.splitlines() if not line.startswith("fe80::/64")] == []


@pytest.fixture
def narrow_pod_network(router: Router) -> Iterator[None]:
    """The cluster's network is an overlay: its packets are smaller than those of the segment."""
    namespaces.ip(f"-n @{router.pod} link set eth0 mtu 1400")
    for family in (4, 6):
        # What earlier tests have told the servers.
        namespaces.ip(f"-n @outside -{family} route flush cache")
    yield
    namespaces.ip(f"-n @{router.pod} link set eth0 mtu 1500")


@pytest.mark.usefixtures("narrow_pod_network")
def test_tcp_segments_fit_both_networks(router: Router) -> None:
    router.set_rules(RULES6)
    # Servers that never hear of a smaller path.
    block = "nft add table inet block; add chain inet block c { type filter hook prerouting priority -300; }; "
    block += "add rule inet block c icmp type destination-unreachable drop; "
    block += "add rule inet block c icmpv6 type packet-too-big drop"
    namespaces.run(f"ip netns exec @outside nft {block.removeprefix('nft ')}")
    try:
        for address in (router.ip4, router.ip6):
            with connect("pods", address, 5432) as connection:
                reader = connection.makefile("rb")
                reader.readline()
                line = b"x" * 30000 + b"\n"
                connection.sendall(line)
                assert reader.readline() == line
    finally:
        namespaces.run("ip netns exec @outside nft delete table inet block")


@pytest.mark.usefixtures("narrow_pod_network")
@pytest.mark.parametrize("family", [4, 6])
def test_a_server_is_told_that_its_packets_are_too_big(router: Router, family: int) -> None:
    server = "203.0.113.10" if family == 4 else "2001:db8:113::10"
    router.set_rules(f"7000 UDP {server}\n")
    option, discover, mtu = (socket.IPPROTO_IP, 10, 14) if family == 4 else (socket.IPPROTO_IPV6, 23, 24)

    def body() -> socket.socket:
        made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        made.setsockopt(option, discover, 2)
        if family == 6:
            # IPV6_FREEBIND: a whole network of servers is on the outside's lo.
            made.setsockopt(option, 78, 1)
        made.bind((server, 7000))
        made.settimeout(3)
        return made

    with (
        namespaces.inside("outside", body) as answering,
        connect("pods", router.ip4 if family == 4 else router.ip6, 7000, kind=socket.SOCK_DGRAM) as client,
    ):
        client.send(b"?")
        peer = answering.recvfrom(10)[1]
        assert peer[0] == (EGRESS4 if family == 4 else EGRESS6)
        answering.connect(peer)
        answering.send(b"x" * 1440)
        until(lambda: answering.getsockopt(option, mtu) == 1400, "the server knows how big its packets may be", 5)


def test_source_ports_that_run_out_are_seen(router: Router) -> None:
    """The kernel chooses from 1024 to 65535; here all but a few are taken."""
    router.set_rules("5432 TCP 203.0.113.10\n")
    labels = '{destination="203.0.113.10:5432",name="",port="5432",protocol="TCP"}'
    streams = [Stream(router.ip4, 5432) for _number in range(3)]
    assert router.metric(f"egress_router_rule_source_ports{labels}") >= 3
    assert router.metric("egress_router_source_ports") == 64512
    failed, dropped = (f"egress_router_conntrack_{name}_total" for name in ("insert_failed", "drop"))
    before = router.metric(failed), router.metric(dropped)
    # No other port than those: the next connection from the same source port of another client clashes.
    router.run("nft add table ip narrow")
    router.run("nft add chain ip narrow post { type nat hook postrouting priority 50 ; }")
    router.run(f"nft add rule ip narrow post oifname net1 tcp dport 5432 snat to {EGRESS4}:20000")
    try:
        first = Stream(router.ip4, 5432)
        with pytest.raises(OSError):
            ask(router.ip4, 5432, timeout=1.0)
        first.close()
    finally:
        router.run("nft delete table ip narrow")
    assert router.metric(failed) + router.metric(dropped) > sum(before)
    for stream in streams:
        stream.close()
