# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pod's interfaces through pyroute2: MAC and addresses of net1, and the routes of redirected traffic.

The default route through eth0 stays: replies to clients take the cluster's network. What arrives on eth0 and is forwarded
is looked up in table 100, which leads to net1 and has the router's other routes too, and so is what the pod itself sends from
an egress address. While the router does not serve, that table has only an unreachable route, so that nothing leaves the pod another
way. The main table knows nothing of net1, not even its subnet: a client may live there too, and its answers take the cluster's network.
"""

from __future__ import annotations

import errno
import ipaddress
import secrets
import socket
import threading
from collections.abc import Callable
from typing import Any

from pyroute2.iproute import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from ansible_collections.egress.router.plugins.module_utils._contract.names import CLUSTER_INTERFACE, EGRESS_INTERFACE

from ..config import Address, Config
from . import link, settings, sysctl
from .marks import BASE, MASK
from .notices import Notices

TABLE = 100
RULE_PRIORITY = 100
# Worse than any route that somebody would add, and better than IPv6's own last resort, 0xffffffff.
LAST_METRIC = 4278198272

# What `repair` may find.
REPAIRS = ("link", "mac", "address", "route", "rule", "setting")

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
# linux/if_addr.h: no duplicate address detection by the kernel, because the agent has probed already; and no route to the
# subnet, which the kernel would put into the main table.
_NODAD = 0x02
_NOPREFIXROUTE = 0x200
_MAIN_TABLE = 254
_LINK_LOCAL = ipaddress.ip_network("fe80::/10")
_FORWARDING6 = "net.ipv6.conf.all.forwarding"
_ORIGINAL = "egress.router original MAC "


class NetworkError(Exception):
    """The router cannot serve; the message says why, and what to do."""


class MacInUseError(NetworkError):
    """Another interface of the node has the router's MAC address, perhaps for a moment: that of a pod that hands over."""


class Network:
    """net1 and the routing of one router. All methods may be called from any thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.RLock()
        self._ipr = IPRoute()
        # What was read of net1 since the kernel's last notice, and whether there was one that nobody was told of.
        self._notices = Notices()
        self._read: dict[Callable[[str], Any], Any] = {}
        self._changed = True
        # The MAC address that net1 has without the router's, and the number of that net1.
        self._own = (0, "")

    def prepare(self) -> None:
        """Send forwarded traffic to table 100, which refuses it for now."""
        with self._lock:
            for address in self._config.addresses:
                self._add_rules(address)
            for family in self._config.families:
                self._add_last_route(family)

    def changed(self) -> bool:
        """Whether links, addresses, routes or routing rules have changed since the last call."""
        with self._lock:
            self._hear()
            changed, self._changed = self._changed, False
            return changed

    def secure(self, *, settings_only: bool = False) -> list[str]:
        """Set what the node's settings left open, and let the kernel forward: only when the table is loaded.

        Removes what router advertisements brought before. Returns what was necessary. Of settings the kernel tells no changes.
        """
        with self._lock:
            done = []
            for interface in settings.WANTED:
                index = link.index(interface)
                if index is not None:
                    done += ["setting"] * len(settings.repair(self._ipr, interface, index))
            index = self._index()
            if index is not None and not settings_only:
                done += ["address"] * self._remove_strange_addresses(index)
                done += ["route"] * sum(self._remove_main_routes(index, family) for family in _FAMILIES)
            return done

    def problem(self) -> str:
        """Why this pod cannot serve, whatever the agent does; empty if it can."""
        with self._lock:
            where = f"router {self._config.router}, pod {self._config.pod}"
            if self._index() is None:
                return (
                    f"{where}: there is no interface {EGRESS_INTERFACE}. A meta-plugin such as Multus attaches it by the "
                    "pod's network annotation: check that one is installed on the node"
                )
            if 6 in self._config.families and sysctl.read(_FORWARDING6) != "1":
                return (
                    f"{where}: {_FORWARDING6} is not 1, so the kernel does not forward packets; the tuning plugin in the "
                    "NetworkAttachmentDefinition has to set it"
                )
            return ""

    def carrier(self) -> bool:
        """Whether net1 has a carrier: it follows the interface of the node."""
        return bool(self._of_net1(link.carrier))

    def mac(self) -> str:
        """The current MAC address of net1; empty without net1."""
        return str(self._of_net1(link.mac))

    def own_mac(self) -> str:
        """The MAC address of net1 while the pod does not serve; empty without net1."""
        with self._lock:
            index = self._index()
            if index is None:
                return ""
            if index != self._own[0]:
                self._own = (index, self._original(index) or self.mac())
            return self._own[1]

    def taken(self) -> bool:
        """Whether net1 already has the router's MAC address and addresses, from an earlier process of this pod."""
        with self._lock:
            return self.mac() == self._config.mac and not self._missing_addresses(self._required_index())

    def set_up(self) -> None:
        """Set net1 up."""
        with self._lock:
            self._set_up(self._required_index())

    def claim(self) -> None:
        """Give net1 the router's MAC address; raises NetworkError if another interface of the node has it."""
        with self._lock:
            self._set_mac(self._required_index())

    def take(self, allowed: Callable[[], bool]) -> bool:
        """Give net1 MAC address, addresses and routes if `allowed` returns true at that moment; returns whether it did.

        Clients are waiting: nothing is looked at, and all that may be wrong beside these is for the next repair.
        """
        with self._lock:
            if not allowed():
                return False
            index = self._required_index()
            if not self._set_mac(index):
                self._set_up(index)
            for address in self._config.addresses:
                self._add_address(index, address)
            for route in self._own_routes(index):
                self._request(self._ipr.route, "add", ignored=(errno.EEXIST,), **route)
            return True

    def divert(self) -> None:
        """Remove the router's routes by net1, so that packets take a relay's way from now on: a first step of release().

        Clients are waiting: nothing is looked at.
        """
        with self._lock:
            index = self._index()
            for route in self._own_routes(index) if index is not None else ():
                self._request(self._ipr.route, "del", **route)

    def repair(self, allowed: Callable[[], bool], *, settings_only: bool = False) -> list[str]:
        """Restore what a serving router lacks; returns what that was, see REPAIRS."""
        with self._lock:
            if not allowed():
                return []
            return self.secure(settings_only=True) if settings_only else self._repair(self._required_index())

    def release(self, unless: Callable[[], bool] | None = None) -> None:
        """Remove addresses and routes and restore the original MAC address; what is gone already is ignored.

        Nothing is done if `unless` returns true at that moment.
        """
        with self._lock:
            if unless is not None and unless():
                return
            index = self._index()
            if index is None:
                return
            for family in self._config.families:
                for route in self._routes(family):
                    # A relay's route stays, and from now on leads all to the pod that serves next.
                    if route.get_attr("RTA_OIF") == index:
                        self._request(self._ipr.route, "del", **_as_request(route))
            for address in self._config.addresses:
                self._request(
                    self._ipr.addr,
                    "del",
                    index=index,
                    address=str(address.ip),
                    prefixlen=address.interface.network.prefixlen,
                    family=_FAMILIES[address.family],
                )
            if self.mac() == self._config.mac:
                self._request(self._ipr.link, "set", index=index, address=self._original(index) or _random_mac())

    def _original(self, index: int) -> str:
        """The MAC address that net1 had before the router's; empty if it had none."""
        alias = str(self._link(index).get_attr("IFLA_IFALIAS") or "")
        return alias.removeprefix(_ORIGINAL) if alias.startswith(_ORIGINAL) else ""

    def _repair(self, index: int) -> list[str]:
        done = self.secure()
        if self._set_up(index):
            done.append("link")
        if self._set_mac(index):
            done.append("mac")
        for address in self._missing_addresses(index):
            self._add_address(index, address)
            done.append("address")
        done += ["rule" for address in self._config.addresses if self._add_rules(address)]
        done += ["route" for address in self._firsts() if self._add_routes(index, address)]
        if self._add_static_routes(index):
            done.append("route")
        return done

    def _firsts(self) -> list[Address]:
        """The first address of each family: subnet and gateway are the same for all of it."""
        return [self._config.addresses_of(family)[0] for family in self._config.families]

    def _set_up(self, index: int) -> bool:
        """Returns whether it was necessary."""
        if self._link(index)["flags"] & 1:
            return False
        self._ipr.link("set", index=index, state="up")
        return True

    def _set_mac(self, index: int) -> bool:
        """Returns whether it was necessary."""
        current = self.mac()
        if current == self._config.mac:
            return False
        # Kept by the kernel, so that a restarted agent can restore it too.
        alias = _ORIGINAL + (self._original(index) or current)
        try:
            self._ipr.link("set", index=index, address=self._config.mac, IFLA_IFALIAS=alias, state="up")
        except NetlinkError as error:
            if error.code in (errno.EBUSY, errno.EADDRINUSE):
                raise MacInUseError(
                    f"MAC address {self._config.mac} of router {self._config.router} is in use by another interface "
                    f"of node {self._config.node}: an earlier pod is still terminating, or two routers have the same mac"
                ) from error
            raise NetworkError(f"cannot set MAC address {self._config.mac}: {error}") from error
        return True

    def _add_address(self, index: int, address: Address) -> None:
        self._request(
            self._ipr.addr,
            "add",
            ignored=(errno.EEXIST,),
            index=index,
            address=str(address.ip),
            prefixlen=address.interface.network.prefixlen,
            family=_FAMILIES[address.family],
            IFA_FLAGS=_NOPREFIXROUTE | (_NODAD if address.family == 6 else 0),
        )

    def _missing_addresses(self, index: int) -> list[Address]:
        present = {(_local(message), message["prefixlen"]) for message in self._ipr.get_addr(index=index)}
        return [a for a in self._config.addresses if (str(a.ip), a.interface.network.prefixlen) not in present]

    def _add_routes(self, index: int, address: Address) -> bool:
        """Make table 100 what it should be for one family; returns whether something was missing, or led elsewhere."""
        changed = self._add_last_route(address.family)
        routes = [route for route in self._routes(address.family) if route.get_attr("RTA_OIF") == index]
        gateway = str(address.gateway) if address.gateway else None
        for route in routes:
            if _destination(route) == "default" and route.get_attr("RTA_GATEWAY") != gateway:
                # Of two equal ones the kernel takes the first, and it may refuse the second.
                self._request(self._ipr.route, "del", **_as_request(route))
                changed = True
        present = {(_destination(route), route.get_attr("RTA_GATEWAY")) for route in routes}
        for wanted in self._routes_of(index, address):
            if (wanted["dst"], wanted.get("gateway")) not in present:
                self._request(self._ipr.route, "add", ignored=(errno.EEXIST,), **wanted)
                changed = True
        return changed

    def _add_static_routes(self, index: int) -> bool:
        """Add what table 100 lacks of the routes by other gateways; returns whether something was missing."""
        present = {
            (_destination(route), route.get_attr("RTA_GATEWAY"))
            for family in {route.family for route in self._config.routes}
            for route in self._routes(family)
            if route.get_attr("RTA_OIF") == index
        }
        missing = [one for one in self._static_routes(index) if (one["dst"], one["gateway"]) not in present]
        for wanted in missing:
            # Not "add": somebody may have put another gateway into its place.
            self._request(self._ipr.route, "replace", **wanted)
        return bool(missing)

    def _own_routes(self, index: int) -> list[dict[str, Any]]:
        """All routes of a router that serves, as requests; those that others are reached by come first."""
        return [route for address in self._firsts() for route in self._routes_of(index, address)] + self._static_routes(
            index
        )

    @staticmethod
    def _routes_of(index: int, address: Address) -> list[dict[str, Any]]:
        """The routes of an address to its subnet, and to everything by its gateway, as requests."""
        common = {"family": _FAMILIES[address.family], "table": TABLE, "oif": index, "prefsrc": str(address.ip)}
        scope = {"scope": "link"} if address.family == 4 else {}
        routes = [{"dst": str(address.interface.network), **common, **scope}]
        if address.gateway is not None:
            routes.append({"dst": "default", "gateway": str(address.gateway), **common})
        return routes

    def _static_routes(self, index: int) -> list[dict[str, Any]]:
        """The routes by other gateways, as requests."""
        own = {address.family: address.ip for address in self._firsts()}
        return [
            {
                "dst": str(one.network),
                "gateway": str(one.gateway),
                "oif": index,
                "prefsrc": str(own[one.family]),
                "table": TABLE,
                "family": _FAMILIES[one.family],
            }
            for one in self._config.routes
        ]

    def _add_last_route(self, family: int) -> bool:
        if any(route.get_attr("RTA_PRIORITY") == LAST_METRIC for route in self._routes(family)):
            return False
        self._ipr.route(
            "add", dst="default", type="unreachable", table=TABLE, priority=LAST_METRIC, family=_FAMILIES[family]
        )
        return True

    def _remove_main_routes(self, index: int, family: int) -> int:
        """Remove routes through net1 from the main table, but for link-local ones; returns how many."""
        strange = [
            route
            for route in self._routes(family, _MAIN_TABLE)
            if route.get_attr("RTA_OIF") == index and not _is_link_local(route)
        ]
        for route in strange:
            self._request(self._ipr.route, "del", **_as_request(route))
        return len(strange)

    def _remove_strange_addresses(self, index: int) -> int:
        """Remove from net1 what is neither the router's nor link-local; returns how many addresses."""
        own = {str(address.ip) for address in self._config.addresses}
        present = ((message, _local(message)) for message in self._ipr.get_addr(index=index))
        strange = [
            (message, ip) for message, ip in present if ip not in own and ipaddress.ip_address(ip) not in _LINK_LOCAL
        ]
        for message, ip in strange:
            self._request(
                self._ipr.addr,
                "del",
                index=index,
                address=ip,
                prefixlen=message["prefixlen"],
                family=message["family"],
            )
        return len(strange)

    def _add_rules(self, address: Address) -> bool:
        """Add what leads to table 100 and is missing; returns whether something was."""
        bits = address.ip.max_prefixlen
        wanted: tuple[dict[str, Any], ...] = (
            {"iifname": CLUSTER_INTERFACE},
            {"src": str(address.ip), "src_len": bits},
            # The table marks the errors that the kernel sends to servers.
            {"fwmark": BASE, "fwmask": MASK},
        )
        rules = [
            rule
            for rule in self._ipr.get_rules(family=_FAMILIES[address.family])
            if rule.get_attr("FRA_TABLE") == TABLE
        ]
        present = [_selector(rule) for rule in rules]
        missing = [one for one in wanted if one not in present]
        for one in missing:
            self._ipr.rule("add", table=TABLE, priority=RULE_PRIORITY, family=_FAMILIES[address.family], **one)
        return bool(missing)

    def _routes(self, family: int, table: int = TABLE) -> list[Any]:
        return list(self._ipr.get_routes(family=_FAMILIES[family], table=table))

    def _index(self) -> int | None:
        index: int | None = self._of_net1(link.index)
        return index

    def _of_net1(self, read: Callable[[str], Any]) -> Any:
        """What `read` says of net1, asked again only after a notice: these are asked all the time."""
        with self._lock:
            self._hear()
            if read not in self._read:
                self._read[read] = read(EGRESS_INTERFACE)
            return self._read[read]

    def _hear(self) -> None:
        if self._notices.changed():
            self._changed = True
            self._read.clear()

    def _required_index(self) -> int:
        index = self._index()
        if index is None:
            raise NetworkError(self.problem())
        return index

    def _link(self, index: int) -> Any:
        (found,) = self._ipr.get_links(index)
        return found

    @staticmethod
    def _request(
        call: Callable[..., Any],
        *arguments: Any,
        ignored: tuple[int, ...] = (errno.ESRCH, errno.ENOENT, errno.ENODEV, errno.EADDRNOTAVAIL),
        **options: Any,
    ) -> None:
        try:
            call(*arguments, **options)
        except NetlinkError as error:
            if error.code not in ignored:
                raise NetworkError(f"the kernel refused a change of {EGRESS_INTERFACE}: {error}") from error


def _local(message: Any) -> str:
    return str(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS"))


def _destination(route: Any) -> str:
    destination = route.get_attr("RTA_DST")
    return f"{destination}/{route['dst_len']}" if destination else "default"


def _selector(rule: Any) -> dict[str, Any]:
    """What a routing rule selects, as it was asked for."""
    names = {"iifname": "FRA_IIFNAME", "src": "FRA_SRC", "fwmark": "FRA_FWMARK", "fwmask": "FRA_FWMASK"}
    found = {key: rule.get_attr(name) for key, name in names.items()}
    if rule["src_len"]:
        found["src_len"] = rule["src_len"]
    return {key: value for key, value in found.items() if value is not None}


def _is_link_local(route: Any) -> bool:
    return ipaddress.ip_address(route.get_attr("RTA_DST") or "::") in _LINK_LOCAL


def _as_request(route: Any) -> dict[str, Any]:
    request = {
        "family": route["family"],
        "table": route.get_attr("RTA_TABLE"),
        "dst": _destination(route),
        "oif": route.get_attr("RTA_OIF"),
        "scope": route["scope"],
    }
    for key, name in (("gateway", "RTA_GATEWAY"), ("priority", "RTA_PRIORITY")):
        if route.get_attr(name):
            request[key] = route.get_attr(name)
    return request


def _random_mac() -> str:
    return (bytes([0x02]) + secrets.token_bytes(5)).hex(":")
