# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.egress.router.plugins.module_utils._common.yaml_text import to_yaml
from ansible_collections.egress.router.plugins.module_utils._contract.version import VERSION
from ansible_collections.egress.router.plugins.module_utils._egress_router_cr import manifests as egress_router_cr
from ansible_collections.egress.router.plugins.module_utils._router.backend import EGRESS_ROUTER_CR
from ansible_collections.egress.router.plugins.plugin_utils._routers import read

_HEAD = """\
# What somebody needs who runs egress.router {version} for routers with backend egress_router_cr. A cluster-admin applies it once:
#   kubectl apply --server-side --filename={file}
# and binds it, the first in each namespace with a router:
#   kubectl create rolebinding {deployer} --namespace=NAMESPACE --clusterrole={deployer} --user=USER
# The second is optional. It lets the collection say why the operator fails, and find an address in another namespace:
#   kubectl create clusterrolebinding {reader} --clusterrole={reader} --user=USER
"""


def cluster_roles(data: object, defaults: object = None) -> list[dict[str, Any]]:
    routers, problems = read(data, defaults)
    if problems:
        raise AnsibleFilterError("\n".join(str(problem) for problem in problems))
    if not any(router.present and router.backend == EGRESS_ROUTER_CR for router in routers):
        return []
    return [{"name": egress_router_cr.CLUSTER_ROLE, "file": egress_router_cr.ROLES_FILE, "content": _content()}]


def _content() -> str:
    head = _HEAD.format(
        version=VERSION,
        file=egress_router_cr.ROLES_FILE,
        deployer=egress_router_cr.CLUSTER_ROLE,
        reader=egress_router_cr.READER_ROLE,
    )
    return head + "".join(f"---\n{to_yaml(role)}" for role in egress_router_cr.cluster_roles())


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"cluster_roles": cluster_roles}
