# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The controller's half of the modules that take the list of routers.

The list is read here as it was written, before Ansible's own option checking sees it, so that every problem of the list is
told in our sentences and all at once. The module gets the result.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.kubernetes.core.plugins.action.k8s_info import ActionModule

from ..module_utils._common.errors import InputError
from ..module_utils._router import option
from ._routers import read_text


class RoutersAction(ActionModule):
    """Reads the list, then does what the modules of kubernetes.core have done (kubeconfigs of the play, vault)."""

    module_arguments = staticmethod(option.routers_arguments)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        given = self._task.args
        try:
            passed = self.module_arguments(given, read_text)
        except InputError as error:
            return {"failed": True, "msg": str(error)}
        self._task.args = passed
        try:
            result: dict[str, Any] = super().run(tmp, task_vars)
        finally:
            self._task.args = given
        shown = result.get("invocation", {}).get("module_args")
        # The result, and with it AWX's events, show what the user wrote.
        for key in passed if shown is not None else ():
            if key not in given:
                shown.pop(key, None)
            elif passed[key] is not given[key]:
                shown[key] = given[key]
        return result


class RulesAction(RoutersAction):
    """The same for redirect_rules."""

    module_arguments = staticmethod(option.rules_arguments)
