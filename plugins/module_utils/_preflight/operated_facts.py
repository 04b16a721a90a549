# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Reads what there is to know of the routers that OpenShift's operator makes. A project's admin may read little of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .._egress_router_cr.manifests import needed_permissions
from .._egress_router_cr.operator import RESOURCE
from .._kubernetes.cluster import Cluster
from .._router.router import Router
from .checks import permissions
from .cluster_facts import denied
from .facts import Operated
from .openshift_facts import multi_network, network_type, platform, read_all


def read(cluster: Cluster, routers: list[Router]) -> Operated:
    """The facts. Where the cluster does not know EgressRouters, nothing else matters."""
    if not cluster.serves(RESOURCE.name):
        return Operated(tuple(routers), served=False)
    spaces = list(dict.fromkeys(router.namespace for router in routers))
    asks: dict[tuple[str, str], Callable[[], Any]] = {
        ("resources", ""): partial(cluster.find, RESOURCE.name),
        ("network_type", ""): partial(network_type, cluster),
        ("multi_network", ""): partial(multi_network, cluster),
        ("platform", ""): partial(platform, cluster),
        **{("permissions", space): partial(_missing_permissions, cluster, space) for space in spaces},
    }
    found, unread = read_all(asks)
    if "resources" in unread:
        # Other namespaces may be out of reach, those of the list are not.
        own, _reasons = read_all(
            {("resources", space): partial(cluster.find, RESOURCE.name, space) for space in spaces}
        )
        found |= own
    return Operated(
        tuple(routers),
        resources=tuple(item for (key, _space), items in found.items() if key == "resources" for item in items),
        missing_permissions={space: lacking for (key, space), lacking in found.items() if key == "permissions"},
        network_type=found.get(("network_type", ""), ""),
        multi_network=found.get(("multi_network", ""), True),
        platform=found.get(("platform", ""), ""),
        unread=unread,
    )


def _missing_permissions(cluster: Cluster, space: str) -> tuple[str, ...]:
    status = cluster.create("SelfSubjectRulesReview", None, {"spec": {"namespace": space}}).get("status") or {}
    lacking = permissions.unpermitted(needed_permissions(), status.get("resourceRules") or ())
    if status.get("incomplete"):
        return denied(cluster, lacking, space)
    return tuple(map(permissions.described, lacking))
