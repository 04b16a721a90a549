# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.egress.router.plugins.module_utils._common.yaml_text import to_yaml
from ansible_collections.egress.router.plugins.module_utils._contract.version import VERSION
from ansible_collections.egress.router.plugins.module_utils._router import openshift
from ansible_collections.egress.router.plugins.plugin_utils._routers import read

_HEAD = """\
# By these OpenShift admits the pods of egress routers, rendered by egress.router {version}. A cluster-admin applies them once:
#   kubectl apply --server-side --filename={file}
# The routers' Roles let their ServiceAccounts use them; no user or group has to be added. OpenShift tries those that somebody
# may use by priority, from the strictest to the least strict, and by name. So that these never change pods of others, they
# have no priority, a range of one user, and a type of volumes that no router uses: leave these three as they are.
"""


def security_context_constraints(data: object, defaults: object = None) -> list[dict[str, Any]]:
    routers, problems = read(data, defaults)
    if problems:
        raise AnsibleFilterError("\n".join(str(problem) for problem in problems))
    wanted = {router.security_context_constraints for router in routers if router.present}
    return [
        {"name": name, "file": openshift.file_name(name), "content": _content(name)}
        for name in sorted(wanted - {""} - openshift.STOCK)
    ]


def _content(name: str) -> str:
    head = _HEAD.format(version=VERSION, file=openshift.file_name(name))
    return f"{head}---\n{to_yaml(openshift.security_context_constraints(name))}"


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"security_context_constraints": security_context_constraints}
