# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which port of the lab's egress segment has a router's MAC address, frame by frame. A program, for the switch's network namespace.

`record MAC PORT...` prints a line of JSON for each change of the port, and at SIGTERM how many frames it has seen and missed.
`ask MAC IP GATEWAY DEVICE` asks for the address all the time, so that whoever has it answers.
"""

from __future__ import annotations

import ipaddress
import json
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ansible_collections.egress.router.images.router.egress_router.segment import frames
from ansible_collections.egress.router.images.router.egress_router.segment.packet_socket import (
    OUTGOING,
    Instruction,
    attach_filter,
)

ASK_SECONDS = 0.05
# Of linux/socket.h, linux/if_packet.h and linux/filter.h; Python does not name them.
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS, _ALL_PROTOCOLS = 33, 35, 3
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_PACKET_TYPE = 0xFFFFF004
_BUFFER = 16 << 20
# As much of a frame as tells a question from an answer.
_LENGTH = 96


@dataclass(frozen=True)
class Change:
    """The MAC address moved to `port`: its first frame there, and the last one elsewhere before. Seconds of the machine's clock."""

    port: str
    at: float
    before: float


class Changes:
    """From frames in their order. A pod that asks for the address before it takes it does not have it yet."""

    def __init__(self) -> None:
        self.port = ""
        self.last = 0.0
        self.frames = 0

    def see(self, at: float, port: str, frame: bytes) -> Change | None:
        """A frame with the MAC address that arrived at a port."""
        if set(frames.claims(frame)) - set(frames.answers(frame)):
            return None
        self.frames += 1
        change = Change(port, at, self.last) if port != self.port else None
        self.port, self.last = port, at
        return change


def record(mac: str, ports: Sequence[str]) -> None:
    """Until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    seen, wanted = Changes(), frames.mac_bytes(mac)
    # One socket for all ports: it gets their frames in their order.
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS)) as raw:
        raw.settimeout(0.2)
        raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        raw.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        attach_filter(raw, _filter(wanted))
        while not ended.is_set():
            try:
                frame, ((_level, _kind, stamp),), _flags, (port, *_rest) = raw.recvmsg(_LENGTH, 64)
            except TimeoutError:
                continue
            seconds, nanoseconds = struct.unpack("ll", stamp)
            # Some have arrived before the filter was there.
            ours = port in ports and frame[6:12] == wanted
            change = seen.see(seconds + nanoseconds / 1e9, port, frame) if ours else None
            if change:
                print(json.dumps(asdict(change)), flush=True)
        _arrived, missed = struct.unpack("II", raw.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    print(json.dumps({"frames": seen.frames, "missed": missed}), flush=True)


def _filter(mac: bytes) -> list[Instruction]:
    """What arrives from a MAC address, and not what the switch sends."""
    return [
        (0x30, 0, 0, _PACKET_TYPE),
        (0x15, 5, 0, OUTGOING),
        (0x20, 0, 0, 6),
        (0x15, 0, 3, int.from_bytes(mac[:4], "big")),
        (0x28, 0, 0, 10),
        (0x15, 0, 1, int.from_bytes(mac[4:], "big")),
        (0x06, 0, 0, _LENGTH),
        (0x06, 0, 0, 0),
    ]


def ask(mac: str, ip: str, gateway: str, device: str) -> None:
    """Until it is ended."""
    question = frames.question(frames.mac_bytes(mac), ipaddress.ip_address(ip), ipaddress.ip_address(gateway))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        raw.bind((device, 0))
        while True:
            raw.send(question)
            time.sleep(ASK_SECONDS)


if __name__ == "__main__":
    if sys.argv[1] == "record":
        record(sys.argv[2], sys.argv[3:])
    else:
        ask(*sys.argv[2:])
