# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Names that the collection and the router's agent must agree on.

Both sides import this file, so an object, label or annotation is spelled in one place.
"""

from __future__ import annotations

# The agent's HTTP port on the pod's cluster address. Never redirected; a rule must not use it for TCP.
AGENT_PORT = 29797
AGENT_PORT_NAME = "metrics"

# Recommended labels, https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
APP_NAME = "egress-router"
MANAGED_BY = "egress.router"
LABEL_NAME = "app.kubernetes.io/name"
LABEL_INSTANCE = "app.kubernetes.io/instance"
LABEL_COMPONENT = "app.kubernetes.io/component"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"

# Selects everything of every router; add instance=<router> for one.
SELECTOR = f"{LABEL_MANAGED_BY}={MANAGED_BY},{LABEL_NAME}={APP_NAME}"

# The agent's status, as annotations of the router's Lease.
ANNOTATION_PREFIX = "egress.router/"

# On the Lease: the router's pod loads its rules and leaves the address to others. A cut-over sets and lifts it.
HOLD = ANNOTATION_PREFIX + "hold"

# On the Lease: whoever wants another pod to serve writes something new here.
HAND_OVER = ANNOTATION_PREFIX + "hand-over"

# Who owns which field under server-side apply.
FIELD_MANAGER_DEPLOY = "egress.router.deploy"
FIELD_MANAGER_RULES = "egress.router.redirect-rules"
FIELD_MANAGER_CUTOVER = "egress.router.cutover"
FIELD_MANAGER_HAND_OVER = "egress.router.hand-over"
FIELD_MANAGER_AGENT = "egress.router.agent"

# Key of the rules text in the rules ConfigMap.
RULES_KEY = "rules"

# Interfaces of the router's pod.
CLUSTER_INTERFACE = "eth0"
EGRESS_INTERFACE = "net1"

FAMILIES = (4, 6)


def rules_config_map(router: str) -> str:
    """The ConfigMap that holds the redirect rules of `router`."""
    return f"{router}-rules"


def peers_secret(router: str) -> str:
    """The Secret with the key that proves the messages between the pods of `router`."""
    return f"{router}-peers"


def endpoint_slice(router: str, family: int) -> str:
    """The EndpointSlice through which the serving pod publishes its address of one family (4 or 6)."""
    return f"{router}-ipv{family}"


def port_name(protocol: str, port: int) -> str:
    """Name of a Service and EndpointSlice port, equal on both or kube-proxy does not join them: `tcp-5432`."""
    return f"{protocol.lower()}-{port}"
