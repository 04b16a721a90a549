# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Established connections go on when the address moves: the kernels of two and three pods, and real packets."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from egress_router.config import Address, Config
from egress_router.kernel import ports
from egress_router.kernel.fence import Fence
from egress_router.kernel.firewall import Firewall
from egress_router.kernel.network import Network
from egress_router.net import checksum
from egress_router.relay import flows as relay_flows
from egress_router.relay import guard, rules, tunnel
from egress_router.relay.flows import Assembly, Flows, Parcel, limited, without
from egress_router.relay.former import Former
from egress_router.relay.holder import Holder
from egress_router.segment import conflict

from ansible_collections.egress.router.plugins.module_utils._contract.failover import RELAY_PORT
from ansible_collections.egress.router.plugins.module_utils._contract.rules import parse
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.echoes import Echoes, streams
from ansible_collections.egress.router.tests.support.router_pod import (
    CAPABILITIES,
    EGRESS4,
    EGRESS6,
    ENTER_USER_NAMESPACE,
    GATEWAY4,
    GATEWAY6,
    MAC,
    Stream,
    ask,
    connect,
)
from ansible_collections.egress.router.tests.support.waiting import until

T = TypeVar("T")
# With a fallback, which takes every port that nobody else has.
RULES = """
5432 TCP 203.0.113.10
5432 TCP 2001:db8:113::10
53 UDP 203.0.113.12
7000 UDP 203.0.113.10
7000 UDP 2001:db8:113::10
6000 TCP 203.0.113.10
6001 TCP 198.51.100.1
fallback 203.0.113.99
"""
# A connection may stand still for half a second; a busy machine adds to it.
STALL = 5.0
# The cluster's network is an overlay.
MTU = 1450
ADDRESSES = [ipaddress.ip_address(EGRESS4), ipaddress.ip_address(EGRESS6)]
_numbers = itertools.count(120)
# In the server's namespace: the router hears nothing.
LATE = f"table ip late {{ chain output {{ type filter hook output priority 0; ip daddr {EGRESS4} drop; }}; }}"
# Packets at a time, and SO_RCVBUFFORCE for them.
MANY, _RECEIVE_BYTES = 400, 33


class Pod:
    """A pod's kernel with the parts of the agent that move the address and relay, and no agent."""

    def __init__(
        self,
        node: str,
        replicas: int = 2,
        cluster: int = 4,
        user_namespace: bool = False,
        more: Sequence[str] = (),
        rules: str = RULES,
    ) -> None:
        self.number = next(_numbers)
        self.name = f"relay{self.number}"
        self.node = node
        self.ip4, self.ip6 = f"10.244.0.{self.number}", f"2001:db8:244::{self.number}"
        ips = ipaddress.ip_address(self.ip4), ipaddress.ip_address(self.ip6)
        self.ip = ips[0] if cluster == 4 else ips[1]
        namespaces.add_pod(self.name, node, self.number, user_namespace=user_namespace)
        namespaces.ip(f"-n @{self.name} link set eth0 mtu {MTU}")
        namespaces.ip(f"-n @pods link set {self.name} mtu {MTU}")
        self.config = Config(
            router="billing-db",
            namespace="payments",
            pod=self.name,
            node=node,
            pod_uid="uid",
            pod_ips=ips if cluster == 4 else ips[::-1],
            addresses=(
                Address(ipaddress.ip_interface(f"{EGRESS4}/24"), ipaddress.ip_address(GATEWAY4)),
                *(Address(ipaddress.ip_interface(f"{ip}/24"), ipaddress.ip_address(GATEWAY4)) for ip in more),
                Address(ipaddress.ip_interface(f"{EGRESS6}/64"), ipaddress.ip_address(GATEWAY6)),
            ),
            mac=MAC,
            replicas=replicas,
        )
        self._rules = parse(rules)
        self.do(self._prepare)

    def do(self, call: Callable[[], T]) -> T:
        return namespaces.inside(self.name, call)

    def _prepare(self) -> None:
        self.fence = Fence()
        self.firewall = Firewall(self.config, self.fence)
        self.network = Network(self.config)
        self.former = Former(self.config, self.fence)
        self.holder = Holder(self.config, self.fence)
        self.network.prepare()
        self.firewall.adopt()
        self.firewall.apply(self._rules)
        self.network.secure()

    def close(self) -> None:
        """Without it pyroute2 leaves descriptors, and libnftables takes none above 1023."""
        namespaces.remove(self.name)
        tables = self.fence._nft, self.firewall._nft, self.firewall._reader
        guards = self.former._guard._reader, self.holder._guard._reader
        for table in (*tables, *guards):
            table._netlink.close()
        for part in (self.network, self.former._tunnels, self.holder._tunnels):
            part._ipr.close()

    def serve(self) -> None:
        def body() -> None:
            number = self.fence.permit(None)
            assert self.fence.grant(number, number)
            self.network.set_up()
            self.network.claim()
            assert self.network.take(lambda: True)
            announcer = conflict.Announcer("net1")
            announcer.announce(MAC, [address.ip for address in self.config.addresses])
            announcer.close()

        self.do(body)

    def choose_ports(self) -> None:
        def body() -> None:
            self.firewall.use_ports(self.holder.ports(self.firewall.ports))
            self.holder.reserve(self.firewall.ports)

        self.do(body)

    def give_up(self) -> None:
        def body() -> None:
            self.fence.drop()
            self.network.release()

        self.do(body)

    def run(self, command: str) -> str:
        return namespaces.run(f"ip netns exec @{self.name} {command}")

    def state(self) -> str:
        """Everything that a relay may leave. Without the kernel's own link-local addresses, which come some time later."""
        lists = (
            "ip -br link",
            "ip -br addr show scope global",
            "ip route show table all",
            "ip -6 route show table all",
            "ip rule",
            "ip neigh show nud permanent",
            "nft list tables",
        )
        lines = "".join(self.run(command) for command in lists).splitlines()
        return "\n".join(line for line in lines if "fe80:" not in line or "relay" in line)


def send(old: Pod, new: Pod, flows: Flows, number: int = 1) -> None:
    """As the agents' messages do."""
    parcel, assembly = Parcel(number, flows), Assembly()
    for chunk in parcel.left:
        new.do(lambda chunk=chunk: new.holder.add(old.ip, assembly.add(chunk)))
        parcel.received(assembly.receipt())
    assert assembly.complete and not parcel.left


def move(old: Pod, new: Pod, *others: Pod) -> float:
    """The address goes from `old` to `new`, and what `others` relay through `old` goes with it.

    Returns when `old` had given it up.
    """
    old.do(lambda: old.former.open(new.ip))
    new.do(lambda: new.holder.open(old.ip, 60))
    early = old.do(old.former.flows)
    send(old, new, early)
    new.choose_ports()
    old.give_up()
    gone = time.time()
    send(old, new, without(old.do(old.former.flows), early), 2)
    new.serve()
    new.do(new.former.close)
    for other in others:
        new.do(lambda other=other: new.holder.open(other.ip, 60))
        send(other, new, other.do(other.former.flows))
        other.do(lambda other=other: other.former.open(new.ip))
    new.choose_ports()
    old.do(old.holder.close_all)
    return gone


@pytest.fixture
def make(network: None) -> Iterator[Callable[..., Pod]]:
    made: list[Pod] = []

    def body(node: str, **more: Any) -> Pod:
        made.append(Pod(node, **more))
        return made[-1]

    yield body
    for pod in made:
        pod.close()


@pytest.fixture
def pods(make: Callable[..., Pod]) -> tuple[Pod, Pod]:
    old, new = make("node1"), make("node2")
    old.serve()
    return old, new


def say(stream: socket.socket, text: bytes = b"there") -> bool:
    """Whether the server says the same; False if nothing comes."""
    try:
        stream.sendall(text)
        return hear(stream, text)
    except TimeoutError:
        return False


def hear(stream: socket.socket, text: bytes) -> bool:
    heard = b""
    while len(heard) < len(text):
        heard += stream.recv(len(text))
    return heard == text


@pytest.mark.parametrize("cluster", [4, 6], ids=["cluster-ipv4", "cluster-ipv6"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_connection_survives_a_move(
    make: Callable[..., Pod], family: int, cluster: int, record_property: Callable[[str, object], None]
) -> None:
    old, new = make("node1", cluster=cluster), make("node2", cluster=cluster)
    old.serve()
    address = old.ip4 if family == 4 else old.ip6
    small, large = Echoes(streams(address, 20)), Echoes(streams(address, 1), 60000)
    small.go_on()
    large.go_on()
    move(old, new)
    small.go_on(20)
    large.go_on(20)
    stalls = small.stop(), large.stop()
    record_property(
        "figure",
        f"IPv{family} over IPv{cluster}: longest wait in a move {stalls[0]:.3f} s, with 60 KB messages {stalls[1]:.3f} s",
    )
    assert max(stalls) < STALL
    counted = new.run("nft list table netdev " + rules.table_name(tunnel.number(old.ip)))
    assert " packets 0 " not in next(
        line for line in counted.splitlines() if "fwd" in line and f"@flows{family}" in line
    )


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("early", [True, False], ids=["from a moment before", "from then on"])
def test_packets_wait_until_the_new_pod_serves(pods: tuple[Pod, Pod], early: bool, family: int) -> None:
    """A datagram is sent once: it is not lost while nobody serves."""
    old, new = pods
    with connect("pods", old.ip4 if family == 4 else old.ip6, 7000, kind=socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(5)
        listener = namespaces.inside("outside", lambda: _listener(family))
        with listener:
            datagrams.send(b"before")
            listener.sendto(*listener.recvfrom(100))
            assert datagrams.recv(100) == b"before"
            old.do(lambda: old.former.open(new.ip, waiting=True))
            new.do(lambda: new.holder.open(old.ip, 60))
            send(old, new, old.do(old.former.flows))
            new.choose_ports()
            if early:
                # Addresses and fence are as before.
                old.do(old.network.divert)
                assert old.do(old.network.taken) and old.fence.serves
            else:
                old.give_up()
            # More than the kernel keeps by itself.
            for number in range(MANY):
                datagrams.send(b"%d" % number)
            if early:
                old.give_up()
            new.serve()
            _let_through(old, listener)


@pytest.mark.parametrize("family", [4, 6])
def test_packets_wait_for_the_next_one_too(make: Callable[..., Pod], family: int) -> None:
    """They go through a tunnel already, which leads to the next pod from now on: the device is the same, and none is lost."""
    first, second, third = (make(node, replicas=3) for node in ("node1", "node2", "node1"))
    first.serve()
    with connect("pods", first.ip4 if family == 4 else first.ip6, 7000, kind=socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(5)
        with namespaces.inside("outside", lambda: _listener(family)) as listener:
            datagrams.send(b"before")
            listener.sendto(*listener.recvfrom(100))
            assert datagrams.recv(100) == b"before"
            move(first, second)
            third.do(lambda: third.holder.open(first.ip, 60))
            send(first, third, first.do(first.former.flows))
            third.choose_ports()
            device = first.run("ip -o link show relay").partition(":")[0]
            first.do(lambda: first.former.open(third.ip, waiting=True))
            second.give_up()
            for number in range(MANY):
                datagrams.send(b"%d" % number)
            third.serve()
            _let_through(first, listener)
            assert first.former.holder == third.ip and first.run("ip -o link show relay").partition(":")[0] == device
            assert third.run(f"ip -4 -o addr show {tunnel.far_name(first.ip)}")
            # Who may send here is the new one.
            peers = first.run("nft list table inet egress_router_relay")
            assert str(third.ip) in peers and str(second.ip) not in peers


def _let_through(pod: Pod, listener: socket.socket) -> None:
    """What waits arrives then, and not before."""
    with pytest.raises(TimeoutError):
        listener.recv(100)
    pod.do(pod.former.let_through)
    listener.settimeout(5)
    assert [listener.recv(100) for _number in range(MANY)] == [b"%d" % number for number in range(MANY)]


def _listener(family: int) -> socket.socket:
    made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    level, free = (socket.IPPROTO_IP, 15) if family == 4 else (socket.IPPROTO_IPV6, 78)
    made.setsockopt(level, free, 1)
    made.bind(("203.0.113.10" if family == 4 else "2001:db8:113::10", 7000))
    made.setsockopt(socket.SOL_SOCKET, _RECEIVE_BYTES, 1 << 22)
    made.settimeout(0.3)
    return made


def test_without_a_relay_it_breaks(pods: tuple[Pod, Pod]) -> None:
    old, new = pods
    stream = Stream(old.ip4, 5432)
    assert stream.echoes()
    old.give_up()
    new.serve()
    assert not stream.echoes()
    stream.close()


class Frames(threading.Thread):
    """What arrived at a switch port, and when: frames with the router's MAC address or an egress address as their source."""

    def __init__(self, port: str) -> None:
        super().__init__(daemon=True)
        self.times: list[float] = []
        self._ended = threading.Event()
        self._raw = namespaces.inside("outside", lambda: self._socket(port))
        self.start()

    @staticmethod
    def _socket(port: str) -> socket.socket:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        raw.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        raw.bind((port, 0))
        raw.settimeout(0.2)
        return raw

    def run(self) -> None:
        mac = bytes.fromhex(MAC.replace(":", ""))
        sources = {14 + 12: ADDRESSES[0].packed, 14 + 8: ADDRESSES[1].packed}
        while not self._ended.is_set():
            try:
                frame, ancillary, _flags, (_name, _protocol, direction, *_rest) = self._raw.recvmsg(200, 100)
            except TimeoutError:
                continue
            own = frame[6:12] == mac or any(frame[at : at + len(ip)] == ip for at, ip in sources.items())
            if own and direction != socket.PACKET_OUTGOING:
                (seconds, nanoseconds) = struct.unpack_from("qq", ancillary[0][2])
                self.times.append(seconds + nanoseconds / 1e9)

    def stop(self) -> list[float]:
        self._ended.set()
        self.join()
        self._raw.close()
        return self.times


@pytest.fixture
def record() -> Iterator[Callable[[str], Frames]]:
    """Begins to record what arrives at a switch port."""
    begun: list[Frames] = []

    def begin(port: str) -> Frames:
        begun.append(Frames(port))
        return begun[-1]

    yield begin
    for frames in begun:
        frames.stop()


# SO_TIMESTAMPNS: when the kernel got it, however late it is read.
_TIMESTAMPS = 35


def test_200_connections_udp_and_bulk(
    pods: tuple[Pod, Pod], record: Callable[[str], Frames], record_property: Callable[[str, object], None]
) -> None:
    """And neither the router's MAC address nor its addresses leave the old pod by net1 any more."""
    old, new = pods
    segment = record("node1"), record("node2")
    datagrams = connect("pods", old.ip4, 53, 3.0, socket.SOCK_DGRAM)
    datagrams.send(b"?")
    source = json.loads(datagrams.recv(1000))["source_port"]
    many, bulk = Echoes(streams(old.ip4, 200)), Echoes(streams(old.ip6, 2), 1_000_000, 0)
    many.go_on(2)
    bulk.go_on(2)
    gone = move(old, new)
    many.go_on()
    bulk.go_on()
    datagrams.send(b"?")
    assert json.loads(datagrams.recv(1000))["source_port"] == source
    stalls = many.stop(), bulk.stop()
    record_property(
        "figure", f"200 connections: longest wait in a move {stalls[0]:.3f} s, bulk both ways {stalls[1]:.3f} s"
    )
    left, taken = (port.stop() for port in segment)
    assert left and max(left) <= gone < min(taken)
    assert stalls[0] < STALL


def test_new_connections_use_the_new_pod(pods: tuple[Pod, Pod]) -> None:
    old, new = pods
    stream = Stream(old.ip4, 5432)
    move(old, new)
    seen = ask(new.ip4, 5432)
    assert (seen["source_ip"], seen["source_mac"]) == (EGRESS4, MAC)
    for port, protocol in ((5432, "TCP"), (53, "UDP")):
        with pytest.raises(ConnectionRefusedError):
            ask(old.ip4, port, protocol)
    assert [old.do(old.former.flows)] == [stream_flow(stream)], "nothing has become of those"
    assert stream.echoes()
    first, last = new.firewall.ports
    assert first <= ask(new.ip4, 5432)["source_port"] <= last
    assert not first <= stream.seen["source_port"] <= last, "the pods use different ports"
    with contextlib.closing(Stream(new.ip4, 5432)) as own:
        new.do(lambda: new.firewall.use_ports(old.firewall.ports))
        assert own.echoes() and stream.echoes(), "other ports are for others"
        assert not first <= ask(new.ip4, 5432)["source_port"] <= last
    stream.close()


def stream_flow(stream: Stream) -> Flows:
    server = ipaddress.ip_address(stream.seen["local_ip"]).packed
    return {relay_flows.Server(6, server, stream.seen["local_port"]): [stream.seen["source_port"]]}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("late", [False, True])
def test_a_relayed_connections_port_is_not_used_again(pods: tuple[Pod, Pod], family: int, late: bool) -> None:
    """Where there are more pods than parts of the ports. Here all but one of the new pod's ports are relayed ones."""
    old, new = pods
    before, after = (old.ip4, new.ip4) if family == 4 else (old.ip6, new.ip6)
    old.do(lambda: old.firewall.use_ports((2000, 2004)))
    opened = [Stream(before, 5432) for _number in range(4)]
    (free,) = {2000, 2001, 2002, 2003, 2004} - {stream.seen["source_port"] for stream in opened}
    move(old, new)
    new.do(lambda: new.firewall.use_ports((2000, 2004)))
    new.do(lambda: new.holder.reserve((2000, 2004)))
    if late:
        new.do(new.holder.close_all)
        new.do(lambda: new.holder.open(old.ip, 60))
        new.do(lambda: new.holder.reserve((2000, 2004)))
        send(old, new, old.do(old.former.flows))
    with contextlib.closing(Stream(after, 5432)) as stream:
        assert stream.seen["source_port"] == free
        with pytest.raises(TimeoutError):
            ask(after, 5432, timeout=0.5)
        assert all(other.echoes() for other in [stream, *opened])
    new.do(new.holder.close_all)
    assert "mark=3870359552" not in new.run("conntrack -L"), "nothing is reserved any more"
    for other in opened:
        other.close()


@pytest.mark.parametrize("family", [4, 6])
def test_new_connections_at_the_old_pod(pods: tuple[Pod, Pod], record: Callable[[str], Frames], family: int) -> None:
    """For a while they take the tunnel, with ports of the old pod's part. Later their clients are told that nobody serves there."""
    old, new = pods
    address = old.ip4 if family == 4 else old.ip6
    first = Stream(address, 5432)
    move(old, new)
    own = old.firewall.ports
    with pytest.raises(ConnectionRefusedError):
        ask(address, 5432)
    old.do(lambda: old.former.accept(20))
    with pytest.raises(TimeoutError):
        # The new pod relays nothing that has no name.
        ask(address, 5432, timeout=0.5)
    assert new.do(lambda: new.holder.accept(old.ip, own, 20))
    segment = record("node1")
    seen = [ask(address, 5432) for _number in range(5)]
    assert all(own[0] <= one["source_port"] <= own[1] and one["source_mac"] == MAC for one in seen)
    stream = Stream(address, 5432)
    # Named, it goes on; and others do not begin.
    new.do(lambda: new.holder.add(old.ip, old.do(old.former.flows)))
    new.do(lambda: new.holder.accept(old.ip, own, 0.001))
    old.do(lambda: old.former.accept(0))
    with pytest.raises(ConnectionRefusedError):
        ask(address, 5432)
    assert first.echoes() and stream.echoes() and not segment.stop()
    first.close()
    stream.close()


def test_connections_from_several_addresses(make: Callable[..., Pod]) -> None:
    """Those of each address go on, and a new one at the old pod leaves from the address of its rule."""
    text = "5432 TCP 203.0.113.10\n5433 TCP 203.0.113.10 5432 source=198.51.100.51\n"
    old, new = (make(node, more=("198.51.100.51",), rules=text) for node in ("node1", "node2"))
    old.serve()
    opened = [Stream(old.ip4, port) for port in (5432, 5433)]
    assert [stream.seen["source_ip"] for stream in opened] == [EGRESS4, "198.51.100.51"]
    move(old, new)
    assert all(stream.echoes() for stream in opened)
    own = old.firewall.ports
    assert new.do(lambda: new.holder.accept(old.ip, own, 20))
    old.do(lambda: old.former.accept(20))
    seen = [ask(old.ip4, port) for port in (5432, 5433)]
    assert [one["source_ip"] for one in seen] == [EGRESS4, "198.51.100.51"]
    assert all(own[0] <= one["source_port"] <= own[1] for one in seen)
    seen = [ask(new.ip4, port) for port in (5432, 5433)]
    assert [one["source_ip"] for one in seen] == [EGRESS4, "198.51.100.51"]
    assert not any(own[0] <= one["source_port"] <= own[1] for one in seen)
    for stream in opened:
        stream.close()


def test_ports_of_others_are_kept_free_for_each_address(make: Callable[..., Pod]) -> None:
    """Nobody says which address a relayed connection has."""
    old, new = (make(node, more=("198.51.100.51",)) for node in ("node1", "node2"))
    old.serve()
    stream = Stream(old.ip4, 5432)
    move(old, new)
    new.do(lambda: new.holder.reserve(old.firewall.ports))
    port = stream.seen["source_port"]
    reserved = [line for line in new.run("conntrack -L").splitlines() if "mark=3870359552" in line]
    assert {
        ip for ip in (EGRESS4, "198.51.100.51") if any(f"dst={ip} sport=5432 dport={port}" in line for line in reserved)
    } == {
        EGRESS4,
        "198.51.100.51",
    }
    stream.close()


def test_new_connections_whose_ports_the_new_pod_may_use(pods: tuple[Pod, Pod]) -> None:
    old, new = pods
    stream = Stream(old.ip4, 5432)
    assert not new.do(lambda: new.holder.accept(old.ip, old.firewall.ports, 20)), "it has not chosen its own yet"
    move(old, new)
    own = Stream(new.ip4, 5432)
    low, high = ports.parts(2)
    assert new.do(lambda: new.holder.accept(old.ip, low, 20))
    assert not new.do(lambda: new.holder.accept(old.ip, high, 20)), "its part"
    new.do(lambda: new.firewall.use_ports(low))
    new.do(lambda: new.holder.reserve(low))
    assert not new.do(lambda: new.holder.accept(old.ip, high, 20)), "a connection of its own"
    assert stream.echoes() and own.echoes()
    stream.close()
    own.close()


def test_ports_that_are_relayed_without_a_name_are_nobody_elses(pods: tuple[Pod, Pod]) -> None:
    """Another pod relays many connections with ports of this pod's part, just when new ones of the old pod may have any of its own."""
    old, new = pods
    stream = Stream(old.ip4, 5432)
    move(old, new)
    low, high = ports.parts(2)
    assert new.do(lambda: new.firewall.ports) == high
    assert new.do(lambda: new.holder.accept(old.ip, low, 20))
    server = relay_flows.Server(6, ipaddress.ip_address("203.0.113.10").packed, 5432)
    new.do(lambda: new.holder.add(old.ip, {server: list(range(high[0], high[0] + 50))}))
    new.choose_ports()
    assert new.do(lambda: new.firewall.ports) == high, "answers to new connections would go to the old pod"
    own = Stream(new.ip4, 5432)
    assert own.echoes() and stream.echoes()
    own.close()
    # When that is over, they use what is used least; and nothing of that is relayed, although nobody uses it yet.
    assert new.do(lambda: new.holder.accept(old.ip, low, 0.001))
    until(lambda: new.do(lambda: new.holder.ports(high)) == low, "the other part is free")
    assert not new.do(lambda: new.holder.accept(old.ip, low, 20))
    stream.close()


def test_a_server_on_the_segment(pods: tuple[Pod, Pod]) -> None:
    old, new = pods
    listener = namespaces.inside("outside", lambda: socket.create_server((GATEWAY4, 6001)))
    with listener, connect("pods", old.ip4, 6001) as client, listener.accept()[0] as server:
        move(old, new)
        server.settimeout(5)
        client.sendall(b"there")
        assert server.recv(10) == b"there"
        server.sendall(b"back")
        assert client.recv(10) == b"back"


def test_a_relayed_packet_leaves_only_while_the_new_pod_may_serve(
    pods: tuple[Pod, Pod], record: Callable[[str], Frames]
) -> None:
    old, new = pods
    (stream,) = streams(old.ip4, 1)
    stream.settimeout(1.0)
    move(old, new)
    assert say(stream)
    new.fence.drop()
    port = record("node2")
    assert not say(stream)
    assert port.stop() == []
    new.serve()
    stream.settimeout(20)
    assert hear(stream, b"there"), "what was said meanwhile is said again"
    stream.close()


def test_a_strangers_packets(pods: tuple[Pod, Pod]) -> None:
    """They are dropped and counted at both ends, whatever is in them."""
    old, new = pods
    stream = Stream(old.ip4, 5432)
    move(old, new)
    port = stream.seen["source_port"]
    segment = struct.pack("!HHIIBBHHH", port, 5432, 1, 1, 5 << 4, 0x10, 0, 0, 0)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0) + ADDRESSES[0].packed
    header += ipaddress.ip_address("203.0.113.10").packed
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    frame = bytes.fromhex(tunnel.FAR_MAC.replace(":", "") + MAC.replace(":", "")) + b"\x08\0" + header + segment
    packet = struct.pack("!II", 8 << 24, tunnel.number(old.ip) << 8) + frame
    listed = "nft list chain netdev " + rules.table_name(tunnel.number(old.ip)) + " tunnel"

    def send_it() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for pod in pods:
                stranger.sendto(packet, (pod.ip4, RELAY_PORT))

    before = new.run(listed)

    def counted() -> bool:
        namespaces.inside("pods", send_it)
        return min(new.holder.refused, old.former.refused) >= 3

    until(counted, "they are counted at both ends", 5)
    assert new.run(listed) == before
    refused = new.holder.refused
    # The same packet from the pod that relays is taken.
    old.do(lambda: _send(packet, new.ip4))
    until(lambda: new.run(listed) != before, "it came through", 5)
    assert new.holder.refused == refused
    stream.close()


def _send(packet: bytes, address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.sendto(packet, (address, RELAY_PORT))


def test_a_pod_relays_only_what_it_said(pods: tuple[Pod, Pod]) -> None:
    old, new = pods
    stream = Stream(old.ip4, 5432)
    listener = namespaces.inside("outside", lambda: socket.create_server(("203.0.113.10", 6000)))
    with listener, connect("pods", old.ip4, 6000) as other, listener.accept()[0] as server:
        old.do(lambda: old.former.open(new.ip))
        new.do(lambda: new.holder.open(old.ip, 60))
        send(old, new, stream_flow(stream))
        old.give_up()
        new.serve()
        assert stream.echoes()
        other.sendall(b"there")
        server.settimeout(1)
        with pytest.raises(TimeoutError):
            server.recv(10)
    stream.close()


def test_nothing_is_left(pods: tuple[Pod, Pod]) -> None:
    old, new = pods
    before = new.state()
    (stream,) = streams(old.ip4, 1)
    move(old, new)
    assert say(stream)
    assert old.former.holder == new.ip and new.holder.peers == [old.ip]
    stream.close()
    until(lambda: not old.do(old.former.flows), "the last connection has ended", 15)
    old.do(old.former.close)
    new.do(new.holder.close_all)
    assert old.former.holder is None and new.holder.peers == []
    new.give_up()
    assert new.state() == before
    for pod in pods:
        assert "relay" not in pod.state()
        pod.do(pod.former.close)
        pod.do(lambda pod=pod: pod.holder.close(ipaddress.ip_address("10.244.0.99")))
        assert "relay" not in pod.state(), "closing what is not there"


def test_time_is_over(pods: tuple[Pod, Pod], record: Callable[[str], Frames]) -> None:
    """Both ends are told, though neither says anything; and the server is told by the new pod's port."""
    old, new = pods
    listener = namespaces.inside("outside", lambda: socket.create_server(("203.0.113.10", 6000)))
    datagrams = connect("pods", old.ip4, 53, kind=socket.SOCK_DGRAM)
    datagrams.send(b"?")
    assert datagrams.recv(1000)
    datagrams.close()
    with listener, connect("pods", old.ip4, 6000) as client, listener.accept()[0] as server:
        move(old, new)
        segment = record("node1"), record("node2")
        assert old.do(lambda: old.former.reset(0.3)) == 2
        for end in (client, server):
            end.settimeout(5)
            with pytest.raises(ConnectionResetError):
                end.recv(1)
        assert old.do(old.former.flows) == {}, "nor UDP, whose ends cannot be told"
        at_old, at_new = (port.stop() for port in segment)
        assert at_new and not at_old
        old.do(old.former.close)
        assert "relay" not in old.state()


def test_a_server_that_answers_late_is_told(pods: tuple[Pod, Pod]) -> None:
    """As one that is far away: its first answers are lost here, and what it says much later is reset all the same."""
    old, new = pods
    nft = "ip netns exec @outside nft"
    listener = namespaces.inside("outside", lambda: socket.create_server(("203.0.113.10", 6000)))
    with listener, connect("pods", old.ip4, 6000) as client, listener.accept()[0] as server:
        move(old, new)
        namespaces.run(f"{nft} add {LATE}")
        told = threading.Thread(target=lambda: old.do(lambda: old.former.reset(0.3)), name="reset")
        told.start()
        client.settimeout(5)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        # As long as the way around the world and back.
        time.sleep(0.3)
        namespaces.run(f"{nft} delete table ip late")
        server.send(b"late")
        server.settimeout(5)
        with pytest.raises(ConnectionResetError):
            server.recv(1)
        told.join()
        old.do(old.former.close)


def test_a_reset_ends_with_the_tunnel(make: Callable[..., Pod]) -> None:
    """The table stays, because another pod relays through this one; its connections, and those of later moves, go on."""
    old, new, third = (make(node, replicas=3) for node in ("node1", "node2", "node1"))
    old.serve()
    first = Stream(old.ip4, 5432)
    move(old, new)
    old.do(lambda: old.holder.open(third.ip, 60))
    old.do(lambda: old.former.reset(0.1))
    assert not first.echoes()
    old.do(old.former.close)
    assert old.holder.peers == [third.ip]
    new.give_up()
    old.serve()
    second = Stream(old.ip4, 5432)
    assert second.echoes()
    move(old, new)
    assert second.echoes(), "nor is it reset when it is relayed"
    for stream in (first, second):
        stream.close()


@pytest.mark.parametrize("count", [2, 3])
def test_five_moves_in_a_row(make: Callable[..., Pod], count: int) -> None:
    """Connections of every stop go on at every other one, and a pod that gets the address back serves its own directly."""
    every = [make(node, replicas=count) for node in ("node1", "node2", "node1")[:count]]
    every[0].serve()
    opened = []
    for number in range(5):
        holder, following = every[number % count], every[(number + 1) % count]
        opened.append(Stream(holder.ip4, 5432))
        opened.append(Stream(holder.ip6, 5432))
        move(holder, following, *(pod for pod in every if pod not in (holder, following)))
        assert [stream.echoes() for stream in opened] == [True] * len(opened), f"after move {number + 1}"
        assert following.former.holder is None
        assert sorted(following.holder.peers) == sorted(pod.ip for pod in every if pod is not following)
        for pod in every:
            assert pod is following or pod.former.holder == following.ip
    used = {pod.name: pod.firewall.ports for pod in every}
    assert len(set(used.values())) == count, "each pod has ports of its own"
    for stream in opened:
        stream.close()


@pytest.mark.parametrize("family", [4, 6])
def test_errors_from_the_way_reach_the_client(pods: tuple[Pod, Pod], family: int) -> None:
    """A router beyond says that packets are too big."""
    old, new = pods
    server, client_ip = ("203.0.113.10", old.ip4) if family == 4 else ("2001:db8:113::10", old.ip6)
    level, discover, mtu, free = (socket.IPPROTO_IP, 10, 14, 15) if family == 4 else (socket.IPPROTO_IPV6, 23, 24, 78)
    egress = ADDRESSES[0] if family == 4 else ADDRESSES[1]

    def listen() -> socket.socket:
        made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        made.setsockopt(level, free, 1)
        made.bind((server, 7000))
        made.settimeout(5)
        return made

    def tell(port: int) -> None:
        udp = struct.pack("!HHHH", port, 7000, 1308, 0)
        there = ipaddress.ip_address(server).packed
        if family == 4:
            inner = struct.pack("!BBHHHBBH", 0x45, 0, 1328, 1, 0x4000, 60, 17, 0) + egress.packed + there
            inner = inner[:10] + struct.pack("!H", checksum(inner)) + inner[12:]
            message = struct.pack("!BBHHH", 3, 4, 0, 0, 1300) + inner + udp
            message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
        else:
            inner = struct.pack("!IHBB", 6 << 28, 1308, 17, 60) + egress.packed + there
            message = struct.pack("!BBHI", 2, 0, 0, 1300) + inner + udp
        kind = socket.IPPROTO_ICMP if family == 4 else socket.IPPROTO_ICMPV6
        with socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, kind) as raw:
            raw.sendto(message, (str(egress), 0))

    with (
        namespaces.inside("outside", listen) as answering,
        connect("pods", client_ip, 7000, kind=socket.SOCK_DGRAM) as client,
    ):
        client.setsockopt(level, discover, 2)
        client.send(b"?")
        peer = answering.recvfrom(10)[1]
        answering.sendto(b"!", peer)
        client.recv(10)
        move(old, new)

        def told() -> bool:
            namespaces.inside("outside", lambda: tell(peer[1]))
            # The error itself may be told first.
            with contextlib.suppress(OSError):
                client.send(b"?")
            return client.getsockopt(level, mtu) == 1300

        until(told, "the client knows how big its packets may be", 10)


@pytest.mark.parametrize("family", [4, 6])
def test_datagrams_in_fragments(pods: tuple[Pod, Pod], family: int) -> None:
    old, new = pods
    server, client_ip = ("203.0.113.10", old.ip4) if family == 4 else ("2001:db8:113::10", old.ip6)
    level, free = (socket.IPPROTO_IP, 15) if family == 4 else (socket.IPPROTO_IPV6, 78)

    def listen() -> socket.socket:
        made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        made.setsockopt(level, free, 1)
        made.bind((server, 7000))
        made.settimeout(1)
        return made

    with (
        namespaces.inside("outside", listen) as answering,
        connect("pods", client_ip, 7000, kind=socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(1)

        def echoes(size: int) -> bool:
            # What was said before may still arrive; "too large" of an earlier packet is told as an error.
            with contextlib.suppress(OSError):
                client.send(b"x" * size)
                data, peer = answering.recvfrom(10000)
                answering.sendto(data, peer)
                return len(data) == len(client.recv(10000)) == size
            return False

        assert echoes(10)
        move(old, new)
        # With IPv6, both ends have to be told first how large their fragments may be; the server by the old pod, through the new.
        # Both pods get the answers: the one that knows nothing of them tells nobody, its port being reserved or not.
        new.do(lambda: new.holder.reserve(ports.ALL))
        unreachable = "nstat -asz IcmpOutDestUnreachs Icmp6OutDestUnreachs"
        before = new.run(unreachable)
        until(lambda: echoes(5000), "a large answer comes", 20)
        assert new.run(unreachable) == before


def test_what_a_restarted_agent_finds(pods: tuple[Pod, Pod]) -> None:
    old, new = pods
    stream = Stream(old.ip4, 5432)
    move(old, new)
    former = old.do(lambda: Former(old.config, Fence()))
    holder = new.do(lambda: Holder(new.config, Fence()))
    assert former.holder == new.ip and holder.peers == [old.ip]
    assert new.do(lambda: Firewall(new.config, Fence()).adopt()), "with the ports that it uses"
    assert stream.echoes()
    old.do(former.close)
    new.do(holder.close_all)
    assert "relay" not in old.state() + new.state()
    stream.close()


def test_the_agents_table_need_not_be_listed(pods: tuple[Pod, Pod], monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay's own changes of nftables are none of the rules'."""
    old, new = pods
    stream = Stream(old.ip4, 5432)
    old.firewall.repair()
    monkeypatch.setattr(old.firewall._nft, "listing", lambda: pytest.fail("it was listed"))
    move(old, new)
    assert not old.do(old.firewall.repair)
    old.do(old.former.close)
    assert not old.do(old.firewall.repair)
    stream.close()


TRY = """
import ipaddress
from egress_router.config import Address, Config
from egress_router.kernel.fence import Fence
from egress_router.relay.former import Former
from egress_router.relay.guard import unsupported
from egress_router.relay.holder import Holder
ip = ipaddress.ip_address("{ip}")
address = Address(ipaddress.ip_interface("198.51.100.50/24"))
config = Config("r", "n", "p", "node", "uid", (ip,), (address,), "02:e6:c6:33:64:32")
print(repr(unsupported(config)))
former, holder, fence = Former(config, Fence()), Holder(config, Fence()), Fence()
former.open(ip + 1)
former.close()
holder.open(ip + 1, 60)
holder.close_all()
"""


@pytest.mark.parametrize("user_namespace", [False, True], ids=["host-users", "user-namespace"])
@pytest.mark.parametrize("cluster", [4, 6], ids=["cluster-ipv4", "cluster-ipv6"])
def test_whether_this_kernel_can_with_the_capabilities_of_the_pod(
    make: Callable[..., Pod], tmp_path: Path, cluster: int, user_namespace: bool
) -> None:
    pod = make("node1", cluster=cluster, user_namespace=user_namespace)
    before = pod.state()
    program = tmp_path / "try.py"
    program.write_text(TRY.format(ip=pod.ip))
    within = f"/usr/bin/python3 {ENTER_USER_NAMESPACE}" if user_namespace else ""
    assert pod.run(f"{within} {CAPABILITIES} /usr/bin/python3 {program}") == "''\n"
    assert pod.state() == before


def test_why_a_kernel_cannot(make: Callable[..., Pod], monkeypatch: pytest.MonkeyPatch) -> None:
    pod = make("node1")
    before = pod.state()
    monkeypatch.setattr(guard, "_TRIAL", "a-name-that-is-too-long-for-an-interface")
    assert "makes no VXLAN interface" in pod.do(lambda: guard.unsupported(pod.config))
    monkeypatch.setattr(rules, "trial", lambda: "add rule netdev nothing nothing accept")
    said = pod.do(lambda: guard.unsupported(pod.config))
    assert "does not forward between interfaces by nftables" in said and "No such file or directory" in said
    assert pod.state() == before


def test_a_pod_without_net1_or_address_says_so(make: Callable[..., Pod]) -> None:
    pod = make("node1")
    namespaces.ip(f"-n @{pod.name} link del net1")
    with pytest.raises(guard.RelayError, match=r"cannot open a tunnel to 10\.244\.0\.99: .*No such device"):
        pod.do(lambda: pod.holder.open(ipaddress.ip_address("10.244.0.99"), 60))
    pod.do(pod.holder.close_all)
    assert "relay" not in pod.state()


def test_as_many_as_are_relayed_at_all(
    pods: tuple[Pod, Pod], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """From the old pod's kernel into the new one's, through the chunks."""
    old, new = pods
    most = relay_flows.MAX_FLOWS
    batch = tmp_path / "connections"
    batch.write_text(
        "".join(
            f"-I -s 10.244.1.{number % 250} -d {old.ip4} -p tcp --sport {10000 + number // 250} --dport 5432 --state ESTABLISHED "
            f"-u SEEN_REPLY,ASSURED -t 600 -m 0xe6c11538 -r 203.0.113.{number % 200} -q {EGRESS4} --reply-port-src 5432 "
            f"--reply-port-dst {1024 + number}\n"
            for number in range(most + 10)
        )
    )
    old.run(f"conntrack -R {batch}")
    old.do(lambda: old.former.open(new.ip))
    new.do(lambda: new.holder.open(old.ip, 60))
    times = [(time.perf_counter(), time.process_time())]
    found = old.do(old.former.flows)
    times.append((time.perf_counter(), time.process_time()))
    assert relay_flows.count(found) == most + 10
    parcel, assembly = Parcel(1, limited(found)), Assembly()
    received = [assembly.add(chunk) for chunk in parcel.left]
    times.append((time.perf_counter(), time.process_time()))
    new.do(lambda: [new.holder.add(old.ip, some) for some in received])
    times.append((time.perf_counter(), time.process_time()))
    steps = zip(("listed", "as chunks and back", "loaded"), itertools.pairwise(times), strict=True)
    text = ", ".join(f"{name} {1000 * (b[0] - a[0]):.0f} ms ({1000 * (b[1] - a[1]):.0f})" for name, (a, b) in steps)
    record_property("figure", f"{most} connections in {len(received)} chunks: {text}")
    listed = json.loads(new.run(f"nft -j list set netdev {rules.table_name(tunnel.number(old.ip))} flows4"))
    assert len(listed["nftables"][1]["set"]["elem"]) == most
