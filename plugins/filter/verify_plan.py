# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._router.backend import AGENT
from ansible_collections.egress.router.plugins.module_utils._router.problems import Problem
from ansible_collections.egress.router.plugins.module_utils._verify.checks import Scope, targets
from ansible_collections.egress.router.plugins.plugin_utils import _routers


def verify_plan(
    data: object,
    defaults: object = None,
    states: list[dict[str, Any]] | None = None,
    fallback_ports: list[int] | None = None,
    http_ports: list[int] | None = None,
) -> dict[str, Any]:
    found, problems = _routers.read(data, defaults)
    unknown = [router for router in found if router.present and router.backend != AGENT]
    problems += [
        Problem(
            router.id,
            "backend",
            f"verify asks the router's agent, which {router.backend} does not have: leave it out of the list",
        )
        for router in unknown
    ]
    routers = [router for router in found if router.present and not problems]
    scope = Scope(tuple(fallback_ports or ()), tuple(http_ports or ()))
    return {
        "problems": [str(problem) for problem in problems],
        "routers": [{"name": router.name, "namespace": router.namespace} for router in routers],
        "namespace": routers[0].namespace if routers else "",
        "image": routers[0].image if routers else "",
        "image_pull_secrets": routers[0].image_pull_secrets if routers else [],
        "targets": targets(routers, states or [], scope),
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"verify_plan": verify_plan}
