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
from ansible_collections.egress.router.plugins.module_utils._contract.failover import Failover
from ansible_collections.egress.router.plugins.module_utils._contract.identity import VARIABLE, Identity
from ansible_collections.egress.router.plugins.module_utils._router import own
from ansible_collections.egress.router.plugins.module_utils._router.manifests import (
    KIND,
    KINDS,
    Permission,
    agent_permissions,
    identity,
    manifests,
    needed_permissions,
    network_plugins,
    object_names,
    peers_secret,
    removal_permissions,
    trial_pod,
    trial_service,
    whole_manifests,
    with_key,
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
    "several_addresses": {
        "addresses": [V4, {"ip": "198.51.100.51/24"}, V6],
        "source": "spread",
        "redirect_rules": RULES,
    },
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
    "pair": {
        "replicas": 2,
        "failover": {"beat_ms": 50, "promise_ms": 400, "lease_seconds": 9, "relay_seconds": 30, "without_api": "stop"},
        "image_pull_secrets": ["registry"],
    },
    "monitoring": {"monitoring": True, "monitoring_labels": {"release": "prometheus"}},
    "openshift": {"security_context_constraints": "egress-router"},
    "network": {
        "master": "bond0.100",
        "macvlan_mode": "private",
        "mtu": 1400,
        "mac": "02:00:5e:00:53:01",
        "routes": [{"destination": "192.0.2.0/24", "gateway": "198.51.100.2"}],
    },
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
    kinds = [one["kind"] for one in manifests(router(replicas=2))]
    assert kinds == [kind.name for kind in KINDS] == [kind for kind in KIND if kind not in ("Secret", "PodMonitor")]
    waves = [kind.wave for kind in KIND.values()]
    assert waves == sorted(waves), "what is created in a later wave comes later"
    for one in manifests(router(replicas=2)):
        assert one["apiVersion"] == KIND[one["kind"]].api_version


def test_every_object_is_labelled_so_that_it_can_be_found_and_removed() -> None:
    wanted = dict(pair.split("=") for pair in names.SELECTOR.split(","))
    for one in manifests(router(**CASES["service"])):
        labels = one["metadata"]["labels"]
        assert wanted.items() <= labels.items() and labels[names.LABEL_INSTANCE] == "billing-db"


def test_names_of_an_absent_router_are_those_of_a_present_one() -> None:
    (absent,), _problems = load([{"name": "billing-db", "namespace": "payments", "state": "absent"}])
    present = [(one["kind"], one["metadata"]["name"]) for one in manifests(router(addresses=[V4, V6], replicas=2))]
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


def test_a_router_without_routes_has_the_document_of_before_there_were_any() -> None:
    """Otherwise all pods would restart at an upgrade."""
    assert "routes" not in json.loads(identity(router()).to_json())
    with_routes = identity(router(**CASES["network"]))
    assert Identity.from_json(with_routes.to_json()) == with_routes and with_routes.routes
    assert Identity.from_json(identity(router()).to_json()).routes == ()


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
    pair = router(replicas=2)
    for spec, volumes in (
        (pod_spec(), []),
        (trial_pod(router())["spec"], []),
        (pod_spec(replicas=2), [["name", "projected"]]),
        (trial_pod(pair)["spec"], [["name", "projected"]]),
    ):
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "runAsUser": 0,
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert [list(volume) for volume in spec.get("volumes", [])] == volumes


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
            "verbs": ["get", "watch", "patch"],
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
    assert len(granted) == 2 + 3 + 2 + 1 and Permission("patch", "coordination.k8s.io", "leases") in granted


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
    needed, removal = needed_permissions([router()]), removal_permissions()
    assert len(set(needed)) == len(needed)
    for kind in KINDS:
        verbs = [one.verb for one in needed if (one.group, one.resource) == (kind.group, kind.plural)]
        assert {"list", "create", "patch"} <= set(verbs)
        assert Permission("delete", kind.group, kind.plural) in removal
    assert not [one for one in (*needed, *removal) if one.resource == "secrets" or "*" in (one.verb, one.resource)]
    more = set(needed_permissions([router(), router(monitoring=True)])) - set(needed)
    assert more == {Permission(verb, "monitoring.coreos.com", "podmonitors") for verb in ("list", "create", "patch")}


def test_what_prometheus_reads_are_the_routers_pods_at_the_port_of_the_agent() -> None:
    found = made(monitoring=True)
    monitor, template = found["PodMonitor"]["spec"], found["Deployment"]["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert monitor["selector"]["matchLabels"][names.LABEL_INSTANCE] == "billing-db"
    (endpoint,), (container,) = monitor["podMetricsEndpoints"], template["spec"]["containers"]
    assert {"name": endpoint["port"], "containerPort": 29797, "protocol": "TCP"} in container["ports"]
    # It is one object more, and restarts nothing.
    assert {kind: one for kind, one in found.items() if kind != "PodMonitor"} == made()


def test_the_pods_of_a_pair_are_replaced_one_after_the_other_and_evicted_one_at_a_time() -> None:
    pair, single = made(replicas=2), made()
    assert pair["Deployment"]["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert single["Deployment"]["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": "100%"}
    # With two ready pods one eviction is permitted. With `minAvailable: 2` none would be, and no drain would end.
    assert pair["PodDisruptionBudget"]["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": pair["Deployment"]["spec"]["selector"]["matchLabels"]},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    assert "PodDisruptionBudget" not in single
    assert "PodDisruptionBudget" not in made(replicas=2, disruption_budget=False)


def pod_spec(**keys: Any) -> dict[str, Any]:
    found: dict[str, Any] = made(**keys)["Deployment"]["spec"]["template"]["spec"]
    return found


def test_pods_spread_over_nodes_and_over_zones_where_there_are_any() -> None:
    pair, single = pod_spec(replicas=2), pod_spec()
    for spec in (pair, single):
        # Nodes without one of several keys are left out of all of them, so there is but this one.
        assert [one["topologyKey"] for one in spec["topologySpreadConstraints"]] == ["kubernetes.io/hostname"]
    (zones,) = pair["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert zones["podAffinityTerm"]["topologyKey"] == "topology.kubernetes.io/zone"
    labels = made(replicas=2)["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert zones["podAffinityTerm"]["labelSelector"]["matchLabels"].items() <= labels.items()
    assert "affinity" not in single


def test_the_key_of_the_messages_between_pods() -> None:
    pair, single = pod_spec(replicas=2), pod_spec()
    assert pair["volumes"] == [
        {
            "name": "peers",
            "projected": {
                "defaultMode": 0o400,
                "sources": [{"secret": {"name": "billing-db-peers", "optional": True}}],
            },
        }
    ]
    (container,) = pair["containers"]
    assert container["volumeMounts"] == [{"name": "peers", "mountPath": "/etc/egress-router/peers", "readOnly": True}]
    for port in ({"name": "beats", "containerPort": 29798}, {"name": "relays", "containerPort": 29799}):
        assert {**port, "protocol": "UDP"} in container["ports"]
    (alone,) = single["containers"]
    assert "volumes" not in single and "volumeMounts" not in alone and len(alone["ports"]) == 1


def test_the_secret_is_shown_without_its_key_and_goes_with_the_service_account() -> None:
    secret = peers_secret(router(replicas=2), "1-2-3")
    assert "data" not in secret and secret["metadata"]["name"] == "billing-db-peers" and secret["type"] == "Opaque"
    assert secret["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "ServiceAccount", "name": "billing-db", "uid": "1-2-3"}
    ]
    assert with_key(secret, b"0123") == {**secret, "data": {"key": "MDEyMw=="}}
    assert "data" not in secret
    # Whoever applies the files has to make it.
    assert "Secret" not in [one["kind"] for one in whole_manifests(router(replicas=2))]


def test_creating_secrets_is_all_that_is_needed_of_them_and_for_pairs_alone() -> None:
    pair, single = needed_permissions([router(), router(replicas=2)]), needed_permissions([router()])
    assert set(pair) - set(single) == {Permission("create", "", "secrets")}


LOST = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


@pytest.mark.parametrize(("given", "added"), [
    ([], LOST),
    ([{"key": "egress", "operator": "Exists"}], LOST),
    ([{"key": LOST[0], "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}], LOST[1:]),
    ([{"key": LOST[1], "operator": "Exists"}], LOST[:1]),
    # It is about scheduling, not about how long the pod stays.
    ([{"key": LOST[0], "operator": "Exists", "effect": "NoSchedule"}], LOST),
    # It tolerates everything, for ever.
    ([{"operator": "Exists"}], ()),
])  # fmt: skip
def test_the_only_pod_leaves_a_lost_node_after_half_a_minute(
    given: list[dict[str, Any]], added: tuple[str, ...]
) -> None:
    own = [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30} for key in added]
    assert pod_spec(tolerations=given).get("tolerations", []) == [*given, *own]
    assert pod_spec(tolerations=given, replicas=2).get("tolerations", []) == given


@pytest.mark.parametrize(
    ("keys", "seconds"),
    [
        ({}, 5),
        ({"failover": {"relay_seconds": 600}}, 5),
        ({"replicas": 2}, 70),
        ({"replicas": 3, "failover": {"relay_seconds": 600}}, 610),
        # Preparing a move may take longer than the relay.
        ({"replicas": 2, "failover": {"relay_seconds": 1}}, 17),
        ({"replicas": 2, "failover": {"relay_seconds": 0}}, 5),
    ],
)
def test_a_pod_has_time_to_relay_before_it_ends(keys: dict[str, Any], seconds: int) -> None:
    assert pod_spec(**keys)["terminationGracePeriodSeconds"] == seconds


def test_the_agent_is_told_how_it_stands_by() -> None:
    found = identity(router(**CASES["pair"]))
    assert found.failover == Failover(50, 400, 9, 30, "stop")
    assert identity(router()).failover == Failover()


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
