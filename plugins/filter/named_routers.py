# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.egress.router.plugins.plugin_utils._routers import read


def named_routers(data: list[Any], names: Sequence[str] | None, defaults: object = None) -> dict[str, Any]:
    found, problems = read(data, defaults)
    said = [str(problem) for problem in problems]
    # Without problems, there is a router for each item of the list.
    by_id = {} if said else {router.id: (router, item) for router, item in zip(found, data, strict=True)}
    if names is None:
        names = [router.id for router, _item in by_id.values() if router.present]
    if not said:
        listed = ", ".join(by_id) or "none"
        said = [
            f"there is no router '{name}' in egress_routers: there is {listed}" for name in names if name not in by_id
        ]
    chosen = [] if said else [by_id[name] for name in dict.fromkeys(names)]
    return {
        "problems": said,
        "routers": [item for _router, item in chosen],
        "selection": [
            {"name": router.name, "namespace": router.namespace, "backend": router.backend} for router, _item in chosen
        ],
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"named_routers": named_routers}
