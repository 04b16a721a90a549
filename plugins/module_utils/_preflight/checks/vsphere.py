# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether vSphere's security policy lets the routers through at the nodes' network adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..facts import VSPHERE, Facts
from ..finding import ERROR, INFO, Check, Finding, Part

_EXPECTED = (
    "port groups that let MAC addresses of routers through, or that the role vsphere_port_group_security may change"
)
_ADVICE = "correct that: provision changes the port group too, and would fail there"


def findings(answer: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[Finding]:
    """`answer`: the result of vsphere_port_group_security_info with `writable`. `asked`: what preflight says of it."""
    for problem in asked["problems"]:
        yield _unanswered(problem)
    if answer.get("failed") or "nics" not in answer:
        yield _unanswered(str(answer.get("msg") or "vCenter was not asked"))
        return
    for nic in answer["nics"]:
        node = asked["nodes"].get(nic["node"], nic["node"])
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
        advice = "give the user a role with it, or let somebody who may do it run the role vsphere_port_group_security"
        return Finding("vsphere", ERROR, f"{seen}, and {refused}", _EXPECTED, advice, (), (node,))
    return Finding(
        "vsphere", INFO, seen, _EXPECTED,
        "nothing: provision changes these flags, as the role vsphere_port_group_security does", (), (node,),
    )  # fmt: skip


def _unanswered(reason: str) -> Finding:
    """vCenter could not be asked, or a node has no network adapter for an address."""
    return Finding("vsphere", ERROR, reason, _EXPECTED, _ADVICE)


def _ask(_facts: Facts) -> Iterator[Finding]:
    """Nothing: without a VM of vSphere there is nothing to ask, with one the role preflight asks vCenter."""
    yield from ()


CHECK = Check(
    "vsphere", "no node is a VM of vSphere, or its port groups let the routers through", (Part((VSPHERE,), _ask),)
)
