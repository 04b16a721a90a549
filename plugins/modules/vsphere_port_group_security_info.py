#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vsphere_port_group_security_info
short_description: Tell what vSphere's port groups let through for egress routers
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Follows each node's network adapters to their port groups and switches, as M(egress.router.vsphere_port_group_security)
    does, and reports the security policy in force, where each flag comes from, and what is missing for egress routers.
options:
  nics:
    description:
      - Which network adapters of which nodes.
      - An adapter is found by O(nics[].mac_address), by O(nics[].network), by the subnet of one of O(nics[].addresses), or
        because it is the node's only one.
    type: list
    elements: dict
    suboptions:
      addresses:
        description:
          - Egress addresses. Meant is the adapter on which the guest has an address of the subnet of one of them, as VMware
            Tools report it.
        type: list
        elements: str
      network:
        description: Name of the port group that the adapter is connected to.
        type: str
      mac_address:
        description: MAC address of the adapter.
        type: str
      nodes:
        description: The nodes of this entry, instead of O(nodes).
        type: list
        elements: str
  nodes:
    description:
      - The nodes of all entries of O(nics) without nodes of their own, each by the C(providerID) that Kubernetes has for it
        (V(vsphere://UUID)), by BIOS or instance UUID, or by the name of its VM.
      - Without O(nics), every network adapter of each is reported.
    type: list
    elements: str
  targets:
    description: Port groups and switches that are named directly, besides those of nodes.
    type: list
    elements: dict
    suboptions:
      host:
        description: Name of the ESXi host, for standard ones. Without it a distributed one is meant.
        type: str
      switch:
        description: Name of the switch.
        type: str
      port_group:
        description: Name of the port group. Without it the switch itself is meant.
        type: str
  writable:
    description: Also find out whether the user may change what is missing. Nothing is changed.
    type: bool
    default: false
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group_vsphere
  - egress.router._attributes.info_module
  - egress.router._vsphere_auth
seealso:
  - module: egress.router.vsphere_port_group_security
"""

EXAMPLES = r"""
- name: Look how the workers are connected
  egress.router.vsphere_port_group_security_info:
    hostname: vcenter.example.com
    nodes: [worker-1, worker-2]
  register: info

- name: Show what is missing
  ansible.builtin.debug:
    msg: "{{ info.nics | map(attribute='policies') | flatten | map(attribute='missing') }}"
"""

RETURN = r"""
nics:
  description: The network adapters of the nodes, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    node:
      description: The node as it was given.
      type: str
    vm:
      description: Name of its VM.
      type: str
    host:
      description: Name of the host on which it runs.
      type: str
    powered_on:
      description: Whether it runs.
      type: bool
    nic:
      description: Name of the network adapter.
      type: str
    mac_address:
      description: Its MAC address.
      type: str
    addresses:
      description: The guest's addresses on it, as VMware Tools report them.
      type: list
      elements: str
    network:
      description: Name of its port group.
      type: str
    problem:
      description: Why its policy cannot be told or changed, empty if it can.
      type: str
    policies:
      description:
        - The port group, on the host of the node first; a standard one then on the other hosts of the cluster.
      type: list
      elements: dict
      contains: &policy
        kind:
          description: V(standard) or V(distributed).
          type: str
        host:
          description: The host of a standard one, otherwise empty.
          type: str
        switch:
          description: Name of the switch.
          type: str
        port_group:
          description: Name of the port group, empty for a switch itself.
          type: str
        effective:
          description: The flags in force.
          type: dict
          sample: {promiscuous_mode: reject, forged_transmits: accept, mac_changes: accept, mac_learning: enabled}
        sources:
          description: Where each flag is set, V(port_group) or V(switch).
          type: dict
          sample: {promiscuous_mode: switch, forged_transmits: port_group, mac_changes: port_group}
        missing:
          description: The flags that egress routers need and do not have. MAC learning makes up for promiscuous mode.
          type: list
          elements: str
          sample: [promiscuous_mode]
        write_error:
          description: With O(writable), why what is missing cannot be changed; empty if it can, or if nothing is missing.
          type: str
          sample: the user lacks the privilege Host.Config.Network on esxi-1.example.com
targets:
  description: The policies of O(targets).
  returned: success
  type: list
  elements: dict
  contains: *policy
"""

from ansible_collections.egress.router.plugins.module_utils._vsphere import security
from ansible_collections.egress.router.plugins.module_utils._vsphere import survey as places
from ansible_collections.egress.router.plugins.module_utils._vsphere.vcenter import VsphereModule


def main() -> None:
    module = VsphereModule(argument_spec=places.INFO_SPEC, required_one_of=[("nics", "nodes", "targets")])
    params = module.params
    with module.errors():
        requests, targets = places.read_requests(params), places.read_targets(params["targets"])
        with module.connect() as vcenter:
            found = places.survey(vcenter, requests, targets, every_nic=True, allow_disconnected=True)
            errors = security.write_errors(vcenter, found.places) if params["writable"] else {}
    for warning in [*found.warnings, *found.problems]:
        module.warn(warning)
    module.exit_json(
        changed=False,
        nics=[security.info(chain, errors) for chain in found.chains],
        targets=[security.policy(place, errors) for place in found.targeted],
    )


if __name__ == "__main__":
    main()
