#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redirect_rules_info
short_description: Compare the redirect rules of egress routers with those in the kernel
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Reads the rules from each router's ConfigMap, and asks its agent through the API server which rules are in the kernel and how
    much traffic they had.
  - With O(routers[].backend=egress_router_cr) the rules are those of the EgressRouter, and the live ones those with which its pod was
    started. They are not known if the EgressRouter has changed and the pod was not restarted. There are no counters.
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._attributes.info_module
  - egress.router._k8s_auth
  - egress.router._selection
  - egress.router._selection.info_module
seealso:
  - module: egress.router.redirect_rules
"""

EXAMPLES = r"""
- name: Get the rules of all routers in a namespace
  egress.router.redirect_rules_info:
    namespaces:
      - payments
  register: rules

- name: Show where the kernel differs
  ansible.builtin.debug:
    msg: "{{ rules.routers | rejectattr('in_sync') | items2dict(key_name='name', value_name='drift') }}"
"""

RETURN = r"""
routers:
  description: The rules of the routers. Empty if there is no router.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the router.
      type: str
      sample: billing-db
    namespace:
      description: Namespace of the router.
      type: str
      sample: payments
    desired:
      description: The rules in its ConfigMap or EgressRouter.
      type: list
      elements: dict
    desired_fallback_ip:
      description: The fallback in its ConfigMap. Empty if there is none.
      type: str
    live:
      description: The rules in the kernel, with the counters C(connections), C(packets) and C(bytes).
      type: list
      elements: dict
    live_fallback:
      description: The fallback in the kernel, as C(destination_ip) and its counters. V(null) if there is none.
      type: dict
    hash:
      description: Hash of the desired rules.
      type: str
    live_hash:
      description: Hash of the live rules. Empty if they are not known.
      type: str
    in_sync:
      description: Whether the live rules are known and match the desired ones. Names do not count.
      type: bool
    drift:
      description:
        - The lines that differ, with C(-) before a rule that is desired but not live, and C(+) before one that is live but not
          desired.
      type: list
      elements: str
      sample:
        - "- 5432 TCP 203.0.113.10"
    error:
      description: What could not be read, and why. Empty if everything was read.
      type: str
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes import selection as _selection
from ansible_collections.egress.router.plugins.module_utils._kubernetes.backends import read_rules
from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule


def main() -> None:
    module = EgressModule(argument_spec=_selection.SPEC)
    with module.errors():
        module.exit_json(changed=False, routers=read_rules(module.connect(), module.params))


if __name__ == "__main__":
    main()
