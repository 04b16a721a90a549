# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The interfaces of this network namespace, read from the kernel."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pyroute2.iproute import IPRoute

from ansible_collections.egress.router.plugins.module_utils._contract.inspect import Interface

from .. import net
from ..net import IP

# linux/if.h, linux/if_arp.h, linux/neighbour.h
_UP = 0x1
_LOOPBACK = 772
_SELF = 0x02
# Interfaces that pass each of their MAC addresses on to another one: to IFLA_LINK, or to their members.
_STACKED = ("vlan", "macvlan", "ipvlan", "macsec")
_BUNDLES = ("bond", "team")
# Masters whose members keep their frames; every other one takes them (bridge, bond, openvswitch and so on).
_TRANSPARENT = ("vrf",)
_ETHERNET = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
# MACVLAN_MODE_PASSTHRU, where the library does not name it.
_PASSTHRU = 8
CLASS = Path("/sys/class/net")


def silence(interface: Interface) -> str:
    """Why nothing can be asked on this interface; empty if it can."""
    name = interface.name
    if not name:
        return "there is no default route to take the interface of"
    if not interface.exists:
        return f"there is no interface {name}"
    if not interface.up:
        return f"{name} is down"
    if not interface.carrier:
        return f"{name} has no carrier"
    if not interface.mac:
        return f"{name} has no MAC address"
    if interface.enslaved_to and interface.enslaved_kind not in _TRANSPARENT:
        return f"{name} is a port of {interface.enslaved_to}, which takes its frames"
    return ""


def source(interface: Interface, ip: IP) -> IP | None:
    """The node's own address from which to ask a neighbour for `ip`; None if there is none."""
    if ip.version == 6:
        return link_local(interface)
    return next((own.ip for own in _addresses(interface) if ip in own.network), None)


def link_local(interface: Interface) -> IP | None:
    """The interface's IPv6 link-local address."""
    return next((own.ip for own in _addresses(interface) if own.version == 6 and own.is_link_local), None)


def _addresses(interface: Interface) -> list[net.Interface]:
    return [ipaddress.ip_interface(text) for text in interface.addresses]


class Owner(NamedTuple):
    """The interface of the node that has an address, and its MAC address."""

    interface: str
    mac: str


@dataclass(frozen=True)
class Links:
    """The interfaces by the names that were asked for, those below them, and who has each address of the node."""

    by_name: dict[str, Interface]
    own: dict[IP, Owner]


def read(names: Iterable[str]) -> Links:
    """Reads them with a few dumps, whatever the number of interfaces.

    An empty name is the interface of the default route, IPv4's before IPv6's: what the CNI plugin macvlan takes if no
    master is named.
    """
    with IPRoute() as netlink:
        links = {message["index"]: message for message in netlink.get_links()}
        addresses = [(message["index"], _address(message)) for message in netlink.get_addr()]
        entries = list(netlink.get_neighbours(family=socket.AF_BRIDGE))
        defaults = [*netlink.get_default_routes(socket.AF_INET), *netlink.get_default_routes(socket.AF_INET6)]
    return Reader(links, addresses, entries, defaults).links(names)


class Reader:
    """What the kernel's messages say: interfaces by number, addresses, forwarding databases, default routes."""

    def __init__(
        self,
        links: dict[int, Any],
        addresses: list[tuple[int, net.Interface]],
        entries: list[Any],
        defaults: list[Any],
    ) -> None:
        self._links = links
        self._addresses = addresses
        self._entries = entries
        self._index = {message.get_attr("IFLA_IFNAME"): index for index, message in links.items()}
        for index, message in links.items():
            for name in _other_names(message):
                self._index.setdefault(name, index)
        default = next((route.get_attr("RTA_OIF") for route in defaults), None)
        if default in links:
            self._index[""] = default

    def links(self, names: Iterable[str]) -> Links:
        """The interfaces `names`, those below them, and all addresses."""
        wanted = list(names)
        found: dict[str, Interface] = {}
        while wanted:
            name = wanted.pop(0)
            if name not in found:
                found[name] = self._interface(name)
                wanted += found[name].lower
        owners = {
            index: Owner(message.get_attr("IFLA_IFNAME"), _mac(message) or "") for index, message in self._links.items()
        }
        return Links(found, {address.ip: owners[index] for index, address in self._addresses if index in owners})

    def _interface(self, name: str) -> Interface:
        index = self._index.get(name)
        if index is None:
            return Interface(name)
        message = self._links[index]
        mac = _mac(message)
        master = self._links.get(message.get_attr("IFLA_MASTER"))
        name = message.get_attr("IFLA_IFNAME")
        return Interface(
            name,
            exists=True,
            up=bool(message["flags"] & _UP),
            carrier=bool(message["flags"] & _UP and message.get_attr("IFLA_CARRIER")),
            mtu=message.get_attr("IFLA_MTU"),
            kind=_kind(message),
            driver=_driver(name),
            mac=mac,
            addresses=tuple(str(address) for own, address in self._addresses if own == index),
            enslaved_to=master and master.get_attr("IFLA_IFNAME"),
            enslaved_kind=master and _kind(master),
            lower=tuple(self._lower(index, message)),
            unicast_filter=tuple(sorted(self._unicast_filter(index) - {mac})),
            promiscuous=message.get_attr("IFLA_PROMISCUITY"),
            occupant=self._occupant(index),
        )

    def _occupant(self, index: int) -> str | None:
        """The interface on top of this one that shares it with no macvlan, as far as this namespace shows it."""
        for other in self._links.values():
            if (
                other.get_attr("IFLA_LINK") == index
                and other.get_attr("IFLA_LINK_NETNSID") is None
                and _exclusive(other)
            ):
                return f"{_kind(other)} {other.get_attr('IFLA_IFNAME')}"
        return None

    def _lower(self, index: int, message: Any) -> list[str]:
        kind = _kind(message)
        # The index of a lower interface in another namespace means something else here.
        if kind in _STACKED and message.get_attr("IFLA_LINK_NETNSID") is None:
            below = [self._links.get(message.get_attr("IFLA_LINK"))]
        elif kind in _BUNDLES:
            below = [other for other in self._links.values() if other.get_attr("IFLA_MASTER") == index]
        else:
            below = []
        return [link.get_attr("IFLA_IFNAME") for link in below if link is not None]

    def _unicast_filter(self, index: int) -> set[str]:
        return {
            entry.get_attr("NDA_LLADDR")
            for entry in self._entries
            if entry["ifindex"] == index and entry["flags"] & _SELF and _unicast(entry.get_attr("NDA_LLADDR"))
        }


def _kind(message: Any) -> str:
    """The kind that `ip -d link` shows; hardware has none."""
    if message["ifi_type"] == _LOOPBACK:
        return "loopback"
    return message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "physical"


def _driver(name: str) -> str | None:
    try:
        return (CLASS / name / "device" / "driver").readlink().name
    except OSError:
        return None


def _address(message: Any) -> net.Interface:
    ip = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    return ipaddress.ip_interface(f"{ip}/{message['prefixlen']}")


def _mac(message: Any) -> str | None:
    """The Ethernet address: tunnels have the address of their end in its place, InfiniBand has a longer one."""
    address = message.get_attr("IFLA_ADDRESS")
    return address if isinstance(address, str) and _ETHERNET.fullmatch(address) else None


def _unicast(mac: object) -> bool:
    return isinstance(mac, str) and _ETHERNET.fullmatch(mac) is not None and not int(mac[:2], 16) & 1


def _other_names(message: Any) -> list[str]:
    """`ip link property add dev eth0 altname NAME`."""
    properties = message.get_attr("IFLA_PROP_LIST")
    return list(properties.get_attrs("IFLA_ALT_IFNAME")) if properties else []


def _exclusive(message: Any) -> bool:
    kind = _kind(message)
    mode = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", f"IFLA_{kind.upper()}_MODE")
    return kind in ("ipvlan", "ipvtap") or (kind in ("macvlan", "macvtap") and mode in ("passthru", _PASSTHRU))
