# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What only OpenShift has: the SecurityContextConstraints by which it admits a router's pods."""

from __future__ import annotations

from dataclasses import replace

from .._contract import names
from .manifests import Kind, Manifest
from .router import Router

DEFAULT_NAME = "egress-router"
CONSTRAINTS = Kind("SecurityContextConstraints", "security.openshift.io", "v1", "securitycontextconstraints")
# Those that OpenShift brings. A router may use one of them, but nobody may write them anew.
STOCK = frozenset(
    (
        "anyuid",
        "hostaccess",
        "hostmount-anyuid",
        "hostmount-anyuid-v2",
        "hostnetwork",
        "hostnetwork-v2",
        "nested-container",
        "nonroot",
        "nonroot-v2",
        "privileged",
        "restricted",
        "restricted-v2",
        "restricted-v3",
    )
)
# Where the role render writes those that a cluster-admin has to apply, below render_path.
FOLDER = "cluster-admin"


def on_cluster(router: Router, openshift: bool) -> Router:
    """The router as a cluster takes it: constraints have a name on OpenShift, and are unknown elsewhere."""
    name = (router.security_context_constraints or DEFAULT_NAME) if openshift else ""
    return router if name == router.security_context_constraints else replace(router, security_context_constraints=name)


def file_name(name: str) -> str:
    """The file that the role render writes, below render_path."""
    return f"{FOLDER}/{name}.yaml"


def what_to_run(name: str) -> str:
    """What a cluster-admin has to do, for messages."""
    if name in STOCK:
        return f"have a cluster-admin restore {name}, which comes with OpenShift"
    return (
        f"have a cluster-admin run kubectl apply --server-side --filename={file_name(name)}, with the file that the playbook "
        f"egress.router.render writes if security_context_constraints is {name}"
    )


def security_context_constraints(name: str) -> Manifest:
    """The least that admits a router's pod as it is.

    OpenShift tries those that somebody may use by priority, then from the strictest to the least strict, then by name. The
    first that a pod can be made to fit wins, even if it has to change the pod. A cluster-admin may use all of them, so these
    must come after those for everybody (restricted-v2), else pods that have nothing to do with routers would run as root with
    a read-only root file system. Hence no priority, a range of one user instead of a fixed one, and a type of volumes that
    the router does not use: each makes them less strict in that order, and none gives the router's pod anything.
    """
    metadata = {
        "name": name,
        "labels": {names.LABEL_NAME: names.APP_NAME, names.LABEL_MANAGED_BY: names.MANAGED_BY},
        "annotations": {
            "kubernetes.io/description": "For the pods of egress routers: root with NET_ADMIN and NET_RAW in the pod's own "
            "network namespace, nothing of the host, and a read-only root file system."
        },
    }
    return {
        "apiVersion": CONSTRAINTS.api_version,
        "kind": CONSTRAINTS.name,
        "metadata": metadata,
        "allowHostDirVolumePlugin": False,
        "allowHostIPC": False,
        "allowHostNetwork": False,
        "allowHostPID": False,
        "allowHostPorts": False,
        "allowPrivilegedContainer": False,
        # True if it is left out.
        "allowPrivilegeEscalation": False,
        "defaultAllowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "allowedCapabilities": ["NET_ADMIN", "NET_RAW"],
        "requiredDropCapabilities": ["ALL"],
        "defaultAddCapabilities": [],
        "runAsUser": {"type": "MustRunAsRange", "uidRangeMin": 0, "uidRangeMax": 0},
        "seLinuxContext": {"type": "MustRunAs"},
        "fsGroup": {"type": "MustRunAs"},
        "supplementalGroups": {"type": "MustRunAs"},
        "seccompProfiles": ["runtime/default"],
        # `projected` has the ServiceAccount's token.
        "volumes": ["persistentVolumeClaim", "projected"],
        # OpenShift wants these keys even if they are empty.
        "priority": None,
        "users": [],
        "groups": [],
    }
