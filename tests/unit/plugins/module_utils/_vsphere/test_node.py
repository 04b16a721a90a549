# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VM a node is."""

from __future__ import annotations

import pytest

from ansible_collections.egress.router.plugins.module_utils._common.errors import InputError
from ansible_collections.egress.router.plugins.module_utils._vsphere.node import (
    Vm,
    find_vm,
    is_vsphere,
    read_node,
)

BIOS, INSTANCE = "4216a6b2-7c1d-4d3f-9a55-0d6a5c0d8a11", "5016a6b2-7c1d-4d3f-9a55-0d6a5c0d8a11"
SWAPPED = "b2a61642-1d7c-3f4d-9a55-0d6a5c0d8a11"
W1 = Vm("vm-1", "worker-1", BIOS, INSTANCE)
W2 = Vm("vm-2", "worker-2", "42161d4e-90ab-4a3c-8c55-5d1c7a6f1e22", "50161d4e-90ab-4a3c-8c55-5d1c7a6f1e22")
CLONE = Vm("vm-3", "worker-1-clone", BIOS, "5099a6b2-7c1d-4d3f-9a55-0d6a5c0d8a11")
NAMESAKE = Vm("vm-4", "worker-1", "4299a6b2-7c1d-4d3f-9a55-0d6a5c0d8a11", "5098a6b2-7c1d-4d3f-9a55-0d6a5c0d8a11")


@pytest.mark.parametrize(
    "text", [f"vsphere://{BIOS}", f"vsphere://{BIOS.upper()}", BIOS, INSTANCE, SWAPPED, "worker-1", f" {BIOS}\n"]
)
def test_a_node_is_found(text: str) -> None:
    assert find_vm(read_node(text), [W2, W1]) is W1


@pytest.mark.parametrize(
    ("text", "vms", "said"),
    [
        ("worker-9", [W1, W2], "node 'worker-9' is not a visible VM: check the name"),
        ("Worker-1.example.com", [W1, W2], "is not a visible VM (did you mean worker-1?): check the name"),
        (f"vsphere://{INSTANCE[:-2]}ff", [W1], "check the UUID"),
        ("worker-1", [W1, NAMESAKE], "matches 2 VMs: worker-1 (vm-1, instance UUID 5016a6b2"),
        ("worker-1", [W1, NAMESAKE], "specify its providerID or UUID instead of the name"),
        (BIOS, [W1, CLONE], "specify its instance UUID"),
    ],
)
def test_not_one_vm(text: str, vms: list[Vm], said: str) -> None:
    with pytest.raises(InputError) as raised:
        find_vm(read_node(text), vms)
    assert said in str(raised.value)


def test_the_bios_uuid_comes_before_others_swapped() -> None:
    other = Vm("vm-9", "other", SWAPPED, "")
    assert find_vm(read_node(BIOS), [other, W1]) is W1
    assert find_vm(read_node(SWAPPED), [other, W1]) is other


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "neither the name of a VM nor a providerID"),
        ("openstack:///4216a6b2", "belongs to cloud 'openstack', not to vSphere"),
        ("vsphere://worker-1", "is not a providerID of the form vsphere://UUID"),
    ],
)
def test_no_node_at_all(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_node(text)


def test_whose_provider_id() -> None:
    assert is_vsphere(f"vsphere://{BIOS}")
    assert not is_vsphere(f"openstack:///{BIOS}")
    assert not is_vsphere("")
