#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: router_list
short_description: Keep a list of egress routers on the cluster
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Keeps what the variable C(egress_routers) would have of each router in a ConfigMap of its own, so that surveys of AWX and other
    programs add, change and remove one router without editing an inventory. Who changes one router cannot lose another.
  - Changes the list alone. The playbooks of the collection make the cluster follow it.
  - The list is checked as a whole, with O(fixed_routers), before anything is written.
  - If several runs change the same router at the same time, each changes what the others have written.
  - Without O(routers) and O(survey), it only reads the list.
options:
  namespace:
    description: Namespace of the ConfigMaps.
    type: str
    required: true
  routers:
    description:
      - Routers to add or to change, a list of dictionaries with C(name), C(namespace), and any other keys of O(egress.router.router#module:routers).
      - Keys that are not given stay as they are. A key with V(null) is removed.
      - Each has to have a C(namespace), here or in O(defaults).
    type: raw
  survey:
    description:
      - The answers of a survey about one router, which are texts. What is empty is not changed.
      - Without O(survey.name), nothing may be answered but O(survey.namespace) and O(survey.state).
    type: dict
    suboptions:
      name:
        description: Name of the router.
        type: str
      namespace:
        description: Its namespace. If empty, that of O(defaults).
        type: str
      state:
        description: V(present), or V(absent) for a router that is to be removed. If empty, it is V(present).
        type: str
      address:
        description: Its addresses with their prefix lengths, separated by blanks or commas, such as V(198.51.100.50/24).
        type: str
      pool:
        description:
          - The address pool that allocates its address. With O(survey.address) too, that address of the pool.
        type: str
      gateway:
        description: The gateways of the addresses, one of each family at most, separated by blanks or commas.
        type: str
      rules:
        description:
          - Its redirect rules, one on each line, C(PORT PROTOCOL DESTINATION_IP [TARGET_PORT] [source=SOURCE_IP] [name=NAME]), or
            C(fallback DESTINATION_IP).
          - They replace all rules that it has in the list, and the fallback.
        type: str
  state:
    description:
      - With V(present), routers are added to the list or changed in it.
      - With V(absent), routers are taken out of the list whose C(state) in it is V(absent), which is done when they have been removed from
        the cluster. Others stay, with a warning.
    type: str
    choices: [present, absent]
    default: present
  fixed_routers:
    description:
      - Routers that are listed elsewhere, such as in the inventory. They come first in RV(routers), and cannot be changed here.
    type: raw
  defaults:
    description: What every router has unless it says otherwise, as O(egress.router.router#module:defaults). It is not written into the list.
    type: raw
  pools:
    description: The address pools, as O(egress.router.address_pool#module:pools), to check what routers ask for.
    type: raw
  create_namespace:
    description: Whether to create O(namespace) if it does not exist. It is never removed.
    type: bool
    default: false
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._k8s_auth
attributes:
  check_mode:
    support: full
    details:
      - The list is returned as it would be.
  diff_mode:
    support: full
    details:
      - One difference for each router.
  idempotent:
    support: full
seealso:
  - ref: egress.router.router_list role <ansible_collections.egress.router.router_list_role>
    description: Reads the list for the playbooks of the collection, and puts in the answers of a survey.
  - name: AWX and automation controller
    description: Surveys and workflows that use such a list.
    link: https://example.com/egress.router/blob/main/docs/awx.md
"""

EXAMPLES = r"""
- name: Read the list
  egress.router.router_list:
    namespace: egress-routers
  register: listed

- name: Give one router other rules
  egress.router.router_list:
    namespace: egress-routers
    survey:
      name: billing-db
      namespace: payments
      rules: |
        5432 TCP 203.0.113.10
        8080 TCP 203.0.113.11 80

- name: Add a router
  egress.router.router_list:
    namespace: egress-routers
    routers:
      - name: card-network
        namespace: payments
        image: registry.example.com/egress-router:0.1.0
        addresses:
          - {ip: 198.51.100.60/24, gateway: 198.51.100.1}
        redirect_rules:
          - {port: 443, protocol: TCP, destination_ip: 203.0.113.20}
"""

RETURN = r"""
routers:
  description: The whole list, O(fixed_routers) first, the others by namespace and name; in check mode, as it would be.
  returned: success
  type: list
  elements: dict
absent:
  description: The routers whose C(state) in the list is V(absent). They can be taken out with O(state=absent) when they have been removed.
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
requests:
  description: Number of requests to the API server.
  returned: success
  type: int
  sample: 1
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._router_list import option
from ansible_collections.egress.router.plugins.module_utils._router_list.run import Run


def main() -> None:
    module = EgressModule(argument_spec=option.SPEC)
    params = module.params
    with module.errors():
        wish = option.read(params)
        cluster = module.connect(leaves_nothing=True)
        writer = cluster.rehearsal() if module.check_mode else cluster
        run = Run(cluster, writer, params["namespace"], wish, params["create_namespace"])
        run.run()
        for warning in run.warnings:
            module.warn(warning)
        result = run.as_dict(module._diff)
        if run.error:
            module.fail(run.error, **result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
