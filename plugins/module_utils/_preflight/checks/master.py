# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether the master of the routers' macvlans exists on each node and is suitable."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from ..._contract.inspect import Interface
from ..._router.router import Router
from ..facts import ANSWERS, Facts
from ..finding import ERROR, WARNING, Check, Finding, Part

# Kinds of masters that leave their ports the frames.
_TRANSPARENT = ("vrf",)


def interfaces(facts: Facts) -> Iterator[tuple[Router, str, Interface]]:
    """The master of each router on each node that was inspected."""
    for router in facts.routers:
        for node, seen in facts.answers(router):
            interface = seen.interfaces.get(router.master)
            if interface:
                yield router, node, interface


def _usable(facts: Facts) -> Iterator[Finding]:
    for router, node, interface in interfaces(facts):
        problem = problem_of(router, interface)
        if problem:
            seen, advice = problem
            yield Finding(
                "master", ERROR, seen, "a network interface that is up and not a port of a bridge or bond", advice,
                (router.id,), (node,),
            )  # fmt: skip


def problem_of(router: Router, interface: Interface) -> tuple[str, str] | None:
    """Why a macvlan cannot work on it, and what to do; None if it can."""
    name = interface.name or router.master
    if not interface.exists:
        if not router.master:
            return (
                "there is no default route whose interface could be used",
                "Set master, or exclude the node with node_selector",
            )
        return f"there is no interface {name}", "Correct master, or exclude the node with node_selector"
    if interface.enslaved_to and interface.enslaved_kind not in _TRANSPARENT:
        return (
            f"{name} is a port of {interface.enslaved_to}",
            f"Set master to {interface.enslaved_to}: a port of a bridge or bond receives no frames itself",
        )
    if not interface.up:
        return f"{name} is down", f"Bring it up on the node (ip link set {name} up), and in the node's configuration"
    if not interface.carrier:
        return f"{name} has no carrier", "Connect its cable, or its virtual NIC"
    if interface.occupant:
        return (
            f"{name} is taken by {interface.occupant}, beside which the kernel lets no macvlan be",
            "Remove that interface, or set master to another one",
        )
    if not interface.mac and interface.kind != "loopback":
        return f"{name}, of kind {interface.kind}, has no MAC address", "Set master to a NIC, bond, VLAN or bridge"
    if interface.kind in ("loopback", "macvlan", "ipvlan"):
        return f"{name} is of kind {interface.kind}", "Set master to a NIC, bond, VLAN or bridge"
    return None


def _mtu(facts: Facts) -> Iterator[Finding]:
    for router, node, interface in interfaces(facts):
        if interface.exists and router.mtu and interface.mtu and interface.mtu < router.mtu:
            yield Finding(
                "master_mtu", ERROR, f"{interface.name or router.master} has MTU {interface.mtu}",
                f"at least the router's mtu, {router.mtu}",
                "Raise the MTU of the interface and its network, or lower mtu", (router.id,), (node,),
            )  # fmt: skip


def _subnet(facts: Facts) -> Iterator[Finding]:
    for router, node, interface in interfaces(facts):
        # An interface without addresses proves nothing: a macvlan needs none.
        own = [ipaddress.ip_interface(text) for text in interface.addresses]
        own = [address for address in own if not address.is_link_local]
        for address in router.addresses:
            same = [item for item in own if item.version == address.family]
            if same and not any(ipaddress.ip_address(address.ip) in item.network for item in same):
                yield Finding(
                    "master_subnet", WARNING,
                    f"{interface.name or router.master} is in {', '.join(str(item.network) for item in same)}",
                    f"the subnet of the egress address {address.cidr}",
                    "Check that both are on the same segment, else correct the address, or set master to the interface on its "
                    "segment", (router.id,), (node,),
                )  # fmt: skip


CHECKS = (
    Check("master", "the master exists and is up on every node", (Part((ANSWERS,), _usable),)),
    Check("master_mtu", "the master's MTU is large enough", (Part((ANSWERS,), _mtu),)),
    Check("master_subnet", "the master is in the subnet of the egress address", (Part((ANSWERS,), _subnet),)),
)
