#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: address_pool
short_description: Allocate addresses of pools to egress routers, or release them
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Allocates an address to each present router of the list that asks a pool for one with O(routers[].addresses[].pool), and returns
    the list with the addresses filled in, as the other modules need it.
  - An allocated address stays with its router until it is released, whatever the order of the list and whatever other routers come
    and go.
  - An address is allocated by creating a ConfigMap that is named after it, which only one of several runs at the same time can do.
    The ConfigMap belongs to no router, so that it outlives the removal of one.
  - Never allocated are addresses of the subnet itself, the gateway, excluded addresses, those of nodes and of other egress routers
    of the cluster, destinations of the list, and released ones for O(pools[].quarantine_seconds). What the identity in use may
    not read is a warning.
  - Before a new address is allocated, short-lived pods of the router's image ask the segment whether somebody uses it, as
    M(egress.router.preflight_info) does. What is in use is skipped, with a warning.
  - A router that is deployed with an address of the pool already gets that one. If somebody else has it, the module fails.
  - A router may ask a pool for several addresses. They keep their order, so that the first one stays the default. When it asks for
    fewer, the last ones become unused; to keep others, name them with O(routers[].addresses[].ip).
options:
  state:
    description:
      - With V(present), routers get the addresses that they ask for.
      - With V(absent), the addresses of all routers of the list are released. Remove the routers first.
    type: str
    choices: [present, absent]
    default: present
  release_unused:
    description:
      - With O(state=present), whether to release what routers of the list have and do not ask for any more, such as the addresses of
        absent ones. Remove those first.
    type: bool
    default: false
  create_namespace:
    description: Whether to create O(namespace) if it does not exist. It is never removed.
    type: bool
    default: false
  node_checks:
    description: Whether to ask the segment whether somebody uses an address before it is allocated.
    type: bool
    default: true
  node_checks_namespace:
    description:
      - Namespace of the pods that do so. It must permit the host network, which is Pod Security level C(privileged).
      - If empty, a namespace is created for them and deleted with them.
    type: str
    default: ""
  cni_directory:
    description:
      - Directory of the CNI plugins on the nodes.
      - If empty, it is V(/opt/cni/bin), or V(/var/lib/cni/bin) on OpenShift.
    type: str
    default: ""
  wait_timeout:
    description: How many seconds to wait for these pods to finish. The image may have to be pulled.
    type: int
    default: 120
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._k8s_auth
  - egress.router._pools
  - egress.router._routers
attributes:
  check_mode:
    support: full
    details:
      - The addresses are returned that would be allocated now. The segment is asked too, because the pods are deleted.
  diff_mode:
    support: full
    details:
      - One difference for each ConfigMap.
  idempotent:
    support: full
seealso:
  - module: egress.router.address_pool_info
  - name: Addresses
    description: How to choose and reserve addresses.
    link: https://example.com/egress.router/blob/main/docs/addresses.md
"""

EXAMPLES = r"""
- name: Allocate an address of the pool
  egress.router.address_pool:
    namespace: egress-addresses
    pools:
      - name: partners
        ranges: [198.51.100.64-198.51.100.95, 198.51.100.100/30]
        prefix_length: 24
        gateway: 198.51.100.1
        exclude: [198.51.100.70]
    routers:
      - name: billing-db
        namespace: payments
        image: registry.example.com/egress-router:0.1.0
        addresses:
          - {pool: partners}
  register: allocated

- name: Create the router with it
  egress.router.router:
    routers: "{{ allocated.routers }}"

- name: Remove the router
  egress.router.router:
    state: absent
    routers: "{{ allocated.routers }}"

- name: Release its address
  egress.router.address_pool:
    namespace: egress-addresses
    pools: "{{ egress_router_pools }}"
    state: absent
    routers: "{{ allocated.routers }}"
"""

RETURN = r"""
addresses:
  description: What the routers of the list have of the pools, or would have in check mode.
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
    new:
      description: Whether it was allocated by this run.
      type: bool
routers:
  description: O(routers) with the addresses instead of the requests for them, as other modules need it.
  returned: success
  type: list
  elements: dict
unused:
  description: What the routers of the list have and do not ask for. Empty with O(release_unused=true) and with O(state=absent).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the router.
      type: str
    namespace:
      description: Its namespace.
      type: str
    pool:
      description: Name of the pool when it was allocated.
      type: str
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
released:
  description: What was released, each as in RV(unused).
  returned: success
  type: list
  elements: dict
skipped:
  description: Addresses that were free by all accounts and are not allocated.
  returned: success
  type: list
  elements: dict
  contains:
    ip:
      description: The address.
      type: str
      sample: 198.51.100.64
    reason:
      description: Why not.
      type: str
      sample: is in use by 02:00:5e:00:53:01, as node worker-1 sees it
requests:
  description: Number of requests to the API server.
  returned: success
  type: int
  sample: 1
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._pools import option
from ansible_collections.egress.router.plugins.module_utils._pools.run import Run


def main() -> None:
    module = EgressModule(argument_spec=option.SPEC)
    with module.errors():
        cluster = module.connect(leaves_nothing=True)
        writer = cluster.rehearsal() if module.check_mode else cluster
        run = Run(cluster, writer, option.read(module.params), option.options(module.params))
        run.run()
        for warning in run.warnings:
            module.warn(warning)
        result = run.as_dict(module._diff)
        if run.error:
            module.fail(run.error, **result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
