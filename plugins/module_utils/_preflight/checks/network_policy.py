# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether network policies cut the routers off from their clients or from the API server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..._router.manifests import pod_labels
from ..._router.router import Router
from ..facts import POLICIES, Facts, name_of
from ..finding import ERROR, Check, Finding, Part
from ..network_policies import EGRESS, INGRESS, selecting, types

# Where API servers listen, if their endpoints may not be read.
_USUAL_PORTS = (443, 6443)


def _ask(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        own = selecting(facts.policies, router.namespace, pod_labels(router))
        inward = [policy for policy in own if INGRESS in types(policy)]
        outward = [policy for policy in own if EGRESS in types(policy)]
        if inward and not any((policy.get("spec") or {}).get("ingress") for policy in inward):
            yield _cut_off(router, inward, "permit no incoming traffic, so no client reaches it", "its clients")
        rules = [rule for policy in outward for rule in (policy.get("spec") or {}).get("egress") or ()]
        servers = facts.api_server or tuple(("", port) for port in _USUAL_PORTS)
        if outward and not any(_permits(rule, ip, port) for rule in rules for ip, port in servers):
            where = f" at {', '.join(f'{ip} port {port}' for ip, port in facts.api_server)}" if facts.api_server else ""
            yield _cut_off(
                router, outward, f"{_what(rules)}, so its agent does not reach the API server{where}", "the API server"
            )


def _what(rules: list[Mapping[str, Any]]) -> str:
    if not rules:
        return "permit no outgoing traffic"
    if not any(not rule.get("to") or any(peer.get("ipBlock") for peer in rule["to"]) for rule in rules):
        return "permit outgoing traffic to pods only"
    return "permit outgoing traffic to other addresses or ports only"


def _permits(rule: Mapping[str, Any], ip: str, port: int) -> bool:
    """Whether an egress rule permits TCP to an address, empty if it is not known, and a port."""
    ports, peers = rule.get("ports") or (), rule.get("to") or ()
    if ports and not any(_has_port(item, port) for item in ports):
        return False
    # The API server is not a pod: only an address block, or a rule without destinations, includes it.
    return not peers or any(peer.get("ipBlock") and _in_block(peer["ipBlock"], ip) for peer in peers)


def _has_port(item: Mapping[str, Any], port: int) -> bool:
    first = item.get("port")
    if (item.get("protocol") or "TCP") != "TCP":
        return False
    if not isinstance(first, int):
        return first in (None, "https")  # The name of the API server's port.
    return first <= port <= (item.get("endPort") or first)


def _in_block(block: Mapping[str, Any], ip: str) -> bool:
    if not ip:
        return True
    address = ipaddress.ip_address(ip)
    inside = [
        address in ipaddress.ip_network(text, strict=False) for text in (block["cidr"], *(block.get("except") or ()))
    ]
    return inside[0] and not any(inside[1:])


def _cut_off(router: Router, policies: Sequence[Mapping[str, Any]], what: str, peer: str) -> Finding:
    names = ", ".join(name_of(policy) for policy in policies)
    return Finding(
        "network_policy", ERROR, f"the network policies {names} of namespace {router.namespace} {what}",
        f"a policy that permits traffic with {peer}",
        f"Add a network policy for pods with the label app.kubernetes.io/instance={router.name}", (router.id,),
    )  # fmt: skip


CHECK = Check("network_policy", "no network policy cuts a router off", (Part((POLICIES,), _ask),))
