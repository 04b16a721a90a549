# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How large the packets of an interface may be."""

from __future__ import annotations

import fcntl
import socket
import struct

from ansible_collections.egress.router.plugins.module_utils._contract.names import CLUSTER_INTERFACE

from .table import TUNNEL_OVERHEAD

_GET_MTU = 0x8921


def mtu(interface: str) -> int:
    """The MTU of an interface. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(asking, _GET_MTU, struct.pack("16si12x", interface.encode(), 0))
    (found,) = struct.unpack_from("i", answer, 16)
    return int(found)


def tunnel_mtu(family: int) -> int:
    """The MTU of a tunnel to another pod of the router, over the cluster's network of that family. Raises OSError."""
    return mtu(CLUSTER_INTERFACE) - TUNNEL_OVERHEAD[family]
