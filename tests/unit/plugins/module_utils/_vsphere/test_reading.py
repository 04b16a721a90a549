# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the objects of the API, which have the attributes of its reference, to ours."""

from __future__ import annotations

from types import SimpleNamespace as Api
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._vsphere import reading
from ansible_collections.egress.router.plugins.module_utils._vsphere.adapter import DISTRIBUTED, OPAQUE, STANDARD
from ansible_collections.egress.router.plugins.module_utils._vsphere.flags import Flags
from ansible_collections.egress.router.plugins.module_utils._vsphere.node import Vm

VM = Vm("vm-1", "worker-1")


def card(key: int, backing: Any, connectable: Any = None) -> Api:
    return Api(
        key=key,
        macAddress="00:50:56:9A:00:01",
        backing=backing,
        connectable=connectable,
        deviceInfo=Api(label=f"Network adapter {key}"),
    )


def security(promiscuous: bool | None, forged: bool | None, changes: bool | None) -> Api:
    return Api(security=Api(allowPromiscuous=promiscuous, forgedTransmits=forged, macChanges=changes))


@pytest.mark.parametrize(
    ("backing", "kind", "network", "key"),
    [
        (Api(deviceName="egress", network=Api()), STANDARD, "egress", ""),
        (Api(port=Api(portgroupKey="dvportgroup-1")), DISTRIBUTED, "egress-dv", "dvportgroup-1"),
        (Api(port=Api(portgroupKey="dvportgroup-2")), DISTRIBUTED, "dvportgroup-2", "dvportgroup-2"),
        (Api(opaqueNetworkId="ls-1"), OPAQUE, "ls-1", ""),
        (Api(deviceName="legacy"), "", "", ""),
        (None, "", "", ""),
    ],
)
def test_what_an_adapter_is_connected_to(backing: Any, kind: str, network: str, key: str) -> None:
    found = reading.machine(VM, {"config.hardware.device": [card(1, backing)]}, {"dvportgroup-1": "egress-dv"})
    (nic,) = found.nics
    assert (nic.kind, nic.network, nic.portgroup_key) == (kind, network, key)
    assert (nic.label, nic.mac, nic.connected) == ("Network adapter 1", "00:50:56:9a:00:01", True)


def test_a_machine() -> None:
    address = Api(ipAddress="198.51.100.7", prefixLength=24)
    found = reading.machine(
        VM,
        {
            "config.hardware.device": [Api(key=200, backing=None), card(1, None, Api(connected=False))],
            "guest.net": [
                Api(deviceConfigId=1, ipConfig=Api(ipAddress=[address])),
                Api(deviceConfigId=2, ipConfig=None),
            ],
            "runtime.host": Api(_moId="host-1"),
            "runtime.powerState": "poweredOn",
        },
        {},
    )
    assert (found.host_id, found.powered_on) == ("host-1", True)
    # Other devices are not network adapters.
    assert [(nic.guest, nic.connected) for nic in found.nics] == [(("198.51.100.7/24",), False)]
    assert reading.machine(VM, {}, {}).nics == ()


def test_standard_policies() -> None:
    info = Api(
        vswitch=[Api(name="vSwitch1", spec=Api(policy=security(False, True, True)))],
        portgroup=[
            Api(
                spec=Api(name="egress", vswitchName="vSwitch1", policy=security(True, None, None)),
                computedPolicy=security(True, True, True),
            ),
            Api(spec=Api(name="bare", vswitchName="vSwitch9", policy=None), computedPolicy=None),
        ],
    )
    switch, egress, bare = reading.standard_policies("esxi-1", Api(_moId="networkSystem-1"), info)
    assert str(switch) == "switch 'vSwitch1' on host esxi-1"
    assert (egress.own, egress.inherited) == (Flags(promiscuous_mode=True), Flags(False, True, True))
    assert egress.effective == Flags(True, True, True)
    assert (bare.own, bare.effective, bare.parent_id) == (Flags(), Flags(), "networkSystem-1")
    assert reading.standard_policies("esxi-1", Api(_moId="networkSystem-1"), None) == []


def mac_management(inherited: bool, *flags: bool, learning: bool | None = None) -> Api:
    names = ("allowPromiscuous", "forgedTransmits", "macChanges")
    policy = Api(inherited=inherited, macLearningPolicy=None if learning is None else Api(enabled=learning))
    vars(policy).update(zip(names, flags, strict=True))
    return Api(macManagementPolicy=policy)


def test_distributed_policies() -> None:
    dvs = Api(
        productInfo=Api(version="7.0.3"), defaultPortConfig=mac_management(False, False, True, False, learning=False)
    )
    group = Api(
        name="egress-dv",
        key="dvportgroup-1",
        distributedVirtualSwitch=Api(_moId="dvs-1"),
        defaultPortConfig=mac_management(True, False, True, False, learning=False),
    )
    rows = [(Api(_moId="dvportgroup-1"), {"config": group, "host": [Api(_moId="host-1")]})]
    switch, found = reading.distributed_policies(rows, {"dvs-1": (Api(_moId="dvs-1"), {"name": "dvs", "config": dvs})})
    assert str(found) == "distributed port group 'egress-dv' of distributed switch 'dvs'"
    assert (switch.own, found.own) == (Flags(False, True, False, False), Flags())
    assert found.effective == switch.effective
    assert (found.inherits_as_whole, found.learns, found.host_ids) == (True, True, ("host-1",))
    (alone,) = reading.distributed_policies(rows, {})
    assert (alone.switch, alone.version, alone.parent_id, alone.learns) == ("", "", "dvportgroup-1", False)


def test_flags_that_are_inherited_separately() -> None:
    """Before vSphere 6.7."""
    one = Api(inherited=False, value=True)
    other = Api(inherited=True, value=False)
    setting = Api(securityPolicy=Api(allowPromiscuous=one, forgedTransmits=other, macChanges=None))
    assert reading.port_flags(setting) == (Flags(promiscuous_mode=True), False, Flags(forged_transmits=False))
    assert reading.port_flags(None) == (Flags(), False, Flags())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"backingType": "nsx"}, "belongs to NSX: configure MAC discovery and SpoofGuard"),
        ({"logicalSwitchUuid": "5f7b8c1e-0c5b-4a2e-9d8e-3a1f0e2d4c6b"}, "belongs to NSX"),
        ({"uplink": True}, "is an uplink port group"),
        ({"backingType": "standard", "uplink": False}, ""),
    ],
)
def test_port_groups_that_must_not_be_changed(fields: dict[str, Any], said: str) -> None:
    found = reading.refusal(Api(**fields))
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_ports_with_policies_of_their_own() -> None:
    assert reading.overrides(Api(config=Api(setting=mac_management(False, True, True, True))))
    assert not reading.overrides(Api(config=Api(setting=mac_management(True, True, True, True))))
    assert not reading.overrides(Api(config=None))
    assert reading.may_override(Api(policy=Api(securityPolicyOverrideAllowed=True)))
    assert not reading.may_override(Api(policy=Api(macManagementOverrideAllowed=False)))
