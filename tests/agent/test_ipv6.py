# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What IPv6 has of its own, or does in another way than IPv4: gateways, path MTU, fragments, errors, headers, advertisements."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import socket
import struct
from collections.abc import Iterator

import pytest
from egress_router.net import checksum
from egress_router.segment import frames

from ansible_collections.egress.router.plugins.module_utils._contract.identity import EgressAddress
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.router_pod import (
    EGRESS4,
    EGRESS6,
    MAC,
    Router,
    ask,
    connect,
)
from ansible_collections.egress.router.tests.support.waiting import always, until

GATEWAY_MAC = "02:00:5e:00:53:01"
LINK_LOCAL_GATEWAY = "fe80::5eff:fe00:5301"
SERVERS = {4: "203.0.113.10", 6: "2001:db8:113::10"}
EGRESS = {4: EGRESS4, 6: EGRESS6}
# Behind a narrow line.
FAR = {4: "192.0.2.10", 6: "2001:db8:192::10"}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
# Of linux/in.h and linux/in6.h: IP_MTU_DISCOVER with IP_PMTUDISC_DO, and IP_MTU; Python does not name them.
PATH_MTU = {4: (socket.IPPROTO_IP, 10, 14), 6: (socket.IPPROTO_IPV6, 23, 24)}
_DO = 2
_RECVERR, _FREEBIND = 25, 78
# A header of eight bytes with nothing but padding (RFC 8200, 4.2).
PADDING = b"\x00\x00\x01\x04\x00\x00\x00\x00"


def address(router: Router, family: int) -> str:
    return router.ip4 if family == 4 else router.ip6


@contextlib.contextmanager
def server(family: int, namespace: str = "outside", ip: str = "") -> Iterator[socket.socket]:
    """A socket for datagrams of one of the servers."""

    def body() -> socket.socket:
        made = socket.socket(FAMILIES[family], socket.SOCK_DGRAM)
        if family == 6:
            # A whole network of servers is on the outside's lo.
            made.setsockopt(socket.IPPROTO_IPV6, _FREEBIND, 1)
        made.settimeout(3)
        made.bind((ip or SERVERS[family], 7000))
        return made

    with namespaces.inside(namespace, body) as made:
        yield made


@pytest.fixture(scope="module")
def narrow() -> Iterator[None]:
    """Servers behind a line with packets smaller than those of the segment and of the pods' network."""
    namespaces.add("far")
    namespaces.ip("-n @outside link add far type veth peer name eth0 netns @far")
    for name, interface, host in (("outside", "far", 1), ("far", "eth0", 10)):
        namespaces.ip(f"-n @{name} link set {interface} mtu 1400 up")
        namespaces.ip(f"-n @{name} addr add 192.0.2.{host}/24 dev {interface}")
        namespaces.ip(f"-n @{name} addr add 2001:db8:192::{host}/64 dev {interface} nodad")
    namespaces.ip("-n @far route add default via 192.0.2.1")
    namespaces.ip("-n @far -6 route add default via 2001:db8:192::1")
    yield
    namespaces.remove_from_segment("far")


def test_a_gateway_that_is_link_local(make_pod) -> None:
    pod: Router = make_pod()
    pod.addresses = (EgressAddress(f"{EGRESS6}/64", LINK_LOCAL_GATEWAY),)
    pod.put_rules("5432 TCP 2001:db8:113::10\n")
    pod.serve()
    seen = ask(pod.ip6, 5432)
    assert (seen["source_ip"], seen["source_mac"]) == (EGRESS6, MAC)
    assert pod.metric(f'egress_router_gateway_answers{{gateway="{LINK_LOCAL_GATEWAY}"}}') == 1
    # Its own link-local address, with which it asks, is that of the router's MAC address for nobody else.
    until(lambda: pod.ready()[0] == 200, "it serves")


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("family", [4, 6])
def test_a_client_is_told_that_its_packets_are_too_big(router: Router, family: int) -> None:
    """By a router behind the gateway; servers are told in test_datapath.py."""
    router.set_rules(f"7000 UDP {FAR[family]}\n")
    level, discover, mtu = PATH_MTU[family]
    namespaces.ip(f"-n @pods -{family} route flush cache")
    with (
        server(family, "far", FAR[family]) as answering,
        connect("pods", address(router, family), 7000, kind=socket.SOCK_DGRAM) as client,
    ):
        client.setsockopt(level, discover, _DO)
        client.send(b"x" * 1400)
        until(lambda: client.getsockopt(level, mtu) == 1400, "the client knows how big its packets may be", 5)
        with contextlib.suppress(OSError):
            # What was told, as an error.
            client.send(b"?")
        client.send(b"x" * 1300)
        data, peer = answering.recvfrom(2000)
        while len(data) < 1300:
            data, peer = answering.recvfrom(2000)
        assert (len(data), peer[0]) == (1300, EGRESS[family])


@pytest.mark.parametrize("family", [4, 6])
def test_fragments_both_ways(router: Router, family: int) -> None:
    router.set_rules(f"7000 UDP {SERVERS[family]}\n")
    with server(family) as answering, connect("pods", address(router, family), 7000, kind=socket.SOCK_DGRAM) as client:
        client.send(b"x" * 5000)
        data, peer = answering.recvfrom(9000)
        assert (len(data), peer[0]) == (5000, EGRESS[family])
        answering.sendto(b"y" * 5000, peer)
        assert client.recv(9000) == b"y" * 5000


@pytest.mark.parametrize(
    ("destination", "error"),
    [("2001:db8:113::10", errno.ECONNREFUSED), ("2001:db8:115::10", errno.ENETUNREACH)],
    ids=["port unreachable", "no route"],
)
def test_errors_come_back_to_the_client(router: Router, destination: str, error: int) -> None:
    router.set_rules(f"7 UDP {destination}\n")
    with connect("pods", router.ip6, 7, kind=socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.IPPROTO_IPV6, _RECVERR, 1)
        client.send(b"?")
        with pytest.raises(OSError) as caught:
            client.recv(10)
        assert caught.value.errno == error
        _data, ancillary, _flags, _address = client.recvmsg(100, 200, socket.MSG_ERRQUEUE)
    # struct sock_extended_err: who says it is in the packet's source, whose packet it was the client has known as its own.
    assert any(level == socket.IPPROTO_IPV6 for level, _kind, _content in ancillary)


@pytest.mark.parametrize(
    "option", [socket.IPV6_DSTOPTS, socket.IPV6_HOPOPTS], ids=["destination options", "hop-by-hop"]
)
def test_extension_headers(router: Router, option: int) -> None:
    router.set_rules("53 UDP 2001:db8:113::12\n")
    with connect("pods", router.ip6, 53, kind=socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.IPPROTO_IPV6, option, PADDING)
        client.send(b"?")
        seen = json.loads(client.recv(2000))
    assert (seen["source_ip"], seen["local_ip"]) == (EGRESS6, "2001:db8:113::12")


def advertisement(prefix: str) -> bytes:
    """The frame of a router advertisement (RFC 4861, 4.2) of the gateway: a default router, and a prefix for everybody's addresses."""
    source, group = ipaddress.ip_address(LINK_LOCAL_GATEWAY).packed, ipaddress.ip_address("ff02::1").packed
    network = ipaddress.ip_address(prefix).packed
    body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    body += struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + network
    pseudo = source + group + struct.pack("!II", len(body), socket.IPPROTO_ICMPV6)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), socket.IPPROTO_ICMPV6, 255) + source + group
    return frames.mac_bytes("33:33:00:00:00:01") + frames.mac_bytes(GATEWAY_MAC) + b"\x86\xdd" + header + body


def test_router_advertisements_are_ignored(router: Router, segment_host) -> None:
    segment_host("02:42:00:00:00:77")

    def body() -> socket.socket:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        raw.bind(("seg0", 0))
        return raw

    with namespaces.inside("outside", body) as raw:

        def taken() -> bool:
            # A host whose interface is new does not listen at once.
            raw.send(advertisement("2001:db8:99::"))
            return "2001:db8:99:" in namespaces.ip("-n @host0 addr show dev eth0")

        # Another host takes it for what it is.
        until(taken, "the host has an address of the prefix", every=0.2)
    assert "via fe80::" in namespaces.ip("-n @host0 -6 route show default")

    def untouched() -> bool:
        routes = namespaces.ip(f"-n @{router.pod} -6 route show table all dev net1")
        return (
            router.addresses_on_net1() == {EGRESS4, EGRESS6}
            and "proto ra" not in routes
            and "2001:db8:99:" not in routes
        )

    assert untouched()
    always(untouched, "nothing of it is in the pod", 0.5)
    assert router.metric('egress_router_drift_repairs_total{kind="route"}') == 0


def test_the_address_is_usable_at_once_and_defended(router: Router, segment_host) -> None:
    """The kernel does not ask again for what the agent has asked for; and whoever asks for it is told whose it is."""
    (shown,) = [
        one for one in json.loads(router.run("ip -j addr show dev net1"))[0]["addr_info"] if one["local"] == EGRESS6
    ]
    assert "tentative" not in shown and "dadfailed" not in shown
    segment_host("02:42:00:00:00:78")
    namespaces.set_sysctls("host0", {"net.ipv6.conf.eth0.accept_dad": "1", "net.ipv6.conf.all.accept_dad": "1"})
    namespaces.ip(f"-n @host0 addr add {EGRESS6}/64 dev eth0")
    until(lambda: "dadfailed" in namespaces.ip("-n @host0 addr show dev eth0"), "the other host does without it", 5)
    assert router.status().state == "serving" and router.addresses_on_net1() == {EGRESS4, EGRESS6}
