# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which of a VM's network adapters is the one that an egress router sends through."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from .._openstack.pair import normal_mac
from .node import Vm, VsphereError

STANDARD, DISTRIBUTED, OPAQUE = "standard", "distributed", "opaque"


@dataclass(frozen=True)
class Nic:
    """A network adapter of a VM. `kind`: what it is connected to, empty if that is nothing we know.

    `network`: the port group's name. `portgroup_key`: of a distributed one. `guest`: addresses with prefix length, as
    VMware Tools report them; none while the VM is off.
    """

    label: str
    mac: str
    network: str = ""
    kind: str = STANDARD
    portgroup_key: str = ""
    connected: bool = True
    guest: tuple[str, ...] = ()

    def __str__(self) -> str:
        addresses = ", ".join(self.guest) or "no known address"
        return f"{self.label} ({self.mac}, network '{self.network}', {addresses})"

    def holds(self, ip: str) -> bool:
        """Whether the guest has an address of the subnet of `ip` on it."""
        return any(ipaddress.ip_address(ip) in ipaddress.ip_interface(text).network for text in self.guest)


@dataclass(frozen=True)
class Machine:
    """A VM with what matters here of its present state."""

    vm: Vm
    host_id: str
    powered_on: bool
    nics: tuple[Nic, ...]


@dataclass(frozen=True)
class Wish:
    """Which adapter is meant: by MAC address, by network, by a subnet that holds one of `addresses`, or the only one."""

    addresses: tuple[str, ...] = ()
    network: str = ""
    mac: str = ""

    @property
    def given(self) -> bool:
        return bool(self.addresses or self.network or self.mac)


def read_wish(addresses: Iterable[str], network: str, mac: str) -> Wish:
    """The options of one entry, checked."""
    found = []
    for text in addresses:
        try:
            found.append(str(ipaddress.ip_interface(text).ip))
        except ValueError:
            raise VsphereError(f"address '{text}' is not an IP address: write it as 198.51.100.50") from None
    normalised = normal_mac(mac) if mac else ""
    if normalised is None:
        raise VsphereError(f"mac_address '{mac}' is not a MAC address: write it as 00:50:56:9a:00:01")
    return Wish(tuple(found), network, normalised)


def select_nic(machine: Machine, wish: Wish) -> Nic:
    """The one adapter of a VM that is meant, which has to be connected to a port group."""
    nic = _select(machine, wish)
    where = f"{nic.label} of VM {machine.vm.name}"
    if nic.kind == OPAQUE:
        raise VsphereError(
            f"{where} is connected to network '{nic.network}' of NSX, whose security is set in NSX (segment profile for MAC "
            "discovery and SpoofGuard): do it there, and leave this node out"
        )
    if not nic.kind:
        raise VsphereError(f"{where} is connected to no port group: connect it to the egress network")
    if machine.powered_on and not nic.connected:
        raise VsphereError(f"{where} is not connected to '{nic.network}': connect it, or name another network adapter")
    return nic


def _select(machine: Machine, wish: Wish) -> Nic:
    nics, name = machine.nics, machine.vm.name
    if not nics:
        raise VsphereError(f"VM {name} has no network adapter: add one on the egress network")
    listed = "; ".join(map(str, nics))
    if wish.mac or wish.network:
        said = f"MAC address {wish.mac}" if wish.mac else f"network '{wish.network}'"
        found = [nic for nic in nics if (nic.mac == wish.mac if wish.mac else nic.network == wish.network)]
    else:
        said = f"subnet of {' or '.join(wish.addresses)}"
        found = [nic for nic in nics if any(map(nic.holds, wish.addresses))] or (list(nics) if len(nics) == 1 else [])
    if len(found) == 1:
        return found[0]
    if found:
        raise VsphereError(
            f"VM {name} has {len(found)} network adapters with the {said}: {'; '.join(map(str, found))}; give the "
            "mac_address of one"
        )
    if wish.given:
        off = "" if machine.powered_on else ", and it is powered off, so its guest's addresses are unknown: start it"
        raise VsphereError(
            f"VM {name} has no network adapter with the {said}{off}; it has {listed}; give the network or mac_address of one"
        )
    raise VsphereError(f"VM {name} has {len(nics)} network adapters: {listed}; give the network or mac_address of one")
