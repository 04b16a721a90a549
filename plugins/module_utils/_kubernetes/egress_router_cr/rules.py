# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Changes the redirect rules of EgressRouter resources, and restores the previous rules where the pod does not run with the new ones.

There is no live form: the pod is made anew, and connections break. So rules are seen as changed also where the resource has them
already and the pod does not.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from typing import Any

from ..._common.concurrent import each
from ..._common.errors import Conflict, EgressError, InputError, NotFound, NotReady
from ..._common.plan import Plan
from ..._contract.rules import RulesError, RuleSet, make_rule, rule_set, too_many
from ..._egress_router_cr import manifests, state
from ..._egress_router_cr.operator import CHANGED_AT, HASH, RESOURCE
from ..._egress_router_cr.state import Live
from ..._router.addresses import Address
from ..._router.backend import EGRESS_ROUTER_CR
from ..._router.manifests import KIND, Manifest
from ..._router.router import Router, Service
from ..change import Change, Options
from ..cluster import Cluster
from ..managed_fields import extract, owned_fields
from ..redirect_rules import ATTEMPTS, Outcome, Request
from ..selection import router_of
from .run import OperatorRun
from .work import MANAGER, Step, Work

# How long the pod has to come back with the previous rules.
ROLLBACK_SECONDS = 60.0


class RulesWork(Work):
    """A router of which nothing but the rules is known: everything else stays as the module router has made it."""

    def deployment(self, live: Live) -> Manifest:
        """The fields that are the collection's already, with the hash of the rules."""
        wanted = manifests.deployment(self.router, state.restart_mark(live, self.router))["spec"]["template"]
        made = _own(live.deployment or {}, KIND["Deployment"].api_version, "Deployment")
        template = made.get("spec", {}).get("template", {})
        metadata = template.get("metadata", {})
        annotations = {
            key: value for key, value in metadata.get("annotations", {}).items() if key not in (HASH, CHANGED_AT)
        }
        metadata = {**metadata, "annotations": {**annotations, **wanted["metadata"]["annotations"]}}
        # Where others have taken the collection's fields away, what the pod cannot do without is put back.
        spec = {**template.get("spec", {}), "terminationGracePeriodSeconds": manifests.GRACE_SECONDS}
        return {**made, "spec": {"template": {**template, "metadata": metadata, "spec": spec}}}


def change(cluster: Cluster, requests: list[Request], wait_seconds: float | None) -> list[Outcome]:
    """Does all requests at once. Errors are in the outcomes. `wait_seconds` None: does not wait for the pods."""
    return each(lambda request: _Change(cluster, request, wait_seconds).run(), requests)


def rules_of(resource: dict[str, Any]) -> RuleSet:
    """The rules of a resource; RulesError if they are none that a router could have."""
    found = (resource["spec"].get("redirect") or {}).get("redirectRules") or ()
    return rule_set(
        make_rule(one.get("port"), one.get("protocol"), one.get("destinationIP"), one.get("targetPort"))
        for one in found
    )


def as_router(work: Work, resource: dict[str, Any]) -> Router:
    """What a resource says of its router; EgressError if that cannot be used."""
    name, namespace = work.router.key[1], work.router.key[0]
    live = work.services[0] if work.services else None
    headless = live is not None and live["spec"].get("clusterIP") == "None"
    service = Service(live["metadata"]["name"] if live else name, headless)
    try:
        (first, *_others) = resource["spec"]["addresses"]
        interface = ipaddress.ip_interface(first["ip"])
        address = Address(str(interface.ip), interface.network.prefixlen, first["gateway"])
        rules = rules_of(resource)
    except (LookupError, TypeError, ValueError) as error:
        if isinstance(error, RulesError):
            raise EgressError(f"the rules of {RESOURCE.name} {work.router.id} cannot be read: {error}") from error
        raise EgressError(
            f"{RESOURCE.name} {work.router.id} has no usable address with a gateway: provision the router"
        ) from error
    return Router(name, namespace, service, backend=EGRESS_ROUTER_CR, addresses=(address,), rules=rules)


class _Change:
    """One router's change."""

    def __init__(self, cluster: Cluster, request: Request, wait_seconds: float | None) -> None:
        self.cluster = cluster
        self.request = request
        self.waits = wait_seconds is not None
        self.operators = OperatorRun(cluster, [], Options(wait=self.waits, wait_seconds=wait_seconds or 0))
        self.started = time.monotonic()

    def run(self) -> Outcome:
        outcome = Outcome(self.request, Plan(self.request.id, (), ()))
        try:
            self._run(outcome)
        except EgressError as error:
            outcome.error = str(error)
        return outcome

    def _run(self, outcome: Outcome) -> None:
        for attempt in count(1):
            found = self._read()
            if found is None:
                return
            work = found
            previous, before, after = work.live.resource or {}, work.router.rules, self._after(work.router.rules)
            work.router = replace(work.router, rules=after)
            stale = state.stale(work.live)
            self._note(outcome, work, before, after, stale)
            if not outcome.plan.changed:
                self._confirm(work, outcome)
                return
            try:
                if before != after:
                    work.live.resource = self._write(previous, after)
                break
            except Conflict as error:
                # Nothing was changed, whatever the next attempt finds.
                outcome.plan = Plan(outcome.plan.title, outcome.plan.before, outcome.plan.before)
                if attempt == ATTEMPTS or self.request.state == "replaced":
                    raise Conflict(
                        f"its {RESOURCE.name} was changed by somebody else between read and write. These rules were not written: run "
                        f"again ({error})"
                    ) from error
        if self.cluster.dry_run:
            return
        try:
            self._finish(work)
        except EgressError as error:
            if before == after:
                raise
            raise NotReady(f"{error}. {self._roll_back(work, before, outcome)}") from error
        if self.waits:
            outcome.seconds = round(time.monotonic() - self.started, 3)

    def _read(self) -> Work | None:
        """None: there is none, and that is no error."""
        request = self.request
        work = RulesWork(Router(request.name, request.namespace, Service(request.name), backend=EGRESS_ROUTER_CR))
        self.operators.reader.read(work)
        resource = work.live.resource
        if resource is None:
            # In a dry run the module router would have created it. Without it there is nothing to delete either.
            if self.cluster.dry_run or request.state == "deleted":
                return None
            raise NotFound(f"{RESOURCE.name} {request.id} does not exist: deploy the router first")
        if router_of(resource) != (request.namespace, request.name) and not owned_fields(resource, MANAGER):
            raise InputError(f"{RESOURCE.name} {request.id} was not made by this collection: its rules are left alone")
        work.router = as_router(work, resource)
        return work

    def _after(self, before: RuleSet) -> RuleSet:
        found = self.request.after(before)
        for problem in too_many(len(found.rules)):
            raise InputError(problem)
        # The resource has no names for rules.
        return RuleSet(tuple(rule._replace(name="") for rule in found.rules))

    def _note(self, outcome: Outcome, work: Work, before: RuleSet, after: RuleSet, stale: str) -> None:
        shown_before, shown_after = tuple(before.lines()), tuple(after.lines())
        if stale and before == after:
            shown_before += (f"stale: {stale}",)
        work.steps = [step for step in _service_steps(work) if step.change.changed]
        for step in work.steps if before == after else ():
            shown_before += (f"{step.change.title} with other ports",)
        outcome.plan = Plan(f"rules of {self.request.id}", shown_before, shown_after)
        outcome.hash = after.hash()

    def _confirm(self, work: Work, outcome: Outcome) -> None:
        if self.waits and not self.cluster.dry_run:
            self.operators.waiter.for_pod(work)
            outcome.seconds = round(time.monotonic() - self.started, 3)

    def _write(self, resource: dict[str, Any], rules: RuleSet) -> dict[str, Any]:
        """Conflict if the resource has changed since this version, or is gone."""
        manifest = _own(resource, RESOURCE.api_version, RESOURCE.name)
        wanted = manifests.redirect(rules)
        # The version alone would not keep one that was removed from being made anew.
        same = {key: resource["metadata"][key] for key in ("uid", "resourceVersion")}
        metadata = {**manifest["metadata"], **same}
        fields = {**manifest, "metadata": metadata, "spec": {**manifest.get("spec", {}), "redirect": wanted}}
        # Whoever changed the rules before, they are these now. All other fields are as they are.
        return self.cluster.apply(RESOURCE.name, self.request.namespace, self.request.name, fields, MANAGER, force=True)

    def _finish(self, work: Work) -> None:
        """What comes after the write."""
        self.operators.settle(work)
        if self.waits:
            self.operators.waiter.for_pod(work)
        for step in work.steps:
            self.operators.writer.service(work.router, step)

    def _roll_back(self, work: Work, before: RuleSet, outcome: Outcome) -> str:
        """Restores the previous rules and says what the state is now."""
        where = f"{RESOURCE.name} {self.request.id}"
        options = Options(wait=True, wait_seconds=ROLLBACK_SECONDS)
        operators = OperatorRun(self.cluster, [], options)
        try:
            # The version is another one if the operator was woken up.
            now = self.cluster.get(RESOURCE.name, self.request.namespace, self.request.name)
            if rules_of(now) != work.router.rules:
                return f"The previous rules were not restored: somebody else has changed {where} since"
            work.live.resource = self._write(now, before)
        except (Conflict, RulesError):
            return f"The previous rules were not restored: somebody else has changed {where} since"
        except EgressError as error:
            return f"The previous rules could not be restored: {error}"
        outcome.plan = Plan(outcome.plan.title, outcome.plan.before, outcome.plan.before)
        outcome.hash = before.hash()
        work.router = replace(work.router, rules=before)
        try:
            operators.settle(work)
            operators.waiter.for_pod(work)
        except EgressError as error:
            return f"The previous rules are restored in {where}, its pod does not run with them yet: {error}"
        return f"The previous rules are restored in {where} and live"


def _own(item: dict[str, Any], api_version: str, kind: str) -> Manifest:
    """What the collection applies of an object, as it is; nothing but its name if others have taken that away."""
    owned = owned_fields(item, MANAGER) or {"f:metadata": {}}
    found = extract({**item, "apiVersion": api_version, "kind": kind}, owned)
    return {**found, "metadata": found["metadata"] if "f:labels" in owned.get("f:metadata", {}) else _named(item)}


def _named(item: dict[str, Any]) -> dict[str, Any]:
    return {key: item["metadata"][key] for key in ("name", "namespace")}


def _service_steps(work: Work) -> Iterable[Step]:
    """What becomes of the Service: it has the ports of the rules, and everything else stays."""
    wanted = manifests.service(work.router)
    live = work.services[0] if work.services else None
    name = work.router.service.name
    title = f"Service {work.router.namespace}/{name}"
    if live is None:
        if wanted:
            yield Step("Service", name, Change(title, None, wanted), wanted)
    elif wanted is None:
        yield Step("Service", name, Change(title, {"live": name}), uid=live["metadata"]["uid"])
    elif not work.router.service.headless:
        before = _own(live, "v1", "Service")
        after = {**before, "spec": {**before.get("spec", {}), "ports": wanted["spec"]["ports"]}}
        yield Step("Service", name, Change(title, _ports(before), _ports(after)), after)


def _ports(service: Manifest) -> dict[str, Any]:
    found = service.get("spec", {}).get("ports") or ()
    return {"ports": sorted((port["port"], port["protocol"]) for port in found)}
