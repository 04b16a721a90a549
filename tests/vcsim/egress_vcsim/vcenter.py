"""A running vCenter as tests use it, simulated or real: what is in it, and VMs on its networks. Needs pyVmomi.

A real one, when EGRESS_TEST_VCENTER is set, is the one that VMWARE_HOST, VMWARE_USER and so on name. In it are to be:
a datacenter (EGRESS_TEST_DATACENTER), a cluster (EGRESS_TEST_CLUSTER) and a datastore (EGRESS_TEST_DATASTORE). The
tests' VMs have no disks, and go when the tests are done.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pyVim.connect import Disconnect, SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

from . import server
from .control import Control
from .server import Instance

REAL = bool(os.environ.get("EGRESS_TEST_VCENTER"))
# The simulator's network nsx-segment.
NSX_NETWORK = {"opaqueNetworkId": "5f7b8c1e-0c5b-4a2e-9d8e-3a1f0e2d4c6b", "opaqueNetworkType": "nsx.network"}

_Card = vim.vm.device.VirtualEthernetCard


@dataclass(frozen=True)
class Nic:
    """A VM's NIC: on the standard port group of that name, on a distributed port group, or (None) on NSX's network.

    `addresses`: what VMware Tools report, with prefix lengths.
    """

    mac: str
    network: Any
    connected: bool = True
    addresses: Sequence[str] = ()

    def device(self) -> Any:
        connectable = vim.vm.device.VirtualDevice.ConnectInfo(
            startConnected=self.connected, connected=self.connected, allowGuestControl=True
        )
        card = vim.vm.device.VirtualVmxnet3(
            key=-1, macAddress=self.mac, addressType="manual", backing=self._backing(), connectable=connectable
        )
        return vim.vm.device.VirtualDeviceSpec(operation="add", device=card)

    def _backing(self) -> Any:
        if self.network is None:
            return _Card.OpaqueNetworkBackingInfo(**NSX_NETWORK)
        if isinstance(self.network, str):
            return _Card.NetworkBackingInfo(deviceName=self.network)
        switch = self.network.config.distributedVirtualSwitch
        port = vim.dvs.PortConnection(portgroupKey=self.network.key, switchUuid=switch.uuid)
        return _Card.DistributedVirtualPortBackingInfo(port=port)


class Vcenter:
    """Connected as the administrator. `control` is None on a real vCenter."""

    def __init__(self, instance: Instance | None) -> None:
        self.control = Control(instance.control_url) if instance else None
        self.environment = (
            server.environment(instance)
            if instance
            else {name: value for name, value in os.environ.items() if name.startswith("VMWARE_")}
        )
        self.service = self.connect()
        datacenter, cluster, self.datastore = (
            (os.environ[f"EGRESS_TEST_{what}"] for what in ("DATACENTER", "CLUSTER", "DATASTORE"))
            if REAL
            else ("DC0", "DC0_C0", "LocalDS_0")
        )
        self.datacenter = _named(self.service.content.rootFolder.childEntity, datacenter)
        self.cluster = _named(self.datacenter.hostFolder.childEntity, cluster)
        self._made: list[Any] = []

    @property
    def hosts(self) -> list[Any]:
        """The cluster's, in the order of their names."""
        return sorted(self.cluster.host, key=lambda host: str(host.name))

    def connect(self, user: str | None = None) -> Any:
        """A session of its own, which is somebody else's to vCenter. Everybody has the administrator's password."""
        return SmartConnect(
            host=self.environment["VMWARE_HOST"],
            port=int(self.environment.get("VMWARE_PORT", "443")),
            user=user or self.environment["VMWARE_USER"],
            pwd=self.environment["VMWARE_PASSWORD"],
            sslContext=ssl._create_unverified_context(),
        )

    @contextmanager
    def rival(self, user: str | None = None) -> Iterator[Any]:
        """Somebody else's view of the same vCenter, as long as the block lasts."""
        service = self.connect(user)
        try:
            yield service
        finally:
            Disconnect(service)

    def network_system(self, host: int) -> Any:
        return self.hosts[host].configManager.networkSystem

    def standard_group(self, host: int, name: str) -> Any:
        """What the host has of that name now."""
        groups = self.network_system(host).networkInfo.portgroup
        return next(group for group in groups if group.spec.name == name)

    def standard_switch(self, host: int, name: str) -> Any:
        return _named(self.network_system(host).networkInfo.vswitch, name)

    def distributed_switch(self, name: str) -> Any:
        return _named(self._all(vim.DistributedVirtualSwitch), name)

    def distributed_group(self, name: str) -> Any:
        return _named(self._all(vim.dvs.DistributedVirtualPortgroup), name)

    def vm(
        self, name: str, nics: Sequence[Nic], host: int = 0, powered_on: bool = True, folder: str | None = None
    ) -> Any:
        """Makes a VM on one of the cluster's hosts, in a folder of its own where two have the same name."""
        place = self.datacenter.vmFolder
        if folder:
            place = place.CreateFolder(folder)
            self._made.append(place)
        spec = vim.vm.ConfigSpec(
            name=name,
            guestId="otherGuest64",
            memoryMB=16,
            numCPUs=1,
            files=vim.vm.FileInfo(vmPathName=f"[{self.datastore}]"),
            deviceChange=[nic.device() for nic in nics],
        )
        machine = result(place.CreateVM_Task(spec, self.cluster.resourcePool, self.hosts[host]))
        self._made.append(machine)
        if powered_on:
            result(machine.PowerOnVM_Task())
        reported = {nic.mac: nic.addresses for nic in nics if nic.addresses}
        if reported:
            self.report(machine, reported)
        return machine

    def report(self, machine: Any, addresses: Mapping[str, Sequence[str]]) -> None:
        """Lets VMware Tools report addresses by MAC. On a real vCenter the tests' VMs have none, and report nothing."""
        if self.control:
            self.control.guest(machine._moId, addresses)

    def user_with(self, *privileges: str, on: Any = None) -> str:
        """The name of a user with these privileges and those to read, on the entity and what is below it."""
        manager = self.service.content.authorizationManager
        name = "only-" + ("-".join(privileges).lower().replace(".", "-") or "read")
        with suppress(vim.fault.AlreadyExists):
            manager.AddAuthorizationRole(name, list(privileges))
        role = next(role.roleId for role in manager.roleList if role.name == name)
        user = f"{name}@vsphere.local"
        permission = vim.AuthorizationManager.Permission(principal=user, group=False, roleId=role, propagate=True)
        entity = on or self.service.content.rootFolder
        others = [other for other in manager.RetrieveEntityPermissions(entity, False) if other.principal != user]
        manager.SetEntityPermissions(entity, [*others, permission])
        return user

    def override(self, group: Any, key: str, **flags: bool) -> None:
        """Gives a port flags of its own: allowPromiscuous, macChanges, forgedTransmits. The group has to allow it."""
        policy = vim.dvs.VmwareDistributedVirtualSwitch.MacManagementPolicy(inherited=False, **flags)
        setting = vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy(macManagementPolicy=policy)
        spec = vim.dvs.DistributedVirtualPort.ConfigSpec(operation="edit", key=key, setting=setting)
        result(group.config.distributedVirtualSwitch.ReconfigureDVPort_Task([spec]))

    def close(self) -> None:
        """Removes the VMs that were made, and ends the session."""
        for entity in reversed(self._made):
            with suppress(vmodl.fault.ManagedObjectNotFound):
                if isinstance(entity, vim.VirtualMachine) and entity.runtime.powerState != "poweredOff":
                    result(entity.PowerOffVM_Task())
                result(entity.Destroy_Task())
        Disconnect(self.service)

    def _all(self, kind: Any) -> list[Any]:
        view = self.service.content.viewManager.CreateContainerView(self.datacenter, [kind], True)
        try:
            return list(view.view)
        finally:
            view.DestroyView()


def result(task: Any) -> Any:
    """Waits for a task; its fault is raised."""
    WaitForTask(task)
    return task.info.result


def _named(entities: Sequence[Any], name: str) -> Any:
    found = [entity for entity in entities if entity.name == name]
    assert len(found) == 1, f"{len(found)} are called {name!r} of {[str(entity.name) for entity in entities]}"
    return found[0]


@contextmanager
def running(name: str, hosts: int = 3) -> Iterator[Vcenter]:
    """A vCenter while the block runs: the real one, or a simulated one with a new inventory."""
    if REAL:
        vcenter = Vcenter(None)
        try:
            yield vcenter
        finally:
            vcenter.close()
        return
    with server.running(Instance(name, hosts)) as instance:
        vcenter = Vcenter(instance)
        yield vcenter
        Disconnect(vcenter.service)
