# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Reads the list of routers and the pools before the module does, see plugin_utils/_action.py.
from __future__ import annotations

from typing import Any

from ansible_collections.egress.router.plugins.module_utils._pools.option import arguments, with_addresses
from ansible_collections.egress.router.plugins.plugin_utils._action import RoutersAction


class ActionModule(RoutersAction):
    """Also fills in the list as it was written."""

    module_arguments = staticmethod(arguments)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        return with_addresses(super().run(tmp, task_vars), self._task.args)
