# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages of netfilter's netlink (linux/netlink.h, linux/netfilter/nfnetlink.h), for what is too slow through a library."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

REQUEST, ACK, EXCLUSIVE, DUMP, CREATE, APPEND = 0x1, 0x4, 0x200, 0x300, 0x400, 0x800
ERROR, DONE = 2, 3
NESTED = 0x8000
# The subsystem of nftables.
NFTABLES = 10

_NETFILTER = 12
_HEAD = struct.Struct("IHHIIBBH")
_ATTRIBUTE = struct.Struct("HH")


def connect() -> socket.socket:
    """A socket to the kernel's netfilter. Raises OSError."""
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
    netlink.settimeout(5)
    return netlink


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def request(kind: int, flags: int, family: int, attributes: bytes, resource: int = 0) -> bytes:
    """One message to the kernel; `kind` includes the subsystem."""
    return _HEAD.pack(20 + len(attributes), kind, flags, 0, 0, family, 0, socket.htons(resource)) + attributes


def read(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The messages in what was received, each with its kind."""
    position = 0
    while position < len(data):
        length, kind = struct.unpack_from("IH", data, position)
        yield kind, data[position : position + length]
        position += (length + 3) & ~3


def attributes(data: bytes, start: int, end: int) -> dict[int, tuple[int, int]]:
    """Where the values of a message's attributes are, by kind."""
    found = {}
    while start < end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        found[kind & 0x3FFF] = (start + 4, start + length)
        start += (length + 3) & ~3
    return found


def confirms(answer: bytes, sequence: int) -> bool:
    """Whether an answer says that the message with this sequence number was obeyed. Raises OSError if it refuses any."""
    check(answer)
    (number,) = struct.unpack_from("I", answer, 8)
    return bool(number == sequence)


def check(answer: bytes, ignored: int = 0) -> None:
    """Raise OSError if a message of kind ERROR says that something failed, but for the code `ignored`."""
    (code,) = struct.unpack_from("i", answer, 16)
    if code not in (0, ignored):
        raise OSError(-code, os.strerror(-code))
