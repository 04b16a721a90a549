# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tunnels between pods of a router: VXLAN devices over the cluster's network, through pyroute2.

Frames for the router's MAC address are handed over as they are, so the end of the pod that relays has that address. The
other end has one that never leaves the tunnel.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyroute2.iproute import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from ansible_collections.egress.router.plugins.module_utils._contract.failover import RELAY_PORT
from ansible_collections.egress.router.plugins.module_utils._contract.names import EGRESS_INTERFACE

from ..config import Config
from ..kernel import link, settings
from ..kernel import waiting as waiting_packets
from ..kernel.network import LAST_METRIC, TABLE
from ..kernel.table import RELAY
from ..net import IP

# Of the end at the pod that serves.
FAR_MAC = "02:e6:c6:00:00:01"
# Each end has an address, without which the kernel takes no IPv4 packets from it whose way back is another. The next hops at
# the other end are nobody's address: who has their MAC address is known.
_ADDRESS = "169.254.29.1"
_NEXT_HOPS = {4: "169.254.29.2", 6: "fe80::e6c6:2"}
# Worse than the routes of a router that serves, for IPv6 too, whose default is 1024; better than the last route.
METRIC = 2048
assert METRIC < LAST_METRIC
# What waits in the tunnel: the kernel's own limit is some hundred packets.
WAITING_BYTES = 8 << 20
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_NUMBERS = 1 << 24
_NO_PREFIX_ROUTE = 0x200
_PERMANENT = 0x80
_NO_ADDRESS = 1


@dataclass(frozen=True)
class Tunnel:
    """One end. `number`: the tunnel's, the same at both ends."""

    name: str
    number: int
    peer: IP


def number(relaying: IP) -> int:
    """The number of the tunnel of a pod that relays, from its cluster address."""
    # The last bytes of IPv6 addresses are often the same on each node.
    return int(relaying) % _NUMBERS if relaying.version == 4 else zlib.crc32(relaying.packed) % _NUMBERS


def far_name(relaying: IP) -> str:
    """The name of a tunnel at the pod that serves."""
    return f"{RELAY}-{number(relaying):06x}"


class Tunnels:
    """The ends in this pod; what there is, the kernel knows. Raises NetlinkError or OSError; for one thread at a time."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._ipr = IPRoute()

    def open_near(self, peer: IP, waiting: bool = False) -> None:
        """The end of a pod that relays through `peer`, and a way into it that is taken when no better one is left.

        With `waiting`, packets wait in the kernel until let_through(), for three seconds at most. Where there is such an end already,
        it leads to `peer` from now on, and no packet is lost.
        """
        own = self._own(peer)
        there = [one for one in self.present() if one.name == RELAY]
        if there and there[0].number == number(own) and there[0].peer.version == peer.version:
            (index,) = self._ipr.link_lookup(ifname=RELAY)
            if waiting:
                self._forget_next_hops(index)
            group = "vxlan_group" if peer.version == 4 else "vxlan_group6"
            self._ipr.link("set", index=index, kind="vxlan", vxlan_id=number(own), **{group: str(peer)})
        else:
            index = self._open(RELAY, number(own), own, peer, self._config.mac)
        for family in self._config.families:
            self._ipr.route(
                "replace",
                dst="default",
                gateway=_NEXT_HOPS[family],
                oif=index,
                table=TABLE,
                priority=METRIC,
                family=_FAMILIES[family],
                flags=["onlink"],
            )
        if waiting:
            waiting_packets.allow(index, WAITING_BYTES)
        else:
            self.let_through()

    def let_through(self) -> None:
        """Send what waits, and what comes: until now nobody knew the next hop's MAC address, so the kernel kept it."""
        for index in self._ipr.link_lookup(ifname=RELAY):
            for family in self._config.families:
                self._ipr.neigh(
                    "replace",
                    dst=_NEXT_HOPS[family],
                    lladdr=FAR_MAC,
                    ifindex=index,
                    state=_PERMANENT,
                    family=_FAMILIES[family],
                )

    def _forget_next_hops(self, index: int) -> None:
        for family in self._config.families:
            with _missing(errno.ENOENT):
                self._ipr.neigh("del", dst=_NEXT_HOPS[family], ifindex=index, family=_FAMILIES[family])

    def open_far(self, peer: IP) -> str:
        """The end of the pod that serves; returns its name."""
        name = far_name(peer)
        self._open(name, number(peer), self._own(peer), peer, FAR_MAC)
        return name

    def close(self, name: str) -> None:
        """Remove an end, with its routes."""
        with _missing():
            for index in self._ipr.link_lookup(ifname=name):
                self._ipr.link("del", index=index)

    def present(self) -> list[Tunnel]:
        """The ends that there are, also those of an earlier process of this pod."""
        found = []
        for device in self._ipr.get_links():
            name, info = str(device.get_attr("IFLA_IFNAME")), device.get_attr("IFLA_LINKINFO")
            if (name == RELAY or name.startswith(f"{RELAY}-")) and info and info.get_attr("IFLA_INFO_KIND") == "vxlan":
                data = info.get_attr("IFLA_INFO_DATA")
                peer = data.get_attr("IFLA_VXLAN_GROUP") or data.get_attr("IFLA_VXLAN_GROUP6")
                found.append(Tunnel(name, int(data.get_attr("IFLA_VXLAN_ID")), ipaddress.ip_address(peer)))
        return found

    def try_one(self, name: str) -> None:
        """Make a device and remove it again."""
        self.close(name)
        self._ipr.link("add", ifname=name, kind="vxlan", vxlan_id=0, vxlan_port=RELAY_PORT)
        self.close(name)

    def _own(self, peer: IP) -> IP:
        own = self._config.pod_ip(peer.version)
        if own is None:
            raise OSError(errno.EAFNOSUPPORT, f"this pod has no IPv{peer.version} address to reach {peer} from")
        return own

    def _open(self, name: str, tunnel: int, own: IP, peer: IP, mac: str) -> int:
        self.close(name)
        more: dict[str, Any]
        if own.version == 4:
            # Packets that are too large go in fragments.
            mtu, more = link.mtu(EGRESS_INTERFACE), {"vxlan_local": str(own), "vxlan_group": str(peer)}
        else:
            # The kernel does not make fragments of IPv6 tunnels.
            mtu, more = link.tunnel_mtu(6), {"vxlan_local6": str(own), "vxlan_group6": str(peer)}
        self._ipr.link(
            "add",
            ifname=name,
            kind="vxlan",
            vxlan_id=tunnel,
            vxlan_port=RELAY_PORT,
            vxlan_learning=0,
            vxlan_ttl=64,
            address=mac,
            mtu=mtu,
            **more,
        )
        (index,) = self._ipr.link_lookup(ifname=name)
        # Nothing of the kernel's own into the tunnel.
        no_address = {"attrs": [["AF_INET6", {"attrs": [["IFLA_INET6_ADDR_GEN_MODE", _NO_ADDRESS]]}]]}
        self._ipr.link("set", index=index, IFLA_AF_SPEC=no_address)
        settings.repair(self._ipr, name, index, settings.TUNNEL)
        self._ipr.addr("add", index=index, address=_ADDRESS, prefixlen=32, IFA_FLAGS=_NO_PREFIX_ROUTE)
        self._ipr.link("set", index=index, state="up")
        return int(index)


@contextlib.contextmanager
def _missing(code: int = errno.ENODEV) -> Iterator[None]:
    """What is gone already need not be removed."""
    try:
        yield
    except NetlinkError as error:
        if error.code != code:
            raise
