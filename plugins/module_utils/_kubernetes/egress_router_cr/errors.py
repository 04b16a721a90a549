# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Errors of the API server with the router that they are about, and with what to do."""

from __future__ import annotations

from ..._common.errors import ApiError, Conflict, Denied, EgressError, Forbidden
from ..._egress_router_cr import manifests
from ..._router.router import Router


def without_role(error: Forbidden) -> Forbidden:
    """The same with the role that permits it."""
    return Forbidden(
        f"{error}, or have a cluster-admin apply {manifests.ROLES_FILE}, which the playbook egress.router.render writes, and bind ClusterRole "
        f"{manifests.CLUSTER_ROLE} in the namespace"
    )


def advised(error: ApiError, router: Router) -> EgressError:
    """The error with its router and with what to do about it."""
    if isinstance(error, Forbidden):
        return error if isinstance(error, Denied) else without_role(error)
    said = f"router {router.id}: {error}"
    if isinstance(error, Conflict):
        return Conflict(
            f"{said}: another field manager owns these fields, set force_conflicts (of the role: deploy_force_conflicts) to true to "
            "take them over"
        )
    return ApiError(said)
