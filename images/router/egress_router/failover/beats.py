# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages of `protocol` as datagrams, each with a proof that a pod of the same router made it. Pure: nothing is sent here."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from .proofs import Stranger, prove, proved
from .protocol import Kind, Message

# No datagram is longer: a name of Kubernetes has 253 characters at most, and of a reason the beginning is sent.
MAX_BYTES = 512
REASON_BYTES = 120
FORMAT = 1

# Format, number of proofs, kind, able and ready, lengths of name and reason, term, counter, session, about.
_HEAD = struct.Struct("!BBBBBBQQQQ")


def seal(message: Message, router: str, keys: Sequence[bytes]) -> bytes:
    """The datagram. `router`: namespace and name, so that no other router's datagram counts, whatever its key."""
    name = message.sender.encode()
    reason = message.reason.encode()[:REASON_BYTES].decode(errors="ignore").encode()
    flags = message.able | message.ready << 1
    numbers = (message.term, message.counter, message.session, message.about)
    text = _HEAD.pack(FORMAT, len(keys), message.kind, flags, len(name), len(reason), *numbers) + name + reason
    return prove(text, router, keys)


def unseal(datagram: bytes, router: str, keys: Sequence[bytes]) -> Message:
    """The message; raises Stranger."""
    if not _HEAD.size < len(datagram) <= MAX_BYTES:
        raise Stranger(f"{len(datagram)} bytes")
    text = proved(datagram, router, keys)
    if len(text) < _HEAD.size:
        raise Stranger("another format")
    version, _proofs, kind, flags, length, more, term, counter, session, about = _HEAD.unpack_from(text)
    name_end = _HEAD.size + length
    if version != FORMAT or len(text) != name_end + more:
        raise Stranger("another format")
    try:
        sender, reason = text[_HEAD.size : name_end].decode(), text[name_end:].decode()
        able, ready = bool(flags & 1), bool(flags & 2)
        return Message(Kind(kind), sender, term, counter, session, about, able, ready, reason)
    except ValueError as error:
        raise Stranger(str(error)) from error
