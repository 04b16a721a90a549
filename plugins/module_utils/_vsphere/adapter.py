# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Network adapters of VMs, and which of them an egress router sends through."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from .._common.errors import InputError
from .._common.mac import normal_mac, unquoted
from .node import Vm, same_name

STANDARD, DISTRIBUTED, OPAQUE = "standard", "distributed", "opaque"


@dataclass(frozen=True)
class Nic:
    """A network adapter of a VM. `kind`: of the network that it is connected to, empty if unknown.

    `network`: name of the port group. `portgroup_key`: of a distributed port group. `guest`: addresses with prefix length
    as VMware Tools report them; none while the VM is powered off.
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

    def has_network(self, name: str) -> bool:
        """Whether it is connected to the network of this name."""
        return same_name(self.network, name)

    def holds(self, ip: str) -> bool:
        """Whether the guest has an address in the subnet of `ip` on this adapter."""
        return any(ipaddress.ip_address(ip) in ipaddress.ip_interface(text).network for text in self.guest)


@dataclass(frozen=True)
class Machine:
    """A VM with the relevant part of its present state."""

    vm: Vm
    host_id: str
    powered_on: bool
    nics: tuple[Nic, ...]


@dataclass(frozen=True)
class AdapterSelector:
    """Selects an adapter by MAC address, by network, by a subnet that contains one of `addresses`, or as the only one."""

    addresses: tuple[str, ...] = ()
    network: str = ""
    mac: str = ""

    @property
    def given(self) -> bool:
        return bool(self.addresses or self.network or self.mac)


def read_selector(addresses: Iterable[str], network: str, mac: str) -> AdapterSelector:
    """The selector of one entry of the options."""
    found = []
    for text in addresses:
        try:
            found.append(str(ipaddress.ip_interface(text).ip))
        except ValueError:
            raise InputError(f"address '{text}' is not an IP address: use the form 198.51.100.50") from None
    normalised = normal_mac(mac) if mac else ""
    if normalised is None:
        meant = unquoted(mac)
        raise InputError(
            f"mac_address: {meant}"
            if meant
            else f"mac_address '{mac}' is not a MAC address: use the form 00:50:56:9a:00:01"
        )
    return AdapterSelector(tuple(found), network, normalised)


def select_nic(machine: Machine, selector: AdapterSelector) -> Nic:
    """The only adapter of a VM that matches; it has to be connected to a port group."""
    nic = _select(machine, selector)
    where = f"{nic.label} of VM {machine.vm.name}"
    if nic.kind == OPAQUE:
        raise InputError(
            f"{where} is connected to the NSX network '{nic.network}': configure MAC discovery and SpoofGuard in its segment "
            "profile, and exclude this node"
        )
    if not nic.kind:
        raise InputError(f"{where} is not connected to a port group: connect it to the egress network")
    if machine.powered_on and not nic.connected:
        raise InputError(f"{where} is not connected to '{nic.network}': connect it, or specify another network adapter")
    return nic


def _select(machine: Machine, selector: AdapterSelector) -> Nic:
    nics, name = machine.nics, machine.vm.name
    if not nics:
        raise InputError(f"VM {name} has no network adapter: add one on the egress network")
    listed = "; ".join(map(str, nics))
    if selector.mac or selector.network:
        said = f"MAC address {selector.mac}" if selector.mac else f"network '{selector.network}'"
        found = [
            nic for nic in nics if (nic.mac == selector.mac if selector.mac else nic.has_network(selector.network))
        ]
    else:
        said = f"subnet of {' or '.join(selector.addresses)}"
        found = [nic for nic in nics if any(map(nic.holds, selector.addresses))] or (
            list(nics) if len(nics) == 1 else []
        )
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"VM {name} has {len(found)} network adapters with the {said}: {'; '.join(map(str, found))}; specify mac_address"
        )
    segments = [nic.network for nic in nics if nic.kind == OPAQUE]
    if selector.network and segments:
        raise InputError(
            f"VM {name} has no port group '{selector.network}'; it is connected to NSX ({', '.join(segments)}): if "
            f"'{selector.network}' is a segment of NSX, configure MAC discovery and SpoofGuard in its profile, and exclude this node"
        )
    if selector.given:
        off = "" if machine.powered_on else "; it is powered off, so the addresses of its guest are unknown: start it"
        raise InputError(
            f"VM {name} has no network adapter with the {said}{off}; it has {listed}; specify network or mac_address"
        )
    raise InputError(f"VM {name} has {len(nics)} network adapters: {listed}; specify network or mac_address")
