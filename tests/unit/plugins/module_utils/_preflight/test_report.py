# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of preflight: its lines and sentences, what is ignored, and what the answers of the clouds add."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.egress.router.plugins.module_utils._preflight.checks.all import CHECKS, IDS
from ansible_collections.egress.router.plugins.module_utils._preflight.finding import DOCS
from ansible_collections.egress.router.plugins.module_utils._preflight.report import complete

ROOT = Path(__file__).resolve().parents[5]
ADDRESS = {"ip_address": "198.51.100.50", "mac_address": "02:e6:c6:33:64:32"}
SERVER = "11111111-2222-4333-8444-000000000001"
NEUTRON = {
    "options": {"addresses": [ADDRESS]}, "problems": [], "nodes": {SERVER: "worker-1"},
    "routers": {"198.51.100.50 02:e6:c6:33:64:32": "payments/db"},
}  # fmt: skip
VCENTER = {"options": {"nics": [{}]}, "problems": [], "nodes": {"vsphere://1": "worker-1"}}
GATEWAY = {
    "check": "gateway", "severity": "error", "routers": ["payments/db"], "nodes": ["worker-1"],
    "seen": "the gateway 198.51.100.1 does not answer", "expected": "an answer", "advice": "Correct it",
}  # fmt: skip


def report(*findings: dict[str, Any], ignore: list[str] | None = None, answers: Any = None, **questions: Any) -> Any:
    """Everything was checked but what the clouds are asked."""
    gaps = [{"check": cloud, "reason": "not asked yet"} for cloud in questions]
    gathered = {
        "examination": {
            "findings": list(findings),
            "checked": [check for check in IDS if check not in questions],
            "not_checked": [*gaps, {"check": "image", "reason": "node a: gone"}],
        },
        "questions": questions, "ignore": ignore or [], "about": "1 router", "requests": 40, "seconds": 4.5,
        "clouds": ["openstack"],
        "inspected_nodes": ["b"],
    }  # fmt: skip
    return complete(gathered, answers or {})


def port(**changes: Any) -> dict[str, Any]:
    return {"ports": [{"port_id": "p1", "server_id": SERVER, "missing": [ADDRESS], "write_error": "", **changes}]}


def lines(found: dict[str, Any], check: str) -> list[str]:
    return [" ".join(line.split()) for line in found["table"] if line.split()[0] == check]


def test_lines_for_people() -> None:
    found = report(GATEWAY, {**GATEWAY, "check": "mac", "nodes": [], "routers": []})
    assert lines(found, "gateway") == [
        "gateway ERROR router payments/db, node worker-1: the gateway 198.51.100.1 does not answer; expected: an answer"
    ]
    assert lines(found, "mac") == ["mac ERROR the gateway 198.51.100.1 does not answer; expected: an answer"]
    assert lines(found, "->") == [f"-> Correct it ({DOCS}#mac)", f"-> Correct it ({DOCS}#gateway)"]
    assert lines(found, "cloud") == [f"cloud ok {CHECKS[0].passed}"]
    assert found["table"][-1] == "  not checked: image: node a: gone"
    assert found["summary"] == f"1 router: {len(IDS)} checks, 2 errors, 1 not or only partly checked"
    assert (found["requests"], found["seconds"], found["inspected_nodes"]) == (40, 4.5, ["b"])


def test_a_sentence_for_each_error_and_how_to_continue() -> None:
    found = report(GATEWAY, {**GATEWAY, "check": "mac", "severity": "warning"})
    sentence = (
        "gateway (router payments/db, node worker-1): the gateway 198.51.100.1 does not answer; expected: an answer. "
        f"Correct it. See {DOCS}#gateway"
    )
    assert (found["ok"], found["problems"]) == (False, [sentence])
    assert "1 error, 1 warning" in found["summary"]
    assert found["message"].splitlines()[:2] == [sentence, found["summary"]]
    assert "set preflight_ignore to [gateway], or" in found["message"]


def test_what_is_ignored_is_shown() -> None:
    found = report(GATEWAY, ignore=["gateway"])
    assert (found["ok"], found["problems"], found["message"], found["ignored"]) == (True, [], "", ["gateway"])
    assert lines(found, "gateway")[0].startswith("gateway ignored router payments/db")
    assert "0 errors, 1 ignored" in found["summary"]


def test_the_answer_of_neutron() -> None:
    found = report(GATEWAY, openstack=NEUTRON, answers={"openstack": port()})
    assert [finding["check"] for finding in found["findings"]] == ["gateway", "openstack"]
    assert (found["checked"], found["not_checked"]) == (list(IDS), [{"check": "image", "reason": "node a: gone"}])
    finding = found["findings"][1]
    assert (finding["severity"], finding["routers"], finding["nodes"]) == ("info", ["payments/db"], ["worker-1"])
    assert finding["seen"] == "port p1 drops what comes from 198.51.100.50 02:e6:c6:33:64:32"
    assert finding["advice"].startswith("No action needed: provision opens the port")
    assert report(openstack=NEUTRON, answers={"openstack": port(missing=[])})["findings"] == []


@pytest.mark.parametrize(("answer", "said"), [
    (port(write_error="Neutron's policy refuses it"), "port p1 drops what comes from 198.51.100.50 02:e6:c6:33:64:32, and Neutron's policy"),
    ({"failed": True, "msg": "cannot reach OpenStack"}, "cannot reach OpenStack"),
    ({}, "Neutron was not asked"),
])  # fmt: skip
def test_what_neutron_does_not_let_provision_do_is_an_error(answer: dict[str, Any], said: str) -> None:
    found = report(openstack=NEUTRON, answers={"openstack": answer})
    assert not found["ok"] and found["findings"][0]["seen"].startswith(said)


RANDOM_MAC = {
    **NEUTRON,
    "options": {"addresses": [{"ip_address": "198.51.100.50"}]},
    "routers": {"198.51.100.50": "payments/db"},
}


def test_a_random_mac_address_needs_ports_without_port_security() -> None:
    guarded = port(missing=[], port_security=True, addresses=[{"ip_address": "198.51.100.50"}])
    found = report(random_mac=RANDOM_MAC, answers={"random_mac": guarded})
    (finding,) = found["findings"]
    assert (finding["check"], finding["severity"]) == ("random_mac", "error")
    assert (finding["routers"], finding["nodes"]) == (["payments/db"], ["worker-1"])
    assert finding["seen"].startswith(
        "port p1 has port security, which drops what the router sends: its MAC address is another one at every"
    )
    assert finding["advice"].startswith("Use backend agent, ") and finding["advice"].endswith(
        "--disable-port-security p1)"
    )
    assert "random_mac" in found["checked"] and not found["ok"]
    open_ = port(missing=[], port_security=False, addresses=[{"ip_address": "198.51.100.50"}])
    found = report(random_mac=RANDOM_MAC, answers={"random_mac": open_})
    assert found["ok"] and found["findings"] == [] and "random_mac" in found["checked"]


@pytest.mark.parametrize(("answer", "said"), [
    ({"failed": True, "msg": "cannot reach OpenStack"}, "cannot reach OpenStack"), ({}, "Neutron was not asked"),
])  # fmt: skip
def test_what_neutron_does_not_say_of_port_security_is_an_error(answer: dict[str, Any], said: str) -> None:
    found = report(random_mac=RANDOM_MAC, answers={"random_mac": answer})
    (finding,) = found["findings"]
    assert not found["ok"] and finding["seen"].endswith(f"random MAC address is not known: {said}")
    assert finding["advice"].endswith("add random_mac to preflight_ignore")
    assert report(random_mac=RANDOM_MAC, answers={"random_mac": answer}, ignore=["random_mac"])["ok"]


@pytest.mark.parametrize(("write_error", "severity", "said"), [
    ("", "info", "port group egress of host esxi-1 rejects mac_changes"),
    ("the user lacks a permission", "error", "port group egress of host esxi-1 rejects mac_changes, and the user lacks a permission"),
])  # fmt: skip
def test_the_answer_of_vcenter(write_error: str, severity: str, said: str) -> None:
    policy = {"portgroup": "egress", "switch": "vSwitch1", "esxi_hostname": "esxi-1", "missing": ["mac_changes"]}
    policies = [{**policy, "write_error": write_error}, {**policy, "missing": [], "write_error": ""}]
    nic = {"node": "vsphere://1", "nic": "adapter 1", "problem": "", "policies": policies}
    found = report(vsphere=VCENTER, answers={"vsphere": {"nics": [nic]}})
    (finding,) = found["findings"]
    assert (finding["severity"], finding["seen"], finding["nodes"]) == (severity, said, ["worker-1"])
    assert "vsphere" in found["checked"]


@pytest.mark.parametrize(("answer", "said"), [
    ({"failed": True, "msg": "there is no hostname"}, "there is no hostname"),
    ({}, "vCenter was not asked"),
    ({"nics": [{"node": "x", "nic": "adapter 1", "problem": "an NSX segment", "policies": []}]}, "adapter 1: an NSX segment"),
])  # fmt: skip
def test_what_vcenter_does_not_let_provision_do_is_an_error(answer: dict[str, Any], said: str) -> None:
    (finding,) = report(vsphere=VCENTER, answers={"vsphere": answer})["findings"]
    assert (finding["severity"], finding["seen"]) == ("error", said)


@pytest.mark.parametrize(
    ("cloud", "question"), [("openstack", NEUTRON), ("vsphere", VCENTER), ("random_mac", RANDOM_MAC)]
)
def test_problems_without_asking(cloud: str, question: dict[str, Any]) -> None:
    found = report(**{cloud: {**question, "options": {}, "problems": ["node worker-9 has no server"]}})
    (finding,) = found["findings"]
    assert finding["seen"].endswith("node worker-9 has no server")
    assert cloud in found["checked"]


def test_the_documentation_is_in_the_repository() -> None:
    repository = yaml.safe_load((ROOT / "galaxy.yml").read_text())["repository"]
    assert DOCS.startswith(f"{repository}/blob/main/")
    page = ROOT / DOCS.partition("/blob/main/")[2]
    assert DOCS in (ROOT / "plugins/modules/preflight_info.py").read_text()
    headings = [line.removeprefix("### ") for line in page.read_text().splitlines() if line.startswith("### ")]
    assert headings == list(IDS), "the page explains each check under its id, in the order of the report"
