# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""SecurityContextConstraints on OpenShift: made once, by whoever may, for all routers that name them. They are never removed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from .._common.errors import Forbidden, InputError, NotFound
from .._contract import names
from .._router.openshift import CONSTRAINTS, STOCK, on_cluster, security_context_constraints, what_to_run
from .._router.router import Router
from .cluster import Cluster
from .managed_fields import in_force

# The object as it is, None if there is none, and as it will be.
Prediction: TypeAlias = "tuple[dict[str, Any] | None, dict[str, Any]]"


def is_openshift(cluster: Cluster) -> bool:
    """Whether the cluster admits pods by SecurityContextConstraints."""
    try:
        return cluster.serves(CONSTRAINTS.name)
    except Forbidden:
        return False  # Every account may ask this on OpenShift.


def adapted(cluster: Cluster, routers: list[Router]) -> list[Router]:
    """The routers as the cluster takes them. An absent one needs nothing of it."""
    openshift = any(router.present for router in routers) and is_openshift(cluster)
    return [on_cluster(router, openshift) for router in routers]


def predict(cluster: Cluster, name: str, force: bool) -> Prediction | None:
    """What applying the constraints changes; None: nothing. InputError if they are missing and the identity may not make them."""
    try:
        live = cluster.get(CONSTRAINTS.name, "", name)
    except NotFound:
        live = None
    except Forbidden:
        return None  # They may be there. If they are not, the Deployment tells (see advice).
    if live is not None and not ours(live):
        return None
    manifest = security_context_constraints(name)
    if live is not None and in_force(manifest, live, names.FIELD_MANAGER_DEPLOY):
        return None
    if live is None and name in STOCK:
        raise InputError(_missing(name))
    try:
        return live, apply(cluster, name, force, dry_run=True)
    except Forbidden as error:
        if live is not None:
            return None  # They are those of another release.
        raise InputError(f"{_missing(name)} ({error.said})") from error


def apply(cluster: Cluster, name: str, force: bool, dry_run: bool = False) -> dict[str, Any]:
    """The constraints as they are now, or would be."""
    manifest = security_context_constraints(name)
    return cluster.apply(CONSTRAINTS.name, "", name, manifest, names.FIELD_MANAGER_DEPLOY, force, dry_run)


def ours(live: dict[str, Any]) -> bool:
    """Whether the collection made the constraints."""
    return (live["metadata"].get("labels") or {}).get(names.LABEL_MANAGED_BY) == names.MANAGED_BY


def used(routers: Iterable[Router]) -> list[str]:
    """The names of the constraints that the routers need."""
    found = {router.security_context_constraints for router in routers if router.present}
    return sorted(found - {""})


def advice(message: str) -> str:
    """What to do if OpenShift refuses a pod with this message, with a colon before it; empty if it is another refusal."""
    if "scc/" not in message and "security context constraint" not in message:
        return ""
    return (
        ": a cluster-admin has to apply the SecurityContextConstraints of the router, which the playbook egress.router.render "
        "writes, see docs/openshift.md of the collection"
    )


def _missing(name: str) -> str:
    return f"there are no SecurityContextConstraints {name}, by which OpenShift admits the routers' pods: {what_to_run(name)}"
