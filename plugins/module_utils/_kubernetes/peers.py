# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The Secret with the key of the messages between a router's pods: created once, never read, changed or shown.

Whether it is there cannot be asked without the permission to read it, and a mark on another object would say nothing of a Secret
that was deleted since. So each run tries to create it, in a dry run, which takes one request for each router with several pods.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import Any

from .._common.errors import Conflict
from .._contract.failover import KEY_BYTES
from .._router.manifests import SECRET, with_key
from .cluster import Cluster


def is_missing(cluster: Cluster, secret: dict[str, Any]) -> bool:
    """Whether the API server would create it."""
    try:
        _create(cluster, secret, dry_run=True)
    except Conflict:
        return False
    return True


def create(cluster: Cluster, secret: dict[str, Any]) -> None:
    """A conflict is none: somebody else has created it meanwhile, and the pods have that key."""
    with suppress(Conflict):
        _create(cluster, secret)


def _create(cluster: Cluster, secret: dict[str, Any], dry_run: bool = False) -> None:
    # The answer has the key in it.
    key = secrets.token_bytes(KEY_BYTES)
    cluster.create(SECRET.name, secret["metadata"]["namespace"], with_key(secret, key), dry_run)
