#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: router_info
short_description: Get the state of egress routers, or wait until they serve
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Returns what each router's agent reports in the router's Lease, with the state of its Deployment and pods.
  - A router with O(routers[].backend=egress_router_cr) has no agent. Its state is that of its EgressRouter, of what OpenShift's
    Cluster Network Operator has made of it, and of the pod.
  - With O(wait=true), waits until every router serves, and fails with the reason for each that does not.
options:
  wait:
    description:
      - Whether to wait until all routers serve, their Deployments are rolled out and a running pod holds each Lease.
      - With O(routers[].backend=egress_router_cr), until the pod runs with the address and the rules of the EgressRouter.
      - A reason that does not pass by itself, such as an image that cannot be pulled or an address that is in use, ends
        the wait after 15 seconds.
      - In check mode the module does not wait, because nothing was changed.
      - Of a router with several pods, also until the others stand by. One that serves without them is no failure, but a warning
        which says why.
    type: bool
    default: false
  wait_timeout:
    description: How many seconds to wait at most.
    type: int
    default: 120
  pool_namespace:
    description:
      - Namespace of the ConfigMaps of address pools, O(egress.router.address_pool#module:namespace). With it,
        RV(routers[].pool_addresses) tells what each router has of pools.
    type: str
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._attributes.info_module
  - egress.router._k8s_auth
  - egress.router._selection
  - egress.router._selection.info_module
"""

EXAMPLES = r"""
- name: Wait until a router serves
  egress.router.router_info:
    routers:
      - {name: billing-db, namespace: payments}
    wait: true
  register: info

- name: Show where it serves
  ansible.builtin.debug:
    msg: "{{ info.routers[0].node }} {{ info.routers[0].addresses }} {{ info.routers[0].mac }}"
"""

RETURN = r"""
routers:
  description: The routers, in the order asked for. Empty if there are none.
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
    serving:
      description: Whether a running pod serves clients.
      type: bool
    state:
      description:
        - V(serving), V(starting), V(on-hold), V(conflict), V(failed), V(stopped), or empty if no agent has reported yet.
        - With O(routers[].backend=egress_router_cr) it is V(serving), V(starting), V(failed), or empty if there is no pod.
      type: str
      sample: serving
    reason:
      description: Why it does not serve with the latest generation of its Deployment, empty if it does.
      type: str
    rolled_out:
      description: Whether its Deployment is rolled out.
      type: bool
    node:
      description: Node of the serving pod.
      type: str
      sample: worker-1
    pod:
      description: Name of the serving pod.
      type: str
      sample: billing-db-6d4cf56db6-x7k2p
    pod_ips:
      description: Its addresses in the cluster's network.
      type: list
      elements: str
      sample:
        - 10.244.1.17
    restarts:
      description: How often the container of the serving pod was restarted.
      type: int
    addresses:
      description: Egress addresses on its interface, with prefix length. Empty while it does not serve.
      type: list
      elements: str
      sample:
        - 198.51.100.50/24
    mac:
      description: MAC address on its interface.
      type: str
      sample: 02:e6:c6:33:64:32
    rules_hash:
      description: Hash of the rules in its kernel. Empty if they are not known.
      type: str
    rules_count:
      description: Number of rules in its kernel.
      type: int
    rules_version:
      description: C(resourceVersion) of the ConfigMap that its agent processed last. Empty without an agent.
      type: str
    rules_error:
      description:
        - Why the agent refused that version, empty if it did not.
        - With O(routers[].backend=egress_router_cr), why the pod does not run with the rules of the EgressRouter, such as a change
          by somebody else after which the pod was not restarted.
      type: str
    applied_at:
      description: When the rules in its kernel last changed.
      type: str
    error:
      description: Why its agent does not serve, as it reports it. Without an agent, why its pod does not run.
      type: str
    routes_error:
      description: Which gateways of its routes do not answer, as its agent reports it. Empty if all do.
      type: str
    failover:
      description:
        - How its pods stand by for each other. Of a router with one pod there is no successor.
        - Empty with O(routers[].backend=egress_router_cr).
      type: dict
      contains:
        holder:
          description: Name of the pod that holds the router's Lease.
          type: str
          sample: billing-db-6d4cf56db6-x7k2p
        holder_node:
          description: Its node.
          type: str
          sample: worker-1
        holder_able:
          description: Whether it serves.
          type: bool
        holder_error:
          description: Why it does not, as it reports it.
          type: str
        successor:
          description: Name of the pod that takes over when the holder fails. Empty if there is none.
          type: str
          sample: billing-db-6d4cf56db6-9qv5c
        successor_node:
          description: Its node.
          type: str
          sample: worker-2
        successor_able:
          description: Whether it could serve. V(false) if there is none.
          type: bool
        successor_error:
          description: Why it could not, such as an interface without carrier, or why there is none. Empty if it could.
          type: str
        reason:
          description: Why fewer pods stand by than the Deployment asks for, while the router serves. Empty if all of them do.
          type: str
        term:
          description: How often another pod has begun to serve. It grows with each take-over.
          type: int
          sample: 3
        last_take_over:
          description: When the holder began to serve.
          type: dict
          contains:
            at:
              description: The time, in UTC. Empty if it is not known.
              type: str
              sample: '2026-11-26T09:30:00Z'
            from:
              description: Name of the pod that served before. Empty if there was none.
              type: str
            cause:
              description: Why it took over.
              type: str
            seconds:
              description: For how many seconds nobody had served, as far as it knows. Null if that is not known.
              type: float
              sample: 0.7
        beats_lost:
          description: How many messages to the successor were not answered in time since then.
          type: int
        relay_seconds:
          description:
            - For how long connections that are open at a planned move go on, as deployed. Null if there is no Deployment. Of a router
              with one pod it has no effect.
          type: int
          sample: 60
        relay_error:
          description:
            - Why they would be reset instead, such as a kernel that cannot relay, as the holder reports it. Empty if they would go on.
          type: str
    pool_addresses:
      description: What is allocated to it from address pools.
      returned: with O(pool_namespace)
      type: list
      elements: dict
      contains:
        pool:
          description: Name of the pool.
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
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes import selection as _selection
from ansible_collections.egress.router.plugins.module_utils._kubernetes.backends import read_states, wait_for_states
from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._pools.info import add_pool_addresses


def main() -> None:
    module = EgressModule(
        argument_spec={
            **_selection.SPEC,
            "wait": {"type": "bool", "default": False},
            "wait_timeout": {"type": "int", "default": 120},
            "pool_namespace": {"type": "str"},
        }
    )
    params = module.params
    with module.errors():
        cluster = module.connect()
        if params["wait"] and not module.check_mode:
            found = wait_for_states(cluster, params, params["wait_timeout"])
            for warning in filter(None, (router.warning() for router in found)):
                module.warn(warning)
        else:
            found = read_states(cluster, params)
        routers = [router.as_dict() for router in found]
        if params["pool_namespace"]:
            add_pool_addresses(cluster, params["pool_namespace"], routers)
        module.exit_json(changed=False, routers=routers)


if __name__ == "__main__":
    main()
