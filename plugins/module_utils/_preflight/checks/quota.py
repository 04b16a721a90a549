# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether the quotas of the namespaces leave enough for the new routers of the list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal

from ..._router.manifests import KIND, manifests
from ..._router.router import Router
from ..facts import QUOTAS, ROUTERS, TRIALS, Facts, Refusal
from ..finding import ERROR, Check, Finding, Part

# Resources that quotas also count by a plain name (https://kubernetes.io/docs/concepts/policy/resource-quotas/).
_PLAIN = ("configmaps", "services")


def _left(facts: Facts) -> Iterator[Finding]:
    for quota in facts.quotas:
        routers = [router for router in facts.routers if router.namespace == quota.namespace and facts.is_new(router)]
        if not routers or not quota.covers_routers:
            continue
        needed = _needs(facts, routers)
        for key, hard in quota.hard.items():
            left = hard - quota.used.get(key, Decimal(0))
            if needed[key] > left:
                yield Finding(
                    "quota", ERROR,
                    f"quota {quota.name} of namespace {quota.namespace} leaves {_shown(left)} of {key}, but the routers need "
                    f"{_shown(needed[key])}", "enough for all routers of the list",
                    "Have the quota raised, or lower resources or replicas", tuple(router.id for router in routers),
                )  # fmt: skip


def _required(facts: Facts) -> Iterator[Finding]:
    """A quota of a resource refuses pods that do not say how much of it they take."""
    for router in facts.routers:
        refusal = facts.refusal(router)
        if refusal and refusal.by == Refusal.QUOTA_FAILED and facts.is_new(router):
            yield Finding(
                "quota", ERROR, f"the API server refuses a pod like the router's: {refusal.said}",
                "that the router's resources have what the quota asks for", "Add it to resources", (router.id,),
            )  # fmt: skip


def _needs(facts: Facts, routers: list[Router]) -> Mapping[str, Decimal]:
    """What new routers take of each resource of a quota."""
    found: defaultdict[str, Decimal] = defaultdict(Decimal)
    for router in routers:
        for kind in (KIND[manifest["kind"]] for manifest in manifests(router)):
            found[f"count/{kind.plural}.{kind.group}" if kind.group else f"count/{kind.plural}"] += 1
            found[kind.plural] += kind.plural in _PLAIN
        found["count/replicasets.apps"] += 1
        pod = {"pods": Decimal(1), "count/pods": Decimal(1), **facts.amounts.get(router.id, {})}
        for key, amount in pod.items():
            found[key] += amount * router.replicas
    return found


def _shown(number: Decimal) -> str:
    return f"{number.normalize():f}"


CHECK = Check("quota", "the quotas leave enough", (Part((QUOTAS, ROUTERS), _left), Part((TRIALS, ROUTERS), _required)))
