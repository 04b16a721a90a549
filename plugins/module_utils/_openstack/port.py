# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which of a server's ports is the one that an egress address needs."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .node import NodeId
from .pair import PairError


@dataclass(frozen=True)
class Subnet:
    """A subnet that the credentials may see."""

    id: str
    network_id: str
    cidr: str

    def holds(self, ip: str) -> bool:
        return ipaddress.ip_address(ip) in ipaddress.ip_network(self.cidr, strict=False)


@dataclass(frozen=True)
class Port:
    """A port as Neutron has it. `pairs`: as they are stored. `subports`: ids of the trunk's ports, if it has a trunk.

    `fixed_ips`: (subnet id, address). `revision`: what If-Match is about.
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
    pairs: tuple[Mapping[str, Any], ...] = ()
    subports: tuple[str, ...] = ()

    def __str__(self) -> str:
        addresses = ", ".join(ip for _subnet, ip in self.fixed_ips) or "no address"
        return f"{self.id} ({f'{self.name}, ' if self.name else ''}{addresses})"


def ports_of(node: NodeId, ports: Iterable[Port]) -> list[Port]:
    """The ports of a server, those of its trunks included, or the one port that was named."""
    ports = list(ports)
    found = [port for port in ports if port.device_id == node.id or (port.id == node.id and not node.server)]
    subports = {port_id for port in found for port_id in port.subports}
    return found + [port for port in ports if port.id in subports and port not in found]


def select_port(ip: str, node: NodeId, ports: Iterable[Port], subnets: Iterable[Subnet]) -> Port:
    """The one port of `node` on the segment of `ip`: with a fixed IP of its subnet, else on its network."""
    candidates = ports_of(node, ports)
    if not candidates:
        raise PairError(
            f"no port of {node} is visible: there is no such server or port, or it belongs to another project than the "
            "credentials, whose ports are invisible"
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
            raise PairError(
                f"{node} has {len(found)} ports on the segment of {ip}: {listed}; give the id of one of them"
            )
    listed = ", ".join(str(port) for port in candidates)
    raise PairError(
        f"no subnet of {node}'s ports holds {ip}; its visible ports are {listed}, those of another project are invisible: "
        "attach the server to the address's network, or ask with the credentials of the ports' project"
    )
