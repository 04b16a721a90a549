# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""From objects to the list of routers, its text for a file, and the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._common.yaml_text import to_yaml
from .._contract.rules import IPNetwork
from .._router.router import Router
from .._router.routers import conflicts, load
from . import environment
from .attachment import read_attachments
from .draft import Draft
from .objects import Objects
from .report import CHANGED, ERROR, LOST, UNCHANGED, Item, Result, report
from .resource import note_neighbours, read_resource
from .sdn_pod import has_macvlan, is_router, read_sdn_pod
from .service import take_services

# The list has no image: it comes with egress_router_defaults.
_DEFAULTS = {"image": "image"}
_HEAD = """\
---
# Egress routers, as the module legacy_router_info of egress.router has read them from what there was before. The next run
# replaces the file. Their image is in egress_router_defaults.
"""


def migrate(objects: Objects, networks: Sequence[IPNetwork], not_read: Sequence[str] = ()) -> dict[str, Any]:
    """The list of routers, its text for a file, and the report."""
    drafts, others = read_drafts(objects, networks)
    for draft in drafts:
        _rename(draft, objects)
    others += take_services(drafts, objects)
    results = _checked(drafts)
    routers = [result for result in results if result.router]
    return {
        "routers": [result.router for result in routers],
        "text": text(routers),
        "report": report(results, others, not_read),
    }


def read_drafts(objects: Objects, networks: Sequence[IPNetwork]) -> tuple[list[Draft], list[Item]]:
    """The old routers, and what there is to say of pods that are none."""
    resources = [read_resource(item, networks) for item in objects.of("EgressRouter")]
    note_neighbours(resources)
    pods, others = _read_pods(objects, networks)
    return [*resources, *read_attachments(objects, networks), *pods], others


def text(results: Iterable[Result]) -> str:
    """The list as a file of variables."""
    body = "".join(
        f"  # {result.source}\n" + "".join(f"  {line}\n" for line in to_yaml([result.router]).splitlines())
        for result in results
    )
    return f"{_HEAD}egress_routers:\n{body}" if body else f"{_HEAD}egress_routers: []\n"


def _read_pods(objects: Objects, networks: Sequence[IPNetwork]) -> tuple[list[Draft], list[Item]]:
    """The SDN's routers, and what there is to say of pods that are none."""
    drafts: list[Draft] = []
    others: list[Item] = []
    for workload in objects.workloads():
        if is_router(environment.variables(workload, objects)):
            drafts.append(read_sdn_pod(workload, objects, networks))
        elif has_macvlan(workload):
            message = "has an interface on the nodes' network, and no variables of an egress router: it needs another way to its network"
            others.append(Item(LOST, workload.source, "", message))
    return drafts, others


def _rename(draft: Draft, objects: Objects) -> None:
    """Old and new exist beside each other, and the new router has objects of its name."""
    source = draft.notes.source
    name = draft.name.replace(".", "-")
    reasons = ["a router's name has no dots"] if name != draft.name else []
    taken = [
        kind for kind in ("Deployment", "NetworkAttachmentDefinition") if objects.get(kind, source.namespace, name)
    ]
    if taken:
        reasons.append(f"there is a {taken[0]} {name} already")
        name = f"{name}-router"
    if reasons:
        draft.name = name
        draft.notes.add(CHANGED, "metadata.name", f"the new router is called {name}, because {' and '.join(reasons)}")


def _checked(drafts: Iterable[Draft]) -> list[Result]:
    """What the reader of the list says of each router, alone and beside those before it."""
    results: list[Result] = []
    accepted: list[Router] = []
    for draft in drafts:
        notes, router = draft.notes, draft.as_router()
        if not notes.blocking and not draft.useless:
            read, problems = load([router], _DEFAULTS)
            problems += conflicts([*accepted, *read]) if not problems else []
            for problem in problems:
                # The MAC address is that of the address.
                if problem.field != "mac":
                    notes.add(ERROR, draft.origins.get(problem.field, problem.field), problem.message)
            accepted += [] if problems else read
        taken = not notes.blocking and not draft.useless
        if taken:
            notes.add(UNCHANGED, "", _kept(router))
        items = [item for item in notes.found if taken or item.level != UNCHANGED]
        results.append(Result(notes.source, router if taken else None, items))
    return results


def _kept(router: Mapping[str, Any]) -> str:
    """What a router of the list has, in a few words."""
    words = [
        f"{address['ip']} via {address['gateway']}" if "gateway" in address else address["ip"]
        for address in router["addresses"]
    ]
    count = len(router.get("redirect_rules", ()))
    words.append(f"{count} redirect rule{'' if count == 1 else 's'}")
    words += [f"fallback {router['fallback_ip']}"] if "fallback_ip" in router else []
    return ", ".join(words)
