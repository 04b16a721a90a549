# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Asks the serving pods of routers to hand over to their successors. They are asked in the Lease, and answer there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from .._common.concurrent import each, wait_until
from .._common.errors import Conflict, EgressError, InputError, NotFound, NotReady
from .._common.plan import Plan
from .._contract import names
from .._contract.status import Status
from .._router.backend import AGENT
from . import selection
from .cluster import Cluster
from .pods import going
from .router_info import Facts, read
from .selection import Key

SPEC: dict[str, Any] = {
    **selection.SPEC,
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 30},
}
# A pod that handed over a moment ago stands by again after a few beats and a write of the Lease.
SETTLE_SECONDS = 10.0
# The Lease is written every few seconds by its holder.
_ATTEMPTS = 10
_INTERVAL = 0.1


@dataclass(frozen=True)
class Server:
    """A pod that serves. `term`: how often the Lease had gone to another pod by then."""

    pod: str
    node: str
    term: int

    def __str__(self) -> str:
        return f"pod {self.pod} on node {self.node or '?'}"


class Refusal(NamedTuple):
    """Why a router cannot be handed over. `passes`: it may change by itself."""

    why: str
    passes: bool = False


@dataclass
class Outcome:
    """What was or would be done for a router. `seconds`: for how long nobody served, as the new pod says."""

    key: Key
    before: Server
    after: Server
    seconds: float | None = None
    cause: str = ""
    asked: bool = False
    error: str = ""

    @property
    def id(self) -> str:
        return "/".join(self.key)

    def plan(self) -> Plan:
        """Who serves before and after."""
        return Plan(f"router {self.id}", (f"serving: {self.before}",), (f"serving: {self.after}",))

    def as_dict(self) -> dict[str, Any]:
        """The module's result."""
        return {
            "name": self.key[1],
            "namespace": self.key[0],
            "changed": self.plan().changed,
            "before": asdict(self.before),
            "after": asdict(self.after),
            "seconds": self.seconds,
            "cause": self.cause,
            "summary": self.summary(),
        }

    def summary(self) -> str:
        """One sentence for people."""
        waited = f", nobody served for {self.seconds:.2f} s" if self.seconds is not None else ""
        return f"router {self.id}: from {self.before} to {self.after}{waited}"


def run(cluster: Cluster, params: Mapping[str, Any], with_diff: bool) -> tuple[dict[str, Any], str]:
    """The module's result, and why it failed, or nothing. Nothing is asked of any router before all of them can do it."""
    found = able(cluster, _wanted(params), selection.namespaces(dict(params)))
    seconds = float(params["wait_timeout"]) if params["wait"] and not cluster.dry_run else None
    outcomes = each(lambda facts: _hand_over(cluster, facts, seconds), found)
    done = [outcome for outcome in outcomes if outcome.asked]
    result: dict[str, Any] = {
        "changed": any(outcome.plan().changed for outcome in done),
        "routers": [outcome.as_dict() for outcome in done],
    }
    if with_diff:
        result["diff"] = [outcome.plan().diff() for outcome in done]
    return result, "\n".join(f"router {outcome.id}: {outcome.error}" for outcome in outcomes if outcome.error)


def refusal(facts: Facts) -> Refusal | None:
    """Why a router cannot be handed over; None if it can."""
    if facts.deployment is None:
        return Refusal(facts.problem())
    replicas = (facts.deployment.get("spec") or {}).get("replicas", 1)
    if replicas < 2:
        return Refusal(f"no pod stands by, because its replicas are {replicas}: set replicas to 2")
    if facts.on_hold:
        return Refusal(f"it is on hold and leaves its address to {facts.on_hold}")
    if not facts.serving or serving(facts.lease or {}) is None:
        return Refusal(f"it does not serve: {facts.reason() or 'another pod is taking over'}", passes=True)
    status = facts.status
    if not status.successor:
        found_none = f"pod {status.pod} has found no other pod of the router that answers it"
        why = facts.problem() or status.successor_error or found_none
        return Refusal(f"no pod stands by: {why}", passes=True)
    if pod_of(facts, status.successor) is None:
        return Refusal(f"pod {status.successor}, which stands by, is ending or gone", passes=True)
    if status.successor_error:
        node = node_of(facts, status.successor)
        return Refusal(
            f"pod {status.successor} on node {node}, which stands by, cannot serve: {status.successor_error}", True
        )
    return None


def able(
    cluster: Cluster,
    wanted: list[Key] | None,
    where: list[Any],
    why_not: Callable[[Facts], Refusal | None] = refusal,
) -> list[Facts]:
    """The facts of routers, if there is no reason against any of them. InputError with each reason that there is."""

    def settled() -> list[Facts] | None:
        found = read(cluster, wanted, where)
        reasons = [one for facts in found if (one := why_not(facts))]
        # One that stays is told at once.
        return None if reasons and all(one.passes for one in reasons) else found

    found = wait_until(settled, SETTLE_SECONDS, 0.2) or read(cluster, wanted, where)
    said = [(facts, why_not(facts)) for facts in found]
    problems = [f"router {facts.namespace}/{facts.name}: {one.why}" for facts, one in said if one]
    if problems:
        raise InputError("\n".join(problems))
    return found


def pod_of(facts: Facts, name: str) -> dict[str, Any] | None:
    """A pod of the router that is not ending."""
    return next((pod for pod in facts.pods if pod["metadata"]["name"] == name and not going(pod)), None)


def node_of(facts: Facts, name: str) -> str:
    """The node of such a pod; empty if it is not known."""
    return str(((pod_of(facts, name) or {}).get("spec") or {}).get("nodeName") or "")


def serving(lease: Mapping[str, Any]) -> Server | None:
    """Who serves, as the Lease tells."""
    status, holder = Status.from_lease(lease), (lease.get("spec") or {}).get("holderIdentity")
    return Server(status.pod, status.node, term(lease)) if holder and status.serving and status.pod == holder else None


def term(lease: Mapping[str, Any]) -> int:
    """How often the Lease went to another pod."""
    return int((lease.get("spec") or {}).get("leaseTransitions") or 0)


def seconds_of(status: Status) -> float | None:
    """For how long nobody served at the last take-over, as the pod that serves says; None if it does not."""
    with suppress(ValueError):
        return float(status.take_over_seconds)
    return None


def ask(cluster: Cluster, facts: Facts) -> None:
    """Asks the pod that serves, if it is still the one that was seen. Conflict if it is another one."""
    seen, value = facts.status.pod, cluster.request_value()
    for attempt in range(_ATTEMPTS):
        metadata = (facts.lease or {})["metadata"]
        # With the version: what was written in between may say that another pod serves.
        fields = {"name": facts.name, "resourceVersion": metadata["resourceVersion"]}
        try:
            body = {"metadata": {**fields, "annotations": {names.HAND_OVER: value}}}
            cluster.apply("Lease", facts.namespace, facts.name, body, names.FIELD_MANAGER_HAND_OVER, force=True)
            return
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
        (facts,) = read(cluster, [(facts.namespace, facts.name)], [facts.namespace])
        if _value(facts) == value:
            return  # The answer to the first request was lost.
        if facts.status.pod != seen:
            raise Conflict(f"it is not served by pod {seen} any more, but by pod {facts.status.pod or '?'}: look again")
        refused = refusal(facts)
        if refused:
            raise NotReady(refused.why)


def await_other(cluster: Cluster, key: Key, before: Server, seconds: float) -> dict[str, Any]:
    """The Lease once another pod serves; NotReady with what it says if none does."""
    lease: dict[str, Any] = {}

    def taken() -> dict[str, Any] | None:
        nonlocal lease
        try:
            lease = cluster.get("Lease", *key)
        except NotFound:
            lease = {}
        now = serving(lease)
        return lease if now is not None and now.pod != before.pod else None

    found = wait_until(taken, seconds, _INTERVAL, 0.5)
    if found is None:
        raise NotReady(f"no other pod serves after {seconds:g} s: {_says(lease, before)}")
    return found


def _says(lease: Mapping[str, Any], before: Server) -> str:
    status, holder = Status.from_lease(lease), (lease.get("spec") or {}).get("holderIdentity")
    if holder == before.pod and status.serving:
        return f"{before} is still serving. If its image is older than this collection, deploy the router again"
    error = f": {status.error}" if status.error else ""
    return f"pod {holder} is {status.state or 'starting'}{error}" if holder else "no pod holds the Lease"


def _value(facts: Facts) -> str:
    return str((((facts.lease or {}).get("metadata") or {}).get("annotations") or {}).get(names.HAND_OVER) or "")


def _wanted(params: Mapping[str, Any]) -> list[Key] | None:
    wanted = selection.wanted(dict(params))
    strange = [f"{space}/{name}" for backend, (space, name) in wanted or () if backend != AGENT]
    if strange:
        raise InputError(
            "\n".join(
                f"router {one}: no pod stands by, because its backend is egress_router_cr: leave it out"
                for one in strange
            )
        )
    return None if wanted is None else [key for _backend, key in wanted]


def _hand_over(cluster: Cluster, facts: Facts, seconds: float | None) -> Outcome:
    """`seconds`: how long to wait; None: not at all. An error is kept, because the other routers go on."""
    status, now = facts.status, term(facts.lease or {})
    before = Server(status.pod, node_of(facts, status.pod) or status.node, now)
    expected = Server(status.successor, node_of(facts, status.successor), now + 1)
    outcome = Outcome((facts.namespace, facts.name), before, expected)
    try:
        ask(cluster, facts)
        outcome.asked = True
        if seconds is not None:
            # Until it does, it is the same pod.
            outcome.after = before
            lease = await_other(cluster, outcome.key, before, seconds)
            outcome.after = serving(lease) or before
            outcome.seconds, outcome.cause = (
                seconds_of(Status.from_lease(lease)),
                Status.from_lease(lease).take_over_cause,
            )
    except EgressError as error:
        outcome.error = str(error)
    return outcome
