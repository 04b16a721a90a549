# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns which field: what can be said without asking the API server."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._kubernetes.managed_fields import (
    extract,
    in_force,
    owned_fields,
    owned_keys,
    union,
)


def test_owned_list_items_are_those_applied_by_the_manager() -> None:
    fields = {"f:spec": {"f:ports": {'k:{"port":53,"protocol":"UDP"}': {}, ".": {}}}}
    managed = [
        {"manager": "us", "operation": "Update", "fieldsV1": {"f:spec": {"f:ports": {'k:{"port":1}': {}}}}},
        {"manager": "them", "operation": "Apply", "fieldsV1": {"f:spec": {"f:ports": {'k:{"port":2}': {}}}}},
        {"manager": "us", "operation": "Apply", "fieldsV1": fields},
    ]
    item = {"metadata": {"managedFields": managed}}
    assert owned_keys(item, "us", ("spec", "ports")) == [{"port": 53, "protocol": "UDP"}]
    assert owned_keys(item, "nobody", ("spec", "ports")) == []
    assert owned_keys({"metadata": {}}, "us", ("spec", "ports")) == []


MANIFEST: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "db", "namespace": "payments", "labels": {"a": "1"}},
    "spec": {
        "ipFamilies": ["IPv4"],
        "selector": {"x": "y"},
        "ports": [{"name": "metrics", "port": 1, "protocol": "TCP"}],
    },
}
PORT = 'k:{"port":1,"protocol":"TCP"}'
FIELDS = {
    "f:metadata": {"f:labels": {"f:a": {}}},
    "f:spec": {
        "f:ipFamilies": {},
        "f:selector": {},
        "f:ports": {PORT: {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}}},
    },
}


def service() -> dict[str, Any]:
    """As the API server has it: with what it added, and with a label and a port of somebody else."""
    live = copy.deepcopy(MANIFEST)
    live["metadata"].update(uid="1", resourceVersion="7", managedFields=[
        {"manager": "us", "operation": "Apply", "fieldsV1": copy.deepcopy(FIELDS)},
    ])  # fmt: skip
    live["metadata"]["labels"]["theirs"] = "2"
    live["spec"].update(clusterIP="10.96.0.1")
    live["spec"]["ports"][0]["targetPort"] = 1
    live["spec"]["ports"].append({"name": "theirs", "port": 2, "protocol": "TCP"})
    live["status"] = {}
    return live


def changed(item: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    item = copy.deepcopy(item)
    below: Any = item
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        below = below[step]
    below[last] = value
    return item


def test_what_the_api_server_and_others_added_is_no_difference() -> None:
    assert in_force(MANIFEST, service(), "us")
    assert not in_force(MANIFEST, service(), "them"), "what somebody else applied is not told apart here"


@pytest.mark.parametrize(("path", "value"), [
    ("metadata.labels.a", "2"), ("metadata.labels", {}), ("spec.ipFamilies", ["IPv6"]), ("spec.selector.x", "z"),
    ("spec.selector", {"x": "y", "more": "1"}), ("spec.ports.0.name", "other"), ("spec.ports.0.port", 3), ("spec.ports", []),
])  # fmt: skip
def test_drift_in_a_field_that_is_ours_is_seen(path: str, value: Any) -> None:
    assert not in_force(MANIFEST, changed(service(), path, value), "us")


@pytest.mark.parametrize(("path", "value"), [
    ("metadata.labels", {}), ("metadata.labels", {"a": "1", "b": "1"}), ("spec.ports", []), ("spec.ipFamilies", []),
    ("spec.ports", [*MANIFEST["spec"]["ports"], {"name": "new", "port": 9, "protocol": "TCP"}]),
    ("spec.ports.0.name", "new"), ("spec.ports.0.appProtocol", "http"), ("spec", {}), ("spec.type", "ClusterIP"),
])  # fmt: skip
def test_a_change_of_what_is_wanted_is_seen(path: str, value: Any) -> None:
    assert not in_force(changed(MANIFEST, path, value), service(), "us")


def test_a_field_that_somebody_else_took_over_is_seen() -> None:
    live = service()
    del live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:ipFamilies"]
    assert in_force(MANIFEST, live, "us"), "with the same value it changes nothing"
    live["spec"]["ipFamilies"] = ["IPv6"]
    assert not in_force(MANIFEST, live, "us")


def test_only_what_is_owned_is_extracted() -> None:
    found = extract(service(), owned_fields(service(), "us"))
    assert found == MANIFEST
    assert found["spec"]["ports"] is not MANIFEST["spec"]["ports"]
    assert extract(service(), {"f:metadata": {"f:labels": {}}})["metadata"]["labels"] == {"a": "1", "theirs": "2"}
    assert set(extract(service(), {"f:spec": {}})) == {"apiVersion", "kind", "metadata", "spec"}


def test_the_union_has_what_either_has() -> None:
    one, other = {"f:a": {"f:b": {}}, "f:c": {}}, {"f:a": {"f:d": {}}, "f:e": {}}
    assert union(one, other) == {"f:a": {"f:b": {}, "f:d": {}}, "f:c": {}, "f:e": {}}
