# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Which nodes are not ready."""

from __future__ import annotations

from .cluster import Cluster


def not_ready(cluster: Cluster) -> set[str]:
    """The names of nodes whose kubelet reports that they are not ready, or reports nothing any more.

    A table, because the objects have kilobytes each. A node of which nothing is known yet, `Unknown`, is not among them.
    """
    rows = cluster.table("Node")
    return {row["metadata"]["name"] for row in rows if "NotReady" in row["cells"]["Status"].split(",")}
