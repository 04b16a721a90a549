# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether the routers' namespaces take the routers: that they exist, Pod Security, quota, network policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from ..._router import view
from ..._router.router import Router
from ..facts import NAMESPACES, POLICIES, QUOTAS, ROUTERS, SERVICE_TRIALS, TRIALS, Facts, name_of
from ..finding import ERROR, Check, Finding, Part
from .quantity import quantity

_LEVEL = "pod-security.kubernetes.io/enforce"
# What the API server says when it refuses a pod.
_SECURITY = "violates PodSecurity"
_QUOTA = ("exceeded quota", "failed quota")


def _exists(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        found = facts.namespaces.get(router.namespace)
        if found is None and not facts.settings.create_namespaces:
            yield Finding(
                "namespace", ERROR, f"there is no namespace {router.namespace}", "the router's namespace",
                "create it, or set deploy_create_namespaces to true", (router.id,),
            )  # fmt: skip
        elif found is not None and found["metadata"].get("deletionTimestamp"):
            yield Finding(
                "namespace", ERROR, f"namespace {router.namespace} is being deleted", "one that stays",
                "wait until it is gone and create it again", (router.id,),
            )  # fmt: skip


def _level(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        labels = facts.namespaces.get(router.namespace, {}).get("metadata", {}).get("labels") or {}
        if labels.get(_LEVEL) in ("baseline", "restricted"):
            yield _refused(router, f"namespace {router.namespace} enforces Pod Security level {labels[_LEVEL]}")


def _trial(facts: Facts) -> Iterator[Finding]:
    """What the API server itself says of a router's pod: a dry run."""
    labelled = {finding.routers for finding in _level(facts)}
    for router in facts.routers:
        said = facts.trials.get(router.namespace, "")
        if _SECURITY in said and (router.id,) not in labelled:
            yield _refused(router, f"namespace {router.namespace} refuses such a pod: {said}")


def _refused(router: Router, seen: str) -> Finding:
    return Finding(
        "pod_security", ERROR, seen, "level privileged: the router's pod adds NET_ADMIN and NET_RAW, nothing else",
        f"kubectl label namespace {router.namespace} --overwrite {_LEVEL}=privileged, or choose another namespace",
        (router.id,),
    )  # fmt: skip


def _admission(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        said = facts.trials.get(router.namespace, "")
        if said and _SECURITY not in said and not any(word in said for word in _QUOTA):
            yield Finding(
                "admission", ERROR, f"the API server refuses a router's pod: {said}", "that it admits one",
                "change the policy that it names, or choose another namespace", (router.id,),
            )  # fmt: skip


def _service(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        said = facts.service_trials.get((router.namespace, router.families), "")
        if said and facts.is_new(router) and not any(word in said for word in _QUOTA):
            families = " and ".join(f"IPv{family}" for family in router.families)
            yield Finding(
                "service", ERROR, f"the API server refuses a Service for {families}: {said}",
                "that the cluster has Services of the egress address's families",
                "give the router an address of the cluster's own family alone, or make the cluster dual-stack", (router.id,),
            )  # fmt: skip


def _quota(facts: Facts) -> Iterator[Finding]:
    for quota in facts.quotas:
        namespace = quota["metadata"]["namespace"]
        routers = [router for router in facts.routers if router.namespace == namespace and facts.is_new(router)]
        spec, status = quota.get("spec") or {}, quota.get("status") or {}
        if not routers or _is_for_other_pods(spec):
            continue
        used, needed = status.get("used") or {}, _needs(routers)
        for key, hard in (status.get("hard") or spec.get("hard") or {}).items():
            want = needed.get(key, Decimal(0))
            left = quantity(hard) - quantity(used.get(key, 0))
            if want > left:
                yield Finding(
                    "quota", ERROR,
                    f"quota {name_of(quota)} of namespace {namespace} leaves {_shown(left)} of {key}, the routers need "
                    f"{_shown(want)}", "enough for all routers of the list",
                    "have the quota raised, or lower resources or replicas", tuple(router.id for router in routers),
                )  # fmt: skip
    for router in facts.routers:
        said = facts.trials.get(router.namespace, "")
        if _QUOTA[1] in said and facts.is_new(router):
            yield Finding(
                "quota", ERROR, f"the API server refuses a router's pod: {said}", "that its resources fit the quota",
                "set what it asks for in resources", (router.id,),
            )  # fmt: skip


def _is_for_other_pods(spec: Mapping[str, Any]) -> bool:
    """Whether the quota is for pods that routers are not: best effort ones, ending ones, those of a priority class."""
    return bool(spec.get("scopeSelector")) or bool({"BestEffort", "Terminating"} & set(spec.get("scopes") or ()))


def _needs(routers: list[Router]) -> dict[str, Decimal]:
    """What new routers take of each of a quota's resources."""
    found: dict[str, Decimal] = {}

    def add(count: Decimal, *keys: str) -> None:
        for key in keys:
            found[key] = found.get(key, Decimal(0)) + count

    one = Decimal(1)
    for router in routers:
        replicas = Decimal(router.replicas)
        add(replicas, "pods", "count/pods")
        add(one, "services", "count/services", "configmaps", "count/configmaps", "count/serviceaccounts")
        add(one, "count/deployments.apps", "count/replicasets.apps", "count/leases.coordination.k8s.io")
        add(one, "count/roles.rbac.authorization.k8s.io", "count/rolebindings.rbac.authorization.k8s.io")
        for kind in ("requests", "limits"):
            for resource, amount in (router.resources.get(kind) or {}).items():
                keys = [f"{kind}.{resource}"] + ([resource] if kind == "requests" else [])
                try:
                    add(quantity(amount) * replicas, *keys)
                except ValueError:
                    continue  # The API server will say what it thinks of it.
    return found


def _policies(facts: Facts) -> Iterator[Finding]:
    """Network policies add up: what any of those that select a pod lets through comes through."""
    for router in facts.routers:
        mine = [policy for policy in facts.policies if _selects(policy, router)]
        inward = [policy for policy in mine if "Ingress" in _types(policy)]
        outward = [policy for policy in mine if "Egress" in _types(policy)]
        if inward and not any((policy.get("spec") or {}).get("ingress") for policy in inward):
            yield _cut_off(router, inward, "let nothing in, so no client reaches it", "one that lets its clients in")
        rules = [rule for policy in outward for rule in (policy.get("spec") or {}).get("egress") or ()]
        # The API server is no pod: only an address block or no destination at all includes it.
        reaching = [rule for rule in rules if not rule.get("to") or any(peer.get("ipBlock") for peer in rule["to"])]
        if outward and not reaching:
            what = "let nothing out" if not rules else "let it out to pods only"
            yield _cut_off(
                router, outward, f"{what}, so its agent does not reach the API server", "one that lets it out to that",
            )  # fmt: skip


def _cut_off(router: Router, policies: list[Mapping[str, Any]], what: str, expected: str) -> Finding:
    names = ", ".join(name_of(policy) for policy in policies)
    return Finding(
        "network_policy", ERROR, f"the network policies {names} of namespace {router.namespace} {what}", expected,
        f"add a network policy for pods with the label app.kubernetes.io/instance={router.name}", (router.id,),
    )  # fmt: skip


def _types(policy: Mapping[str, Any]) -> list[str]:
    spec = policy.get("spec") or {}
    return list(spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]))


def _selects(policy: Mapping[str, Any], router: Router) -> bool:
    """https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.34/#labelselector-v1-meta"""
    if policy["metadata"]["namespace"] != router.namespace:
        return False
    labels = view.selector(router.name)
    selector = (policy.get("spec") or {}).get("podSelector") or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_matches(item, labels) for item in selector.get("matchExpressions") or ())


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(expression["operator"], False)


def _shown(number: Decimal) -> str:
    return f"{number.normalize():f}"


CHECKS = (
    Check("namespace", "every namespace exists or will be made", (Part((NAMESPACES,), _exists),)),
    Check("pod_security", "Pod Security lets NET_ADMIN in", (Part((NAMESPACES,), _level), Part((TRIALS,), _trial))),
    Check("admission", "the API server admits a router's pod", (Part((TRIALS,), _admission),)),
    Check("service", "the API server takes the routers' Services", (Part((SERVICE_TRIALS,), _service),)),
    Check("quota", "the quotas leave enough", (Part((QUOTAS, ROUTERS), _quota),)),
    Check("network_policy", "no network policy cuts a router off", (Part((POLICIES,), _policies),)),
)
