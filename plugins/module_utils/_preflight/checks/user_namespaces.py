# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether routers with `host_users: false` get a user namespace of their own."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import NODES, TRIALS, Facts, Refusal, name_of
from ..finding import ERROR, Check, Finding, Part

_EXPECTED = "a user namespace for the router's pod, because of host_users: false"


def _ignored(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        refusal = facts.refusal(router)
        if refusal and refusal.by == Refusal.NO_USER_NAMESPACES:
            yield Finding(
                "user_namespaces", ERROR, "the API server leaves out hostUsers, so the pod would run without one", _EXPECTED,
                "Turn on the cluster's feature gate UserNamespacesSupport (on by default since Kubernetes 1.33), or remove "
                "host_users", (router.id,),
            )  # fmt: skip


def _runtime(facts: Facts) -> Iterator[Finding]:
    """Kubelets tell it for each handler. That of a runtime class is known to the cluster alone."""
    for router in facts.routers:
        if router.host_users is not False or router.runtime_class_name:
            continue
        for node in facts.eligible(router):
            handlers = (node.get("status") or {}).get("runtimeHandlers") or ()
            default = [handler for handler in handlers if not handler.get("name")]
            if default and not (default[0].get("features") or {}).get("userNamespaces"):
                yield Finding(
                    "user_namespaces", ERROR, "the node's container runtime has no user namespaces", _EXPECTED,
                    "Update the runtime (containerd 2.0, CRI-O 1.25 or newer, with runc 1.2 or crun 1.9), exclude the node with "
                    "node_selector, or remove host_users", (router.id,), (name_of(node),),
                )  # fmt: skip


CHECK = Check(
    "user_namespaces",
    "routers with host_users: false get a user namespace",
    (Part((TRIALS,), _ignored), Part((NODES,), _runtime)),
)
