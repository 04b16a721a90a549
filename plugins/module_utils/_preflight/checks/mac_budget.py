# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""How many MAC addresses a node's NIC receives for. It filters only so many; beyond that it receives every frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..._contract.inspect import Interface
from ..._router.router import Router
from ..facts import ANSWERS, Facts
from ..finding import ERROR, INFO, WARNING, Check, Finding, Part
from .master import interfaces

# How many MAC addresses a NIC filters, its own included, by driver; the smallest figure there is. Sources: docs/layer2.md.
LIMITS = {
    "be2net": 30,
    "bnxt_en": 4,
    "e1000": 15,
    "e1000e": 15,
    "igb": 16,
    "ixgbe": 128,
    "tg3": 4,
    "virtio_net": 65,
}


def _budget(facts: Facts) -> Iterator[Finding]:
    for node, interface, routers in _receivers(facts):
        if interface.macs is None:
            continue
        coming = [router for router in routers if not _is_there(facts, router, node)]
        after = interface.macs + len(coming)
        given = facts.settings.mac_limit
        limit = given if given is not None else LIMITS.get(interface.driver or "")
        if limit is None or after <= limit:
            continue
        routers_here = tuple(router.id for router in routers)
        seen = f"{interface.name} receives for {interface.macs} MAC addresses, and for {after} with the routers"
        advice = "Spread the routers by node_selector, or let several applications share a router"
        if given is not None:
            expected = f"at most {limit}, the value of preflight_mac_limit"
            yield Finding("mac_budget", ERROR, seen, expected, advice, routers_here, (node,))
        else:
            expected = f"at most {limit}, as many as {interface.driver} filters"
            advice += "; beyond that the NIC receives every frame of the segment, which costs CPU time"
            yield Finding("mac_budget", WARNING, seen, expected, advice, routers_here, (node,))


def _promiscuous(facts: Facts) -> Iterator[Finding]:
    for node, interface, _routers in _receivers(facts):
        # A driver without a filter is in this mode from its first macvlan on.
        if interface.promiscuous and interface.driver in LIMITS and interface.enslaved_kind in (None, "bond", "team"):
            yield Finding(
                "promiscuous", INFO, f"{interface.name} is in promiscuous mode", f"a NIC that filters by MAC address, as {interface.driver} can",
                "It has too many MAC addresses, or packets are captured there: this works, but costs CPU time", (), (node,),
            )  # fmt: skip


def _receivers(facts: Facts) -> Iterator[tuple[str, Interface, list[Router]]]:
    """Each NIC below a master once (bonds and VLANs pass their MAC addresses down), with the routers that need it."""
    found: dict[tuple[str, Interface], list[Router]] = {}
    for router, node, master in interfaces(facts):
        seen = facts.inspections[node].answer
        known = seen.interfaces if seen else {}
        for interface in _lowest(master, known):
            found.setdefault((node, interface), []).append(router)
    for (node, interface), routers in found.items():
        yield node, interface, routers


def _lowest(interface: Interface, known: Mapping[str, Interface]) -> list[Interface]:
    below = [known[name] for name in interface.lower if name in known]
    if not below:
        return [interface] if interface.exists else []
    return [lowest for other in below for lowest in _lowest(other, known)]


def _is_there(facts: Facts, router: Router, node: str) -> bool:
    """Whether a pod of the router is on the node, so that its MAC address is already counted."""
    return any(pod.router == router.id and pod.node == node for pod in facts.pods)


CHECKS = (
    Check("mac_budget", "no NIC has to receive for more MAC addresses than it filters", (Part((ANSWERS,), _budget),)),
    Check("promiscuous", "no NIC is in promiscuous mode", (Part((ANSWERS,), _promiscuous),)),
)
