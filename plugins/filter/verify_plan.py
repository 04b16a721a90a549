# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._router.problems import Problem
from ansible_collections.egress.router.plugins.module_utils._verify.checks import Scope, targets
from ansible_collections.egress.router.plugins.plugin_utils import _routers


def verify_plan(
    data: object,
    defaults: object = None,
    states: list[dict[str, Any]] | None = None,
    fallback_ports: list[int] | None = None,
    http_ports: list[int] | None = None,
    image: str = "",
) -> dict[str, Any]:
    found, problems = _routers.read(data, defaults)
    present = [router for router in found if router.present]
    with_image = next((router for router in present if router.image), None)
    if not problems and present and not image and not with_image:
        problems.append(
            Problem(
                "",
                "verify_image",
                "is required, because no router of the list has an image: set it to the collection's, of which the client pod is made",
            )
        )
    routers = [] if problems else present
    scope = Scope(tuple(fallback_ports or ()), tuple(http_ports or ()))
    return {
        "problems": [str(problem) for problem in problems],
        "routers": [
            {"name": router.name, "namespace": router.namespace, "backend": router.backend} for router in routers
        ],
        "namespace": routers[0].namespace if routers else "",
        "image": (image or (with_image.image if with_image else "")) if routers else "",
        "image_pull_secrets": with_image.image_pull_secrets if routers and with_image else [],
        "targets": targets(routers, states or [], scope),
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"verify_plan": verify_plan}
