# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether the egress addresses are free on the segment of each node, and the gateways answer (RFC 5227, RFC 4861)."""

from __future__ import annotations

from collections.abc import Iterator

from ..._contract.inspect import Answer, Occupancy
from ..._router.addresses import Address
from ..._router.router import Router
from ..facts import ANSWERS, ROUTERS, Facts
from ..finding import ERROR, WARNING, Check, Finding, Part, listed
from .master import problem_of


def _seen(facts: Facts) -> Iterator[tuple[Router, str, Answer]]:
    for router in facts.routers:
        for node, seen in facts.answers(router):
            yield router, node, seen


def _targets(facts: Facts) -> Iterator[tuple[Router, str, Address, Occupancy]]:
    for router, node, seen in _seen(facts):
        for address in router.addresses:
            target = _occupancy(seen, router, address)
            if target and not target.error:
                yield router, node, address, target


def _occupancy(seen: Answer, router: Router, address: Address) -> Occupancy | None:
    """What was seen of an address on the segment of the router's master."""
    found = (item for item in seen.targets if (item.ip, item.master) == (address.ip, router.master))
    return next(found, None)


def _own(facts: Facts, router: Router) -> set[str]:
    """The MAC addresses with which the router may be answering."""
    deployed = facts.deployed.get(router.id)
    return {router.mac, *(deployed.macs if deployed else ())}


def _free(facts: Facts) -> Iterator[Finding]:
    for router, node, address, target in _targets(facts):
        problem = _holder(facts, router, address, target)
        if problem:
            seen, advice = problem
            yield Finding(
                "address",
                ERROR,
                f"{address.ip} {seen}",
                "an address that no other host answers for",
                advice,
                (router.id,),
                (node,),
            )


def _holder(facts: Facts, router: Router, address: Address, target: Occupancy) -> tuple[str, str] | None:
    """Who has the address, if not the router itself, and what to do."""
    other = "Choose another address, or remove it from the host that has it"
    if target.node_has_ip_on:
        return f"is an address of the node itself, on {target.node_has_ip_on}", other
    if target.holder_mac and target.holder_mac not in _own(facts, router):
        return f"is in use by {target.holder_mac}", other
    if target.holder_mac and facts.is_new(router):
        return (
            f"is in use by {target.holder_mac}, which is the router's MAC address, but the router is not deployed in this cluster",
            "Remove the router from the other cluster on this segment, or choose another address",
        )
    return None


def _mac(facts: Facts) -> Iterator[Finding]:
    for router, node, _unused, target in _targets(facts):
        # A host that has both is reported for the address. A deployed router has both itself.
        same = target.mac_seen_at in [address.ip for address in router.addresses]
        if facts.has_mac(router) or same:
            continue
        where = ""
        if target.mac_seen_at is not None:
            where = f"answers for {target.mac_seen_at}" if target.mac_seen_at else "sends on the segment"
        elif target.node_has_mac_on:
            where = f"is that of another interface on {target.node_has_mac_on}"
        if where:
            yield Finding(
                "mac", ERROR, f"{router.mac} {where}", "a MAC address that no other host has", "Set another mac",
                (router.id,), (node,),
            )  # fmt: skip


def _mac_of_others(facts: Facts) -> Iterator[Finding]:
    listed = {router.id for router in facts.routers}
    for router in facts.routers:
        for other in facts.deployed.values():
            if other.id not in listed and router.mac in other.macs:
                yield Finding(
                    "mac", ERROR, f"{router.mac} is also the MAC address of egress router {other.id}",
                    "a MAC address that no other host has", "Set another mac", (router.id,),
                )  # fmt: skip


def _gateway(facts: Facts) -> Iterator[Finding]:
    for router, node, address, target in _targets(facts):
        if address.gateway and not target.gateway_mac:
            yield Finding(
                "gateway", ERROR, f"the gateway {address.gateway} does not answer", "an answer within seconds",
                f"Correct gateway or master, check the VLAN of {router.master or 'the master'}, and that the gateway is up",
                (router.id,), (node,),
            )  # fmt: skip
        if address != router.address(address.family):
            # All addresses of a family have the same routes.
            continue
        for gateway in target.silent_route_gateways:
            networks = ", ".join(route.destination for route in router.routes if route.gateway == gateway)
            yield Finding(
                "gateway", ERROR, f"the gateway {gateway} of the route to {networks} does not answer", "an answer within seconds",
                f"Correct routes or master, check the VLAN of {router.master or 'the master'}, and that the gateway is up",
                (router.id,), (node,),
            )  # fmt: skip


def _not_asked(facts: Facts) -> Iterator[Finding]:
    """Segments that could not be probed. The state of the master has a check of its own."""
    for router, node, seen in _seen(facts):
        interface = seen.interfaces.get(router.master)
        if not interface or problem_of(router, interface):
            continue
        for address in router.addresses:
            target = _occupancy(seen, router, address)
            if target and target.error:
                yield Finding(
                    "address", WARNING, f"{address.ip} could not be probed: {target.error}", "a probe that works",
                    "Probe the address yourself, for example with arping", (router.id,), (node,),
                )  # fmt: skip


def _coverage(facts: Facts) -> tuple[int, list[str]]:
    """How many addresses the segments were asked for, and on which nodes they were not, by reason."""
    asked = 0
    reasons: dict[str, dict[str, bool]] = {}
    for router, node, seen in _seen(facts):
        for address in router.addresses:
            target = _occupancy(seen, router, address)
            if target and target.error:
                reasons.setdefault(target.error, {})[node] = True
            elif target:
                asked += 1
    return asked, [f"{listed('node', tuple(nodes))}: {reason}" for reason, nodes in reasons.items()]


CHECKS = (
    Check(
        "address",
        "no other host answers for an egress address",
        (Part((ANSWERS,), _free), Part((ANSWERS,), _not_asked)),
        _coverage,
    ),
    Check(
        "mac",
        "no router's MAC address is in use",
        (Part((ANSWERS,), _mac), Part((ROUTERS,), _mac_of_others)),
        _coverage,
    ),
    Check("gateway", "every gateway answers", (Part((ANSWERS,), _gateway),), _coverage),
)
