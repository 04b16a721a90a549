# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether the identity in use has the permissions that provision needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..._router.manifests import Permission, agent_permissions, needed_permissions
from ..._router.router import Router
from ..facts import PERMISSIONS, Facts
from ..finding import ERROR, Check, Finding, Part

CREATE_NAMESPACES = Permission("create", "", "namespaces")
# Nobody may grant what he does not have himself, unless he has these
# (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping).
_ESCALATION = tuple(Permission(verb, "rbac.authorization.k8s.io", "roles") for verb in ("escalate", "bind"))


def missing(routers: Iterable[Router], rules: Iterable[Mapping[str, Any]]) -> list[Permission]:
    """What the rules of a SelfSubjectRulesReview do not permit of what provision does in the namespace of these routers."""
    routers, rules = list(routers), list(rules)
    wanted = needed_permissions(routers)
    if not all(_permitted(permission, rules) for permission in _ESCALATION):
        wanted += [permission for router in routers for permission in agent_permissions(router)]
    return unpermitted(wanted, rules)


def unpermitted(wanted: Iterable[Permission], rules: Iterable[Mapping[str, Any]]) -> list[Permission]:
    """What rules do not permit of what is wanted."""
    rules = list(rules)
    return [permission for permission in dict.fromkeys(wanted) if not _permitted(permission, rules)]


def described(permission: Permission) -> str:
    """`create deployments.apps`, `create endpointslices.discovery.k8s.io/restricted`, `use things.example.com named NAME`."""
    name, slash, below = permission.resource.partition("/")
    which = f" named {permission.name}" if permission.name else ""
    return f"{permission.verb} {name}{f'.{permission.group}' if permission.group else ''}{slash}{below}{which}"


def attributes(permission: Permission, namespace: str) -> dict[str, str]:
    """For a SelfSubjectAccessReview. `namespace` empty: in the whole cluster."""
    name, slash, below = permission.resource.partition("/")
    found = {"verb": permission.verb, "group": permission.group, "resource": name, "namespace": namespace}
    found |= {"name": permission.name} if permission.name else {}
    return {**found, "subresource": below} if slash else found


def _permitted(permission: Permission, rules: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of the rules gives the permission, for objects of any name if it has none."""
    return any(
        _has(rule.get("verbs"), permission.verb)
        and _has(rule.get("apiGroups"), permission.group)
        and _has_resource(rule.get("resources"), permission.resource)
        and (not rule.get("resourceNames") or permission.name in rule["resourceNames"])
        for rule in rules
    )


def _has(values: Iterable[str] | None, value: str) -> bool:
    return bool({value, "*"} & set(values or ()))


def _has_resource(values: Iterable[str] | None, resource: str) -> bool:
    _name, slash, below = resource.partition("/")
    return _has(values, resource) or bool(slash and f"*/{below}" in (values or ()))


def _ask(facts: Facts) -> Iterator[Finding]:
    for namespace, lacking in facts.missing_permissions.items():
        if lacking:
            where, kind = (f"in namespace {namespace}", "Role") if namespace else ("in the cluster", "ClusterRole")
            yield Finding(
                "permissions", ERROR, f"{facts.identity or 'the identity in use'} may not {', '.join(lacking)} {where}",
                "all permissions that provision needs", f"Grant them with a {kind} and a {kind}Binding",
                tuple(router.id for router in facts.routers if namespace in ("", router.namespace)),
            )  # fmt: skip


CHECK = Check(
    "permissions", "the identity in use has all permissions that provision needs", (Part((PERMISSIONS,), _ask),)
)
