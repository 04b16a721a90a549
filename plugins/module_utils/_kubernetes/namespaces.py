# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The namespaces of routers, which are created if that is wanted, and never removed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from .._common.concurrent import each
from .._common.errors import Conflict, Forbidden, InputError, NotFound
from .change import Options
from .cluster import Cluster


def missing(cluster: Cluster, wanted: Iterable[str]) -> list[str]:
    """Those that do not exist."""
    asked = list(dict.fromkeys(wanted))

    def exists(name: str) -> bool:
        try:
            cluster.get("Namespace", "", name)
        except NotFound:
            return False
        except Forbidden:
            pass  # Whoever may not look gets the answer from the requests in it.
        return True

    return [name for name, there in zip(asked, each(exists, asked), strict=True) if not there]


def predict(cluster: Cluster, name: str, options: Options) -> None:
    """An error if it cannot or shall not be created."""
    if not options.create_namespaces:
        raise InputError(
            f"namespace {name} does not exist: create it, or set create_namespaces (of the role: deploy_create_namespaces) to true"
        )
    cluster.create("Namespace", None, {"metadata": {"name": name}}, dry_run=True)


def create(cluster: Cluster, name: str) -> None:
    """A conflict is none: somebody else has created it meanwhile."""
    with suppress(Conflict):
        cluster.create("Namespace", None, {"metadata": {"name": name}})
