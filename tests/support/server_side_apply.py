# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Server-side apply as the API server does it, for the fake API server.

https://kubernetes.io/docs/reference/using-api/server-side-apply/: who applies a field owns it; a field that somebody else
owns with another value is a conflict; what an applier owned and does not apply any more goes, unless others own it too; a
write that is no apply takes over the fields whose values it changes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

# A path is made of `f:NAME` and `k:{"KEY":VALUE}`.
Path = tuple[str, ...]

# Lists whose items have keys, by the names on the way; every other list is owned as a whole.
_KEYED: dict[tuple[str, ...], tuple[str, ...]] = {
    ("metadata", "ownerReferences"): ("uid",),
    ("spec", "ports"): ("port", "protocol"),
    ("spec", "template", "spec", "containers"): ("name",),
    ("spec", "template", "spec", "containers", "env"): ("name",),
    ("spec", "template", "spec", "containers", "ports"): ("containerPort", "protocol"),
    ("spec", "template", "spec", "topologySpreadConstraints"): ("topologyKey", "whenUnsatisfiable"),
}
# Dictionaries that are owned as a whole.
_ATOMIC = {"selector", "nodeSelector", "fieldRef", "labelSelector", "roleRef"}
_NEVER_OWNED = {
    ("apiVersion",), ("kind",), ("status",), *(("metadata", name) for name in (
        "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields",
        "generateName", "deletionTimestamp",
    ))
}  # fmt: skip


class ApplyConflict(Exception):
    """Somebody else owns a field with another value."""


def applied(live: dict[str, Any] | None, body: dict[str, Any], manager: str, force: bool) -> dict[str, Any]:
    """The object after `manager` has applied `body`."""
    item = copy.deepcopy(live) if live is not None else {"metadata": {}}
    owners = _owners(item)
    mine = (manager, "Apply")
    others = {who: paths for who, paths in owners.items() if who != mine}
    new = _paths(body)
    before, after = _values(item), _values(body)
    for path in sorted(new):
        if path in before and before[path] != after.get(path):
            holders = [who for who, paths in others.items() if path in paths]
            if holders and not force:
                raise ApplyConflict(f'Apply failed with 1 conflict: conflict with "{holders[0][0]}": {_dotted(path)}')
            for who in holders:
                owners[who].discard(path)
    gone = owners.get(mine, set()) - new
    # Whole items of lists first: without their keys nothing would find them.
    for path in sorted(gone, key=lambda path: (path[-1].startswith("f:"), -len(path))):
        if not any(path in paths for who, paths in owners.items() if who != mine):
            _drop(item, path)
    _merge(item, body, ())
    owners[mine] = new
    _write_owners(item, owners)
    return item


def updated(live: dict[str, Any] | None, body: dict[str, Any], manager: str) -> dict[str, Any]:
    """The object after `manager` has replaced it by `body`."""
    item = copy.deepcopy(body)
    before, after = _values(live or {"metadata": {}}), _values(item)
    changed = {path for path, value in after.items() if before.get(path, ...) != value}
    owners = _owners(live or {"metadata": {}})
    for paths in owners.values():
        paths -= changed
        paths &= set(after) | {path for path in paths if path[-1].startswith("k:")}
    if changed:
        owners.setdefault((manager, "Update"), set()).update(changed)
    _write_owners(item, owners)
    return item


def _paths(value: Any) -> set[Path]:
    return set(_values(value)) | set(_items(value))


def _values(value: Any) -> dict[Path, Any]:
    """Every owned value by its path."""
    return dict(_walk(value, (), ()))


def _walk(value: Any, path: Path, names: tuple[str, ...]) -> Iterator[tuple[Path, Any]]:
    if names in _NEVER_OWNED:
        return
    if (
        isinstance(value, dict)
        and value
        and not ((names and names[-1] in _ATOMIC and names[:1] == ("spec",)) or names == ("roleRef",))
    ):
        for key, below in value.items():
            yield from _walk(below, (*path, f"f:{key}"), (*names, key))
    elif isinstance(value, list) and names in _KEYED:
        for item in value:
            inner = (*path, _key(item, _KEYED[names]))
            if names == ("metadata", "ownerReferences"):
                yield inner, item
            else:
                for key, below in item.items():
                    yield from _walk(below, (*inner, f"f:{key}"), (*names, key))
    elif names:
        yield path, value


def _items(value: Any) -> Iterator[Path]:
    """The paths of the items of keyed lists, which are owned beside their fields."""
    for path in _values(value):
        for length in range(1, len(path)):
            if path[length - 1].startswith("k:"):
                yield path[:length]


def _key(item: dict[str, Any], names: tuple[str, ...]) -> str:
    found = {name: item.get(name, "TCP" if name == "protocol" else None) for name in names}
    return "k:" + json.dumps(found, separators=(",", ":"))


def _merge(item: dict[str, Any], body: dict[str, Any], names: tuple[str, ...]) -> None:
    for key, value in body.items():
        inner = (*names, key)
        if isinstance(value, dict) and isinstance(item.get(key), dict) and key not in _ATOMIC:
            _merge(item[key], value, inner)
        elif isinstance(value, list) and isinstance(item.get(key), list) and inner in _KEYED:
            by_key = {_key(one, _KEYED[inner]): one for one in item[key]}
            for one in value:
                known = by_key.get(_key(one, _KEYED[inner]))
                if known is None:
                    item[key].append(copy.deepcopy(one))
                else:
                    _merge(known, one, inner)
        else:
            item[key] = copy.deepcopy(value)


def _drop(item: Any, path: Path) -> None:
    """Removes what is at a path, if it is there."""
    for step in path[:-1]:
        item = _below(item, step)
        if item is None:
            return
    if path[-1].startswith("f:"):
        item.pop(path[-1][2:], None)
    else:
        found = _below(item, path[-1])
        if found is not None:
            item.remove(found)


def _below(item: Any, step: str) -> Any:
    if step.startswith("f:"):
        return item.get(step[2:])
    wanted = json.loads(step[2:])
    return next((one for one in item if wanted.items() <= {"protocol": "TCP", **one}.items()), None)


def _dotted(path: Path) -> str:
    return "".join(f".{step[2:]}" if step.startswith("f:") else f"[{step[2:]}]" for step in path)


def _owners(item: dict[str, Any]) -> dict[tuple[str, str], set[Path]]:
    return {
        (entry["manager"], entry["operation"]): set(_leaves(entry["fieldsV1"], ()))
        for entry in item["metadata"].get("managedFields") or ()
    }


def _leaves(tree: dict[str, Any], path: Path) -> Iterator[Path]:
    if not tree and path:
        yield path
    for key, below in tree.items():
        if key == ".":
            yield path
        else:
            yield from _leaves(below, (*path, key))


def _write_owners(item: dict[str, Any], owners: dict[tuple[str, str], set[Path]]) -> None:
    entries = []
    for (manager, operation), paths in owners.items():
        tree: dict[str, Any] = {}
        parents = {path[:length] for path in paths for length in range(1, len(path))}
        for path in sorted(paths):
            below = tree
            for step in path:
                below = below.setdefault(step, {})
            if path in parents:
                below["."] = {}
        if tree:
            entries.append({"manager": manager, "operation": operation, "fieldsV1": tree})
    item["metadata"]["managedFields"] = entries
