# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Labels and annotations that the collection sets or asks for itself, so that users' own must leave them alone."""

from __future__ import annotations

from .._contract import names

LABEL_VERSION = "app.kubernetes.io/version"
# By it kube-proxy and the cluster's DNS join a Service and its EndpointSlices.
LABEL_SERVICE_NAME = "kubernetes.io/service-name"
# Where meta-plugins read a pod's networks, and where they write what became of them.
NETWORKS = "k8s.v1.cni.cncf.io/networks"
NETWORK_STATUS = "k8s.v1.cni.cncf.io/network-status"
# With which SecurityContextConstraints, and no others, OpenShift is to admit a pod.
REQUIRED_CONSTRAINTS = "openshift.io/required-scc"
# A mesh's proxy would take over the pod's traffic, and needs capabilities that the pod does not give.
NO_MESH_LABELS = {"sidecar.istio.io/inject": "false"}
NO_MESH_ANNOTATIONS = {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"}

# Of every node that can run a router, because its image is for Linux. Every kubelet sets it.
NODE_LABELS = {"kubernetes.io/os": "linux"}

# In which zone a node is, on clusters that have any.
ZONE = "topology.kubernetes.io/zone"

# What users cannot set on any object, and on pods. The last one is the Deployment's.
OBJECT_LABELS = (
    names.LABEL_NAME,
    names.LABEL_INSTANCE,
    names.LABEL_COMPONENT,
    names.LABEL_MANAGED_BY,
    LABEL_VERSION,
)
POD_LABELS = (*OBJECT_LABELS, *NO_MESH_LABELS, "pod-template-hash")
POD_ANNOTATIONS = (NETWORKS, NETWORK_STATUS, REQUIRED_CONSTRAINTS, *NO_MESH_ANNOTATIONS)
