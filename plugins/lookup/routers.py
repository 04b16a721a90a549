# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: routers
short_description: The list of routers, with those that are kept on the cluster and the addresses of pools
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Returns the variable C(egress_routers), and after it the routers of the list that is kept on the cluster, if the role
    P(egress.router.router_list#role) has read it for the same host before.
  - Where a router asks a pool for its address, the address that is allocated to it stands instead, if the role
    P(egress.router.addresses#role) has found it out for the same host before.
  - The roles of this collection read the list by this lookup.
options:
  filled:
    description: Whether addresses stand instead of requests to pools.
    type: bool
    default: true
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
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.lookup import LookupBase

from ansible_collections.egress.router.plugins.module_utils._pools.request import by_request, filled

_LIST = "egress_routers"
_DEFAULTS = "egress_router_defaults"
# What the roles addresses and router_list have registered.
_FOUND = "__addresses"
_LISTED = "__router_list"


class LookupModule(LookupBase):
    """Fills in the list as it is at this moment: addresses are found by router and pool, never by place."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[Any]:
        self._templar.available_variables = variables
        if _LIST not in variables:
            raise AnsibleLookupError(f"{_LIST} is not defined: it is the list of routers")
        listed, found = (self._templar.template(variables.get(name)) or {} for name in (_LISTED, _FOUND))
        # A task that was skipped registers something, but no list.
        routers = listed["routers"] if "routers" in listed else self._templar.template(variables[_LIST])
        if not boolean(kwargs.get("filled", True)):
            return [routers]
        defaults = self._templar.template(variables.get(_DEFAULTS))
        return [filled(routers, defaults, by_request(found.get("addresses") or ()))]
