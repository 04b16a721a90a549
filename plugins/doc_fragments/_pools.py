# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  pools:
    description:
      - The address pools. The variable C(egress_router_pools) of the collection's playbooks is this list.
      - All problems of the pools are reported at once, before anything is asked or changed.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the pool. Up to 63 lowercase letters, digits and hyphens.
        type: str
        required: true
      ranges:
        description:
          - The addresses of the pool, each item as C(FIRST-LAST), C(ADDRESS/LENGTH) or one address, for example
            V(198.51.100.64-198.51.100.95) and V(198.51.100.100/30).
          - They are of one family and in one subnet, and in no other pool.
          - The address of the subnet and its broadcast address are never allocated.
        type: list
        elements: str
        required: true
      prefix_length:
        description: Prefix length of the subnet, for example V(24).
        type: int
        required: true
      gateway:
        description:
          - The next hop to servers outside the subnet, see O(egress.router.router#module:routers[].addresses[].gateway). It must not be
            in a range.
          - If left out, routers reach only servers in the subnet.
        type: str
      exclude:
        description: Addresses that are never allocated, written like O(pools[].ranges).
        type: list
        elements: str
        default: []
      quarantine_seconds:
        description:
          - For how many seconds a released address is not allocated to another router, up to V(2592000). Servers, firewalls and
            neighbours may remember the former router for some time.
          - A router that comes back gets its address again at once.
        type: int
        default: 3600
  namespace:
    description:
      - Namespace of the ConfigMaps that say which address is allocated to which router. All runs that share a pool have to name
        the same one.
    type: str
    required: true
"""
