# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The module_defaults of a play, for a module that an action plugin runs besides its own."""

from __future__ import annotations

from typing import Any

from ansible.executor import module_common
from ansible.plugins.action import ActionBase


def with_module_defaults(action: ActionBase, module: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a module, named in full, with what the task's module_defaults have for it and its groups.

    As Ansible's own action plugins package, service and gather_facts do it, with the function of the version.
    """
    task, templar = action._task, action._templar
    if hasattr(module_common, "_apply_action_arg_defaults"):
        found = module_common._apply_action_arg_defaults(module, task, options, templar)
    else:  # ansible-core 2.18
        groups = task._parent._play._action_groups
        found = module_common.get_action_args_with_defaults(module, options, task.module_defaults, templar, groups)
    return dict(found)
