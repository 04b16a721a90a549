# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many packets wait for a next hop whose MAC address is not known (linux/neighbour.h): what pyroute2 cannot set.

A pod may not write the sysctl neigh/INTERFACE/unres_qlen_bytes, but send this message, which does the same.
"""

from __future__ import annotations

import socket
import struct

from .netfilter import ACK, REQUEST, attribute, check

_SET_TABLE = 67
_HEAD = struct.Struct("IHHIIB3x")
_NAME, _PARAMETERS, _INTERFACE, _QUEUE_BYTES = 1, 6, 1, 16
_TABLES = {socket.AF_INET: b"arp_cache\0", socket.AF_INET6: b"ndisc_cache\0"}


def allow(index: int, size: int) -> None:
    """Let so many bytes wait at the interface, for each next hop. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
        # When the kernel has taken a message, it has answered.
        netlink.setblocking(False)
        for family, name in _TABLES.items():
            parameters = attribute(_INTERFACE, struct.pack("I", index)) + attribute(
                _QUEUE_BYTES, struct.pack("I", size)
            )
            body = attribute(_NAME, name) + attribute(_PARAMETERS, parameters)
            netlink.send(_HEAD.pack(_HEAD.size + len(body), _SET_TABLE, REQUEST | ACK, 0, 0, family) + body)
            check(netlink.recv(1 << 12))
