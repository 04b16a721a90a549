# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a VM's network adapters is meant."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._common.errors import InputError
from ansible_collections.egress.router.plugins.module_utils._vsphere.adapter import (
    AdapterSelector,
    Machine,
    Nic,
    read_selector,
    select_nic,
)
from ansible_collections.egress.router.plugins.module_utils._vsphere.node import NodeRef, Vm, find_vm
from ansible_collections.egress.router.plugins.module_utils._vsphere.survey import PolicyTarget

CLUSTER = Nic("Network adapter 1", "00:50:56:9a:00:01", "cluster", guest=("203.0.113.7/24", "fe80::7/64"))
EGRESS = Nic("Network adapter 2", "00:50:56:9a:00:02", "egress", guest=("198.51.100.7/24", "2001:db8:51::7/64"))
BARE = replace(EGRESS, guest=())


def machine(*nics: Nic, powered_on: bool = True) -> Machine:
    return Machine(Vm("vm-1", "worker-1"), "host-1", powered_on, nics)


@pytest.mark.parametrize(
    ("nics", "selector", "chosen"),
    [
        ([CLUSTER, EGRESS], AdapterSelector(("198.51.100.50",)), EGRESS),
        ([CLUSTER, EGRESS], AdapterSelector(("2001:db8:51::50",)), EGRESS),
        ([CLUSTER, EGRESS], AdapterSelector(("198.51.100.50", "2001:db8:51::50")), EGRESS),
        ([CLUSTER, BARE], AdapterSelector(network="egress"), BARE),
        ([CLUSTER, BARE], AdapterSelector(mac="00:50:56:9a:00:02"), BARE),
        # A MAC address or network says more than addresses.
        ([CLUSTER, EGRESS], AdapterSelector(("198.51.100.50",), network="cluster"), CLUSTER),
        ([BARE], AdapterSelector(), BARE),
        ([BARE], AdapterSelector(("198.51.100.50",)), BARE),
    ],
)
def test_one_is_meant(nics: list[Nic], selector: AdapterSelector, chosen: Nic) -> None:
    assert select_nic(machine(*nics), selector) is chosen


@pytest.mark.parametrize(
    ("nics", "selector", "said"),
    [
        (
            [CLUSTER, BARE],
            AdapterSelector(("198.51.100.50",)),
            "no network adapter with the subnet of 198.51.100.50; it has Network",
        ),
        (
            [CLUSTER, EGRESS],
            AdapterSelector(),
            "has 2 network adapters: Network adapter 1 (00:50:56:9a:00:01, network 'cluster', 2",
        ),
        (
            [CLUSTER],
            AdapterSelector(network="egress"),
            "no network adapter with the network 'egress'; it has Network adapter 1",
        ),
        (
            [CLUSTER],
            AdapterSelector(mac="00:50:56:9a:00:09"),
            "no network adapter with the MAC address 00:50:56:9a:00:09",
        ),
        ([EGRESS, EGRESS], AdapterSelector(network="egress"), "has 2 network adapters with the network 'egress'"),
        ([EGRESS, EGRESS], AdapterSelector(("198.51.100.50",)), "specify mac_address"),
        ([], AdapterSelector(), "has no network adapter: add one"),
        ([replace(EGRESS, kind="opaque", network="ls-1")], AdapterSelector(), "connected to the NSX network 'ls-1'"),
        ([replace(EGRESS, kind="", network="")], AdapterSelector(), "not connected to a port group"),
        (
            [replace(EGRESS, connected=False)],
            AdapterSelector(),
            "Network adapter 2 of VM worker-1 is not connected to 'egress'",
        ),
    ],
)
def test_none_or_several(nics: list[Nic], selector: AdapterSelector, said: str) -> None:
    with pytest.raises(InputError) as raised:
        select_nic(machine(*nics), selector)
    assert said in str(raised.value)


@pytest.mark.parametrize("stored", ["egress/51 100%", "egress%2f51 100%25", "egress%2F51 100%"])
@pytest.mark.parametrize("written", ["egress/51 100%", "egress%2f51 100%25"])
def test_names_with_a_slash(stored: str, written: str) -> None:
    nic = replace(EGRESS, network=stored)
    assert select_nic(machine(CLUSTER, nic), AdapterSelector(network=written)) is nic
    policy: Any = SimpleNamespace(kind="standard", esxi_hostname="esxi-1", portgroup=stored, switch=stored)
    assert PolicyTarget(portgroup=written, switch=written, esxi_hostname="esxi-1").matches(policy)
    assert not PolicyTarget(portgroup=written, switch="other", esxi_hostname="esxi-1").matches(policy)
    vm = Vm("vm-1", stored)
    assert find_vm(NodeRef(written, name=written), [vm]) is vm


def test_a_segment_of_nsx_by_its_name() -> None:
    nsx = replace(EGRESS, kind="opaque", network="6a5c1f5e")
    with pytest.raises(
        InputError, match=r"it is connected to NSX \(6a5c1f5e\): if 'egress' is a segment of NSX, configure"
    ):
        select_nic(machine(CLUSTER, nsx), AdapterSelector(network="egress"))


def test_a_vm_that_is_off() -> None:
    off = machine(CLUSTER, replace(BARE, connected=False), powered_on=False)
    with pytest.raises(InputError, match="it is powered off, so the addresses of its guest are unknown: start it"):
        select_nic(replace(off, nics=(replace(CLUSTER, guest=()), BARE)), AdapterSelector(("198.51.100.50",)))
    # By its network it is known all the same, and while it is off nothing is connected.
    assert select_nic(off, AdapterSelector(network="egress")).mac == EGRESS.mac


def test_a_selector_is_checked() -> None:
    assert read_selector(["198.51.100.50/24"], "", "00-50-56-9A-00-02") == AdapterSelector(
        ("198.51.100.50",), "", EGRESS.mac
    )
    with pytest.raises(InputError, match=r"address 'db\.example\.com' is not an IP address"):
        read_selector(["db.example.com"], "", "")
    with pytest.raises(
        InputError, match=r"^mac_address: YAML reads an unquoted MAC address as the number 41135085296: quote"
    ):
        read_selector([], "", "41135085296")
    with pytest.raises(InputError, match="mac_address '00:50' is not a MAC address"):
        read_selector([], "", "00:50")
