# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one pod tells another of its connections."""

from __future__ import annotations

import ipaddress
import random
import struct

import pytest

from ansible_collections.egress.router.images.router.egress_router.relay.flows import (
    MAX_BYTES,
    MAX_FLOWS,
    Assembly,
    ChunkError,
    Flows,
    Parcel,
    Server,
    count,
    limited,
    without,
)


def server(address: str, port: int = 443, protocol: int = 6) -> Server:
    return Server(protocol, ipaddress.ip_address(address).packed, port)


FEW: Flows = {
    server("203.0.113.10"): [1024, 65535],
    server("203.0.113.10", 53, 17): [40000],
    server("2001:db8:113::10", 5432): list(range(2000, 2600)),
}
MANY: Flows = {
    server(f"203.0.113.{number % 250}", 1000 + number // 250): [1024 + number, 1025 + number] for number in range(16000)
}


def together(*parts: Flows) -> dict[Server, set[int]]:
    found: dict[Server, set[int]] = {}
    for part in parts:
        for to, numbers in part.items():
            found.setdefault(to, set()).update(numbers)
    return found


@pytest.mark.parametrize("said", [{}, FEW, MANY, {server("203.0.113.10"): range(1024, 33024)}], ids=count)
def test_what_is_said_is_heard_in_any_order(said: Flows) -> None:
    parcel, assembly = Parcel(7, said), Assembly()
    chunks = parcel.left
    assert max(map(len, chunks)) <= MAX_BYTES and count(said) <= MAX_FLOWS
    random.Random(1).shuffle(chunks)
    heard: list[Flows] = []
    for number, chunk in enumerate(chunks):
        assert not assembly.complete, f"{number} of {len(chunks)}"
        heard.append(assembly.add(chunk))
        assert assembly.add(chunk) == {}, "what comes twice says nothing new"
    assert assembly.complete and together(*heard) == together(said)
    parcel.received(assembly.receipt())
    assert parcel.left == []


def test_what_was_lost_is_sent_again() -> None:
    parcel, assembly = Parcel(7, MANY), Assembly()
    chance = random.Random(2)
    rounds = 0
    while parcel.left:
        rounds += 1
        for chunk in parcel.left:
            if chance.random() < 0.5:
                assembly.add(chunk)
        if chance.random() < 0.5:
            parcel.received(assembly.receipt())
    assert assembly.complete and rounds > 2


def test_what_was_forgotten_is_sent_again() -> None:
    parcel, assembly = Parcel(7, MANY), Assembly()
    chunks = list(parcel.left)
    for chunk in chunks[:-1]:
        assembly.add(chunk)
    parcel.received(assembly.receipt())
    assert parcel.left == chunks[-1:]
    another = Assembly()
    another.add(chunks[-1])
    parcel.received(another.receipt())
    assert parcel.left == chunks[:-1]


def test_a_newer_parcel_begins_anew_and_an_older_one_is_ignored() -> None:
    first, second, assembly = Parcel(7, FEW), Parcel(8, {server("203.0.113.10"): [5]}), Assembly()
    assembly.add(first.left[0])
    assert assembly.add(second.left[0]) == {server("203.0.113.10"): [5]}
    assert assembly.complete and assembly.number == 8
    assert assembly.add(first.left[1]) == {}
    first.received(assembly.receipt())
    assert len(first.left) > 1, "a receipt for another parcel"
    second.received(assembly.receipt())
    assert second.left == []


def test_no_parcel_is_not_complete() -> None:
    assert not Assembly().complete
    Parcel(0, {}).received(Assembly().receipt())


@pytest.mark.parametrize(
    "chunk",
    [
        b"",
        b"\1" * 12,
        struct.pack("!BQHH", 2, 1, 0, 1),
        struct.pack("!BQHH", 1, 1, 1, 1),
        struct.pack("!BQHH", 1, 1, 0, 65535),
        struct.pack("!BQHH", 1, 1, 0, 1) + b"\6\4\1\2\3",
        struct.pack("!BQHH", 1, 1, 0, 1) + b"\6\5\1\2\3\4\1\1\0\0",
        struct.pack("!BQHH", 1, 1, 0, 1) + b"\6\4\1\2\3\4\1\1\0\2\1\1",
        struct.pack("!BQHH", 1, 1, 0, 1) + bytes(MAX_BYTES),
    ],
)
def test_what_is_no_chunk(chunk: bytes) -> None:
    assembly = Assembly()
    with pytest.raises(ChunkError):
        assembly.add(chunk)
    assert assembly.number == -1, "and changes nothing"


@pytest.mark.parametrize(
    "receipt", [b"", bytes(11), struct.pack("!BQH", 1, 7, 9) + b"\0", struct.pack("!BQH", 2, 7, 8) + b"\0"]
)
def test_what_is_no_receipt(receipt: bytes) -> None:
    with pytest.raises(ChunkError):
        Parcel(7, FEW).received(receipt)


def test_every_beginning_of_a_chunk_is_refused_or_says_less() -> None:
    for chunk in Parcel(7, FEW).left:
        for length in range(len(chunk)):
            try:
                found = Assembly().add(chunk[:length])
            except ChunkError:
                continue
            assert all(set(numbers) <= set(FEW[to]) for to, numbers in found.items())


def test_too_many() -> None:
    some = limited(FEW, 5)
    assert count(some) == 5 and together(some, FEW) == together(FEW)
    assert limited(FEW) is FEW
    assert count(limited(MANY, 100)) == 100
    assert count(limited({server("203.0.113.10"): range(1024, 65536)})) == MAX_FLOWS


def test_without() -> None:
    assert without(FEW, {}) == {to: sorted(numbers) for to, numbers in FEW.items()}
    assert without(FEW, FEW) == {}
    known = {server("203.0.113.10"): [1024], server("203.0.113.99"): [1]}
    assert without(FEW, known)[server("203.0.113.10")] == [65535]


def test_the_most_fit_into_the_chunks_there_may_be() -> None:
    worst = {server(f"2001:db8::{number:x}", number + 1): [number + 1024] for number in range(MAX_FLOWS)}
    parcel, assembly = Parcel(7, worst), Assembly()
    heard = [assembly.add(chunk) for chunk in parcel.left]
    assert assembly.complete and together(*heard) == together(worst)
