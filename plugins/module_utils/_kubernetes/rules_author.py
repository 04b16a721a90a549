# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whose the rules of routers with an agent are: the collection's, or those of somebody who has edited them since.

The API server notes who wrote which field of an object (managed_fields.py).
"""

from __future__ import annotations

from typing import Any

from .._contract import names
from .cluster import Cluster
from .selection import Key, find_all, router_of

# Whoever writes rules for the collection.
_OURS = (names.FIELD_MANAGER_DEPLOY, names.FIELD_MANAGER_RULES)


def changed_by_others(cluster: Cluster, where: list[Any]) -> dict[Key, str]:
    """The routers whose rules somebody else wrote last, with a sentence about it.

    Only of ConfigMaps that the collection has written to: of all others, such as those of Argo CD, it is not the author.
    """
    found = {}
    for item in find_all(cluster, ("ConfigMap",), where, metadata_only=True)["ConfigMap"]:
        entry = _author(item)
        if entry is not None:
            namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
            at = f" at {entry['time']}" if entry.get("time") else ""
            found[router_of(item)] = f"{entry.get('manager')} changed the rules in ConfigMap {namespace}/{name}{at}"
    return found


def _author(config_map: dict[str, Any]) -> dict[str, Any] | None:
    """Who wrote the rules last, if it was somebody else."""
    entries = config_map["metadata"].get("managedFields") or []
    wrote = [entry for entry in entries if names.RULES_KEY in _keys(entry)]
    if not wrote or not any(entry.get("manager") in _OURS for entry in entries):
        return None
    return (
        None
        if any(entry.get("manager") in _OURS for entry in wrote)
        else max(wrote, key=lambda one: one.get("time", ""))
    )


def _keys(entry: dict[str, Any]) -> set[str]:
    """The keys of a ConfigMap's data that a manager owns."""
    fields = entry.get("fieldsV1") or {}
    return {key[2:] for part in ("f:data", "f:binaryData") for key in fields.get(part) or {} if key.startswith("f:")}
