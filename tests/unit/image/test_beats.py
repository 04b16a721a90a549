# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages between pods: only those of this router's pods count, each once, also while its key is replaced."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterator

import pytest

from ansible_collections.egress.router.images.router.egress_router.failover import beats
from ansible_collections.egress.router.images.router.egress_router.failover.beats import seal, unseal
from ansible_collections.egress.router.images.router.egress_router.failover.channel import Channel
from ansible_collections.egress.router.images.router.egress_router.failover.proofs import Stranger, prove
from ansible_collections.egress.router.images.router.egress_router.failover.protocol import Kind, Message

ROUTER = "payments/billing-db"
OLD, NEW = b"o" * 32, b"n" * 32
MESSAGE = Message(
    Kind.PROMISE,
    "billing-db-7d9c-x",
    7,
    2**40,
    12345,
    about=2**40 - 1,
    able=False,
    ready=True,
    reason="net1 has no carrier",
)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(("able", "ready"), [(True, True), (True, False), (False, True), (False, False)])
def test_what_is_said_is_heard(kind: Kind, able: bool, ready: bool) -> None:
    message = MESSAGE._replace(kind=kind, able=able, ready=ready)
    assert unseal(seal(message, ROUTER, [OLD]), ROUTER, [OLD]) == message


def test_the_longest_name_fits() -> None:
    message = MESSAGE._replace(sender="x" * 253, reason="y" * beats.REASON_BYTES)
    datagram = seal(message, ROUTER, [NEW, OLD])
    assert len(datagram) <= beats.MAX_BYTES and unseal(datagram, ROUTER, [OLD]) == message


def test_of_a_long_reason_the_beginning_is_sent() -> None:
    """Whole characters, of which some have more than one byte."""
    message = MESSAGE._replace(reason="x" + "\u00e4" * 200)
    assert unseal(seal(message, ROUTER, [OLD]), ROUTER, [OLD]).reason == "x" + "\u00e4" * 59


def test_every_bit_counts() -> None:
    datagram = seal(MESSAGE, ROUTER, [OLD])
    for at in range(len(datagram)):
        for bit in range(8):
            changed = bytearray(datagram)
            changed[at] ^= 1 << bit
            with pytest.raises(Stranger):
                unseal(bytes(changed), ROUTER, [OLD])


@pytest.mark.parametrize(
    ("router", "keys", "why"),
    [
        (ROUTER, [NEW], "another key"),
        (ROUTER, [], "another key"),
        ("payments/billing", [OLD], "another key"),
        ("staging/billing-db", [OLD], "another key"),
    ],
)
def test_a_stranger(router: str, keys: list[bytes], why: str) -> None:
    with pytest.raises(Stranger, match=why):
        unseal(seal(MESSAGE, ROUTER, [OLD]), router, keys)


@pytest.mark.parametrize("size", [0, 1, 37, 38, 69, 70, 513, 1500, 65507])
def test_anything_may_arrive(size: int) -> None:
    for byte in (b"\0", b"\1", b"\xff"):
        with pytest.raises(Stranger):
            unseal(byte * size, ROUTER, [OLD])


def test_a_datagram_without_a_proof_proves_nothing() -> None:
    with pytest.raises(Stranger):
        unseal(seal(MESSAGE, ROUTER, []), ROUTER, [OLD])


@pytest.mark.parametrize(
    ("sender", "receiver", "heard"),
    [
        ([OLD], [OLD], True),
        # The Secret has both for a while, and pods see that at different times.
        ([NEW, OLD], [OLD], True),
        ([OLD], [NEW, OLD], True),
        ([NEW, OLD], [NEW, OLD], True),
        ([NEW], [NEW, OLD], True),
        ([NEW, OLD], [NEW], True),
        ([NEW], [OLD], False),
    ],
)
def test_a_key_is_replaced(sender: list[bytes], receiver: list[bytes], heard: bool) -> None:
    datagram = seal(MESSAGE, ROUTER, sender)
    if heard:
        assert unseal(datagram, ROUTER, receiver) == MESSAGE
    else:
        with pytest.raises(Stranger):
            unseal(datagram, ROUTER, receiver)


# --- With sockets ---


@pytest.fixture(params=["127.0.0.1", "::1"])
def host(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def port(host: str) -> int:
    """One that is free at both addresses of the test."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def keys() -> list[bytes]:
    return [OLD]


@pytest.fixture
def channel(host: str, port: int, keys: list[bytes]) -> Iterator[Channel]:
    made = Channel(ipaddress.ip_address(host), port, ROUTER, "pod-1", lambda: keys)
    yield made
    made.close()


def arrive(channel: Channel, host: str, port: int, *datagrams: bytes) -> list[Message]:
    """What a channel makes of datagrams."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found: list[Message] = []
    before = sum(channel.refused.values())
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        for datagram in datagrams:
            sender.sendto(datagram, (host, port))
    deadline = time.monotonic() + 10
    while len(found) + sum(channel.refused.values()) - before < len(datagrams):
        found += channel.received()
        assert time.monotonic() < deadline, "they arrive"
    return found


def test_a_message_is_taken_once(channel: Channel, host: str, port: int) -> None:
    first = seal(MESSAGE, ROUTER, [OLD])
    older = seal(MESSAGE._replace(counter=MESSAGE.counter - 1), ROUTER, [OLD])
    newer = seal(MESSAGE._replace(counter=MESSAGE.counter + 1), ROUTER, [OLD])
    assert [m.counter - MESSAGE.counter for m in arrive(channel, host, port, first, first, older, newer)] == [0, 1]
    assert channel.refused == {"replayed": 2, "stranger": 0}
    assert channel.addresses == {MESSAGE.sender: host}


def test_strangers_are_counted_and_name_no_address(channel: Channel, host: str, port: int) -> None:
    wrong = seal(MESSAGE, ROUTER, [NEW])
    assert arrive(channel, host, port, wrong, b"", b"x" * 2000) == []
    assert channel.refused == {"replayed": 0, "stranger": 3}
    assert channel.addresses == {}


def test_its_own_message_from_somebody_else(channel: Channel, host: str, port: int) -> None:
    assert arrive(channel, host, port, seal(MESSAGE._replace(sender="pod-1"), ROUTER, [OLD])) == []
    assert channel.refused["replayed"] == 1


def test_the_key_changes_while_it_runs(channel: Channel, host: str, port: int, keys: list[bytes]) -> None:
    datagram = seal(MESSAGE, ROUTER, [NEW])
    assert arrive(channel, host, port, datagram) == []
    keys.insert(0, NEW)
    assert arrive(channel, host, port, datagram) == [MESSAGE]


def test_what_cannot_be_sent_is_lost(channel: Channel) -> None:
    channel.send("192.0.2.1" if ":" in channel._socket.getsockname()[0] else "2001:db8::1", MESSAGE)


def test_without_a_key_nothing_is_sent(channel: Channel, host: str, port: int, keys: list[bytes]) -> None:
    """It would count as a stranger's."""
    keys.clear()
    channel.send(host, MESSAGE)
    keys.append(OLD)
    assert arrive(channel, host, port, seal(MESSAGE, ROUTER, [OLD])) == [MESSAGE]
    assert channel.refused == {"replayed": 0, "stranger": 0}


def test_it_sends_what_the_other_understands(channel: Channel, host: str, port: int) -> None:
    channel.send(host, MESSAGE)
    deadline = time.monotonic() + 10
    found: list[Message] = []
    while not found:
        found += channel.received()
        assert time.monotonic() < deadline, "it arrives"
    assert found == [MESSAGE]


def test_other_texts_are_given_to_somebody_else(channel: Channel, host: str, port: int, keys: list[bytes]) -> None:
    """Once, if a pod of this router said them; what is new is known to whoever understands them."""
    heard: list[bytes] = []

    def told(text: bytes) -> bool:
        heard.append(text)
        return heard.count(text) == 1

    channel.told = told
    datagram = prove(b"\2\1something else", ROUTER, [OLD])
    channel.tell(host, b"\2something else")
    keys.clear()
    channel.tell(host, b"\2without a key")
    keys.append(OLD)
    assert arrive(channel, host, port, datagram, prove(b"\2\1x", ROUTER, [NEW]), b"\2\1") == []
    assert heard == [b"\2something else"] * 2
    assert channel.refused == {"replayed": 1, "stranger": 2}
