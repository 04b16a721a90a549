# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a VM's network adapters is meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.egress.router.plugins.module_utils._vsphere.adapter import (
    Machine,
    Nic,
    Wish,
    read_wish,
    select_nic,
)
from ansible_collections.egress.router.plugins.module_utils._vsphere.node import Vm, VsphereError

CLUSTER = Nic("Network adapter 1", "00:50:56:9a:00:01", "cluster", guest=("203.0.113.7/24", "fe80::7/64"))
EGRESS = Nic("Network adapter 2", "00:50:56:9a:00:02", "egress", guest=("198.51.100.7/24", "2001:db8:51::7/64"))
BARE = replace(EGRESS, guest=())


def machine(*nics: Nic, powered_on: bool = True) -> Machine:
    return Machine(Vm("vm-1", "worker-1"), "host-1", powered_on, nics)


@pytest.mark.parametrize(
    ("nics", "wish", "chosen"),
    [
        ([CLUSTER, EGRESS], Wish(("198.51.100.50",)), EGRESS),
        ([CLUSTER, EGRESS], Wish(("2001:db8:51::50",)), EGRESS),
        ([CLUSTER, EGRESS], Wish(("198.51.100.50", "2001:db8:51::50")), EGRESS),
        ([CLUSTER, BARE], Wish(network="egress"), BARE),
        ([CLUSTER, BARE], Wish(mac="00:50:56:9a:00:02"), BARE),
        # A MAC address or network says more than addresses.
        ([CLUSTER, EGRESS], Wish(("198.51.100.50",), network="cluster"), CLUSTER),
        ([BARE], Wish(), BARE),
        ([BARE], Wish(("198.51.100.50",)), BARE),
    ],
)
def test_one_is_meant(nics: list[Nic], wish: Wish, chosen: Nic) -> None:
    assert select_nic(machine(*nics), wish) is chosen


@pytest.mark.parametrize(
    ("nics", "wish", "said"),
    [
        (
            [CLUSTER, BARE],
            Wish(("198.51.100.50",)),
            "no network adapter with the subnet of 198.51.100.50; it has Network",
        ),
        (
            [CLUSTER, EGRESS],
            Wish(),
            "has 2 network adapters: Network adapter 1 (00:50:56:9a:00:01, network 'cluster', 2",
        ),
        ([CLUSTER], Wish(network="egress"), "no network adapter with the network 'egress'; it has Network adapter 1"),
        ([CLUSTER], Wish(mac="00:50:56:9a:00:09"), "no network adapter with the MAC address 00:50:56:9a:00:09"),
        ([EGRESS, EGRESS], Wish(network="egress"), "has 2 network adapters with the network 'egress'"),
        ([EGRESS, EGRESS], Wish(("198.51.100.50",)), "give the mac_address of one"),
        ([], Wish(), "has no network adapter: add one"),
        ([replace(EGRESS, kind="opaque", network="ls-1")], Wish(), "connected to network 'ls-1' of NSX"),
        ([replace(EGRESS, kind="", network="")], Wish(), "connected to no port group"),
        ([replace(EGRESS, connected=False)], Wish(), "Network adapter 2 of VM worker-1 is not connected to 'egress'"),
    ],
)
def test_none_or_several(nics: list[Nic], wish: Wish, said: str) -> None:
    with pytest.raises(VsphereError) as raised:
        select_nic(machine(*nics), wish)
    assert said in str(raised.value)


def test_a_vm_that_is_off() -> None:
    off = machine(CLUSTER, replace(BARE, connected=False), powered_on=False)
    with pytest.raises(VsphereError, match="it is powered off, so its guest's addresses are unknown: start it"):
        select_nic(replace(off, nics=(replace(CLUSTER, guest=()), BARE)), Wish(("198.51.100.50",)))
    # By its network it is known all the same, and while it is off nothing is connected.
    assert select_nic(off, Wish(network="egress")).mac == EGRESS.mac


def test_a_wish_is_checked() -> None:
    assert read_wish(["198.51.100.50/24"], "", "00-50-56-9A-00-02") == Wish(("198.51.100.50",), "", EGRESS.mac)
    with pytest.raises(VsphereError, match=r"address 'db\.example\.com' is not an IP address"):
        read_wish(["db.example.com"], "", "")
    with pytest.raises(VsphereError, match="mac_address '00:50' is not a MAC address"):
        read_wish([], "", "00:50")
