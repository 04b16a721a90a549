# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Our view of the vSphere API's objects. They are read by their attributes, so nothing of the library is imported.

For their meaning see the vSphere Web Services API reference: HostNetworkPolicy, HostPortGroupSpec, HostVirtualSwitchSpec,
DVPortgroupConfigSpec and DVSMacManagementPolicy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .adapter import DISTRIBUTED, OPAQUE, STANDARD, Machine, Nic
from .flags import FLAGS, Flags
from .node import Vm
from .policies import SecurityPolicy

# Our flags and the names of the API.
API_NAMES = dict(zip(FLAGS, ("allowPromiscuous", "forgedTransmits", "macChanges"), strict=True))

# An object's reference and the properties that were read.
Row = tuple[Any, Mapping[str, Any]]


def machine(vm: Vm, found: Mapping[str, Any], names_of: Mapping[str, str]) -> Machine:
    """A VM by its properties. `names_of`: names of distributed port groups by key."""
    guest: dict[int, list[str]] = {}
    for nic in found.get("guest.net") or ():
        addresses = nic.ipConfig.ipAddress if nic.ipConfig else ()
        guest.setdefault(nic.deviceConfigId, []).extend(f"{ip.ipAddress}/{ip.prefixLength}" for ip in addresses or ())
    nics = [
        _nic(device, names_of, tuple(guest.get(device.key, ())))
        for device in found.get("config.hardware.device") or ()
        # Only network adapters have one.
        if hasattr(device, "macAddress")
    ]
    host = found.get("runtime.host")
    powered_on = str(found.get("runtime.powerState")) == "poweredOn"
    return Machine(vm, host._moId if host is not None else "", powered_on, tuple(nics))


def standard_policies(esxi_hostname: str, network: Any, info: Any) -> list[SecurityPolicy]:
    """The switches and port groups of a host: `info` is the networkInfo of its HostNetworkSystem."""
    if info is None:
        return []
    switches = {
        switch.name: SecurityPolicy(
            STANDARD,
            switch.name,
            esxi_hostname=esxi_hostname,
            own=_host_flags(switch.spec.policy),
            parent_id=network._moId,
            raw=(network, switch.spec),
        )
        for switch in info.vswitch or ()
    }
    found = list(switches.values())
    for group in info.portgroup or ():
        switch = group.spec.vswitchName
        found.append(
            SecurityPolicy(
                STANDARD,
                switch,
                group.spec.name,
                esxi_hostname,
                own=_host_flags(group.spec.policy),
                inherited=switches[switch].own if switch in switches else Flags(),
                reported=_host_flags(group.computedPolicy),
                parent_id=network._moId,
                raw=(network, group.spec),
            )
        )
    return found


def distributed_policies(groups: Iterable[Row], switches: Mapping[str, Row]) -> list[SecurityPolicy]:
    """Distributed switches (by id) and port groups."""
    parents: dict[str, SecurityPolicy] = {}
    for id_, (ref, values) in switches.items():
        config = values["config"]
        version = config.productInfo.version if config.productInfo else ""
        own, _whole, inherited = port_flags(config.defaultPortConfig)
        # A switch has nothing to inherit from.
        parents[id_] = SecurityPolicy(
            DISTRIBUTED,
            values["name"],
            own=own.over(inherited),
            version=version or "",
            parent_id=id_,
            raw=(None, config, ref),
        )
    found = list(parents.values())
    for ref, values in groups:
        config = values["config"]
        switch = config.distributedVirtualSwitch
        parent = parents.get(switch._moId if switch is not None else "")
        own, whole, inherited = port_flags(config.defaultPortConfig)
        found.append(
            SecurityPolicy(
                DISTRIBUTED,
                parent.switch if parent else "",
                config.name,
                own=own,
                # A port group has a copy of what it inherits.
                inherited=inherited.over(parent.own) if parent else inherited,
                inherits_as_whole=whole,
                version=parent.version if parent else "",
                parent_id=parent.parent_id if parent else ref._moId,
                key=config.key,
                host_ids=tuple(host._moId for host in values.get("host") or ()),
                refused=refusal(config),
                raw=(ref, config, parent.raw[2] if parent else None),
            )
        )
    return found


def port_flags(setting: Any) -> tuple[Flags, bool, Flags]:
    """The flags that a distributed port setting sets, whether it inherits as a whole, and the inherited flags."""
    policy = getattr(setting, "macManagementPolicy", None)
    if policy is not None:
        learning = policy.macLearningPolicy
        flags = Flags(
            **{ours: getattr(policy, theirs) for ours, theirs in API_NAMES.items()},
            mac_learning=learning.enabled if learning is not None else None,
        )
        return (Flags(), True, flags) if policy.inherited else (flags, True, Flags())
    # Before vSphere 6.7, each flag is inherited separately.
    security = getattr(setting, "securityPolicy", None)
    policies = {ours: getattr(security, theirs, None) for ours, theirs in API_NAMES.items()}
    own = {name: one.value for name, one in policies.items() if one is not None and not one.inherited}
    inherited = {name: one.value for name, one in policies.items() if one is not None and one.inherited}
    return Flags(**own), False, Flags(**inherited)


def refusal(config: Any) -> str:
    """Why a distributed port group must not be changed; empty if it may be."""
    if getattr(config, "backingType", None) == "nsx" or getattr(config, "logicalSwitchUuid", None):
        return "belongs to NSX: configure MAC discovery and SpoofGuard in its segment profile"
    if getattr(config, "uplink", None):
        return "is an uplink port group: specify the port group of the nodes"
    return ""


def overrides(port: Any) -> bool:
    """Whether a distributed port has a security policy of its own."""
    own, _whole, _inherited = port_flags(port.config.setting if port.config else None)
    return bool(own.given())


def may_override(config: Any) -> bool:
    """Whether ports of a distributed port group may have security policies of their own."""
    return any(
        getattr(config.policy, name, False)
        for name in ("macManagementOverrideAllowed", "securityPolicyOverrideAllowed")
    )


def _nic(device: Any, names_of: Mapping[str, str], guest: tuple[str, ...]) -> Nic:
    kind, network, key = _network(device.backing, names_of)
    return Nic(
        label=device.deviceInfo.label if device.deviceInfo else f"network adapter {device.key}",
        mac=(device.macAddress or "").lower(),
        network=network,
        kind=kind,
        portgroup_key=key,
        connected=device.connectable is None or bool(device.connectable.connected),
        guest=guest,
    )


def _network(backing: Any, names_of: Mapping[str, str]) -> tuple[str, str, str]:
    """Kind and name of the network, and the key of a distributed port group."""
    if hasattr(backing, "opaqueNetworkId"):
        return OPAQUE, backing.opaqueNetworkId, ""
    if hasattr(backing, "port"):
        key = backing.port.portgroupKey or ""
        return DISTRIBUTED, names_of.get(key, key), key
    # Legacy backings have a device name too, but no network.
    if hasattr(backing, "network"):
        return STANDARD, backing.deviceName, ""
    return "", "", ""


def _host_flags(policy: Any) -> Flags:
    security = policy.security if policy is not None else None
    return Flags(**{ours: getattr(security, theirs, None) for ours, theirs in API_NAMES.items()})
