# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which routers a module reports."""

from __future__ import annotations

from typing import Any, TypeAlias

from .._common.concurrent import each
from .._contract import names
from .cluster import Cluster

SPEC: dict[str, Any] = {
    "routers": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "backend": {"type": "str", "choices": ["agent", "egress_router_cr"], "default": "agent"},
        },
    },
    "namespaces": {"type": "list", "elements": "str"},
}

# A router as (namespace, name).
Key: TypeAlias = "tuple[str, str]"


def wanted(params: dict[str, Any]) -> list[tuple[str, Key]] | None:
    """The named routers with their backends, each once, in the order given; None if none is named."""
    if params["routers"] is None:
        return None
    return list(dict.fromkeys((one["backend"], (one["namespace"], one["name"])) for one in params["routers"]))


def namespaces(params: dict[str, Any]) -> list[str | None]:
    """Where to look; [None] is everywhere."""
    named = wanted(params)
    if named is not None:
        return list(dict.fromkeys(namespace for _backend, (namespace, _name) in named))
    return list(dict.fromkeys(params["namespaces"])) if params["namespaces"] is not None else [None]


def find_all(
    cluster: Cluster, kinds: tuple[str, ...], where: list[Any], metadata_only: bool = False
) -> dict[str, list[dict[str, Any]]]:
    """The routers' objects by kind: one call for each kind and namespace, however many routers there are."""
    calls = [(kind, namespace) for kind in kinds for namespace in where]
    found = each(lambda call: cluster.find(*call, labels=names.SELECTOR, metadata_only=metadata_only), calls)
    result: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for (kind, _namespace), objects in zip(calls, found, strict=True):
        result[kind] += objects
    return result


def router_of(item: dict[str, Any]) -> Key:
    """The router that an object belongs to."""
    metadata = item["metadata"]
    return metadata["namespace"], (metadata.get("labels") or {}).get(names.LABEL_INSTANCE, "")
