#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_info
short_description: Check whether egress routers can work, before anything is changed
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Examines the cluster, its nodes and their network segments for everything that would keep the routers from working, for
    all routers at once. Each finding says what was seen, what is expected, and what to do.
  - The cluster is read once. The number of requests does not depend on how many routers there are.
  - The nodes are inspected by short-lived pods of the router's image, one on each node that can run a router, all at once.
    They change nothing and are deleted in any case.
  - If nodes are OpenStack servers or vSphere VMs, the action plugin of this module also runs
    M(egress.router.openstack_allowed_address_pair_info) or M(egress.router.vsphere_port_group_security_info) on the same
    host. They take their credentials from the environment and from C(module_defaults), as they do in tasks.
    If they fail, that is a finding.
  - What cannot be checked, for example because the identity in use may not read it, is in RV(report.not_checked) with the
    reason.
options:
  ignore:
    description: Ids of checks whose errors do not count. Their findings are reported all the same.
    type: list
    elements: str
    default: []
  node_checks:
    description: Whether to inspect the nodes with pods.
    type: bool
    default: true
  openstack_checks:
    description: Whether to ask Neutron, if nodes are OpenStack servers.
    type: bool
    default: true
  vsphere_checks:
    description: Whether to ask vCenter, if nodes are vSphere VMs.
    type: bool
    default: true
  skip_serving:
    description:
      - Whether to inspect nodes only for routers that do not serve yet, or that serve with another configuration.
      - A router that serves as described has proved what an inspection of its nodes would find out.
    type: bool
    default: false
  create_namespaces:
    description: Whether missing namespaces will be created, so that they are not a finding.
    type: bool
    default: false
  namespace:
    description:
      - Namespace of the pods that inspect the nodes. It must permit the host network, which is Pod Security level
        C(privileged).
      - If empty, a namespace is created for them and deleted with them.
    type: str
    default: ""
  wait_timeout:
    description: How many seconds to wait for these pods to finish. The image may have to be pulled.
    type: int
    default: 120
  cni_directory:
    description:
      - Directory of the CNI plugins on the nodes.
      - If empty, it is V(/opt/cni/bin), or V(/var/lib/cni/bin) on OpenShift.
    type: str
    default: ""
  meta_plugins:
    description:
      - Executables in O(cni_directory) that are meta-plugins, besides those of Multus, DANM and CNI-Genie.
    type: list
    elements: str
    default: []
  mac_limit:
    description:
      - How many MAC addresses an interface of a node may receive for, for example the limit of a switch's port security.
        More is an error.
      - If left out, the limit is what the interface's driver filters, if that is known. More is a warning.
    type: int
  openstack_servers:
    description: Ids of servers or ports by node name, for nodes whose C(providerID) is not OpenStack's.
    type: dict
    default: {}
  vsphere_vms:
    description: Names or UUIDs of VMs by node name, for nodes whose C(providerID) is not vSphere's.
    type: dict
    default: {}
  vsphere_networks:
    description: Port groups by C(master), if the guests' addresses do not tell the network adapter.
    type: dict
    default: {}
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._k8s_auth
  - egress.router._routers
attributes:
  check_mode:
    support: full
    details:
      - Everything is checked, including the nodes, because the pods are deleted.
  diff_mode:
    support: N/A
    details:
      - Nothing changes.
  idempotent:
    support: full
    details:
      - Nothing changes.
seealso:
  - name: Preflight
    description: What each check means.
    link: https://example.com/egress.router/blob/main/docs/preflight.md
"""

EXAMPLES = r"""
- name: Check whether the routers can work
  egress.router.preflight_info:
    routers: "{{ egress_routers }}"
    defaults: "{{ egress_router_defaults }}"
    ignore: [gateway]   # it answers no ARP while the standby of the firewall is active
  register: preflight

- name: Show the report
  ansible.builtin.debug:
    msg: "{{ preflight.report.table + [preflight.report.summary] }}"
"""

RETURN = r"""
report:
  description: What was checked and what was found.
  returned: success
  type: dict
  contains:
    ok:
      description: Whether there are no errors, apart from ignored ones.
      type: bool
    findings:
      description: What is not as it should be, including what is ignored.
      type: list
      elements: dict
      contains:
        check:
          description: The id of the check.
          type: str
          sample: address
        severity:
          description: V(error), V(warning) or V(info). Errors keep a router from working.
          type: str
        routers:
          description: C(NAMESPACE/NAME) of the routers that are affected, empty for all of them.
          type: list
          elements: str
        nodes:
          description: The nodes that are affected, if any.
          type: list
          elements: str
        seen:
          description: What was seen.
          type: str
          sample: 198.51.100.50 is in use by 02:00:5e:00:53:01
        expected:
          description: What is expected.
          type: str
        advice:
          description: What to do.
          type: str
        docs:
          description: The URL of the explanation.
          type: str
          sample: https://example.com/egress.router/blob/main/docs/preflight.md#address
    checked:
      description: Ids of the checks that were made, completely or in part.
      type: list
      elements: str
    not_checked:
      description: What was not checked, each with C(check) and C(reason).
      type: list
      elements: dict
    ignored:
      description: The ids of O(ignore).
      type: list
      elements: str
    problems:
      description: A sentence for each error that is not ignored.
      type: list
      elements: str
    message:
      description: The problems as one text, with what to do to continue in spite of them. Empty if there are none.
      type: str
    table:
      description: The report as a table, one line an item.
      type: list
      elements: str
    summary:
      description: The numbers in one sentence.
      type: str
      sample: "1 router, 3 nodes (2 can run one), 43 requests in 4.9 s: 31 checks, 1 error"
    clouds:
      description:
        - The clouds that any node of the cluster is on, V(openstack) or V(vsphere). Both if the nodes could not be listed.
      type: list
      elements: str
      sample: [openstack]
    inspected_nodes:
      description: The nodes that were inspected by pods.
      type: list
      elements: str
    requests:
      description: How many requests the API server was sent.
      type: int
    seconds:
      description: How many seconds they and the pods took.
      type: float
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._preflight.run import SPEC, run


def main() -> None:
    module = EgressModule(argument_spec=SPEC)
    with module.errors():
        module.exit_json(changed=False, gathered=run(lambda: module.connect(leaves_nothing=True), module.params))


if __name__ == "__main__":
    main()
