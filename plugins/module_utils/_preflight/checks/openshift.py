# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What OpenShift has in addition: constraints of security contexts, a list of sysctls, a syncer of labels, an operator's network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..._router.manifests import sysctls
from ..._router.openshift import file_name, what_to_run
from ..facts import Facts
from ..finding import ERROR, INFO, WARNING, Check, Finding, Part
from .cloud import cloud_of

LEVEL = "pod-security.kubernetes.io/enforce"
_SYNC = "security.openshift.io/scc.podSecurityLabelSync"
_SYNCER = "pod-security-admission-label-synchronization-controller"
_NEVER_SYNCED = ("default", "kube-node-lease", "kube-public", "kube-system", "openshift")
# Platforms of OpenShift that are clouds without layer 2.
_CLOUDS = {
    "AWS": "AWS",
    "AlibabaCloud": "Alibaba Cloud",
    "Azure": "Azure",
    "GCP": "Google Cloud",
    "IBMCloud": "IBM Cloud",
    "PowerVS": "IBM Power Virtual Server",
}
_NETWORK_TYPE = "OVNKubernetes"


def _constraints(facts: Facts) -> Iterator[Finding]:
    if not facts.openshift:
        return
    admitted = {review.allowed_by for review in facts.openshift.reviews}
    for router in facts.routers:
        name = router.security_context_constraints
        expected = "those by which OpenShift admits the router's pods"
        there = facts.openshift.constraints.get(name)
        if there is None and name not in admitted:
            reason = facts.openshift.unread.get("constraints", "nobody asked")
            yield Finding(
                "security_context_constraints", WARNING, f"whether there are SecurityContextConstraints {name} is unknown: {reason}",
                expected, f"If there are none, {what_to_run(name)}", (router.id,),
            )  # fmt: skip
        elif there is False:
            yield Finding(
                "security_context_constraints", ERROR, f"there are no SecurityContextConstraints {name}, and the identity in use may "
                "not make them", expected, _sentence(what_to_run(name)), (router.id,),
            )  # fmt: skip


def _admission(facts: Facts) -> Iterator[Finding]:
    if not facts.openshift:
        return
    constraints = {router.id: router.security_context_constraints for router in facts.routers}
    for review in facts.openshift.reviews:
        name = constraints[review.router]
        # An account that is not bound yet is admitted by nothing, and what is missing has been told.
        if review.entitled and not review.allowed_by and facts.openshift.constraints.get(name, True):
            yield Finding(
                "security_context_constraints", ERROR, f"OpenShift does not admit the router's pod for its ServiceAccount: {review.reason}",
                f"that the SecurityContextConstraints {name} admit it", f"Compare them with {file_name(name)}, which the playbook "
                f"egress.router.render writes if security_context_constraints is {name}", (review.router,),
            )  # fmt: skip
    yield from _unread(
        facts, "security_context_constraints", "reviews", "whether OpenShift admits the routers' pods for their ServiceAccounts",
        "Look at the router's Deployment after provision, or have an admin of the project run preflight",
    )  # fmt: skip


def _sysctls(facts: Facts) -> Iterator[Finding]:
    if not facts.openshift:
        return
    for router in facts.routers:
        wanted = sysctls(router)
        allowed = facts.openshift.allow_list
        refused = [name for name in wanted if not any(map(_matching(name), allowed or ()))]
        lines = " and ".join(f"^{name}$" for name in refused)
        if refused and allowed is None:
            reason = facts.openshift.unread.get("allow_list", "nobody asked")
            yield Finding(
                "sysctls", WARNING, f"whether the CNI plugin tuning may set what the router needs for IPv6 is unknown: {reason}",
                f"lines that permit it in allowlist.conf of ConfigMap openshift-multus/cni-sysctl-allowlist: {lines}",
                "Have a cluster-admin compare them", (router.id,),
            )  # fmt: skip
        elif refused:
            yield Finding(
                "sysctls", ERROR, f"ConfigMap openshift-multus/cni-sysctl-allowlist does not let the CNI plugin tuning set {' and '.join(refused)}",
                "that it permits what the router needs for IPv6",
                "Have a cluster-admin run kubectl --namespace openshift-multus edit configmap cni-sysctl-allowlist, and add to "
                f"allowlist.conf, each on a line of its own: {lines}", (router.id,),
            )  # fmt: skip


def pod_security(facts: Facts) -> Iterator[Finding]:
    """A part of the check of that name: who raises the level."""
    for router in facts.routers if facts.openshift else ():
        namespace = facts.namespaces.get(router.namespace)
        if namespace is None:
            continue
        level = (namespace["metadata"].get("labels") or {}).get(LEVEL)
        reason = _not_synced(namespace["metadata"])
        expected = "level privileged: the router's pod adds NET_ADMIN and NET_RAW, and nothing else"
        label = f"Run kubectl label namespace {router.namespace} --overwrite {LEVEL}=privileged"
        low = level in ("baseline", "restricted")
        seen = f"namespace {router.namespace} enforces Pod Security level {level}"
        if low and reason:
            seen += f", and OpenShift's label syncer does not raise it: {reason}"
            yield Finding("pod_security", ERROR, seen, expected, f"{label}, or choose another namespace", (router.id,))
        elif low:
            seen += (
                ", which OpenShift's label syncer raises as soon as the router's ServiceAccount may use its constraints"
            )
            yield Finding("pod_security", INFO, seen, expected, "No action needed", (router.id,))
        elif level is None and reason:
            seen = f"namespace {router.namespace} has no label {LEVEL}, and OpenShift's label syncer does not set it: {reason}"
            advice = f"{label}, unless you know that the cluster's default is privileged"
            yield Finding("pod_security", WARNING, seen, expected, advice, (router.id,))


def _network(facts: Facts) -> Iterator[Finding]:
    if not facts.openshift:
        return
    if not facts.openshift.multi_network:
        yield Finding(
            "cluster_network", ERROR, "disableMultiNetwork of network.operator.openshift.io/cluster is true, so that there is no Multus",
            "a cluster that attaches pods to additional networks", "Have a cluster-admin set it to false",
        )  # fmt: skip
    kind = facts.openshift.network_type
    if kind and kind != _NETWORK_TYPE:
        yield Finding(
            "cluster_network", WARNING, f"the network type of the cluster is {kind}", _NETWORK_TYPE,
            "Ask its documentation whether Multus attaches pods to additional networks with it",
        )  # fmt: skip
    for key, what in (
        ("multi_network", "whether Multus is switched off"),
        ("network_type", "the network type of the cluster"),
    ):
        yield from _unread(
            facts, "cluster_network", key, what, "Ask a cluster-admin, or go on if pods have additional networks"
        )


def _platform(facts: Facts) -> Iterator[Finding]:
    if not facts.openshift:
        return
    platform = facts.openshift.platform
    # Where the nodes say it themselves, the check `cloud` does.
    if platform in _CLOUDS and not any(cloud_of(str(node["spec"].get("providerID") or "")) for node in facts.nodes):
        yield Finding(
            "platform", ERROR, f"the platform of the cluster is {platform}",
            "nodes on a layer 2 network, which delivers frames from and to additional MAC addresses",
            f"{_CLOUDS[platform]} drops such frames, whatever the cluster does: use the cloud's own NAT gateway instead",
        )  # fmt: skip
    yield from _unread(
        facts, "platform", "platform", "the platform of the cluster", "Go on if the nodes are not servers of a cloud"
    )


def _unread(facts: Facts, check: str, key: str, what: str, advice: str) -> Iterator[Finding]:
    """What the identity may not read is worth a warning here: most users of OpenShift may read little of the cluster."""
    if facts.openshift and key in facts.openshift.unread:
        yield Finding(
            check, WARNING, f"{what} could not be read: {facts.openshift.unread[key]}", "that it can be read", advice
        )


def _not_synced(metadata: Mapping[str, Any]) -> str:
    """Why the label syncer leaves the namespace's level alone; empty if it does not."""
    name, labels = metadata["name"], metadata.get("labels") or {}
    if name in _NEVER_SYNCED:
        return f"it never touches {name}"
    if labels.get(_SYNC) == "true":
        return ""
    if labels.get(_SYNC) == "false":
        return f"label {_SYNC} is false"
    if name.startswith("openshift-"):
        return f"it leaves namespaces openshift-* alone unless label {_SYNC} is true"
    owners = [
        entry.get("manager")
        for entry in metadata.get("managedFields") or ()
        if f"f:{LEVEL}" in (((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:labels") or {})
    ]
    others = sorted({str(owner) for owner in owners} - {_SYNCER})
    return f"the label belongs to {' and '.join(others)}" if others else ""


def _matching(sysctl: str) -> Any:
    """A function that says whether a line of the allow-list permits the sysctl, as the plugin reads it."""

    def permits(line: str) -> bool:
        try:
            return re.search(line, sysctl) is not None
        except re.error:
            return False

    return permits


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


CHECKS = (
    Check(
        "security_context_constraints", "the cluster is not OpenShift, or has constraints that admit the routers' pods",
        (Part((), _constraints), Part((), _admission)),
    ),
    Check("sysctls", "the cluster is not OpenShift, or lets the tuning plugin set what routers need for IPv6", (Part((), _sysctls),)),
    Check("cluster_network", "the cluster is not OpenShift, or its network is OVN-Kubernetes with Multus", (Part((), _network),)),
    Check("platform", "the cluster is not OpenShift, or its platform is no cloud without layer 2", (Part((), _platform),)),
)  # fmt: skip
