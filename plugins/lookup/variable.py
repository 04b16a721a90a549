# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: variable
short_description: The typed value of a variable of the roles
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Returns the value of a public variable of this collection's roles in the type of its argument specification, or the default
    there if the variable is not defined.
  - Surveys of AWX, C(-e) on the command line and inventories in INI give texts. Numbers, booleans, and lists and dictionaries in
    YAML or JSON are read from them. A single value stands for a list of one, and an empty text for the default.
  - Fails with a sentence that names the variable if the value cannot be read.
options:
  _terms:
    description: The name of the variable.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the ports, whether they were specified as a list, as 80 or as "80,8080"
  ansible.builtin.debug:
    msg: "{{ lookup('egress.router.variable', 'verify_http_ports') }}"
"""

RETURN = r"""
_raw:
  description: The value.
  type: raw
"""

from functools import cache
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.egress.router.plugins.module_utils._common.errors import InputError
from ansible_collections.egress.router.plugins.module_utils._common.yaml_text import from_yaml
from ansible_collections.egress.router.plugins.module_utils._router.variables import OF_PLAYBOOKS, read

_ROLES = Path(__file__).resolve().parents[2] / "roles"


class LookupModule(LookupBase):
    """Reads one variable, however many a task needs: each is named where it is used."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[Any]:
        (name,) = terms
        self._templar.available_variables = variables
        value = self._templar.template(variables[name]) if name in variables else None
        try:
            return [read(name, value, _option(name))]
        except InputError as error:
            raise AnsibleLookupError(str(error)) from error


def _option(name: str) -> dict[str, Any]:
    if name in OF_PLAYBOOKS:
        return OF_PLAYBOOKS[name]
    # The variables of a role begin with its name.
    roles = (path.name for path in _ROLES.iterdir() if name.startswith(f"{path.name}_"))
    options = _options(next(roles, ""))
    if name not in options:
        raise AnsibleLookupError(f"{name} is not a variable of the collection's roles")
    found: dict[str, Any] = options[name]
    return found


@cache
def _options(role: str) -> dict[str, Any]:
    if not role:
        return {}
    text = (_ROLES / role / "meta/argument_specs.yml").read_text(encoding="utf-8")
    specs = from_yaml(text)["argument_specs"].values()
    return {name: option for spec in specs for name, option in spec["options"].items()}
