# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pretended vCenter in the place of the seam to pyVmomi. tests/vcsim runs the same modules on a simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._common.errors import Conflict, NotFound
from ansible_collections.egress.router.plugins.module_utils._vsphere.adapter import Machine, Nic
from ansible_collections.egress.router.plugins.module_utils._vsphere.node import Vm
from ansible_collections.egress.router.plugins.module_utils._vsphere.policies import Flags, Place
from ansible_collections.egress.router.plugins.module_utils._vsphere.vcenter import Host

REJECTING = Flags(promiscuous_mode=False, forged_transmits=False, mac_changes=False)
NODES = ["worker-0", "worker-1"]
_UUID = "42161111-2222-4333-8444-00000000000"


class FakeVcenter:
    """Two VMs on three hosts of a cluster, with a standard and a distributed port group.

    `forbidden`: names of hosts and distributed port groups that the user may not change.
    `before_write`: called with the place before a write, to change it or to raise. `revision` of a place is its raw.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.written: list[tuple[str, Flags]] = []
        self.before_write: Callable[[Place], None] = lambda place: None
        self.obedient = True
        self.warnings: list[str] = []
        self.overriding: list[str] = []
        self.forbidden: set[str] = set()
        self.all_hosts = [Host(f"h{number}", f"esxi-{number}", "c1", "cluster", True, None) for number in range(3)]
        self.all_vms = [Vm(f"vm-{number}", name, f"{_UUID}{number}") for number, name in enumerate(NODES)]
        self.nics = {
            vm.id: (
                Nic("adapter 1", f"00:50:56:00:00:1{n}", "egress", guest=(f"198.51.100.1{n}/24",)),
                Nic("adapter 2", f"00:50:56:00:00:2{n}", "dv", "distributed", "key", guest=(f"203.0.113.1{n}/24",)),
            )
            for n, vm in enumerate(self.all_vms)
        }
        self.off: set[str] = set()
        self.all: dict[tuple[str, str, str, str], Place] = {}
        for host in self.all_hosts:
            self.add(Place("standard", "vSwitch1", "", host.name, own=REJECTING, lane=host.name))
            self.add(Place("standard", "vSwitch1", "egress", host.name, above=REJECTING, lane=host.name))
        above = replace(REJECTING, mac_learning=False)
        common: dict[str, Any] = {"version": "7.0.3", "lane": ""}
        self.add(Place("distributed", "dvs", own=above, **common))
        hosts = tuple(host.id for host in self.all_hosts)
        self.add(Place("distributed", "dvs", "dv", above=above, whole=True, key="key", hosts=hosts, **common))

    def add(self, place: Place) -> None:
        self.all[place.id] = replace(place, raw=1)

    def change(self, place: Place, **fields: Any) -> None:
        """As somebody else."""
        now = self.all[place.id]
        self.all[place.id] = replace(now, raw=now.raw + 1, **fields)

    @contextmanager
    def session(self) -> Iterator[FakeVcenter]:
        yield self

    def vms(self) -> list[Vm]:
        self.calls.append("vms")
        return self.all_vms

    def machines(self, vms: Iterable[Vm]) -> list[Machine]:
        self.calls.append("machines")
        return [Machine(vm, "h0", vm.name not in self.off, self.nics[vm.id]) for vm in vms]

    def hosts(self, beside: Iterable[str] | None = None) -> list[Host]:
        self.calls.append("hosts")
        return self.all_hosts if beside is None or list(beside) else []

    def standard(self, hosts: Iterable[Host]) -> list[Place]:
        self.calls.append("standard")
        names = {host.name for host in hosts}
        assert all(host.in_contact for host in hosts)
        return [place for place in self.all.values() if place.host in names]

    def distributed(self, keys: Iterable[str] | None = None) -> list[Place]:
        self.calls.append("distributed")
        if keys is not None and not list(keys):
            return []
        return [place for place in self.all.values() if place.kind == "distributed"]

    def overriding_ports(self, place: Place) -> list[str]:
        return self.overriding

    def lacking(self, places: Iterable[Place]) -> dict[tuple[str, str, str, str], str]:
        self.calls.append("lacking")
        return {
            place.id: f"the user lacks a privilege on {place.host or place.port_group}"
            for place in places
            if (place.host or place.port_group) in self.forbidden
        }

    def reread(self, place: Place) -> Place:
        if place.id not in self.all:
            raise NotFound(f"{place} was removed meanwhile: run again")
        return self.all[place.id]

    def set_policy(self, place: Place, own: Flags) -> None:
        self.before_write(place)
        now = self.all[place.id]
        if place.kind == "distributed" and now.raw != place.raw:
            raise Conflict("somebody else changed it")
        self.written.append((str(place), own))
        if self.obedient:
            self.change(place, own=own)
