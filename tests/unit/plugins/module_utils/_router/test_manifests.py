# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a router, compared with the YAML files in manifests/, which people can read.

After a change that is meant: EGRESS_WRITE_MANIFESTS=1 tools/run pytest tests/unit/plugins/module_utils/_router/test_manifests.py
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.egress.router.plugins.module_utils._common.yaml_text import to_yaml
from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.identity import VARIABLE, Identity
from ansible_collections.egress.router.plugins.module_utils._router import own
from ansible_collections.egress.router.plugins.module_utils._router.manifests import (
    KIND,
    KINDS,
    Permission,
    agent_permissions,
    manifests,
    needed_permissions,
    network_plugins,
    object_names,
    removal_permissions,
    trial_pod,
    trial_service,
    whole_manifests,
)
from ansible_collections.egress.router.plugins.module_utils._router.router import Router
from ansible_collections.egress.router.plugins.module_utils._router.routers import load

FILES = Path(__file__).parent / "manifests"
V4 = {"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}
V6 = {"ip": "2001:db8::50/64", "gateway": "2001:db8::1"}
RULES = [
    {"port": 5432, "destination_ip": "203.0.113.10"},
    {"port": 53, "protocol": "UDP", "destination_ip": "203.0.113.12", "name": "dns"},
]
CASES: dict[str, dict[str, Any]] = {
    "ipv4": {"master": "eth1", "redirect_rules": RULES},
    "ipv6": {"addresses": [V6]},
    "dual_stack": {"addresses": [V6, V4], "redirect_rules": RULES[:1]},
    "headless": {"service": {"headless": True}, "redirect_rules": RULES, "fallback_ip": "203.0.113.99"},
    "service": {
        "fallback_ip": "203.0.113.99",
        "service": {
            "name": "postgres",
            "extra_ports": [{"port": 9999}, {"port": 123, "protocol": "UDP"}],
            "annotations": {"example.com/owner": "payments"},
            "labels": {"team": "payments"},
        },
    },
    "placement": {
        "replicas": 2,
        "node_selector": {"example.com/egress": "true"},
        "tolerations": [{"key": "egress", "operator": "Equal", "value": "only", "effect": "NoSchedule"}],
        "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "128Mi"}},
    },
    "pod": {
        "pod_labels": {"team": "payments", "example.com/tier": "egress"},
        "pod_annotations": {"example.com/owner": "payments"},
        "priority_class_name": "important",
        "runtime_class_name": "crun",
        "image_pull_secrets": ["registry", "mirror"],
        "host_users": False,
    },
    "openshift": {"security_context_constraints": "egress-router"},
    "network": {"master": "bond0.100", "macvlan_mode": "private", "mtu": 1400, "mac": "02:00:5e:00:53:01"},
}


def router(**keys: Any) -> Router:
    first = {"name": "billing-db", "namespace": "payments", "image": "registry.example.com/egress-router:0.1.0"}
    (found,), problems = load([{**first, "addresses": [V4], **keys}])
    assert not problems, [str(problem) for problem in problems]
    return found


def made(**keys: Any) -> dict[str, Any]:
    """The objects by kind; of EndpointSlices the last."""
    return {one["kind"]: one for one in manifests(router(**keys))}


@pytest.mark.parametrize("case", CASES)
def test_golden_manifests(case: str) -> None:
    path = FILES / f"{case}.yaml.golden"
    text = "".join(f"---\n{to_yaml(manifest)}" for manifest in whole_manifests(router(**CASES[case])))
    if os.environ.get("EGRESS_WRITE_MANIFESTS"):
        path.write_text(text)
    assert text == path.read_text(), "see the top of this file"


def test_every_golden_file_has_its_case() -> None:
    assert sorted(path.name.partition(".")[0] for path in FILES.iterdir()) == sorted(CASES)


def test_the_file_is_what_is_applied_but_for_rules_and_their_ports() -> None:
    for keys in CASES.values():
        applied, whole = manifests(router(**keys)), whole_manifests(router(**keys))
        for one, other in zip(applied, whole, strict=True):
            if one["kind"] == "ConfigMap":
                assert "data" not in one and {**other, "data": None} == {**one, "data": None}
            elif one["kind"] == "Service":
                ports = other["spec"]["ports"][: len(one["spec"]["ports"])]
                assert {**other, "spec": {**other["spec"], "ports": ports}} == one
            else:
                assert other == one


def test_one_object_of_each_kind_in_the_order_of_the_kinds() -> None:
    kinds = [one["kind"] for one in manifests(router())]
    assert kinds == [kind.name for kind in KINDS] == list(KIND)
    waves = [KIND[kind].wave for kind in kinds]
    assert waves == sorted(waves), "what is created in a later wave comes later"
    for one in manifests(router()):
        assert one["apiVersion"] == KIND[one["kind"]].api_version


def test_every_object_is_labelled_so_that_it_can_be_found_and_removed() -> None:
    wanted = dict(pair.split("=") for pair in names.SELECTOR.split(","))
    for one in manifests(router(**CASES["service"])):
        labels = one["metadata"]["labels"]
        assert wanted.items() <= labels.items() and labels[names.LABEL_INSTANCE] == "billing-db"


def test_names_of_an_absent_router_are_those_of_a_present_one() -> None:
    (absent,), _problems = load([{"name": "billing-db", "namespace": "payments", "state": "absent"}])
    present = [(one["kind"], one["metadata"]["name"]) for one in manifests(router(addresses=[V4, V6]))]
    assert object_names(absent) == present


def test_nothing_that_the_api_server_drops_is_sent() -> None:
    def look(value: Any) -> None:
        assert value not in ({}, [], None)
        for below in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            look(below)

    for keys in CASES.values():
        for one in manifests(router(**keys)):
            look(one)


def test_the_agent_reads_back_what_it_is_told() -> None:
    (container,) = made(**CASES["service"])["Deployment"]["spec"]["template"]["spec"]["containers"]
    (text,) = [one["value"] for one in container["env"] if one["name"] == VARIABLE]
    found = Identity.from_json(text)
    assert (found.router, found.addresses[0].ip, found.replicas) == ("billing-db", "198.51.100.50/24", 1)
    assert [(port.port, port.protocol) for port in found.extra_ports] == [(123, "UDP"), (9999, "TCP")]


def test_rules_do_not_restart_the_pod() -> None:
    assert made(redirect_rules=RULES)["Deployment"] == made()["Deployment"]
    assert made(mac="02:00:5e:00:53:01")["Deployment"] != made()["Deployment"]


def test_what_is_set_of_the_pod_is_on_the_pod_alone_and_a_change_rolls_it() -> None:
    """What rolls a Deployment is its template."""
    plain, changed = made(), made(**CASES["pod"])
    assert [kind for kind in plain if plain[kind] != changed[kind]] == ["Deployment"]
    for key, value in CASES["pod"].items():
        one = made(**{key: value})["Deployment"]
        assert one["spec"].pop("template") != plain["Deployment"]["spec"]["template"], key
        assert one == {**plain["Deployment"], "spec": one["spec"]}
        assert one["spec"]["selector"] == plain["Deployment"]["spec"]["selector"]


def test_a_users_own_label_never_replaces_one_of_the_collection() -> None:
    of = replace(
        router(), pod_labels=dict.fromkeys(own.POD_LABELS, "x"), pod_annotations=dict.fromkeys(own.POD_ANNOTATIONS, "x")
    )
    (pod,) = [one["spec"]["template"]["metadata"] for one in manifests(of) if one["kind"] == "Deployment"]
    plain = made()["Deployment"]["spec"]["template"]["metadata"]
    assert plain["labels"].items() <= pod["labels"].items()
    assert plain["annotations"].items() <= pod["annotations"].items()
    assert set(plain["labels"]) <= set(own.POD_LABELS) and set(plain["annotations"]) <= set(own.POD_ANNOTATIONS)
    assert set(made()["Service"]["metadata"]["labels"]) == set(own.OBJECT_LABELS)


def test_the_pod_runs_on_linux_and_where_the_user_wants_it() -> None:
    for given in ({}, {"zone": "a"}, {"kubernetes.io/os": "linux"}):
        pod = made(node_selector=given)["Deployment"]["spec"]["template"]["spec"]
        assert pod["nodeSelector"] == {**given, "kubernetes.io/os": "linux"}


def test_the_pod_has_two_capabilities_and_no_more() -> None:
    for pod in (made()["Deployment"]["spec"]["template"], trial_pod(router())):
        spec = pod["spec"]
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "runAsUser": 0,
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & set(spec)


def test_the_agent_may_do_this_and_nothing_else() -> None:
    assert made()["Role"]["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["billing-db-rules"],
            "verbs": ["list", "watch"],
        },
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["billing-db"],
            "verbs": ["get", "patch"],
        },
        {
            "apiGroups": ["discovery.k8s.io"],
            "resources": ["endpointslices"],
            "resourceNames": ["billing-db-ipv4"],
            "verbs": ["get", "patch"],
        },
        {
            "apiGroups": ["discovery.k8s.io"],
            "resources": ["endpointslices/restricted"],
            "resourceNames": ["billing-db-ipv4"],
            "verbs": ["create"],
        },
    ]
    granted = agent_permissions(router())
    assert len(granted) == 2 + 2 + 2 + 1 and Permission("patch", "coordination.k8s.io", "leases") in granted


def test_on_openshift_the_pods_are_pinned_to_constraints_that_their_account_may_use() -> None:
    plain, pinned = made(), made(security_context_constraints="mine")
    assert pinned["Role"]["rules"] == [
        *plain["Role"]["rules"],
        {
            "apiGroups": ["security.openshift.io"],
            "resources": ["securitycontextconstraints"],
            "resourceNames": ["mine"],
            "verbs": ["use"],
        },
    ]
    (subject,) = pinned["RoleBinding"]["subjects"]
    assert (subject["kind"], subject["name"]) == ("ServiceAccount", "billing-db")
    template = pinned["Deployment"]["spec"]["template"]
    assert template["metadata"]["annotations"].pop("openshift.io/required-scc") == "mine"
    assert template == plain["Deployment"]["spec"]["template"], "nothing else of the pod differs"
    use = Permission("use", "security.openshift.io", "securitycontextconstraints", "mine")
    assert use in agent_permissions(router(security_context_constraints="mine"))


def test_permissions_cover_every_kind() -> None:
    needed, removal = needed_permissions(), removal_permissions()
    assert len(set(needed)) == len(needed)
    for kind in KINDS:
        verbs = [one.verb for one in needed if (one.group, one.resource) == (kind.group, kind.plural)]
        assert {"list", "create", "patch"} <= set(verbs)
        assert Permission("delete", kind.group, kind.plural) in removal
    assert not [one for one in (*needed, *removal) if one.resource == "secrets" or "*" in (one.verb, one.resource)]


def test_a_trial_pod_is_the_pod_without_what_does_not_exist_yet() -> None:
    of = router(**CASES["placement"], **CASES["pod"])
    trial, pod = trial_pod(of), made(**CASES["placement"], **CASES["pod"])["Deployment"]["spec"]["template"]
    assert "serviceAccountName" not in trial["spec"] and trial["spec"]["automountServiceAccountToken"] is False
    same = {key: value for key, value in pod["spec"].items() if key != "serviceAccountName"}
    assert trial["spec"] == {**same, "automountServiceAccountToken": False}
    # What keeps meshes away is what their admission looks at.
    mesh = {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"}
    assert trial["metadata"] == {
        "generateName": "billing-db-",
        "labels": pod["metadata"]["labels"],
        "annotations": {**mesh, "example.com/owner": "payments"},
    }
    assert mesh.items() <= pod["metadata"]["annotations"].items()
    assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"


def test_a_trial_service_is_the_service_under_a_name_that_is_free() -> None:
    trial, service = trial_service(router(**CASES["dual_stack"])), made(**CASES["dual_stack"])["Service"]
    assert trial["spec"] == service["spec"] and set(trial["metadata"]) == {"generateName", "labels"}


def test_the_owner_is_the_service() -> None:
    found = {one["kind"]: one for one in manifests(router(service={"name": "postgres"}), "1-2-3")}
    assert found["EndpointSlice"]["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Service", "name": "postgres", "uid": "1-2-3"}
    ]
    assert [one["kind"] for one in found.values() if "ownerReferences" in one["metadata"]] == ["EndpointSlice"]


def test_the_networks_of_the_pod() -> None:
    annotations = made()["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    (network,) = json.loads(annotations["k8s.v1.cni.cncf.io/networks"])
    assert network == {"name": "billing-db", "interface": names.EGRESS_INTERFACE}
    plain = json.loads(made(addresses=[V6])["NetworkAttachmentDefinition"]["spec"]["config"])
    assert plain["plugins"][0] == {"type": "macvlan", "mode": "bridge"}
    assert plain["plugins"][1]["sysctl"] == {
        "net.ipv6.conf.all.forwarding": "1",
        "net.ipv6.conf.IFNAME.accept_ra": "0",
    }


def test_a_router_with_ipv4_alone_needs_no_tuning_plugin() -> None:
    """OpenShift's tuning plugin refuses sysctls that are not on its list."""
    assert network_plugins(router()) == ["macvlan"]
    assert (
        network_plugins(router(addresses=[V6])) == network_plugins(router(addresses=[V4, V6])) == ["macvlan", "tuning"]
    )


def test_the_manifests_are_plain_data() -> None:
    for keys in CASES.values():
        for one in whole_manifests(router(**keys)):
            assert yaml.safe_load(to_yaml(one)) == json.loads(json.dumps(one))
