# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of an interface several times a second, by ioctl: a netlink message takes Python a hundred times as long."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct

from ansible_collections.egress.router.plugins.module_utils._contract.names import CLUSTER_INTERFACE

from .table import TUNNEL_OVERHEAD

# linux/sockios.h, linux/ethtool.h
_SIOCGIFMTU = 0x8921
_SIOCGIFHWADDR = 0x8927
_SIOCETHTOOL = 0x8946
_ETHTOOL_GLINK = 0x0000000A


def index(interface: str) -> int | None:
    """Its number; None if there is none."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return None


def mac(interface: str) -> str:
    """Its MAC address; empty without the interface."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            answer = fcntl.ioctl(any_socket, _SIOCGIFHWADDR, struct.pack("40s", interface.encode()))
    except OSError:
        return ""
    return answer[18:24].hex(":")


def carrier(interface: str) -> bool:
    """Whether it is up and has a carrier: a macvlan's follows the interface of the node."""
    value = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_GLINK, 0))
    request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
    except OSError:
        return False
    return bool(struct.unpack_from("II", value)[1])


def mtu(interface: str) -> int:
    """Its MTU. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFMTU, struct.pack("16si12x", interface.encode(), 0))
    (found,) = struct.unpack_from("i", answer, 16)
    return int(found)


def tunnel_mtu(family: int) -> int:
    """The MTU of a tunnel to another pod of the router, over the cluster's network of that family. Raises OSError."""
    return mtu(CLUSTER_INTERFACE) - TUNNEL_OVERHEAD[family]
