# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The backend egress_router_cr: EgressRouter resources, of which OpenShift's Cluster Network Operator makes the pods.

The operator says nothing of what it does, restarts no pod when rules or the address change, and lets a new pod run beside the old
one. Hence the order: make sure that the old pod goes before the new one comes, apply the resource, wait until network and
Deployment are those of the resource, change the Deployment so that the pod is made anew, wait for the pod, then the Service.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .._common.concurrent import wait_until
from .._common.errors import (
    ApiError,
    Conflict,
    Denied,
    EgressError,
    Forbidden,
    Immutable,
    InputError,
    NotFound,
    NotReady,
)
from .._contract import names
from .._egress_router_cr import manifests, state
from .._egress_router_cr.operator import APP_NAME, DEPLOYMENT, NETWORK, POD_SELECTOR, RESOURCE, SELECTOR, WAKE_UP
from .._egress_router_cr.state import Live
from .._router.manifests import KIND, Manifest
from .._router.router import Router
from . import namespaces
from .change import Change, Options, do_all, new_namespace
from .cluster import Cluster
from .managed_fields import LABELS, extract, in_force, owned_fields, union
from .pods import GRACE_SECONDS, pod_problem, waits_for_sandbox
from .selection import router_of

MANAGER = names.FIELD_MANAGER_DEPLOY
# How long the operator has. It takes half a second, and looks at every resource again after five minutes.
OPERATOR_SECONDS = 60.0
# After this it is woken up: it may have missed that somebody removed what it had made.
WAKE_UP_SECONDS = 2.0
_UID_OF_NOBODY = ""


@dataclass
class Step:
    """What becomes of one object."""

    kind: str
    name: str
    change: Change
    # None: it is removed.
    manifest: Manifest | None = None
    uid: str = ""
    done: bool = False

    @property
    def verb(self) -> str:
        """What is done to it."""
        if self.change.after is None:
            return "removed"
        return "created" if self.change.before is None else "modified"


@dataclass
class Work:
    """One router, as it is and as it is to be."""

    router: Router
    live: Live = field(default_factory=Live)
    # Services of the router, and all EgressRouters of its namespace.
    services: list[dict[str, Any]] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    # Whether it serves as the list has it.
    serves: bool = False

    @property
    def changes(self) -> list[Step]:
        return [step for step in self.steps if step.change.changed]

    def deployment(self, live: Live) -> Manifest:
        """The fields of the Deployment that are the collection's, as they are to be."""
        return manifests.deployment(self.router, state.restart_mark(live, self.router))

    def step(self, kind: str) -> Step | None:
        """What is to be done to the object of a kind; None: nothing."""
        return next((step for step in self.changes if step.kind == kind and step.manifest), None)


class OperatorRun:
    """One call, for the routers with this backend."""

    def __init__(self, cluster: Cluster, routers: list[Router], options: Options) -> None:
        self.cluster = cluster
        self.options = options
        self.works = [Work(router) for router in routers]
        self.missing: list[str] = []
        self.created: list[str] = []

    @property
    def changes(self) -> list[Change]:
        """What changes, in the order in which it is done."""
        steps = [step.change for work in self.works for step in work.changes]
        return [*(new_namespace(name) for name in self.missing), *steps]

    @property
    def warnings(self) -> list[str]:
        """What routers ask for without effect."""
        return [warning for work in self.works if work.router.present for warning in manifests.warnings(work.router)]

    def describe(self, router: Router) -> dict[str, Any]:
        """What the module router returns of one router."""
        work = next(work for work in self.works if work.router.key == router.key)
        objects = [{"kind": step.kind, "name": step.name, "change": step.verb} for step in work.changes]
        return {
            "name": router.name,
            "namespace": router.namespace,
            "state": router.state,
            "changed": bool(objects),
            "objects": objects,
            "rules_live": work.serves,
        }

    def plan(self) -> None:
        """Finds out what is to be done. An error with all problems, if the API server would not do something."""
        do_all(self.read, self.works)
        present = [work for work in self.works if work.router.present]
        self.missing = namespaces.missing(
            self.cluster, [work.router.namespace for work in present if not work.resources]
        )
        going = {work.router.key for work in self.works if not work.router.present}

        def one(work: Work) -> None:
            if not work.router.present:
                self._plan_removal(work)
            elif work.router.namespace in self.missing:
                namespaces.predict(self.cluster, work.router.namespace, self.options)
                work.steps = list(_new_steps(work.router))
            else:
                self._refuse_neighbours(work, going)
                self._plan(work)

        do_all(one, self.works)

    def remove(self) -> None:
        """Removes what is absent, so that it is gone before another router takes its address or its namespace."""
        do_all(self._remove, [work for work in self.works if not work.router.present])

    def apply(self) -> None:
        """Makes the others what the list says, and waits."""
        for name in self.missing:
            namespaces.create(self.cluster, name)
            self.created.append(f"Namespace {name}")
        do_all(self._apply, [work for work in self.works if work.router.present])

    def stop(self) -> tuple[list[str], list[str]]:
        """After an error: what was done and what was not, which is no change."""
        steps = [step for work in self.works for step in work.changes]
        done = [*self.created, *(step.change.title for step in steps if step.done)]
        open_ = [step.change.title for step in steps if not step.done]
        for step in steps:
            if not step.done:
                step.change = Change(step.change.title)
        self.missing = [name for name in self.missing if f"Namespace {name}" in self.created]
        return done, open_

    # Reading.

    def read(self, work: Work) -> None:
        """Everything that there is of a router, and in its namespace."""
        router = work.router
        try:
            work.resources = self.cluster.find(RESOURCE.name, router.namespace)
        except NotFound as error:
            if not router.present:
                return  # What the cluster does not know needs no removal.
            raise InputError(
                f"router {router.id}: the API server does not know the kind {RESOURCE.name}: backend {router.backend} needs "
                "OpenShift and its Cluster Network Operator, use backend agent elsewhere"
            ) from error
        except Forbidden as error:
            raise _without_role(error) from error
        found = [item for item in work.resources if item["metadata"]["name"] == router.name]
        work.live = self._look(router, found[0] if found else None)
        labels = f"{SELECTOR},{names.LABEL_INSTANCE}={router.name}"
        work.services = self.cluster.find("Service", router.namespace, labels=labels)

    def _look(self, router: Router, resource: dict[str, Any] | None) -> Live:
        """The operator's objects as they are now."""
        return Live(
            resource,
            self._get(KIND["NetworkAttachmentDefinition"].name, router.namespace, NETWORK),
            self._get("Deployment", router.namespace, DEPLOYMENT),
            self._pods(router.namespace),
        )

    def _pods(self, namespace: str) -> list[dict[str, Any]]:
        return self.cluster.find("Pod", namespace, labels=POD_SELECTOR)

    def _get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        try:
            return self.cluster.get(kind, namespace, name)
        except NotFound:
            return None
        except Forbidden as error:
            raise _without_role(error) from error

    def _look_again(self, work: Work) -> Live:
        """The same during a run. NotReady if the resource is not the one that was applied any more."""
        router = work.router
        resource = self._get(RESOURCE.name, router.namespace, router.name)
        if resource is None or resource["metadata"]["uid"] != work.live.uid:
            raise NotReady(
                f"router {router.id}: its {RESOURCE.name} was removed by somebody during the run, and its pod with it: run again"
            )
        return self._look(router, resource)

    # Planning.

    def _refuse_neighbours(self, work: Work, going: set[tuple[str, str]]) -> None:
        """Two resources of a namespace take each other's objects away, and two routers of the same name have the same address."""
        router = work.router
        others = [
            item["metadata"]["name"]
            for item in work.resources
            if item["metadata"]["name"] != router.name and router_of(item) not in going
        ]
        if others:
            raise InputError(
                f"router {router.id}: namespace {router.namespace} has {RESOURCE.name} {', '.join(sorted(others))} already, and the "
                "operator makes the pod of one in a namespace: remove it, or give the router a namespace of its own"
            )
        resource = work.live.resource
        if resource is not None and router_of(resource) != router.key and not owned_fields(resource, MANAGER):
            raise InputError(
                f"router {router.id}: {RESOURCE.name} {router.id} exists already and does not belong to this router: remove it, or "
                "give the router another namespace"
            )
        labels = f"{names.SELECTOR},{names.LABEL_INSTANCE}={router.name}"
        if work.live.resource is None and self.cluster.find("Pod", router.namespace, labels=labels, metadata_only=True):
            raise InputError(
                f"router {router.id}: its pods of backend agent are there: run once with that backend and state: absent, then create "
                "it with this one"
            )

    def _plan(self, work: Work) -> None:
        router, live = work.router, work.live
        try:
            self._plan_resource(work)
            work.steps.append(_network_step(router, live))
            self._plan_deployment(work)
            self._plan_services(work)
        except ApiError as error:
            raise _advised(error, router) from error
        work.serves = not work.changes and not state.waiting_for(live, router)

    def _plan_resource(self, work: Work) -> None:
        router, live, manifest = work.router, work.live.resource, manifests.resource(work.router)
        step = Step(RESOURCE.name, router.name, Change(f"{RESOURCE.name} {router.id}"), manifest)
        work.steps.append(step)
        if live is None:
            self._apply_resource(router, manifest, dry_run=True)
            step.change = Change(step.change.title, None, manifest)
        elif not in_force(manifest, live, MANAGER):
            after = self._apply_resource(router, manifest, live, dry_run=True)
            step.change = _planned(step, RESOURCE.api_version, live, after)

    def _apply_resource(
        self, router: Router, manifest: Manifest, live: dict[str, Any] | None = None, dry_run: bool = False
    ) -> dict[str, Any]:
        """The list has the rules whoever changed them in between; another field of somebody else is a conflict."""
        where = (RESOURCE.name, router.namespace, router.name)
        force = self.options.force_conflicts
        if live is not None and not force:
            redirect = live["spec"].get("redirect", {})
            rest = {**manifest, "spec": {**manifest["spec"], "redirect": redirect}}
            self.cluster.apply(*where, rest, MANAGER, dry_run=True)
            force = True
        return self.cluster.apply(*where, manifest, MANAGER, force, dry_run)

    def _plan_deployment(self, work: Work) -> None:
        router, live = work.router, work.live
        manifest = work.deployment(live)
        step = Step("Deployment", DEPLOYMENT, Change(f"Deployment {router.namespace}/{DEPLOYMENT}"), manifest)
        work.steps.append(step)
        if live.deployment is None or not state.belongs_to(live.deployment, live.uid):
            step.change = Change(step.change.title, None, _recreating(manifest))
        elif not _deployment_is_ready(live.deployment, manifest):
            after = self._apply_deployment(router, live.deployment, manifest, dry_run=True)
            change = _planned(step, KIND["Deployment"].api_version, live.deployment, after)
            strategy = (live.deployment["spec"].get("strategy") or {}).get("type")
            step.change = Change(
                change.title, _recreating(change.before or {}, strategy), _recreating(change.after or {})
            )

    def _apply_deployment(
        self, router: Router, live: dict[str, Any], manifest: Manifest, dry_run: bool = False
    ) -> dict[str, Any]:
        # With the uid it is a conflict, not a new object, if the operator has made another one meanwhile.
        fields = {**manifest, "metadata": {**manifest["metadata"], "uid": live["metadata"]["uid"]}}
        where = ("Deployment", router.namespace, DEPLOYMENT)
        return self.cluster.apply(*where, fields, MANAGER, self.options.force_conflicts, dry_run)

    def _plan_services(self, work: Work) -> None:
        router, manifest = work.router, manifests.service(work.router)
        wanted = manifest["metadata"]["name"] if manifest else ""
        work.steps += [_removal("Service", item) for item in work.services if item["metadata"]["name"] != wanted]
        if manifest is None:
            return
        live = next((item for item in work.services if item["metadata"]["name"] == wanted), None)
        title = f"Service {router.namespace}/{wanted}"
        step = Step("Service", wanted, Change(title), manifest)
        work.steps.append(step)
        if live is None:
            # One of ours may have lost its labels.
            live = self._get("Service", router.namespace, wanted)
            if live is not None and not _lost_its_labels(live, router):
                raise _foreign_service(router, title)
        if live is not None and in_force(manifest, live, MANAGER):
            return
        after = self.cluster.apply(
            "Service", router.namespace, wanted, manifest, MANAGER, self.options.force_conflicts, True
        )
        if (after["spec"].get("clusterIP") == "None") is not router.service.headless:
            # The API server keeps the old value instead of refusing the new one.
            raise Immutable(f"service.headless has changed: this field cannot change, delete {title} and run again")
        step.change = _planned(step, "v1", live, after) if live else Change(title, None, manifest)

    def _plan_removal(self, work: Work) -> None:
        router, resource = work.router, work.live.resource
        # What is not ours stays.
        if resource is not None and (router_of(resource) == router.key or owned_fields(resource, MANAGER)):
            work.steps.append(_removal(RESOURCE.name, resource))
        work.steps += [_removal("Service", item) for item in work.services]
        for step in work.steps:
            try:
                self.cluster.delete(step.kind, router.namespace, step.name, dry_run=True)
            except ApiError as error:
                raise _advised(error, router) from error

    # Doing.

    def _remove(self, work: Work) -> None:
        """The resource, then what was made of it and the pods, then the Service."""
        for step in work.steps:
            # A conflict: it is another object by now, which nobody asked to remove.
            with suppress(Conflict):
                self.cluster.delete(step.kind, work.router.namespace, step.name, uid=step.uid)
            if step.kind == RESOURCE.name:
                self._wait_until_gone(work)
            step.done = True

    def _wait_until_gone(self, work: Work) -> None:
        router, seconds = work.router, self.options.wait_seconds
        left: list[str] = []

        def gone() -> bool | None:
            nonlocal left
            now = self._look(router, None)
            others = [item for item in self.cluster.find(RESOURCE.name, router.namespace, metadata_only=True)
                      if item["metadata"].get("uid") != work.live.uid]  # fmt: skip
            left = list(_left(now, work.live.uid, others))
            return None if left else True

        if wait_until(gone, seconds) is None:
            raise NotReady(
                f"router {router.id} is not removed after {seconds:g} s: waiting for {', '.join(left)} to go"
            )

    def _apply(self, work: Work) -> None:
        router = work.router
        try:
            if work.changes:
                self._change(work)
            if self.options.wait:
                self.wait_for_pod(work)
                work.serves = True
            for step in work.changes:
                if step.kind == "Service":
                    self.apply_service(router, step)
        except (Conflict, NotFound) as error:
            if work.live.resource is not None:
                # Is it still there? What was made of it has gone, or is another one.
                self._look_again(work)
            raise _advised(error, router) from error
        except ApiError as error:
            raise _advised(error, router) from error

    def _change(self, work: Work) -> None:
        """The resource, what the operator makes of it, and the Deployment."""
        router, live = work.router, work.live
        resource, network, deployment = (
            work.step(kind) for kind in (RESOURCE.name, "NetworkAttachmentDefinition", "Deployment")
        )
        if (resource or network) and live.deployment is not None:
            # A change of the gateway makes a new pod at once, and it must not run beside the old one.
            self._recreate(router, live.deployment)
        if resource and resource.manifest:
            live.resource = self._apply_resource(router, resource.manifest, live.resource)
            resource.done = True
        self.settle(work)
        for step in (network, deployment):
            if step:
                step.done = True

    def settle(self, work: Work) -> None:
        """Waits until the operator has made what the resource asks for, and has the pod made anew if it has to be."""
        live = work.live = self._wait_for_operator(work)
        manifest = work.deployment(live)
        if live.deployment is not None and not _deployment_is_ready(live.deployment, manifest):
            self._recreate(work.router, live.deployment)
            self._apply_deployment(work.router, live.deployment, manifest)

    def _recreate(self, router: Router, deployment: dict[str, Any]) -> None:
        """From now on the old pod goes before the new one comes."""
        if not state.recreates(deployment):
            self.cluster.merge("Deployment", router.namespace, DEPLOYMENT, manifests.RECREATE, MANAGER, strategic=True)

    def _wait_for_operator(self, work: Work) -> Live:
        router, started, woken = work.router, time.monotonic(), False
        # Where the resource has not changed, nothing else wakes it.
        patience = WAKE_UP_SECONDS if work.step(RESOURCE.name) else 0.0

        def done() -> Live | None:
            nonlocal woken
            live = self._look_again(work)
            if state.operator_is_done(live, router):
                return live
            if not woken and time.monotonic() - started >= patience:
                woken = True
                self._wake_up(router)
            return None

        seconds = min(OPERATOR_SECONDS, self.options.wait_seconds) if self.options.wait else OPERATOR_SECONDS
        found = wait_until(done, seconds)
        if found is None:
            raise NotReady(
                f"router {router.id}: the Cluster Network Operator has not reacted to {RESOURCE.name} {router.id} within {seconds:g} s: "
                f"{self._operators_word(router)}"
            )
        return found

    def _wake_up(self, router: Router) -> None:
        now = self.cluster.now().isoformat(timespec="seconds")
        fields = {"metadata": {"annotations": {WAKE_UP: now}}}
        self.cluster.merge(RESOURCE.name, router.namespace, router.name, fields, MANAGER)

    def _operators_word(self, router: Router) -> str:
        try:
            found = self.cluster.get("ClusterOperator", "", "network")
        except NotFound:
            return "there is no ClusterOperator network, so it does not seem to run on this cluster"
        except Forbidden:
            return "why is not known, because the identity in use may not read ClusterOperator network (oc get clusteroperator network)"
        said = state.degraded(found, router)
        return (
            f"it says: {said}"
            if said
            else "it says nothing of this router, see its pod in namespace openshift-network-operator"
        )

    def wait_for_pod(self, work: Work) -> None:
        """Waits until the pod serves as the resource asks for. NotReady with the reason if it does not."""
        router, seconds, since = work.router, self.options.wait_seconds, 0.0
        reason = problem = ""

        def done() -> bool | None:
            nonlocal reason, problem, since
            live = work.live = self._look_again(work)
            reason, problem = state.waiting_for(live, router), ""
            if reason:
                problem = self.problem(live)
                since = (since or time.monotonic()) if problem else 0.0
            # A problem that lasts does not pass by itself.
            stuck = problem and time.monotonic() - since >= min(GRACE_SECONDS, seconds)
            return True if not reason or stuck else None

        wait_until(done, seconds, interval=0.2)
        if reason:
            raise NotReady(f"router {router.id} does not serve: {problem or reason}")

    def problem(self, live: Live) -> str:
        """What keeps the pod from running and does not pass by itself; empty if nothing is known."""
        refused = state.refused(live.deployment)
        if refused:
            return f"the API server refuses to create its pod: {refused}"
        for pod in live.pods:
            if not state.is_ending(pod):
                found = pod_problem(pod, self._events(pod))
                if found:
                    return state.explained(found, pod)
        return ""

    def _events(self, pod: dict[str, Any]) -> list[dict[str, Any]]:
        if not waits_for_sandbox(pod):
            return []
        fields = f"involvedObject.name={pod['metadata']['name']},type=Warning"
        try:
            return self.cluster.find("Event", pod["metadata"]["namespace"], fields=fields)
        except Forbidden:
            return []

    def apply_service(self, router: Router, step: Step) -> None:
        """Creates, changes or removes the Service."""
        if step.manifest is None:
            with suppress(Conflict):
                self.cluster.delete("Service", router.namespace, step.name, uid=step.uid)
        else:
            force = self.options.force_conflicts
            self.cluster.apply("Service", router.namespace, step.name, step.manifest, MANAGER, force)
        step.done = True


def _new_steps(router: Router) -> Iterable[Step]:
    """All that a router is made of, where there is nothing and nothing can be asked."""
    yield _new_step(router, manifests.resource(router))
    yield _network_step(router, Live())
    yield _new_step(router, _recreating(manifests.deployment(router)))
    service = manifests.service(router)
    if service:
        yield _new_step(router, service)


def _new_step(router: Router, manifest: Manifest) -> Step:
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    return Step(kind, name, Change(f"{kind} {router.namespace}/{name}", None, manifest), manifest)


def _network_step(router: Router, live: Live) -> Step:
    """What the operator is to write, as far as it is the router's."""
    kind = KIND["NetworkAttachmentDefinition"]
    before = state.forwarded(live.network) if state.belongs_to(live.network, live.uid) else None

    def shown(found: dict[str, Any] | None) -> Manifest | None:
        metadata = {"name": NETWORK, "namespace": router.namespace}
        return found and {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "metadata": metadata,
            "spec": {"config": {"ip": found}},
        }

    after = manifests.forwarding(router)
    return Step(
        kind.name,
        NETWORK,
        Change(f"{kind.name} {router.namespace}/{NETWORK}", shown(before), shown(after)),
        shown(after),
    )


def _deployment_is_ready(live: dict[str, Any], manifest: Manifest) -> bool:
    return state.recreates(live) and in_force(manifest, live, MANAGER)


def _recreating(shown: Manifest, strategy: str | None = "Recreate") -> Manifest:
    """A Deployment with its strategy, which is not in what is applied."""
    return {**shown, "spec": {"strategy": {"type": strategy}, **shown.get("spec", {})}}


def _planned(step: Step, api_version: str, live: dict[str, Any], after: dict[str, Any]) -> Change:
    """The fields that are ours, before and after."""
    owned = union(owned_fields(live, MANAGER), owned_fields(after, MANAGER))
    identity = {"apiVersion": api_version, "kind": step.kind}
    before, new = (extract({**item, **identity}, owned) for item in (live, after))
    return Change(step.change.title, before, new)


def _removal(kind: str, item: dict[str, Any]) -> Step:
    metadata = item["metadata"]
    owned = owned_fields(item, MANAGER) or LABELS
    before = extract({**item, "kind": kind}, owned)
    change = Change(f"{kind} {metadata['namespace']}/{metadata['name']}", before)
    return Step(kind, metadata["name"], change, uid=metadata.get("uid") or _UID_OF_NOBODY)


def _left(now: Live, uid: str, others: list[dict[str, Any]]) -> Iterable[str]:
    """What is still there of a resource that was removed. `others`: resources that the operator may make the same objects of."""
    for item, name in (
        (now.network, f"NetworkAttachmentDefinition {NETWORK}"),
        (now.deployment, f"Deployment {DEPLOYMENT}"),
    ):
        if item is not None and (not others or state.belongs_to(item, uid)):
            yield name
    for pod in now.pods if not others else ():
        yield f"pod {pod['metadata']['name']} on node {(pod.get('spec') or {}).get('nodeName') or 'none'}"


def _lost_its_labels(service: dict[str, Any], router: Router) -> bool:
    labels = service["metadata"].get("labels") or {}
    ours = {names.LABEL_NAME: APP_NAME, names.LABEL_INSTANCE: router.name}
    return bool(owned_fields(service, MANAGER)) and all(labels.get(key) in (None, value) for key, value in ours.items())


def _foreign_service(router: Router, title: str) -> InputError:
    return InputError(
        f"router {router.id}: {title} exists already and does not belong to this router: remove it, or give the router or its service "
        "another name"
    )


def _without_role(error: Forbidden) -> Forbidden:
    return Forbidden(
        f"{error}, or have a cluster-admin apply {manifests.ROLES_FILE}, which the playbook egress.router.render writes, and bind ClusterRole "
        f"{manifests.CLUSTER_ROLE} in the namespace"
    )


def _advised(error: ApiError, router: Router) -> EgressError:
    """The error with its router and with what to do about it."""
    if isinstance(error, Forbidden):
        return error if isinstance(error, Denied) else _without_role(error)
    said = f"router {router.id}: {error}"
    if isinstance(error, Conflict):
        return Conflict(
            f"{said}: another field manager owns these fields, set force_conflicts (of the role: deploy_force_conflicts) to true to "
            "take them over"
        )
    return ApiError(said)
