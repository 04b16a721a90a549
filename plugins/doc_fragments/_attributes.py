# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
  diff_mode:
    description: Returns details on what has changed, or would change in C(check_mode), when in diff mode.
  idempotent:
    description: When run twice in a row outside C(check_mode) with the same arguments, the second changes nothing.
"""

    ACTION_GROUP = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/egress.router.kubernetes) in C(module_defaults) to set the connection once for all modules.
    support: full
    membership:
      - egress.router.kubernetes
"""

    ACTION_GROUP_OPENSTACK = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/egress.router.openstack) in C(module_defaults) to set the connection once for all modules.
    support: full
    membership:
      - egress.router.openstack
"""

    ACTION_GROUP_VSPHERE = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/egress.router.vsphere) in C(module_defaults) to set the connection once for all modules.
    support: full
    membership:
      - egress.router.vsphere
"""

    # For modules that only read.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module changes nothing.
  diff_mode:
    support: N/A
    details:
      - This module changes nothing.
  idempotent:
    support: full
    details:
      - This module changes nothing.
"""
