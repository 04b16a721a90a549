# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Nodes, and the VMs and hosts of vSphere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from .._common.errors import InputError
from .._common.provider_id import is_uuid, split_provider_id


@dataclass(frozen=True)
class NodeRef:
    """A node as a user or Kubernetes names it: by `uuid` (lower case), otherwise by `name`."""

    text: str
    uuid: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"node '{self.text}'"


@dataclass(frozen=True)
class Vm:
    """A VM that is visible with the credentials. `id`: of its managed object. UUIDs in lower case."""

    id: str
    name: str
    bios_uuid: str = ""
    instance_uuid: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.id}, instance UUID {self.instance_uuid or 'unknown'})"


@dataclass(frozen=True)
class Host:
    """An ESXi host. `cluster`: name of its cluster or standalone compute resource. `network`: its HostNetworkSystem."""

    id: str
    name: str
    cluster_id: str
    cluster: str
    connected: bool
    network: Any


def same_name(one: str, other: str) -> bool:
    """Whether two names are the same: vSphere stores `/`, `\\` and `%` as %2f, %5c and %25, people write either."""
    return unquote(one) == unquote(other)


def is_vsphere(provider_id: str) -> bool:
    """Whether a node's providerID is vSphere's."""
    return provider_id.startswith("vsphere://")


def read_node(text: str) -> NodeRef:
    """A node from a providerID, a BIOS or instance UUID, or a VM's name."""
    written = text.strip()
    if not written:
        raise InputError(
            "a node has neither the name of a VM nor a providerID: check that vSphere's cloud controller manager runs in the cluster"
        )
    provider = split_provider_id(written)
    if provider and provider.cloud != "vsphere":
        raise InputError(
            f"node '{written}' belongs to cloud '{provider.cloud}', not to vSphere: exclude it, or specify the name or UUID of "
            "its VM"
        )
    found = (provider.path if provider else written).lower()
    if is_uuid(found):
        return NodeRef(written, uuid=found)
    if provider:
        raise InputError(f"node '{written}' is not a providerID of the form vsphere://UUID")
    return NodeRef(written, name=written)


def find_vm(node: NodeRef, vms: Iterable[Vm]) -> Vm:
    """The only VM that a node may be."""
    vms = list(vms)
    advice = "specify its instance UUID"
    if node.name:
        found = [vm for vm in vms if same_name(vm.name, node.name)]
        advice = "specify its providerID or UUID instead of the name"
    else:
        # Before hardware version 13 the guest, and so the kubelet, sees the bytes of the first three fields reversed.
        found = (
            [vm for vm in vms if vm.bios_uuid == node.uuid]
            or [vm for vm in vms if vm.instance_uuid == node.uuid]
            or [vm for vm in vms if vm.bios_uuid == _swapped(node.uuid)]
        )
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{node} matches {len(found)} VMs: {', '.join(map(str, found))}: {advice}")
    near = [vm.name for vm in vms if node.name and _short(vm.name) == _short(node.name)]
    meant = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise InputError(
        f"{node} is not a visible VM{meant}: check the {'name' if node.name else 'UUID'}, and that the user has the role Read-only on "
        "the folder of the VM"
    )


def _short(name: str) -> str:
    """A host name without its domain, in lower case."""
    return unquote(name).partition(".")[0].lower()


def _swapped(uuid: str) -> str:
    fields = uuid.split("-")
    return "-".join(
        [*("".join(reversed([part[n : n + 2] for n in range(0, len(part), 2)])) for part in fields[:3]), *fields[3:]]
    )
