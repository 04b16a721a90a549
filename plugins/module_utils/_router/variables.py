# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The public variables of the roles, whatever form they come in.

A value is typed in a playbook, and a text in a survey of AWX, on the command line (`-e x=9999`) or in an inventory in INI. What
Ansible checks by a role's argument specification it does not convert. `egress_routers` and its defaults are read by routers.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._common.errors import InputError
from .._common.yaml_text import from_yaml
from .fields import Fields, expected, is_list
from .problems import Problems

# Variables of the playbooks; those of roles are in their argument specifications.
OF_PLAYBOOKS: dict[str, dict[str, Any]] = {
    "egress_router_pools": {"type": "list", "elements": "dict", "default": []},
    "egress_router_fail_on_drift": {"type": "bool", "default": False},
    "egress_router_preflight": {"type": "bool", "default": True},
    "egress_router_openstack_allowed_address_pair": {"type": "bool", "default": True},
    "egress_router_vsphere_port_group_security": {"type": "bool", "default": True},
}
# What the lists of roles hold that do not hold texts. Their argument specifications cannot say it: with `elements`, Ansible refuses
# the text of a list, such as "[80]" from a survey, before a role begins.
ELEMENTS = {
    "router_list_routers": "dict",
    "verify_fallback_ports": "int",
    "verify_http_ports": "int",
    "vsphere_port_group_security_previous": "dict",
}
_LARGEST = 999_999_999


def read(name: str, value: Any, option: Mapping[str, Any]) -> Any:
    """The typed value; the option's default if there is none or a blank one. InputError with a sentence if it has no such value."""
    problems = Problems("")
    found = _read(Fields({name: value}, problems), name, option)
    if problems.found:
        raise InputError(str(problems.found[0]))
    return found


def _read(fields: Fields, name: str, option: Mapping[str, Any]) -> Any:
    kind, default = option.get("type", "str"), option.get("default")
    if fields.raw(name) is None:
        return "" if default is None and kind in ("str", "path") else default
    if kind == "bool":
        return fields.boolean(name)
    if kind == "int":
        return fields.number(name, 0, _LARGEST, None)
    if kind == "float":
        return fields.decimal(name)
    if kind == "dict":
        return _parsed(fields, name, "a dictionary").texts(name)
    if kind == "list":
        return _read_list(fields, name, option.get("elements") or ELEMENTS.get(name, "str"))
    text = fields.text(name)
    if kind == "path":
        return _absolute(text)
    return fields.choice(name, option["choices"], "") if text and "choices" in option else text


def _read_list(fields: Fields, name: str, elements: str) -> list[Any]:
    value = fields.raw(name)
    if isinstance(value, str) and elements != "dict" and not value.startswith(("[", "- ")):
        # As Ansible reads the text of a list, and people write it.
        value = [part.strip() for part in value.split(",") if part.strip()]
    else:
        value = _parsed(fields, name, "a list").raw(name)
    items = value if is_list(value) else [] if value is None else [value]
    found: list[Any] = []
    for place, item in enumerate(items):
        key = f"{name}[{place}]"
        one = Fields({key: item}, fields.problems)
        if elements == "dict":
            found.append(one.mapping(key))
        else:
            text = one.number(key, 0, _LARGEST, None) if elements == "int" else one.text(key)
            found.append(_absolute(text) if elements == "path" and isinstance(text, str) else text)
    return found


def _absolute(path: str) -> str:
    """A path from where somebody runs Ansible. For a module it begins at the playbook, and ours are in the collection."""
    return str(Path(path).expanduser().absolute()) if path else ""


def _parsed(fields: Fields, name: str, what: str) -> Fields:
    """The fields with what a text in YAML or JSON stands for."""
    value = fields.raw(name)
    if not isinstance(value, str):
        return fields
    try:
        found = from_yaml(value)
    except ValueError:
        found = None
    if not isinstance(found, Mapping) and not is_list(found):
        fields.problem(name, f"{expected(what, value)}: write it in YAML or JSON")
        found = None
    return Fields({name: found}, fields.problems)
