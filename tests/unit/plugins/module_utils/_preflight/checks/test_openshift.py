# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of OpenShift: what is found, what is not a fault, and what may not be read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._preflight.facts import Facts, Review
from ansible_collections.egress.router.plugins.module_utils._preflight.report import examine
from ansible_collections.egress.router.tests.unit.plugins.module_utils._preflight.good_cluster import (
    node,
    on_openshift,
    router,
)

LEVEL = "pod-security.kubernetes.io/enforce"
SYNC = "security.openshift.io/scc.podSecurityLabelSync"
SYNCER = "pod-security-admission-label-synchronization-controller"
FORBIDDEN = "jane may not get it"
V6 = router(addresses=[{"ip": "2001:db8::50/64"}], security_context_constraints="egress-router")


def told(of: Facts) -> list[str]:
    return [f"{one.severity}: {one}" for one in examine(of).findings]


def namespace(owner: str = "", **metadata: Any) -> Facts:
    """`owner`: the field manager of the label."""
    fields = {"f:metadata": {"f:labels": {f"f:{LEVEL}": {}}}}
    managed = [{"manager": owner, "fieldsV1": fields}] if owner else [{"manager": "kubectl", "fieldsV1": {}}]
    return on_openshift(namespace={"managedFields": managed, **metadata})


def reviewed(reason: str = "", entitled: bool = True, **changes: Any) -> Facts:
    return on_openshift(reviews=(Review("payments/db", entitled, "", reason),), **changes)


# What there is, and the beginning of each finding.
FOUND: dict[str, tuple[Facts, list[str]]] = {
    "nothing": (on_openshift(), []),
    "the constraints do not admit the pod": (
        reviewed("unable to validate against any security context constraint"),
        ["error: security_context_constraints (router payments/db): OpenShift does not admit the router's pod for its "
         "ServiceAccount: unable to validate against any security context constraint; expected: that the "
         "SecurityContextConstraints egress-router admit it. Compare them with cluster-admin/egress-router.yaml, which the "
         "playbook egress.router.render writes if security_context_constraints is egress-router."]),
    "an account that gets its Role from provision": (reviewed(entitled=False), []),
    "the constraints are missing, so of course they admit nothing": (
        reviewed(constraints={"egress-router": False}),
        ["error: security_context_constraints (router payments/db): there are no SecurityContextConstraints egress-router, and "
         "the identity in use may not make them; expected: those by which OpenShift admits the router's pods. Have a "
         "cluster-admin run kubectl apply --server-side --filename=cluster-admin/egress-router.yaml, with the file that the "
         "playbook egress.router.render writes if security_context_constraints is egress-router."]),
    "constraints that may not be read, but admit the pod": (
        on_openshift(constraints={}, unread={"constraints": FORBIDDEN}), []),
    "constraints that may not be read": (
        reviewed(entitled=False, constraints={}, unread={"constraints": FORBIDDEN}),
        ["warning: security_context_constraints (router payments/db): whether there are SecurityContextConstraints egress-router "
         "is unknown: jane may not get it; expected: those by which OpenShift admits the router's pods. If there are none, have a "
         "cluster-admin run kubectl apply"]),
    "a review that nobody may ask for": (
        on_openshift(reviews=(), unread={"reviews": FORBIDDEN}),
        ["warning: security_context_constraints: whether OpenShift admits the routers' pods for their ServiceAccounts could not "
         "be read: jane may not get it"]),
    "IPv6 is not in the list": (
        on_openshift(V6),
        ["error: sysctls (router payments/db): ConfigMap openshift-multus/cni-sysctl-allowlist does not let the CNI plugin tuning "
         "set net.ipv6.conf.all.forwarding; expected: that it permits what the router needs for IPv6. Have a cluster-admin run "
         "kubectl --namespace openshift-multus edit configmap cni-sysctl-allowlist, and add to allowlist.conf, each on a line of "
         "its own: ^net.ipv6.conf.all.forwarding$."]),
    "IPv6 is in the list": (
        on_openshift(V6, allow_list=("[", "^net.ipv6.conf.all.forwarding$", "^net.ipv6.conf.IFNAME.accept_(ra|redirects)$")), []),
    "an empty list": (
        on_openshift(V6, allow_list=()),
        ["error: sysctls (router payments/db): ConfigMap openshift-multus/cni-sysctl-allowlist does not let the CNI plugin tuning "
         "set net.ipv6.conf.all.forwarding and net.ipv6.conf.IFNAME.accept_ra;"]),
    "a list that may not be read": (
        on_openshift(V6, allow_list=None, unread={"allow_list": FORBIDDEN}),
        ["warning: sysctls (router payments/db): whether the CNI plugin tuning may set what the router needs for IPv6 is unknown: "
         "jane may not get it; expected: lines that permit it in allowlist.conf of ConfigMap openshift-multus/cni-sysctl-allowlist: "
         "^net.ipv6.conf.all.forwarding$ and ^net.ipv6.conf.IFNAME.accept_ra$."]),
    "a list that IPv4 does not need": (on_openshift(allow_list=None), []),
    "another network": (
        on_openshift(network_type="Calico"), ["warning: cluster_network: the network type of the cluster is Calico"]),
    "a network that may not be read": (
        on_openshift(network_type="", unread={"network_type": FORBIDDEN, "multi_network": FORBIDDEN}),
        ["warning: cluster_network: whether Multus is switched off could not be read: jane may not get it",
         "warning: cluster_network: the network type of the cluster could not be read: jane may not get it"]),
    "a platform that may not be read": (
        on_openshift(platform="", unread={"platform": FORBIDDEN}),
        ["warning: platform: the platform of the cluster could not be read: jane may not get it"]),
    "a cloud that the nodes tell of": (
        replace(on_openshift(platform="AWS"), nodes=(node("worker-1", spec={"providerID": "aws:///eu-central-1a/i-0abc"}),)),
        ["error: cloud (router payments/db, node worker-1)"]),
    "a level that the syncer set": (
        namespace(SYNCER, labels={LEVEL: "restricted"}),
        ["info: pod_security (router payments/db): namespace payments enforces Pod Security level restricted, which OpenShift's "
         "label syncer raises as soon as"]),
    "a level that somebody set": (
        namespace("kubectl-label", labels={LEVEL: "baseline"}),
        ["error: pod_security (router payments/db): namespace payments enforces Pod Security level baseline, and OpenShift's "
         "label syncer does not raise it: the label belongs to kubectl-label; expected: level privileged: the router's pod adds "
         "NET_ADMIN and NET_RAW, and nothing else. Run kubectl label namespace payments --overwrite "
         "pod-security.kubernetes.io/enforce=privileged, or choose another namespace."]),
    "a level that somebody set, and gave to the syncer": (
        namespace("kubectl-label", labels={LEVEL: "baseline", SYNC: "true"}), ["info: pod_security"]),
    "a namespace whose level is not synced": (
        namespace(labels={LEVEL: "restricted", SYNC: "false"}),
        [f"error: pod_security (router payments/db): namespace payments enforces Pod Security level restricted, and OpenShift's "
         f"label syncer does not raise it: label {SYNC} is false"]),
    "no level, and nobody sets one": (
        namespace(labels={SYNC: "false"}),
        [f"warning: pod_security (router payments/db): namespace payments has no label {LEVEL}, and OpenShift's label syncer does "
         f"not set it: label {SYNC} is false"]),
    "no level": (namespace(labels={}), []),
    "privileged": (namespace("kubectl-label", labels={LEVEL: "privileged", SYNC: "false"}), []),
}  # fmt: skip


@pytest.mark.parametrize("case", FOUND)
def test_what_is_found(case: str) -> None:
    of, wanted = FOUND[case]
    found = told(of)
    assert len(found) == len(wanted), found
    for one, beginning in zip(found, wanted, strict=True):
        assert one.startswith(beginning), one


@pytest.mark.parametrize(
    ("name", "labels", "said"),
    [
        ("openshift-egress", {}, "it leaves namespaces openshift-* alone unless"),
        ("openshift-egress", {SYNC: "true"}, ""),
        ("default", {SYNC: "true"}, "it never touches default"),
    ],
)
def test_namespaces_of_openshift_itself(name: str, labels: dict[str, str], said: str) -> None:
    of = on_openshift(
        router(namespace=name, security_context_constraints="egress-router"), namespace={"name": name, "labels": labels}
    )
    found = [one for one in told(replace(of, missing_permissions={}, trials={})) if "pod_security" in one]
    assert [said in one for one in found] == ([True] if said else [])


def test_another_cluster_has_none_of_it() -> None:
    of = replace(on_openshift(V6), openshift=None)
    assert told(of) == []
