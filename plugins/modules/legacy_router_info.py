#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: legacy_router_info
short_description: Read OpenShift's egress routers, and make a list of routers of them
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Reads C(EgressRouter) resources, and the egress router pods of the former OpenShift SDN with their ConfigMaps, from a cluster or
    from files. Returns them as the list that M(egress.router.router) takes, with a report of what stays, what changes, what is
    lost and what somebody has to do first.
  - A pod is an egress router if one of its containers has an environment variable C(EGRESS_SOURCE), C(EGRESS_GATEWAY),
    C(EGRESS_DESTINATION) or C(EGRESS_ROUTER_MODE). It is read from the Deployment, DeploymentConfig, ReplicationController or
    ReplicaSet that makes it, or from itself.
  - A router gets the name and the ports of the Service that leads to the old one.
  - A router that is described wrongly, or lacks something that only people know, is not in the list. The others are.
options:
  namespaces:
    description: Namespaces to read. If left out, all of them.
    type: list
    elements: str
  files:
    description:
      - Files with Kubernetes objects in YAML or JSON, for example the output of C(kubectl get --output=yaml), with any number of
        documents and lists. Of a directory, all files whose names end with C(.yaml), C(.yml) or C(.json).
      - With O(files) or O(manifests), the cluster is not asked.
    type: list
    elements: path
    default: []
  manifests:
    description: Kubernetes objects as text, in the form of O(files).
    type: str
    default: ""
  networks:
    description:
      - Networks that the egress addresses are in. An address without a prefix length gets that of the smallest network
        that contains it.
      - The SDN's pods work without a prefix length, the new routers need that of the subnet.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._attributes.info_module
  - egress.router._k8s_auth
seealso:
  - module: egress.router.router
  - name: Migration
    description: What becomes of each kind of router, with examples.
    link: https://example.com/egress.router/blob/main/docs/migration.md
"""

EXAMPLES = r"""
- name: Read the routers of a namespace
  egress.router.legacy_router_info:
    namespaces: [payments]
    networks: [192.168.12.0/24]
  register: legacy

- name: Show what becomes of them
  ansible.builtin.debug:
    msg: "{{ legacy.report.table + [legacy.report.summary] }}"

- name: Read what was saved from another cluster
  egress.router.legacy_router_info:
    files: [saved/routers.yaml]
"""

RETURN = r"""
routers:
  description: The routers, for O(egress.router.router#module:routers). Their image comes with the defaults.
  returned: success
  type: list
  elements: dict
  sample:
    - name: billing-db
      namespace: payments
      addresses:
        - ip: 192.168.12.99/24
          gateway: 192.168.12.1
      redirect_rules:
        - {port: 80, protocol: UDP, destination_ip: 203.0.113.10}
text:
  description: RV(routers) as a YAML file with the variable C(egress_routers).
  returned: success
  type: str
report:
  description: What becomes of the old routers.
  returned: success
  type: dict
  contains:
    ok:
      description: Whether nothing has to be answered or corrected, and everything could be read.
      type: bool
    routers:
      description: The old routers.
      type: list
      elements: dict
      contains:
        kind:
          description: Kind of the object that describes it.
          type: str
          sample: EgressRouter
        namespace:
          description: Namespace of the object.
          type: str
        name:
          description: Name of the object.
          type: str
        router:
          description: Name of the new router. Empty if it is not in the list.
          type: str
        service:
          description: Name of the new router's Service. Empty if it is not in the list.
          type: str
    findings:
      description: What there is to say of them.
      type: list
      elements: dict
      contains:
        level:
          description:
            - V(unchanged) for what the new router does as the old one did, V(changed) for what it does differently, and V(lost) for
              what it cannot do.
            - V(question) for what somebody has to tell, and V(error) for what is wrong in the description of the old
              router. Such a router is not in the list.
          type: str
        object:
          description: The object that it is about.
          type: str
          sample: Deployment payments/egress-1
        field:
          description: The field of the object or the environment variable, if it is about one.
          type: str
          sample: EGRESS_DESTINATION
        line:
          description: The line in the field, from 1. V(0) if it is about no line.
          type: int
        message:
          description: What is or was the case, and what to do.
          type: str
    not_read:
      description: What could not be read, with the reason.
      type: list
      elements: str
    problems:
      description: A sentence for each question and error.
      type: list
      elements: str
    table:
      description: The report as a table, one line an item.
      type: list
      elements: str
    summary:
      description: The numbers in one sentence.
      type: str
      sample: "old egress routers: 3 of 4 in the list, 5 changed, 0 lost, 1 question, 0 errors"
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._migrate.run import SPEC, run


def main() -> None:
    module = EgressModule(argument_spec=SPEC)
    with module.errors():
        module.exit_json(changed=False, **run(module.connect, module.params))


if __name__ == "__main__":
    main()
