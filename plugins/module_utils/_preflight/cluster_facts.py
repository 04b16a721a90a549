# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Reads what the checks need to know of a cluster, all at once. What the identity may not read is noted, with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from .._common.concurrent import each
from .._common.errors import ApiError, Denied, Forbidden, NotFound
from .._contract import names
from .._kubernetes import constraints, router_info
from .._kubernetes.cluster import Cluster, quantity
from .._router.manifests import KINDS, Permission, trial_pod, trial_service
from .._router.openshift import on_cluster
from .._router.own import NETWORK_STATUS
from .._router.router import Router
from . import openshift_facts
from .checks import permissions
from .facts import (
    API_SERVER,
    ATTACHMENT_API,
    NAMED,
    NAMESPACES,
    NODES,
    PERMISSIONS,
    PODS,
    POLICIES,
    QUOTAS,
    ROUTERS,
    SERVICE_TRIALS,
    SERVICES,
    TRIALS,
    Deployed,
    Facts,
    Named,
    Pod,
    Quota,
    Refusal,
    Settings,
    pod_trial,
)

# Pods that have ended have returned their addresses.
_RUNNING = "status.phase!=Succeeded,status.phase!=Failed"
_IDENTITY, _CONFIGS = "identity", "network configurations"
_NO_TRIAL = (
    "OpenShift admits the pod of a dry run by what the identity in use may do, and not the router's ServiceAccount, so no pod was "
    "tried: see security_context_constraints and pod_security"
)


@dataclass(frozen=True)
class _Read:
    """One thing to read: the fact that it belongs to, and how. `part`: its namespace, for example."""

    key: str
    ask: Callable[[], Any]
    part: Hashable = ""


@dataclass
class _Answers:
    """What was read, by fact and part, and why the rest could not be read."""

    found: dict[str, dict[Any, Any]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    def one(self, key: str, default: Any) -> Any:
        return self.found.get(key, {}).get("", default)

    def all(self, key: str) -> list[Any]:
        """The items of all parts."""
        return [item for items in self.found.get(key, {}).values() for item in items]


def read(cluster: Cluster, routers: list[Router], settings: Settings) -> Facts:
    """The cluster's part of the facts."""
    openshift = constraints.is_openshift(cluster)
    routers = [on_cluster(router, openshift) for router in routers]
    spaces = list(dict.fromkeys(router.namespace for router in routers))
    answers = _ask([*_of_cluster(cluster), *_of_namespaces(cluster, spaces, routers, trials=not openshift)])
    if ROUTERS in answers.unread:
        # Other namespaces may be out of reach, those of the list are not.
        own = _ask([_Read(ROUTERS, partial(router_info.read, cluster, None, list(spaces)))])
        answers.found.update(own.found)
    namespaces = {item["metadata"]["name"]: item for item in answers.one(NAMESPACES, [])}
    unread = {**answers.unread, **({TRIALS: _NO_TRIAL} if openshift else {})}
    absent = [space for space in spaces if space not in namespaces and NAMESPACES not in unread]
    lacking = answers.found.get(PERMISSIONS, {})
    if absent and settings.create_namespaces:
        lacking[""] = denied(cluster, [permissions.CREATE_NAMESPACES], "")
    configs = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in answers.all(_CONFIGS)}
    named = answers.all(NAMED)
    bindings = [one for one in named if one.kind == "RoleBinding"]
    return Facts(
        routers=tuple(routers),
        openshift=openshift_facts.read(cluster, routers, bindings) if openshift else None,
        nodes=tuple(answers.one(NODES, [])),
        pods=tuple(answers.one(PODS, [])),
        services=tuple(answers.one(SERVICES, [])),
        namespaces=namespaces,
        deployed={one.id: one for one in (_deployed(item, configs) for item in answers.one(ROUTERS, []))},
        named=tuple(named),
        attachment_api=answers.one(ATTACHMENT_API, True),
        quotas=tuple(map(_quota, answers.all(QUOTAS))),
        amounts={router.id: _amounts(router) for router in routers},
        policies=tuple(answers.all(POLICIES)),
        api_server=tuple(answers.one(API_SERVER, [])),
        missing_permissions=lacking,
        identity=answers.one(_IDENTITY, ""),
        trials=answers.found.get(TRIALS, {}),
        service_trials=answers.found.get(SERVICE_TRIALS, {}),
        unread=unread,
        settings=settings,
    )


def _ask(reads: list[_Read]) -> _Answers:
    answers = _Answers()

    def attempt(one: _Read) -> tuple[Any, str]:
        try:
            return one.ask(), ""
        except Forbidden as error:
            return None, str(error)

    for one, (value, reason) in zip(reads, each(attempt, reads), strict=True):
        if reason:
            answers.unread[one.key] = reason
        else:
            answers.found.setdefault(one.key, {})[one.part] = value
    return answers


def _of_cluster(cluster: Cluster) -> list[_Read]:
    return [
        _Read(NODES, partial(cluster.find, "Node")),
        _Read(PODS, partial(_pods, cluster)),
        _Read(SERVICES, partial(cluster.find, "Service")),
        _Read(NAMESPACES, partial(cluster.find, "Namespace", metadata_only=True)),
        _Read(ROUTERS, partial(router_info.read, cluster, None, [None])),
        _Read(ATTACHMENT_API, partial(cluster.serves, "NetworkAttachmentDefinition")),
        _Read(API_SERVER, partial(_api_server, cluster)),
        _Read(_IDENTITY, partial(_identity, cluster)),
    ]


def _of_namespaces(cluster: Cluster, spaces: list[str], routers: list[Router], trials: bool) -> list[_Read]:
    found: list[_Read] = []
    for space in spaces:
        found += [_Read(NAMED, partial(_named, cluster, kind.name, space), f"{kind.name} {space}") for kind in KINDS]
        here = [router for router in routers if router.namespace == space]
        found += [
            _Read(_CONFIGS, partial(_configs, cluster, space), space),
            _Read(QUOTAS, partial(cluster.find, "ResourceQuota", space), space),
            _Read(POLICIES, partial(cluster.find, "NetworkPolicy", space), space),
            _Read(PERMISSIONS, partial(_missing_permissions, cluster, here), space),
        ]
        if trials:
            pods = {pod_trial(router): router for router in here}
            found += [
                _Read(TRIALS, partial(_trial, cluster, "Pod", space, trial_pod(router)), key)
                for key, router in pods.items()
            ]
        services = {router.families: router for router in here}
        found += [
            _Read(SERVICE_TRIALS, partial(_trial, cluster, "Service", space, trial_service(router)), (space, families))
            for families, router in services.items()
        ]
    return found


def _pods(cluster: Cluster) -> list[Pod]:
    """The running pods of the cluster in the API server's own short form: whole pods would be kilobytes each."""
    found = []
    for row in cluster.table("Pod", fields=_RUNNING):
        metadata, cells = row["metadata"], row["cells"]
        status = (metadata.get("annotations") or {}).get(NETWORK_STATUS, "")
        ips = [cells.get("IP") or "", *_ips_of_networks(status)]
        found.append(
            Pod(
                metadata["namespace"],
                metadata["name"],
                cells.get("Node") or "",
                tuple(dict.fromkeys(ip for ip in ips if ip and ip != "<none>")),
                metadata.get("labels") or {},
                bool(status),
            )
        )
    return found


def _api_server(cluster: Cluster) -> list[tuple[str, int]]:
    """To what the address of the Service kubernetes is translated before network policies look."""
    slices = cluster.find("EndpointSlice", "default", labels="kubernetes.io/service-name=kubernetes")
    return [
        (address, port["port"])
        for item in slices
        for endpoint in item.get("endpoints") or ()
        for address in endpoint.get("addresses") or ()
        for port in item.get("ports") or ()
        if port.get("port")
    ]


def _ips_of_networks(status: str) -> list[str]:
    """The addresses in the annotation that a meta-plugin writes."""
    try:
        return [ip for network in json.loads(status) for ip in network.get("ips") or ()] if status else []
    except (ValueError, AttributeError, TypeError):
        return []


def _named(cluster: Cluster, kind: str, space: str) -> list[Named]:
    try:
        items = cluster.find(kind, space, metadata_only=True)
    except NotFound:
        return []  # The cluster does not serve the kind.
    metadata = [item["metadata"] for item in items]
    return [Named(kind, space, item["name"], item.get("labels") or {}) for item in metadata]


def _configs(cluster: Cluster, space: str) -> list[dict[str, Any]]:
    try:
        return cluster.find("NetworkAttachmentDefinition", space, labels=names.SELECTOR)
    except NotFound:
        return []


def _deployed(found: router_info.Facts, configs: dict[Any, dict[str, Any]]) -> Deployed:
    spec = (((found.deployment or {}).get("spec") or {}).get("template") or {}).get("spec") or {}
    config = configs.get((found.namespace, found.name), {}).get("spec") or {}
    return Deployed(
        namespace=found.namespace,
        name=found.name,
        has_deployment=found.deployment is not None,
        identity=found.identity,
        live_mac=found.status.mac if found.serving else "",
        image=found.container.get("image") or "",
        node_selector=spec.get("nodeSelector") or {},
        network_config=config.get("config") or "",
        serving=found.serving,
    )


def _quota(item: dict[str, Any]) -> Quota:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    return Quota(
        item["metadata"]["namespace"],
        item["metadata"]["name"],
        _quantities(status.get("hard") or spec.get("hard") or {}),
        _quantities(status.get("used") or {}),
        # Not those for pods of best effort, for ending ones, and of a priority class.
        not spec.get("scopeSelector") and not {"BestEffort", "Terminating"} & set(spec.get("scopes") or ()),
    )


def _amounts(router: Router) -> dict[str, Decimal]:
    """What a pod of the router takes of the resources of a quota, which also counts requests by the plain name."""
    requests, limits = (_quantities(router.resources.get(key) or {}) for key in ("requests", "limits"))
    return {
        **requests,
        **{f"requests.{key}": amount for key, amount in requests.items()},
        **{f"limits.{key}": amount for key, amount in limits.items()},
    }


def _quantities(texts: Mapping[str, Any]) -> dict[str, Decimal]:
    found = {}
    for key, text in texts.items():
        # What is not a quantity, the API server refuses.
        with suppress(ValueError):
            found[key] = quantity(text)
    return found


def _identity(cluster: Cluster) -> str:
    try:
        answer = cluster.create("SelfSubjectReview", None, {})
    except ApiError:
        return ""  # An API server before 1.28.
    return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "")


def _missing_permissions(cluster: Cluster, routers: list[Router]) -> tuple[str, ...]:
    """What the identity lacks in the routers' namespace by its rules there, or if those are incomplete, by asking."""
    space = routers[0].namespace
    answer = cluster.create("SelfSubjectRulesReview", None, {"spec": {"namespace": space}})
    status = answer.get("status") or {}
    lacking = permissions.missing(routers, status.get("resourceRules") or ())
    if status.get("incomplete"):
        return denied(cluster, lacking, space)
    return tuple(map(permissions.described, lacking))


def denied(cluster: Cluster, wanted: list[Permission], namespace: str) -> tuple[str, ...]:
    """What the API server does not permit of what is wanted, in words. `namespace` empty: in the whole cluster."""

    def ask(permission: Permission) -> bool:
        body = {"spec": {"resourceAttributes": permissions.attributes(permission, namespace)}}
        return bool((cluster.create("SelfSubjectAccessReview", None, body).get("status") or {}).get("allowed"))

    answers = zip(wanted, each(ask, wanted), strict=True)
    return tuple(permissions.described(permission) for permission, allowed in answers if not allowed)


def _trial(cluster: Cluster, kind: str, space: str, body: dict[str, Any]) -> Refusal | None:
    """Why the API server refuses an object, by a dry run; None if it accepts it."""
    try:
        made = cluster.create(kind, space, body, dry_run=True)
    except NotFound:
        return None  # The namespace does not exist yet.
    except ApiError as error:
        # A missing permission is not a refusal.
        if isinstance(error, Forbidden) and not isinstance(error, Denied):
            raise
        return Refusal(error.said)
    # What belongs to a feature that is switched off, it leaves out without a word.
    ignored = body["spec"].get("hostUsers") is False and (made.get("spec") or {}).get("hostUsers") is None
    return Refusal("", Refusal.NO_USER_NAMESPACES) if ignored else None
