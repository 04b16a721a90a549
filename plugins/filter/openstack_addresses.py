# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._openstack.plan import (
    Addresses,
    on_openstack,
    plan_addresses,
)
from ansible_collections.egress.router.plugins.plugin_utils._nodes import listed
from ansible_collections.egress.router.plugins.plugin_utils._routers import read


def openstack_addresses(
    data: object,
    found: Mapping[str, Any],
    defaults: object = None,
    servers: Mapping[str, str] | None = None,
    state: str = "present",
    detect: bool = False,
) -> dict[str, Any]:
    routers, problems = read(data, defaults, absent=state == "absent")
    nodes, skipped = listed(found, detect, lambda nodes: on_openstack(nodes, servers or {}), "an OpenStack server")
    present: Addresses = []
    absent: Addresses = []
    if not problems and not skipped:
        present, absent, problems = plan_addresses(routers, nodes, servers or {})
    return {
        "problems": [str(problem) for problem in problems],
        "skipped": skipped,
        "present": present,
        "absent": absent,
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"openstack_addresses": openstack_addresses}
