# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The only file that imports pyVmomi.

The connection options are those of community.vmware, whose modules create switches and port groups but cannot change a
security policy alone. All failures become exceptions of _common/errors.py. A Vcenter may be used by several threads at
once. Reads take many objects at once (PropertyCollector), so that the number of requests does not grow with the nodes.
"""

from __future__ import annotations

import importlib.metadata
import socket
import ssl
import traceback
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

from .._common.causes import one_line, reason, refused_certificate
from .._common.concurrent import wait_until
from .._common.errors import ApiError, Conflict, EgressError, Forbidden, InputError, NotFound, NotReady, Unreachable
from .._common.failing import FailingModule
from . import reading
from .adapter import STANDARD, Machine
from .flags import Flags
from .node import Host, Vm
from .policies import PolicyId, SecurityPolicy

IMPORT_ERROR = None
try:
    from pyVim.connect import SmartConnect
    from pyVmomi import vim, vmodl
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

MINIMUM_VERSION = (8, 0, 3)
# The connection options of community.vmware, unchanged.
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
# The permissions to change a policy: of a host, a distributed port group, a distributed switch (docs/vsphere.md).
_ON_HOST = ("Host.Config.Network",)
_ON_GROUP, _ON_SWITCH = ("DVPortgroup.Modify", "DVPortgroup.PolicyOp"), ("DVSwitch.Modify", "DVSwitch.PolicyOp")


class VsphereModule(FailingModule, AnsibleModule):
    """An Ansible module with the connection options of community.vmware."""

    def __init__(self, argument_spec: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(argument_spec={**AUTH_SPEC, **argument_spec}, supports_check_mode=True, **kwargs)

    @contextmanager
    def connect(self) -> Generator[Vcenter, None, None]:
        """A session on the vCenter or ESXi host of the options or the environment."""
        if IMPORT_ERROR:
            self.fail_json(msg=missing_required_lib("pyVmomi"), exception=IMPORT_ERROR)
        version = importlib.metadata.version("pyvmomi")
        if tuple(int(part) for part in version.split(".")[:3]) < MINIMUM_VERSION:
            wanted = ".".join(map(str, MINIMUM_VERSION))
            self.fail(
                f"pyVmomi {version} is too old: install version {wanted} or later on the host that runs the module"
            )
        with _translated("read the inventory"):
            content = _log_in(self.params).RetrieveContent()
        try:
            yield Vcenter(content)
        finally:
            # The session may have ended already.
            with suppress(Exception):
                content.sessionManager.Logout()


class Vcenter:
    """One vCenter or ESXi host, used with one set of credentials."""

    def __init__(self, content: Any) -> None:
        self._content = content
        self._names: dict[str, str] = {}
        # Distributed port groups by key, those that were read.
        self._groups: dict[str, Any] = {}
        # Hosts by the ids of their network systems, likewise.
        self._hosts: dict[str, Any] = {}

    def vms(self) -> list[Vm]:
        """All visible VMs, without templates."""
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
        """The present state of these VMs, in their order."""
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
        return [reading.machine(vm, by_id[vm.id], names_of) for vm in vms if vm.id in by_id]

    def hosts(self, beside: Iterable[str] | None = None) -> list[Host]:
        """All visible hosts; or those with these ids (`beside`) and all other hosts of their clusters."""
        if beside is None:
            rows = self._view(vim.HostSystem, ["parent"], "list the hosts")
        else:
            refs = [self._ref(vim.HostSystem, host) for host in dict.fromkeys(beside)]
            rows = self._read(refs, ["parent"], "read the hosts")
        # A standalone host has a ComputeResource of its own.
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

    def standard(self, hosts: Iterable[Host]) -> list[SecurityPolicy]:
        """The standard switches and port groups of the connected hosts."""
        by_network = {host.network._moId: host for host in hosts if host.connected and host.network is not None}
        refs = [host.network for host in by_network.values()]
        found = []
        for ref, values in self._read(refs, ["networkInfo"], "read the hosts' networks"):
            host = by_network[ref._moId]
            self._names[ref._moId] = f"host {host.name}"
            found += reading.standard_policies(host.name, ref, values.get("networkInfo"))
        return found

    def distributed(self, keys: Iterable[str] | None = None) -> list[SecurityPolicy]:
        """The distributed port groups with these keys, of VMs that were read before, or all visible ones; with their
        switches."""
        names, what = ["config", "host"], "read the distributed port groups"
        if keys is None:
            rows = self._view(vim.dvs.DistributedVirtualPortgroup, names, what)
        else:
            rows = self._read([self._groups[key] for key in dict.fromkeys(keys) if key in self._groups], names, what)
        rows = [(ref, found) for ref, found in rows if "config" in found]
        switches = {found["config"].distributedVirtualSwitch for _ref, found in rows} - {None}
        read = self._read(switches, ["name", "config"], "read the distributed switches")
        return reading.distributed_policies(rows, {ref._moId: (ref, found) for ref, found in read})

    def overriding_ports(self, policy: SecurityPolicy) -> list[str]:
        """The keys of the ports of a distributed port group that have a security policy of their own."""
        _ref, config, switch = policy.raw
        if switch is None or not reading.may_override(config):
            return []
        criteria = vim.dvs.PortCriteria(portgroupKey=[config.key], inside=True)
        with _translated(f"read the ports of {policy}", self._names):
            ports = switch.FetchDVPorts(criteria) or []
        return [str(port.key) for port in ports if reading.overrides(port)]

    def reread(self, policy: SecurityPolicy) -> SecurityPolicy:
        """A policy as it is now; NotFound if it does not exist any more."""
        if policy.kind == STANDARD:
            ref = policy.raw[0]
            rows = self._read([ref], ["networkInfo"], f"read {policy}")
            policies = [
                one
                for _ref, found in rows
                for one in reading.standard_policies(policy.esxi_hostname, ref, found.get("networkInfo"))
            ]
        else:
            group, _config, switch = policy.raw
            rows = self._read([group], ["config", "host"], f"read {policy}") if group is not None else []
            read = self._read([switch], ["name", "config"], f"read {policy}") if switch is not None else []
            policies = reading.distributed_policies(rows, {ref._moId: (ref, found) for ref, found in read})
        for one in policies:
            if one.id == policy.id:
                return one
        raise NotFound(f"{policy} was deleted meanwhile: run again")

    def lacking(self, policies: Iterable[SecurityPolicy]) -> dict[PolicyId, str]:
        """Why the user must not change these policies, by id; without those that may be changed. Changes nothing."""
        needed = {policy.id: self._needed(policy) for policy in policies}
        if not needed:
            return {}
        entities = list(dict.fromkeys(entity for entity, _permissions in needed.values()))
        wanted = sorted({permission for _entity, permissions in needed.values() for permission in permissions})
        with _translated("read the user's permissions", self._names):
            session = self._content.sessionManager.currentSession.key
            answer = self._content.authorizationManager.HasPrivilegeOnEntities(entities, session, wanted)
        granted = {
            (row.entity._moId, one.privId) for row in answer for one in row.privAvailability or () if one.isGranted
        }
        found = {}
        for id_, (entity, permissions) in needed.items():
            missing = [permission for permission in permissions if (entity._moId, permission) not in granted]
            if missing:
                name = self._names.get(entity._moId, entity._moId)
                found[id_] = f"the user does not have the permission {' and '.join(missing)} on {name}"
        return found

    def _needed(self, policy: SecurityPolicy) -> tuple[Any, tuple[str, ...]]:
        """The object and the permissions on it that changing a policy requires."""
        if policy.kind == STANDARD:
            return self._hosts[policy.raw[0]._moId], _ON_HOST
        group, _config, switch = policy.raw
        return (switch, _ON_SWITCH) if group is None else (group, _ON_GROUP)

    def set_policy(self, policy: SecurityPolicy, own: Flags) -> None:
        """Sets the flags of a policy and nothing else. Conflict if a distributed one has changed since it was read."""
        with _translated(f"change {policy}", self._names):
            if policy.kind == STANDARD:
                _set_standard(policy, own)
            else:
                self._wait(_set_distributed(policy, own), policy)

    def _wait(self, task: Any, policy: SecurityPolicy) -> None:
        def ended() -> Any:
            ((_task, found),) = self._read([task], ["info"], f"change {policy}")
            return found["info"] if str(found["info"].state) in ("success", "error") else None

        info = wait_until(ended, _TASK)
        if info is None:
            raise NotReady(
                f"cannot change {policy}: vCenter's task {task._moId} has not finished after {_TASK} s: check it in vCenter"
            )
        if str(info.state) == "error":
            raise info.error

    def _ref(self, kind: Any, id_: str) -> Any:
        return kind(id_, self._content.propertyCollector._stub)

    def _view(self, kind: Any, names: list[str], what: str) -> list[tuple[Any, dict[str, Any]]]:
        """Properties of all visible objects of a kind, without those that may not be read."""
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
            raise InputError(f"{name} is missing: set {name} or the environment variable VMWARE_{variable}")
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
            "such as user@vsphere.local) and password"
        ) from error
    except Exception as error:  # SmartConnect raises bare Exceptions too.
        raise _connect_error(error, where) from error


def _tls(validate: bool) -> ssl.SSLContext:
    """Ours, because pyVmomi does not check the certificate of 127.0.0.1, which may be the near end of a tunnel."""
    context = ssl.create_default_context()
    if not validate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _connect_error(error: Exception, where: str) -> EgressError:
    refused = refused_certificate(error)
    if refused:
        return EgressError(
            f"the certificate of {where} is not trusted ({refused}): add vCenter's certificate authority to those of the "
            "system or name its file in SSL_CERT_FILE; validate_certs: false disables the check"
        )
    # What SmartConnect raises if a server answers but offers no version of the API.
    if error.__class__ is Exception:
        return EgressError(f"the server at {where} is not a vCenter or ESXi host: check hostname and port")
    said = reason(error) or one_line(getattr(error, "msg", None) or error)
    return Unreachable(
        f"cannot reach vSphere at {where}: {said}: check hostname, port, proxy_host and the network in between"
    )


@contextmanager
def _translated(what: str, names: dict[str, str] | None = None) -> Generator[None, None, None]:
    """Turns the library's exceptions into ours. `names`: of objects by id."""
    try:
        yield
    except vim.fault.NotAuthenticated as error:  # a kind of NoPermission
        raise Forbidden(f"cannot {what}: vSphere ended the session: run again") from error
    except vim.fault.NoPermission as error:
        object_id = getattr(error.object, "_moId", "")
        known = (names or {}).get(object_id) or object_id or "an object"
        raise Forbidden(
            f"cannot {what}: the user does not have the permission {error.privilegeId} on {known}: assign a role with it on this "
            "object or on one that contains it"
        ) from error
    except vim.fault.ConcurrentAccess as error:
        raise Conflict(f"cannot {what}: it was changed by others at the same time") from error
    except (vmodl.fault.HostNotConnected, vmodl.fault.HostCommunication) as error:
        raise Unreachable(
            f"cannot {what}: the host is not connected to vCenter ({type(error).__name__.rpartition('.')[2]}): reconnect it and "
            "run again"
        ) from error
    except (vmodl.fault.ManagedObjectNotFound, vim.fault.NotFound) as error:
        raise NotFound(f"cannot {what}: it does not exist any more: run again") from error
    except vmodl.MethodFault as error:
        name = type(error).__name__.rpartition(".")[2]
        raise ApiError(f"cannot {what}: vSphere reports {name}: {one_line(error.msg or 'no reason')}") from error
    except OSError as error:
        raise Unreachable(
            f"cannot {what}: the connection to vSphere failed: {reason(error) or one_line(error)}"
        ) from error


def _set_standard(policy: SecurityPolicy, own: Flags) -> None:
    """Sends the specification that was just read, so that everything else stays."""
    network, spec = policy.raw
    if spec.policy is None:
        spec.policy = vim.host.NetworkPolicy()
    if spec.policy.security is None:
        spec.policy.security = vim.host.NetworkPolicy.SecurityPolicy()
    for ours, theirs in reading.API_NAMES.items():
        setattr(spec.policy.security, theirs, asdict(own)[ours])
    if policy.portgroup:
        network.UpdatePortGroup(pgName=policy.portgroup, portgrp=spec)
    else:
        network.UpdateVirtualSwitch(vswitchName=policy.switch, spec=spec)


def _set_distributed(policy: SecurityPolicy, own: Flags) -> Any:
    """Sends a specification of nothing else, because what it does not set stays. Returns the task."""
    group, config, switch = policy.raw
    setting = vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy()
    present = getattr(config.defaultPortConfig, "macManagementPolicy", None)
    if present is not None:
        setting.macManagementPolicy = _mac_management(present, own)
    else:
        setting.securityPolicy = _security(config.defaultPortConfig, policy.own, own)
    version = config.configVersion
    if group is None:
        spec = vim.dvs.VmwareDistributedVirtualSwitch.ConfigSpec(configVersion=version, defaultPortConfig=setting)
        return switch.ReconfigureDvs_Task(spec)
    return group.ReconfigureDVPortgroup_Task(
        vim.dvs.DistributedVirtualPortgroup.ConfigSpec(configVersion=version, defaultPortConfig=setting)
    )


def _mac_management(present: Any, own: Flags) -> Any:
    kind = vim.dvs.VmwareDistributedVirtualSwitch
    if not own.given():
        return kind.MacManagementPolicy(inherited=True)
    policy = kind.MacManagementPolicy(inherited=False)
    for ours, theirs in reading.API_NAMES.items():
        setattr(policy, theirs, asdict(own)[ours])
    learning = present.macLearningPolicy
    if own.mac_learning is not None:
        # Limits and flooding stay, or get vCenter's defaults.
        learning = learning or kind.MacLearningPolicy()
        learning.inherited = False
        learning.enabled = own.mac_learning
    policy.macLearningPolicy = learning
    return policy


def _security(setting: Any, before: Flags, own: Flags) -> Any:
    policy = vim.dvs.VmwareDistributedVirtualSwitch.SecurityPolicy(inherited=False)
    for ours, theirs in reading.API_NAMES.items():
        value = asdict(own)[ours]
        if value != asdict(before)[ours]:
            setattr(policy, theirs, vim.BoolPolicy(inherited=value is None, value=value))
    return policy
