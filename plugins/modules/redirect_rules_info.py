#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redirect_rules_info
short_description: Compare the wanted redirect rules of egress routers with those in their kernels
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Reads the rules from each router's ConfigMap, and asks its agent through the API server which rules are in the
    kernel and how much they were used.
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._attributes.info_module
  - egress.router._k8s_auth
  - egress.router._selection
seealso:
  - module: egress.router.redirect_rules
"""

EXAMPLES = r"""
- name: Look at the rules of all routers of a namespace
  egress.router.redirect_rules_info:
    namespaces:
      - payments
  register: rules

- name: Show where the kernel does something else than is wanted
  ansible.builtin.debug:
    msg: "{{ rules.routers | rejectattr('in_sync') | items2dict(key_name='name', value_name='drift') }}"
"""

RETURN = r"""
routers:
  description: The routers' rules, empty if there is no router.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The router's name.
      type: str
      sample: billing-db
    namespace:
      description: Its namespace.
      type: str
      sample: payments
    desired:
      description: The rules of its ConfigMap.
      type: list
      elements: dict
    desired_fallback_ip:
      description: The fallback of its ConfigMap, empty for none.
      type: str
    live:
      description: The rules in the kernel, with C(connections), C(packets) and C(bytes) besides.
      type: list
      elements: dict
    live_fallback:
      description: The fallback in the kernel with its C(destination_ip) and counters, V(none) for none.
      type: dict
    hash:
      description: Hash of the desired rules.
      type: str
    live_hash:
      description: Hash of the live rules, empty if they are not known.
      type: str
    in_sync:
      description: Whether the live rules are known and do what the desired ones say.
      type: bool
    drift:
      description:
        - Lines that differ. C(-) stands before one that is desired and not live, C(+) before one that is live and not
          desired.
      type: list
      elements: str
      sample:
        - "- 5432 TCP 203.0.113.10"
    error:
      description: What could not be read and why, empty if everything could.
      type: str
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes import selection as _selection
from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import EgressModule
from ansible_collections.egress.router.plugins.module_utils._kubernetes.redirect_rules_info import read


def main() -> None:
    module = EgressModule(argument_spec=_selection.SPEC)
    with module.errors():
        wanted, where = _selection.wanted(module.params), _selection.namespaces(module.params)
        module.exit_json(changed=False, routers=read(module.connect(), wanted, where))


if __name__ == "__main__":
    main()
