# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Classic BPF (linux/filter.h): the kernel drops what a raw socket does not want."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence

_SO_ATTACH_FILTER = 26

# Code, jump if true, jump if false, constant.
Instruction = tuple[int, int, int, int]


def attach(raw: socket.socket, program: Sequence[Instruction]) -> None:
    """Let through to `raw` what `program` accepts; the kernel keeps a copy of the program."""
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code)
    header = struct.pack("HL", len(program), ctypes.addressof(buffer))
    raw.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)
