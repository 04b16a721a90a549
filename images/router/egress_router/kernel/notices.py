# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel's notices that something of the network has changed: to look is dear, and nearly always nothing has."""

from __future__ import annotations

import socket

from pyroute2.netlink import rtnl

_GROUPS = (
    rtnl.RTMGRP_LINK
    | rtnl.RTMGRP_IPV4_IFADDR
    | rtnl.RTMGRP_IPV6_IFADDR
    | rtnl.RTMGRP_IPV4_ROUTE
    | rtnl.RTMGRP_IPV6_ROUTE
    | rtnl.RTMGRP_IPV4_RULE
    | rtnl.RTMGRP_IPV6_RULE
)


class Notices:
    """Of links, addresses, routes and routing rules; those of this process too. For one thread at a time."""

    def __init__(self) -> None:
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._netlink.setblocking(False)
        self._netlink.bind((0, _GROUPS))

    def changed(self) -> bool:
        """Whether there was one since the last call: what it says is not read."""
        found = False
        while True:
            try:
                self._netlink.recv(1)
            except BlockingIOError:
                return found
            except OSError:
                # There were more than the socket holds.
                return True
            found = True
