#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vsphere_port_group_security
short_description: Let egress routers through the security policy of vSphere's port groups
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - An egress router's frames leave a node with a MAC address that is not the VM's. Port groups drop them until they accept
    promiscuous mode (or learn MAC addresses), forged transmits and MAC address changes. This module sets those flags where
    nodes are connected, and nothing else.
  - One call takes many nodes. The number of requests does not grow with them, but for two or three for each port group that
    changes.
  - What is compared is the policy in force, wherever it comes from. Only flags that differ are written; VLAN, uplinks, MTU,
    ports, teaming, shaping and the inheritance of all else stay.
  - A node may move, so a standard port group is changed on every host of the node's cluster that has it.
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
      - Without O(nics), the only network adapter of each is meant.
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
  promiscuous_mode:
    description: Whether adapters get frames for other MAC addresses. Left as it is unless given.
    type: str
    choices:
      - accept
      - reject
  forged_transmits:
    description: Whether adapters may send with other MAC addresses. Left as it is unless given.
    type: str
    choices:
      - accept
      - reject
  mac_changes:
    description: Whether a guest may change the MAC address of its adapter. Left as it is unless given.
    type: str
    choices:
      - accept
      - reject
  mac_learning:
    description:
      - Whether the switch learns the MAC addresses behind adapters. Left as it is unless given.
      - Better than O(promiscuous_mode), because frames reach only the adapter that they are for. Distributed switches have
        it from version 6.6.0 on.
    type: bool
  scope:
    description:
      - V(port_group) changes the port groups of the nodes.
      - V(switch) changes the policy of their switches, which all port groups without a policy of their own inherit.
    type: str
    choices:
      - port_group
      - switch
    default: port_group
  state:
    description:
      - V(present) sets the flags.
      - V(restored) puts O(previous) back, but not where a node of O(nics) or O(nodes) is connected, or may move.
    type: str
    choices:
      - present
      - restored
    default: present
  previous:
    description: What RV(previous) of an earlier run was.
    type: list
    elements: dict
    suboptions:
      kind:
        description: For people.
        type: str
      host:
        description: Name of the ESXi host of a standard port group or switch.
        type: str
      switch:
        description: Name of the switch.
        type: str
      port_group:
        description: Name of the port group.
        type: str
      promiscuous_mode:
        description: The flag to put back. Left as it is unless given.
        type: str
        choices: [accept, reject, inherit]
      forged_transmits:
        description: The flag to put back. Left as it is unless given.
        type: str
        choices: [accept, reject, inherit]
      mac_changes:
        description: The flag to put back. Left as it is unless given.
        type: str
        choices: [accept, reject, inherit]
      mac_learning:
        description: The flag to put back. Left as it is unless given.
        type: str
        choices: [enabled, disabled, inherit]
  allow_disconnected:
    description:
      - Leave out hosts that vCenter is out of contact with, with a warning. Otherwise such a host of a node's cluster is an
        error, before anything is changed.
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
      - vSphere has no dry run. Privileges are not part of the prediction.
  diff_mode:
    support: full
    details:
      - One entry for each port group on each host, or switch, that changes, with one line for each flag.
  idempotent:
    support: full
seealso:
  - module: egress.router.vsphere_port_group_security_info
  - module: community.vmware.vmware_portgroup
  - module: community.vmware.vmware_dvs_portgroup
"""

EXAMPLES = r"""
- name: Let egress routers through where the workers' egress adapters are connected
  egress.router.vsphere_port_group_security:
    hostname: vcenter.example.com
    nics:
      - addresses: [198.51.100.50]
        nodes:
          - vsphere://4216a6b2-7c1d-4d3f-9a55-0d6a5c0d8a11
          - vsphere://42161d4e-90ab-4a3c-8c55-5d1c7a6f1e22
    promiscuous_mode: accept
    forged_transmits: accept
    mac_changes: accept
  register: opened

- name: On a distributed switch, with MAC learning
  egress.router.vsphere_port_group_security:
    nics:
      - network: egress
    nodes: [worker-1, worker-2]
    mac_learning: true
    forged_transmits: accept
    mac_changes: accept

- name: Name a port group directly
  egress.router.vsphere_port_group_security:
    targets:
      - {host: esxi-1.example.com, port_group: egress}
    forged_transmits: accept

- name: Put back what was there before
  egress.router.vsphere_port_group_security:
    state: restored
    previous: "{{ opened.previous }}"
"""

RETURN = r"""
policies:
  description:
    - The port groups and switches that were found, standard ones once for each host.
    - Also there when a write fails.
  returned: always, unless the options, the connection or a reading request are at fault
  type: list
  elements: dict
  contains:
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
    nodes:
      description: The given nodes that are connected there, or may move there.
      type: list
      elements: str
    before:
      description: The flags that were in force.
      type: dict
      sample: {promiscuous_mode: reject, forged_transmits: reject, mac_changes: accept}
    after:
      description: The flags that are in force now.
      type: dict
      sample: {promiscuous_mode: accept, forged_transmits: accept, mac_changes: accept}
    changed:
      description: Whether it was changed, or would be in check mode.
      type: bool
    error:
      description: Why that failed, empty if it did not.
      type: str
previous:
  description:
    - For each place that changed, what it had set itself of the flags that changed; V(inherit) where it set nothing. This is
      what O(previous) takes. Empty when nothing changed, so keep that of the first run.
  returned: as RV(policies)
  type: list
  elements: dict
  sample:
    - {kind: standard, host: esxi-1.example.com, switch: vSwitch1, port_group: egress, promiscuous_mode: inherit}
"""

from ansible_collections.egress.router.plugins.module_utils._vsphere import security
from ansible_collections.egress.router.plugins.module_utils._vsphere import survey as places
from ansible_collections.egress.router.plugins.module_utils._vsphere.vcenter import VsphereModule


def main() -> None:
    module = VsphereModule(
        argument_spec={**places.SPEC, **security.SPEC},
        required_if=[
            ("state", "present", ["nics", "nodes", "targets"], True),
            ("state", "restored", ["previous"]),
        ],
    )
    params = module.params
    with module.errors():
        flags = security.read_flags(params)
        requests, targets = places.read_requests(params), places.read_targets(params["targets"])
        with module.connect() as vcenter:
            found, outcomes = security.plan(vcenter, requests, targets, flags, params)
            security.write(vcenter, outcomes, module.check_mode)
    for warning in found.warnings:
        module.warn(warning)
    changes = [outcome for outcome in outcomes if outcome.changed]
    result = {
        "changed": bool(changes),
        "diff": [outcome.plan.diff() for outcome in changes],
        "policies": [outcome.as_dict() for outcome in outcomes],
        "previous": [outcome.previous for outcome in changes],
    }
    failure = security.failure(outcomes)
    if failure:
        module.fail(failure, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
