#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: openstack_allowed_address_pair_info
short_description: Get the allowed address pairs that egress routers need
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Finds the ports of the nodes as M(egress.router.openstack_allowed_address_pair) does, and returns their address pairs and
    those that are missing.
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
          - Leave it out if the router has another one at every start, as with O(egress.router.router#module:routers[].backend=egress_router_cr).
            No pair can stand for it, so that none is missing. The router works if RV(ports[].port_security) is V(false).
        type: str
      nodes:
        description: The nodes for this address, instead of O(nodes).
        type: list
        elements: str
  nodes:
    description:
      - The nodes for all addresses that do not have their own. Each is a server id, a port id, or the C(providerID) of the
        Kubernetes node.
    type: list
    elements: str
  writable:
    description:
      - Whether to check that the missing pairs can be added with the credentials. Neutron is sent a change that cannot
        succeed, because it is for a revision that no port has. If it is refused because of the revision and not because of a
        missing permission, the pairs can be added.
    type: bool
    default: false
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group_openstack
  - egress.router._attributes.info_module
  - egress.router._openstack_auth
seealso:
  - module: egress.router.openstack_allowed_address_pair
"""

EXAMPLES = r"""
- name: Get the address pairs of a node's port
  egress.router.openstack_allowed_address_pair_info:
    cloud: production
    addresses:
      - {ip_address: 198.51.100.50, mac_address: 02:e6:c6:33:64:32}
    nodes:
      - openstack:///6a5c1f5e-3f62-4d0e-9f5e-0d6a5c0d8a11
  register: info

- name: Show the missing pairs
  ansible.builtin.debug:
    msg: "{{ info.ports | map(attribute='missing') | flatten }}"
"""

RETURN = r"""
ports:
  description: The ports that have to allow the addresses.
  returned: success
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
      description: The requested addresses that this port is for.
      type: list
      elements: dict
    allowed_address_pairs:
      description: The port's pairs, as Neutron stores them.
      type: list
      elements: dict
      sample:
        - {ip_address: 203.0.113.5, mac_address: fa:16:3e:00:00:05}
    write_error:
      description: With O(writable), why missing pairs cannot be added; empty if they can, or if none is missing.
      type: str
    missing:
      description: The requested pairs that the port does not have.
      type: list
      elements: dict
"""

from ansible_collections.egress.router.plugins.module_utils._openstack import pairs
from ansible_collections.egress.router.plugins.module_utils._openstack.cloud import OpenStackModule


def main() -> None:
    module = OpenStackModule(argument_spec=pairs.INFO_SPEC)
    with module.errors():
        module.exit_json(changed=False, ports=pairs.info(module.connect, module.params))


if __name__ == "__main__":
    main()
