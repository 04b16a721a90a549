# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  routers:
    description:
      - The routers to report, in this order. One that does not exist is reported as such.
      - Without it, all routers of O(namespaces) are reported.
    type: list
    elements: dict
    suboptions:
      name:
        description: The router's name.
        type: str
        required: true
      namespace:
        description: Its namespace.
        type: str
        required: true
  namespaces:
    description:
      - Where to look for routers. Without it and O(routers), in all namespaces, which takes the right to list there.
    type: list
    elements: str
"""
