# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake cloud in place of _openstack/cloud.py. tests/neutron runs the same modules on real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._common.errors import Conflict, NotFound
from ansible_collections.egress.router.plugins.module_utils._openstack.port import (
    RESERVATION_OWNER,
    Port,
    Subnet,
    reservation_name,
)

SERVERS = [f"11111111-2222-4333-8444-00000000000{number}" for number in range(3)]


class FakeCloud:
    """Ports by id. `before_write`: called with the port before a write, to change it or to raise.

    `written`: every list of pairs that was sent. `guarded`: whether there are revisions to compare.
    """

    def __init__(self) -> None:
        self.region = "RegionOne"
        self.guarded = True
        self.extensions = {"allowed-address-pairs"}
        self.calls: list[str] = []
        self.written: list[list[dict[str, Any]]] = []
        self.before_write: Callable[[Port], None] = lambda port: None
        self.all: dict[str, Port] = {}
        for number, server in enumerate(SERVERS):
            fixed = (("s4", f"198.51.100.1{number}"),)
            self.add(Port(f"p{number}", "egress", device_id=server, fixed_ips=fixed))

    def add(self, port: Port) -> None:
        self.all[port.id] = port

    def change(self, port_id: str, **fields: Any) -> None:
        """As somebody else."""
        port = self.all[port_id]
        self.all[port_id] = replace(port, revision=port.revision + 1, **fields)

    def ports(self, server_ids: Iterable[str] = (), port_ids: Iterable[str] = ()) -> list[Port]:
        self.calls.append("ports")
        servers, ports = set(server_ids), set(port_ids)
        return [port for port in self.all.values() if port.device_id in servers or port.id in ports]

    def ports_with(self, addresses: Iterable[str]) -> list[Port]:
        wanted = set(addresses)
        return [port for port in self.all.values() if wanted & {ip for _subnet, ip in port.fixed_ips}]

    def port(self, port_id: str) -> Port:
        if port_id not in self.all:
            raise NotFound(f"port {port_id} does not exist")
        return self.all[port_id]

    def subnets(self, network_ids: Iterable[str]) -> list[Subnet]:
        self.calls.append("subnets")
        return [Subnet("s4", network, "198.51.100.0/24") for network in dict.fromkeys(network_ids)]

    def has_extension(self, alias: str) -> bool:
        return self.guarded if alias == "revision-if-match" else alias in self.extensions

    def set_pairs(self, port: Port, pairs: list[dict[str, Any]], guarded: bool = True) -> Port:
        self.before_write(port)
        now = self.port(port.id)
        if guarded and now.revision != port.revision:
            raise Conflict("somebody else changed it")
        self.written.append(pairs)
        self.change(port.id, pairs=tuple(pairs))
        return self.all[port.id]

    def reserve(self, network_id: str, subnet_id: str, address: str, mac: str, beside: bool = False) -> Port:
        if not beside and (network_id, mac) in [(port.network_id, port.mac) for port in self.all.values()]:
            raise Conflict(f"MAC address {mac} is in use on network {network_id}")
        made = Port(
            f"r-{address}",
            network_id,
            name=reservation_name(address, mac if beside else ""),
            device_owner=RESERVATION_OWNER,
            mac=f"fa:16:3e:00:00:{len(self.all):02x}" if beside else mac,
            fixed_ips=((subnet_id, address),),
        )
        self.add(made)
        return made

    def delete_port(self, port: Port) -> None:
        self.all.pop(port.id, None)
