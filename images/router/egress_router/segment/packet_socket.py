# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What raw sockets receive: filters in classic BPF (linux/filter.h), and multicast groups (linux/if_packet.h)."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence

_SO_ATTACH_FILTER = 26
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_MR_MULTICAST = 0

# linux/if_packet.h: frames that this host sends, which its own sockets receive too.
OUTGOING = 4

# Code, jump if true, jump if false, constant.
Instruction = tuple[int, int, int, int]


def attach_filter(raw: socket.socket, program: Sequence[Instruction]) -> None:
    """Only what `program` accepts reaches `raw`; the kernel keeps a copy of the program."""
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code)
    header = struct.pack("HL", len(program), ctypes.addressof(buffer))
    raw.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)


def join(raw: socket.socket, interface: str, mac: bytes) -> None:
    """Receive frames for a multicast MAC address until the socket is closed."""
    request = struct.pack("iHH8s", socket.if_nametoindex(interface), _PACKET_MR_MULTICAST, 6, mac)
    raw.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, request)
