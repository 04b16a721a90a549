#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cutover
short_description: Let new routers take over from OpenShift's egress routers, or go back
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Replaces old routers, which M(egress.router.legacy_router_info) reads, by the new ones of the list, one after the other. The old
    router of a new one is that in its namespace with the same address.
  - The new router is deployed beside the old one. It loads its rules and is on hold, which means that it leaves its address to
    others. Then the old router is stopped. When its pods have ended, the new one takes the address, and the Service becomes its own
    with the name and the cluster IP that clients know.
  - If the new router does not get ready, nothing of the old one is touched. If it does not serve after the old one was stopped, the module
    goes back to the old one and fails.
  - A Deployment, DeploymentConfig, ReplicationController or ReplicaSet is stopped by C(replicas), which becomes 0. The Deployment of an
    C(EgressRouter) resource is stopped by a node selector that no node has, because its operator brings back replicas, but not that.
    A pod that nothing makes cannot be stopped, so it is removed, and created again on the way back.
  - What is needed for the way back is kept in the ConfigMap C(NAME-cutover) of the namespace. So a run that was interrupted can
    be repeated from any machine. It looks what is there, and does what is left.
  - Nothing is written unless the API server accepts it in a dry run. From the moment in which the old router is stopped, the
    module heeds a Ctrl-C only when one of the routers serves.
options:
  active:
    description:
      - Which of the two routers is to have the address.
      - With V(old), the new router gives the address up and stays on hold, the Service is as it was, and the old router is started.
        There is nothing to do if it was not stopped by this module.
    type: str
    choices: [new, old]
    default: new
  remove_old:
    description:
      - Whether to remove the old router for good once the new one serves. There is no way back from that.
      - It removes what makes its pods, the C(EgressRouter) or NetworkAttachmentDefinition that describes them, and what was
        saved. ConfigMaps with destinations stay, others may use them.
    type: bool
    default: false
  wait_timeout:
    description: How many seconds to wait at most for the new router to be ready beside the old one, and for old pods to end or start.
    type: int
    default: 120
  takeover_timeout:
    description: How many seconds after the end of the old pods the new router has to serve. Otherwise the old one is started again.
    type: int
    default: 30
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._k8s_auth
  - egress.router._routers
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: egress.router.legacy_router_info
  - name: Migration
    description: How to switch over, with an example.
    link: https://example.com/egress.router/blob/main/docs/migration.md
"""

EXAMPLES = r"""
- name: Let a router take over
  egress.router.cutover:
    routers:
      - name: billing
        namespace: payments
        image: registry.example.com/egress-router:0.1.0
        addresses:
          - ip: 192.168.12.99/24
            gateway: 192.168.12.1
        redirect_rules:
          - {port: 5432, destination_ip: 203.0.113.10}
        service:
          name: billing-db

- name: Go back
  egress.router.cutover:
    routers: "{{ egress_routers }}"
    defaults: "{{ egress_router_defaults }}"
    active: old
"""

RETURN = r"""
routers:
  description: What was done for each router, or would be done in check mode. Routers after one that failed are left out.
  returned: when the list is valid
  type: list
  elements: dict
  contains:
    name:
      description: Name of the router.
      type: str
      sample: billing
    namespace:
      description: Its namespace.
      type: str
      sample: payments
    active:
      description: O(active).
      type: str
      sample: new
    changed:
      description: Whether there was anything to do.
      type: bool
    old:
      description: The object that describes the old router. Empty if there is none any more.
      type: str
      sample: EgressRouter payments/billing
    steps:
      description: What was done, in this order.
      type: list
      elements: str
      sample: [hold the new router, deploy the new router]
    seconds:
      description: How long clients waited. Empty if the old router had not to be stopped.
      type: dict
      contains:
        old_pods:
          description: Seconds from the order to stop the old router until its pods had ended.
          type: float
          sample: 1.3
        takeover:
          description: Seconds from then until the new router served.
          type: float
          sample: 1.7
    summary:
      description: The same in one sentence.
      type: str
      sample: >-
        router payments/billing took over from EgressRouter payments/billing on node worker-1: the old pods took 1.3 s to end, and
        1.7 s later the new one served
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._migrate.cutover_run import SPEC, run


def main() -> None:
    module = EgressModule(argument_spec=SPEC)
    with module.errors():
        result, error = run(module.connect, module.params, module._diff)
        if error:
            module.fail(error, **result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
