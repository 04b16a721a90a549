# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The one seam to pyVmomi: nothing else in the collection imports it.

The options are those of community.vmware, whose modules build switches and port groups well and cannot change a security
policy alone. Whatever goes wrong comes out as one of our own exceptions (_errors.py). A Vcenter may be used by several
threads at once. Reads take many objects at once (PropertyCollector), so that calls do not grow with the nodes.

What fields mean is that of the vSphere Web Services API reference, types HostNetworkPolicy, HostPortGroupSpec,
HostVirtualSwitchSpec, DVPortgroupConfigSpec and DVSMacManagementPolicy.
"""

from __future__ import annotations

import importlib.metadata
import socket
import ssl
import traceback
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

from .._common.concurrent import wait_until
from .._common.errors import ApiError, Conflict, EgressError, Forbidden, InputError, NotFound, NotReady, Unreachable
from .._common.failing import FailingModule
from .adapter import DISTRIBUTED, OPAQUE, STANDARD, Machine, Nic
from .node import Vm
from .policies import FLAGS, Flags, Place

IMPORT_ERROR = None
try:
    from pyVim.connect import SmartConnect
    from pyVmomi import vim, vmodl
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

MINIMUM_VERSION = (8, 0, 3)
# The options of community.vmware for the connection, as they are there.
AUTH_SPEC: dict[str, Any] = {
    "hostname": {"type": "str", "fallback": (env_fallback, ["VMWARE_HOST"])},
    "username": {"type": "str", "aliases": ["admin", "user"], "fallback": (env_fallback, ["VMWARE_USER"])},
    "password": {
        "type": "str",
        "aliases": ["pass", "pwd"],
        "no_log": True,
        "fallback": (env_fallback, ["VMWARE_PASSWORD"]),
    },
    "port": {"type": "int", "default": 443, "fallback": (env_fallback, ["VMWARE_PORT"])},
    "validate_certs": {"type": "bool", "default": True, "fallback": (env_fallback, ["VMWARE_VALIDATE_CERTS"])},
    "proxy_host": {"type": "str", "fallback": (env_fallback, ["VMWARE_PROXY_HOST"])},
    "proxy_port": {"type": "int", "fallback": (env_fallback, ["VMWARE_PROXY_PORT"])},
}
# Seconds: to connect, for an answer, for a task.
_CONNECT, _ANSWER, _TASK = 15, 120, 120
# What it takes to change a policy: on a host, a distributed port group, a distributed switch (docs/vsphere.md).
_ON_HOST = ("Host.Config.Network",)
_ON_GROUP, _ON_SWITCH = ("DVPortgroup.Modify", "DVPortgroup.PolicyOp"), ("DVSwitch.Modify", "DVSwitch.PolicyOp")
# Our flags and the API's.
_NAMES = dict(zip(FLAGS, ("allowPromiscuous", "forgedTransmits", "macChanges"), strict=True))


class VsphereModule(FailingModule, AnsibleModule):
    """An Ansible module with the options of community.vmware for the connection."""

    def __init__(self, argument_spec: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(argument_spec={**AUTH_SPEC, **argument_spec}, supports_check_mode=True, **kwargs)

    @contextmanager
    def connect(self) -> Generator[Vcenter, None, None]:
        """A session on the vCenter or ESXi host that the options or the environment name."""
        if IMPORT_ERROR:
            self.fail_json(msg=missing_required_lib("pyVmomi"), exception=IMPORT_ERROR)
        version = importlib.metadata.version("pyvmomi")
        if tuple(int(part) for part in version.split(".")[:3]) < MINIMUM_VERSION:
            wanted = ".".join(map(str, MINIMUM_VERSION))
            self.fail(f"pyVmomi {version} is too old: install {wanted} or newer where the module runs")
        with _translated("find the inventory"):
            content = _log_in(self.params).RetrieveContent()
        try:
            yield Vcenter(content)
        finally:
            # The session may have ended before.
            with suppress(Exception):
                content.sessionManager.Logout()


@dataclass(frozen=True)
class Host:
    """An ESXi host. `cluster`: name of its cluster, or of what stands for one. `network`: its HostNetworkSystem."""

    id: str
    name: str
    cluster_id: str
    cluster: str
    in_contact: bool
    network: Any


class Vcenter:
    """One vCenter or ESXi host, asked as one identity."""

    def __init__(self, content: Any) -> None:
        self._content = content
        self._names: dict[str, str] = {}
        # Distributed port groups by key, as far as they were met.
        self._groups: dict[str, Any] = {}
        # Hosts by the ids of their networks, likewise.
        self._hosts: dict[str, Any] = {}

    def vms(self) -> list[Vm]:
        """Every visible VM that is no template."""
        names = ["name", "config.uuid", "config.instanceUuid", "config.template"]
        return [
            Vm(
                ref._moId,
                found.get("name", ""),
                (found.get("config.uuid") or "").lower(),
                (found.get("config.instanceUuid") or "").lower(),
            )
            for ref, found in self._view(vim.VirtualMachine, names, "list the VMs")
            if not found.get("config.template")
        ]

    def machines(self, vms: Iterable[Vm]) -> list[Machine]:
        """The present state of some VMs, in their order."""
        vms = list(vms)
        names = ["config.hardware.device", "guest.net", "runtime.host", "runtime.powerState", "network"]
        rows = self._read([self._ref(vim.VirtualMachine, vm.id) for vm in vms], names, "read the VMs")
        networks = {ref for _vm, found in rows for ref in found.get("network") or ()}
        groups = [ref for ref in networks if isinstance(ref, vim.dvs.DistributedVirtualPortgroup)]
        names_of = {}
        for group, found in self._read(groups, ["key", "name"], "read the distributed port groups"):
            self._groups[found["key"]] = group
            names_of[found["key"]] = found["name"]
        by_id = {ref._moId: found for ref, found in rows}
        return [_machine(vm, by_id[vm.id], names_of) for vm in vms if vm.id in by_id]

    def hosts(self, beside: Iterable[str] | None = None) -> list[Host]:
        """All visible hosts; or the hosts of these ids (`beside`) with all others of their clusters."""
        if beside is None:
            rows = self._view(vim.HostSystem, ["parent"], "list the hosts")
        else:
            refs = [self._ref(vim.HostSystem, host) for host in dict.fromkeys(beside)]
            rows = self._read(refs, ["parent"], "read the hosts")
        # A host that stands alone has a ComputeResource of its own.
        parents = {found["parent"] for _host, found in rows if found.get("parent")}
        clusters = self._read(parents, ["name", "host"], "read the clusters")
        cluster_of = {
            ref._moId: (cluster._moId, found["name"]) for cluster, found in clusters for ref in found.get("host") or ()
        }
        refs = [ref for _cluster, found in clusters for ref in found.get("host") or ()]
        names = ["name", "runtime.connectionState", "configManager.networkSystem"]
        rows = self._read(refs, names, "read the hosts")
        networks = {ref: found.get("configManager.networkSystem") for ref, found in rows}
        self._hosts |= {network._moId: ref for ref, network in networks.items() if network is not None}
        return [
            Host(
                ref._moId,
                found["name"],
                *cluster_of[ref._moId],
                str(found.get("runtime.connectionState")) == "connected",
                networks[ref],
            )
            for ref, found in rows
        ]

    def standard(self, hosts: Iterable[Host]) -> list[Place]:
        """The standard port groups and switches of hosts that are in contact."""
        by_network = {host.network._moId: host for host in hosts if host.in_contact and host.network is not None}
        refs = [host.network for host in by_network.values()]
        found = []
        for ref, values in self._read(refs, ["networkInfo"], "read the hosts' networks"):
            host = by_network[ref._moId]
            self._names[ref._moId] = f"host {host.name}"
            found += _standard(host.name, ref, values.get("networkInfo"))
        return found

    def distributed(self, keys: Iterable[str] | None = None) -> list[Place]:
        """The distributed port groups with these keys, of VMs that were read before, or all visible ones; and their
        switches."""
        names, what = ["config", "host"], "read the distributed port groups"
        if keys is None:
            rows = self._view(vim.dvs.DistributedVirtualPortgroup, names, what)
        else:
            rows = self._read([self._groups[key] for key in dict.fromkeys(keys) if key in self._groups], names, what)
        rows = [(ref, found) for ref, found in rows if "config" in found]
        switches = {found["config"].distributedVirtualSwitch for _ref, found in rows} - {None}
        read = self._read(switches, ["name", "config"], "read the distributed switches")
        return _distributed(rows, {ref._moId: (ref, found) for ref, found in read})

    def overriding_ports(self, place: Place) -> list[str]:
        """The ports of a distributed port group that have a security policy of their own, for people."""
        _ref, config, switch = place.raw
        policy = config.policy
        if switch is None or not (
            getattr(policy, "macManagementOverrideAllowed", False)
            or getattr(policy, "securityPolicyOverrideAllowed", False)
        ):
            return []
        criteria = vim.dvs.PortCriteria(portgroupKey=[config.key], inside=True)
        with _translated(f"read the ports of {place}", self._names):
            ports = switch.FetchDVPorts(criteria) or []
        return [str(port.key) for port in ports if _overrides(port)]

    def reread(self, place: Place) -> Place:
        """A place as it is now; NotFound if it is gone."""
        if place.kind == STANDARD:
            ref = place.raw[0]
            rows = self._read([ref], ["networkInfo"], f"read {place}")
            places = [one for _ref, found in rows for one in _standard(place.host, ref, found.get("networkInfo"))]
        else:
            group, _config, switch = place.raw
            rows = self._read([group], ["config", "host"], f"read {place}") if group is not None else []
            read = self._read([switch], ["name", "config"], f"read {place}") if switch is not None else []
            places = _distributed(rows, {ref._moId: (ref, found) for ref, found in read})
        for one in places:
            if one.id == place.id:
                return one
        raise NotFound(f"{place} was removed meanwhile: run again")

    def lacking(self, places: Iterable[Place]) -> dict[tuple[str, str, str, str], str]:
        """Why the user may not change places, by their ids; without those that may be changed. Changes nothing."""
        needed = {place.id: self._needed(place) for place in places}
        if not needed:
            return {}
        entities = list(dict.fromkeys(entity for entity, _privileges in needed.values()))
        wanted = sorted({privilege for _entity, privileges in needed.values() for privilege in privileges})
        with _translated("ask for the user's privileges", self._names):
            session = self._content.sessionManager.currentSession.key
            answer = self._content.authorizationManager.HasPrivilegeOnEntities(entities, session, wanted)
        granted = {
            (row.entity._moId, one.privId) for row in answer for one in row.privAvailability or () if one.isGranted
        }
        found = {}
        for id_, (entity, privileges) in needed.items():
            missing = [privilege for privilege in privileges if (entity._moId, privilege) not in granted]
            if missing:
                name = self._names.get(entity._moId, entity._moId)
                found[id_] = f"the user lacks the privilege {' and '.join(missing)} on {name}"
        return found

    def _needed(self, place: Place) -> tuple[Any, tuple[str, ...]]:
        """The object on which it takes privileges to change a place, and which."""
        if place.kind == STANDARD:
            return self._hosts[place.raw[0]._moId], _ON_HOST
        group, _config, switch = place.raw
        return (switch, _ON_SWITCH) if group is None else (group, _ON_GROUP)

    def set_policy(self, place: Place, own: Flags) -> None:
        """Has a place set these flags, and leaves everything else of it. Conflict if a distributed one has changed."""
        with _translated(f"change {place}", self._names):
            if place.kind == STANDARD:
                _set_standard(place, own)
            else:
                self._wait(_set_distributed(place, own), place)

    def _wait(self, task: Any, place: Place) -> None:
        def ended() -> Any:
            ((_task, found),) = self._read([task], ["info"], f"change {place}")
            return found["info"] if str(found["info"].state) in ("success", "error") else None

        info = wait_until(ended, _TASK)
        if info is None:
            raise NotReady(
                f"cannot change {place}: vCenter's task {task._moId} has not ended after {_TASK} s: look at it there"
            )
        if str(info.state) == "error":
            raise info.error

    def _ref(self, kind: Any, id_: str) -> Any:
        return kind(id_, self._content.propertyCollector._stub)

    def _view(self, kind: Any, names: list[str], what: str) -> list[tuple[Any, dict[str, Any]]]:
        """Properties of all visible objects of a kind; what may not be read is left out."""
        collector = vmodl.query.PropertyCollector
        with _translated(what, self._names):
            view = self._content.viewManager.CreateContainerView(self._content.rootFolder, [kind], True)
            try:
                walk = collector.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
                start = collector.ObjectSpec(obj=view, skip=True, selectSet=[walk])
                return self._retrieve([start], kind, names, partly=True)
            finally:
                view.DestroyView()

    def _read(self, refs: Iterable[Any], names: list[str], what: str) -> list[tuple[Any, dict[str, Any]]]:
        """Properties of objects of one kind."""
        refs = list(refs)
        if not refs:
            return []
        with _translated(what, self._names):
            start = [vmodl.query.PropertyCollector.ObjectSpec(obj=ref) for ref in refs]
            return self._retrieve(start, type(refs[0]), names, partly=False)

    def _retrieve(
        self, start: list[Any], kind: Any, names: list[str], partly: bool
    ) -> list[tuple[Any, dict[str, Any]]]:
        collector = vmodl.query.PropertyCollector
        wanted = collector.PropertySpec(type=kind, pathSet=names, all=False)
        spec = collector.FilterSpec(objectSet=start, propSet=[wanted])
        answer = self._content.propertyCollector.RetrievePropertiesEx([spec], collector.RetrieveOptions())
        found = []
        while answer is not None:
            for row in answer.objects:
                for lacking in row.missingSet or ():
                    if not partly:
                        raise lacking.fault
                values = {prop.name: prop.val for prop in row.propSet or ()}
                if "name" in values:
                    self._names[row.obj._moId] = values["name"]
                found.append((row.obj, values))
            answer = (
                self._content.propertyCollector.ContinueRetrievePropertiesEx(answer.token) if answer.token else None
            )
        return found


def _log_in(params: dict[str, Any]) -> Any:
    for name, variable in (("hostname", "HOST"), ("username", "USER"), ("password", "PASSWORD")):
        if not params[name]:
            raise InputError(f"there is no {name} for vSphere: give {name} or VMWARE_{variable}")
    host, port, proxy = params["hostname"], params["port"], params["proxy_host"]
    where = f"{host}:{port}"
    try:
        if not proxy:
            # pyVmomi would wait for minutes.
            socket.create_connection((host, port), _CONNECT).close()
        return SmartConnect(
            host=host,
            port=port,
            user=params["username"],
            pwd=params["password"],
            sslContext=_tls(params["validate_certs"]),
            httpProxyHost=proxy,
            httpProxyPort=params["proxy_port"] or 80,
            httpConnectionTimeout=_ANSWER,
        )
    except vim.fault.InvalidLogin as error:
        raise Forbidden(
            f"vSphere at {where} does not accept user {params['username']} with this password: check username (with its domain, "
            "as in user@vsphere.local) and password"
        ) from error
    except vmodl.MethodFault as error:
        raise _connect_error(error, where, error.msg or type(error).__name__) from error
    except Exception as error:  # SmartConnect raises bare Exceptions too.
        raise _connect_error(error, where, str(error)) from error


def _tls(validate: bool) -> ssl.SSLContext:
    """By ourselves: pyVmomi checks no certificate of 127.0.0.1, which may be the near end of a tunnel."""
    context = ssl.create_default_context()
    if not validate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _connect_error(error: Exception, where: str, said: str) -> EgressError:
    if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in said:
        reason = getattr(error, "verify_message", "") or "certificate verify failed"
        return EgressError(
            f"the certificate of {where} is refused ({reason}): add vCenter's certificate authority to the system's or name "
            "it with SSL_CERT_FILE; validate_certs: false switches the check off"
        )
    if "is not a VIM server" in said:
        return EgressError(f"{where} answers, but is no vCenter or ESXi host: check hostname and port")
    if isinstance(error, TimeoutError):
        said = "no answer in time"
    elif isinstance(error, OSError):
        said = error.strerror or said
    return Unreachable(
        f"cannot reach vSphere at {where}: {_plain(said)}: check hostname, port, proxy_host and whether the way there is open"
    )


@contextmanager
def _translated(what: str, names: dict[str, str] | None = None) -> Generator[None, None, None]:
    """Turns every exception of the library into one of ours. `names`: of objects by id."""
    try:
        yield
    except vim.fault.NotAuthenticated as error:  # one kind of NoPermission
        raise Forbidden(f"cannot {what}: vSphere has ended the session: run again") from error
    except vim.fault.NoPermission as error:
        object_id = getattr(error.object, "_moId", "")
        known = (names or {}).get(object_id) or object_id or "an object"
        raise Forbidden(
            f"may not {what}: the user lacks the privilege {error.privilegeId} on {known}: give the user a role with it "
            "there, or on what it is in"
        ) from error
    except vim.fault.ConcurrentAccess as error:
        raise Conflict(f"cannot {what}: somebody else changed it at the same moment") from error
    except (vmodl.fault.HostNotConnected, vmodl.fault.HostCommunication) as error:
        raise Unreachable(
            f"cannot {what}: vCenter is out of contact with the host ({type(error).__name__.rpartition('.')[2]}): reconnect it "
            "and run again"
        ) from error
    except (vmodl.fault.ManagedObjectNotFound, vim.fault.NotFound) as error:
        raise NotFound(f"cannot {what}: it does not exist (any more): run again") from error
    except vmodl.MethodFault as error:
        name = type(error).__name__.rpartition(".")[2]
        raise ApiError(f"cannot {what}: vSphere says {name}: {_plain(error.msg or 'no reason')}") from error
    except OSError as error:
        raise Unreachable(f"cannot {what}: the connection to vSphere broke: {_plain(error)}") from error


def _machine(vm: Vm, found: dict[str, Any], names_of: dict[str, str]) -> Machine:
    guest: dict[int, list[str]] = {}
    for nic in found.get("guest.net") or ():
        addresses = nic.ipConfig.ipAddress if nic.ipConfig else ()
        guest.setdefault(nic.deviceConfigId, []).extend(f"{ip.ipAddress}/{ip.prefixLength}" for ip in addresses or ())
    nics = [
        _nic(device, names_of, tuple(guest.get(device.key, ())))
        for device in found.get("config.hardware.device") or ()
        if isinstance(device, vim.vm.device.VirtualEthernetCard)
    ]
    host = found.get("runtime.host")
    powered_on = str(found.get("runtime.powerState")) == "poweredOn"
    return Machine(vm, host._moId if host is not None else "", powered_on, tuple(nics))


def _nic(device: Any, names_of: dict[str, str], guest: tuple[str, ...]) -> Nic:
    network = kind = key = ""
    match device.backing:
        case vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port):
            key = port.portgroupKey or ""
            kind, network = DISTRIBUTED, names_of.get(key, key)
        case vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo(opaqueNetworkId=id_):
            kind, network = OPAQUE, id_
        case vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=name):
            kind, network = STANDARD, name
    return Nic(
        label=device.deviceInfo.label if device.deviceInfo else f"network adapter {device.key}",
        mac=(device.macAddress or "").lower(),
        network=network,
        kind=kind,
        portgroup_key=key,
        connected=device.connectable is None or bool(device.connectable.connected),
        guest=guest,
    )


def _standard(host: str, network: Any, info: Any) -> list[Place]:
    """The port groups and switches of a HostNetworkInfo."""
    if info is None:
        return []
    switches = {
        switch.name: Place(
            STANDARD,
            switch.name,
            host=host,
            own=_host_flags(switch.spec.policy),
            lane=network._moId,
            raw=(network, switch.spec),
        )
        for switch in info.vswitch or ()
    }
    found = list(switches.values())
    for group in info.portgroup or ():
        switch = group.spec.vswitchName
        found.append(
            Place(
                STANDARD,
                switch,
                group.spec.name,
                host,
                own=_host_flags(group.spec.policy),
                above=switches[switch].own if switch in switches else Flags(),
                reported=_host_flags(group.computedPolicy),
                lane=network._moId,
                raw=(network, group.spec),
            )
        )
    return found


def _host_flags(policy: Any) -> Flags:
    security = policy.security if policy is not None else None
    return Flags(**{ours: getattr(security, theirs, None) for ours, theirs in _NAMES.items()})


def _distributed(
    groups: list[tuple[Any, dict[str, Any]]], switches: dict[str, tuple[Any, dict[str, Any]]]
) -> list[Place]:
    found = []
    above: dict[str, Place] = {}
    for id_, (ref, values) in switches.items():
        config = values["config"]
        version = config.productInfo.version if config.productInfo else ""
        own, _whole, inherited = _port_flags(config.defaultPortConfig)
        # There is nothing above a switch.
        above[id_] = Place(
            DISTRIBUTED,
            values["name"],
            own=own.over(inherited),
            version=version or "",
            lane=id_,
            raw=(None, config, ref),
        )
    found += above.values()
    for ref, values in groups:
        config = values["config"]
        switch = config.distributedVirtualSwitch
        parent = above.get(switch._moId if switch is not None else "")
        own, whole, inherited = _port_flags(config.defaultPortConfig)
        found.append(
            Place(
                DISTRIBUTED,
                parent.switch if parent else "",
                config.name,
                own=own,
                # What is inherited is mirrored in the port group.
                above=inherited.over(parent.own) if parent else inherited,
                whole=whole,
                version=parent.version if parent else "",
                lane=parent.lane if parent else ref._moId,
                key=config.key,
                hosts=tuple(host._moId for host in values.get("host") or ()),
                refused=_not_ours(config),
                raw=(ref, config, parent.raw[2] if parent else None),
            )
        )
    return found


def _port_flags(setting: Any) -> tuple[Flags, bool, Flags]:
    """What a port setting sets itself, whether it inherits as a whole, and what it has inherited."""
    policy = getattr(setting, "macManagementPolicy", None)
    if policy is not None:
        learning = policy.macLearningPolicy
        flags = Flags(
            **{ours: getattr(policy, theirs) for ours, theirs in _NAMES.items()},
            mac_learning=learning.enabled if learning is not None else None,
        )
        return (Flags(), True, flags) if policy.inherited else (flags, True, Flags())
    # Before vSphere 6.7 each flag is inherited by itself.
    security = getattr(setting, "securityPolicy", None)
    policies = {ours: getattr(security, theirs, None) for ours, theirs in _NAMES.items()}
    own = {name: one.value for name, one in policies.items() if one is not None and not one.inherited}
    inherited = {name: one.value for name, one in policies.items() if one is not None and one.inherited}
    return Flags(**own), False, Flags(**inherited)


def _not_ours(config: Any) -> str:
    if getattr(config, "backingType", None) == "nsx" or getattr(config, "logicalSwitchUuid", None):
        return "belongs to NSX, which sets its security (segment profile for MAC discovery and SpoofGuard): do it there"
    if getattr(config, "uplink", None):
        return "is a group of uplinks: name the port group of the nodes"
    return ""


def _overrides(port: Any) -> bool:
    own, _whole, _inherited = _port_flags(port.config.setting if port.config else None)
    return bool(own.given())


def _set_standard(place: Place, own: Flags) -> None:
    """By the specification that was just read, so that all else goes back as it came."""
    network, spec = place.raw
    if spec.policy is None:
        spec.policy = vim.host.NetworkPolicy()
    if spec.policy.security is None:
        spec.policy.security = vim.host.NetworkPolicy.SecurityPolicy()
    for ours, theirs in _NAMES.items():
        setattr(spec.policy.security, theirs, asdict(own)[ours])
    if place.port_group:
        network.UpdatePortGroup(pgName=place.port_group, portgrp=spec)
    else:
        network.UpdateVirtualSwitch(vswitchName=place.switch, spec=spec)


def _set_distributed(place: Place, own: Flags) -> Any:
    """By a specification with nothing else in it, for what is not set there stays. Returns the task."""
    group, config, switch = place.raw
    setting = vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy()
    present = getattr(config.defaultPortConfig, "macManagementPolicy", None)
    if present is not None:
        setting.macManagementPolicy = _mac_management(present, own)
    else:
        setting.securityPolicy = _security(config.defaultPortConfig, place.own, own)
    version = config.configVersion
    if group is None:
        spec = vim.dvs.VmwareDistributedVirtualSwitch.ConfigSpec(configVersion=version, defaultPortConfig=setting)
        return switch.ReconfigureDvs_Task(spec)
    spec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(configVersion=version, defaultPortConfig=setting)
    return group.ReconfigureDVPortgroup_Task(spec)


def _mac_management(present: Any, own: Flags) -> Any:
    kind = vim.dvs.VmwareDistributedVirtualSwitch
    if not own.given():
        return kind.MacManagementPolicy(inherited=True)
    policy = kind.MacManagementPolicy(inherited=False)
    for ours, theirs in _NAMES.items():
        setattr(policy, theirs, asdict(own)[ours])
    learning = present.macLearningPolicy
    if own.mac_learning is not None:
        # Limits and flooding stay as they are, or as vCenter sets them by itself.
        learning = learning or kind.MacLearningPolicy()
        learning.inherited = False
        learning.enabled = own.mac_learning
    policy.macLearningPolicy = learning
    return policy


def _security(setting: Any, before: Flags, own: Flags) -> Any:
    policy = vim.dvs.VmwareDistributedVirtualSwitch.SecurityPolicy(inherited=False)
    for ours, theirs in _NAMES.items():
        value = asdict(own)[ours]
        if value != asdict(before)[ours]:
            setattr(policy, theirs, vim.BoolPolicy(inherited=value is None, value=value))
    return policy


def _plain(said: object) -> str:
    """A text on one line."""
    return " ".join(str(said).split()).rstrip(".")
