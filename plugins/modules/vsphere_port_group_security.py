#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vsphere_port_group_security
short_description: Manage the security policy of vSphere port groups for egress routers
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - The frames of an egress router have a MAC address other than that of the node's VM. A port group drops them unless it
    accepts promiscuous mode (or learns MAC addresses), forged transmits and MAC address changes. This module sets these flags
    on the port groups to which nodes are connected, and nothing else.
  - One call handles many nodes. The number of requests does not grow with them, apart from two or three for each port group
    that changes.
  - The effective policy is compared, whether it is inherited or not. Only flags that differ are written; VLAN, uplinks, MTU,
    number of ports, teaming, shaping and the inheritance of everything else are left unchanged.
  - A node may move, so a standard port group is changed on every host of the node's cluster that has it.
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
      - Without O(nics), the only network adapter of each node is meant.
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
  promiscuous_mode:
    description: Whether adapters receive frames for other MAC addresses. Not changed if not specified.
    type: bool
  forged_transmits:
    description: Whether adapters may send frames with other MAC addresses. Not changed if not specified.
    type: bool
  mac_changes:
    description: Whether a guest may change the MAC address of its adapter. Not changed if not specified.
    type: bool
  mac_learning:
    description:
      - Whether the switch learns the MAC addresses behind adapters. Not changed if not specified.
      - Preferable to O(promiscuous_mode), because frames reach only the adapter that they are for. Requires a distributed
        switch of version 6.6.0 or later.
    type: bool
  scope:
    description:
      - V(portgroup) changes the port groups of the nodes.
      - V(switch) changes the policy of their switches, which port groups without a policy of their own inherit.
    type: str
    choices:
      - portgroup
      - switch
    default: portgroup
  state:
    description:
      - V(present) sets the flags.
      - V(restored) restores O(previous), except where a node of O(nics) or O(nodes) is connected or may move.
    type: str
    choices:
      - present
      - restored
    default: present
  previous:
    description: The value of RV(previous) of an earlier run.
    type: list
    elements: dict
    suboptions:
      kind:
        description: Ignored. RV(previous) contains it for information.
        type: str
      esxi_hostname:
        description: Name of the ESXi host of a standard port group or switch.
        type: str
      switch:
        description: Name of the switch.
        type: str
      portgroup:
        description: Name of the port group.
        type: str
      promiscuous_mode:
        description: The flag to restore. Not changed if not specified.
        type: str
        choices: ["true", "false", inherit]
      forged_transmits:
        description: The flag to restore. Not changed if not specified.
        type: str
        choices: ["true", "false", inherit]
      mac_changes:
        description: The flag to restore. Not changed if not specified.
        type: str
        choices: ["true", "false", inherit]
      mac_learning:
        description: The flag to restore. Not changed if not specified.
        type: str
        choices: ["true", "false", inherit]
  allow_disconnected:
    description:
      - Whether to skip hosts that are not connected to vCenter, with a warning. Otherwise, the module fails before anything
        is changed if such a host is in the cluster of a node.
    type: bool
    default: false
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group_vsphere
  - egress.router._vsphere_auth
attributes:
  check_mode:
    support: full
    details:
      - vSphere has no dry run, so permissions are not part of the prediction.
  diff_mode:
    support: full
    details:
      - One entry for each port group or switch that changes, standard ones for each host, one line for each flag.
  idempotent:
    support: full
seealso:
  - module: egress.router.vsphere_port_group_security_info
  - module: community.vmware.vmware_portgroup
  - module: community.vmware.vmware_dvs_portgroup
"""

EXAMPLES = r"""
- name: Set the flags on the port groups of the workers' egress adapters
  egress.router.vsphere_port_group_security:
    hostname: vcenter.example.com
    nics:
      - addresses: [198.51.100.50]
        nodes:
          - vsphere://4216a6b2-7c1d-4d3f-9a55-0d6a5c0d8a11
          - vsphere://42161d4e-90ab-4a3c-8c55-5d1c7a6f1e22
    promiscuous_mode: true
    forged_transmits: true
    mac_changes: true
  register: opened

- name: Use MAC learning on a distributed switch
  egress.router.vsphere_port_group_security:
    nics:
      - network: egress
    nodes: [worker-1, worker-2]
    mac_learning: true
    forged_transmits: true
    mac_changes: true

- name: Specify a port group by name
  egress.router.vsphere_port_group_security:
    targets:
      - {esxi_hostname: esxi-1.example.com, portgroup: egress}
    forged_transmits: true

- name: Restore the flags that were set before
  egress.router.vsphere_port_group_security:
    state: restored
    previous: "{{ opened.previous }}"
"""

RETURN = r"""
policies:
  description:
    - The policies of the port groups or switches, standard ones once for each host.
    - Also returned if a write fails.
  returned: always, except if the options, the connection or a read request fail
  type: list
  elements: dict
  contains:
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
    nodes:
      description: The specified nodes that are connected there or may move there.
      type: list
      elements: str
    before:
      description: The flags that were in effect.
      type: dict
      sample: {promiscuous_mode: false, forged_transmits: false, mac_changes: true}
    after:
      description: The flags that are in effect now.
      type: dict
      sample: {promiscuous_mode: true, forged_transmits: true, mac_changes: true}
    changed:
      description: Whether the policy was changed, or would be in check mode.
      type: bool
    error:
      description: Why the change failed; empty if it did not.
      type: str
previous:
  description:
    - For each policy that changed, the previous values of the flags that changed; V(inherit) if a flag was not set. Use it as
      O(previous) to undo the change. Empty if nothing changed, so keep that of the first run.
  returned: as RV(policies)
  type: list
  elements: dict
  sample:
    - {kind: standard, esxi_hostname: esxi-1.example.com, switch: vSwitch1, portgroup: egress, promiscuous_mode: inherit}
"""

from ansible_collections.egress.router.plugins.module_utils._vsphere import security, survey
from ansible_collections.egress.router.plugins.module_utils._vsphere.vcenter import VsphereModule


def main() -> None:
    module = VsphereModule(
        argument_spec={**survey.SPEC, **security.SPEC},
        required_if=[
            ("state", "present", ["nics", "nodes", "targets"], True),
            ("state", "restored", ["previous"]),
        ],
    )
    with module.errors():
        found, changes = security.ensure(module.connect, module.params, module.check_mode)
    for warning in found.warnings:
        module.warn(warning)
    changed = [change for change in changes if change.changed]
    result = {
        "changed": bool(changed),
        "diff": [change.plan.diff() for change in changed],
        "policies": [change.as_dict() for change in changes],
        "previous": [change.previous for change in changed],
    }
    failure = security.failure(changes)
    if failure:
        module.fail(failure, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
