# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The state and the rules of routers with backend egress_router_cr: from the resource, what the operator has made of it, and the pod.

Nothing reports what the pod forwards. It was started with what its network had then, so that is known as long as the network has
not changed since.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..._common.concurrent import each
from ..._common.errors import EgressError, Forbidden, NotFound
from ..._contract.rules import RulesError, RuleSet, parse
from ..._egress_router_cr import state
from ..._egress_router_cr.operator import RESOURCE, SELECTOR
from ..._egress_router_cr.state import Live
from ..._router.backend import EGRESS_ROUTER_CR
from ..._router.router import Router, Service
from ..cluster import Cluster
from ..redirect_rules_info import compared
from ..selection import Key, router_of
from ..standby import Lacking
from .reading import Reader
from .rules import as_router
from .work import Work


@dataclass
class Facts:
    """One router, as it was read. `router`: as its resource has it; None if there is none, or none that can be used."""

    namespace: str
    name: str
    live: Live = field(default_factory=Live)
    router: Router | None = None
    # What does not pass by itself.
    trouble: str = ""

    @property
    def pod(self) -> dict[str, Any] | None:
        """The pod that runs and is not terminating."""
        return next((pod for pod in self.live.pods if state.is_ready(pod) and not state.is_ending(pod)), None)

    @property
    def interface(self) -> dict[str, Any]:
        """What is reported of the pod's egress interface; empty if nothing is."""
        return (self.pod and state.reported_interface(self.pod)) or {}

    @property
    def serving(self) -> bool:
        """Whether a pod runs and has an address."""
        return bool(self.interface.get("ips"))

    def rules_error(self) -> str:
        """Why the pod does not run with the rules of the resource; empty if it does, or if there is no pod."""
        if self.pod is None or self.router is None:
            return ""
        if self._forwarded() != self.router.rules:
            return "the Cluster Network Operator has not reacted to the last change of its EgressRouter"
        return state.stale(self.live)

    def live_rules(self) -> RuleSet | None:
        """The rules with which the pod was started; None if they are not known."""
        return None if self.pod is None or state.stale(self.live) else self._forwarded()

    def problem(self) -> str:
        """What keeps the router from serving as its resource asks for and does not pass by itself; empty if nothing is known."""
        stale = state.stale(self.live)
        return self.trouble or (stale if stale == self._waiting_for() else "")

    def reason(self) -> str:
        """Why the router does not serve as its resource asks for; empty if it does."""
        return self.trouble or self._waiting_for()

    def lacking(self) -> Lacking:
        """Nothing: the operator runs one pod."""
        return Lacking()

    def warning(self) -> str:
        """What is not as it should be of a router that serves: nothing is known."""
        return ""

    def silent(self) -> bool:
        """Never: nobody reports."""
        return False

    def _waiting_for(self) -> str:
        return self.rules_error() or (state.waiting_for(self.live, self.router) if self.router else "")

    def _forwarded(self) -> RuleSet | None:
        """The rules of the network; None if there is none, or none of the operator's."""
        found = state.forwarded(self.live.network)
        try:
            return parse("\n".join(found["destinations"])) if found else None
        except RulesError:
            return None

    def as_dict(self) -> dict[str, Any]:
        """The result of router_info."""
        pod, rules = self.pod or {"metadata": {}}, self.live_rules()
        status = pod.get("status") or {}
        return {
            "name": self.name,
            "namespace": self.namespace,
            "serving": self.serving,
            "state": "serving" if self.serving else _state(self.trouble, self.live),
            "reason": self.reason(),
            "rolled_out": self.live.deployment is not None and state.rolled_out(self.live.deployment),
            "node": (pod.get("spec") or {}).get("nodeName") or "",
            "pod": pod["metadata"].get("name") or "",
            "pod_ips": [ip["ip"] for ip in status.get("podIPs") or []],
            "restarts": sum(item.get("restartCount", 0) for item in status.get("containerStatuses") or []),
            "addresses": [self._with_prefix(ip) for ip in self.interface.get("ips") or []],
            "mac": self.interface.get("mac") or "",
            "rules_hash": rules.hash() if rules is not None else "",
            "rules_count": len(rules.rules) if rules is not None else 0,
            "rules_version": "",
            "rules_error": self.rules_error(),
            "applied_at": pod["metadata"].get("creationTimestamp") or "",
            "error": self.trouble,
            "routes_error": "",
            "failover": {},
        }

    def _with_prefix(self, ip: str) -> str:
        """The report has no prefix length, the resource has."""
        return next((one.cidr for one in (self.router.addresses if self.router else ()) if one.ip == ip), ip)


def read(cluster: Cluster, wanted: list[Key] | None, where: list[Any]) -> list[Facts]:
    """The facts about the routers `wanted`, in that order, or about all that the collection has made (None)."""
    return each(lambda key: _read_one(cluster, key), _keys(cluster, where) if wanted is None else wanted)


def read_rules(cluster: Cluster, wanted: list[Key] | None, where: list[Any]) -> list[dict[str, Any]]:
    """The rules of the same routers, as redirect_rules_info returns them."""
    return [_rules(facts) for facts in read(cluster, wanted, where)]


def _rules(facts: Facts) -> dict[str, Any]:
    desired, live = facts.router.rules if facts.router else RuleSet(), facts.live_rules()
    errors = []
    if facts.router is None:
        errors = [facts.trouble]
    elif live is None:
        errors = [facts.rules_error() or "its pod does not run, so its live rules are not known"]
    shown = [rule.as_dict() for rule in live.rules] if live is not None else []
    return compared((facts.namespace, facts.name), desired, shown, None, live, errors)


def _keys(cluster: Cluster, where: list[Any]) -> list[Key]:
    """Empty where there are none: on a cluster that is not OpenShift, or for somebody who has nothing to do with them."""
    try:
        found = each(lambda namespace: cluster.find(RESOURCE.name, namespace, labels=SELECTOR), where)
    except (NotFound, Forbidden):
        return []
    return sorted(router_of(item) for items in found for item in items)


def _read_one(cluster: Cluster, key: Key) -> Facts:
    namespace, name = key
    facts = Facts(namespace, name)
    reader = Reader(cluster)
    work = Work(Router(name, namespace, Service(name), backend=EGRESS_ROUTER_CR))
    reader.read(work)
    if work.live.resource is None:
        facts.trouble = f"it has no {RESOURCE.name}: deploy it first"
        return facts
    facts.live = state.own(work.live)
    try:
        facts.router = as_router(work, work.live.resource)
    except EgressError as error:
        facts.trouble = str(error)
    else:
        facts.trouble = reader.problem(facts.live)
    return facts


def _state(trouble: str, live: Live) -> str:
    if not [pod for pod in live.pods if not state.is_ending(pod)]:
        return ""
    return "failed" if trouble else "starting"
