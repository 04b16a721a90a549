# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether the nodes' kernels have what routers need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..._contract.inspect import Answer
from ..._contract.sources import SPREAD
from ..._router.router import Router
from ..facts import ANSWERS, Facts, name_of
from ..finding import ERROR, WARNING, Check, Finding, Part

# Counters in the elements of sets and maps came with 5.7. Every distribution that Kubernetes 1.30 supports has them.
OLDEST = (5, 7)
_FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}
# The share of the connection tracking table above which new connections are at risk.
FULL = 0.8


def _nodes(facts: Facts) -> Iterator[tuple[Router, str, Answer]]:
    for router in facts.routers:
        for node, seen in facts.answers(router):
            yield router, node, seen


def _version(facts: Facts) -> Iterator[Finding]:
    for router, node, seen in _nodes(facts):
        match = re.match(r"(\d+)\.(\d+)", seen.kernel)
        # Distributions backport: what nft says counts.
        if match and (int(match[1]), int(match[2])) < OLDEST and not seen.nft.concat_maps:
            yield Finding(
                "kernel", WARNING, f"kernel {seen.kernel}", f"{OLDEST[0]}.{OLDEST[1]} or newer",
                "Update the node, or exclude it with node_selector", (router.id,), (node,),
            )  # fmt: skip


def _nft(facts: Facts) -> Iterator[Finding]:
    for router, node, seen in _nodes(facts):
        if False in (seen.nft.usable, seen.nft.concat_maps, seen.nft.rules):
            what = "nftables cannot be used" if seen.nft.usable is False else "nftables refuses the router's table"
            yield Finding(
                "nft", ERROR, f"{what}: {seen.nft.error or 'no reason given'}",
                "nftables with concatenated keys in maps, counters and NAT",
                "Load the kernel modules nf_tables, nft_ct, nft_nat and nft_masq, or update the kernel",
                (router.id,), (node,),
            )  # fmt: skip
        elif router.source == SPREAD and seen.nft.spread is False:
            yield Finding(
                "nft", ERROR, f"nftables refuses to spread connections: {seen.nft.error or 'no reason given'}",
                f"nftables with jhash, for source: {SPREAD}",
                "Load the kernel module nft_hash, exclude the node with node_selector, or use source: first",
                (router.id,), (node,),
            )  # fmt: skip


def _relay(facts: Facts) -> Iterator[Finding]:
    """Of routers with one pod there is nothing to relay."""
    for router, node, seen in _nodes(facts):
        if router.has_standbys and router.failover.relay_seconds and seen.relay_error:
            yield Finding(
                "relay", WARNING, f"the kernel cannot relay connections: {seen.relay_error}",
                "VXLAN interfaces, and nftables with fwd and dup in the family netdev",
                "Load the kernel modules vxlan, nft_fwd_netdev and nft_dup_netdev, or exclude the node with node_selector: open connections "
                "are reset when a pod on it is drained, updated or asked to hand over, or when one takes over there",
                (router.id,), (node,),
            )  # fmt: skip


def _conntrack(facts: Facts) -> Iterator[Finding]:
    for router, node, seen in _nodes(facts):
        most, count = seen.conntrack.max, seen.conntrack.count
        if most and count is not None and count > most * FULL:
            yield Finding(
                "conntrack", WARNING, f"{count} of at most {most} connections are tracked", f"less than {FULL:.0%}",
                "Raise net.netfilter.nf_conntrack_max on the node: new connections fail once the limit is reached",
                (router.id,), (node,),
            )  # fmt: skip


def _forwarding(facts: Facts) -> Iterator[Finding]:
    """Between node and pods, in the address families of the pods. The router's own forwarding is set by its agent."""
    pods = {name_of(node): _families(node) for node in facts.nodes}
    for router, node, seen in _nodes(facts):
        for family in pods.get(node, ()):
            if seen.sysctl.get(_FORWARDING[family]) == "0":
                yield Finding(
                    "forwarding", WARNING, f"{_FORWARDING[family]} is 0", "1, or the node forwards nothing to its pods",
                    f"Set {_FORWARDING[family]}=1 in the node's sysctl configuration", (router.id,), (node,),
                )  # fmt: skip


def _families(node: Mapping[str, Any]) -> set[int]:
    return {6 if ":" in cidr else 4 for cidr in node["spec"].get("podCIDRs") or ("0.0.0.0/0",)}


CHECKS = (
    Check("kernel", "the nodes' kernels are new enough", (Part((ANSWERS,), _version),)),
    Check("nft", "nftables accepts the router's table", (Part((ANSWERS,), _nft),)),
    Check("relay", "the kernels can relay connections that outlive a planned move", (Part((ANSWERS,), _relay),)),
    Check("conntrack", "the connection tracking tables have room", (Part((ANSWERS,), _conntrack),)),
    Check("forwarding", "the nodes forward packets", (Part((ANSWERS,), _forwarding),)),
)
