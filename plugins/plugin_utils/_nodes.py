# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The nodes of the cluster, as a task of kubernetes.core.k8s_info registered them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Nodes = list[Mapping[str, Any]]


def listed(found: Mapping[str, Any], detect: bool, matches: Callable[[Nodes], bool], kind: str) -> tuple[Nodes, str]:
    """The nodes; and with `detect` why a role does nothing: none of them `matches`, or they could not be listed."""
    if detect and "resources" not in found:
        return (
            [],
            f"Nothing is changed, because the nodes of the cluster cannot be listed: {found.get('msg') or 'no answer'}",
        )
    nodes = list(found.get("resources") or ())
    if detect and not matches(nodes):
        return [], f"Nothing to do, because no node of the cluster is {kind}."
    return nodes, ""
