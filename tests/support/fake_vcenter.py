# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake vCenter in policy of _vsphere/vcenter.py. tests/vcsim runs the same modules on a simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._common.errors import Conflict, NotFound
from ansible_collections.egress.router.plugins.module_utils._vsphere.adapter import Machine, Nic
from ansible_collections.egress.router.plugins.module_utils._vsphere.flags import Flags
from ansible_collections.egress.router.plugins.module_utils._vsphere.node import Host, Vm
from ansible_collections.egress.router.plugins.module_utils._vsphere.policies import PolicyId, SecurityPolicy

REJECTING = Flags(promiscuous_mode=False, forged_transmits=False, mac_changes=False)
NODES = ["worker-0", "worker-1"]
_UUID = "42161111-2222-4333-8444-00000000000"


class FakeVcenter:
    """Two VMs on three hosts of a cluster, with a standard and a distributed port group.

    `forbidden`: names of hosts and distributed port groups that the user may not change.
    `before_write`: called with the policy before a write, to change it or to raise. `revision` of a policy is its raw.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.written: list[tuple[str, Flags]] = []
        self.before_write: Callable[[SecurityPolicy], None] = lambda policy: None
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
        self.all: dict[PolicyId, SecurityPolicy] = {}
        for host in self.all_hosts:
            self.add(SecurityPolicy("standard", "vSwitch1", "", host.name, own=REJECTING, parent_id=host.name))
            self.add(
                SecurityPolicy("standard", "vSwitch1", "egress", host.name, inherited=REJECTING, parent_id=host.name)
            )
        above = replace(REJECTING, mac_learning=False)
        common: dict[str, Any] = {"version": "7.0.3", "parent_id": ""}
        self.add(SecurityPolicy("distributed", "dvs", own=above, **common))
        hosts = tuple(host.id for host in self.all_hosts)
        self.add(
            SecurityPolicy(
                "distributed", "dvs", "dv", inherited=above, inherits_as_whole=True, key="key", host_ids=hosts, **common
            )
        )

    def add(self, policy: SecurityPolicy) -> None:
        self.all[policy.id] = replace(policy, raw=1)

    def change(self, policy: SecurityPolicy, **fields: Any) -> None:
        """As somebody else."""
        now = self.all[policy.id]
        self.all[policy.id] = replace(now, raw=now.raw + 1, **fields)

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

    def standard(self, hosts: Iterable[Host]) -> list[SecurityPolicy]:
        self.calls.append("standard")
        names = {host.name for host in hosts}
        assert all(host.connected for host in hosts)
        return [policy for policy in self.all.values() if policy.esxi_hostname in names]

    def distributed(self, keys: Iterable[str] | None = None) -> list[SecurityPolicy]:
        self.calls.append("distributed")
        if keys is not None and not list(keys):
            return []
        return [policy for policy in self.all.values() if policy.kind == "distributed"]

    def overriding_ports(self, policy: SecurityPolicy) -> list[str]:
        return self.overriding

    def lacking(self, policies: Iterable[SecurityPolicy]) -> dict[PolicyId, str]:
        self.calls.append("lacking")
        return {
            policy.id: f"the user does not have a permission on {policy.esxi_hostname or policy.portgroup}"
            for policy in policies
            if (policy.esxi_hostname or policy.portgroup) in self.forbidden
        }

    def reread(self, policy: SecurityPolicy) -> SecurityPolicy:
        if policy.id not in self.all:
            raise NotFound(f"{policy} was deleted meanwhile: run again")
        return self.all[policy.id]

    def set_policy(self, policy: SecurityPolicy, own: Flags) -> None:
        self.before_write(policy)
        now = self.all[policy.id]
        if policy.kind == "distributed" and now.raw != policy.raw:
            raise Conflict("somebody else changed it")
        self.written.append((str(policy), own))
        if self.obedient:
            self.change(policy, own=own)
