# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The elements of the table's maps and sets as the kernel lists them (linux/netfilter/nf_tables.h). Pure: nothing is sent here.

libnftables begins a listing again whenever anything has been committed meanwhile. The fence commits many times a second, so on a
busy machine it might never end for thousands of elements; and it takes five times as long as this.
"""

from __future__ import annotations

import contextlib
import ipaddress
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from .netfilter import DUMP, NFTABLES, REQUEST, attribute, attributes, request
from .table import Content, ElementKey

# The answers to a request for elements.
ELEMENTS = NFTABLES << 8 | 12
_GET_ELEMENTS = NFTABLES << 8 | 13
_INET = 1
_TABLE, _SET, _IN_SET = 1, 2, 3
_KEY, _DATA, _USERDATA, _EXPRESSION, _EXPRESSIONS = 1, 2, 6, 7, 11
_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_COUNTER = b"counter\0"
_BYTES, _PACKETS = 1, 2
# libnftables keeps comments in what the kernel does not look at: kind, length, text with a zero at its end.
_COMMENT = 0
_HEAD = struct.Struct("HH")
_NUMBER = struct.Struct(">Q")
# Bytes of an address, by family.
_SIZES = {4: 4, 6: 16}


class Element(NamedTuple):
    """One element. `counts`: packets and bytes, if they are counted."""

    key: ElementKey
    content: Content
    counts: tuple[int, int] | None


def ask(table_name: str, name: str) -> bytes:
    """The request for all elements of a map or set."""
    where = attribute(_TABLE, table_name.encode() + b"\0") + attribute(_SET, name.encode() + b"\0")
    return request(_GET_ELEMENTS, REQUEST | DUMP, _INET, where)


def read(name: str, message: bytes) -> Iterator[Element]:
    """The elements of map or set `name` in one of the kernel's answers; none of a map that somebody made of other types."""
    position, end = attributes(message, 20, len(message)).get(_IN_SET, (0, 0))
    while position < end:
        length, _kind = _HEAD.unpack_from(message, position)
        with contextlib.suppress(LookupError, ValueError, struct.error):
            yield _element(name, message, attributes(message, position + 4, position + length))
        position += (length + 3) & ~3


def _element(name: str, message: bytes, found: dict[int, tuple[int, int]]) -> Element:
    key_of, value_of = _FORMS[name]
    # The value is all that is in a key, and in data.
    value = value_of(message, found[_DATA][0] + 4) if _DATA in found else None
    comment = _comment(message, *found[_USERDATA]) if _USERDATA in found else ""
    return Element((name, key_of(message, found[_KEY][0] + 4)), (value, comment), _counts(message, found))


def _counts(message: bytes, found: dict[int, tuple[int, int]]) -> tuple[int, int] | None:
    if _EXPRESSION in found:
        return _counter(message, *found[_EXPRESSION])
    position, end = found.get(_EXPRESSIONS, (0, 0))
    for start, stop in attributes(message, position, end).values():
        return _counter(message, start, stop)
    return None


def _counter(message: bytes, start: int, end: int) -> tuple[int, int] | None:
    found = attributes(message, start, end)
    if message[slice(*found[_EXPRESSION_NAME])] != _COUNTER:
        return None
    counts = attributes(message, *found[_EXPRESSION_DATA])
    packets, size = (_NUMBER.unpack_from(message, counts[kind][0])[0] for kind in (_PACKETS, _BYTES))
    return packets, size


def _comment(message: bytes, position: int, end: int) -> str:
    while position + 2 <= end:
        kind, length = message[position], message[position + 1]
        if kind == _COMMENT:
            return message[position + 2 : position + 1 + length].decode(errors="replace")
        position += 2 + length
    return ""


# Each part of a key or of data begins at a multiple of four bytes.
def _protocol(message: bytes, at: int) -> int:
    return message[at]


def _protocol_and_port(message: bytes, at: int) -> tuple[int, int]:
    return message[at], message[at + 4] << 8 | message[at + 5]


def _mark(message: bytes, at: int) -> int:
    (mark,) = struct.unpack_from("I", message, at)
    return int(mark)


def _address(family: int) -> Callable[[bytes, int], str]:
    size = _SIZES[family]
    return lambda message, at: _text(message[at : at + size])


def _address_and_port(family: int) -> Callable[[bytes, int], tuple[str, int]]:
    size = _SIZES[family]
    return lambda message, at: (
        _text(message[at : at + size]),
        message[at + size] << 8 | message[at + size + 1],
    )


@lru_cache(maxsize=8192)
def _text(packed: bytes) -> str:
    """An address in the spelling of rules."""
    return str(ipaddress.ip_address(packed))


# How keys and values of each map are written; those of `table`.
_FORMS: dict[str, tuple[Callable[[bytes, int], Any], Callable[[bytes, int], Any]]] = {
    f"{kind}{family}": form
    for family in _SIZES
    for kind, form in {
        "redirect": (_protocol_and_port, _address_and_port(family)),
        "marks": (_protocol_and_port, _mark),
        "fallback": (_protocol, _address(family)),
        "fallmarks": (_protocol, _mark),
        "sources": (_mark, _address(family)),
    }.items()
}
_FORMS["live"] = (_mark, _mark)
# All maps and sets that hold rules.
NAMES = tuple(_FORMS)
