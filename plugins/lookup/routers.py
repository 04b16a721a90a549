# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: routers
short_description: The list of routers, with the addresses of their pools
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Returns the variable C(egress_routers). Where a router asks a pool for its address, the address that is allocated to it stands
    instead, if the role P(egress.router.addresses#role) has found it out for the same host before.
  - The roles of this collection read the list by this lookup.
options: {}
"""

EXAMPLES = r"""
- name: Allocate addresses
  ansible.builtin.include_role:
    name: egress.router.addresses

- name: Show the routers
  ansible.builtin.debug:
    msg: "{{ lookup('egress.router.routers') }}"
"""

RETURN = r"""
_raw:
  description: The routers.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.egress.router.plugins.module_utils._pools.request import by_request, filled

_LIST = "egress_routers"
_DEFAULTS = "egress_router_defaults"
# What the role addresses has registered.
_FOUND = "__addresses"


class LookupModule(LookupBase):
    """Fills in the list as it is at this moment: addresses are found by router and pool, never by place."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[Any]:
        self._templar.available_variables = variables
        if _LIST not in variables:
            raise AnsibleLookupError(f"{_LIST} is not defined: it is the list of routers")
        found = self._templar.template(variables.get(_FOUND)) or {}
        defaults = self._templar.template(variables.get(_DEFAULTS))
        return [filled(self._templar.template(variables[_LIST]), defaults, by_request(found.get("addresses") or ()))]
