# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._openstack.plan import on_openstack, plan_addresses


def openstack_addresses(
    data: object,
    nodes: Iterable[Mapping[str, Any]],
    defaults: object = None,
    servers: Mapping[str, str] | None = None,
    all_absent: bool = False,
) -> dict[str, Any]:
    nodes, servers = list(nodes), servers or {}
    present, absent, problems = plan_addresses(data, nodes, defaults, servers, all_absent)
    return {
        "on_openstack": on_openstack(nodes, servers),
        "problems": [str(problem) for problem in problems],
        "present": present,
        "absent": absent,
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"openstack_addresses": openstack_addresses}
