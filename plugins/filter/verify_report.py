# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.egress.router.plugins.module_utils._verify.checks import Scope
from ansible_collections.egress.router.plugins.module_utils._verify.report import report
from ansible_collections.egress.router.plugins.plugin_utils import _routers


def verify_report(
    data: object,
    states: list[dict[str, Any]],
    results: list[dict[str, Any]],
    defaults: object = None,
    fallback_ports: list[int] | None = None,
    http_ports: list[int] | None = None,
    observers: bool = True,
) -> dict[str, Any]:
    routers, problems = _routers.read(data, defaults)
    if problems:
        raise AnsibleFilterError("\n".join(map(str, problems)))
    scope = Scope(tuple(fallback_ports or ()), tuple(http_ports or ()), observers)
    return report([router for router in routers if router.present], states, results, scope)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"verify_report": verify_report}
