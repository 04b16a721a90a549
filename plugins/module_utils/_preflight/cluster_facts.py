# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Reads what preflight has to know of a cluster, all at once. What the identity may not read is noted, with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .._common.concurrent import each
from .._common.errors import ApiError, Denied, Forbidden, NotFound
from .._contract import names
from .._kubernetes import router_info
from .._kubernetes.cluster import Cluster
from .._router import view
from .._router.router import Router
from .checks import permissions
from .facts import (
    ATTACHMENT_API,
    NAMED,
    NAMESPACES,
    NODES,
    PODS,
    POLICIES,
    QUOTAS,
    RIGHTS,
    ROUTERS,
    SERVICE_TRIALS,
    SERVICES,
    TRIALS,
    Deployed,
    Facts,
    Named,
    Pod,
    Settings,
)

_KINDS = (
    "ServiceAccount", "Role", "RoleBinding", "ConfigMap", "NetworkAttachmentDefinition", "Lease", "Deployment", "Service",
    "EndpointSlice",
)  # fmt: skip
_STATUS = "k8s.v1.cni.cncf.io/network-status"
# Pods that have ended have given their addresses back.
_RUNNING = "status.phase!=Succeeded,status.phase!=Failed"
_IDENTITY, _CONFIGS = "identity", "network configurations"


@dataclass(frozen=True)
class _Read:
    """One thing to read: which of the facts it is a part of, and how. `part`: such as a namespace, or empty."""

    key: str
    ask: Callable[[], Any]
    part: Hashable = ""


@dataclass
class _Answers:
    """What was read, by key and then by part, and why what is missing could not be read."""

    found: dict[str, dict[Any, Any]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    def one(self, key: str, default: Any) -> Any:
        return self.found.get(key, {}).get("", default)

    def all(self, key: str) -> list[Any]:
        """The items of all parts."""
        return [item for items in self.found.get(key, {}).values() for item in items]


def read(cluster: Cluster, routers: list[Router], settings: Settings) -> Facts:
    """The cluster's part of the facts."""
    spaces = list(dict.fromkeys(router.namespace for router in routers))
    answers = _ask([*_of_cluster(cluster), *_of_namespaces(cluster, spaces, routers)])
    if ROUTERS in answers.unread:
        # Those of other namespaces stay unknown.
        own = _ask([_Read(ROUTERS, partial(router_info.read, cluster, None, list(spaces)))])
        answers.found.update(own.found)
    namespaces = {item["metadata"]["name"]: item for item in answers.one(NAMESPACES, [])}
    unread = dict(answers.unread)
    absent = [space for space in spaces if space not in namespaces and NAMESPACES not in unread]
    rights = answers.found.get(RIGHTS, {})
    if absent and settings.create_namespaces:
        rights[""] = _denied(cluster, [permissions.Right("create", "", "namespaces")])
    configs = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in answers.all(_CONFIGS)}
    return Facts(
        routers=tuple(routers),
        nodes=tuple(answers.one(NODES, [])),
        pods=tuple(answers.one(PODS, [])),
        services=tuple(answers.one(SERVICES, [])),
        namespaces=namespaces,
        deployed={one.id: one for one in (_deployed(item, configs) for item in answers.one(ROUTERS, []))},
        named=tuple(answers.all(NAMED)),
        attachment_api=answers.one(ATTACHMENT_API, True),
        quotas=tuple(answers.all(QUOTAS)),
        policies=tuple(answers.all(POLICIES)),
        missing_rights=rights,
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
        _Read(_IDENTITY, partial(_identity, cluster)),
    ]


def _of_namespaces(cluster: Cluster, spaces: list[str], routers: list[Router]) -> list[_Read]:
    found = []
    for space in spaces:
        found += [_Read(NAMED, partial(_named, cluster, kind, space), f"{kind} {space}") for kind in _KINDS]
        first = next(router for router in routers if router.namespace == space)
        found += [
            _Read(_CONFIGS, partial(_configs, cluster, space), space),
            _Read(QUOTAS, partial(cluster.find, "ResourceQuota", space), space),
            _Read(POLICIES, partial(cluster.find, "NetworkPolicy", space), space),
            _Read(RIGHTS, partial(_missing_rights, cluster, space), space),
            _Read(TRIALS, partial(_trial, cluster, "Pod", space, _pod(first)), space),
        ]
        services = {router.families: router for router in routers if router.namespace == space}
        found += [
            _Read(SERVICE_TRIALS, partial(_trial, cluster, "Service", space, _service(router)), (space, families))
            for families, router in services.items()
        ]
    return found


def _pods(cluster: Cluster) -> list[Pod]:
    """The running pods of the cluster in the API server's own short form: whole pods would be kilobytes each."""
    found = []
    for row in cluster.table("Pod", fields=_RUNNING):
        metadata, cells = row["metadata"], row["cells"]
        status = (metadata.get("annotations") or {}).get(_STATUS, "")
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


def _ips_of_networks(status: str) -> list[str]:
    """The addresses in the annotation that a network-attachment plugin writes."""
    try:
        return [ip for network in json.loads(status) for ip in network.get("ips") or ()] if status else []
    except (ValueError, AttributeError, TypeError):
        return []


def _named(cluster: Cluster, kind: str, space: str) -> list[Named]:
    try:
        items = cluster.find(kind, space, metadata_only=True)
    except NotFound:
        return []  # The cluster does not know the kind.
    metadata = [item["metadata"] for item in items]
    return [Named(kind, space, item["name"], item.get("labels") or {}) for item in metadata]


def _configs(cluster: Cluster, space: str) -> list[dict[str, Any]]:
    try:
        return cluster.find("NetworkAttachmentDefinition", space, labels=names.SELECTOR)
    except NotFound:
        return []


def _deployed(found: router_info.Facts, configs: dict[Any, dict[str, Any]]) -> Deployed:
    spec = (((found.deployment or {}).get("spec") or {}).get("template") or {}).get("spec") or {}
    container = next(iter(spec.get("containers") or ()), {})
    arguments = [str(argument) for argument in container.get("args") or ()]
    macs = [text.partition("=")[2] for text in arguments if text.startswith("--mac=")]
    config = configs.get((found.namespace, found.name), {}).get("spec") or {}
    return Deployed(
        namespace=found.namespace,
        name=found.name,
        has_deployment=found.deployment is not None,
        ips=tuple(text.partition("=")[2].partition("/")[0] for text in arguments if text.startswith("--address=")),
        macs=tuple(dict.fromkeys([*macs, *([found.status.mac] if found.status.mac and found.serving else [])])),
        image=container.get("image") or "",
        node_selector=spec.get("nodeSelector") or {},
        network_config=config.get("config") or "",
        serving=found.serving,
        node=found.status.node,
    )


def _identity(cluster: Cluster) -> str:
    try:
        answer = cluster.create("SelfSubjectReview", None, {})
    except ApiError:
        return ""  # An API server before 1.28.
    return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "")


def _missing_rights(cluster: Cluster, space: str) -> tuple[str, ...]:
    """What the identity may not do in a namespace, by its rules there. Where those are not all, it is asked one by one."""
    answer = cluster.create("SelfSubjectRulesReview", None, {"spec": {"namespace": space}})
    status = answer.get("status") or {}
    lacking = permissions.missing(space, status.get("resourceRules") or ())
    return _denied(cluster, lacking) if status.get("incomplete") else tuple(map(str, lacking))


def _denied(cluster: Cluster, rights: list[permissions.Right]) -> tuple[str, ...]:
    def ask(right: permissions.Right) -> bool:
        body = {"spec": {"resourceAttributes": right.attributes()}}
        return bool((cluster.create("SelfSubjectAccessReview", None, body).get("status") or {}).get("allowed"))

    return tuple(str(right) for right, allowed in zip(rights, each(ask, rights), strict=True) if not allowed)


def _trial(cluster: Cluster, kind: str, space: str, body: dict[str, Any]) -> str:
    """Why the API server would not take an object, by a dry run; empty if it would."""
    try:
        cluster.create(kind, space, body, dry_run=True)
    except NotFound:
        return ""  # There is no such namespace yet.
    except Forbidden as error:
        # A lack of rights is another matter than a refusal.
        if not isinstance(error, Denied):
            raise
        return str(error).partition(": ")[2]
    except ApiError as error:
        return str(error).partition(": ")[2]
    return ""


def _service(router: Router) -> dict[str, Any]:
    """What depends on the cluster of the Service that roles/deploy makes."""
    service = view.view(router)["service"]
    return {
        "metadata": {"generateName": f"{service['name']}-"},
        "spec": {
            "ipFamilies": service["ip_families"],
            "ipFamilyPolicy": service["ip_family_policy"],
            "ports": [{"name": "trial", "port": 80}],
        },
    }


def _pod(router: Router) -> dict[str, Any]:
    """What matters to admission of the pod that roles/deploy makes."""
    container = {
        "name": "router",
        "image": router.image,
        "resources": router.resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
            "readOnlyRootFilesystem": True,
            "runAsUser": 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "metadata": {"generateName": f"{router.name}-", "labels": view.selector(router.name)},
        "spec": {"automountServiceAccountToken": False, "containers": [container]},
    }
