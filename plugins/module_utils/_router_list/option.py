# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The options of the module router_list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._common.errors import InputError
from .._router.fields import expected, is_list, is_omitted
from .._router.problems import Problem
from .entry import key_of
from .plan import Wish
from .survey import ANSWERS, read_answers

SPEC: dict[str, Any] = {
    "namespace": {"type": "str", "required": True},
    "routers": {"type": "raw"},
    "survey": {"type": "dict", "options": {key: {"type": "str"} for key in ANSWERS}},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "fixed_routers": {"type": "raw"},
    "defaults": {"type": "raw"},
    "pools": {"type": "raw"},
    "create_namespace": {"type": "bool", "default": False},
}


def read(params: Mapping[str, Any]) -> Wish:
    """What the module is asked for. InputError with all that cannot be meant."""
    problems: list[Problem] = []
    defaults = params["defaults"] or {}
    if not isinstance(defaults, Mapping):
        problems.append(Problem("", "egress_router_defaults", expected("a dictionary", defaults)))
        defaults = {}
    changes: list[Mapping[str, Any]] = list(_routers(params["routers"], problems))
    answered, found = read_answers(params["survey"] or {})
    problems += found
    changes += [answered] if answered else []
    for change in changes:
        if not all(key_of({**defaults, **change})):
            given = change.get("name") or "one without a name"
            problems.append(Problem("", "routers", f"{given} has no name, or no namespace: give it both"))
    if problems:
        raise InputError("\n".join(map(str, problems)))
    common = {"fixed": params["fixed_routers"] or [], "defaults": defaults, "pools": params["pools"]}
    if params["state"] == "absent":
        return Wish(**common, out=[key_of({**defaults, **change}) for change in changes])
    return Wish(**common, changes=changes)


def _routers(data: Any, problems: list[Problem]) -> list[dict[str, Any]]:
    if data is None or data == "":
        return []
    if not is_list(data):
        problems.append(Problem("", "routers", expected("a list of routers", data)))
        return []
    found = []
    for number, item in enumerate(data):
        if isinstance(item, Mapping):
            found.append({key: value for key, value in item.items() if not is_omitted(value)})
        elif not is_omitted(item):
            problems.append(Problem("", f"routers[{number}]", expected("a dictionary", item)))
    return found
