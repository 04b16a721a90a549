# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pods say about relays, as texts."""

from __future__ import annotations

import ipaddress

import pytest

from ansible_collections.egress.router.images.router.egress_router.failover import beats, proofs
from ansible_collections.egress.router.images.router.egress_router.failover.channel import MAX_BYTES
from ansible_collections.egress.router.images.router.egress_router.relay import flows
from ansible_collections.egress.router.images.router.egress_router.relay.messages import (
    FORMAT,
    Kind,
    Message,
    MessageError,
    from_text,
    to_text,
)

IP4, IP6 = ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("2001:db8::1")
FULL = Message(Kind.RELAY, "billing-db-x", IP4, 2**40, True, True, 2**50, 9, 1024, 65535, 10, 7, IP6, b"chunk")


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    "message",
    [FULL, Message(Kind.RELAY, "x", IP6), FULL._replace(yes=False, holder=IP4), FULL._replace(newcomers=False)],
)
def test_what_is_said_is_heard(kind: Kind, message: Message) -> None:
    said = message._replace(kind=kind)
    assert from_text(to_text(said)) == said


def test_the_longest_fits_into_any_packet() -> None:
    text = to_text(FULL._replace(sender="x" * 253, body=b"y" * flows.MAX_BYTES))
    keys = [b"o" * 32, b"n" * 32]
    assert len(proofs.prove(text[:1] + b"\2" + text[1:], "payments/billing-db", keys)) <= MAX_BYTES


def test_it_is_no_beat() -> None:
    assert FORMAT != beats.FORMAT and to_text(FULL)[0] == FORMAT


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\2" * 20,
        to_text(FULL)[:-8],
        b"\3" + to_text(FULL)[1:],
        to_text(FULL)[:1] + b"\xff" + to_text(FULL)[2:],
        to_text(FULL).replace(IP4.packed, bytes(4)).replace(b"\0\0\xff\xff", bytes(4)),
        to_text(FULL).replace(b"billing", b"\xff\xff\xff\xff\xff\xff\xff"),
    ],
)
def test_what_is_no_message(text: bytes) -> None:
    with pytest.raises(MessageError):
        from_text(text)
