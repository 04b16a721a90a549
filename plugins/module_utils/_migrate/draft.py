# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""A router of the list while it is made of an old one."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .._contract.rules import IPNetwork, Rule
from .report import CHANGED, QUESTION, UNCHANGED, Notes

# Wherever the router comes from.
_ORIGINS = {"name": "metadata.name", "namespace": "metadata.namespace"}

# What clients connect to.
PortKey: TypeAlias = "tuple[int, str]"


@dataclass
class Draft:
    """`labels`: those of the old router's pods. `ports`: the ports of its containers that have a name.

    `useless`: nothing of what the old router did can be done, so that the new one would have an address for nothing.
    `origins`: where the fields of the new router come from, for messages.
    """

    notes: Notes
    name: str
    labels: Mapping[str, Any]
    addresses: list[dict[str, str]] = field(default_factory=list)
    master: str = ""
    macvlan_mode: str = ""
    mtu: str = ""
    rules: dict[tuple[int, str, int], Rule] = field(default_factory=dict)
    fallback_ip: str = ""
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: list[dict[str, Any]] = field(default_factory=list)
    service: dict[str, Any] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    useless: bool = False
    origins: dict[str, str] = field(default_factory=lambda: dict(_ORIGINS))

    def as_router(self) -> dict[str, Any]:
        """The item of `egress_routers`, with what it needs and nothing more."""
        found = {
            "name": self.name,
            "namespace": self.notes.source.namespace,
            "addresses": self.addresses,
            "master": self.master,
            "macvlan_mode": self.macvlan_mode,
            "mtu": int(self.mtu) if self.mtu.isdecimal() else self.mtu,
            "redirect_rules": [_rule_dict(rule) for rule in sorted(self.rules.values())],
            "fallback_ip": self.fallback_ip,
            "node_selector": self.node_selector,
            "tolerations": self.tolerations,
            "service": self.service,
        }
        return {key: value for key, value in found.items() if value}


def add_address(
    draft: Draft, where: str, ip: str, gateway: str, networks: Sequence[IPNetwork], where_gateway: str
) -> None:
    """An address with its prefix length, which `networks` has if the address has none."""
    place = f"addresses[{len(draft.addresses)}]"
    draft.origins.update({f"{place}.ip": where, f"{place}.gateway": where_gateway})
    draft.origins.setdefault("addresses", where)
    bare, separator, length = ip.partition("/")
    if separator and length not in ("32", "128"):
        draft.addresses.append(_address(ip, gateway))
        return
    address = _ip(bare)
    if address is None:
        # The reader of the list says what is wrong.
        draft.addresses.append(_address(ip, gateway))
        return
    network = max((n for n in networks if address in n), key=lambda n: n.prefixlen, default=None)
    lacks = f"has the prefix length /{length}" if separator else "has no prefix length"
    if network is None:
        example = ipaddress.ip_interface(f"{bare}/{24 if address.version == 4 else 64}").network
        advice = f"add the network of the nodes to networks (of the role: migrate_networks), such as {example}"
        draft.notes.add(QUESTION, where, f"'{ip}' {lacks}, and the new router needs that of its subnet: {advice}")
        return
    effect = "now the whole subnet is reached directly, before it was the gateway alone"
    draft.notes.add(CHANGED, where, f"'{ip}' {lacks}, and is taken to be in {network}: {effect}")
    draft.addresses.append(_address(f"{bare}/{network.prefixlen}", gateway))


def add_rule(draft: Draft, where: str, rule: Rule) -> None:
    """A rule of the operator's plugin, for which the first one of a port counts."""
    if any((other.port, other.protocol) == (rule.port, rule.protocol) for other in draft.rules.values()):
        message = f"repeats port {rule.port}/{rule.protocol}, of which the first rule counts: it had no effect and is left out"
        draft.notes.add(UNCHANGED, where, message)
    else:
        draft.rules[rule.key] = rule


def _address(ip: str, gateway: str) -> dict[str, str]:
    return {"ip": ip, "gateway": gateway} if gateway else {"ip": ip}


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _rule_dict(rule: Rule) -> dict[str, object]:
    found = rule.as_dict()
    if rule.target_port == rule.port:
        del found["target_port"]
    return found
