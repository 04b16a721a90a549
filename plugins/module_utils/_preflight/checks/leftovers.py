# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Objects that are called like a router's and are somebody else's, and what is left of earlier routers."""

from __future__ import annotations

from collections.abc import Iterator

from ..._contract import names
from ..._router.router import object_names
from ..facts import NAMED, NAMESPACES, ROUTERS, Facts, name_of
from ..finding import ERROR, INFO, WARNING, Check, Finding, Part

# The label of what preflight itself makes for the time it runs.
COMPONENT = "preflight"


def _foreign(facts: Facts) -> Iterator[Finding]:
    found = {(item.kind, item.namespace, item.name): item for item in facts.named}
    for router in facts.routers:
        wanted = [*object_names(router).items()]
        wanted += [("EndpointSlice", names.endpoint_slice(router.name, family)) for family in router.families]
        foreign = [
            f"{kind} {name}"
            for kind, name in wanted
            if (item := found.get((kind, router.namespace, name))) and not (item.ours and item.router == router.id)
        ]
        if foreign:
            yield Finding(
                "foreign_objects", ERROR, f"somebody else has made {', '.join(foreign)} in namespace {router.namespace}",
                "names that are free, or taken by this router",
                "rename the router or its service, or remove the objects if nobody needs them", (router.id,),
            )  # fmt: skip


def _left(facts: Facts) -> Iterator[Finding]:
    left: dict[str, list[str]] = {}
    for item in facts.named:
        deployed = facts.deployed.get(item.router)
        if item.ours and not (deployed and deployed.has_deployment):
            left.setdefault(item.router, []).append(f"{item.kind} {item.name}")
    listed = {router.id for router in facts.routers}
    for router, objects in left.items():
        if router in listed:
            advice = "they are taken over; redirect rules in the ConfigMap are replaced by those of the list"
        else:
            advice = "remove them with the playbook deprovision, if nobody is about to deploy it"
        yield Finding(
            "leftovers", INFO, f"left of an earlier egress router {router}: {', '.join(sorted(objects))}",
            "a router has a Deployment, or nothing", advice, (router,) if router in listed else (),
        )  # fmt: skip


def _own(facts: Facts) -> Iterator[Finding]:
    """Namespaces of runs that were killed before they could clean up."""
    for namespace in facts.namespaces.values():
        metadata = namespace["metadata"]
        labels = metadata.get("labels") or {}
        mine = (labels.get(names.LABEL_MANAGED_BY), labels.get(names.LABEL_COMPONENT)) == (names.MANAGED_BY, COMPONENT)
        if mine and not metadata.get("deletionTimestamp"):
            yield Finding(
                "leftovers", WARNING, f"namespace {name_of(namespace)} is left of a preflight that was killed, or runs now",
                "that each removes what it made", f"kubectl delete namespace {name_of(namespace)}",
            )  # fmt: skip


CHECKS = (
    Check("foreign_objects", "the routers' names are free or theirs", (Part((NAMED,), _foreign),)),
    Check(
        "leftovers", "nothing is left of earlier routers", (Part((NAMED, ROUTERS), _left), Part((NAMESPACES,), _own))
    ),
)
