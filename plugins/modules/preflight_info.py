#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_info
short_description: Say whether egress routers can work on a cluster, before anything is touched
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Looks at the cluster, its nodes and the wire, and finds what would keep the routers from working, for all routers at
    once. For each finding it tells what was seen, what is expected, and what to do.
  - The cluster is read once, in a number of requests that does not depend on how many routers there are.
  - What only shows on a node is seen by a pod of the router's image on each node that may run a router, all at once. The
    pods change nothing there, and are removed in every case.
  - Checks that the identity in use may not make are named in RV(not_checked), with the reason.
  - Neutron and vCenter are not asked here. The role C(egress.router.preflight) does that too.
options:
  routers:
    description: The routers as users write them in C(egress_routers). Absent ones are left out.
    type: list
    elements: dict
    required: true
  defaults:
    description: What every router has unless it says otherwise, as in C(egress_router_defaults).
    type: dict
    default: {}
  ignore:
    description: Ids of checks whose findings do not count. They are found and shown all the same.
    type: list
    elements: str
    default: []
  node_checks:
    description: Whether pods are started to look at the nodes.
    type: bool
    default: true
  skip_serving:
    description:
      - Whether nodes are looked at only for routers that do not serve yet, or not as they are described.
      - What the pods of a serving router prove by serving need not be looked at again.
    type: bool
    default: false
  create_namespaces:
    description: Whether missing namespaces will be made, so that they are no finding.
    type: bool
    default: false
  namespace:
    description:
      - Where the pods for the node checks run. It has to let pods use the host's network, which is level C(privileged) of
        Pod Security.
      - Empty for a namespace that is made for them and removed with them.
    type: str
    default: ""
  node_timeout:
    description: How many seconds the pods have, from their creation to their end. The image may have to be pulled.
    type: int
    default: 120
  cni_directory:
    description:
      - Where the nodes have their CNI plugins.
      - Empty for V(/opt/cni/bin), or V(/var/lib/cni/bin) on OpenShift.
    type: str
    default: ""
  attachment_plugins:
    description:
      - Programs in O(cni_directory) by which a network-attachment plugin is known, besides those of Multus, DANM and
        CNI-Genie.
    type: list
    elements: str
    default: []
  mac_limit:
    description:
      - How many MAC addresses a node's interface may have, for example because of a switch's port security. More is an error.
      - Without it what the interface's driver filters is the limit, where it is known. More is a warning.
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
    description: Port group by C(master), where the guests' addresses do not tell the network adapter.
    type: dict
    default: {}
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._k8s_auth
attributes:
  check_mode:
    support: full
    details:
      - Everything is checked, the nodes included, because nothing stays of the pods.
  diff_mode:
    support: N/A
    details:
      - Nothing of the pods is left.
  idempotent:
    support: full
    details:
      - Nothing of the pods is left.
seealso:
  - plugin: egress.router.preflight_report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Look before anything is touched
  egress.router.preflight_info:
    routers: "{{ egress_routers }}"
    defaults: "{{ egress_router_defaults }}"
    ignore: [gateway]   # it answers no ARP while the firewall's standby is active
  register: found

- name: Show it
  ansible.builtin.debug:
    msg: "{{ found.table + [found.summary] }}"
"""

RETURN = r"""
ok:
  description: Whether there is no error, except those that are ignored.
  returned: success
  type: bool
findings:
  description: What is not as it should be, also what is ignored.
  returned: success
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
      description: C(NAMESPACE/NAME) of the routers that it is about, none if it is about all.
      type: list
      elements: str
    nodes:
      description: The nodes that it is about, if any.
      type: list
      elements: str
    seen:
      description: What was seen.
      type: str
      sample: 198.51.100.50 is in use by 02:00:5e:00:53:01
    expected:
      description: What should be.
      type: str
    advice:
      description: What to do.
      type: str
    docs:
      description: Where it is explained.
      type: str
      sample: docs/preflight.md#address
checked:
  description: Ids of the checks that were made, wholly or in part.
  returned: success
  type: list
  elements: str
not_checked:
  description: What was not checked, as C(check) and C(reason).
  returned: success
  type: list
  elements: dict
ignored:
  description: The ids of O(ignore).
  returned: success
  type: list
  elements: str
problems:
  description: One sentence for each error that is not ignored.
  returned: success
  type: list
  elements: str
table:
  description: The report as lines for people.
  returned: success
  type: list
  elements: str
summary:
  description: The numbers in one sentence.
  returned: success
  type: str
about:
  description: What was looked at, the beginning of RV(summary).
  returned: success
  type: str
  sample: 1 router, 3 nodes (2 may run one), 42 requests in 5.1 s
openstack:
  description:
    - What M(egress.router.openstack_allowed_address_pair_info) has to be asked, with C(on_openstack), C(addresses), C(nodes) and
      C(problems).
  returned: success
  type: dict
vsphere:
  description:
    - What M(egress.router.vsphere_port_group_security_info) has to be asked, with C(on_vsphere), C(nics), C(nodes) and
      C(problems).
  returned: success
  type: dict
inspected_nodes:
  description: The nodes that were looked at from the inside.
  returned: success
  type: list
  elements: str
requests:
  description: How many requests were made to the API server.
  returned: success
  type: int
seconds:
  description: How long it took.
  returned: success
  type: float
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._preflight.run import SPEC, run


def main() -> None:
    module = EgressModule(argument_spec=SPEC)
    with module.errors():
        module.exit_json(changed=False, **run(lambda: module.connect(leaves_nothing=True), module.params))


if __name__ == "__main__":
    main()
