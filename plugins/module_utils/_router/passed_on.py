# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What is passed on to the Kubernetes API as it is: labels, annotations, names of its objects, tolerations and resources.

The API server refuses a wrong one only with the object that it is in, when others have been written already.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from .fields import Fields, expected, shown

# Of tolerations, https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
OPERATORS = ("Exists", "Equal")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z")
# A DNS subdomain: the prefix of a label's key, and the name of most objects.
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?\Z")
_RESOURCES = ("cpu", "memory", "ephemeral-storage")


def read_labels(fields: Fields, key: str, own: Collection[str] = ()) -> dict[str, str]:
    """The labels of an object, or those of nodes that are selected. `own`: those that only the collection sets."""
    found = read_annotations(fields, key, own)
    for name, value in found.items():
        if value and not _LABEL.match(value):
            fields.problem(
                f"{key}.{name}",
                f"'{value}' is not a label's value: use up to 63 letters, digits, '-', '_' and '.', with a letter or digit at both "
                "ends",
            )
    return found


def read_annotations(fields: Fields, key: str, own: Collection[str] = ()) -> dict[str, str]:
    """Annotations have the keys of labels, and any text."""
    found = fields.texts(key)
    for name in found:
        if name in own:
            fields.problem(key, f"'{name}' is set by the collection itself: remove it")
        if not _is_key(name):
            fields.problem(
                key, f"'{name}' is not a valid key: use [PREFIX/]NAME, such as disktype or example.com/disktype"
            )
    return found


def read_object_name(fields: Fields, key: str) -> str:
    """The name of an object of the cluster; empty if there is none."""
    name = fields.text(key)
    _check_object_name(fields, key, name)
    return name


def read_object_names(fields: Fields, key: str) -> list[str]:
    """The names of objects, each once."""
    found: dict[str, None] = {}
    for place, item in fields.items(key):
        where = f"{key}[{place}]"
        name = Fields({where: item}, fields.problems).text(where)
        _check_object_name(fields, where, name)
        if name:
            found[name] = None
    return list(found)


def _check_object_name(fields: Fields, key: str, name: str) -> None:
    if name and not _SUBDOMAIN.match(name):
        fields.problem(
            key, f"'{name}' is not the name of an object: use up to 253 lowercase letters, digits, '-' and '.'"
        )


def read_toleration(fields: Fields) -> dict[str, Any]:
    """As the Kubernetes API takes it, with the keys that are given."""
    toleration: dict[str, Any] = {
        "key": fields.text("key"),
        "operator": fields.choice("operator", OPERATORS, ""),
        "value": fields.text("value"),
        "effect": fields.choice("effect", EFFECTS, ""),
        "tolerationSeconds": fields.number("tolerationSeconds", 0, 999_999_999, None),
    }
    fields.finish()
    key, value, exists = toleration["key"], toleration["value"], toleration["operator"] == "Exists"
    if not key and not exists:
        fields.problem("key", "is required unless operator is Exists")
    if key and not _is_key(key):
        fields.problem("key", f"'{key}' is not the key of a taint: use [PREFIX/]NAME, such as example.com/dedicated")
    if value and exists:
        fields.problem("value", "cannot be combined with operator Exists, which is every value: remove one of the two")
    elif value and not _LABEL.match(value):
        fields.problem(
            "value", f"'{value}' is not the value of a taint: use up to 63 letters, digits, '-', '_' and '.'"
        )
    if toleration["tolerationSeconds"] is not None and toleration["effect"] != "NoExecute":
        fields.problem("tolerationSeconds", "is for effect NoExecute only: set that effect, or remove it")
    return {key: value for key, value in toleration.items() if value not in ("", None)}


def read_resources(fields: Fields, key: str) -> dict[str, Any] | None:
    """The container's `requests` and `limits`; None if there are none."""
    if fields.mapping(key) is None:
        return None
    section = fields.section(key)
    found = {name: _read_amounts(section, name) for name in ("requests", "limits") if section.mapping(name) is not None}
    section.finish()
    return found


def _read_amounts(fields: Fields, key: str) -> dict[str, str]:
    found = {}
    for name, value in (fields.mapping(key) or {}).items():
        where = f"{key}.{name}"
        if name not in _RESOURCES and not name.startswith("hugepages-") and not ("/" in name and _is_key(name)):
            fields.problem(where, f"is not a resource: use {', '.join(_RESOURCES)}, or a name with a domain")
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            fields.problem(where, expected("a quantity such as 100m or 96Mi", value))
        elif not _QUANTITY.match(str(value)):
            # 96 MiB, 96MB.
            bare = re.sub(r"\s|(?<=[kKMGTPEi])[bB]$", "", str(value))
            meant = bare if _QUANTITY.match(bare) else "100m, 2 or 96Mi"
            fields.problem(where, f"{shown(value)} is not a quantity: write it as {meant}")
        else:
            found[name] = str(value)
    return found


def _is_key(text: str) -> bool:
    prefix, separator, name = text.rpartition("/")
    return _LABEL.match(name) is not None and (not separator or _SUBDOMAIN.match(prefix) is not None)
