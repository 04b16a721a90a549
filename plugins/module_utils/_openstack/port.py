# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which of a server's ports is the one that an egress address needs."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .._common.errors import InputError
from .node import NodeId

# The device_owner of ports that only reserve an address. Neutron keeps the prefix "network:" for itself.
RESERVATION_OWNER = "egress.router:reservation"


def reservation_name(ip: str, beside: str = "") -> str:
    """The name of the port that reserves `ip`. `beside`: the MAC address of its router, which another port has already."""
    return f"egress-router-{ip}" + (f" beside {beside}" if beside else "")


@dataclass(frozen=True)
class Subnet:
    """A subnet that is visible with the credentials."""

    id: str
    network_id: str
    cidr: str

    def holds(self, ip: str) -> bool:
        return ipaddress.ip_address(ip) in ipaddress.ip_network(self.cidr, strict=False)


@dataclass(frozen=True)
class Port:
    """A port as Neutron stores it. `pairs`: as stored. `subports`: ids of the subports, if the port is a trunk's parent.

    `fixed_ips`: (subnet id, address). `revision`: for If-Match.
    """

    id: str
    network_id: str
    name: str = ""
    device_id: str = ""
    device_owner: str = ""
    project_id: str = ""
    mac: str = ""
    revision: int = 0
    port_security: bool = True
    fixed_ips: tuple[tuple[str, str], ...] = ()
    pairs: tuple[dict[str, Any], ...] = ()
    subports: tuple[str, ...] = ()

    def __str__(self) -> str:
        addresses = ", ".join(ip for _subnet, ip in self.fixed_ips) or "no address"
        return f"{self.id} ({f'{self.name}, ' if self.name else ''}{addresses})"


def ports_of(node: NodeId, ports: Iterable[Port]) -> list[Port]:
    """The ports of a server, including the subports of its trunks; or the single port that the node names."""
    ports = list(ports)
    found = [port for port in ports if port.device_id == node.id or (port.id == node.id and not node.server)]
    subports = {port_id for port in found for port_id in port.subports}
    return found + [port for port in ports if port.id in subports and port not in found]


def select_port(ip: str, node: NodeId, ports: Iterable[Port], subnets: Iterable[Subnet]) -> Port:
    """The only port of `node` on the segment of `ip`: with a fixed IP in its subnet, otherwise on its network.

    A port without fixed IPs is taken if it was named by its id.
    """
    candidates = ports_of(node, ports)
    if not candidates:
        raise InputError(
            f"no port of {node} is visible: check that the server or port exists, and that the credentials are for its project"
        )
    holding = [subnet for subnet in subnets if subnet.holds(ip)]
    ids = {subnet.id for subnet in holding}
    networks = {subnet.network_id for subnet in holding}
    for found in (
        [port for port in candidates if any(subnet in ids for subnet, _ip in port.fixed_ips)],
        [port for port in candidates if port.network_id in networks],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(str(port) for port in found)
            raise InputError(
                f"{node} has {len(found)} ports on the segment of {ip}: {listed}; specify the id of the port instead"
            )
    named = [port for port in candidates if port.id == node.id and not port.fixed_ips]
    if named:
        return named[0]  # Without a subnet nothing tells its segment, and whoever named it knows.
    listed = ", ".join(str(port) for port in candidates)
    raise InputError(
        f"no port of {node} is on a network with a subnet that contains {ip}; the visible ports are {listed}: attach the server "
        "to the network of the address, or use credentials for the project that owns the port"
    )
