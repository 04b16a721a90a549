# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._vsphere.plan import on_vsphere, plan_nics


def vsphere_nics(
    data: object,
    nodes: Iterable[Mapping[str, Any]],
    defaults: object = None,
    vms: Mapping[str, str] | None = None,
    networks: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    nodes, vms = list(nodes), vms or {}
    nics, problems = plan_nics(data, nodes, defaults, vms, networks or {})
    return {
        "on_vsphere": on_vsphere(nodes, vms),
        "problems": [str(problem) for problem in problems],
        "nics": nics,
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"vsphere_nics": vsphere_nics}
