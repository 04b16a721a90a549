# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether there are nodes for each router, and whether they accept pods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..._router.own import NODE_LABELS, ZONE
from ..._router.router import Router
from ..facts import NODES, Facts, name_of, ready, schedulable
from ..finding import ERROR, INFO, WARNING, Check, Finding, Part


def _any(facts: Facts) -> Iterator[Finding]:
    for router in facts.all_routers:
        nodes = facts.eligible(router)
        if not nodes:
            yield Finding(
                "nodes", ERROR, _why_none(facts, router), "at least one node that can run it",
                "Label nodes, or correct node_selector or tolerations", (router.id,),
            )  # fmt: skip
        elif not any(ready(node) and schedulable(node) for node in nodes):
            states = ", ".join(f"{name_of(node)} is {_state(node)}" for node in nodes)
            yield Finding(
                "nodes", ERROR, f"no node that can run it accepts pods: {states}", "at least one that does",
                "Uncordon a node, or bring one up", (router.id,),
            )  # fmt: skip


def _replicas(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        count = sum(ready(node) and schedulable(node) for node in facts.eligible(router))
        if 0 < count < router.replicas:
            yield Finding(
                "replicas", WARNING, f"{count} node{'s' if count > 1 else ''} for {router.replicas} replicas",
                "as many nodes as replicas, so that the failure of a node affects only one",
                "Let more nodes run it by labels or tolerations, or lower replicas", (router.id,),
            )  # fmt: skip


def _spare(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        if router.replicas > 2:
            yield Finding(
                "replicas", INFO,
                f"{router.replicas} replicas: one pod serves, one is its successor, and the others wait to be the next successor",
                "two, unless both may fail before Kubernetes has started another pod",
                "Set replicas to 2 if that is not needed: further pods make no take-over faster", (router.id,),
            )  # fmt: skip


def _zones(facts: Facts) -> Iterator[Finding]:
    everywhere = {_zone(node) for node in facts.nodes} - {""}
    for router in facts.routers:
        nodes = [node for node in facts.eligible(router) if ready(node) and schedulable(node)]
        zones = {_zone(node) for node in nodes}
        if router.has_standbys and len(everywhere) > 1 and len(nodes) > 1 and len(zones) == 1 and zones != {""}:
            yield Finding(
                "zones", WARNING, f"all {len(nodes)} nodes that can run it are in zone {zones.pop()}",
                "nodes in several zones, so that the failure of a zone affects only one of its pods",
                "Let nodes of another zone run it by labels or tolerations, if the egress network is there too", (router.id,),
            )  # fmt: skip


def _zone(node: Mapping[str, Any]) -> str:
    return str((node["metadata"].get("labels") or {}).get(ZONE) or "")


def _states(facts: Facts) -> Iterator[Finding]:
    for router in facts.all_routers:
        nodes = facts.eligible(router)
        if not any(ready(node) and schedulable(node) for node in nodes):
            continue  # That is an error of the check nodes.
        for node in nodes:
            if not (ready(node) and schedulable(node)):
                yield Finding(
                    "node_state", WARNING, f"the node is {_state(node)}", "that every node that can run it accepts pods",
                    "Until then the router runs on other nodes", (router.id,), (name_of(node),),
                )  # fmt: skip


def _state(node: Mapping[str, Any]) -> str:
    words = [] if ready(node) else ["not ready"]
    return " and ".join(words if schedulable(node) else [*words, "cordoned"])


def _why_none(facts: Facts, router: Router) -> str:
    if not facts.nodes:
        return "the cluster has no nodes"
    linux = _with(NODE_LABELS, facts.nodes)
    if not linux:
        return f"none of the {len(facts.nodes)} nodes has the label {_listed(NODE_LABELS)}"
    selector = _listed(router.node_selector)
    matching = _with(router.node_selector, linux)
    if not matching:
        return f"none of the {len(linux)} nodes has the labels of its node_selector: {selector}"
    taints = {f"{taint['key']}:{taint['effect']}" for node in matching for taint in node["spec"].get("taints") or ()}
    what = f"with the labels {selector} " if selector else ""
    return f"every node {what}has a taint that the router does not tolerate: {', '.join(sorted(taints))}"


def _with(labels: Mapping[str, str], nodes: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [node for node in nodes if labels.items() <= (node["metadata"].get("labels") or {}).items()]


def _listed(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())


CHECKS = (
    Check("nodes", "every router has a node that accepts pods", (Part((NODES,), _any),)),
    Check("replicas", "every router has as many nodes as replicas", (Part((NODES,), _replicas), Part((), _spare))),
    Check(
        "zones",
        "every router with several pods has nodes in several zones, if there are any",
        (Part((NODES,), _zones),),
    ),
    Check("node_state", "every node that can run a router accepts pods", (Part((NODES,), _states),)),
)
