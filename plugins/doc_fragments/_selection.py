# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  routers:
    description: The routers, in this order. If left out, those of O(namespaces).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the router.
        type: str
        required: true
      namespace:
        description: Namespace of the router.
        type: str
        required: true
      backend:
        description: What makes the router's pod, as in O(egress.router.router#module:routers[].backend).
        type: str
        choices: [agent, egress_router_cr]
        default: agent
"""

    INFO_MODULE = r"""
options:
  namespaces:
    description:
      - Where to look for routers. If O(namespaces) and O(routers) are left out, it is all namespaces, which requires permission
        to list there.
      - Routers with backend V(egress_router_cr) are found where the identity in use may list EgressRouters.
    type: list
    elements: str
notes:
  - A router of O(routers) that does not exist is reported as such.
"""
