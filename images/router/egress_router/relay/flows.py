# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connections that one pod relays through another, as chunks that fit into datagrams. Pure: nothing is sent here.

A chunk is of use by itself: the receiver begins to relay what is in it. It says how many there are, so the receiver
knows when it has all, and answers with a receipt that says which it has. Whoever sends them proves each, as it does beats.

    chunk    version, number of the parcel, index, total; then for each server: protocol, family, address, port, count, source ports
    receipt  version, number of the parcel, total; then a bit for each chunk
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

# No chunk is longer: with proofs and a long name, one fits into the smallest packet that IPv6 has to carry whole.
MAX_BYTES = 840
# No more connections are relayed: beyond that, telling the next pod of them takes longer than they may wait.
MAX_FLOWS = 32000

_VERSION = 1
_HEAD = struct.Struct("!BQHH")
_RECEIPT = struct.Struct("!BQH")
_SERVER = struct.Struct("!BB")
_COUNTS = struct.Struct("!HH")
_PACKED = {4: 4, 6: 16}
_MOST_CHUNKS = 1000


class ChunkError(ValueError):
    """These bytes are no chunk, or no receipt; the message says why."""


class Server(NamedTuple):
    """To where connections go; `address` is packed. Connections to one differ by their source port."""

    protocol: int
    address: bytes
    port: int


# Source ports by server.
Flows = Mapping[Server, Sequence[int]]


def count(flows: Flows) -> int:
    """How many connections these are."""
    return sum(map(len, flows.values()))


def limited(flows: Flows, most: int = MAX_FLOWS) -> Flows:
    """The first `most` of them."""
    if count(flows) <= most:
        return flows
    kept = {}
    for server, ports in flows.items():
        kept[server] = ports[:most]
        most -= len(kept[server])
        if not most:
            break
    return kept


def without(flows: Flows, known: Flows) -> Flows:
    """Those that are not in `known`."""
    found = {}
    for server, ports in flows.items():
        left = set(ports).difference(known.get(server, ()))
        if left:
            found[server] = sorted(left)
    return found


class Parcel:
    """What a pod sends: all flows, under a number that is above those of earlier parcels of the pod, for any process of it.

    `left`: chunks of which no receipt came: to be sent, and to be sent again.
    """

    def __init__(self, number: int, flows: Flows) -> None:
        self.number = number
        bodies = list(_bodies(flows)) or [b""]
        self._chunks = [_HEAD.pack(_VERSION, number, index, len(bodies)) + body for index, body in enumerate(bodies)]
        self._total = len(bodies)
        self.left = self._chunks

    def received(self, receipt: bytes) -> None:
        """The other pod answered; raises ChunkError. A receipt of another parcel changes nothing.

        The last receipt counts: what the other pod had it may have forgotten with everything else, and is told again.
        """
        if len(receipt) < _RECEIPT.size:
            raise ChunkError(f"{len(receipt)} bytes")
        version, number, total = _RECEIPT.unpack_from(receipt)
        bits = receipt[_RECEIPT.size :]
        if version != _VERSION or len(bits) != _bytes(total):
            raise ChunkError("another format")
        if (number, total) == (self.number, self._total):
            self.left = [chunk for index, chunk in enumerate(self._chunks) if not bits[index // 8] & 1 << index % 8]


class Assembly:
    """What a pod receives from one other. A newer parcel begins anew, an older one is ignored."""

    def __init__(self) -> None:
        self.number = -1
        self._total = 0
        self._have: set[int] = set()

    @property
    def complete(self) -> bool:
        """Whether all of the newest parcel is here."""
        return self.number >= 0 and len(self._have) == self._total

    def add(self, chunk: bytes) -> Flows:
        """The flows of a chunk, none if it is known; raises ChunkError."""
        if not _HEAD.size <= len(chunk) <= MAX_BYTES:
            raise ChunkError(f"{len(chunk)} bytes")
        version, number, index, total = _HEAD.unpack_from(chunk)
        if version != _VERSION or not index < total <= _MOST_CHUNKS:
            raise ChunkError("another format")
        flows = _read(chunk)
        if number > self.number:
            self.number, self._total, self._have = number, total, set()
        if (number, total) != (self.number, self._total) or index in self._have:
            return {}
        self._have.add(index)
        return flows

    def receipt(self) -> bytes:
        """What to answer."""
        bits = bytearray(_bytes(self._total))
        for index in self._have:
            bits[index // 8] |= 1 << index % 8
        return _RECEIPT.pack(_VERSION, max(self.number, 0), self._total) + bytes(bits)


def _bytes(bits: int) -> int:
    return (bits + 7) // 8


def _bodies(flows: Flows) -> Iterator[bytes]:
    most = MAX_BYTES - _HEAD.size
    body = b""
    for server, ports in flows.items():
        head = _SERVER.pack(server.protocol, 4 if len(server.address) == 4 else 6) + server.address
        head_bytes = len(head) + _COUNTS.size
        at = 0
        while at < len(ports):
            room = (most - len(body) - head_bytes) // 2
            if room < 1:
                yield body
                body = b""
                continue
            some = ports[at : at + room]
            body += head + _COUNTS.pack(server.port, len(some)) + struct.pack(f"!{len(some)}H", *some)
            at += len(some)
    if body:
        yield body


def _read(chunk: bytes) -> Flows:
    found: dict[Server, Sequence[int]] = {}
    at = _HEAD.size
    try:
        while at < len(chunk):
            protocol, family = _SERVER.unpack_from(chunk, at)
            at += _SERVER.size
            address = chunk[at : at + _PACKED[family]]
            at += _PACKED[family]
            port, number = _COUNTS.unpack_from(chunk, at)
            at += _COUNTS.size
            server = Server(protocol, address, port)
            found[server] = [*found.get(server, ()), *struct.unpack_from(f"!{number}H", chunk, at)]
            at += 2 * number
    except (struct.error, KeyError) as error:
        raise ChunkError("another format") from error
    return found
