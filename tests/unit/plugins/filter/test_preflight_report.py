# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: lines for people, sentences for errors, and what OpenStack said put in its place."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.egress.router.plugins.filter.preflight_report import preflight_report
from ansible_collections.egress.router.plugins.module_utils._preflight.checks.all import CHECKS, IDS

ADDRESS = {"ip_address": "198.51.100.50", "mac_address": "02:e6:c6:33:64:32"}
ROUTERS = [{"name": "db", "namespace": "payments", "image": "img:1", "addresses": [{"ip": "198.51.100.50/24"}]}]
SERVER = "11111111-2222-4333-8444-000000000001"
GATEWAY = {
    "check": "gateway", "severity": "error", "routers": ["payments/db"], "nodes": ["worker-1"], "docs": "x",
    "seen": "the gateway 198.51.100.1 does not answer", "expected": "an answer", "advice": "correct it",
}  # fmt: skip
OLD = {**GATEWAY, "check": "openstack", "severity": "info", "seen": "of an earlier run"}


def result(**changes: Any) -> dict[str, Any]:
    """What the module returns on OpenStack: all checked but that."""
    return {
        "findings": [], "checked": [check for check in IDS if check != "openstack"], "ignored": [], "about": "1 router",
        "not_checked": [{"check": "openstack", "reason": "not asked yet"}, {"check": "image", "reason": "node a: gone"}],
        "requests": 40, "seconds": 4.5,
        "openstack": {"on_openstack": True, "problems": [], "addresses": [ADDRESS], "nodes": {SERVER: "worker-1"}},
        "vsphere": {"on_vsphere": False},
        **changes,
    }  # fmt: skip


def port(**changes: Any) -> dict[str, Any]:
    return {"ports": [{"port_id": "p1", "server_id": SERVER, "missing": [ADDRESS], "write_error": "", **changes}]}


def lines(report: dict[str, Any], check: str) -> list[str]:
    return [" ".join(line.split()) for line in report["table"] if line.split()[0] == check]


def test_lines_for_people() -> None:
    report = preflight_report(
        result(findings=[GATEWAY, {**GATEWAY, "check": "mac", "nodes": [], "routers": []}]), ROUTERS
    )
    assert lines(report, "gateway") == [
        "gateway ERROR router payments/db, node worker-1: the gateway 198.51.100.1 does not answer; expected: an answer"
    ]
    assert lines(report, "mac") == ["mac ERROR the gateway 198.51.100.1 does not answer; expected: an answer"]
    assert "-> correct it (docs/preflight.md#gateway)" in report["table"][report["table"].index(
        next(line for line in report["table"] if line.strip().startswith("gateway"))) + 1]  # fmt: skip
    assert lines(report, "cloud") == [f"cloud ok {CHECKS[0].fine}"]
    assert lines(report, "openstack") == []
    assert report["table"][-2:] == ["  not checked: openstack: not asked yet", "  not checked: image: node a: gone"]
    assert report["summary"] == f"1 router: {len(IDS) - 1} checks, 2 errors, 2 not or partly checked"
    assert (report["requests"], report["seconds"]) == (40, 4.5)


def test_a_sentence_for_each_error() -> None:
    report = preflight_report(result(findings=[GATEWAY, {**GATEWAY, "severity": "warning"}]), ROUTERS)
    assert not report["ok"]
    assert report["problems"] == [
        "gateway (router payments/db, node worker-1): the gateway 198.51.100.1 does not answer; expected: an answer. "
        "correct it. See docs/preflight.md#gateway"
    ]
    assert "1 error, 1 warning" in report["summary"]


def test_what_is_ignored_is_shown() -> None:
    report = preflight_report(result(findings=[GATEWAY], ignored=["gateway"]), ROUTERS)
    assert report["ok"] and report["problems"] == []
    assert lines(report, "gateway")[0].startswith("gateway ignored router payments/db")
    assert "0 errors, 1 ignored" in report["summary"]


def test_what_neutron_says_takes_its_place() -> None:
    report = preflight_report(result(findings=[GATEWAY, OLD]), ROUTERS, openstack=port())
    assert [finding["check"] for finding in report["findings"]] == ["gateway", "openstack"]
    assert report["checked"] == list(IDS)
    assert report["not_checked"] == [{"check": "image", "reason": "node a: gone"}]
    found = report["findings"][1]
    assert (found["severity"], found["routers"], found["nodes"]) == ("info", ["payments/db"], ["worker-1"])
    assert found["seen"] == "port p1 drops what comes from 198.51.100.50 02:e6:c6:33:64:32"


@pytest.mark.parametrize(("answer", "said"), [
    (port(write_error="Neutron's policy refuses it"), "port p1 drops what comes from 198.51.100.50 02:e6:c6:33:64:32, and Neutron's policy"),
    ({"failed": True, "msg": "cannot reach OpenStack"}, "cannot reach OpenStack"),
    ({"skipped": True}, "Neutron was not asked"),
])  # fmt: skip
def test_what_openstack_allowed_address_pair_cannot_open_is_an_error(answer: dict[str, Any], said: str) -> None:
    report = preflight_report(result(), ROUTERS, openstack=answer)
    assert not report["ok"] and report["findings"][0]["seen"].startswith(said)


@pytest.mark.parametrize(("write_error", "severity", "said"), [
    ("", "info", "port group egress of host esxi-1 rejects mac_changes"),
    ("the user lacks a privilege", "error", "port group egress of host esxi-1 rejects mac_changes, and the user lacks a privilege"),
])  # fmt: skip
def test_what_vcenter_says(write_error: str, severity: str, said: str) -> None:
    policy = {"portgroup": "egress", "switch": "vSwitch1", "esxi_hostname": "esxi-1", "missing": ["mac_changes"]}
    nic = {
        "node": "vsphere://1",
        "nic": "adapter 1",
        "problem": "",
        "policies": [{**policy, "write_error": write_error}],
    }
    asked = {"on_vsphere": True, "problems": [], "nics": [], "nodes": {"vsphere://1": "worker-1"}}
    report = preflight_report(result(vsphere=asked), ROUTERS, openstack=port(missing=[]), vsphere={"nics": [nic]})
    (found,) = report["findings"]
    assert (found["severity"], found["seen"], found["nodes"]) == (severity, said, ["worker-1"])


def test_nodes_that_are_no_servers() -> None:
    asked = {**result()["openstack"], "problems": ["node worker-9 has no server"]}
    report = preflight_report(result(openstack=asked), ROUTERS, openstack=port(missing=[]))
    assert [finding["seen"] for finding in report["findings"]] == ["node worker-9 has no server"]


def test_no_server_of_openstack() -> None:
    asked = {"on_openstack": False, "problems": [], "addresses": [], "nodes": {}}
    report = preflight_report(
        result(openstack=asked, checked=list(IDS), not_checked=[]), ROUTERS, openstack={"skipped": True}
    )
    assert report["ok"] and report["findings"] == []


def test_bad_routers() -> None:
    with pytest.raises(AnsibleFilterError, match="image: is required"):
        preflight_report(result(), [{**ROUTERS[0], "image": ""}])
