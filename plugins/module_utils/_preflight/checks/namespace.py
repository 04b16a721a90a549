# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether the routers' namespaces exist, and whether the API server accepts routers there."""

from __future__ import annotations

from collections.abc import Iterator

from ..._router.router import Router
from ..facts import NAMESPACES, SERVICE_TRIALS, TRIALS, Facts, Refusal
from ..finding import ERROR, Check, Finding, Part
from . import openshift
from .openshift import LEVEL as _LEVEL


def _exists(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        found = facts.namespaces.get(router.namespace)
        if found is None and not facts.settings.create_namespaces:
            yield Finding(
                "namespace", ERROR, f"there is no namespace {router.namespace}", "the namespace of the router",
                "Create it, or set deploy_create_namespaces to true", (router.id,),
            )  # fmt: skip
        elif found is not None and found["metadata"].get("deletionTimestamp"):
            yield Finding(
                "namespace", ERROR, f"namespace {router.namespace} is being deleted", "a namespace that stays",
                "Wait until it is gone, then create it again", (router.id,),
            )  # fmt: skip


def _level(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers if not facts.openshift else ():
        labels = facts.namespaces.get(router.namespace, {}).get("metadata", {}).get("labels") or {}
        if labels.get(_LEVEL) in ("baseline", "restricted"):
            yield _violates(router, f"namespace {router.namespace} enforces Pod Security level {labels[_LEVEL]}")


def _default_level(facts: Facts) -> Iterator[Finding]:
    """The level of namespaces without the label is known to the API server alone."""
    labelled = {finding.routers for finding in _level(facts)}
    for router in facts.routers:
        refusal = facts.refusal(router)
        if refusal and refusal.by == Refusal.POD_SECURITY and (router.id,) not in labelled:
            yield _violates(router, f"namespace {router.namespace} refuses a pod like the router's: {refusal.said}")


def _violates(router: Router, seen: str) -> Finding:
    return Finding(
        "pod_security", ERROR, seen, "level privileged: the router's pod adds NET_ADMIN and NET_RAW, and nothing else",
        f"Run kubectl label namespace {router.namespace} --overwrite {_LEVEL}=privileged, or choose another namespace",
        (router.id,),
    )  # fmt: skip


def _admission(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        refusal = facts.refusal(router)
        if refusal and refusal.by == Refusal.OTHERS:
            yield Finding(
                "admission", ERROR, f"the API server refuses a pod like the router's: {refusal.said}", "that it accepts one",
                "Change the policy that it names, or choose another namespace", (router.id,),
            )  # fmt: skip


def _service(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        refusal = facts.service_trials.get((router.namespace, router.families))
        if refusal and refusal.by == Refusal.OTHERS and facts.is_new(router):
            families = " and ".join(f"IPv{family}" for family in router.families)
            yield Finding(
                "service", ERROR, f"the API server refuses a Service for {families}: {refusal.said}",
                "a cluster that supports Services of the egress addresses' families",
                "Give the router only an address of the cluster's own family, or make the cluster dual-stack", (router.id,),
            )  # fmt: skip


CHECKS = (
    Check("namespace", "every namespace exists, or will be created", (Part((NAMESPACES,), _exists),)),
    Check(
        "pod_security", "Pod Security permits NET_ADMIN",
        (Part((NAMESPACES,), _level), Part((NAMESPACES,), openshift.pod_security), Part((TRIALS,), _default_level)),
    ),
    Check("admission", "the API server accepts a pod like the routers'", (Part((TRIALS,), _admission),)),
    Check("service", "the API server accepts the routers' Services", (Part((SERVICE_TRIALS,), _service),)),
)  # fmt: skip
