"""A vCenter as the tests use it: switches made with the neighbour's modules, nodes as VMs, and our modules on them."""

from __future__ import annotations

import importlib
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from egress_vcsim import server
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl
from pyVmomi.VmomiJSONEncoder import VmomiJSONEncoder

OURS = "ansible_collections.egress.router.plugins.modules"
NEIGHBOURS = "ansible_collections.community.vmware.plugins.modules"
OPEN = {"promiscuous_mode": True, "forged_transmits": True, "mac_changes": True}
# Ours among other things of a real vCenter.
SWITCH, GROUP, DVS, DV_GROUP, NODE = "egress-vswitch", "egress", "egress-dvs", "egress-dv", "egress-node"


# The simulator's: see simulator/inventory.go.
NSX = {"name": "nsx-segment", "id": "5f7b8c1e-0c5b-4a2e-9d8e-3a1f0e2d4c6b", "type": "nsx.network"}
INSTANCE = server.Instance("tests")


@dataclass(frozen=True)
class Site:
    """Where the tests build. `uplinks`: two physical adapters of each host that nothing uses. `real`: no simulator."""

    datacenter: str = "DC0"
    cluster: str = "DC0_C0"
    datastore: str = "LocalDS_0"
    uplinks: tuple[str, ...] = ("vmnic2", "vmnic3")
    real: bool = False


def site() -> Site:
    """The file that EGRESS_TEST_VCENTER names describes a real one, VMWARE_* log in there; else the simulator's."""
    name = os.environ.get("EGRESS_TEST_VCENTER")
    if not name:
        return Site()
    given = yaml.safe_load(Path(name).read_text())
    return Site(**{**given, "uplinks": tuple(given["uplinks"]), "real": True})


class World:
    """One vCenter, with sessions of ours and of others."""

    def __init__(self, environment: Mapping[str, str], where: Site, capsys: pytest.CaptureFixture[str]) -> None:
        self.environment, self.site, self.capsys = environment, where, capsys
        self.options = {
            "hostname": environment["VMWARE_HOST"],
            "port": int(environment.get("VMWARE_PORT", "443")),
            "username": environment["VMWARE_USER"],
            "password": environment["VMWARE_PASSWORD"],
            "validate_certs": environment.get("VMWARE_VALIDATE_CERTS", "true") != "false",
        }
        self.instance = self.log_in()
        self.content = self.instance.RetrieveContent()
        self.cluster = self.find(vim.ClusterComputeResource, where.cluster)
        self.hosts = {host.name: host for host in self.cluster.host}
        self.nodes: list[Any] = []

    # What others do, with a session of their own.

    def log_in(self, user: str | None = None) -> Any:
        return SmartConnect(
            host=self.options["hostname"],
            port=self.options["port"],
            user=user or self.options["username"],
            pwd=self.options["password"],
            disableSslCertValidation=not self.options["validate_certs"],
        )

    def close(self) -> None:
        Disconnect(self.instance)

    def find(self, kind: Any, name: str, below: Any = None) -> Any:
        view = self.content.viewManager.CreateContainerView(below or self.content.rootFolder, [kind], True)
        found = [one for one in view.view if one.name == name]
        view.DestroyView()
        assert len(found) == 1, f"{len(found)} objects are called {name}"
        return found[0]

    def standard(self, hosts: list[str] | None = None) -> None:
        """A switch with two uplinks and a port group on each host, with all that must not change."""
        first, second = self.site.uplinks
        for host in hosts or self.hosts:
            self.neighbour(
                "vmware_vswitch",
                esxi_hostname=host,
                switch=SWITCH,
                nics=[first, second],
                mtu=9000,
                number_of_ports=256,
                teaming={
                    "load_balancing": "failover_explicit",
                    "active_adapters": [first],
                    "standby_adapters": [second],
                },
            )
            self.neighbour(
                "vmware_portgroup",
                esxi_hostname=host,
                switch=SWITCH,
                portgroup=GROUP,
                vlan_id=126,
                security={"mac_changes": True},
                teaming={
                    "load_balancing": "failover_explicit",
                    "active_adapters": [second],
                    "standby_adapters": [first],
                },
                traffic_shaping={
                    "enabled": True,
                    "average_bandwidth": 100000,
                    "peak_bandwidth": 200000,
                    "burst_size": 102400,
                },
            )

    def distributed(self, version: str | None = None, override: bool = False, uplinks: bool = False) -> None:
        """A switch and a port group with all that must not change. `override`: ports may have policies of their own."""
        self.neighbour(
            "vmware_dvswitch",
            datacenter=self.site.datacenter,
            switch=DVS,
            mtu=9000,
            uplink_quantity=2,
            discovery_proto="lldp",
            discovery_operation="listen",
            **({"version": version} if version else {}),
        )
        for host in self.hosts:
            vmnics = {"vmnics": list(self.site.uplinks)} if uplinks else {}
            self.neighbour("vmware_dvs_host", esxi_hostname=host, switch_name=DVS, state="present", **vmnics)
        shaping = {
            "inherited": False,
            "enabled": True,
            "average_bandwidth": 100,
            "peak_bandwidth": 200,
            "burst_size": 300,
        }
        self.neighbour(
            "vmware_dvs_portgroup",
            switch_name=DVS,
            portgroup_name=DV_GROUP,
            vlan_id="126",
            port_binding="static",
            port_allocation="fixed",
            num_ports=16,
            in_traffic_shaping=shaping,
            teaming_policy={
                "load_balance_policy": "failover_explicit",
                "notify_switches": False,
                "rolling_order": True,
            },
            port_policy={"shaping_override": True, "vlan_override": True},
        )
        if override:
            # The neighbour sets one of the two alone, which vSphere refuses.
            group = self.dv_group()
            policy = group.config.policy
            policy.macManagementOverrideAllowed = policy.securityPolicyOverrideAllowed = True
            spec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(
                configVersion=group.config.configVersion, policy=policy
            )
            finished(group.ReconfigureDVPortgroup_Task(spec))

    def node(
        self, *networks: str, name: str = "", host: str = "", on: bool = True, guest: Any = (), folder: Any = None
    ) -> Any:
        """A VM with a network adapter on each of the networks; `guest`: the addresses on each, as VMware Tools say."""
        datacenter = self.find(vim.Datacenter, self.site.datacenter)
        chosen = self.hosts[host or next(iter(self.hosts))]
        spec = vim.vm.ConfigSpec(
            name=name or f"{NODE}-{len(self.nodes)}",
            guestId="otherGuest64",
            numCPUs=1,
            memoryMB=32,
            files=vim.vm.FileInfo(vmPathName=f"[{self.site.datastore}]"),
            deviceChange=[self._adapter(network, number) for number, network in enumerate(networks)],
        )
        task = (folder or datacenter.vmFolder).CreateVM_Task(spec, self.cluster.resourcePool, chosen)
        made = finished(task)
        self.nodes.append(made)
        if on:
            finished(made.PowerOnVM_Task())
        if guest:
            macs = [card.macAddress for card in cards(made)]
            nics = [
                {"mac": mac, "network": network, "addresses": list(addresses)}
                for mac, network, addresses in zip(macs, networks, guest, strict=True)
            ]
            self.control("POST", "guests", {"vm": made._moId, "nics": nics})
        return made

    def _adapter(self, network: str, number: int) -> Any:
        found = None if network == NSX["name"] else self.network(network)
        if found is None:
            backing = vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo(
                opaqueNetworkId=NSX["id"], opaqueNetworkType=NSX["type"]
            )
        elif isinstance(found, vim.dvs.DistributedVirtualPortgroup):
            port = vim.dvs.PortConnection(portgroupKey=found.key, switchUuid=found.config.distributedVirtualSwitch.uuid)
            backing = vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)
        else:
            backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network)
        connectable = vim.vm.device.VirtualDevice.ConnectInfo(
            startConnected=True, connected=True, allowGuestControl=True
        )
        # vCenter names adapters so by itself.
        info = vim.Description(label=f"Network adapter {number + 1}", summary="")
        card = vim.vm.device.VirtualVmxnet3(
            key=-100 - number, backing=backing, connectable=connectable, deviceInfo=info
        )
        return vim.vm.device.VirtualDeviceSpec(operation="add", device=card)

    def network(self, name: str) -> Any:
        """A network of the datacenter, of any kind."""
        return self.find(vim.Network, name, self.find(vim.Datacenter, self.site.datacenter))

    # What is there, for comparing.

    def host_network(self, host: str) -> Any:
        return self.hosts[host].configManager.networkSystem.networkInfo

    def group(self, host: str, name: str = GROUP) -> Any:
        return next(one for one in self.host_network(host).portgroup if one.spec.name == name)

    def flags(self, host: str) -> Any:
        """What the port group sets itself: promiscuous mode, forged transmits, MAC changes."""
        security = self.group(host).spec.policy.security
        return (security.allowPromiscuous, security.forgedTransmits, security.macChanges)

    def dv_group(self, name: str = DV_GROUP) -> Any:
        return self.find(vim.dvs.DistributedVirtualPortgroup, name)

    def dv_policy(self, name: str = DV_GROUP) -> Any:
        return self.dv_group(name).config.defaultPortConfig.macManagementPolicy

    def everything(self) -> dict[str, Any]:
        """All switches and port groups of the tests but for the security flags, as the API has them."""
        found: dict[str, Any] = {}
        for name in self.hosts:
            info = self.host_network(name)
            switches = [one.spec for one in info.vswitch if one.name == SWITCH]
            groups = [one.spec for one in info.portgroup if one.spec.vswitchName == SWITCH]
            found[name] = [_without_security(_plain(one)) for one in [*switches, *groups]]
        for kind, name in ((vim.DistributedVirtualSwitch, DVS), (vim.dvs.DistributedVirtualPortgroup, DV_GROUP)):
            view = self.content.viewManager.CreateContainerView(self.content.rootFolder, [kind], True)
            found[name] = [_without_security(_plain(one.config)) for one in view.view if one.name == name]
            view.DestroyView()
        return found

    # The modules, in this process.

    def run(self, check: bool = False, module: str = "vsphere_port_group_security", **options: Any) -> dict[str, Any]:
        """Runs our module, which has to work, and returns what it printed."""
        result = self.result(check, module, **options)
        assert not result.get("failed"), result
        return result

    def fails(self, check: bool = False, module: str = "vsphere_port_group_security", **options: Any) -> str:
        """Runs our module, which has to fail, and returns its words."""
        result = self.result(check, module, **options)
        assert result.get("failed"), result
        return str(result["msg"])

    def info(self, **options: Any) -> dict[str, Any]:
        return self.run(module="vsphere_port_group_security_info", **options)

    def result(
        self, check: bool = False, module: str = "vsphere_port_group_security", **options: Any
    ) -> dict[str, Any]:
        given = {**self.options, "_ansible_check_mode": check, "_ansible_diff": True, **options}
        return self._main(f"{OURS}.{module}", {name: value for name, value in given.items() if value is not None})

    def neighbour(self, module: str, **options: Any) -> dict[str, Any]:
        """Runs a module of community.vmware, which has to work."""
        result = self._main(f"{NEIGHBOURS}.{module}", {**self.options, **options})
        assert not result.get("failed"), result
        return result

    def _main(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        self.capsys.readouterr()
        with patch_module_args(options), pytest.raises(SystemExit):
            importlib.import_module(name).main()
        result: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return result

    def show(self, text: str) -> None:
        """Into the log, whether tests pass or not."""
        with self.capsys.disabled():
            print(f"\n{text}")

    # What only the simulator can do.

    def simulated(self, why: str) -> None:
        """Ends the test on a real vCenter, and says so."""
        if self.site.real:
            pytest.skip(f"not proven on a real vCenter: {why}")

    def permit(self, user: str, privileges: list[str], entities: list[Any]) -> None:
        """A role with these privileges for the user, there and below."""
        manager = self.content.authorizationManager
        name = f"{user} on {entities[0].name}"
        manager.AddAuthorizationRole(name, privileges)
        # The simulator does not return it.
        role = next(role.roleId for role in manager.roleList if role.name == name)
        for entity in entities:
            permission = vim.AuthorizationManager.Permission(principal=user, group=False, roleId=role, propagate=True)
            manager.SetEntityPermissions(entity, [*manager.RetrieveEntityPermissions(entity, False), permission])

    def control(self, method: str, path: str, body: Any = None) -> Any:
        self.simulated(f"only the simulator can do this: {method} {path}")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.environment['VCSIM_CONTROL']}/{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from error
        return json.loads(text) if text else None

    def calls(self) -> dict[str, int]:
        """The requests since the last time, by method."""
        found: dict[str, int] = self.control("GET", "calls")
        self.control("DELETE", "calls")
        return found

    def fault(self, method: str, fault: str, target: str = "", times: int = 1, in_task: bool = False) -> None:
        body = {"method": method, "object": target, "fault": fault, "times": times, "in_task": in_task}
        self.control("POST", "faults", body)

    @contextmanager
    def before(self, method: str) -> Iterator[Callable[[], None]]:
        """The next call of `method` waits until the block ends. The block may wait until the call has come."""
        self.control("POST", f"holds?method={method}")
        try:
            yield lambda: self.control("GET", f"holds?method={method}")
        finally:
            self.control("DELETE", f"holds?method={method}")

    def host_state(self, host: str, state: str) -> None:
        self.control("POST", "hosts", {"host": host, "state": state})

    # The way back, on a real vCenter.

    def remove(self) -> None:
        """Takes away what the tests have made."""
        for made in self.nodes:
            if made.runtime.powerState == "poweredOn":
                finished(made.PowerOffVM_Task())
            finished(made.Destroy_Task())
        for host in self.hosts.values():
            system = host.configManager.networkSystem
            info = system.networkInfo
            for group in info.portgroup:
                if group.spec.vswitchName == SWITCH:
                    system.RemovePortGroup(group.spec.name)
            if any(one.name == SWITCH for one in info.vswitch):
                system.RemoveVirtualSwitch(SWITCH)
        groups, switches = (
            self.content.viewManager.CreateContainerView(self.content.rootFolder, [kind], True).view
            for kind in (vim.dvs.DistributedVirtualPortgroup, vim.DistributedVirtualSwitch)
        )
        ours = [one for one in switches if one.name == DVS]
        below = [one for one in groups if one.config.distributedVirtualSwitch in ours]
        for one in below:
            # That of the uplinks goes with its switch on a real vCenter, and not alone.
            with suppress(vmodl.MethodFault):
                finished(one.Destroy_Task())
        for one in ours:
            finished(one.Destroy_Task())


def cards(vm: Any) -> list[Any]:
    """The network adapters of a VM."""
    return [device for device in vm.config.hardware.device if isinstance(device, vim.vm.device.VirtualEthernetCard)]


def finished(task: Any) -> Any:
    """A task's result, or its fault. pyVim's own WaitForTask stumbles over method names that pyVmomi does not know."""
    deadline = time.monotonic() + 60
    while True:
        info = task.info
        if info.state == "success":
            return info.result
        if info.state == "error":
            raise info.error
        assert time.monotonic() < deadline, f"{task._moId} has not ended after 60 s"
        time.sleep(0.02)


def provider_id(vm: Any) -> str:
    """As the cloud controller of vSphere writes it."""
    return f"vsphere://{vm.config.uuid}"


def simulator() -> server.Instance:
    """With an inventory that is new: 0.1 s."""
    return server.up(INSTANCE)


def warnings(result: dict[str, Any]) -> str:
    """All of a result's warnings as one text."""
    return re.sub(r"\s+", " ", " ".join(map(str, result.get("warnings", []))))


def _plain(data: Any) -> Any:
    return json.loads(json.dumps(data, cls=VmomiJSONEncoder, sort_keys=True))


def _without_security(data: Any) -> Any:
    """Without what the tests change, and without the versions that count every change."""
    if isinstance(data, dict):
        gone = ("security", "securityPolicy", "macManagementPolicy", "configVersion")
        return {name: _without_security(value) for name, value in data.items() if name not in gone}
    if isinstance(data, list):
        return [_without_security(value) for value in data]
    return data
