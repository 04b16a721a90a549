# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What the Cluster Network Operator makes of an EgressRouter resource, as it names it. Its names are the same in every namespace."""

from __future__ import annotations

from .._contract import names
from .._router.backend import OPERATORS_LABEL
from .._router.manifests import Kind

RESOURCE = Kind("EgressRouter", "network.operator.openshift.io", "v1", "egressrouters")
NETWORK = "egress-router-cni-nad"
DEPLOYMENT = "egress-router-cni-deployment"
CONTAINER = "egress-router-cni-pod"
POD_LABELS = dict([OPERATORS_LABEL])
POD_SELECTOR = "=".join(OPERATORS_LABEL)
# The type of the CNI configuration, and the name of the plugin on the nodes.
PLUGIN = "egress-router"
# Where the plugin writes on the node what it does and why it fails.
LOG = "/tmp/egress-router-log"

# The labels of what the collection makes for such a router. Not those of the agent's routers, whose objects are found by them.
APP_NAME = "egress-router-cr"
SELECTOR = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY},{names.LABEL_NAME}={APP_NAME}"

# Annotations of the pod template: what the pod was started with, and when that was changed.
HASH = f"{names.ANNOTATION_PREFIX}network-config-hash"
CHANGED_AT = f"{names.ANNOTATION_PREFIX}network-config-changed-at"
# Annotation of the resource by which the operator looks at it again.
WAKE_UP = f"{names.ANNOTATION_PREFIX}reconcile-requested-at"
