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

from ._routers import read_text


class ListError(ValueError):
    """The list of routers cannot be used. The message has every problem, one a line."""


def module_arguments(args: dict[str, Any]) -> dict[str, Any]:
    """What a module gets for the arguments of its task; ListError with every problem of the list."""
    if "checked" in args:
        raise ListError("checked: is set by the collection itself: remove it")
    if "routers" not in args:
        return args  # The module says that it is required.
    text, problems = read_text(args["routers"], args.get("defaults"), absent=args.get("state") == "absent")
    if problems:
        raise ListError("\n".join(str(problem) for problem in problems))
    return {**args, "routers": [], "defaults": {}, "checked": text}


class RoutersAction(ActionModule):  # type: ignore[misc]  # kubernetes.core has no types
    """Reads the list, then does what the modules of kubernetes.core have done (kubeconfigs of the play, vault)."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        given = self._task.args
        try:
            self._task.args = module_arguments(given)
        except ListError as error:
            return {"failed": True, "msg": str(error)}
        try:
            result: dict[str, Any] = super().run(tmp, task_vars)
        finally:
            self._task.args = given
        arguments = result.get("invocation", {}).get("module_args")
        if arguments is not None and arguments.pop("checked", None) is not None:
            # What the user wrote, in the result and in AWX's events.
            arguments.update({key: given.get(key) for key in ("routers", "defaults")})
        return result
