#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: openstack_allowed_address_pair_info
short_description: Tell which egress addresses the ports of OpenStack servers let through
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Finds the ports of the nodes as M(egress.router.openstack_allowed_address_pair) does, and reports their pairs and those that
    are missing.
options:
  addresses:
    description: The egress addresses.
    type: list
    elements: dict
    required: true
    suboptions:
      ip_address:
        description: The address, IPv4 or IPv6, without prefix length.
        type: str
        required: true
      mac_address:
        description: The MAC address that the router sends with. It has to be given.
        type: str
      nodes:
        description: The nodes of this address, instead of O(nodes).
        type: list
        elements: str
  nodes:
    description:
      - The nodes of all addresses without nodes of their own, each by server id, by port id, or by the C(providerID) that
        Kubernetes has for it.
    type: list
    elements: str
  writable:
    description:
      - Whether to find out if the credentials may add what is missing. Neutron is sent a change that cannot succeed, because
        it is for a revision that no port has; that it is refused for the revision, and not for a lack of rights, is the answer.
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
- name: Look whether port security lets an egress router through
  egress.router.openstack_allowed_address_pair_info:
    cloud: production
    addresses:
      - {ip_address: 198.51.100.50, mac_address: 02:e6:c6:33:64:32}
    nodes:
      - openstack:///6a5c1f5e-3f62-4d0e-9f5e-0d6a5c0d8a11
  register: info

- name: Show what is missing
  ansible.builtin.debug:
    msg: "{{ info.ports | map(attribute='missing') | flatten }}"
"""

RETURN = r"""
ports:
  description: The ports that the addresses have to be let through on.
  returned: success
  type: list
  elements: dict
  contains:
    port_id:
      description: Its id.
      type: str
    name:
      description: Its name.
      type: str
    server_id:
      description: The server or trunk that it belongs to.
      type: str
    network_id:
      description: Its network.
      type: str
    fixed_ips:
      description: Its own addresses.
      type: list
      elements: str
    port_security:
      description: Whether port security is on. When it is off everything is let through.
      type: bool
    allowed_address_pairs:
      description: Its pairs, as Neutron stores them.
      type: list
      elements: dict
      sample:
        - {ip_address: 203.0.113.5, mac_address: fa:16:3e:00:00:05}
    write_error:
      description: With O(writable), why what is missing cannot be added; empty if it can, or if nothing is missing.
      type: str
    missing:
      description: The given addresses that it does not let through.
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
