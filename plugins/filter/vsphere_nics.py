# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._vsphere.plan import Nics, on_vsphere, plan_nics
from ansible_collections.egress.router.plugins.plugin_utils._nodes import listed
from ansible_collections.egress.router.plugins.plugin_utils._routers import read


def vsphere_nics(
    data: object,
    found: Mapping[str, Any],
    defaults: object = None,
    vms: Mapping[str, str] | None = None,
    networks: Mapping[str, str] | None = None,
    state: str = "present",
    detect: bool = False,
) -> dict[str, Any]:
    routers, problems = read(data, defaults, absent=state == "absent")
    nodes, skipped = listed(found, detect, lambda nodes: on_vsphere(nodes, vms or {}), "a vSphere VM")
    nics: Nics = []
    if not problems and not skipped:
        nics, problems = plan_nics(routers, nodes, vms or {}, networks or {})
    return {
        "problems": [str(problem) for problem in problems],
        "skipped": skipped,
        "nics": nics,
        "namespace": routers[0].namespace if routers else "",
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"vsphere_nics": vsphere_nics}
