# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether vSphere's security policy lets the routers through at the nodes' network adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..facts import NODES, VSPHERE, Facts
from ..finding import ERROR, INFO, Check, Finding, Part

_EXPECTED = (
    "port groups that accept the MAC addresses of routers, or that the role vsphere_port_group_security can change"
)
_ADVICE = "Correct this: provision would fail at the same point"


def findings(question: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[Finding]:
    """`answer`: the result of vsphere_port_group_security_info, or its failure, for the question of questions.py."""
    for problem in question["problems"]:
        yield _unanswered(problem)
    if not question["options"]:
        return
    if answer.get("failed") or "nics" not in answer:
        yield _unanswered(str(answer.get("msg") or "vCenter was not asked"))
        return
    for nic in answer["nics"]:
        node = question["nodes"].get(nic["node"], nic["node"])
        if nic["problem"]:
            yield Finding("vsphere", ERROR, f"{nic['nic']}: {nic['problem']}", _EXPECTED, _ADVICE, (), (node,))
        for policy in nic["policies"]:
            if policy["missing"]:
                yield _closed(policy, node)


def _closed(policy: Mapping[str, Any], node: str) -> Finding:
    name = f"port group {policy['portgroup']}" if policy["portgroup"] else f"switch {policy['switch']}"
    host = f" of host {policy['esxi_hostname']}" if policy["esxi_hostname"] else ""
    seen = f"{name}{host} rejects {', '.join(policy['missing'])}"
    refused = policy["write_error"]
    if refused:
        advice = "Grant it to the user, or have the role vsphere_port_group_security run by somebody who has it"
        return Finding("vsphere", ERROR, f"{seen}, and {refused}", _EXPECTED, advice, (), (node,))
    advice = "No action needed: provision changes the policy, as the role vsphere_port_group_security does"
    return Finding("vsphere", INFO, seen, _EXPECTED, advice, (), (node,))


def _unanswered(reason: str) -> Finding:
    """vCenter could not be asked, or a node has no network adapter for an address."""
    return Finding("vsphere", ERROR, reason, _EXPECTED, _ADVICE)


def _ask(_facts: Facts) -> Iterator[Finding]:
    """Nothing: if a node is a vSphere VM, its findings are those above."""
    yield from ()


CHECK = Check(
    "vsphere", "no node is a vSphere VM, or its port groups accept the routers", (Part((NODES, VSPHERE), _ask),)
)
