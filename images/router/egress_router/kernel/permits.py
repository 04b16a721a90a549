# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fence's changes of the kernel as netlink messages (linux/netfilter/nf_tables.h). Pure: nothing is sent here.

Twenty times a second libnftables, which parses text and asks the kernel for sets and chains each time, would be most of what a
pod of a pair computes. This is what it makes of `add element`, `delete element`, `flush set`, `flush chain` and `add rule`.
"""

from __future__ import annotations

import errno
import struct

from . import table
from .netfilter import ACK, APPEND, CREATE, ERROR, NFTABLES, REQUEST, attribute, check, read, request

_BEGIN, _END = (request(kind, REQUEST, 0, b"", NFTABLES) for kind in (0x10, 0x11))
_NEW_RULE, _DELETE_RULE, _NEW_ELEMENT, _DELETE_ELEMENT = (NFTABLES << 8 | number for number in (6, 8, 12, 14))
# Answered with the number of the last transaction.
GET_GENERATION = request(NFTABLES << 8 | 16, REQUEST, 0, b"")
_FAMILIES = {table.FAMILY: 1, table.ARP_FAMILY: 3}
# The same numbers in messages of rules and of elements: the table, and what is in it.
_TABLE = attribute(1, table.NAME.encode() + b"\0")
_SET = _TABLE + attribute(2, table.PERMITS.encode() + b"\0")
_CHAIN = _TABLE + attribute(2, table.GRANTED.encode() + b"\0")
_ELEMENTS, _RULE_EXPRESSIONS, _IN_LIST = 3, 4, 1
_KEY, _TIMEOUT, _VALUE = 1, 4, 1
_NAME, _DATA = 1, 2
# Register 1, and the mark among what meta can set.
_REGISTER, _MARK = struct.pack(">I", 1), struct.pack(">I", 3)
_SET_MARK = attribute(
    _IN_LIST, attribute(_NAME, b"meta\0") + attribute(_DATA, attribute(2, _MARK) + attribute(3, _REGISTER))
)


def permit(number: int, seconds: float | None) -> list[bytes]:
    """Make a permit; None: without an end."""
    timeout = b"" if seconds is None else attribute(_TIMEOUT, struct.pack(">Q", max(1, int(seconds * 1000))))
    return _elements(_NEW_ELEMENT, REQUEST | CREATE, number, timeout)


def revoke(number: int) -> list[bytes]:
    """Remove a permit; the kernel refuses that when it has run out."""
    return _elements(_DELETE_ELEMENT, REQUEST, number, b"")


def grant(number: int, guard: int = 0) -> list[bytes]:
    """Grant a permit instead of any other; refused, all of it, if there is a guard that has run out."""
    # meta mark set NUMBER
    value = attribute(2, attribute(_VALUE, struct.pack("I", number)))
    immediate = attribute(_NAME, b"immediate\0") + attribute(_DATA, attribute(1, _REGISTER) + value)
    rule = _CHAIN + attribute(_RULE_EXPRESSIONS, attribute(_IN_LIST, immediate) + _SET_MARK)
    found = revoke(guard) if guard not in (0, number) else []
    for family in _FAMILIES.values():
        found.append(request(_DELETE_RULE, REQUEST, family, _CHAIN))
        found.append(request(_NEW_RULE, REQUEST | CREATE | APPEND, family, rule))
    return found


def drop() -> list[bytes]:
    """Grant nothing, and leave no permits."""
    return [
        one
        for family in _FAMILIES.values()
        for one in (request(_DELETE_RULE, REQUEST, family, _CHAIN), request(_DELETE_ELEMENT, REQUEST, family, _SET))
    ]


def transaction(changes: list[bytes], sequence: int) -> bytes:
    """All or nothing of the changes. The kernel confirms the last of them, and says before what of them it refuses."""
    *others, last = changes
    length, kind, flags = struct.unpack_from("IHH", last)
    return b"".join((_BEGIN, *others, struct.pack("IHHI", length, kind, flags | ACK, sequence), last[12:], _END))


def generation(answer: bytes) -> int:
    """What the kernel answered to GET_GENERATION."""
    for kind, message in read(answer):
        if kind == ERROR:
            check(message)
        # It is the first attribute.
        (number,) = struct.unpack_from(">I", message, 24)
        return int(number)
    raise OSError(errno.EPROTO, "the kernel does not tell the number of the last transaction")


def _elements(kind: int, flags: int, number: int, more: bytes) -> list[bytes]:
    key = attribute(_KEY, attribute(_VALUE, struct.pack("I", number)))
    elements = _SET + attribute(_ELEMENTS, attribute(_IN_LIST, key + more))
    return [request(kind, flags, family, elements) for family in _FAMILIES.values()]
