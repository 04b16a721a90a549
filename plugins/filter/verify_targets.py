# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.plugins.module_utils._verify.verification import Scope, targets


def verify_targets(
    data: object,
    states: list[dict[str, Any]],
    defaults: object = None,
    fallback_ports: list[int] | None = None,
    http_ports: list[int] | None = None,
) -> list[str]:
    routers, problems = load(data, defaults)
    if problems:
        raise AnsibleFilterError("\n".join(str(problem) for problem in problems))
    return targets(routers, states, Scope(tuple(fallback_ports or ()), tuple(http_ports or ())))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"verify_targets": verify_targets}
