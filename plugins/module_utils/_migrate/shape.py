# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The shape of the objects that are read from files. A cluster's objects have it, files may hold anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .._router.fields import expected, is_list, whole_number

# A dictionary names the keys that are looked at, a list has the shape of its items, int is a whole number.
_METADATA: dict[str, Any] = {"labels": {}, "annotations": {}, "ownerReferences": [{}]}
_CONTAINER: dict[str, Any] = {
    "env": [{"valueFrom": {"configMapKeyRef": {}}}],
    "envFrom": [{"configMapRef": {}}],
    "ports": [{"containerPort": int}],
}
_POD: dict[str, Any] = {
    "metadata": _METADATA,
    "spec": {"initContainers": [_CONTAINER], "containers": [_CONTAINER], "nodeSelector": {}, "tolerations": [{}]},
}
_TEMPLATE: dict[str, Any] = {"metadata": _METADATA, "spec": {"replicas": int, "template": _POD}}
_SHAPES: dict[str, dict[str, Any]] = {
    "ConfigMap": {"metadata": _METADATA, "data": {}},
    "Deployment": _TEMPLATE,
    "DeploymentConfig": _TEMPLATE,
    "EgressRouter": {
        "metadata": _METADATA,
        "spec": {
            "addresses": [{}],
            "networkInterface": {"macvlan": {}},
            "redirect": {"redirectRules": [{}]},
        },
    },
    "NetworkAttachmentDefinition": {"metadata": _METADATA, "spec": {}},
    "Pod": _POD,
    "ReplicaSet": _TEMPLATE,
    "ReplicationController": _TEMPLATE,
    "Service": {"metadata": _METADATA, "spec": {"selector": {}, "ports": [{"port": int}]}},
}


def misshapen(item: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each part of an object that is not what its kind has there."""
    yield from _compare(item, _SHAPES.get(str(item.get("kind")), {}), "")


def _compare(value: Any, shape: Any, path: str) -> Iterator[str]:
    if value is None:
        return
    if isinstance(shape, dict):
        if not isinstance(value, Mapping):
            yield f"{path}: {expected('a dictionary', value)}"
            return
        for key, inner in shape.items():
            yield from _compare(value.get(key), inner, f"{path}.{key}" if path else key)
    elif isinstance(shape, list):
        if not is_list(value):
            yield f"{path}: {expected('a list', value)}"
            return
        for place, item in enumerate(value):
            # A list has no empty places.
            yield from _compare({} if item is None else item, shape[0], f"{path}[{place}]")
    elif whole_number(value) is None:
        yield f"{path}: {expected('a whole number', value)}"
