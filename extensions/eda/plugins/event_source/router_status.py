# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Source of events for ansible-rulebook: what goes wrong with egress routers, and lasts."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

# ansible-rulebook runs this file by its path, without Ansible's import of collections. The rest of the collection is where this is
# (not resolved: a checkout is a link), and kubernetes.core beside it or where Ansible looks.
_PATHS = os.environ.get("ANSIBLE_COLLECTIONS_PATH") or "~/.ansible/collections:/usr/share/ansible/collections"
sys.path.insert(0, str(Path(__file__).absolute().parents[7]))
sys.path.extend(str(Path(path).expanduser()) for path in _PATHS.split(":") if path)

from ansible_collections.egress.router.plugins.module_utils._common.errors import EgressError, Forbidden
from ansible_collections.egress.router.plugins.module_utils._events.tracker import Event, Tracker
from ansible_collections.egress.router.plugins.module_utils._kubernetes.backends import read_states
from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import connect
from ansible_collections.egress.router.plugins.module_utils._kubernetes.node_readiness import not_ready
from ansible_collections.egress.router.plugins.module_utils._kubernetes.rules_author import changed_by_others
from ansible_collections.egress.router.plugins.module_utils._kubernetes.selection import (
    namespaces as selected_namespaces,
)

DOCUMENTATION = r"""
name: router_status
short_description: Report egress routers that do not serve or soon may not, and rules that are refused or were edited
description:
  - Looks at all routers again and again, as M(egress.router.router_info) does, and reports a problem once when it has lasted for
    O(patience), and its end when it has been away for as long. A router that mends itself sooner is no event.
  - RV(kind) is V(not_serving), V(silent), V(node_not_ready), V(rules_refused), V(rules_changed), V(no_successor) or V(recovered),
    which has the event that has ended in RV(problem). V(unreachable) is about the API server, not about a router.
  - V(node_not_ready) needs permission to list nodes, V(rules_changed) to list ConfigMaps. Without that there are no such events, which
    is logged once.
  - While the API server is away or refuses the credentials, it tries again and reads them anew.
  - After a restart of the rulebook, problems that are still there are reported once more.
options:
  namespaces:
    description: Namespaces of the routers. If left out, all, which needs permission to list across the cluster.
    type: list
    elements: str
  patience:
    description: For how many seconds a problem has to last.
    type: float
    default: 30
  interval:
    description: How many seconds to wait before the routers are looked at again.
    type: float
    default: 5
  host:
    description:
      - The connection to the cluster. This option and all others of the connection are those of M(egress.router.router_info), with the
        same environment variables.
    type: str
"""

EXAMPLES = r"""
- egress.router.router_status:
    namespaces: [payments]
    patience: 60
"""

_LOG = logging.getLogger(__name__)
Found = TypeVar("Found")


class Source:
    """Looks at the routers. `clock`: in seconds, only goes on."""

    def __init__(self, args: dict[str, Any], clock: Any = time.monotonic) -> None:
        self.interval = _seconds(args, "interval", 5, 0.1)
        namespaces = args.get("namespaces")
        if namespaces is not None and not (
            isinstance(namespaces, list) and all(isinstance(n, str) for n in namespaces)
        ):
            raise ValueError(f"router_status: namespaces: expected a list of namespaces, got {namespaces!r}")
        self._selection = {"routers": None, "namespaces": namespaces}
        self._args = args
        self._clock = clock
        self._tracker = Tracker(_seconds(args, "patience", 30, 0))
        self._cluster: Cluster | None = None
        # Events of which it is known that what they are about may not be read.
        self._forbidden: set[str] = set()

    def look(self) -> list[Event]:
        """The events since the last time."""
        try:
            if self._cluster is None:
                self._cluster = connect(self._args)
            cluster = self._cluster
            found = [
                {**router.as_dict(), "silent": router.silent()} for router in read_states(cluster, self._selection)
            ]
            nodes: set[str] = self._if_permitted("node_not_ready", lambda: not_ready(cluster)) or set()
            where = selected_namespaces(self._selection)
            changed = self._if_permitted("rules_changed", lambda: changed_by_others(cluster, where)) or {}
        except EgressError as error:
            # Credentials may have been renewed.
            self._cluster = None
            return self._tracker.not_seen(self._clock(), str(error))
        return self._tracker.seen(self._clock(), found, nodes, changed)

    def _if_permitted(self, event: str, read: Callable[[], Found]) -> Found | None:
        """What is read for an event; None if that is not permitted."""
        try:
            return read()
        except Forbidden as error:
            if event not in self._forbidden:
                self._forbidden.add(event)
                _LOG.warning("router_status: there are no events %s: %s", event, error)
            return None


async def main(queue: Any, args: dict[str, Any]) -> None:
    """Called by ansible-rulebook."""
    source = Source(args)
    while True:
        for event in await asyncio.to_thread(source.look):
            await queue.put(event)
        await asyncio.sleep(source.interval)


def _seconds(args: dict[str, Any], name: str, default: float, least: float) -> float:
    value = args.get(name, default)
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = -1
    if isinstance(value, bool) or not least <= found < float("inf"):
        raise ValueError(f"router_status: {name}: expected a number of seconds from {least:g}, got {value!r}")
    return found
