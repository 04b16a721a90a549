# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Objects with the name of a router's that do not belong to it, and objects left of earlier routers."""

from __future__ import annotations

from collections.abc import Iterator

from ..._contract import names
from ..._router.manifests import object_names
from ..facts import NAMED, NAMESPACES, ROUTERS, Facts, name_of
from ..finding import ERROR, INFO, WARNING, Check, Finding, Part

# The component label of what preflight itself creates while it runs.
COMPONENT = "preflight"


def _foreign(facts: Facts) -> Iterator[Finding]:
    found = {(item.kind, item.namespace, item.name): item for item in facts.named}
    for router in facts.routers:
        foreign = [
            f"{kind} {name}"
            for kind, name in object_names(router)
            if (item := found.get((kind, router.namespace, name))) and not (item.ours and item.router == router.id)
        ]
        if foreign:
            yield Finding(
                "foreign_objects", ERROR, f"{', '.join(foreign)} in namespace {router.namespace} exist and do not belong to this router",
                "names that are free, or objects of this router",
                "Rename the router or its service, or remove these objects if nobody needs them", (router.id,),
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
            advice = "No action needed: provision takes them over, and replaces redirect rules by those of the list"
        else:
            advice = "Remove them with the playbook deprovision, unless somebody is just deploying this router"
        yield Finding(
            "leftovers", INFO, f"objects of egress router {router}, which has no Deployment: {', '.join(sorted(objects))}",
            "a router with a Deployment, or no objects of it", advice, (router,) if router in listed else (),
        )  # fmt: skip


def _own(facts: Facts) -> Iterator[Finding]:
    """Namespaces of runs that were killed before they could remove them."""
    for namespace in facts.namespaces.values():
        metadata = namespace["metadata"]
        labels = metadata.get("labels") or {}
        mine = (labels.get(names.LABEL_MANAGED_BY), labels.get(names.LABEL_COMPONENT)) == (names.MANAGED_BY, COMPONENT)
        if mine and not metadata.get("deletionTimestamp"):
            yield Finding(
                "leftovers", WARNING, f"namespace {name_of(namespace)} belongs to a preflight that was killed, or is running now",
                "that every run removes what it creates", f"Unless one is running, kubectl delete namespace {name_of(namespace)}",
            )  # fmt: skip


CHECKS = (
    Check("foreign_objects", "the names of the routers' objects are free or theirs", (Part((NAMED,), _foreign),)),
    Check(
        "leftovers",
        "no objects of earlier routers are left",
        (Part((NAMED, ROUTERS), _left), Part((NAMESPACES,), _own)),
    ),
)
