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

from ._routers import read, read_text


class ListError(ValueError):
    """The list of routers cannot be used. The message has every problem, one a line."""


def routers_arguments(args: dict[str, Any]) -> dict[str, Any]:
    """What a module with the options of the fragment _routers gets for the arguments of its task."""
    if "checked" in args:
        raise ListError("checked: is set by the collection itself: remove it")
    if "routers" not in args:
        return args  # The module says that it is required.
    text, problems = read_text(args["routers"], args.get("defaults"), absent=args.get("state") == "absent")
    _refuse(problems)
    return {**args, "routers": [], "defaults": {}, "checked": text}


def rules_arguments(args: dict[str, Any]) -> dict[str, Any]:
    """What the module redirect_rules gets: with `defaults` the list is that of all the other modules."""
    if "defaults" not in args or "routers" not in args:
        return args
    routers, problems = read(args["routers"], args["defaults"])
    _refuse(problems)
    rules = [
        {"name": router.name, "namespace": router.namespace, "text": router.rules.text()}
        for router in routers
        if router.present
    ]
    return {**args, "routers": rules, "defaults": {}}


def _refuse(problems: list[Any]) -> None:
    if problems:
        raise ListError("\n".join(str(problem) for problem in problems))


class RoutersAction(ActionModule):
    """Reads the list, then does what the modules of kubernetes.core have done (kubeconfigs of the play, vault)."""

    module_arguments = staticmethod(routers_arguments)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        given = self._task.args
        try:
            passed = self.module_arguments(given)
        except ListError as error:
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

    module_arguments = staticmethod(rules_arguments)
