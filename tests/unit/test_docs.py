# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages promise, where code can tell."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.egress.router.plugins.module_utils._contract.failover import Failover
from ansible_collections.egress.router.plugins.module_utils._preflight.checks.permissions import missing
from ansible_collections.egress.router.plugins.module_utils._router.manifests import (
    pod_template,
    removal_permissions,
    sysctls,
)
from ansible_collections.egress.router.plugins.module_utils._router.openshift import on_cluster
from ansible_collections.egress.router.plugins.module_utils._router.router import Router
from ansible_collections.egress.router.plugins.module_utils._router.routers import load

DOCS = Path(__file__).resolve().parents[2] / "docs"
OPENSHIFT = (DOCS / "openshift.md").read_text(encoding="utf-8")
FAILOVER = (DOCS / "failover.md").read_text(encoding="utf-8")
# What of it an admin of a project may do anyway.
_VERBS = ["get", "list", "watch", "create", "update", "patch", "delete"]
ADMIN = [{"apiGroups": ["", "apps", "policy", "rbac.authorization.k8s.io"], "resources": ["*"], "verbs": _VERBS}]


def routers() -> list[Router]:
    spec = {
        "name": "db",
        "namespace": "payments",
        "image": "img:1",
        "addresses": [{"ip": "2001:db8::50/64"}],
        "replicas": 2,
    }
    found, problems = load([spec])
    assert not problems
    return [on_cluster(router, openshift=True) for router in found]


def rules() -> list[dict[str, Any]]:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", OPENSHIFT, flags=re.DOTALL)]
    (role,) = [block for block in blocks if block.get("kind") == "ClusterRole"]
    found: list[dict[str, Any]] = role["rules"]
    return found


def test_the_role_for_openshift_is_enough_to_provision() -> None:
    assert missing(routers(), [*ADMIN, *rules()]) == []


def test_each_of_its_rules_and_verbs_is_needed() -> None:
    removal = {(one.group, one.resource, one.verb) for one in removal_permissions()}
    for number, rule in enumerate(rules()):
        for verb in rule["verbs"]:
            others = [*ADMIN, *rules()[:number], {**rule, "verbs": [one for one in rule["verbs"] if one != verb]}]
            lacking = missing(routers(), [*others, *rules()[number + 1 :]])
            removes = (rule["apiGroups"][0], rule["resources"][0], verb) in removal
            # NetworkAttachmentDefinitions are read one by one for the sentence about a missing interface.
            assert lacking or removes or (verb, rule["resources"]) == ("get", ["network-attachment-definitions"]), (
                rule,
                verb,
            )


def test_the_sysctl_that_openshift_lacks_is_named() -> None:
    (forwarding,) = [name for name in sysctls(routers()[0]) if not name.endswith("accept_ra")]
    assert f"`^{forwarding}$`" in OPENSHIFT


def test_the_page_of_failover_has_all_keys_with_their_defaults() -> None:
    rows = re.findall(r"^\| `failover\.(\w+)` \| `(\w+)` \|", FAILOVER, flags=re.MULTILINE)
    assert dict(rows) == {key: str(default) for key, default in asdict(Failover()).items()}


def test_the_page_of_failover_tells_how_long_a_pod_may_take_to_end() -> None:
    (pair,) = routers()
    assert f"and ten seconds more, {Failover().relay_seconds + 10} by default" in FAILOVER
    assert pod_template(pair)["spec"]["terminationGracePeriodSeconds"] == Failover().relay_seconds + 10
