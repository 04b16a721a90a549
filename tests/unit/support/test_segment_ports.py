# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two pods that have the router's address at the same time are seen at the lab's switch."""

from __future__ import annotations

import ipaddress

import pytest

from ansible_collections.egress.router.images.router.egress_router.segment import frames
from ansible_collections.egress.router.tests.support.segment_ports import Change, Changes

MAC = frames.mac_bytes("02:e6:c6:33:64:32")
ADDRESSES = [ipaddress.ip_address("198.51.100.50"), ipaddress.ip_address("2001:db8:51::50")]


def see(ports: str, frame: bytes) -> list[Change]:
    """The changes that frames at these ports make, the first of them one second after the other."""
    changes = Changes()
    found = [changes.see(float(at), port, frame) for at, port in enumerate(ports)]
    return [change for change in found if change]


def test_a_take_over_is_one_change() -> None:
    assert see("aaabb", frames.announcement(MAC, ADDRESSES[0])) == [Change("a", 0.0, 0.0), Change("b", 3.0, 2.0)]


def test_two_that_serve_at_once_take_turns() -> None:
    assert [change.port for change in see("aaabab", frames.announcement(MAC, ADDRESSES[0]))] == ["a", "b", "a", "b"]


@pytest.mark.parametrize("ip", ADDRESSES)
def test_who_only_asks_whether_the_address_is_free_does_not_have_it(ip: ipaddress.IPv4Address) -> None:
    changes = Changes()
    assert changes.see(0.0, "a", frames.announcement(MAC, ip)) is not None
    assert changes.see(1.0, "b", frames.question(MAC, ip)) is None
    assert changes.see(2.0, "a", frames.announcement(MAC, ip)) is None
    assert changes.frames == 2
