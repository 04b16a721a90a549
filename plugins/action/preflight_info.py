# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.egress.router.plugins.module_utils._preflight.report import complete
from ansible_collections.egress.router.plugins.plugin_utils._action import RoutersAction
from ansible_collections.egress.router.plugins.plugin_utils._module_defaults import with_module_defaults


class ActionModule(RoutersAction):
    """Runs the module, then those that ask the clouds what it could not find out itself."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        if "gathered" in result:
            gathered = result.pop("gathered")
            answers = {
                cloud: self._ask(question, task_vars, result)
                for cloud, question in gathered["questions"].items()
                if question["options"]
            }
            result["report"] = complete(gathered, answers)
        return result

    def _ask(self, question: dict[str, Any], task_vars: Any, result: dict[str, Any]) -> dict[str, Any]:
        """The answer of a cloud, or its module's failure. Its warnings become those of the result."""
        options = with_module_defaults(self, question["module"], question["options"])
        answer: dict[str, Any] = self._execute_module(
            module_name=question["module"], module_args=options, task_vars=task_vars
        )
        if answer.get("warnings"):
            result["warnings"] = [*result.get("warnings", []), *answer["warnings"]]
        return answer
