# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The environment variables of an old router's containers, from their values and from ConfigMaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .objects import Objects, Workload

PREFIX = "EGRESS_"


@dataclass(frozen=True)
class Variable:
    """`text`: None if it cannot be read, for the reason in `problem`. `config_map`: the one that it comes from."""

    name: str
    text: str | None
    problem: str = ""
    config_map: str = ""
    key: str = ""

    @property
    def title(self) -> str:
        """For people: `EGRESS_DESTINATION (ConfigMap egress-routes, key destination)`."""
        return f"{self.name} (ConfigMap {self.config_map}, key {self.key})" if self.config_map else self.name


def variables(workload: Workload, objects: Objects) -> dict[str, Variable]:
    """The EGRESS_ variables by name. The first container that has one counts."""
    found: dict[str, Variable] = {}
    for container in workload.containers:
        own = {variable.name: variable for variable in _of_container(container, workload, objects)}
        found = {**own, **found}
    return found


def config_maps(workload: Workload) -> list[str]:
    """The ConfigMaps that EGRESS_ variables may come from."""
    found: dict[str, None] = {}
    for container in workload.containers:
        for reference in container.get("envFrom") or ():
            found[str((reference.get("configMapRef") or {}).get("name") or "")] = None
        for entry in container.get("env") or ():
            reference = (entry.get("valueFrom") or {}).get("configMapKeyRef")
            if reference and str(entry.get("name", "")).startswith(PREFIX):
                found[str(reference.get("name") or "")] = None
    return [name for name in found if name]


def _of_container(container: Mapping[str, Any], workload: Workload, objects: Objects) -> Iterator[Variable]:
    """A later entry of the same name wins, as in Kubernetes."""
    namespace = workload.source.namespace
    for reference in container.get("envFrom") or ():
        config_map = str((reference.get("configMapRef") or {}).get("name") or "")
        data = (objects.get("ConfigMap", namespace, config_map) or {}).get("data") or {}
        for key, text in data.items():
            name = f"{reference.get('prefix') or ''}{key}"
            if name.startswith(PREFIX):
                yield Variable(name, str(text), "", config_map, key)
    for entry in container.get("env") or ():
        name = str(entry.get("name", ""))
        if name.startswith(PREFIX):
            yield _of_entry(name, entry, namespace, objects)


def _of_entry(name: str, entry: Mapping[str, Any], namespace: str, objects: Objects) -> Variable:
    if not entry.get("valueFrom"):
        value = entry.get("value")
        return Variable(name, "" if value is None else str(value))
    reference = entry["valueFrom"].get("configMapKeyRef")
    if not reference:
        (kind, *_others) = entry["valueFrom"]
        advice = "replace it by a value or a ConfigMap, or add the router to the list by hand"
        return Variable(name, None, f"its value comes from {kind}, which is not read: {advice}")
    config_map, key = str(reference.get("name") or ""), str(reference.get("key") or "")
    found = objects.get("ConfigMap", namespace, config_map)
    if found is None:
        problem = "this ConfigMap does not exist or was not given: create it, or add its file"
        return Variable(name, None, problem, config_map, key)
    data = found.get("data") or {}
    if key not in data:
        return Variable(name, None, "the ConfigMap has no such key: add it", config_map, key)
    return Variable(name, str(data[key]), "", config_map, key)
