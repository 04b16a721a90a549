# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Ports of our own that hold an egress address and do nothing else, so that Neutron gives it to no server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._common.concurrent import each
from .._common.errors import Conflict, EgressError
from .._common.plan import Plan
from .cloud import RESERVATION_OWNER, Cloud
from .pair import Pair, normal_ip, normal_mac
from .pairs import Outcome, Request, Selection, find_pairs, select, write
from .port import Port


@dataclass
class Reservation:
    """What became of the reservation of one address on one network. `subnet_id` is empty when it is to go."""

    pair: Pair
    network_id: str
    subnet_id: str
    before: Port | None
    port_id: str = ""
    error: str = ""

    @property
    def wanted(self) -> bool:
        return bool(self.subnet_id)

    @property
    def fits(self) -> bool:
        return self.before is not None and normal_mac(self.before.mac) == self.pair.mac

    @property
    def changed(self) -> bool:
        return self.wanted != self.fits

    @property
    def plan(self) -> Plan:
        before = (f"{self.pair.ip} {self.before.mac}",) if self.before else ()
        return Plan(f"reservation on network {self.network_id}", before, (str(self.pair),) if self.wanted else ())

    def as_dict(self) -> dict[str, Any]:
        """For the module's result."""
        return {
            **self.pair.raw,
            "network_id": self.network_id,
            "port_id": self.port_id or (self.before.id if self.before else ""),
            "changed": self.changed and not self.error,
            "error": self.error,
        }


def ensure(
    cloud: Cloud, requests: list[Request], present: bool, reserve: bool, check: bool, unguarded: bool
) -> tuple[list[Outcome], list[Reservation]]:
    """Pairs and reservations as they are asked for. A taken address is refused before anything is written."""
    if present:
        selection = select(cloud, requests)
        reservations = plan_reservations(cloud, selection) if reserve else []
        outcomes = selection.outcomes
    else:
        outcomes = find_pairs(cloud, requests)
        reservations = find_reservations(cloud, requests) if reserve else []
    write(cloud, outcomes, present, check, unguarded)
    write_reservations(cloud, reservations, check)
    return outcomes, reservations


def plan_reservations(cloud: Cloud, selection: Selection) -> list[Reservation]:
    """One for each address and network; Conflict if somebody else has an address."""
    places = _places(selection)
    holders = cloud.ports_with({pair.ip for pair, _network in places})
    found, problems = [], []
    for (pair, network), subnet in places.items():
        holding = [port for port in holders if port.network_id == network and pair.ip in _addresses(port)]
        problems += [_taken(pair, port) for port in holding if port.device_owner != RESERVATION_OWNER]
        found.append(Reservation(pair, network, subnet, next(iter(holding), None)))
    if problems:
        raise Conflict("\n".join(problems))
    return found


def find_reservations(cloud: Cloud, requests: list[Request]) -> list[Reservation]:
    """The reservations of exactly these pairs, to be removed."""
    pairs = {request.pair for request in requests}
    return [
        Reservation(pair, port.network_id, "", port)
        for port in cloud.ports_with(pair.ip for pair in pairs)
        for pair in pairs
        if port.device_owner == RESERVATION_OWNER and pair.ip in _addresses(port) and pair.mac == normal_mac(port.mac)
    ]


def write_reservations(cloud: Cloud, reservations: list[Reservation], check: bool) -> None:
    """Makes or removes those that change; an error stays with its reservation."""
    if not check:
        each(lambda reservation: _write(cloud, reservation), [one for one in reservations if one.changed])


def _write(cloud: Cloud, reservation: Reservation) -> None:
    try:
        if reservation.before:
            cloud.delete_port(reservation.before)
        if reservation.wanted:
            pair = reservation.pair
            made = cloud.reserve(reservation.network_id, reservation.subnet_id, pair.ip, pair.mac)
            reservation.port_id = made.id
    except EgressError as error:
        reservation.error = str(error)


def _places(selection: Selection) -> dict[tuple[Pair, str], str]:
    """The subnet of each address on each network on which it is let through."""
    return {
        (pair, outcome.port.network_id): subnet.id
        for outcome in selection.outcomes
        for pair in outcome.wanted
        for subnet in selection.subnets
        if subnet.network_id == outcome.port.network_id and subnet.holds(pair.ip)
    }


def _addresses(port: Port) -> list[str]:
    return [normal_ip(ip) for _subnet, ip in port.fixed_ips]


def _taken(pair: Pair, port: Port) -> str:
    device = f" of {port.device_owner} {port.device_id}" if port.device_id else ""
    return (
        f"{pair.ip} is taken by port {port}{device}: choose another egress address, or take this one away from the port"
    )
