# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.egress.router.plugins.plugin_utils._routers import read


def named_routers(data: list[Any], names: Sequence[str], defaults: object = None) -> dict[str, Any]:
    found, problems = read(data, defaults)
    said = [str(problem) for problem in problems]
    # Without problems, there is a router for each item of the list.
    by_id = {} if said else {router.id: item for router, item in zip(found, data, strict=True)}
    if not said:
        listed = ", ".join(by_id) or "none"
        said = [
            f"there is no router '{name}' in egress_routers: there is {listed}" for name in names if name not in by_id
        ]
    return {"problems": said, "routers": [] if said else [by_id[name] for name in dict.fromkeys(names)]}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"named_routers": named_routers}
