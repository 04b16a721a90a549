#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: openstack_allowed_address_pair
short_description: Manage allowed address pairs for egress routers
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Neutron's port security drops packets that a server sends with an IP or MAC address other than those of its port. This
    module adds the address pairs of egress routers to the ports of the nodes that may run them, or removes them.
  - One call handles many addresses and many nodes. Apart from one request for each port that changes, the number of
    requests depends on neither.
  - All other pairs are left unchanged, byte for byte and in their order. A port that has been changed by others since it
    was read is read again before it is written.
  - The module never creates ports for nodes.
options:
  addresses:
    description: The egress addresses with the routers' MAC addresses.
    type: list
    elements: dict
    required: true
    suboptions:
      ip_address:
        description: The IPv4 or IPv6 address, without a prefix length.
        type: str
        required: true
      mac_address:
        description:
          - The MAC address of the router.
          - Required. Without it, Neutron would use the MAC address of the node's port, with which no egress router sends.
        type: str
      nodes:
        description: The nodes for this address, instead of O(nodes).
        type: list
        elements: str
  nodes:
    description:
      - The nodes for all addresses that do not have their own. Each is a server id, a port id, or the C(providerID) of the
        Kubernetes node (V(openstack:///SERVER-ID) or V(openstack://REGION/SERVER-ID)).
      - The port of a server is the one with a fixed IP in the subnet that contains the address, otherwise the one on a
        network with such a subnet. There must be exactly one. Subports of trunks are included.
    type: list
    elements: str
  state:
    description:
      - V(present) adds missing pairs.
      - V(absent) removes exactly these pairs from all visible ports of the nodes. Servers that do not exist are ignored.
    type: str
    choices:
      - present
      - absent
    default: present
  reserve:
    description:
      - With O(state=present), create an unbound port with the address and the MAC address, so that Neutron does not assign
        the address to anybody else. Fails if it is already in use.
      - With O(state=absent), delete that port.
    type: bool
    default: false
  allow_unguarded:
    description:
      - Write even if Neutron does not have the extension C(revision-if-match), although this may undo concurrent changes.
    type: bool
    default: false
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group_openstack
  - egress.router._openstack_auth
attributes:
  check_mode:
    support: full
    details:
      - Neutron has no dry run, so its policy and its limit of pairs for a port are not part of the prediction.
  diff_mode:
    support: full
    details:
      - One entry for each port that changes, one line for each pair.
  idempotent:
    support: full
seealso:
  - module: egress.router.openstack_allowed_address_pair_info
  - module: openstack.cloud.port
"""

EXAMPLES = r"""
- name: Allow the addresses of an egress router on two nodes
  egress.router.openstack_allowed_address_pair:
    cloud: production
    addresses:
      - {ip_address: 198.51.100.50, mac_address: 02:e6:c6:33:64:32}
    nodes:
      - openstack:///6a5c1f5e-3f62-4d0e-9f5e-0d6a5c0d8a11
      - openstack:///0a4d8f0a-6a7a-4f3b-8c55-5d1c7a6f1e22

- name: Allow several addresses, each on its own nodes, and reserve them
  egress.router.openstack_allowed_address_pair:
    cloud: production
    reserve: true
    addresses:
      - ip_address: 198.51.100.50
        mac_address: 02:e6:c6:33:64:32
        nodes: [openstack:///6a5c1f5e-3f62-4d0e-9f5e-0d6a5c0d8a11]
      - ip_address: 2001:db8::50
        mac_address: 02:e6:c6:33:64:33
        nodes: [openstack:///0a4d8f0a-6a7a-4f3b-8c55-5d1c7a6f1e22]

- name: Remove the pair
  egress.router.openstack_allowed_address_pair:
    state: absent
    addresses:
      - {ip_address: 198.51.100.50, mac_address: 02:e6:c6:33:64:32}
    nodes:
      - 6a5c1f5e-3f62-4d0e-9f5e-0d6a5c0d8a11
"""

RETURN = r"""
ports:
  description:
    - The ports of the nodes for the addresses. With O(state=absent), those that had one of the pairs.
    - Also returned if a write fails.
  returned: always, except if the options, the connection or a read request fail
  type: list
  elements: dict
  contains:
    port_id:
      description: The port's id.
      type: str
    name:
      description: The port's name.
      type: str
    server_id:
      description: The server or trunk that the port belongs to.
      type: str
    network_id:
      description: The port's network.
      type: str
    fixed_ips:
      description: The port's own addresses.
      type: list
      elements: str
    port_security:
      description: Whether port security is enabled. If not, no pairs are needed.
      type: bool
    addresses:
      description: The requested pairs that concern this port.
      type: list
      elements: dict
    before:
      description: The port's pairs before, as Neutron stores them.
      type: list
      elements: dict
      sample:
        - {ip_address: 203.0.113.5, mac_address: fa:16:3e:00:00:05}
    after:
      description: The port's pairs after.
      type: list
      elements: dict
    changed:
      description: Whether the port was changed, or would be in check mode.
      type: bool
    error:
      description: Why the change failed; empty if it did not.
      type: str
reservations:
  description: The ports that reserve addresses, with O(reserve=true).
  returned: always, except if the options, the connection or a read request fail
  type: list
  elements: dict
  contains:
    ip_address:
      description: The address.
      type: str
    mac_address:
      description: The MAC address.
      type: str
    network_id:
      description: The network on which it is reserved.
      type: str
    port_id:
      description: The port that reserves or reserved it. Empty in check mode if it would be created.
      type: str
    changed:
      description: Whether the port was created or deleted, or would be in check mode.
      type: bool
    error:
      description: Why the change failed; empty if it did not.
      type: str
"""

from ansible_collections.egress.router.plugins.module_utils._openstack import pairs, reservation
from ansible_collections.egress.router.plugins.module_utils._openstack.cloud import OpenStackModule


def main() -> None:
    module = OpenStackModule(
        argument_spec={
            **pairs.SPEC,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "reserve": {"type": "bool", "default": False},
            "allow_unguarded": {"type": "bool", "default": False},
        }
    )
    params = module.params
    with module.errors():
        requests = pairs.read_requests(params)
        ports, reservations = reservation.ensure(
            module.connect(),
            requests,
            present=params["state"] == "present",
            reserve=params["reserve"],
            check=module.check_mode,
            unguarded=params["allow_unguarded"],
        )
    changes: list[pairs.PortChange | reservation.Reservation] = [*ports, *reservations]
    result = {
        "changed": any(change.changed for change in changes),
        "diff": [change.plan.diff() for change in changes if change.changed],
        "ports": [port.as_dict() for port in ports],
        "reservations": [one.as_dict() for one in reservations],
    }
    errors = [change.error for change in changes if change.error]
    if errors:
        module.fail("\n".join(errors), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
