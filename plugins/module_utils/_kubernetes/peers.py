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

from .._common.concurrent import wait_until
from .._common.errors import Conflict
from .._contract.failover import KEY_BYTES
from .._router.manifests import SECRET, with_key
from .cluster import Cluster

# How long Kubernetes usually takes at most to remove what belonged to an object that is gone.
GARBAGE_SECONDS = 5.0


def is_missing(cluster: Cluster, secret: dict[str, Any]) -> bool:
    """Whether the API server would create it."""
    try:
        _create(cluster, secret, dry_run=True)
    except Conflict:
        return False
    return True


def create(cluster: Cluster, secret: dict[str, Any], seconds: float = 0) -> bool:
    """Whether it was created. If not, there is one: somebody else has created it meanwhile, and the pods have that key.

    `seconds`: for how long to try again, where the one that is there may be about to be removed with its former owner.
    """

    def try_it() -> bool | None:
        with suppress(Conflict):
            _create(cluster, secret)
            return True
        return None

    return wait_until(try_it, seconds) is not None


def _create(cluster: Cluster, secret: dict[str, Any], dry_run: bool = False) -> None:
    # The answer has the key in it.
    key = secrets.token_bytes(KEY_BYTES)
    cluster.create(SECRET.name, secret["metadata"]["namespace"], with_key(secret, key), dry_run)
