#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vsphere_port_group_security_info
short_description: Get the security policy of vSphere port groups for egress routers
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Finds the port groups and switches of the nodes' network adapters as M(egress.router.vsphere_port_group_security) does,
    and returns the effective security policy, where each flag is set, and what is missing for egress routers.
options:
  nics:
    description:
      - Network adapters of nodes.
      - An adapter is selected by O(nics[].mac_address), by O(nics[].network), by the subnet of one of O(nics[].addresses), or
        as the only one of the node.
    type: list
    elements: dict
    suboptions:
      addresses:
        description:
          - Egress addresses. Selects the adapter on which the guest has an address in the subnet of one of them, as reported
            by VMware Tools.
        type: list
        elements: str
      network:
        description: Name of the port group to which the adapter is connected.
        type: str
      mac_address:
        description: MAC address of the adapter.
        type: str
      nodes:
        description: The nodes for this entry, instead of O(nodes).
        type: list
        elements: str
  nodes:
    description:
      - The nodes for all entries of O(nics) that do not have their own. Each is the C(providerID) of the Kubernetes node
        (V(vsphere://UUID)), the BIOS or instance UUID of its VM, or the name of its VM.
      - Without O(nics), all network adapters of each node are returned.
    type: list
    elements: str
  targets:
    description: Port groups and switches that are specified by name, in addition to those of nodes.
    type: list
    elements: dict
    suboptions:
      esxi_hostname:
        description: Name of the ESXi host of a standard port group or switch. Without it, a distributed one is meant.
        type: str
      switch:
        description: Name of the switch.
        type: str
      portgroup:
        description: Name of the port group. Without it, the switch itself is meant.
        type: str
  writable:
    description: Whether to check that the user may change missing flags. Nothing is changed.
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
- name: Get the policies that apply to the workers
  egress.router.vsphere_port_group_security_info:
    hostname: vcenter.example.com
    nodes: [worker-1, worker-2]
  register: info

- name: Show the missing flags
  ansible.builtin.debug:
    msg: "{{ info.nics | map(attribute='policies') | flatten | map(attribute='missing') }}"
"""

RETURN = r"""
nics:
  description: The network adapters of the nodes, in the order of the nodes.
  returned: success
  type: list
  elements: dict
  contains:
    node:
      description: The node as specified.
      type: str
    vm:
      description: Name of the node's VM.
      type: str
    esxi_hostname:
      description: Name of the host on which the VM runs.
      type: str
    powered_on:
      description: Whether the VM is powered on.
      type: bool
    nic:
      description: Name of the network adapter.
      type: str
    mac_address:
      description: MAC address of the network adapter.
      type: str
    addresses:
      description: The guest's addresses on the network adapter, as reported by VMware Tools.
      type: list
      elements: str
    network:
      description: Name of the port group.
      type: str
    problem:
      description: Why the policy cannot be read or changed; empty if it can.
      type: str
    policies:
      description:
        - The policies of the port group. A standard one has one on each host of the cluster, that of the node's host first.
      type: list
      elements: dict
      contains: &policy
        kind:
          description: V(standard) or V(distributed).
          type: str
        esxi_hostname:
          description: The host of a standard one, otherwise empty.
          type: str
        switch:
          description: Name of the switch.
          type: str
        portgroup:
          description: Name of the port group, empty for the policy of a switch.
          type: str
        effective:
          description: The flags in effect.
          type: dict
          sample: {promiscuous_mode: false, forged_transmits: true, mac_changes: true, mac_learning: true}
        sources:
          description: Where each flag is set, V(portgroup) or V(switch).
          type: dict
          sample: {promiscuous_mode: switch, forged_transmits: portgroup, mac_changes: portgroup}
        missing:
          description: The flags that egress routers need. With MAC learning, promiscuous mode is not needed.
          type: list
          elements: str
          sample: [promiscuous_mode]
        write_error:
          description: With O(writable), why missing flags cannot be changed; empty if they can, or if none is missing.
          type: str
          sample: the user does not have the permission Host.Config.Network on esxi-1.example.com
targets:
  description: The policies of O(targets).
  returned: success
  type: list
  elements: dict
  contains: *policy
"""

from ansible_collections.egress.router.plugins.module_utils._vsphere import security, survey
from ansible_collections.egress.router.plugins.module_utils._vsphere.vcenter import VsphereModule


def main() -> None:
    module = VsphereModule(argument_spec=survey.INFO_SPEC, required_one_of=[("nics", "nodes", "targets")])
    with module.errors():
        found = security.info(module.connect, module.params)
    for warning in found.pop("warnings"):
        module.warn(warning)
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
