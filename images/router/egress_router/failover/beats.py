# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages of `protocol` as datagrams, each with a proof that a pod of the same router made it. Pure: nothing is sent here.

A datagram has one proof (HMAC-SHA-256) for each key that its sender knows, and counts if one of them is right. So a key can be
replaced: while the Secret has the new one and the old one, pods that know both and pods that know the old one understand each
other.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence

from .protocol import Kind, Message

# How many keys may be in use at once.
MAX_KEYS = 2
# No datagram is longer: a name of Kubernetes has 253 characters at most, and of a reason the beginning is sent.
MAX_BYTES = 512
REASON_BYTES = 120

# Version, number of proofs, kind, able and ready, lengths of name and reason, term, counter, session, about.
_HEAD = struct.Struct("!BBBBBBQQQQ")
_VERSION = 1
_PROOF_BYTES = 32


class Stranger(Exception):
    """A datagram that no pod of this router made, as far as this one knows; the message says what is wrong with it."""


def seal(message: Message, router: str, keys: Sequence[bytes]) -> bytes:
    """The datagram. `router`: namespace and name, so that no other router's datagram counts, whatever its key."""
    name = message.sender.encode()
    reason = message.reason.encode()[:REASON_BYTES].decode(errors="ignore").encode()
    flags = message.able | message.ready << 1
    numbers = (message.term, message.counter, message.session, message.about)
    text = _HEAD.pack(_VERSION, len(keys), message.kind, flags, len(name), len(reason), *numbers) + name + reason
    return text + b"".join(_proof(text, router, key) for key in keys)


def unseal(datagram: bytes, router: str, keys: Sequence[bytes]) -> Message:
    """The message; raises Stranger. Nothing in it is looked at before it is proved, but for where the proofs are."""
    if not _HEAD.size < len(datagram) <= MAX_BYTES:
        raise Stranger(f"{len(datagram)} bytes")
    version, proofs, kind, flags, length, more, term, counter, session, about = _HEAD.unpack_from(datagram)
    name_end = _HEAD.size + length
    end = name_end + more
    if version != _VERSION or not 0 < proofs <= MAX_KEYS or len(datagram) != end + proofs * _PROOF_BYTES:
        raise Stranger("another format")
    text = datagram[:end]
    given = [datagram[at : at + _PROOF_BYTES] for at in range(end, len(datagram), _PROOF_BYTES)]
    if not any(hmac.compare_digest(_proof(text, router, key), proof) for key in keys for proof in given):
        raise Stranger("another key")
    try:
        sender, reason = text[_HEAD.size : name_end].decode(), text[name_end:].decode()
        able, ready = bool(flags & 1), bool(flags & 2)
        return Message(Kind(kind), sender, term, counter, session, about, able, ready, reason)
    except ValueError as error:
        raise Stranger(str(error)) from error


def _proof(text: bytes, router: str, key: bytes) -> bytes:
    return hmac.digest(key, router.encode() + b"\0" + text, hashlib.sha256)
