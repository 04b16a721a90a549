# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.egress.router.plugins.module_utils._common.yaml_text import to_yaml
from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.version import VERSION
from ansible_collections.egress.router.plugins.module_utils._egress_router_cr import manifests as egress_router_cr
from ansible_collections.egress.router.plugins.module_utils._router.backend import AGENT, EGRESS_ROUTER_CR
from ansible_collections.egress.router.plugins.module_utils._router.manifests import Manifest, whole_manifests
from ansible_collections.egress.router.plugins.module_utils._router.router import Router
from ansible_collections.egress.router.plugins.plugin_utils._routers import read

_HEAD = """\
# Egress router {id}, rendered by egress.router {version}. Apply it with
#   kubectl apply --server-side --filename={file}
# Not in here, because only the cluster knows it: the uid of the Service, by which it owns its EndpointSlices.
"""
# Nor has the file a secret in it.
_HEAD_PEERS = """\
# Nor is the Secret {secret}, with the key of the messages between its pods. Without it a take-over takes as long as the Lease lasts.
# The module egress.router.router creates it. Without the module, create it once:
#   head --bytes=32 /dev/urandom > key
#   kubectl create secret generic {secret} --namespace={namespace} --from-file=key
#   rm key
"""
_HEAD_EGRESS_ROUTER_CR = """\
# Egress router {id}, rendered by egress.router {version}. OpenShift's Cluster Network Operator makes its pod. Apply it with
#   kubectl apply --server-side --filename={file}
# Not in here is what the module egress.router.router does to the Deployment that the operator makes of it: strategy Recreate and
# one second to end, so that the pods before and after a change never have the address together; node selector, tolerations,
# resources and other keys of the pod; and the restart after a change. Without it, changed rules and addresses are not live
# until somebody restarts the pod.
"""
# For each backend: what is said, and the objects.
_FORMS: dict[str, tuple[str, Callable[[Router], list[Manifest]]]] = {
    AGENT: (_HEAD, whole_manifests),
    EGRESS_ROUTER_CR: (_HEAD_EGRESS_ROUTER_CR, egress_router_cr.applied),
}


def manifests(data: object, defaults: object = None) -> list[dict[str, Any]]:
    routers, problems = read(data, defaults)
    if problems:
        raise AnsibleFilterError("\n".join(str(problem) for problem in problems))
    return [
        {
            "name": router.name,
            "namespace": router.namespace,
            "state": router.state,
            "file": _file(router),
            "content": _content(router) if router.present else "",
        }
        for router in routers
    ]


def _file(router: Router) -> str:
    # Neither name has an underscore in it.
    return f"{router.namespace}_{router.name}.yaml"


def _content(router: Router) -> str:
    head, objects = _FORMS[router.backend]
    text = head.format(id=router.id, version=VERSION, file=_file(router))
    if router.has_standbys:
        text += _HEAD_PEERS.format(secret=names.peers_secret(router.name), namespace=router.namespace)
    return text + "".join(f"---\n{to_yaml(manifest)}" for manifest in objects(router))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"manifests": manifests}
