# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Ports that only reserve an egress address, so that Neutron does not assign it to anybody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._common.concurrent import each
from .._common.errors import Conflict, EgressError
from .._common.mac import normal_mac
from .._common.plan import Plan
from .pair import Pair, normal_ip
from .pairs import PairRequest, PortChange, PortSelection, find_pairs, select, write
from .port import RESERVATION_OWNER, Port, reservation_name

if TYPE_CHECKING:
    from .cloud import Cloud


@dataclass
class Reservation:
    """The reservation of one address on one network, before and after. `subnet_id`: empty if it is to be removed.

    `beside`: another one of the router has its MAC address, of which Neutron takes one on a network.
    """

    pair: Pair
    network_id: str
    subnet_id: str
    before: Port | None
    port_id: str = ""
    error: str = ""
    beside: bool = False
    # The reservation that was there is gone, and the new one could not be made.
    lost: bool = False

    @property
    def wanted(self) -> bool:
        return bool(self.subnet_id)

    @property
    def reserved(self) -> bool:
        if self.before is None:
            return False
        return _is_beside(self.before, self.pair) if self.beside else normal_mac(self.before.mac) == self.pair.mac

    @property
    def changed(self) -> bool:
        return self.wanted != self.reserved

    @property
    def plan(self) -> Plan:
        before = (f"{self.pair.ip} {self.before.mac}",) if self.before else ()
        return Plan(f"reservation on network {self.network_id}", before, (str(self.pair),) if self.wanted else ())

    def as_dict(self) -> dict[str, Any]:
        """The reservation in the module's result."""
        return {
            **self.pair.raw,
            "network_id": self.network_id,
            "port_id": self.port_id or (self.before.id if self.before else ""),
            "changed": self.lost or (self.changed and not self.error),
            "error": self.error,
        }


def ensure(
    cloud: Cloud, requests: list[PairRequest], present: bool, reserve: bool, check: bool, unguarded: bool
) -> tuple[list[PortChange], list[Reservation]]:
    """Adds or removes pairs and reservations. An address that is in use is refused before anything is written."""
    if present:
        selection = select(cloud, requests)
        reservations = plan_reservations(cloud, selection) if reserve else []
        changes = selection.changes
    else:
        changes = find_pairs(cloud, requests)
        reservations = find_reservations(cloud, requests) if reserve else []
    write(cloud, changes, present, check, unguarded)
    write_reservations(cloud, reservations, check)
    return changes, reservations


def plan_reservations(cloud: Cloud, selection: PortSelection) -> list[Reservation]:
    """One for each address and network; Conflict if an address is already in use."""
    subnets = _subnets(selection)
    holders = cloud.ports_with({pair.ip for pair, _network in subnets})
    found, problems = [], []
    for (pair, network), subnet in subnets.items():
        holding = [port for port in holders if port.network_id == network and pair.ip in _addresses(port)]
        problems += [_in_use(pair, port) for port in holding if port.device_owner != RESERVATION_OWNER]
        found.append(Reservation(pair, network, subnet, next(iter(holding), None)))
    if problems:
        raise Conflict("\n".join(problems))
    first: dict[tuple[str, str], Reservation] = {}
    # Whichever has the MAC address already keeps it, and a new one takes it rather than one that would have to be made anew.
    for one in sorted(found, key=lambda one: (not one.reserved, one.before is not None)):
        one.beside = first.setdefault((one.pair.mac, one.network_id), one) is not one
    return found


def find_reservations(cloud: Cloud, requests: list[PairRequest]) -> list[Reservation]:
    """The reservations of exactly these pairs, to be removed."""
    pairs = {request.pair for request in requests}
    return [
        Reservation(pair, port.network_id, "", port, beside=_is_beside(port, pair))
        for port in cloud.ports_with(pair.ip for pair in pairs)
        for pair in pairs
        if port.device_owner == RESERVATION_OWNER and pair.ip in _addresses(port)
        if pair.mac == normal_mac(port.mac) or _is_beside(port, pair)
    ]


def write_reservations(cloud: Cloud, reservations: list[Reservation], check: bool) -> None:
    """Creates or deletes the ports of those that change. Errors are recorded in the reservations."""
    if not check:
        each(lambda reservation: _write(cloud, reservation), [one for one in reservations if one.changed])


def _write(cloud: Cloud, reservation: Reservation) -> None:
    before = reservation.before
    try:
        if before:
            cloud.delete_port(before)
    except EgressError as error:
        reservation.error = str(error)
        return
    if not reservation.wanted:
        return
    try:
        reservation.port_id = _reserve(cloud, reservation).id
    except EgressError as error:
        reservation.error = str(error) + (_made_anew(cloud, reservation, before) if before else "")


def _reserve(cloud: Cloud, reservation: Reservation) -> Port:
    where, pair = (reservation.network_id, reservation.subnet_id), reservation.pair
    return cloud.reserve(*where, pair.ip, pair.mac, reservation.beside)


def _is_beside(port: Port, pair: Pair) -> bool:
    """Whether a reservation is one of the pair's router without the MAC address."""
    return port.name == reservation_name(pair.ip, pair.mac)


def _made_anew(cloud: Cloud, reservation: Reservation, before: Port) -> str:
    """Puts a reservation back that was removed to be replaced, and says so."""
    ip = reservation.pair.ip
    try:
        made = cloud.reserve(reservation.network_id, reservation.subnet_id, ip, before.mac)
    except EgressError:
        reservation.lost = True
        return f". {ip} is not reserved any more, Neutron may assign it to others: run again"
    reservation.port_id = made.id
    return f". The previous reservation of {ip}, for {before.mac}, was made anew"


def _subnets(selection: PortSelection) -> dict[tuple[Pair, str], str]:
    """The subnet of each pair on each network whose ports have to allow it."""
    return {
        (pair, change.port.network_id): subnet.id
        for change in selection.changes
        for pair in change.pairs
        for subnet in selection.subnets
        if subnet.network_id == change.port.network_id and subnet.holds(pair.ip)
    }


def _addresses(port: Port) -> list[str]:
    return [normal_ip(ip) for _subnet, ip in port.fixed_ips]


def _in_use(pair: Pair, port: Port) -> str:
    device = f" of {port.device_owner} {port.device_id}" if port.device_id else ""
    return f"{pair.ip} is already in use by port {port}{device}: choose another egress address, or remove it from that port"
