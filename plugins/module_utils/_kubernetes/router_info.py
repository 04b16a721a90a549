# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The state of routers: from their Lease, in which the agent reports, their Deployment and pods."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol, TypeVar

from .._common.concurrent import wait_until
from .._common.errors import EgressError, Forbidden, NotReady
from .._contract.identity import VARIABLE, Identity, IdentityError
from .._contract.names import HOLD
from .._contract.status import CONFLICT, FAILED, ON_HOLD, Status
from .cluster import Cluster
from .constraints import advice
from .pods import GRACE_SECONDS, going, pod_problem, waits_for_sandbox
from .selection import Key, find_all, router_of
from .standby import Lacking, described, lacking

# A lease counts as expired only this long after its end: the clocks of node and API server may differ.
CLOCK_SLACK_SECONDS = 60.0


class State(Protocol):
    """What is known of one router, with whatever backend."""

    namespace: str
    name: str

    def problem(self) -> str:
        """What keeps it from serving and does not pass by itself; empty if nothing is known."""

    def reason(self) -> str:
        """Why it does not serve; empty if it does."""

    def lacking(self) -> Lacking:
        """What it lacks of pods that stand by, although it serves."""

    def warning(self) -> str:
        """What is not as it should be of a router that serves; empty if nothing."""

    def silent(self) -> bool:
        """Whether a pod that serves as far as it has said says nothing any more, and nobody knows why."""

    def as_dict(self) -> dict[str, Any]:
        """The result of router_info."""


AnyState = TypeVar("AnyState", bound=State)


@dataclass
class Facts:
    """The objects of one router, as they were read."""

    namespace: str
    name: str
    lease: dict[str, Any] | None = None
    deployment: dict[str, Any] | None = None
    pods: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    # By the API server's clock.
    now: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    @property
    def status(self) -> Status:
        """The agent's status."""
        return Status.from_lease(self.lease or {})

    @property
    def container(self) -> dict[str, Any]:
        """The agent's container, as the Deployment has it."""
        template = ((self.deployment or {}).get("spec") or {}).get("template") or {}
        found: dict[str, Any] = next(iter((template.get("spec") or {}).get("containers") or ()), {})
        return found

    @property
    def identity(self) -> Identity | None:
        """What the Deployment tells the agent; None if it is not a document that this version reads."""
        return identity_of(self.container)

    @property
    def holder(self) -> dict[str, Any] | None:
        """The pod that holds the lease, if it exists and is not terminating."""
        name = ((self.lease or {}).get("spec") or {}).get("holderIdentity")
        return next((pod for pod in self.pods if pod["metadata"]["name"] == name and not going(pod)), None)

    @property
    def serving(self) -> bool:
        """Whether a running pod reports that it serves. A pod that crashed may have reported it just before."""
        holder = self.holder
        alive = holder is not None and not pod_problem(holder) and not lease_is_over(self.lease or {}, self.now)
        return alive and self.status.serving

    @property
    def on_hold(self) -> str:
        """The old router that the address is left to; empty if the router is not on hold."""
        annotations = ((self.lease or {}).get("metadata") or {}).get("annotations") or {}
        return str(annotations.get(HOLD) or "")

    @property
    def rolled_out(self) -> bool:
        """Whether the Deployment is rolled out: all pods are of its latest generation."""
        if self.deployment is None:
            return False
        spec, status = self.deployment.get("spec") or {}, self.deployment.get("status") or {}
        wanted = spec.get("replicas", 1)
        return bool(
            status.get("observedGeneration", 0) >= self.deployment["metadata"].get("generation", 0)
            and status.get("updatedReplicas", 0) == wanted
            and status.get("replicas", 0) == wanted
        )

    def problem(self) -> str:
        """What keeps the router from serving and does not pass by itself; empty if nothing is known."""
        if self.deployment is None:
            return "it has no Deployment: deploy it first"
        for condition in (self.deployment.get("status") or {}).get("conditions") or []:
            if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
                said = str(condition.get("message"))
                return f"the API server refuses to create its pod: {said}{advice(said)}"
        for pod in self.pods:
            own = [event for event in self.events if event["involvedObject"].get("name") == pod["metadata"]["name"]]
            found = "" if going(pod) else pod_problem(pod, own)
            if found:
                return found
        status = self.status
        # The report of a pod that is gone says nothing about its successor.
        known = [pod["metadata"]["name"] for pod in self.pods if not going(pod)]
        if status.state in (CONFLICT, FAILED) and status.error and status.pod in known:
            return f"pod {status.pod} on node {status.node}: {status.error}"
        if self.on_hold and status.state == ON_HOLD:
            return (
                f"it is on hold and leaves its address to {self.on_hold} (annotation {HOLD} of its Lease): run "
                "egress.router.cutover to go on, or egress.router.deprovision to remove it"
            )
        return ""

    def reason(self) -> str:
        """Why the router does not serve with all replicas of its latest generation; empty if it does."""
        if self.serving and self.rolled_out:
            return ""
        known = self.problem()
        if known:
            return known
        if not self.rolled_out:
            # One pod is replaced when the one before could serve, so this is what it waits for.
            waiting = self.lacking()
            why = f": {waiting.reason}" if waiting.reason and not waiting.starting else ""
            return f"its Deployment is being rolled out{why}"
        if self.holder is None:
            return "none of its pods holds the lease yet"
        if self.status.serving:
            return f"pod {self.status.pod} does not renew its lease: its node or its network may be down"
        return f"pod {self.status.pod} is {self.status.state or 'starting'}"

    def lacking(self) -> Lacking:
        """What it lacks of pods that stand by; nothing if nobody serves, which is worse."""
        holder = self.holder
        if self.deployment is None or holder is None or not self.serving:
            return Lacking()
        replicas = (self.deployment.get("spec") or {}).get("replicas", 1)
        return lacking(replicas, self.status, holder["metadata"]["name"], self.pods, self.events)

    def warning(self) -> str:
        """What is not as it should be of a router that serves; empty if nothing."""
        why = self.lacking().reason
        return (
            f"router {self.namespace}/{self.name} serves, but without the pods that it asks for: {why}" if why else ""
        )

    def silent(self) -> bool:
        """Whether the pod that reported last that it serves does not renew the Lease, and nothing else is known."""
        return self.status.serving and self.holder is not None and not self.serving and not self.problem()

    def not_waiting(self) -> str:
        """Why none of its pods waits on hold with its rules loaded; empty if one does."""
        if self.rolled_out and self.holder is not None and self.status.state == ON_HOLD:
            return f"its rules are refused: {self.status.rules_error}" if self.status.rules_error else ""
        if self.holder is not None and self.status.serving:
            return f"pod {self.status.pod} serves already: its image does not know about being on hold"
        return self.problem() or f"none of its pods reports {ON_HOLD} yet"

    def as_dict(self) -> dict[str, Any]:
        """The result of router_info."""
        status, holder = self.status, self.holder or {}
        return {
            "name": self.name,
            "namespace": self.namespace,
            "serving": self.serving,
            "state": status.state,
            "reason": self.reason(),
            "rolled_out": self.rolled_out,
            "node": status.node,
            "pod": status.pod,
            "pod_ips": [ip["ip"] for ip in (holder.get("status") or {}).get("podIPs") or []],
            "restarts": sum(item.get("restartCount", 0) for item in _containers(holder)),
            "addresses": [address for address in status.addresses.split(",") if address],
            "mac": status.mac,
            "rules_hash": status.rules_hash,
            "rules_count": int(status.rules_count or 0),
            "rules_version": status.rules_version,
            "rules_error": status.rules_error,
            "applied_at": status.applied_at,
            "error": status.error,
            "routes_error": status.routes_error,
            "failover": {
                **described(self.lease or {}, status, self.serving, self.pods, self.lacking()),
                "relay_seconds": self.identity and self.identity.failover.relay_seconds,
            },
        }


def identity_of(container: dict[str, Any]) -> Identity | None:
    """What a container's environment tells the agent; None if it is not a document that this version reads."""
    found = [item.get("value") or "" for item in container.get("env") or () if item.get("name") == VARIABLE]
    try:
        return Identity.from_json(found[0]) if found else None
    except IdentityError:
        return None


def lease_is_over(lease: dict[str, Any], now: datetime) -> bool:
    """Whether the holder has not renewed the lease in time. `now`: by the API server's clock."""
    spec = lease.get("spec") or {}
    if not spec.get("renewTime"):
        return True
    renewed = datetime.fromisoformat(spec["renewTime"].replace("Z", "+00:00"))
    age = (now - renewed).total_seconds()
    return bool(age > spec.get("leaseDurationSeconds", 0) + CLOCK_SLACK_SECONDS)


def read(cluster: Cluster, wanted: list[Key] | None, where: list[Any]) -> list[Facts]:
    """The facts about the routers `wanted`, in that order, or about all that exist (None)."""
    objects = find_all(cluster, ("Lease", "Deployment", "Pod"), where)
    found: dict[Key, Facts] = {key: Facts(*key) for key in wanted or []}
    for kind, items in objects.items():
        for item in items:
            key = router_of(item)
            if wanted is None:
                found.setdefault(key, Facts(*key))
            if key in found:
                _keep(found[key], kind, item)
    for facts in found.values():
        facts.now = cluster.now()
    return list(found.values()) if wanted is not None else [found[key] for key in sorted(found)]


def read_with_events(cluster: Cluster, wanted: list[Key] | None, where: list[Any]) -> list[Facts]:
    """The same, with what only events explain."""
    facts = read(cluster, wanted, where)
    for router in facts:
        _add_events(cluster, router)
    return facts


def wait_for_serving(
    cluster: Cluster, wanted: list[Key] | None, where: list[Any], seconds: float, standbys: bool = False
) -> list[Facts]:
    """The facts once every router serves. NotReady, with the reason for each router that does not. `standbys`: see wait_for_all."""
    return wait_for_all(lambda: read_with_events(cluster, wanted, where), seconds, standbys)


def wait_on_hold(cluster: Cluster, wanted: list[Key], seconds: float) -> list[Facts]:
    """The same, for routers that wait with their rules loaded and leave their addresses to others."""
    spaces = list(dict.fromkeys(namespace for namespace, _name in wanted))
    failure = "does not get ready beside the old one"
    return _wait(lambda: read_with_events(cluster, wanted, spaces), seconds, Facts.not_waiting, failure)


def wait_for_all(look: Callable[[], list[AnyState]], seconds: float, standbys: bool = False) -> list[AnyState]:
    """What `look` returns once every router serves. NotReady, with the reason for each router that does not.

    A reason that does not pass by itself ends the wait after GRACE_SECONDS. `standbys`: waits for the pods that stand by too. A
    router without them serves, so that is no failure, and whoever waits says what is lacking.
    """
    return _wait(look, seconds, lambda router: router.reason(), "does not serve", standbys)


def _wait(
    look: Callable[[], list[AnyState]],
    seconds: float,
    reason: Callable[[AnyState], str],
    failure: str,
    standbys: bool = False,
) -> list[AnyState]:
    lasting = _Lasting(min(GRACE_SECONDS, seconds))

    def check() -> list[AnyState] | None:
        facts = look()
        waiting = [router for router in facts if reason(router) or (standbys and router.lacking().reason)]
        # Nothing to wait for: every router serves, or what keeps the others from it does not pass by itself.
        stuck = [router for router in waiting if lasting.problem(router)]
        return facts if len(stuck) == len(waiting) else None

    facts = wait_until(check, seconds, interval=0.2)
    facts = look() if facts is None else facts
    failed = [router for router in facts if reason(router)]
    if failed:
        raise NotReady("\n".join(f"router {r.namespace}/{r.name} {failure}: {reason(r)}" for r in failed))
    return facts


class _Lasting:
    """Tells problems that last from those of a moment, such as a registry that did not answer once."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._since: dict[Key, float] = {}

    def problem(self, router: State) -> bool:
        """Whether the router has had a problem for the given time."""
        key = (router.namespace, router.name)
        standby = router.lacking()
        if not router.problem() and (not standby.reason or standby.starting):
            self._since.pop(key, None)
            return False
        return self._clock() - self._since.setdefault(key, self._clock()) >= self._seconds


def _keep(facts: Facts, kind: str, item: dict[str, Any]) -> None:
    if kind == "Pod":
        facts.pods.append(item)
    elif item["metadata"]["name"] == facts.name:
        setattr(facts, kind.lower(), item)


def _add_events(cluster: Cluster, router: Facts) -> None:
    """Reads the events of pods that only events explain. They are left out if the identity may not read events."""
    for pod in router.pods:
        if waits_for_sandbox(pod):
            try:
                fields = f"involvedObject.name={pod['metadata']['name']},type=Warning"
                router.events += cluster.find("Event", router.namespace, fields=fields)
            except Forbidden:
                return
    for event in router.events:
        # The macvlan plugin does not name the interface.
        if "Link not found" in event.get("message", ""):
            event["message"] += f": the node has no interface {_master(cluster, router)}"


def _master(cluster: Cluster, router: Facts) -> str:
    """The interface of the nodes that the router's network asks for, for a message."""
    try:
        network = cluster.get("NetworkAttachmentDefinition", router.namespace, router.name)
        plugins = json.loads(network["spec"]["config"])["plugins"]
        return f"{plugins[0]['master']}, which is the router's master"
    except (EgressError, ValueError, LookupError, TypeError):
        return "such as the router's master names"


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return (pod.get("status") or {}).get("containerStatuses") or []
