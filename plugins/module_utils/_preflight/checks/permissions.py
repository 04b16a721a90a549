# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What provision does in the cluster, and whether the identity in use may do it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..._router.router import Router
from ..facts import RIGHTS, Facts
from ..finding import ERROR, Check, Finding, Part

_RBAC, _COORDINATION, _DISCOVERY = "rbac.authorization.k8s.io", "coordination.k8s.io", "discovery.k8s.io"
_ATTACHMENT = "k8s.cni.cncf.io"

# By server-side apply: read, then made or changed.
_APPLIED = (
    ("", "serviceaccounts"), (_RBAC, "roles"), (_RBAC, "rolebindings"), ("", "configmaps"), (_ATTACHMENT, "network-attachment-definitions"),
    (_COORDINATION, "leases"), ("apps", "deployments"), ("", "services"), (_DISCOVERY, "endpointslices"),
)  # fmt: skip
# Looking whether the routers serve, and loading their rules.
_OTHERS = (
    ("list", _COORDINATION, "leases"), ("list", "apps", "deployments"), ("list", "", "pods"), ("list", "", "configmaps"),
    ("list", "", "services"), ("update", "", "configmaps"),
)  # fmt: skip
# Nobody may grant what he has not (https://kubernetes.io/docs/reference/access-authn-authz/rbac/, privilege escalation
# prevention): what roles/deploy gives to the agent, unless roles may be escalated and bound.
_GRANTED = (
    *((verb, "", "configmaps") for verb in ("get", "list", "watch")),
    *((verb, _COORDINATION, "leases") for verb in ("get", "update", "patch")),
    *((verb, _DISCOVERY, "endpointslices") for verb in ("get", "patch")),
    *((verb, _DISCOVERY, "endpointslices/restricted") for verb in ("get", "patch")),
)


@dataclass(frozen=True)
class Right:
    """A verb on a resource of an API group in a namespace (empty: in the cluster)."""

    verb: str
    group: str
    resource: str
    namespace: str = ""

    def __str__(self) -> str:
        name, _slash, below = self.resource.partition("/")
        full = f"{name}.{self.group}" if self.group else name
        return f"{self.verb} {full}/{below}" if below else f"{self.verb} {full}"

    def attributes(self) -> dict[str, str]:
        """For a SelfSubjectAccessReview."""
        name, _slash, below = self.resource.partition("/")
        found = {"verb": self.verb, "group": self.group, "resource": name, "namespace": self.namespace}
        return {**found, "subresource": below} if below else found


def needed(namespace: str) -> list[Right]:
    """What provision does in a namespace."""
    wanted = [(verb, group, resource) for group, resource in _APPLIED for verb in ("get", "create", "patch")]
    return [Right(verb, group, resource, namespace) for verb, group, resource in (*wanted, *_OTHERS)]


def granted(namespace: str) -> list[Right]:
    """What the identity has to have itself to give it to the routers' agents."""
    return [Right(verb, group, resource, namespace) for verb, group, resource in _GRANTED]


def escalation(namespace: str) -> list[Right]:
    """What makes up for lacking `granted`."""
    return [Right("escalate", _RBAC, "roles", namespace), Right("bind", _RBAC, "roles", namespace)]


def allowed(right: Right, rules: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of the rules of a SelfSubjectRulesReview gives a right for every name."""
    return any(
        _has(rule.get("verbs"), right.verb)
        and _has(rule.get("apiGroups"), right.group)
        and _has_resource(rule.get("resources"), right.resource)
        and not rule.get("resourceNames")
        for rule in rules
    )


def missing(namespace: str, rules: Iterable[Mapping[str, Any]]) -> list[Right]:
    """The rights that the rules do not give."""
    rules = list(rules)
    wanted = needed(namespace)
    if not all(allowed(right, rules) for right in escalation(namespace)):
        wanted += granted(namespace)
    return [right for right in dict.fromkeys(wanted) if not allowed(right, rules)]


def _has(values: Iterable[str] | None, value: str) -> bool:
    found = list(values or ())
    return value in found or "*" in found


def _has_resource(values: Iterable[str] | None, resource: str) -> bool:
    _name, slash, below = resource.partition("/")
    return _has(values, resource) or bool(slash and f"*/{below}" in list(values or ()))


def _ask(facts: Facts) -> Iterator[Finding]:
    for namespace, lacking in facts.missing_rights.items():
        where = f"in namespace {namespace}" if namespace else "in the cluster"
        if lacking:
            yield Finding(
                "permissions", ERROR, f"{facts.identity or 'the identity in use'} may not {', '.join(lacking)} {where}",
                "every right that provision needs", f"grant them with a {'Role' if namespace else 'ClusterRole'} and a "
                f"{'RoleBinding' if namespace else 'ClusterRoleBinding'}",
                tuple(router.id for router in facts.routers if _concerns(router, namespace)),
            )  # fmt: skip


def _concerns(router: Router, namespace: str) -> bool:
    return namespace in ("", router.namespace)


CHECK = Check("permissions", "the identity in use has every right that provision needs", (Part((RIGHTS,), _ask),))
