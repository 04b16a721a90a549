# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.plugins.module_utils._router.view import view


def routers(data: object, defaults: object = None) -> list[dict[str, Any]]:
    found, problems = load(data, defaults)
    if problems:
        raise AnsibleFilterError("\n".join(str(problem) for problem in problems))
    return [view(router) for router in found]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"routers": routers}
