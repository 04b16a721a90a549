#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hand_over
short_description: Let the pods that stand by for egress routers take over
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Asks the pod that serves a router to hand over to the pod that stands by for it, for example before the maintenance of a
    node. The router keeps its IP and MAC address.
  - The request is an annotation of the router's Lease. The pod that serves reads it there, so no access to the pods is needed.
    The identity in use must be allowed to get, list and patch Leases, and to get and list Deployments and Pods.
  - All routers are looked at before any of them is asked. A router that cannot be handed over is refused, such as one with
    a single replica or with O(routers[].backend=egress_router_cr), without a pod that stands by, or whose other pod cannot
    serve. As a pod that has just handed over needs a moment until it stands by again, reasons that may pass are looked at for up to 10 seconds.
  - Where the pods of a router have changed between the look and the request, nothing is asked of it.
options:
  namespaces:
    description:
      - Namespaces whose routers are handed over, all those with O(routers[].backend=agent). Ignored with O(routers).
    type: list
    elements: str
  wait:
    description: Whether to wait until the other pod serves.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds to wait at most.
    type: int
    default: 30
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._k8s_auth
  - egress.router._selection
attributes:
  check_mode:
    support: full
    details:
      - RV(routers[].after) is the pod that would take over.
  diff_mode:
    support: full
  idempotent:
    support: none
    details:
      - Each run hands over, so the second one hands back.
seealso:
  - module: egress.router.router_info
  - module: egress.router.drill
"""

EXAMPLES = r"""
- name: Let the other pod of a router serve
  egress.router.hand_over:
    routers:
      - {name: billing-db, namespace: payments}
  register: handed_over

- name: Show for how long nobody served
  ansible.builtin.debug:
    msg: "{{ handed_over.routers[0].after.node }} serves, after {{ handed_over.routers[0].seconds }} s"

- name: Find out who would take over the routers of a namespace
  egress.router.hand_over:
    namespaces: [payments]
  check_mode: true
"""

RETURN = r"""
routers:
  description: What was done for each router, or would be done in check mode. Routers that were not asked are left out.
  returned: when all routers can be handed over
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
    changed:
      description: Whether another pod serves.
      type: bool
    before:
      description: Which pod served.
      type: dict
      contains:
        pod:
          description: Its name.
          type: str
          sample: billing-db-6d4cf56db6-x7k2p
        node:
          description: Its node.
          type: str
          sample: worker-1
        term:
          description: How often the Lease had gone to another pod by then.
          type: int
          sample: 4
    after:
      description: Which pod serves now. In check mode and with O(wait=false), which pod is expected to.
      type: dict
      contains:
        pod:
          description: Its name.
          type: str
          sample: billing-db-6d4cf56db6-9wz4m
        node:
          description: Its node.
          type: str
          sample: worker-2
        term:
          description: How often the Lease had gone to another pod by then.
          type: int
          sample: 5
    seconds:
      description:
        - For how long nobody served, as the pod that serves now tells in the Lease. V(null) in check mode, with O(wait=false),
          and if the pod does not know.
      type: float
      sample: 0.05
    cause:
      description: Why it took over, in its own words.
      type: str
    summary:
      description: The same in one sentence.
      type: str
      sample: "router payments/billing-db: from pod billing-db-a on node worker-1 to pod billing-db-b on node worker-2, nobody served for 0.05 s"
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes.hand_over import SPEC, run
from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule


def main() -> None:
    module = EgressModule(argument_spec=SPEC, required_one_of=[("routers", "namespaces")])
    with module.errors():
        result, error = run(module.connect(), module.params, module._diff)
        if error:
            module.fail(error, **result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
