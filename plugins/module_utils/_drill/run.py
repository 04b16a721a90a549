# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Drills routers, one after the other: a client connects all the time while their pods are replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from .._common.concurrent import wait_until
from .._common.errors import EgressError, InputError, NotReady
from .._common.signals import unwound
from .._contract.status import Status
from .._kubernetes.cluster import Cluster
from .._kubernetes.hand_over import able, seconds_of, serving
from .._kubernetes.router_info import Facts, read
from .._router import option
from .._router.router import Router
from . import events, plan
from .client import Client, running
from .judge import Finding, kept, late, seen
from .plan import EVENTS, HAND_OVER
from .report import Drilled, report

SPEC: dict[str, Any] = {
    **option.SPEC,
    "events": {"type": "list", "elements": "str", "choices": list(EVENTS), "default": [HAND_OVER]},
    "max_seconds": {"type": "float", "default": 1.0},
    "single_replica": {"type": "bool", "default": False},
    "established": {"type": "int", "default": 0},
    "interval_ms": {"type": "int", "default": 10},
    "namespace": {"type": "str"},
    "image": {"type": "str"},
    "node_selector": {"type": "dict"},
    "wait_timeout": {"type": "int", "default": 60},
}
# A pod that is made anew stands by when it runs, so this may take as long as an image to be pulled.
_INTERVAL = 0.2


def run(connect: Callable[[], Cluster], params: Mapping[str, Any]) -> dict[str, Any]:
    """The module's result. What cannot be drilled is refused, all of it at once, before anything is touched."""
    routers = option.read(params)
    problems = plan.input_problems(routers, params["established"]) + _option_problems(params)
    if problems:
        raise InputError("\n".join(problems))
    cluster = connect()
    found = _look(cluster, routers, params)
    if cluster.dry_run:
        planned = [
            _planned(event, router, facts)
            for router, facts in zip(routers, found, strict=True)
            for event in params["events"]
        ]
        return {"changed": bool(planned), "planned": planned, "report": None}
    with unwound():
        drilled = _drill(cluster, routers, params)
    return {"changed": any(one.findings for one in drilled), "planned": [], "report": report(drilled)}


def _drill(cluster: Cluster, routers: list[Router], params: Mapping[str, Any]) -> list[Drilled]:
    drilled: list[Drilled] = []
    for router in routers:
        failed = next((one for one in drilled if one.broken), None)
        if failed:
            why = f"not drilled, because router {failed.id} has to be looked at first"
            drilled.append(Drilled(router.name, router.namespace, not_run=list(params["events"]), error=why))
        else:
            drilled.append(_Drill(cluster, router, params).run())
    return drilled


def _option_problems(params: Mapping[str, Any]) -> list[str]:
    bounds = (("interval_ms", 1, 10_000), ("established", 0, 1000), ("max_seconds", 0, 3600), ("wait_timeout", 1, 3600))
    found = [
        f"{name}: {params[name]:g} is not between {least} and {most}"
        for name, least, most in bounds
        if not least <= params[name] <= most
    ]
    return found + ([] if params["events"] else ["events: there is none: leave it out, or name one"])


def _look(cluster: Cluster, routers: list[Router], params: Mapping[str, Any]) -> list[Facts]:
    where = list(dict.fromkeys(router.namespace for router in routers))
    return able(
        cluster,
        [router.key for router in routers],
        where,
        lambda facts: plan.refused(facts, params["events"], params["single_replica"]),
    )


def _planned(event: str, router: Router, facts: Facts) -> dict[str, Any]:
    before, after = plan.server(facts), plan.heir(facts)
    return {
        "router": router.name,
        "namespace": router.namespace,
        "event": event,
        "before": asdict(before),
        "after": asdict(after) if after else None,
        "summary": plan.sentence(event, router, before, after),
    }


class _Drill:
    """One router, with a client of its own."""

    def __init__(self, cluster: Cluster, router: Router, params: Mapping[str, Any]) -> None:
        self.cluster, self.router, self.params = cluster, router, params
        self.wait = float(params["wait_timeout"])
        self.drilled = Drilled(router.name, router.namespace, not_run=list(params["events"]))

    def run(self) -> Drilled:
        drilled, params = self.drilled, self.params
        place = {
            **params,
            "namespace": params["namespace"] or self.router.namespace,
            "image": params["image"] or self.router.image,
            "image_pull_secrets": self.router.image_pull_secrets,
        }
        # Each event waits for one pod, for the next one, and for the client.
        deadline = int(60 + self.wait * (1 + 4 * len(params["events"])))
        try:
            with running(self.cluster, place, plan.targets(self.router), self.wait, deadline) as client:
                drilled.notes += client.notes
                while drilled.not_run and not drilled.broken:
                    drilled.findings.append(self._event(drilled.not_run.pop(0), client))
        except EgressError as error:
            drilled.error = str(error)
        return drilled

    def _event(self, event: str, client: Client) -> Finding:
        number, error, lease = client.number(), "", {}
        (facts,) = self._facts()
        before = plan.server(facts)
        try:
            refused = plan.refused(facts, [event], self.params["single_replica"])
            if refused:
                raise NotReady(refused.why)
            lease = events.cause(self.cluster, event, facts, self.wait)
            self._await_next()
        except EgressError as problem:
            error = str(problem)
        try:
            periods, unsteady = client.since(number, self.wait)
        except EgressError as problem:
            periods, unsteady = [], str(problem)
        status = Status.from_lease(lease)
        return Finding(
            event,
            before,
            serving(lease),
            seen(periods, client.targets),
            kept(periods),
            self.params["max_seconds"],
            late(periods),
            seconds_of(status),
            status.take_over_cause,
            error or unsteady,
        )

    def _await_next(self) -> None:
        """Until a pod stands by again, so that the next event does not meet a router with one pod."""
        why = ""

        def ready() -> bool | None:
            nonlocal why
            (facts,) = self._facts()
            refused = plan.refused(facts, [], self.params["single_replica"])
            why = refused.why if refused else ""
            return None if refused else True

        if wait_until(ready, self.wait, _INTERVAL) is None:
            raise NotReady(f"after {self.wait:g} s: {why}")

    def _facts(self) -> list[Facts]:
        return read(self.cluster, [self.router.key], [self.router.namespace])
