# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether Neutron lets the egress addresses through the nodes' ports, or can be told to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..facts import NODES, OPENSTACK, Facts
from ..finding import ERROR, INFO, Check, Finding, Part

_EXPECTED = "ports that allow the IP and MAC address of every router, or that the role openstack_allowed_address_pair can change"


def findings(question: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[Finding]:
    """`answer`: the result of openstack_allowed_address_pair_info, or its failure, for the question of questions.py."""
    for problem in question["problems"]:
        yield _unanswered(problem)
    if not question["options"]:
        return
    if answer.get("failed") or "ports" not in answer:
        yield _unanswered(str(answer.get("msg") or "Neutron was not asked"))
        return
    for port in answer["ports"]:
        pairs = [f"{pair['ip_address']} {pair['mac_address']}" for pair in port["missing"]]
        if pairs:
            routers = dict.fromkeys(question["routers"][pair] for pair in pairs if pair in question["routers"])
            yield _closed(port, pairs, tuple(routers), question["nodes"].get(port["server_id"], port["server_id"]))


def _closed(port: Mapping[str, Any], pairs: list[str], routers: tuple[str, ...], node: str) -> Finding:
    seen = f"port {port['port_id']} drops what comes from {', '.join(pairs)}"
    refused = str(port.get("write_error") or "")
    if refused:
        advice = "Have the role openstack_allowed_address_pair run with credentials that may do it, or port security disabled"
        return Finding("openstack", ERROR, f"{seen}, and {refused}", _EXPECTED, advice, routers, (node,))
    advice = "No action needed: provision opens the port, as the role openstack_allowed_address_pair does"
    return Finding("openstack", INFO, seen, _EXPECTED, advice, routers, (node,))


def _unanswered(reason: str) -> Finding:
    """Neutron could not be asked, or has no port for an address."""
    return Finding("openstack", ERROR, reason, _EXPECTED, "Correct this: provision would fail at the same point")


def _ask(_facts: Facts) -> Iterator[Finding]:
    """Nothing: if a node is an OpenStack server, its findings are those above."""
    yield from ()


CHECK = Check(
    "openstack", "no node is an OpenStack server, or its ports allow the routers", (Part((NODES, OPENSTACK), _ask),)
)
