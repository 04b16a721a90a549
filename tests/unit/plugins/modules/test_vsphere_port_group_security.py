# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vsphere_port_group_security on a pretended vCenter: what it writes, retries, refuses and returns."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.egress.router.plugins.module_utils._common.errors import Forbidden, Unreachable
from ansible_collections.egress.router.plugins.module_utils._vsphere import security as _network_security
from ansible_collections.egress.router.plugins.module_utils._vsphere import vcenter as _vsphere
from ansible_collections.egress.router.plugins.module_utils._vsphere.flags import Flags
from ansible_collections.egress.router.plugins.module_utils._vsphere.policies import SecurityPolicy
from ansible_collections.egress.router.tests.support.fake_vcenter import NODES, REJECTING, FakeVcenter

Run = Callable[..., "dict[str, Any]"]
OPEN = {"promiscuous_mode": True, "forged_transmits": True, "mac_changes": True}
ACCEPTING = Flags(promiscuous_mode=True, forged_transmits=True, mac_changes=True)
STANDARD = [{"addresses": ["198.51.100.50"]}]
DISTRIBUTED = [{"network": "dv"}]


@pytest.fixture
def vcenter(monkeypatch: pytest.MonkeyPatch) -> FakeVcenter:
    fake = FakeVcenter()
    monkeypatch.setattr(_vsphere.VsphereModule, "connect", fake.session)
    # Ansible keeps warnings in the process, and in some it shows them at once.
    monkeypatch.setattr(_vsphere.VsphereModule, "warn", lambda _module, text: fake.warnings.append(text))
    monkeypatch.setattr(_network_security, "JITTER", 0)
    return fake


@pytest.fixture
def run(vcenter: FakeVcenter, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_module(check: bool = False, **options: Any) -> dict[str, Any]:
        name = "ansible_collections.egress.router.plugins.modules.vsphere_port_group_security"
        flags = {} if options.get("state") == "restored" else OPEN
        given = {"nodes": NODES, "nics": STANDARD, **flags, **options}
        given = {key: value for key, value in given.items() if value is not None}
        given.update(_ansible_check_mode=check, _ansible_diff=True)
        with patch_module_args(given), pytest.raises(SystemExit):
            importlib.import_module(name).main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        result["warnings"], vcenter.warnings = vcenter.warnings, []
        return result

    return run_module


def group(vcenter: FakeVcenter, host: str = "esxi-0") -> SecurityPolicy:
    return vcenter.all[("standard", host, "vSwitch1", "egress")]


def dv(vcenter: FakeVcenter) -> SecurityPolicy:
    return vcenter.all[("distributed", "", "dvs", "dv")]


def warnings(result: dict[str, Any]) -> str:
    return " ".join(map(str, result.get("warnings", [])))


def test_every_host_of_the_cluster(vcenter: FakeVcenter, run: Run) -> None:
    result = run()
    assert result["changed"]
    assert [policy["esxi_hostname"] for policy in result["policies"]] == ["esxi-0", "esxi-1", "esxi-2"]
    assert {str(policy["nodes"]) for policy in result["policies"]} == {str(NODES)}
    assert result["policies"][0]["before"] == dict.fromkeys(OPEN, False)
    assert result["policies"][0]["after"] == OPEN
    assert all(group(vcenter, host).own == ACCEPTING for host in ("esxi-0", "esxi-1", "esxi-2"))
    assert not run()["changed"]
    assert len(vcenter.written) == 3


def test_only_flags_that_differ(vcenter: FakeVcenter, run: Run) -> None:
    vcenter.change(group(vcenter), inherited=replace(REJECTING, mac_changes=True))
    run(promiscuous_mode=None)
    assert group(vcenter).own == Flags(forged_transmits=True)


def test_check_mode_writes_nothing(vcenter: FakeVcenter, run: Run) -> None:
    predicted = run(check=True)
    assert predicted["changed"]
    assert vcenter.written == []
    assert predicted["diff"] == run()["diff"]
    assert not run(check=True)["changed"]


def test_reads_do_not_grow(vcenter: FakeVcenter, run: Run) -> None:
    run(nics=STANDARD * 10 + DISTRIBUTED * 10)
    assert vcenter.calls == ["vms", "machines", "hosts", "standard", "distributed"]
    assert len(vcenter.written) == 4


def test_two_routers_with_different_adapters(vcenter: FakeVcenter, run: Run) -> None:
    nics = [{**STANDARD[0], "nodes": NODES[:1]}, {**DISTRIBUTED[0], "nodes": NODES[1:]}]
    result = run(nics=nics, nodes=None)
    assert [(policy["kind"], policy["nodes"]) for policy in result["policies"]] == [
        *[("standard", NODES[:1])] * 3,
        ("distributed", NODES[1:]),
    ]


def test_distributed(vcenter: FakeVcenter, run: Run) -> None:
    result = run(nics=DISTRIBUTED)
    assert dv(vcenter).own == replace(ACCEPTING, mac_learning=False)
    assert result["previous"] == [
        {
            "kind": "distributed",
            "esxi_hostname": "",
            "switch": "dvs",
            "portgroup": "dv",
            **dict.fromkeys([*OPEN, "mac_learning"], "inherit"),
        }
    ]
    assert not run(nics=DISTRIBUTED)["changed"]


def test_namesakes_in_two_datacenters(vcenter: FakeVcenter, run: Run) -> None:
    vcenter.add(replace(dv(vcenter), key="key2", parent_id="elsewhere"))
    vcenter.nics["vm-1"] = (replace(vcenter.nics["vm-1"][1], portgroup_key="key2"),)
    result = run(nics=DISTRIBUTED)
    assert [policy["nodes"] for policy in result["policies"]] == [[NODES[0]], [NODES[1]]]
    assert len(vcenter.written) == 2


def test_mac_learning(vcenter: FakeVcenter, run: Run) -> None:
    run(nics=DISTRIBUTED, mac_learning=True, promiscuous_mode=None)
    assert dv(vcenter).own == Flags(False, True, True, True)
    assert "has no MAC learning" in run(mac_learning=True, promiscuous_mode=None)["msg"]


def test_the_scope_switch(vcenter: FakeVcenter, run: Run) -> None:
    vcenter.change(group(vcenter, "esxi-1"), own=Flags(mac_changes=False))
    result = run(scope="switch")
    assert [policy["portgroup"] for policy in result["policies"]] == ["", "", ""]
    assert vcenter.all[("standard", "esxi-2", "vSwitch1", "")].own == ACCEPTING
    assert group(vcenter).own == Flags()
    assert "port group 'egress' on host esxi-1 has a security policy of its own" in warnings(result)
    assert "esxi-0" not in warnings(result)


def test_targets(vcenter: FakeVcenter, run: Run) -> None:
    targets = [
        {"esxi_hostname": "esxi-1", "portgroup": "egress"},
        {"esxi_hostname": "esxi-2", "switch": "vSwitch1"},
        {"portgroup": "dv"},
    ]
    result = run(nics=None, nodes=None, targets=targets)
    assert [(policy["esxi_hostname"], policy["portgroup"]) for policy in result["policies"]] == [
        ("esxi-1", "egress"),
        ("esxi-2", ""),
        ("", "dv"),
    ]
    assert "vms" not in vcenter.calls
    message = run(nics=None, nodes=None, targets=[{"portgroup": "egress"}])["msg"]
    assert message == (
        "distributed port group 'egress' was not found: check its name and that the user may see it; for a standard one set "
        "esxi_hostname"
    )


def test_previous_puts_back(vcenter: FakeVcenter, run: Run) -> None:
    vcenter.change(group(vcenter, "esxi-1"), own=Flags(mac_changes=False))
    before = dict(vcenter.all)
    nics = STANDARD + DISTRIBUTED
    previous = run(nics=nics)["previous"]
    assert len(previous) == 4
    options: dict[str, Any] = {"nics": None, "nodes": None, "state": "restored", "previous": previous}
    predicted = run(check=True, **options)
    result = run(**options)
    assert predicted["diff"] == result["diff"]
    assert result["changed"]
    assert {id_: policy.own for id_, policy in vcenter.all.items()} == {
        id_: policy.own for id_, policy in before.items()
    }
    assert not run(**options)["changed"]


def test_what_others_need_is_not_put_back(vcenter: FakeVcenter, run: Run) -> None:
    previous = run(nics=STANDARD + DISTRIBUTED)["previous"]
    result = run(state="restored", previous=previous, nics=STANDARD, nodes=NODES[:1])
    assert [policy["kind"] for policy in result["policies"]] == ["distributed"]
    assert dv(vcenter).own == Flags()
    assert group(vcenter, "esxi-2").own == ACCEPTING
    assert "port group 'egress' on host esxi-2 is not restored: other nodes need its policy" in warnings(result)


def test_what_is_gone_needs_nothing(vcenter: FakeVcenter, run: Run) -> None:
    previous = [{"esxi_hostname": "esxi-9", "switch": "vSwitch1", "portgroup": "egress", "mac_changes": "inherit"}]
    result = run(state="restored", previous=previous, nics=None, nodes=None)
    assert not result["changed"]
    assert (
        "port group 'egress' of switch 'vSwitch1' on host esxi-9 does not exist any more: nothing to restore"
        in warnings(result)
    )


def test_a_rival_is_not_overwritten(vcenter: FakeVcenter, run: Run) -> None:
    theirs = Flags(True, False, False, False)

    def write(policy: SecurityPolicy) -> None:
        if policy.raw == 1:
            vcenter.change(policy, own=theirs)

    vcenter.before_write = write
    result = run(nics=DISTRIBUTED, promiscuous_mode=None)
    assert dv(vcenter).own == Flags(True, True, True, False)
    assert result["policies"][0]["before"]["promiscuous_mode"] is True


def test_a_rival_who_never_stops(vcenter: FakeVcenter, run: Run) -> None:
    tries = []

    def write(policy: SecurityPolicy) -> None:
        tries.append(policy)
        vcenter.change(policy)

    vcenter.before_write = write
    result = run(nics=DISTRIBUTED)
    assert result["failed"]
    assert "was changed by others during each of 10 attempts" in result["msg"]
    assert len(tries) == 10
    assert not result["changed"]


def test_a_standard_group_is_read_again_before_it_is_written(vcenter: FakeVcenter, run: Run) -> None:
    read = vcenter.standard

    def standard(hosts: Any) -> list[SecurityPolicy]:
        found = read(hosts)
        # Between our reading and our writing.
        vcenter.change(group(vcenter), own=Flags(mac_changes=True))
        return found

    vcenter.standard = standard  # type: ignore[method-assign]
    result = run()
    assert result["policies"][0]["before"]["mac_changes"] is True
    assert result["previous"][0].get("mac_changes") is None


def test_a_host_that_does_not_obey(vcenter: FakeVcenter, run: Run) -> None:
    vcenter.obedient = False
    result = run()
    assert result["failed"]
    assert "or the flags do not take effect" in result["msg"]
    assert len(vcenter.written) == 30


def test_a_failure_tells_what_was_changed(vcenter: FakeVcenter, run: Run) -> None:
    def write(policy: SecurityPolicy) -> None:
        if policy.esxi_hostname == "esxi-1":
            raise Unreachable("cannot change it: vCenter is out of contact with the host")
        if policy.esxi_hostname == "esxi-2":
            raise Forbidden("may not change it")

    vcenter.before_write = write
    result = run()
    assert result["failed"]
    assert result["msg"].splitlines() == [
        "cannot change it: vCenter is out of contact with the host",
        "may not change it",
        "changed: port group 'egress' on host esxi-0",
        "not changed: port group 'egress' on host esxi-1, port group 'egress' on host esxi-2",
    ]
    assert [policy["changed"] for policy in result["policies"]] == [True, False, False]
    assert [entry["esxi_hostname"] for entry in result["previous"]] == ["esxi-0"]


def test_a_host_out_of_contact(vcenter: FakeVcenter, run: Run) -> None:
    vcenter.all_hosts[1] = replace(vcenter.all_hosts[1], connected=False)
    message = run()["msg"]
    assert message.startswith("host esxi-1 of cluster cluster is not connected to vCenter, so its port groups")
    assert vcenter.written == []
    result = run(allow_disconnected=True)
    assert result["changed"]
    assert [policy["esxi_hostname"] for policy in result["policies"]] == ["esxi-0", "esxi-2"]
    assert "it is skipped, run again when it is back" in warnings(result)
    # Distributed port groups are vCenter's own.
    assert run(nics=DISTRIBUTED)["changed"]


def test_a_group_that_is_not_everywhere(vcenter: FakeVcenter, run: Run) -> None:
    del vcenter.all[group(vcenter, "esxi-2").id]
    result = run()
    assert len(result["policies"]) == 2
    assert "port group 'egress' does not exist on esxi-2 of cluster cluster: nodes cannot move there" in warnings(
        result
    )
    del vcenter.all[group(vcenter, "esxi-0").id]
    assert "does not exist on host esxi-0" in run()["msg"]
    vcenter.change(dv(vcenter), host_ids=("h0", "h1"))
    assert "port group 'dv' does not exist on esxi-2" in warnings(run(nics=DISTRIBUTED))


def test_hosts_beside_each_other_but_each_by_one_writer(vcenter: FakeVcenter, run: Run) -> None:
    hosts = [host.name for host in vcenter.all_hosts]
    rounds: list[list[str]] = []
    round_: list[str] = []

    def finish() -> None:
        rounds.append(sorted(round_))
        round_.clear()

    together = threading.Barrier(len(hosts), finish, timeout=30)

    def write(policy: SecurityPolicy) -> None:
        round_.append(policy.esxi_hostname)
        together.wait()

    vcenter.before_write = write
    targets = [
        {"esxi_hostname": host, "switch": "vSwitch1", **portgroup}
        for host in hosts
        for portgroup in ({}, {"portgroup": "egress"})
    ]
    # Otherwise the port groups would inherit what is written first.
    for host in hosts:
        vcenter.change(group(vcenter, host), own=REJECTING)
    assert run(nics=None, nodes=None, targets=targets)["changed"]
    assert rounds == [hosts, hosts]


def test_overriding_ports(vcenter: FakeVcenter, run: Run) -> None:
    vcenter.overriding = ["4", "7"]
    assert "ports 4, 7 of distributed port group 'dv'" in warnings(run(nics=DISTRIBUTED))


def test_a_bad_node_changes_no_good_one(vcenter: FakeVcenter, run: Run) -> None:
    message = run(nodes=[*NODES, "worker-9", "worker-8"])["msg"]
    assert "worker-9" in message
    assert "worker-8" in message
    assert vcenter.written == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (dict.fromkeys(OPEN), "no flag is specified: set at least one of promiscuous_mode"),
        ({"nodes": None}, "an entry of nics has no nodes"),
        ({"nics": None, "nodes": None}, "state is present but any of the following are missing: nics, nodes, targets"),
        ({"state": "restored"}, "state is restored but all of the following are missing: previous"),
        ({"targets": [{"esxi_hostname": "esxi-0"}]}, "one of the following is required: switch, portgroup"),
        ({"nics": [{"addresses": ["x"]}]}, "address 'x' is not an IP address"),
        ({"nics": None}, "has 2 network adapters"),
        ({"nodes": ["openstack:///1"]}, "belongs to cloud 'openstack'"),
        (
            {"state": "restored", "previous": [{"switch": "s", "mac_changes": "maybe"}]},
            "must be one of: true, false, inherit",
        ),
    ],
)
def test_bad_options(vcenter: FakeVcenter, run: Run, options: dict[str, Any], said: str) -> None:
    assert said in run(**options)["msg"]
    assert vcenter.written == []
