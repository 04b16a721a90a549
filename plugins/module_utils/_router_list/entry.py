# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""A router of the list as a ConfigMap of its own, so that whoever changes one router cannot lose another. Pure.

The document is what stands in `egress_routers` for the router. People may read it, and edit it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._common.errors import InputError
from .._common.yaml_text import from_yaml, to_yaml
from .._contract import names

APP_NAME = "egress-router-list"
FIELD_MANAGER = "egress.router.list"
# Not that of the routers' objects, which may be in the same namespace.
SELECTOR = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY},{names.LABEL_NAME}={APP_NAME}"
_FILE = "router.yml"
_PREFIX = "egress-router."


@dataclass(frozen=True)
class Entry:
    """A router of the list. `live`: the object as it was read; None if it is yet to be created."""

    router: Mapping[str, Any]
    live: dict[str, Any] | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of the router."""
        return key_of(self.router)

    @property
    def absent(self) -> bool:
        """Whether the router is to be removed."""
        return self.router.get("state") == "absent"

    @property
    def object_name(self) -> str:
        """Of its ConfigMap. Neither a namespace nor a name has a dot."""
        return _PREFIX + ".".join(self.key)

    def changed(self, fields: Mapping[str, Any]) -> Entry:
        """The same with these keys. One with None is removed."""
        router = {**self.router, **fields}
        return replace(self, router={key: value for key, value in router.items() if value is not None})

    def manifest(self) -> dict[str, Any]:
        """What of the object is ours. Labels, annotations and files of others stay."""
        live = self.live or {}
        labels = {
            **((live.get("metadata") or {}).get("labels") or {}),
            names.LABEL_NAME: APP_NAME,
            names.LABEL_MANAGED_BY: names.MANAGED_BY,
        }
        return {
            "metadata": {"name": self.object_name, "labels": labels},
            "data": {**(live.get("data") or {}), _FILE: to_yaml(dict(self.router))},
        }

    def body(self) -> dict[str, Any]:
        """The whole object. Of one that is there, in the version that was read."""
        live, manifest = self.live or {}, self.manifest()
        return {**live, **manifest, "metadata": {**(live.get("metadata") or {}), **manifest["metadata"]}}


def key_of(router: Mapping[str, Any]) -> tuple[str, str]:
    """Namespace and name of a router of a list."""
    return str(router.get("namespace") or "").strip(), str(router.get("name") or "").strip()


def read_entry(item: dict[str, Any]) -> Entry:
    """The router of an object with our labels; InputError if somebody has edited it so that there is none."""
    name = f"ConfigMap {item['metadata']['namespace']}/{item['metadata']['name']}"
    repair = "correct it, or delete the ConfigMap to take the router out of the list"
    try:
        router = from_yaml((item.get("data") or {}).get(_FILE) or "")
    except ValueError as error:
        raise InputError(f"{name}: {_FILE} is not YAML ({' '.join(str(error).split())}): {repair}") from None
    if not isinstance(router, dict):
        raise InputError(f"{name}: {_FILE} has no router, which is a dictionary: {repair}")
    entry = Entry(router, item)
    if item["metadata"]["name"] != entry.object_name:
        raise InputError(
            f"{name}: {_FILE} has router {'/'.join(entry.key)}, whose ConfigMap is {entry.object_name}: {repair}"
        )
    return entry
