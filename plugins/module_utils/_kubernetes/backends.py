# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What makes the routers' pods: the one place where the routers of a list are given to their backends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

from .._common.errors import EgressError
from .._router.backend import AGENT, EGRESS_ROUTER_CR
from .._router.router import Router
from . import redirect_rules, redirect_rules_info, router_info, selection
from .change import Change, Options
from .cluster import Cluster
from .deploy import AgentRun
from .egress_router_cr import info as operated_info
from .egress_router_cr import rules as operated_rules
from .egress_router_cr.run import OperatorRun
from .redirect_rules import Outcome as RulesOutcome
from .redirect_rules import Request
from .router_info import State
from .selection import Key

Found = TypeVar("Found")
# Reads the routers that are named, or all that are somewhere.
Reader: TypeAlias = "Callable[[Cluster, list[Key] | None, list[Any]], list[Found]]"


class Run(Protocol):
    """One call of the module router, for the routers with one backend."""

    @property
    def changes(self) -> list[Change]:
        """What changes, in the order in which it is done."""

    @property
    def warnings(self) -> list[str]:
        """What the user should know although nothing failed."""

    def describe(self, router: Router) -> dict[str, Any]:
        """What the module router returns of one router."""

    def plan(self) -> None:
        """Finds out what is to be done. An error with all problems, if the API server would not do something."""

    def remove(self) -> None:
        """Removes what has to be gone before others come."""

    def apply(self) -> None:
        """Does the rest, and waits."""

    def stop(self) -> tuple[list[str], list[str]]:
        """After an error: what was done and what was not, which is no change."""


# In the order in which they work.
_RUNS: dict[str, Callable[[Cluster, list[Router], Options], Run]] = {AGENT: AgentRun, EGRESS_ROUTER_CR: OperatorRun}
_RULES: dict[str, Callable[[Cluster, list[Request], float | None], list[RulesOutcome]]] = {
    AGENT: redirect_rules.change,
    EGRESS_ROUTER_CR: operated_rules.change,
}
_STATES: dict[str, Callable[..., list[Any]]] = {
    AGENT: router_info.read,
    EGRESS_ROUTER_CR: operated_info.read,
}
_READ_RULES: dict[str, Callable[..., list[Any]]] = {
    AGENT: redirect_rules_info.read,
    EGRESS_ROUTER_CR: operated_info.read_rules,
}


@dataclass
class Outcome:
    """What was or would be done. `error`: why it ended early, and how far it came."""

    routers: list[Router]
    runs: dict[str, Run] = field(default_factory=dict)
    requests: int = 0
    error: str = ""

    @property
    def changes(self) -> list[Change]:
        """What changes, in order. Two backends may need the same new namespace."""
        return list({change.title: change for run in self.runs.values() for change in run.changes}.values())

    @property
    def warnings(self) -> list[str]:
        """What the user should know although nothing failed."""
        return [warning for run in self.runs.values() for warning in run.warnings]

    def as_dict(self, with_diff: bool) -> dict[str, Any]:
        """The result of the module router."""
        routers = [self.runs[router.backend].describe(router) for router in self.routers]
        return {
            "changed": bool(self.changes),
            **({"diff": [change.plan().diff() for change in self.changes]} if with_diff else {}),
            "routers": routers,
            "rules_live": all(one["rules_live"] for one in routers if one["state"] == "present"),
            "requests": self.requests,
        }


def deploy(cluster: Cluster, routers: list[Router], options: Options) -> Outcome:
    """Makes the routers what the list says. In a dry run of the cluster, says what that would change."""
    of_backend = {name: [router for router in routers if router.backend == name] for name in _RUNS}
    outcome = Outcome(routers, {name: _RUNS[name](cluster, some, options) for name, some in of_backend.items() if some})
    runs = outcome.runs.values()
    _plan(runs)
    if not cluster.dry_run:
        try:
            for run in runs:
                run.remove()
            for run in runs:
                run.apply()
        except EgressError as error:
            outcome.error = _stopped(runs, error)
    outcome.requests = cluster.requests
    return outcome


def change_rules(cluster: Cluster, requests: list[Request], wait_seconds: float | None) -> list[RulesOutcome]:
    """Changes the rules of routers that are there. The outcomes are in the order of the requests."""
    outcomes = {
        outcome.request.key: outcome
        for name, change in _RULES.items()
        if (some := [request for request in requests if request.backend == name])
        for outcome in change(cluster, some, wait_seconds)
    }
    return [outcomes[request.key] for request in requests]


def read_states(cluster: Cluster, params: dict[str, Any]) -> list[State]:
    """The states of the routers that a module's options select, see selection.SPEC."""
    return _read(cluster, params, _STATES, lambda found: (found.namespace, found.name))


def wait_for_states(cluster: Cluster, params: dict[str, Any], seconds: float) -> list[State]:
    """The same once all of them serve. NotReady, with the reason for each that does not."""
    readers: dict[str, Callable[..., list[Any]]] = {**_STATES, AGENT: router_info.read_with_events}

    def look() -> list[State]:
        return _read(cluster, params, readers, lambda found: (found.namespace, found.name))

    return router_info.wait_for_all(look, seconds, standbys=True)


def read_rules(cluster: Cluster, params: dict[str, Any]) -> list[dict[str, Any]]:
    """The rules of the same routers, desired and live."""
    return _read(cluster, params, _READ_RULES, lambda found: (found["namespace"], found["name"]))


def _read(
    cluster: Cluster, params: dict[str, Any], readers: Mapping[str, Reader[Found]], key_of: Callable[[Found], Key]
) -> list[Found]:
    """In the order in which they are named, or by namespace and name."""
    named, where = selection.wanted(params), selection.namespaces(params)
    found: dict[tuple[str, Key], Found] = {}
    for name, read in readers.items():
        wanted = None if named is None else [key for backend, key in named if backend == name]
        if wanted != []:
            found.update({(name, key_of(item)): item for item in read(cluster, wanted, where)})
    order = sorted(found, key=lambda one: one[1]) if named is None else named
    return [found[one] for one in order]


def _plan(runs: Any) -> None:
    errors: list[EgressError] = []
    for run in runs:
        try:
            run.plan()
        except EgressError as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else EgressError("\n".join(dict.fromkeys(str(error) for error in errors)))


def _stopped(runs: Any, error: EgressError) -> str:
    stopped = [run.stop() for run in runs]
    done = [title for some, _open in stopped for title in some]
    open_ = [title for _done, some in stopped for title in some]
    lines = [str(error)]
    if open_:
        lines.append(f"done before that: {', '.join(dict.fromkeys(done)) or 'nothing'}")
        lines.append(f"not done: {', '.join(open_)}")
    return "\n".join(lines)
