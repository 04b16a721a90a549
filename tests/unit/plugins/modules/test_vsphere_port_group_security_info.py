# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vsphere_port_group_security_info on a pretended vCenter."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.egress.router.plugins.module_utils._vsphere import vcenter as _vsphere
from ansible_collections.egress.router.plugins.module_utils._vsphere.flags import Flags
from ansible_collections.egress.router.tests.support.fake_vcenter import NODES, FakeVcenter

Run = Callable[..., "dict[str, Any]"]


@pytest.fixture
def vcenter(monkeypatch: pytest.MonkeyPatch) -> FakeVcenter:
    fake = FakeVcenter()
    monkeypatch.setattr(_vsphere.VsphereModule, "connect", fake.session)
    # Ansible keeps warnings in the process, and in some it shows them at once.
    monkeypatch.setattr(_vsphere.VsphereModule, "warn", lambda _module, text: fake.warnings.append(text))
    return fake


@pytest.fixture
def run(vcenter: FakeVcenter, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_module(**options: Any) -> dict[str, Any]:
        name = "ansible_collections.egress.router.plugins.modules.vsphere_port_group_security_info"
        with patch_module_args(options), pytest.raises(SystemExit):
            importlib.import_module(name).main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        result["warnings"], vcenter.warnings = vcenter.warnings, []
        return result

    return run_module


def test_every_adapter_of_each_node(vcenter: FakeVcenter, run: Run) -> None:
    nics = run(nodes=NODES)["nics"]
    assert [(nic["node"], nic["network"]) for nic in nics] == [
        ("worker-0", "egress"),
        ("worker-0", "dv"),
        ("worker-1", "egress"),
        ("worker-1", "dv"),
    ]
    assert nics[0]["esxi_hostname"] == "esxi-0"
    assert nics[0]["addresses"] == ["198.51.100.10/24"]
    assert [policy["esxi_hostname"] for policy in nics[0]["policies"]] == ["esxi-0", "esxi-1", "esxi-2"]
    assert nics[1]["policies"] == [
        {
            "kind": "distributed",
            "esxi_hostname": "",
            "switch": "dvs",
            "portgroup": "dv",
            "effective": {
                "promiscuous_mode": False,
                "forged_transmits": False,
                "mac_changes": False,
                "mac_learning": False,
            },
            "sources": dict.fromkeys(["promiscuous_mode", "forged_transmits", "mac_changes", "mac_learning"], "switch"),
            "missing": ["promiscuous_mode", "forged_transmits", "mac_changes"],
            "write_error": "",
        }
    ]
    assert vcenter.written == []
    assert "lacking" not in vcenter.calls


def test_what_may_not_be_changed(vcenter: FakeVcenter, run: Run) -> None:
    vcenter.forbidden = {"esxi-1", "esxi-2", "dv"}
    vcenter.change(vcenter.all[("standard", "esxi-2", "vSwitch1", "egress")], own=Flags(True, True, True))

    def errors(**options: Any) -> list[list[str]]:
        return [
            [policy["write_error"] for policy in nic["policies"]] for nic in run(nodes=NODES[:1], **options)["nics"]
        ]

    # On the third host nothing has to be changed.
    assert errors(writable=True) == [
        ["", "the user does not have a permission on esxi-1", ""],
        ["the user does not have a permission on dv"],
    ]
    assert errors() == [["", "", ""], [""]]


def test_what_is_not_ours_may_not_be_changed(vcenter: FakeVcenter, run: Run) -> None:
    vcenter.change(vcenter.all[("distributed", "", "dvs", "dv")], refused="belongs to NSX")
    (policy,) = run(nodes=NODES[:1], nics=[{"network": "dv"}], writable=True)["nics"][0]["policies"]
    assert policy["write_error"] == "distributed port group 'dv' of distributed switch 'dvs' belongs to NSX"


def test_what_is_set_where(vcenter: FakeVcenter, run: Run) -> None:
    policy = vcenter.all[("standard", "esxi-1", "vSwitch1", "egress")]
    vcenter.change(policy, own=Flags(mac_changes=True))
    nics = run(nics=[{"addresses": ["198.51.100.50"]}], nodes=NODES[:1])["nics"]
    assert len(nics) == 1
    policy = nics[0]["policies"][1]
    assert policy["sources"] == {
        "promiscuous_mode": "switch",
        "forged_transmits": "switch",
        "mac_changes": "portgroup",
    }
    assert policy["missing"] == ["promiscuous_mode", "forged_transmits"]


def test_a_problem_is_part_of_the_view(vcenter: FakeVcenter, run: Run) -> None:
    vcenter.nics["vm-0"] = (replace(vcenter.nics["vm-0"][0], connected=False),)
    vcenter.all_hosts[2] = replace(vcenter.all_hosts[2], connected=False)
    result = run(nodes=["worker-0", "worker-9", "worker-1"], targets=[{"portgroup": "none"}])
    assert "is not connected to 'egress'" in result["nics"][0]["problem"]
    assert "is not a visible VM" in result["nics"][1]["problem"]
    assert result["nics"][1]["policies"] == []
    assert result["nics"][2]["problem"] == ""
    assert len(result["nics"][2]["policies"]) == 2
    warnings = str(result["warnings"])
    assert "host esxi-2 of cluster cluster is not connected to vCenter" in warnings
    assert "distributed port group 'none' was not found" in warnings


def test_targets(run: Run) -> None:
    result = run(targets=[{"esxi_hostname": "esxi-1", "switch": "vSwitch1"}])
    assert result["nics"] == []
    assert result["targets"][0]["sources"]["mac_changes"] == "switch"


def test_nothing_is_named(run: Run) -> None:
    assert "one of the following is required: nics, nodes, targets" in run()["msg"]
