# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The pod of a client: a command of the router's image that connects to targets as an application does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._common.errors import Forbidden
from .._contract import names
from .._kubernetes.cluster import Cluster
from .._kubernetes.pods import waits_for_sandbox

_USER = 65532


def manifest(
    command: str, params: Mapping[str, Any], arguments: list[str], seconds: int, openshift: bool, cpu: str = "10m"
) -> dict[str, Any]:
    """The pod: no capabilities, no token, no writable file system, and a deadline if nobody deletes it.

    `params`: what a module's options say of its image and place. On OpenShift the user is one of the namespace's own range, which
    the constraints for everybody set, and refuse any other.
    """
    user = {} if openshift else {"runAsUser": _USER}
    container = {
        "name": command,
        "image": params["image"],
        "command": ["egress-router", command],
        "args": arguments,
        "resources": {"requests": {"cpu": cpu, "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            **user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    spec = {
        "activeDeadlineSeconds": seconds,
        "automountServiceAccountToken": False,
        "containers": [container],
        "enableServiceLinks": False,
        "imagePullSecrets": [{"name": name} for name in params["image_pull_secrets"] or ()],
        "nodeSelector": params["node_selector"] or {},
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "tolerations": params.get("tolerations") or [],
    }
    own = {names.LABEL_NAME: f"egress-router-{command}", names.LABEL_MANAGED_BY: names.MANAGED_BY}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": f"egress-{command}-", "labels": {**(params.get("labels") or {}), **own}},
        "spec": spec,
    }


def events(cluster: Cluster, namespace: str, pod: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a pod that only they explain; none if the identity may not read them."""
    if not waits_for_sandbox(pod):
        return []
    try:
        return cluster.find("Event", namespace, fields=f"involvedObject.name={pod['metadata']['name']},type=Warning")
    except Forbidden:
        return []
