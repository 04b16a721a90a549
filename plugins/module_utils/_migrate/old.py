# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Finds the old router that has the address of a new one."""

from __future__ import annotations

from collections.abc import Sequence

from .._common.errors import InputError
from .._router.router import Router
from .attachment import users_of
from .cutover import Record, as_maker, maker_problems, saved_service, service_problems
from .draft import Draft
from .objects import Object, Objects
from .report import Source
from .routers import read_drafts

# What the operator makes of an EgressRouter has the same name in every namespace.
OPERATORS_DEPLOYMENT = "egress-router-cni-deployment"


def find_old(router: Router, objects: Objects, not_read: Sequence[str] = ()) -> Record | None:
    """What is saved of the old router and its Service; None if there is none. InputError with all that is in the way."""
    drafts, _others = read_drafts(objects, [address.network for address in router.addresses])
    found = [draft for draft in drafts if _has_address(draft, router)]
    if len(found) > 1:
        said = " and ".join(str(draft.notes.source) for draft in found)
        raise InputError(f"router {router.id}: {said} have its address: only one can be replaced, remove the others")
    if not found:
        if not_read:
            raise InputError(
                f"router {router.id}: its old router may be among what was not read:\n" + "\n".join(not_read)
            )
        return None
    source = found[0].notes.source
    items = _makers(source, objects)
    known = [item for kind in ("EgressRouter", "Deployment") for item in objects.of(kind)]
    problems = [problem for item in items for problem in maker_problems(item, known)]
    makers = tuple(as_maker(item, source.kind == "EgressRouter") for item in items)
    service = objects.get("Service", router.namespace, router.service.name)
    if service is not None:
        problems += service_problems(service, router, makers, objects.of("Pod") if source.kind != "Pod" else ())
    if problems:
        raise InputError("\n".join(f"router {router.id}: {problem}" for problem in problems))
    return Record(source, makers, saved_service(service) if service is not None else None)


def _has_address(draft: Draft, router: Router) -> bool:
    wanted = {address.ip for address in router.addresses}
    # Of a resource only the first one had an effect.
    has = {address["ip"].partition("/")[0] for address in draft.addresses[:1]}
    return draft.notes.source.namespace == router.namespace and bool(has & wanted)


def _makers(source: Source, objects: Objects) -> list[Object]:
    """What makes the pods of an old router."""
    if source.kind == "NetworkAttachmentDefinition":
        users = [workload.source for workload in users_of(source, objects)]
        return [item for user in users if (item := objects.get(user.kind, user.namespace, user.name))]
    if source.kind != "EgressRouter":
        item = objects.get(source.kind, source.namespace, source.name)
        return [item] if item else []
    resource = objects.get(source.kind, source.namespace, source.name) or {}
    deployment = objects.get("Deployment", source.namespace, OPERATORS_DEPLOYMENT)
    owners = ((deployment or {}).get("metadata") or {}).get("ownerReferences") or ()
    if deployment is None or resource["metadata"].get("uid") not in [owner.get("uid") for owner in owners]:
        raise InputError(
            f"{source}: the operator has made no Deployment {OPERATORS_DEPLOYMENT} of it, so there is nothing to take over from: delete "
            "the resource and run egress.router.provision"
        )
    return [deployment]
