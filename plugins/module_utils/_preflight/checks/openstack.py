# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether Neutron lets the egress addresses through the nodes' ports, or lets itself be told to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..._router.router import Router
from ..facts import OPENSTACK, Facts
from ..finding import ERROR, INFO, Check, Finding, Part

_EXPECTED = "ports that let IP and MAC address of every router through, or that the role openstack_allowed_address_pair may change"


def findings(answer: Mapping[str, Any], asked: Mapping[str, Any], routers: Iterable[Router]) -> Iterator[Finding]:
    """`answer`: the result of openstack_allowed_address_pair_info with `writable`. `asked`: what preflight says of it."""
    for problem in asked["problems"]:
        yield _unanswered(problem)
    if answer.get("failed") or "ports" not in answer:
        yield _unanswered(str(answer.get("msg") or "Neutron was not asked"))
        return
    owners = {(address.ip, router.mac): router.id for router in routers for address in router.addresses}
    for port in answer["ports"]:
        pairs = [(pair["ip_address"], pair["mac_address"]) for pair in port["missing"]]
        if pairs:
            mine = tuple(dict.fromkeys(owners[pair] for pair in pairs if pair in owners))
            yield _closed(port, pairs, mine, asked["nodes"].get(port["server_id"], port["server_id"]))


def _closed(port: Mapping[str, Any], pairs: list[tuple[str, str]], routers: tuple[str, ...], node: str) -> Finding:
    seen = f"port {port['port_id']} drops what comes from {', '.join(map(' '.join, pairs))}"
    refused = str(port.get("write_error") or "")
    if refused:
        advice = "let somebody who may do it run the role openstack_allowed_address_pair, or switch the port's port security off"
        return Finding("openstack", ERROR, f"{seen}, and {refused}", _EXPECTED, advice, routers, (node,))
    advice = "nothing: provision opens the port, as the role openstack_allowed_address_pair does"
    return Finding("openstack", INFO, seen, _EXPECTED, advice, routers, (node,))


def _unanswered(reason: str) -> Finding:
    """Neutron could not be asked, or has no port for an address."""
    return Finding(
        "openstack", ERROR, reason, _EXPECTED, "correct that: provision asks Neutron too, and would fail there",
    )  # fmt: skip


def _ask(_facts: Facts) -> Iterator[Finding]:
    """Nothing: without a server of OpenStack there is nothing to ask, with one the role preflight asks Neutron."""
    yield from ()


CHECK = Check(
    "openstack", "no node is a server of OpenStack, or its ports let the routers through", (Part((OPENSTACK,), _ask),)
)
