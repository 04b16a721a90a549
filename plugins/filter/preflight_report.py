# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.egress.router.plugins.module_utils._preflight.checks import openstack as neutron
from ansible_collections.egress.router.plugins.module_utils._preflight.checks import vsphere as vcenter
from ansible_collections.egress.router.plugins.module_utils._preflight.report import Examination, report
from ansible_collections.egress.router.plugins.module_utils._router.routers import load


def preflight_report(
    result: Mapping[str, Any],
    data: object,
    defaults: object = None,
    openstack: Mapping[str, Any] | None = None,
    vsphere: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    routers, problems = load(data, defaults)
    if problems:
        raise AnsibleFilterError("\n".join(str(problem) for problem in problems))
    examination = Examination.from_dict(result)
    present = [router for router in routers if router.present]
    if result["openstack"]["on_openstack"] and openstack is not None:
        found = neutron.findings(openstack, result["openstack"], present)
        examination = examination.with_answer("openstack", found)
    if result["vsphere"]["on_vsphere"] and vsphere is not None:
        examination = examination.with_answer("vsphere", vcenter.findings(vsphere, result["vsphere"]))
    whole = report(examination, result["ignored"], result["about"])
    return {**whole, "requests": result["requests"], "seconds": result["seconds"]}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"preflight_report": preflight_report}
