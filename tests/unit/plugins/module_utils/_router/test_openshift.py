# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The constraints for OpenShift, by a table of its rules (support/scc_rules.py, a test double): which pods are admitted by what.

The account of a router may use its own and, as everybody, restricted-v2. A cluster-admin may use all that there are, so each of
his pods is tried with those of the routers too.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._router.manifests import KINDS, pod_template
from ansible_collections.egress.router.plugins.module_utils._router.openshift import (
    CONSTRAINTS,
    DEFAULT_NAME,
    STOCK,
    on_cluster,
    security_context_constraints,
)
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.tests.support import scc_rules
from ansible_collections.egress.router.tests.support.scc_rules import Admitted, admit

OURS = security_context_constraints(DEFAULT_NAME)
BY_NAME = {one["metadata"]["name"]: one for one in scc_rules.STOCK}
EVERYBODY = [BY_NAME["restricted-v2"]]


def our_pod(*addresses: str) -> dict[str, Any]:
    """The specification as the API server completes it: with the ServiceAccount's token."""
    spec = {
        "name": "db",
        "namespace": "payments",
        "image": "img:1",
        "addresses": [{"ip": ip} for ip in addresses or ("198.51.100.50/24",)],
    }
    (router,), problems = load([spec])
    assert not problems
    return {**pod_template(on_cluster(router, True))["spec"], "volumes": [{"name": "kube-api-access", "projected": {}}]}


def pod(*volumes: str, of_pod: dict[str, Any] | None = None, **context: Any) -> dict[str, Any]:
    """A pod of somebody else. `context`: the container's security context."""
    found = {"containers": [{"name": "app", "securityContext": context}], **(of_pod or {})}
    return {**found, "volumes": [{"name": name, name: {}} for name in ("projected", *volumes)]}


def changed(**changes: Any) -> dict[str, Any]:
    """Our constraints, but for these keys; None takes one away."""
    found = {**copy.deepcopy(OURS), **changes}
    return {key: value for key, value in found.items() if value is not None or key == "priority"}


@pytest.mark.parametrize("name", BY_NAME)
def test_of_the_stock_constraints_only_privileged_admits_the_routers_pod(name: str) -> None:
    found = admit(our_pod(), [BY_NAME[name]])
    assert (found is not None) == (name == "privileged")


@pytest.mark.parametrize("addresses", [(), ("2001:db8::50/64",)], ids=["IPv4", "IPv6"])
def test_ours_admit_the_routers_pod_as_it_is(addresses: tuple[str, ...]) -> None:
    wanted = Admitted("egress-router", 0, True, frozenset({"NET_ADMIN", "NET_RAW"}))
    assert admit(our_pod(*addresses), [*EVERYBODY, OURS]) == wanted
    assert admit(our_pod(*addresses), EVERYBODY) is None


def test_ours_come_before_privileged_where_both_may_be_used() -> None:
    found = admit(our_pod(), [*scc_rules.STOCK, OURS])
    assert found and found.by == "egress-router"


# Pods of others, and by which constraints a cluster-admin's are admitted.
OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing is said": (pod(), "anyuid"),
    "with a claim of a volume": (pod("persistentVolumeClaim"), "anyuid"),
    "as root": (pod(runAsUser=0), "anyuid"),
    "as root with a read-only root": (pod(runAsUser=0, readOnlyRootFilesystem=True), "anyuid"),
    "as the standard restricted asks": (
        pod(runAsNonRoot=True, allowPrivilegeEscalation=False, capabilities={"drop": ["ALL"]},
            seccompProfile={"type": "RuntimeDefault"}), "restricted-v2"),
    "with a user of its own, by that standard": (
        pod(runAsUser=1001, allowPrivilegeEscalation=False, seccompProfile={"type": "RuntimeDefault"}), "nonroot-v2"),
    "with a user in its own namespace": (
        pod(of_pod={"hostUsers": False}, runAsUser=1001, seccompProfile={"type": "RuntimeDefault"}), "restricted-v3"),
    "that binds low ports": (pod(capabilities={"add": ["NET_BIND_SERVICE"]}), "restricted-v2"),
    "on the host's network": (pod(of_pod={"hostNetwork": True}), "hostnetwork-v2"),
    "with a directory of the host": (pod("hostPath"), "hostmount-anyuid"),
    "privileged": (pod(privileged=True, allowPrivilegeEscalation=True), "privileged"),
    "that traces": (pod(capabilities={"add": ["SYS_PTRACE"]}), "privileged"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_pods_of_others_are_admitted_as_if_ours_were_not_there(case: str) -> None:
    of, by = OTHERS[case]
    before = admit(of, list(scc_rules.STOCK))
    assert before is not None and before.by == by, "the table has changed"
    assert admit(of, [*scc_rules.STOCK, OURS]) == before


def test_one_kind_of_pod_is_taken_from_privileged() -> None:
    """Nothing can be done about it: whatever admits root with this profile, and is not `privileged`, comes before that."""
    of = pod(runAsUser=0, seccompProfile={"type": "RuntimeDefault"})
    before = admit(of, list(scc_rules.STOCK))
    assert before and before.by == "privileged"
    assert admit(of, [*scc_rules.STOCK, OURS]) == Admitted("egress-router", 0, True)


@pytest.mark.parametrize("name", ["a-first-name", "egress-router", "zz-last-name"])
def test_the_name_does_not_matter(name: str) -> None:
    named = security_context_constraints(name)
    for of, by in OTHERS.values():
        found = admit(of, [*scc_rules.STOCK, named])
        assert found and found.by == by


# What would make them change pods of others.
TRAPS: dict[str, dict[str, Any]] = {
    "one user and the token's volume alone": changed(runAsUser={"type": "MustRunAs", "uid": 0}, volumes=["projected"]),
    "the token's volume alone": changed(volumes=["projected"]),
    "one user": changed(runAsUser={"type": "MustRunAs", "uid": 0}),
    "a priority": changed(priority=11),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_what_would_change_pods_of_others(trap: str) -> None:
    """A pod that says nothing would run as root, with a root file system that it cannot write to."""
    of = pod(seccompProfile={"type": "RuntimeDefault"})
    usable = [*scc_rules.STOCK, OURS]
    assert admit(of, usable) == Admitted("restricted-v2", 1000650000, False)
    assert admit(of, [*scc_rules.STOCK, TRAPS[trap]]) == Admitted("egress-router", 0, True)


def test_only_a_little_less_strict_than_those_for_everybody() -> None:
    """Stricter than every one that gives what they do not."""
    order = [one["metadata"]["name"] for one in sorted([*scc_rules.STOCK, OURS], key=scc_rules.freedom)]
    assert order.index("restricted-v2") < order.index("egress-router") < order.index("hostnetwork-v2")
    assert OURS["priority"] is None


# Each key that is there for the pod's sake: with the next stricter value the pod is refused.
NEEDED: dict[str, dict[str, Any]] = {
    "NET_ADMIN": changed(allowedCapabilities=["NET_RAW"]),
    "NET_RAW": changed(allowedCapabilities=["NET_ADMIN"]),
    "root": changed(runAsUser={"type": "MustRunAsRange"}),
    "the token": changed(volumes=["persistentVolumeClaim"]),
    "the seccomp profile": changed(seccompProfiles=[]),
}


@pytest.mark.parametrize("need", NEEDED)
def test_the_least_that_admits_the_pod(need: str) -> None:
    assert admit(our_pod(), [NEEDED[need]]) is None


def test_nothing_of_the_host_and_no_privileges() -> None:
    given = {key for key, value in OURS.items() if value is True}
    assert given == {"readOnlyRootFilesystem"}
    for context in ({"privileged": True}, {"allowPrivilegeEscalation": True}, {"readOnlyRootFilesystem": False}):
        assert scc_rules.fits(pod(runAsUser=0, **context), OURS) is None
    assert scc_rules.fits(pod("hostPath", runAsUser=0), OURS) is None


def test_the_keys_that_the_api_wants_are_there_even_if_empty() -> None:
    required = {
        "allowHostDirVolumePlugin", "allowHostIPC", "allowHostNetwork", "allowHostPID", "allowHostPorts",
        "allowPrivilegedContainer", "readOnlyRootFilesystem", "allowedCapabilities", "defaultAddCapabilities",
        "requiredDropCapabilities", "priority", "volumes",
    }  # fmt: skip
    assert required <= set(OURS)
    assert (OURS["users"], OURS["groups"]) == ([], []), "the routers' Roles let their accounts use them"


def test_stock_constraints_are_known_by_name() -> None:
    assert set(BY_NAME) <= STOCK


def test_the_kind_is_no_part_of_a_router() -> None:
    """Removing a router must not remove what others use."""
    assert CONSTRAINTS not in KINDS
