# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The admission policy of examples/: it is about the routers' slices and agents, and leaves the agents two fields.

Whether the API server takes it that way, the molecule scenario `default` proves.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import V1EndpointSlice, V1ObjectMeta

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._router.manifests import manifests
from ansible_collections.egress.router.plugins.module_utils._router.routers import load

PATH = Path(__file__).parents[2] / "examples" / "agent-policy.yml"
POLICY: dict[str, Any]
BINDING: dict[str, Any]
POLICY, BINDING = yaml.safe_load(PATH.read_text())["items"]
SPEC = POLICY["spec"]
# Whatever is sent: the API server keeps or sets these itself.
OF_THE_SERVER = {
    "name", "namespace", "generateName", "uid", "selfLink", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "generation", "resourceVersion", "managedFields",
}  # fmt: skip
AGENTS = {"endpoints", "ports"}


def router() -> list[dict[str, Any]]:
    keys = {"name": "db", "namespace": "payments", "image": "x", "addresses": [{"ip": "192.0.2.1/24"}]}
    routers, problems = load([keys])
    assert not problems
    return manifests(routers[0])


def test_what_is_not_the_agents_stays_as_it_was() -> None:
    """Every other field that somebody can write is compared with itself, in the object as it was and as it would be."""
    compared = set()
    for validation in SPEC["validations"]:
        one = re.fullmatch(r"object\.(\S+) == oldObject\.(\S+)", validation["expression"])
        assert one and one[1] == one[2]
        path = re.sub(r"\.orValue\((\{\}|\[\])\)", "", one[1]).replace("?", "")
        compared.add(path)
    of_metadata = {f"metadata.{key}" for key in set(V1ObjectMeta.attribute_map.values()) - OF_THE_SERVER}
    of_slice = set(V1EndpointSlice.attribute_map.values()) - {"apiVersion", "kind", "metadata"} - AGENTS
    assert compared == of_metadata | of_slice


def test_a_field_that_may_be_absent_has_a_value_on_both_sides() -> None:
    for validation in SPEC["validations"]:
        optional = validation["expression"].count("?")
        assert optional == validation["expression"].count(".orValue(")
        assert optional == (0 if "addressType" in validation["expression"] else 2), "only addressType is required"


def test_it_is_about_what_the_agent_may_patch() -> None:
    made = router()
    (role,) = [one for one in made if one["kind"] == "Role"]
    (slices,) = [rule for rule in role["rules"] if "endpointslices" in rule["resources"]]
    (matched,) = SPEC["matchConstraints"]["resourceRules"]
    assert matched["apiGroups"] == slices["apiGroups"] and matched["resources"] == slices["resources"][:1]
    assert matched["operations"] == ["UPDATE"], "as which admission sees a patch"
    assert "create" not in slices["verbs"] and "delete" not in slices["verbs"]


def test_it_selects_the_slices_of_routers() -> None:
    (one,) = [made for made in router() if made["kind"] == "EndpointSlice"]
    wanted = SPEC["matchConstraints"]["objectSelector"]["matchLabels"]
    assert wanted and wanted.items() <= one["metadata"]["labels"].items()


def test_it_is_for_the_routers_own_service_account() -> None:
    (condition,) = SPEC["matchConditions"]
    (binding,) = [made for made in router() if made["kind"] == "RoleBinding"]
    (one,) = [made for made in router() if made["kind"] == "EndpointSlice"]
    (account,) = binding["subjects"]
    said = re.fullmatch(
        r"request\.userInfo\.username == '([^']+)' \+ request\.namespace \+ '([^']+)' \+ "
        r"oldObject\.metadata\.\?labels\[\?'([^']+)'\]\.orValue\(''\)",
        condition["expression"],
    )
    assert said
    name = f"{said[1]}{one['metadata']['namespace']}{said[2]}{one['metadata']['labels'][said[3]]}"
    assert name == f"system:serviceaccount:{account['namespace']}:{account['name']}"
    assert said[3] == names.LABEL_INSTANCE


def test_it_is_in_force() -> None:
    assert (SPEC["failurePolicy"], BINDING["spec"]["validationActions"]) == ("Fail", ["Deny"])
    assert BINDING["spec"]["policyName"] == POLICY["metadata"]["name"]
    assert {one["apiVersion"] for one in (POLICY, BINDING)} == {"admissionregistration.k8s.io/v1"}


@pytest.mark.parametrize("field", sorted(AGENTS))
def test_the_agents_fields_are_not_mentioned(field: str) -> None:
    assert field not in " ".join(validation["expression"] for validation in SPEC["validations"])
