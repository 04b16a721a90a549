# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Reads what only OpenShift has. The identity may be a project's admin, who may read little of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from .._common.concurrent import each
from .._common.errors import Forbidden, NotFound
from .._contract import names
from .._kubernetes import constraints
from .._kubernetes.cluster import Cluster
from .._router.manifests import pod_template
from .._router.openshift import CONSTRAINTS, STOCK
from .._router.router import Router
from .facts import Named, OpenShift, Review

# https://docs.okd.io/latest/networking/configuring_network_settings/configure-syscontrols-interface-sysctl.html
ALLOW_LIST = ("openshift-multus", "cni-sysctl-allowlist", "allowlist.conf")


def read(cluster: Cluster, routers: list[Router], bindings: Iterable[Named]) -> OpenShift:
    """`bindings`: the RoleBindings of the routers' namespaces."""
    used = constraints.used(routers)
    asks: dict[tuple[str, str], Callable[[], Any]] = {
        **{("constraints", name): partial(_there, cluster, name) for name in used},
        ("network_type", ""): partial(network_type, cluster),
        ("multi_network", ""): partial(multi_network, cluster),
        ("platform", ""): partial(platform, cluster),
    }
    if any(6 in router.families for router in routers):
        asks[("allow_list", "")] = partial(_allow_list, cluster)
    spaces = dict.fromkeys(router.namespace for router in routers)
    asks |= {("roles", space): partial(cluster.find, "Role", space, labels=names.SELECTOR) for space in spaces}
    found, unread = read_all(asks)
    bound = {(one.namespace, one.name) for one in bindings if one.ours}
    granted = {
        (role["metadata"]["namespace"], role["metadata"]["name"], name)
        for (key, _space), roles in found.items()
        if key == "roles"
        for role in roles
        for rule in role.get("rules") or ()
        if CONSTRAINTS.plural in (rule.get("resources") or ()) and "use" in (rule.get("verbs") or ())
        for name in rule.get("resourceNames") or ()
    }
    entitled = [r for r in routers if r.key in bound and (*r.key, r.security_context_constraints) in granted]
    # One for each namespace and name says it of all, best one whose account is bound already.
    chosen: dict[tuple[str, str], Router] = {}
    for router in [*entitled, *routers]:
        chosen.setdefault((router.namespace, router.security_context_constraints), router)
    reviews, unreviewed = read_all(
        {("reviews", one.id): partial(_review, cluster, one, one in entitled) for one in chosen.values()}
    )
    return OpenShift(
        constraints={name: there for (key, name), there in found.items() if key == "constraints"},
        reviews=tuple(reviews.values()),
        allow_list=found.get(("allow_list", "")),
        network_type=found.get(("network_type", ""), ""),
        multi_network=found.get(("multi_network", ""), True),
        platform=found.get(("platform", ""), ""),
        unread={**unread, **unreviewed},
    )


def read_all(asks: dict[tuple[str, str], Callable[[], Any]]) -> tuple[dict[tuple[str, str], Any], dict[str, str]]:
    """The answers, and why there is none, by the field of OpenShift."""
    found, unread = {}, {}

    def attempt(ask: Callable[[], Any]) -> tuple[Any, str]:
        try:
            return ask(), ""
        except (Forbidden, NotFound) as error:
            return None, str(error)

    for key, (answer, reason) in zip(asks, each(attempt, asks.values()), strict=True):
        if reason:
            unread[key[0]] = reason
        else:
            found[key] = answer
    return found, unread


def _there(cluster: Cluster, name: str) -> bool:
    """Whether the constraints are there, or provision can make them. Forbidden if they may not be read."""
    try:
        cluster.get(CONSTRAINTS.name, "", name)
    except NotFound:
        if name in STOCK:
            return False
        try:
            constraints.apply(cluster, name, force=False, dry_run=True)
        except Forbidden:
            return False
    return True


def _review(cluster: Cluster, router: Router, entitled: bool) -> Review:
    """By which constraints OpenShift admits the router's pod for its account. A dry run would go by the user's instead."""
    body = {"spec": {"template": pod_template(router)}}
    try:
        answer = cluster.create("PodSecurityPolicySubjectReview", router.namespace, body)
    except NotFound as error:
        if error.kind:
            return Review(router.id)  # There is no such namespace yet.
        raise NotFound(f"the cluster does not serve podsecuritypolicysubjectreviews: {error}") from error
    status = answer.get("status") or {}
    reason = str(status.get("reason") or "it gives no reason")
    return Review(router.id, entitled, (status.get("allowedBy") or {}).get("name") or "", reason)


def _allow_list(cluster: Cluster) -> tuple[str, ...]:
    """Its lines: regular expressions for sysctls as the network's configuration writes them."""
    namespace, name, key = ALLOW_LIST
    data = cluster.get("ConfigMap", namespace, name).get("data") or {}
    if key not in data:
        raise NotFound(f"ConfigMap {namespace}/{name} has no {key}")
    return tuple(line.strip() for line in data[key].splitlines() if line.strip())


def network_type(cluster: Cluster) -> str:
    """The plugin of the cluster's network."""
    network = cluster.get("Network", "", "cluster")
    return str((network.get("status") or {}).get("networkType") or (network.get("spec") or {}).get("networkType") or "")


def multi_network(cluster: Cluster) -> bool:
    """Whether Multus is installed."""
    return not (cluster.get("NetworkOperator", "", "cluster").get("spec") or {}).get("disableMultiNetwork")


def platform(cluster: Cluster) -> str:
    """On what the cluster runs."""
    status = cluster.get("Infrastructure", "", "cluster").get("status") or {}
    return str((status.get("platformStatus") or {}).get("type") or status.get("platform") or "")
