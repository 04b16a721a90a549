#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: router
short_description: Create, change or remove egress routers
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Takes a list of routers and makes the cluster match it, for all of them at once.
  - A router consists of a ServiceAccount, a Role and a RoleBinding, a ConfigMap for its rules, a NetworkAttachmentDefinition,
    a Lease, a Service with EndpointSlices, and a Deployment. One with several pods also has a PodDisruptionBudget, and a Secret with
    the key of the messages between its pods.
  - That Secret is created once, with a random key that is never shown. It is neither read nor changed afterwards, so that C(create) is
    the only permission for Secrets that is needed, and Kubernetes removes it with the router's ServiceAccount.
  - On OpenShift the SecurityContextConstraints that the routers' pods need are created too, if they are missing and the identity in
    use may do so. They are shared by routers and never removed.
  - The objects are created and changed by server-side apply with the field manager C(egress.router.deploy). Fields that
    belong to others are left alone.
  - Nothing is written unless the API server accepts every object of every router in a dry run.
  - A new ConfigMap gets the redirect rules of the list. The rules of an existing one are not touched, use
    M(egress.router.redirect_rules) to change them.
  - A router with O(routers[].backend=egress_router_cr) consists of an EgressRouter resource and a Service. OpenShift's Cluster Network
    Operator makes the rest. This module waits for it, lets the pod before a change end before the one after it begins, and
    restarts the pod when rules or addresses have changed, also if others changed them. The rules of the list are part of the resource, so
    they are changed too, with one restart for all changes.
  - Objects are removed by their labels. An object of somebody else that has the name of a router stays.
options:
  state:
    description:
      - With V(present), each router is created, changed or removed as O(routers[].state) says.
      - With V(absent), all routers of the list are removed.
    type: str
    choices: [present, absent]
    default: present
  create_namespaces:
    description: Whether to create the routers' namespaces if they do not exist. They are never removed.
    type: bool
    default: false
  force_conflicts:
    description: Whether to take over fields of the routers' objects that another field manager owns, instead of failing.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until every present router serves.
      - The module fails with the reason for each router that does not. A reason that does not pass by itself, such as an
        image that cannot be pulled or an address that is in use, ends the wait after 15 seconds.
      - Of a router with several pods it also waits until the others stand by. One that serves without them is no failure, but a
        warning which says why.
      - The pods of routers that are removed are always waited for. If the grace period of one is over and its node is not ready, the
        wait ends and the error names pod and node. Without permission to get the node, it ends 45 seconds after the grace period.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds to wait at most for the routers to serve, and for the pods of removed routers to end.
      - For OpenShift's operator the module waits 60 seconds at most, also without O(wait).
    type: int
    default: 120
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._k8s_auth
  - egress.router._routers
attributes:
  check_mode:
    support: full
    details:
      - The API server predicts the result with dry runs, so defaults, validation and admission are part of it.
      - Nothing can be asked of a namespace that is yet to be created. Its objects are shown as they will be applied.
  diff_mode:
    support: full
    details:
      - One difference for each object, with those fields that belong to this module.
  idempotent:
    support: full
seealso:
  - module: egress.router.redirect_rules
  - module: egress.router.router_info
"""

EXAMPLES = r"""
- name: Create a router
  egress.router.router:
    routers:
      - name: billing-db
        namespace: payments
        image: registry.example.com/egress-router:0.1.0
        master: eth1
        addresses:
          - {ip: 198.51.100.50/24, gateway: 198.51.100.1}
        redirect_rules:
          - {port: 5432, destination_ip: 203.0.113.10}

- name: Create two routers that have much in common, one of them dual-stack, and remove a third
  egress.router.router:
    create_namespaces: true
    defaults:
      namespace: payments
      image: registry.example.com/egress-router:0.1.0
      master: eth1
      fallback_ip: 203.0.113.99
    routers:
      - name: billing-db
        addresses:
          - {ip: 198.51.100.50/24, gateway: 198.51.100.1}
      - name: card-network
        replicas: 2
        addresses:
          - {ip: 198.51.100.51/24, gateway: 198.51.100.1}
          - {ip: "2001:db8::51/64", gateway: "2001:db8::1"}
        service:
          extra_ports:
            - {port: 9999}
      - name: legacy
        state: absent

- name: Remove all routers of the list
  egress.router.router:
    state: absent
    routers: "{{ egress_routers }}"
    defaults: "{{ egress_router_defaults }}"
"""

RETURN = r"""
routers:
  description: What was done for each router, in the order of the list, or would be done in check mode.
  returned: when the list is valid and the API server accepts all objects
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
    state:
      description: V(present) or V(absent), as asked for.
      type: str
      sample: present
    changed:
      description: Whether any of its objects changed.
      type: bool
    objects:
      description: The objects that changed.
      type: list
      elements: dict
      contains:
        kind:
          description: Kind of the object.
          type: str
          sample: Deployment
        name:
          description: Its name.
          type: str
          sample: billing-db
        change:
          description: V(created), V(modified) or V(removed).
          type: str
          sample: modified
    rules_live:
      description:
        - Whether the router serves with the rules of the list, and its Service has their ports. Then there is nothing to do for
          the module M(egress.router.redirect_rules).
        - V(false) for an absent router, without O(wait), in check mode, and after a change of its ConfigMap or Service.
      type: bool
rules_live:
  description: Whether RV(routers[].rules_live) is V(true) for all present routers.
  returned: when the list is valid and the API server accepts all objects
  type: bool
requests:
  description: Number of requests to the API server.
  returned: when the list is valid and the API server accepts all objects
  type: int
  sample: 9
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes.backends import deploy
from ansible_collections.egress.router.plugins.module_utils._kubernetes.change import Options
from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._router import option


def main() -> None:
    module = EgressModule(
        argument_spec={
            **option.SPEC,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "create_namespaces": {"type": "bool", "default": False},
            "force_conflicts": {"type": "bool", "default": False},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 120},
        }
    )
    params = module.params
    with module.errors():
        options = Options(
            params["create_namespaces"], params["force_conflicts"], params["wait"], params["wait_timeout"]
        )
        outcome = deploy(module.connect(), option.read(params), options)
        for warning in outcome.warnings:
            module.warn(warning)
        result = outcome.as_dict(module._diff)
        if outcome.error:
            module.fail(outcome.error, **result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
