# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which VM of vSphere a node is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .._common.provider_id import is_uuid, split_provider_id


class VsphereError(ValueError):
    """The options or what vSphere has do not fit together. The text is a sentence for the user."""


@dataclass(frozen=True)
class NodeRef:
    """A node as a user or Kubernetes names it: by `uuid` (lower case), or else by `name`."""

    text: str
    uuid: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"node '{self.text}'"


@dataclass(frozen=True)
class Vm:
    """A VM that the credentials may see. `id`: its managed object's. UUIDs in lower case."""

    id: str
    name: str
    bios_uuid: str = ""
    instance_uuid: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.id}, instance UUID {self.instance_uuid or 'unknown'})"


def is_vsphere(provider_id: str) -> bool:
    """Whether a node's providerID is vSphere's."""
    return provider_id.startswith("vsphere://")


def read_node(text: str) -> NodeRef:
    """A node from a providerID, a BIOS or instance UUID, or a VM's name."""
    written = text.strip()
    if not written:
        raise VsphereError(
            "a node has neither a VM's name nor a providerID: is the cloud controller of vSphere running?"
        )
    provider = split_provider_id(written)
    if provider and provider.cloud != "vsphere":
        raise VsphereError(
            f"node '{written}' belongs to the cloud '{provider.cloud}', not to vSphere: leave it out, or give the name or "
            "UUID of its VM"
        )
    found = (provider.path if provider else written).lower()
    if is_uuid(found):
        return NodeRef(written, uuid=found)
    if provider:
        raise VsphereError(f"node '{written}' is not vsphere://UUID")
    return NodeRef(written, name=written)


def find_vm(node: NodeRef, vms: Iterable[Vm]) -> Vm:
    """The one VM that a node is."""
    vms = list(vms)
    advice = "two VMs cannot be one node: give its instance UUID"
    if node.name:
        found = [vm for vm in vms if vm.name == node.name]
        advice = "give its providerID or UUID instead of the name"
    else:
        # Before hardware version 13 the guest, and so the kubelet, sees the first three fields' bytes reversed.
        found = (
            [vm for vm in vms if vm.bios_uuid == node.uuid]
            or [vm for vm in vms if vm.instance_uuid == node.uuid]
            or [vm for vm in vms if vm.bios_uuid == _swapped(node.uuid)]
        )
    if len(found) == 1:
        return found[0]
    if found:
        raise VsphereError(f"{node} is {len(found)} VMs: {', '.join(map(str, found))}: {advice}")
    raise VsphereError(
        f"{node} is no VM that the credentials may see: check the {'name' if node.name else 'UUID'}, and that the user has "
        "the role Read-only on its folder"
    )


def _swapped(uuid: str) -> str:
    fields = uuid.split("-")
    return "-".join(
        [*("".join(reversed([part[n : n + 2] for n in range(0, len(part), 2)])) for part in fields[:3]), *fields[3:]]
    )
