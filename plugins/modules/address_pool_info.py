#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: address_pool_info
short_description: Get which addresses of pools are used, by which egress routers, and which are free
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Returns what M(egress.router.address_pool) has allocated and released, what is free, and orphans, which are addresses allocated to
    routers that do not exist.
options:
  orphans:
    description:
      - Whether to look for routers that do not exist, in the namespaces of all routers that have an address. What is in namespaces that
        the identity in use may not read is no orphan.
    type: bool
    default: true
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._attributes.info_module
  - egress.router._k8s_auth
  - egress.router._pools
seealso:
  - module: egress.router.address_pool
"""

EXAMPLES = r"""
- name: Look at the pools
  egress.router.address_pool_info:
    namespace: egress-addresses
    pools: "{{ egress_router_pools }}"
  register: info

- name: Show how many addresses are free, and what nobody needs
  ansible.builtin.debug:
    msg:
      - "{{ info.pools | items2dict(key_name='name', value_name='free') }}"
      - "{{ info.orphans }}"
"""

RETURN = r"""
pools:
  description: The pools, in the order of O(pools).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the pool.
      type: str
      sample: partners
    ranges:
      description: Its ranges, in the order of their addresses.
      type: list
      elements: str
      sample: [198.51.100.64-198.51.100.95]
    subnet:
      description: Its subnet.
      type: str
      sample: 198.51.100.0/24
    gateway:
      description: Its gateway, empty if it has none.
      type: str
      sample: 198.51.100.1
    size:
      description: How many addresses can be allocated.
      type: int
      sample: 32
    free:
      description: How many of them are neither allocated nor resting. Somebody else may use them, such as a node.
      type: int
      sample: 30
    used:
      description: Those that are allocated.
      type: list
      elements: dict
      contains: &allocation
        name:
          description: Name of the router.
          type: str
          sample: billing-db
        namespace:
          description: Its namespace.
          type: str
          sample: payments
        pool:
          description: Name of the pool when it was allocated.
          type: str
          sample: partners
        ip:
          description: The address.
          type: str
          sample: 198.51.100.64
        allocated_at:
          description: When it was allocated, in UTC.
          type: str
          sample: '2026-11-26T09:30:00Z'
        config_map:
          description: Name of the ConfigMap.
          type: str
          sample: egress-address-198.51.100.64
    resting:
      description: Those that were released and are not allocated to other routers yet.
      type: list
      elements: dict
      contains:
        <<: *allocation
        rests_until:
          description: Until when, in UTC.
          type: str
          sample: '2026-11-26T10:30:00Z'
addresses:
  description: Every allocated address of the pools, as M(egress.router.address_pool) returns it.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the router.
      type: str
      sample: billing-db
    namespace:
      description: Its namespace.
      type: str
      sample: payments
    pool:
      description: Name of the pool.
      type: str
      sample: partners
    number:
      description: Which of the router's requests to the pool it answers, counted from 1.
      type: int
      sample: 1
    ip:
      description: The address with its prefix length.
      type: str
      sample: 198.51.100.64/24
    gateway:
      description: The gateway of the pool, empty if it has none.
      type: str
      sample: 198.51.100.1
orphans:
  description: Addresses allocated to routers that do not exist. An interrupted run leaves them. Its repetition uses them.
  returned: success
  type: list
  elements: dict
  contains: *allocation
others:
  description: Allocated addresses that are in none of the pools.
  returned: success
  type: list
  elements: dict
  contains: *allocation
problems:
  description: A sentence for each ConfigMap that somebody has edited, so that it cannot be read.
  returned: success
  type: list
  elements: str
requests:
  description: Number of requests to the API server.
  returned: success
  type: int
  sample: 1
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._pools.info import report
from ansible_collections.egress.router.plugins.module_utils._pools.option import POOLS, pools_of


def main() -> None:
    module = EgressModule(argument_spec={**POOLS, "orphans": {"type": "bool", "default": True}})
    params = module.params
    with module.errors():
        pools = pools_of(params)
        found = report(module.connect(), pools, params["namespace"], params["orphans"])
        for problem in found["problems"]:
            module.warn(problem)
        module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
