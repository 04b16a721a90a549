# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pods of a router say to each other about relays, as texts that are proved as beats are. Pure: nothing is sent here."""

from __future__ import annotations

import enum
import ipaddress
import struct
from typing import NamedTuple

from ..net import IP

# Beats have another format.
FORMAT = 2

# Format, kind, yes and newcomers, parts in use, length of the name; addresses of sender and holder; counter, term, parcel;
# first and last port, seconds.
_HEAD = struct.Struct("!BBBBB16s16sQQQHHH")
_NOBODY = bytes(16)


class MessageError(ValueError):
    """This text is no message; it may be one of a later version."""


class Kind(enum.IntEnum):
    """What a message says."""

    # From a pod that has connections: I relay through you, or am about to. Said again all the time.
    RELAY = 1
    # From the one that serves, or is about to: yes or no, and which chunks are here.
    ANSWER = 2
    # From the one that relays: connections.
    CHUNK = 3
    # From the one that served, to those that relay through it: the address is at another pod now.
    MOVED = 4
    # From the one that relays: nothing is left.
    OVER = 5
    # From the one that serves, to those that relay through it: from now on.
    SERVES = 6
    # From the one that serves, to those that relay through it: the address is about to be at another pod.
    MOVES = 7
    # From the one that relays, to the one that serves: the pod that is about to knows my connections.
    FOLLOWS = 8


class Message(NamedTuple):
    """`address`: of the sender's tunnels. `counter` grows from message to message of a sender. `body`: a chunk, or a receipt, or why not.

    `parcel`: of RELAY, the number of the newest one; of ANSWER, of the one that is complete. 0: none.
    `parts`: of RELAY, which parts of the source ports (a bit for each, see kernel/ports.py) connections have that the sender knows of.
    `first`, `last`, `seconds`: of RELAY, the source ports of connections that begin at the sender after the move, and for how long those
    are to be relayed without being named. `newcomers`: of ANSWER, that they are.
    `term`, `holder`: of MOVED, who serves, and of MOVES and FOLLOWS, who will; `term` of SERVES too.
    """

    kind: Kind
    sender: str
    address: IP
    counter: int = 0
    yes: bool = False
    newcomers: bool = False
    parcel: int = 0
    parts: int = 0
    first: int = 0
    last: int = 0
    seconds: int = 0
    term: int = 0
    holder: IP | None = None
    body: bytes = b""


def to_text(message: Message) -> bytes:
    """As it is sent."""
    name = message.sender.encode()
    head = _HEAD.pack(
        FORMAT,
        message.kind,
        message.yes | message.newcomers << 1,
        message.parts,
        len(name),
        _packed(message.address),
        _packed(message.holder),
        message.counter,
        message.term,
        message.parcel,
        message.first,
        message.last,
        message.seconds,
    )
    return head + name + message.body


def from_text(text: bytes) -> Message:
    """What was sent; raises MessageError."""
    if len(text) < _HEAD.size:
        raise MessageError(f"{len(text)} bytes")
    version, kind, flags, parts, length, address, holder, counter, term, parcel, first, last, seconds = (
        _HEAD.unpack_from(text)
    )
    sender = _unpacked(address)
    end = _HEAD.size + length
    if version != FORMAT or sender is None or len(text) < end:
        raise MessageError("another format")
    try:
        return Message(
            Kind(kind),
            text[_HEAD.size : end].decode(),
            sender,
            counter,
            bool(flags & 1),
            bool(flags & 2),
            parcel,
            parts,
            first,
            last,
            seconds,
            term,
            _unpacked(holder),
            text[end:],
        )
    except ValueError as error:
        raise MessageError(str(error)) from error


def _packed(address: IP | None) -> bytes:
    """IPv4 as RFC 4291 has it in IPv6, 2.5.5.2."""
    if address is None:
        return _NOBODY
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def _unpacked(packed: bytes) -> IP | None:
    if packed == _NOBODY:
        return None
    address = ipaddress.IPv6Address(packed)
    return address.ipv4_mapped or address
