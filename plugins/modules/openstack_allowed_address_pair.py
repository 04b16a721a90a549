#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: openstack_allowed_address_pair
short_description: Let egress addresses through the ports of OpenStack servers
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Neutron's port security drops what a server sends with an IP or MAC address that is not its port's. This module adds
    pairs of both to the ports of the nodes that may run an egress router, or takes them out again.
  - One call takes many addresses and many nodes. The number of requests depends on neither, but for one request for each
    port that changes.
  - Pairs of others stay as they are, byte for byte and in their order. A port is changed only if nobody else has changed
    it since it was read; otherwise it is read again.
  - Ports of nodes are never made.
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
        description:
          - The MAC address that the router sends with, which is its own.
          - It has to be given. Without one Neutron would fill in the MAC address of the node's port, which lets no egress
            router through.
        type: str
      nodes:
        description: The nodes of this address, instead of O(nodes).
        type: list
        elements: str
  nodes:
    description:
      - The nodes of all addresses without nodes of their own, each by server id, by port id, or by the C(providerID) that
        Kubernetes has for it (V(openstack:///SERVER-ID) or V(openstack://REGION/SERVER-ID)).
      - The port of a server is the one with a fixed IP of the subnet that holds the address, otherwise the one on a network
        with such a subnet. There must be exactly one. Ports of trunks count too.
    type: list
    elements: str
  state:
    description:
      - V(present) adds the pairs that are missing.
      - V(absent) takes exactly these pairs out of whichever visible ports of the nodes have them. A server without any
        counts as gone.
    type: str
    choices:
      - present
      - absent
    default: present
  reserve:
    description:
      - With O(state=present), make a port that is bound to no server and holds address and MAC address, so that Neutron
        gives the address to nobody else. Fails if somebody else has it.
      - With O(state=absent), remove that port.
    type: bool
    default: false
  allow_unguarded:
    description: Write to a Neutron without the extension C(revision-if-match) too, though that may undo what others write.
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
      - Neutron has no dry run. Its policy and its limit of pairs for a port are not part of the prediction.
  diff_mode:
    support: full
    details:
      - One entry for each port that changes, with one line for each pair.
  idempotent:
    support: full
seealso:
  - module: egress.router.openstack_allowed_address_pair_info
  - module: openstack.cloud.port
"""

EXAMPLES = r"""
- name: Let an egress router through on two nodes
  egress.router.openstack_allowed_address_pair:
    cloud: production
    addresses:
      - {ip_address: 198.51.100.50, mac_address: 02:e6:c6:33:64:32}
    nodes:
      - openstack:///6a5c1f5e-3f62-4d0e-9f5e-0d6a5c0d8a11
      - openstack:///0a4d8f0a-6a7a-4f3b-8c55-5d1c7a6f1e22

- name: Several addresses, each on nodes of its own
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

- name: Shut it out again
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
    - The ports that were found for the nodes and addresses. With O(state=absent), those that had one of the pairs.
    - Also there when a write fails.
  returned: always, unless the options, the connection or a reading request are at fault
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
      description: Whether port security is on. When it is off everything is let through, and there is nothing to do.
      type: bool
    addresses:
      description: The given addresses that are about this port.
      type: list
      elements: dict
    before:
      description: Its pairs before, as Neutron stores them.
      type: list
      elements: dict
      sample:
        - {ip_address: 203.0.113.5, mac_address: fa:16:3e:00:00:05}
    after:
      description: Its pairs after.
      type: list
      elements: dict
    changed:
      description: Whether it was changed, or would be in check mode.
      type: bool
    error:
      description: Why that failed, empty if it did not.
      type: str
reservations:
  description: The ports that only hold an address, with O(reserve=true).
  returned: always, unless the options, the connection or a reading request are at fault
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
      description: The port that holds it, or held it. Empty in check mode if it would be made.
      type: str
    changed:
      description: Whether it was made or removed, or would be in check mode.
      type: bool
    error:
      description: Why that failed, empty if it did not.
      type: str
"""

from ansible_collections.egress.router.plugins.module_utils._openstack import pairs
from ansible_collections.egress.router.plugins.module_utils._openstack import reservation as _reservation
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
    params, check = module.params, module.check_mode
    with module.errors():
        requests = pairs.read_requests(params)
        outcomes, reservations = _reservation.ensure(
            module.connect(),
            requests,
            params["state"] == "present",
            params["reserve"],
            check,
            params["allow_unguarded"],
        )
        plans = [outcome.plan for outcome in [*outcomes, *reservations] if outcome.changed]
        result = {
            "changed": bool(plans),
            "diff": [plan.diff() for plan in plans],
            "ports": [outcome.as_dict() for outcome in outcomes],
            "reservations": [reservation.as_dict() for reservation in reservations],
        }
        failure = pairs.summary([*outcomes, *reservations])
        if failure:
            module.fail(failure, **result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
