# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""On which nodes of the cluster a router may run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .router import Router

# Taints of this prefix come and go with a node's state, a router may run there before and after.
_STATE_TAINTS = "node.kubernetes.io/"


def may_run_on(router: Router, node: Mapping[str, Any]) -> bool:
    """Whether the scheduler may place the router's pod on a node: its labels match, and its taints are tolerated."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in router.node_labels.items()):
        return False
    return all(_tolerated(taint, router.tolerations) for taint in node["spec"].get("taints") or ())


def _tolerated(taint: Mapping[str, Any], tolerations: list[dict[str, Any]]) -> bool:
    if taint["effect"] == "PreferNoSchedule" or taint["key"].startswith(_STATE_TAINTS):
        return True
    return any(
        # Kubernetes: no key with Exists is every key, no effect is every effect.
        toleration.get("key", taint["key"] if toleration.get("operator") == "Exists" else None) == taint["key"]
        and toleration.get("effect", taint["effect"]) in (taint["effect"], "", None)
        and (toleration.get("operator") == "Exists" or (toleration.get("value") or "") == (taint.get("value") or ""))
        for toleration in tolerations
    )
