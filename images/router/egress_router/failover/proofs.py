# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proofs that a pod of the same router made a datagram. Pure: nothing is sent here.

A datagram has one proof (HMAC-SHA-256) for each key that its sender knows, and counts if one of them is right. So a key can be
replaced: while the Secret has the new one and the old one, pods that know both and pods that know the old one understand each
other.

    text     its format, the number of proofs, and what it says; see beats.py, and messages.py of the package relay
    proofs   of the text
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

# How many keys may be in use at once.
MAX_KEYS = 2
PROOF_BYTES = 32


class Stranger(Exception):
    """A datagram that no pod of this router made, as far as this one knows; the message says what is wrong with it."""


def prove(text: bytes, router: str, keys: Sequence[bytes]) -> bytes:
    """The datagram. `router`: namespace and name, so that no other router's datagram counts, whatever its key."""
    return text + b"".join(_proof(text, router, key) for key in keys)


def proved(datagram: bytes, router: str, keys: Sequence[bytes]) -> bytes:
    """The text; raises Stranger. Nothing in it is looked at before it is proved, but for how many proofs there are."""
    proofs = datagram[1] if len(datagram) > 1 else 0
    end = len(datagram) - proofs * PROOF_BYTES
    if not 0 < proofs <= MAX_KEYS or end < 2:
        raise Stranger("another format")
    text = datagram[:end]
    given = [datagram[at : at + PROOF_BYTES] for at in range(end, len(datagram), PROOF_BYTES)]
    if not any(hmac.compare_digest(_proof(text, router, key), proof) for key in keys for proof in given):
        raise Stranger("another key")
    return text


def _proof(text: bytes, router: str, key: bytes) -> bytes:
    return hmac.digest(key, router.encode() + b"\0" + text, hashlib.sha256)
