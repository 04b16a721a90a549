# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Cuts routers over, one after the other: looks what is there, plans what is left, rehearses it, does it, or goes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .._common.concurrent import each
from .._common.errors import EgressError, InputError
from .._common.signals import uninterrupted
from .._kubernetes import cutover as requests
from .._kubernetes.backends import deploy
from .._kubernetes.change import Change, Options
from .._kubernetes.cluster import Cluster
from .._kubernetes.router_info import Facts, read, wait_for_serving, wait_on_hold
from .._kubernetes.selection import router_of
from .._kubernetes.service_ports import Ports
from .._router import option
from .._router.backend import AGENT
from .._router.router import Router
from . import cutover as pure
from .cutover import NEW, OLD, REMOVAL, Maker, Record, Situation
from .old import find_old
from .run import read_cluster

SPEC: dict[str, Any] = {
    **option.SPEC,
    "active": {"type": "str", "choices": [NEW, OLD], "default": NEW},
    "remove_old": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 120},
    "takeover_timeout": {"type": "int", "default": 30},
}
# From here on clients wait, or may.
_FIRST_UNINTERRUPTED = (pure.STOP, pure.LIFT, pure.MOVE_SERVICE)


@dataclass
class Outcome:
    """What was or would be done for a router. `seconds`: how long its clients waited, and for which of the two routers."""

    router: Router
    active: str
    source: str = ""
    steps: tuple[str, ...] = ()
    changes: list[Change] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    node: str = ""
    error: str = ""

    @property
    def changed(self) -> bool:
        return bool(self.steps)

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.router.name,
            "namespace": self.router.namespace,
            "active": self.active,
            "changed": self.changed,
            "old": self.source,
            "steps": list(self.steps),
            "seconds": self.seconds,
            "summary": self.summary(),
        }

    def summary(self) -> str:
        """One sentence for people."""
        if not self.changed:
            return f"router {self.router.id}: nothing to do, the {self.active} router is active"
        if "takeover" not in self.seconds:
            return f"router {self.router.id}: {', '.join(self.steps)}"
        old, takeover = self.seconds["old_pods"], self.seconds["takeover"]
        return (
            f"router {self.router.id} took over from {self.source} on node {self.node}: the old pods took {old:.1f} s to end, and "
            f"{takeover:.1f} s later the new one served"
        )


def run(connect: Callable[[], Cluster], params: Mapping[str, Any], with_diff: bool) -> tuple[dict[str, Any], str]:
    """The module's result, and why it failed, or nothing."""
    routers = option.read(params)
    absent = [router.id for router in routers if not router.present]
    if absent:
        raise InputError(
            f"router {', '.join(absent)}: an absent router cannot take over: leave it out, or set state to present"
        )
    operators = [router.id for router in routers if router.backend != AGENT]
    if operators:
        raise InputError(
            f"router {', '.join(operators)}: only a router with backend {AGENT} can wait on hold beside the old one: leave it out, or "
            f"set backend to {AGENT}"
        )
    if params["remove_old"] and params["active"] == OLD:
        raise InputError(
            "remove_old: the old router cannot be removed while it is to be active: leave one of the two out"
        )
    cluster = connect()
    outcomes: list[Outcome] = []
    for router in routers:
        outcomes.append(_CutOver(cluster, router, params).run())
        if outcomes[-1].error:
            break
    result: dict[str, Any] = {
        "changed": any(outcome.changed for outcome in outcomes),
        "routers": [outcome.as_dict() for outcome in outcomes],
    }
    if with_diff:
        result["diff"] = [change.plan().diff() for outcome in outcomes for change in outcome.changes if change.changed]
    return result, outcomes[-1].error if outcomes else ""


class _CutOver:
    """One router."""

    def __init__(self, cluster: Cluster, router: Router, params: Mapping[str, Any], active: str = "") -> None:
        self.cluster = cluster
        self.router = router
        self.params = params
        self.active = active or params["active"]
        self.wait, self.takeover = float(params["wait_timeout"]), float(params["takeover_timeout"])
        self.outcome = Outcome(router, self.active)
        self.record: Record | None = None
        self.makers: tuple[Maker, ...] = ()
        self.items: list[dict[str, Any] | None] = []
        self.service: dict[str, Any] | None = None
        self.facts = Facts(*router.key)
        self.done: list[str] = []
        self.stopped_at = self.ended_at = 0.0

    def run(self) -> Outcome:
        outcome = self.outcome
        now = self._look()
        if self.active == NEW and not now.present and not now.serving:
            raise InputError(
                f"router {self.router.id}: namespace {self.router.namespace} has no old router with its address: use egress.router.provision"
            )
        outcome.source = str(self.record.source) if self.record else ""
        outcome.steps = pure.steps(self.active, now, self.params["remove_old"])
        outcome.changes = self._changes()
        self._rehearse()
        if self.cluster.dry_run:
            return outcome
        try:
            self._take()
        except EgressError as error:
            outcome.error = self._failed(error)
        return outcome

    # What is there

    def _look(self) -> Situation:
        cluster, router = self.cluster, self.router
        config_map = requests.get(cluster, "ConfigMap", router.namespace, pure.record_name(router))
        if config_map is not None:
            self.record = pure.read_record(config_map)
        else:
            self.record = find_old(router, *read_cluster(cluster, [router.namespace]))
        self.makers = self.record.makers if self.record else ()
        self.items = [requests.get(cluster, maker.kind, router.namespace, maker.name) for maker in self.makers]
        self.service = requests.get(cluster, "Service", router.namespace, router.service.name)
        self.facts = read(cluster, [router.key], [router.namespace])[0]
        are_stopped = [pure.is_stopped(maker, item) for maker, item in zip(self.makers, self.items, strict=True)]
        saved, on_hold = self.record.service if self.record else None, bool(self.facts.on_hold)
        return Situation(
            present=self.record is not None,
            recorded=config_map is not None,
            started=not any(are_stopped),
            stopped=all(are_stopped),
            ended=not self._old_pods(requests.pods(cluster, router.namespace)),
            returned=saved is None or (self.service is not None and pure.is_returned(self.service, saved)),
            moved=saved is None or self._is_moved(),
            on_hold=on_hold,
            waiting=on_hold and not self.facts.not_waiting(),
            serving=self.facts.serving and not on_hold,
        )

    def _is_moved(self) -> bool:
        service = self.service
        if service is None or router_of(service) != self.router.key or service["spec"].get("selector"):
            return False
        ports = Ports(service)
        return ports.present == ports.wanted(self.router.rules)

    def _old_pods(self, pods: list[dict[str, Any]]) -> list[Any]:
        return pure.pods_of(self.makers, pods)

    def _are_running(self, pods: list[dict[str, Any]]) -> bool:
        return pure.are_running(self.makers, pods)

    # What it changes

    def _changes(self) -> list[Change]:
        """The objects of the old router and its Service, before and after."""
        steps = self.outcome.steps
        found = self._removals() if pure.REMOVE_OLD in steps else []
        for maker, item in zip(self.makers, self.items, strict=True):
            title = f"{maker.kind} {self.router.namespace}/{maker.name}"
            before = pure.shown(maker, item)
            if pure.REMOVE_OLD in steps:
                continue
            if pure.STOP in steps and item is not None:
                found.append(Change(title, before, pure.shown(maker, pure.stopped(maker, item))))
            elif pure.START in steps:
                found.append(Change(title, before, pure.shown(maker, pure.started(maker, item))))
        if self.service is not None and self.record is not None and self.record.service is not None:
            found += self._service_changes(self.service, self.record.service)
        return found

    def _removals(self) -> list[Change]:
        objects = [*self._old_objects(), ("ConfigMap", pure.record_name(self.router))]
        namespace = self.router.namespace
        return [
            Change(f"{kind} {namespace}/{name}", {"kind": kind, "metadata": {"name": name, "namespace": namespace}})
            for kind, name in objects
        ]

    def _old_objects(self) -> list[tuple[str, str]]:
        """What the old router is made of: what makes its pods first, then what describes them."""
        source = self.record.source if self.record else None
        # What the operator has made goes with the resource, and would come back without that.
        of_operator = source is not None and source.kind == "EgressRouter"
        found = [] if of_operator else [(maker.kind, maker.name) for maker in self.makers]
        if source is not None and (source.kind, source.name) not in found:
            found.append((source.kind, source.name))
        return found

    def _service_changes(self, service: dict[str, Any], saved: Mapping[str, Any]) -> list[Change]:
        title = f"Service {self.router.namespace}/{self.router.service.name}"
        labels = service["metadata"].get("labels") or {}
        before = pure.shown_service(labels, service["spec"])
        if pure.MOVE_SERVICE in self.outcome.steps:
            new = pure.new_service(self.router)
            after = pure.shown_service({**labels, **new["metadata"]["labels"]}, new["spec"])
            return [Change(title, before, after)]
        if pure.RETURN_SERVICE in self.outcome.steps:
            return [Change(title, before, pure.shown_service(saved["labels"], saved))]
        return []

    def _rehearse(self) -> None:
        """Has the API server say whether it would do what is planned, before anything is done."""
        rehearsal, steps = self.cluster.rehearsal(), self.outcome.steps
        for step in (pure.SAVE, pure.STOP, pure.START, pure.RETURN_SERVICE, pure.REMOVE_OLD):
            if step in steps:
                self._actions(rehearsal)[step]()
        if pure.MOVE_SERVICE in steps and self.service is not None:
            requests.rehearse_service(rehearsal, self.router)
        if pure.DEPLOY in steps and self.cluster.dry_run:
            self.outcome.changes += self._deploy(rehearsal)

    # What is done

    def _actions(self, cluster: Cluster) -> dict[str, Callable[[], object]]:
        router, namespace = self.router, self.router.namespace
        source = str(self.record.source) if self.record else ""
        return {
            pure.HOLD: partial(requests.hold, cluster, router, source),
            pure.DEPLOY: partial(self._deploy, cluster),
            pure.SAVE: partial(self._save, cluster),
            pure.STOP: partial(self._stop, cluster),
            pure.AWAIT_END: partial(self._await_end, cluster),
            pure.MOVE_SERVICE: partial(self._move_service, cluster),
            pure.LIFT: partial(requests.lift, cluster, router),
            pure.AWAIT_NEW: partial(self._await_new, cluster),
            pure.REMOVE_OLD: partial(self._remove_old, cluster),
            pure.END_NEW: partial(requests.end_new_pods, cluster, router, self.wait),
            pure.RETURN_SERVICE: partial(self._return_service, cluster),
            pure.START: partial(self._start, cluster),
            pure.AWAIT_OLD: partial(requests.await_old, cluster, namespace, self._are_running, self.wait),
            pure.FORGET: partial(self._forget, cluster),
        }

    def _take(self) -> None:
        actions, steps = self._actions(self.cluster), list(self.outcome.steps)
        self.stopped_at = self.ended_at = time.monotonic()
        with ExitStack() as stack:
            protected = False
            while steps:
                step = steps.pop(0)
                if not protected and (self.active == OLD or step in _FIRST_UNINTERRUPTED):
                    stack.enter_context(uninterrupted())
                    protected = True
                if step == pure.MOVE_SERVICE and steps and steps[0] == pure.LIFT:
                    # The agent asks the segment for a second, in which the Service changes hands.
                    both = [actions[steps.pop(0)], actions[step]]
                    each(lambda call: call(), both)
                else:
                    actions[step]()
                self.done.append(step)

    def _deploy(self, cluster: Cluster) -> list[Change]:
        """The new router beside the old one, or where it was."""
        borrowed = {}
        if self.service is not None and router_of(self.service) != self.router.key:
            borrowed[self.router.key] = self.service["metadata"].get("uid") or ""
        outcome = deploy(cluster, [self.router], Options(wait=False, borrowed=borrowed))
        if outcome.error:
            raise EgressError(outcome.error)
        if not cluster.dry_run and pure.AWAIT_END in self.outcome.steps:
            (facts,) = wait_on_hold(cluster, [self.router.key], self.wait)
            if facts.status.rules_hash != self.router.rules.hash():
                raise InputError(
                    f"router {self.router.id}: its ConfigMap has other rules than the list, run egress.router.redirect_rules first"
                )
        return outcome.changes

    def _save(self, cluster: Cluster) -> None:
        if self.record is not None:
            requests.write_record(cluster, self.router.namespace, pure.record_manifest(self.router, self.record))

    def _stop(self, cluster: Cluster) -> None:
        self.stopped_at = time.monotonic()
        for maker in self.makers:
            requests.change(cluster, maker.kind, self.router.namespace, maker.name, partial(pure.stopped, maker))

    def _await_end(self, cluster: Cluster) -> None:
        requests.await_end(cluster, self.router.namespace, self._old_pods, self.wait)
        self.ended_at = time.monotonic()
        self.outcome.seconds["old_pods"] = round(self.ended_at - self.stopped_at, 2)

    def _move_service(self, cluster: Cluster) -> None:
        strip = partial(pure.stripped_service, router=self.router)
        requests.move_service(cluster, self.router, strip, self.takeover)

    def _await_new(self, cluster: Cluster) -> None:
        (facts,) = wait_for_serving(cluster, [self.router.key], [self.router.namespace], self.takeover)
        self.outcome.node = facts.status.node
        if "old_pods" in self.outcome.seconds:
            self.outcome.seconds["takeover"] = round(time.monotonic() - self.ended_at, 2)

    def _return_service(self, cluster: Cluster) -> None:
        if self.record is not None and self.record.service is not None:
            back = partial(pure.returned_service, saved=self.record.service)
            requests.change(cluster, "Service", self.router.namespace, self.router.service.name, back)

    def _start(self, cluster: Cluster) -> None:
        namespace = self.router.namespace
        for maker in self.makers:
            if maker.way == REMOVAL:
                requests.create_again(cluster, namespace, maker.saved, self.wait)
            else:
                requests.change(cluster, maker.kind, namespace, maker.name, partial(pure.started, maker))

    def _forget(self, cluster: Cluster) -> None:
        cluster.delete("ConfigMap", self.router.namespace, pure.record_name(self.router))

    def _remove_old(self, cluster: Cluster) -> None:
        """Last what was saved, so that an interrupted removal goes on."""
        for kind, name in self._old_objects():
            cluster.delete(kind, self.router.namespace, name)
        self._forget(cluster)

    # What goes wrong

    def _failed(self, error: EgressError) -> str:
        """What is said of an error, after going back if the old router was stopped."""
        said = f"router {self.router.id}: {error}" if self.router.id not in str(error) else str(error)
        done = ", ".join(self.done) or "nothing"
        if self.active == OLD:
            return f"{said}\ndone before that: {done}\nrun it again to go on"
        if pure.REMOVE_OLD in self.outcome.steps and self.done and self._serves():
            return f"{said}\ndone before that: {done}. The new router serves; run it again to go on"
        back = _CutOver(self.cluster, self.router, self.params, OLD)
        try:
            way = back.run()
        except EgressError as second:
            return f"{said}\ngoing back failed too: {second}\nrun it again with active: old"
        self.outcome.steps = tuple(self.done)
        if way.error:
            return f"{said}\ngoing back failed too: {way.error}"
        if not way.steps:
            return f"{said}\ndone before that: {done}. The old router was not touched"
        return f"{said}\nrolled back: {self.outcome.source} is active again. The new router is on hold"

    def _serves(self) -> bool:
        return read(self.cluster, [self.router.key], [self.router.namespace])[0].serving
