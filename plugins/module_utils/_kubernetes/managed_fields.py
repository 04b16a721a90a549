# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which fields of an object a field manager owns by server-side apply, and what stands in them.

`metadata.managedFields` has them as a tree: `f:NAME` is a field, `k:{"port":80,"protocol":"TCP"}` the item of a list with
these keys, `v:VALUE` an item of a set, `.` the thing itself. A field without anything below it is owned as a whole.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

Tree: TypeAlias = "dict[str, Any]"

# What is looked at of an object that was not created by server-side apply, and has no fields of ours.
LABELS: Tree = {"f:metadata": {"f:labels": {}}}

# Never part of a field set.
_IDENTITY = ("apiVersion", "kind")
_IDENTITY_METADATA = ("name", "namespace")


def owned_fields(item: dict[str, Any], manager: str) -> Tree:
    """What `manager` owns of an object by server-side apply."""
    for entry in item["metadata"].get("managedFields") or ():
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            found: Tree = entry.get("fieldsV1") or {}
            return found
    return {}


def owned_keys(item: dict[str, Any], manager: str, path: tuple[str, ...]) -> list[dict[str, Any]]:
    """The keys of the items that `manager` owns of the list at `path`."""
    fields = owned_fields(item, manager)
    for step in path:
        fields = fields.get(f"f:{step}") or {}
    return [json.loads(key[2:]) for key in fields if key.startswith("k:")]


def in_force(manifest: dict[str, Any], live: dict[str, Any], manager: str) -> bool:
    """Whether applying `manifest` as `manager` certainly changes no value of the object `live`.

    False also where only the API server can tell, such as for numbers that it writes in another way.
    """
    return _in_force(_fields(manifest), live, owned_fields(live, manager))


def union(one: Tree, other: Tree) -> Tree:
    """What is in one of two trees."""
    result = dict(one)
    for key, below in other.items():
        result[key] = union(result.get(key) or {}, below or {})
    return result


def extract(item: dict[str, Any], owned: Tree) -> dict[str, Any]:
    """The object with nothing but its identity and the fields of `owned`."""
    found = _extract(item, owned)
    metadata = {key: item["metadata"][key] for key in _IDENTITY_METADATA if key in item["metadata"]}
    identity = {key: item[key] for key in _IDENTITY if key in item}
    rest = {key: value for key, value in found.items() if key != "metadata"}
    return {**identity, "metadata": {**metadata, **found.get("metadata", {})}, **rest}


def _fields(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest without what is never owned."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _IDENTITY_METADATA}
    return {**{key: value for key, value in manifest.items() if key not in _IDENTITY}, "metadata": metadata}


def _in_force(wanted: Any, live: Any, owned: Tree) -> bool:
    if not owned:
        # Owned as a whole, or not ours: what the API server added to it cannot be told from what others did.
        return bool(wanted == live)
    items = _items(owned)
    if items and isinstance(wanted, list) and isinstance(live, list):
        pairs = [(_find(wanted, key), _find(live, key), below) for key, below in items.items()]
        # One item for each that is owned, so nothing is to be removed, and none beside them, so nothing to be added.
        complete = len(wanted) == len(pairs) and all(None not in pair for pair in pairs)
        return complete and all(_in_force(one, other, below) for one, other, below in pairs)
    if isinstance(wanted, dict) and isinstance(live, dict):
        # What is owned and not wanted any more would be removed.
        complete = {key[2:] for key in owned if key.startswith("f:")} <= set(wanted) <= set(live)
        return complete and all(
            _in_force(value, live[key], owned.get(f"f:{key}") or {}) for key, value in wanted.items()
        )
    return bool(wanted == live)


def _extract(value: Any, owned: Tree) -> Any:
    items = _items(owned)
    if items and isinstance(value, list):
        pairs = [(_find(value, key), below) for key, below in items.items()]
        return [_extract(item, below) for item, below in pairs if item is not None]
    if owned and isinstance(value, dict):
        below = {key[2:]: tree for key, tree in sorted(owned.items()) if key.startswith("f:")}
        return {key: _extract(value[key], tree or {}) for key, tree in below.items() if key in value}
    return value


def _items(owned: Tree) -> Tree:
    return {key: below or {} for key, below in owned.items() if key.startswith(("k:", "v:"))}


def _find(values: list[Any], key: str) -> Any:
    """The item of a list that a key of the tree means."""
    wanted = json.loads(key[2:])
    if key.startswith("v:"):
        return wanted if wanted in values else None
    return next((item for item in values if isinstance(item, dict) and wanted.items() <= item.items()), None)
