"""What cannot work is refused in one clear sentence, and what was changed all the same is told."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from egress_vcsim import server
from pyVmomi import vim
from world import DV_GROUP, DVS, GROUP, NSX, OPEN, World, cards, finished, provider_id, warnings

NICS = [{"network": GROUP}]
DV_NICS = [{"network": DV_GROUP}]


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


# The connection.


def test_wrong_password(world: World) -> None:
    result = world.result(nodes=["any"], password="a-wrong-one-0815", **OPEN)
    assert f"does not accept user {world.options['username']} with this password" in result["msg"]
    assert "a-wrong-one-0815" not in str(result)
    assert world.options["password"] not in str(world.result(nodes=["any"], **OPEN))


def test_a_certificate_that_nobody_vouches_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.simulated("its certificate is not self-signed")
    message = world.fails(nodes=["any"], validate_certs=True, **OPEN)
    port = world.options["port"]
    assert message.startswith(f"the certificate of 127.0.0.1:{port} is not trusted (self-signed certificate)")
    assert "validate_certs: false disables the check" in message
    monkeypatch.setenv("SSL_CERT_FILE", world.environment["VCSIM_CERTIFICATE"])
    assert "node 'any' is not a visible VM" in world.fails(nodes=["any"], validate_certs=True, **OPEN)


def test_nobody_listens(world: World) -> None:
    port = closed_port()
    message = world.fails(nodes=["any"], port=port, **OPEN)
    assert message.startswith(f"cannot reach vSphere at 127.0.0.1:{port}: Connection refused: check hostname")


def test_no_such_host(world: World) -> None:
    message = world.fails(nodes=["any"], hostname="vcenter.invalid", **OPEN)
    assert message.startswith("cannot reach vSphere at vcenter.invalid:")


def test_something_else_listens(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            for _attempt in range(2):
                listener.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        message = world.fails(nodes=["any"], port=listener.getsockname()[1], **OPEN)
    assert message.startswith("cannot reach vSphere at 127.0.0.1:")


def test_no_credentials(world: World) -> None:
    for name, variable in (("hostname", "HOST"), ("username", "USER"), ("password", "PASSWORD")):
        message = world.fails(nodes=["any"], **{**OPEN, name: None})
        assert message == f"{name} is missing: set {name} or the environment variable VMWARE_{variable}"


def test_the_variables_of_the_neighbours(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "USER", "PASSWORD", "PORT", "VALIDATE_CERTS"):
        monkeypatch.setenv(f"VMWARE_{name}", world.environment[f"VMWARE_{name}"])
    assert "node 'any' is not a visible VM" in world.fails(nodes=["any"], **OPEN, **dict.fromkeys(world.options))


def test_a_proxy_in_between(world: World) -> None:
    asked: list[bytes] = []

    def relay(one: socket.socket, two: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                two.sendall(data)
            two.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        asked.append(client.recv(4096).split(b"\r\n")[0])
        server_side = socket.create_connection((world.options["hostname"], world.options["port"]))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=relay, args=(server_side, client), daemon=True).start()
        relay(client, server_side)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        port = listener.getsockname()[1]
        assert "node 'any' is not a visible VM" in world.fails(
            nodes=["any"], proxy_host="127.0.0.1", proxy_port=port, **OPEN
        )
    assert asked
    assert {line.split()[0] for line in asked} == {b"CONNECT"}
    message = world.fails(nodes=["any"], proxy_host="127.0.0.1", proxy_port=closed_port(), **OPEN)
    assert message.startswith(f"cannot reach vSphere at 127.0.0.1:{world.options['port']}: Connection refused")


def test_a_session_that_ends(world: World) -> None:
    world.standard()
    world.fault("UpdatePortGroup", "NotAuthenticated")
    node = world.node(GROUP)
    assert "vSphere ended the session: run again" in world.fails(nodes=[node.name], **OPEN)


# Permissions.


def test_a_user_who_may_only_look(world: World) -> None:
    world.simulated("its other users have passwords of their own")
    world.standard()
    world.distributed()
    node = provider_id(world.node(GROUP, DV_GROUP))
    message = world.fails(nodes=[node], nics=NICS, username=server.READ_ONLY, **OPEN)
    host = next(iter(world.hosts))
    assert (
        f"cannot change port group 'egress' on host {host}: the user does not have the permission Host.Config.Network"
        in message
    )
    assert f"on host {host}" in message
    assert "changed: nothing" in message
    message = world.fails(nodes=[node], nics=DV_NICS, username=server.READ_ONLY, **OPEN)
    assert f"does not have the permission DVPortgroup.Modify on {DV_GROUP}" in message
    message = world.fails(nodes=[node], nics=DV_NICS, scope="switch", username=server.READ_ONLY, **OPEN)
    assert f"does not have the permission DVSwitch.Modify on {DVS}" in message
    # Looking and predicting is allowed.
    assert world.run(check=True, nodes=[node], nics=NICS, username=server.READ_ONLY, **OPEN)["changed"]


def test_rights_on_one_host_only(world: World) -> None:
    world.simulated("its other users have passwords of their own")
    world.standard()
    node = provider_id(world.node(GROUP))
    first, *others = world.hosts
    world.permit("networker@vsphere.local", ["System.Read"], [world.content.rootFolder])
    world.permit("networker@vsphere.local", ["System.Read", "Host.Config.Network"], [world.hosts[first]])
    result = world.result(nodes=[node], username="networker@vsphere.local", **OPEN)
    assert result["failed"]
    lines = result["msg"].splitlines()
    assert lines[-2] == f"changed: port group 'egress' on host {first}"
    assert lines[-1] == "not changed: " + ", ".join(f"port group 'egress' on host {name}" for name in others)
    assert [one["changed"] for one in result["policies"]] == [True, False, False]
    assert [one["esxi_hostname"] for one in result["previous"]] == [first]


def test_enough_rights(world: World) -> None:
    """Those that the documentation names, and no others."""
    world.simulated("its other users have passwords of their own")
    world.standard()
    world.distributed()
    node = provider_id(world.node(GROUP, DV_GROUP))
    privileges = [
        "Host.Config.Network",
        "DVPortgroup.Modify",
        "DVPortgroup.PolicyOp",
        "DVSwitch.Modify",
        "DVSwitch.PolicyOp",
    ]
    world.permit("egress@vsphere.local", privileges, [world.content.rootFolder])
    for scope in ("switch", "portgroup"):
        nics = [*NICS, *DV_NICS]
        assert world.run(nodes=[node], nics=nics, scope=scope, username="egress@vsphere.local", **OPEN)["changed"]
        reject = dict.fromkeys(OPEN, False)
        assert world.run(nodes=[node], nics=nics, scope=scope, username="egress@vsphere.local", **reject)["changed"]


# VMs and their adapters.


def test_no_such_vm(world: World) -> None:
    world.standard()
    good = world.node(GROUP)
    message = world.fails(nodes=[good.name, "egress-nobody", "vsphere://42161111-2222-4333-8444-000000000009"], **OPEN)
    assert "node 'egress-nobody' is not a visible VM: check the name" in message
    assert "node 'vsphere://42161111-2222-4333-8444-000000000009' is not a visible VM" in message
    # Nothing is written when a node is bad.
    assert world.flags(next(iter(world.hosts))) == (None, None, True)


def test_a_name_that_two_vms_have(world: World) -> None:
    world.standard()
    one = world.node(GROUP, name="egress-twin")
    folder = one.parent.CreateFolder("egress-folder")
    two = world.node(GROUP, name="egress-twin", folder=folder)
    message = world.fails(nodes=["egress-twin"], **OPEN)
    assert message.startswith("node 'egress-twin' matches 2 VMs: ")
    assert one._moId in message
    assert two.config.instanceUuid in message
    assert message.endswith("specify its providerID or UUID instead of the name")
    assert world.run(check=True, nodes=[provider_id(two)], **OPEN)["changed"]


def test_a_clone_with_the_same_bios_uuid(world: World) -> None:
    world.standard()
    one, two = world.node(GROUP, on=False), world.node(GROUP, on=False)
    finished(two.ReconfigVM_Task(vim.vm.ConfigSpec(uuid=one.config.uuid)))
    message = world.fails(nodes=[provider_id(one)], **OPEN)
    assert "matches 2 VMs" in message
    assert message.endswith("specify its instance UUID")
    assert world.run(check=True, nodes=[two.config.instanceUuid], **OPEN)["changed"]


def test_a_vm_that_is_off(world: World) -> None:
    world.standard()
    world.distributed()
    node = world.node(GROUP, DV_GROUP, on=False)
    message = world.fails(nodes=[node.name], nics=[{"addresses": ["198.51.100.50"]}], **OPEN)
    assert (
        "it is powered off, so the addresses of its guest are unknown: start it; it has Network adapter 1 (" in message
    )
    assert world.run(check=True, nodes=[node.name], nics=NICS, **OPEN)["changed"]
    assert world.info(nodes=[node.name])["nics"][0]["powered_on"] is False


def test_an_adapter_that_is_not_connected(world: World) -> None:
    world.standard()
    node = world.node(GROUP)
    card = cards(node)[0]
    card.connectable.connected = False
    change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=card)
    finished(node.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
    said = f"Network adapter 1 of VM {node.name} is not connected to 'egress': connect it, or specify another"
    assert said in world.fails(nodes=[node.name], **OPEN)
    assert said in world.info(nodes=[node.name])["nics"][0]["problem"]


def test_which_of_two_adapters(world: World) -> None:
    world.standard()
    world.distributed()
    node = world.node(GROUP, DV_GROUP)
    message = world.fails(nodes=[node.name], **OPEN)
    assert f"VM {node.name} has 2 network adapters: Network adapter 1 (" in message
    assert f"network '{DV_GROUP}'" in message
    message = world.fails(nodes=[node.name], nics=[{"addresses": ["198.51.100.50"]}], **OPEN)
    assert "has no network adapter with the subnet of 198.51.100.50; it has Network adapter 1" in message


def test_a_network_of_nsx(world: World) -> None:
    world.simulated("there need not be an NSX")
    world.standard()
    node = world.node(NSX["name"])
    message = world.fails(nodes=[node.name], **OPEN)
    assert f"Network adapter 1 of VM {node.name} is connected to " in message
    assert "the NSX network" in message
    assert "the NSX network" in world.info(nodes=[node.name])["nics"][0]["problem"]


# Port groups and hosts.


def test_a_port_group_on_some_hosts_only(world: World) -> None:
    first, second, third = world.hosts
    world.standard(hosts=[first, second])
    node = world.node(GROUP)
    done = world.run(nodes=[node.name], **OPEN)
    assert [one["esxi_hostname"] for one in done["policies"]] == [first, second]
    assert f"port group 'egress' does not exist on {third} of cluster {world.site.cluster}" in warnings(done)


def test_a_misspelled_port_group_is_not_made(world: World) -> None:
    world.standard()
    host = next(iter(world.hosts))
    message = world.fails(targets=[{"esxi_hostname": host, "portgroup": "egres"}, {"portgroup": GROUP}], **OPEN)
    assert f"port group 'egres' on host {host} was not found" in message
    assert (
        "distributed port group 'egress' was not found: check its name and that the user may see it; for a standard one set esxi_hostname"
        in message
    )
    assert [one.spec.name for one in world.host_network(host).portgroup if one.spec.name.startswith("egres")] == [GROUP]


def test_ports_with_a_policy_of_their_own(world: World) -> None:
    world.distributed(override=True)
    node = world.node(DV_GROUP)
    port = cards(node)[0].backing.port.portKey
    switch = world.dv_group().config.distributedVirtualSwitch
    kind = vim.dvs.VmwareDistributedVirtualSwitch
    setting = kind.VmwarePortConfigPolicy(
        macManagementPolicy=kind.MacManagementPolicy(inherited=False, macChanges=False)
    )
    spec = vim.dvs.DistributedVirtualPort.ConfigSpec(operation="edit", key=port, setting=setting)
    finished(switch.ReconfigureDVPort_Task([spec]))
    done = world.run(nodes=[node.name], **OPEN)
    assert done["changed"]
    assert f"ports {port} of distributed port group 'egress-dv' of distributed switch 'egress-dvs' have" in warnings(
        done
    )
    assert f"ports {port} of" in warnings(world.info(nodes=[node.name]))


@pytest.mark.parametrize("state", ["notResponding", "disconnected"])
def test_a_host_out_of_contact(world: World, state: str) -> None:
    world.standard()
    node = world.node(GROUP)
    first, second, third = world.hosts
    world.host_state(second, state)
    message = world.fails(nodes=[node.name], **OPEN)
    assert message.startswith(f"host {second} of cluster {world.site.cluster} is not connected to vCenter, so")
    assert world.flags(first) == (None, None, True)
    done = world.run(nodes=[node.name], allow_disconnected=True, **OPEN)
    assert [one["esxi_hostname"] for one in done["policies"]] == [first, third]
    assert f"host {second} of cluster {world.site.cluster} is not connected to vCenter" in warnings(done)
    assert f"host {second} of cluster {world.site.cluster} is not connected to vCenter" in warnings(
        world.info(nodes=[node.name])
    )
    world.host_state(second, "connected")
    assert [one["changed"] for one in world.run(nodes=[node.name], **OPEN)["policies"]] == [False, True, False]


@pytest.mark.parametrize("fault", ["HostCommunication", "HostNotConnected", "HostConfigFault"])
def test_a_host_that_fails_meanwhile(world: World, fault: str) -> None:
    """The others are changed, and the error says which."""
    world.standard()
    node = world.node(GROUP)
    first, second, third = world.hosts
    world.fault("UpdatePortGroup", fault, target=second)
    result = world.result(nodes=[node.name], **OPEN)
    lines = result["msg"].splitlines()
    assert lines[0].startswith(f"cannot change port group 'egress' on host {second}: ")
    assert fault in lines[0]
    assert lines[1] == f"changed: port group 'egress' on host {first}, port group 'egress' on host {third}"
    assert lines[2] == f"not changed: port group 'egress' on host {second}"
    assert [world.flags(name)[0] for name in world.hosts] == [True, None, True]
    assert [entry["esxi_hostname"] for entry in result["previous"]] == [first, third]
    assert [one["changed"] for one in world.run(nodes=[node.name], **OPEN)["policies"]] == [False, True, False]


def test_a_task_that_fails(world: World) -> None:
    world.distributed()
    node = world.node(DV_GROUP)
    world.fault("ReconfigureDVPortgroup_Task", "DvsFault", in_task=True)
    message = world.fails(nodes=[node.name], **OPEN)
    assert (
        f"cannot change distributed port group '{DV_GROUP}' of distributed switch '{DVS}': vSphere reports DvsFault"
        in message
    )
    assert message.endswith(f"not changed: distributed port group '{DV_GROUP}' of distributed switch '{DVS}'")


# Rivals.


@contextmanager
def rival(world: World, method: str, act: Callable[[], None]) -> Iterator[None]:
    """Acts when our module has read everything and is about to call `method`."""
    world.simulated("it lets no call wait")
    errors: list[BaseException] = []

    def wait_and_act() -> None:
        try:
            with world.before(method) as came:
                ready.set()
                came()
                act()
        except BaseException as error:
            errors.append(error)
            ready.set()

    ready = threading.Event()
    thread = threading.Thread(target=wait_and_act)
    thread.start()
    assert ready.wait(10), "the hold was not set"
    yield
    thread.join(60)
    assert not errors, errors


def reconfigure(world: World, **fields: Any) -> None:
    """As somebody else: a distributed port group's configuration."""
    instance = world.log_in()
    group = type(world.dv_group())(world.dv_group()._moId, instance._stub)
    spec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(configVersion=group.config.configVersion, **fields)
    finished(group.ReconfigureDVPortgroup_Task(spec))


def test_a_rival_between_read_and_write(world: World) -> None:
    """The compare-and-swap meets ConcurrentAccess, and both changes are there in the end."""
    world.distributed()
    node = world.node(DV_GROUP)
    vlan = vim.dvs.VmwareDistributedVirtualSwitch.VlanIdSpec(vlanId=127, inherited=False)
    setting = vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy(vlan=vlan)
    world.calls()
    with rival(
        world,
        "ReconfigureDVPortgroup_Task",
        lambda: reconfigure(world, description="theirs", defaultPortConfig=setting),
    ):
        done = world.run(nodes=[node.name], **OPEN)
    assert done["changed"]
    config = world.dv_group().config
    assert config.description == "theirs"
    assert config.defaultPortConfig.vlan.vlanId == 127
    assert config.defaultPortConfig.macManagementPolicy.allowPromiscuous
    # Theirs, ours that was refused, and ours.
    assert world.calls()["ReconfigureDVPortgroup_Task"] == 3


@pytest.mark.parametrize("method", ["FetchDVPorts", "ReconfigureDVPortgroup_Task"])
def test_a_rival_who_sets_other_flags(world: World, method: str) -> None:
    """Before we have finished reading, and when our request is on its way."""
    world.distributed(override=True)
    node = world.node(DV_GROUP)
    kind = vim.dvs.VmwareDistributedVirtualSwitch
    policy = kind.MacManagementPolicy(inherited=False, allowPromiscuous=True, macChanges=False, forgedTransmits=False)
    setting = kind.VmwarePortConfigPolicy(macManagementPolicy=policy)
    with rival(world, method, lambda: reconfigure(world, defaultPortConfig=setting)):
        done = world.run(nodes=[node.name], forged_transmits=True)
    now = world.dv_policy()
    assert (now.allowPromiscuous, now.forgedTransmits, now.macChanges) == (True, True, False)
    # What they set is not ours to undo.
    assert done["previous"][0]["forged_transmits"] is False
    assert "promiscuous_mode" not in done["previous"][0]


def test_a_rival_who_is_always_faster(world: World) -> None:
    world.distributed()
    node = world.node(DV_GROUP)
    world.fault("ReconfigureDVPortgroup_Task", "ConcurrentAccess", times=100)
    world.calls()
    message = world.fails(nodes=[node.name], **OPEN)
    assert "was changed by others during each of 10 attempts" in message
    assert world.calls()["ReconfigureDVPortgroup_Task"] == 10


def test_a_rival_on_a_standard_port_group(world: World) -> None:
    """What others set after we looked at everything stays, because each group is read again before it is written."""
    world.standard()
    node = world.node(GROUP)
    first, second, _third = world.hosts

    def act() -> None:
        system = type(world.hosts[second].configManager.networkSystem)(
            world.hosts[second].configManager.networkSystem._moId, world.log_in()._stub
        )
        (spec,) = [one.spec for one in system.networkInfo.portgroup if one.spec.name == GROUP]
        spec.vlanId = 127
        system.UpdatePortGroup(GROUP, spec)

    # One at a time, so that the second host is still to come when the first one's write waits.
    with pytest.MonkeyPatch.context() as patch:
        from ansible_collections.egress.router.plugins.module_utils._common import concurrent as _concurrent

        patch.setattr(_concurrent, "WORKERS", 1)
        with rival(world, "UpdatePortGroup", act):
            world.run(nodes=[node.name], **OPEN)
    assert world.group(second).spec.vlanId == 127
    assert [world.flags(name)[0] for name in world.hosts] == [True] * 3
    assert world.group(first).spec.vlanId == 126
