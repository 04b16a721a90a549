# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A router as an EgressRouter resource, compared with the YAML files in manifests/, which people can read.

After a change that is meant: EGRESS_WRITE_MANIFESTS=1 tools/run pytest tests/unit/plugins/module_utils/_egress_router_cr
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._common.yaml_text import to_yaml
from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._egress_router_cr import manifests, operator
from ansible_collections.egress.router.plugins.module_utils._router import manifests as of_agent
from ansible_collections.egress.router.plugins.module_utils._router.router import Router
from ansible_collections.egress.router.plugins.module_utils._router.routers import load

FILES = Path(__file__).parent / "manifests"
RULES = [
    {"port": 5432, "destination_ip": "203.0.113.10", "name": "postgres"},
    {"port": 53, "protocol": "UDP", "destination_ip": "203.0.113.12", "target_port": 5353},
]
CASES: dict[str, dict[str, Any]] = {
    "rules": {"redirect_rules": RULES, "master": "eth1"},
    "no_rules": {},
    "headless": {"redirect_rules": RULES, "service": {"headless": True}},
    "service": {
        "redirect_rules": RULES[:1],
        "service": {
            "name": "postgres",
            "annotations": {"example.com/owner": "payments"},
            "labels": {"team": "payments"},
        },
    },
    "placement": {
        "redirect_rules": RULES[:1],
        "node_selector": {"example.com/egress": "true"},
        "tolerations": [{"key": "egress", "operator": "Equal", "value": "only", "effect": "NoSchedule"}],
        "resources": {"requests": {"cpu": "100m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "pod_labels": {"team": "payments"},
        "pod_annotations": {"example.com/owner": "payments"},
        "priority_class_name": "important",
    },
}


def router(**keys: Any) -> Router:
    first = {"name": "billing-db", "namespace": "payments", "backend": "egress_router_cr"}
    addresses = [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}]
    (found,), problems = load([{**first, "addresses": addresses, **keys}])
    assert not problems, [str(problem) for problem in problems]
    return found


@pytest.mark.parametrize("case", CASES)
def test_golden_manifests(case: str) -> None:
    """What is applied, and what the collection adds to the operator's Deployment."""
    one = router(**CASES[case])
    path = FILES / f"{case}.yaml.golden"
    text = "".join(f"---\n{to_yaml(manifest)}" for manifest in [*manifests.applied(one), manifests.deployment(one)])
    if os.environ.get("EGRESS_WRITE_MANIFESTS"):
        path.write_text(text)
    assert text == path.read_text(), "see the top of this file"


def test_golden_cluster_roles() -> None:
    path = FILES / "cluster_roles.yaml.golden"
    text = "".join(f"---\n{to_yaml(role)}" for role in manifests.cluster_roles())
    if os.environ.get("EGRESS_WRITE_MANIFESTS"):
        path.write_text(text)
    assert text == path.read_text(), "see the top of this file"


def test_every_golden_file_has_its_case() -> None:
    assert sorted(path.name.partition(".")[0] for path in FILES.iterdir()) == sorted([*CASES, "cluster_roles"])


def test_what_the_operator_is_to_make_of_it() -> None:
    assert manifests.forwarding(router(redirect_rules=RULES)) == {
        "addresses": ["198.51.100.50/24"],
        "destinations": ["53 UDP 203.0.113.12 5353", "5432 TCP 203.0.113.10"],
        "gateway": "198.51.100.1",
    }
    assert manifests.forwarding(router())["destinations"] == []


def test_the_hash_changes_with_what_the_pod_is_started_with_and_with_nothing_else() -> None:
    def hash_of(**keys: Any) -> str:
        found: str = manifests.hash_of(manifests.forwarding(router(**{"redirect_rules": RULES, **keys})))
        return found

    first = hash_of()
    assert first == hash_of(redirect_rules=RULES[::-1]) == hash_of(redirect_rules=[{**RULES[0], "name": "x"}, RULES[1]])
    assert first == hash_of(service={"headless": True}, node_selector={"a": "b"})
    changed = [
        hash_of(redirect_rules=RULES[:1]),
        hash_of(addresses=[{"ip": "198.51.100.51/24", "gateway": "198.51.100.1"}]),
        hash_of(addresses=[{"ip": "198.51.100.50/24", "gateway": "198.51.100.2"}]),
        hash_of(addresses=[{"ip": "198.51.100.50/25", "gateway": "198.51.100.1"}]),
        hash_of(redirect_rules=[{**RULES[0], "destination_ip": "203.0.113.11"}, RULES[1]]),
        hash_of(redirect_rules=[{**RULES[0], "target_port": 5433}, RULES[1]]),
        hash_of(redirect_rules=[{**RULES[0], "protocol": "SCTP"}, RULES[1]]),
    ]
    assert len({first, *changed}) == 1 + len(changed)


def test_a_mark_makes_the_pod_anew_and_none_is_no_key() -> None:
    def annotations(changed_at: str) -> dict[str, str]:
        made = manifests.deployment(router(), changed_at)
        found: dict[str, str] = made["spec"]["template"]["metadata"]["annotations"]
        return found

    assert annotations("2026-11-26T12:00:00Z")[operator.CHANGED_AT] == "2026-11-26T12:00:00Z"
    assert set(annotations("")) == {operator.HASH}


def test_the_objects_are_never_taken_for_those_of_the_agent() -> None:
    selector = dict(pair.split("=") for pair in names.SELECTOR.split(","))
    for made in manifests.applied(router(redirect_rules=RULES)):
        assert not selector.items() <= made["metadata"]["labels"].items()
        own = dict(pair.split("=") for pair in operator.SELECTOR.split(","))
        assert own.items() <= made["metadata"]["labels"].items()
    # The operator's pods are not the agent's either.
    assert not operator.POD_LABELS.items() & of_agent.selector("billing-db").items()


def test_a_warning_for_the_master_alone() -> None:
    assert manifests.warnings(router()) == []
    (said,) = manifests.warnings(router(master="eth1"))
    assert said.startswith("router payments/billing-db, master: 'eth1' has no effect with backend egress_router_cr")
    assert "eth1" not in str(manifests.resource(router(master="eth1")))


def test_the_roles_grant_what_is_needed_and_no_more() -> None:
    deployer, reader = manifests.cluster_roles()
    granted = {
        (verb, rule["apiGroups"][0], rule["resources"][0], *rule.get("resourceNames", ()))
        for rule in deployer["rules"]
        for verb in rule["verbs"]
    }
    # What the operator makes is changed by its name only, and neither created nor removed.
    assert {one for one in granted if one[2] == "deployments"} == {
        (verb, "apps", "deployments", operator.DEPLOYMENT) for verb in ("get", "patch")
    }
    assert {one for one in granted if "attachment" in one[2]} == {
        ("get", "k8s.cni.cncf.io", "network-attachment-definitions", operator.NETWORK)
    }
    assert not {one for one in granted if one[2] == "pods" and one[0] != "list"}
    assert {verb for rule in reader["rules"] for verb in rule["verbs"]} == {"get", "list"}
