# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._router.routers import load


def router_problems(data: object, defaults: object = None) -> list[str]:
    return [str(problem) for problem in load(data, defaults)[1]]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"router_problems": router_problems}
