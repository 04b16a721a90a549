# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What is an event of a router: a problem that lasts, once, and its end. Pure.

Routers come as router_info returns them, and with `silent`. A problem that ends within the patience is no event, and neither is its end. One that
was told ends when it has been away for as long; until then it is the same problem, however often it comes back.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from .._contract.status import ON_HOLD
from .plain_text import plain

# A pod says that it cannot serve, or there is none.
NOT_SERVING = "not_serving"
# A pod said that it serves, and says nothing any more; nobody knows why.
SILENT = "silent"
# The node of the pod that serves, or served last, is not ready.
NODE_NOT_READY = "node_not_ready"
RULES_REFUSED = "rules_refused"
# Somebody else than the collection wrote the rules.
RULES_CHANGED = "rules_changed"
# It serves, with fewer pods that stand by than it asks for.
NO_SUCCESSOR = "no_successor"
# The API server does not answer, so nothing is known of any router.
UNREACHABLE = "unreachable"
RECOVERED = "recovered"

Event: TypeAlias = "dict[str, Any]"
# Namespace and name of a router, and what of it the problem is about.
_Key: TypeAlias = "tuple[str, str, str]"
_CLUSTER: _Key = ("", "", "cluster")


@dataclass
class _Problem:
    """`told`: the event that was told of it; empty if none was. `good_since`: when it was away first; None while it is there."""

    event: str
    reason: str
    router: Mapping[str, Any]
    since: float
    told: str = ""
    good_since: float | None = None


class Tracker:
    """Makes events of what is seen, time after time. `patience`: in seconds."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._open: dict[_Key, _Problem] = {}

    def seen(
        self,
        now: float,
        routers: Iterable[Mapping[str, Any]],
        not_ready: Container[str] = (),
        changed: Mapping[tuple[str, str], str] = MappingProxyType({}),
    ) -> list[Event]:
        """All routers as they are. `now`: in seconds of any clock that goes on.

        `not_ready`: names of nodes. `changed`: namespace and name of the routers whose rules somebody else wrote, with a sentence.
        """
        found: dict[_Key, tuple[str, str]] = {}
        by_key = {(router["namespace"], router["name"]): router for router in routers}
        for key, router in by_key.items():
            for subject, problem in _problems(router, not_ready, changed.get(key, "")).items():
                found[(*key, subject)] = problem
        events = []
        for one, (event, reason) in found.items():
            events += self._there(one, _Problem(event, reason, by_key[one[:2]], now), now)
        for one in [key for key in self._open if key not in found]:
            if one != _CLUSTER and one[:2] not in by_key:
                del self._open[one]  # Somebody removed the router.
            else:
                events += self._away(one, by_key.get(one[:2], {}), now)
        return events

    def not_seen(self, now: float, error: str) -> list[Event]:
        """Nothing could be read. What is known of the routers stays as it is."""
        return self._there(_CLUSTER, _Problem(UNREACHABLE, error, {}, now), now)

    def _there(self, key: _Key, seen: _Problem, now: float) -> list[Event]:
        problem = self._open.setdefault(key, seen)
        problem.event, problem.reason, problem.router, problem.good_since = seen.event, seen.reason, seen.router, None
        if problem.told or now - problem.since < self._patience:
            return []
        problem.told = problem.event
        return [_event(problem.event, problem, problem.router, now)]

    def _away(self, key: _Key, router: Mapping[str, Any], now: float) -> list[Event]:
        problem = self._open[key]
        if not problem.told:
            del self._open[key]
            return []
        if problem.good_since is None:
            problem.good_since = now
        if now - problem.good_since < self._patience:
            return []
        del self._open[key]
        return [{**_event(RECOVERED, problem, router, now), "problem": problem.told, "reason": ""}]


def _problems(router: Mapping[str, Any], not_ready: Container[str], changed: str) -> dict[str, tuple[str, str]]:
    """Event and reason of what is wrong, by what it is about.

    What has one cause is one problem: a pod whose node is lost is silent soon, and rules that were edited may be refused.
    """
    found = {}
    on_hold = router["state"] == ON_HOLD
    if router["node"] in not_ready and not on_hold:
        found["service"] = (NODE_NOT_READY, f"node {router['node']} of pod {router['pod']} is not ready")
    elif not router["serving"] and not on_hold:
        found["service"] = (SILENT if router["silent"] else NOT_SERVING, router["reason"])
    if router["rules_error"]:
        found["rules"] = (RULES_REFUSED, router["rules_error"])
    elif changed:
        found["rules"] = (RULES_CHANGED, changed)
    lacking = (router["failover"] or {}).get("reason")
    if lacking:
        found["successor"] = (NO_SUCCESSOR, lacking)
    return found


def _event(event: str, problem: _Problem, router: Mapping[str, Any], now: float) -> Event:
    namespace, name = router.get("namespace", ""), router.get("name", "")
    found: Event = plain(
        {
            "kind": event,
            "router": f"{namespace}/{name}" if name else "",
            "namespace": namespace,
            "name": name,
            "reason": problem.reason,
            "state": router.get("state", ""),
            "node": router.get("node", ""),
            "pod": router.get("pod", ""),
            "seconds": round(now - problem.since),
        }
    )
    return found
