# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Finds out what has to become of the objects of a router, and refuses what cannot be, before anything is changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..._common.errors import ApiError, Immutable, InputError
from ..._contract import names
from ..._egress_router_cr import manifests, state
from ..._egress_router_cr.operator import APP_NAME, DEPLOYMENT, NETWORK, RESOURCE
from ..._egress_router_cr.state import Live
from ..._router.manifests import KIND, Manifest
from ..._router.router import Router
from ..change import Change
from ..managed_fields import LABELS, extract, in_force, owned_fields, union
from ..selection import router_of
from .errors import advised
from .reading import Reader
from .work import MANAGER, Step, Work
from .writing import Writer

_UID_OF_NOBODY = ""


class Planner:
    """Notes the steps of each router in its work."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self.reader = reader
        self.writer = writer
        self.cluster = reader.cluster

    def refuse_neighbours(self, work: Work, going: set[tuple[str, str]]) -> None:
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

    def plan(self, work: Work) -> None:
        router, live = work.router, work.live
        try:
            self._plan_resource(work)
            work.steps.append(_network_step(router, live))
            self._plan_deployment(work)
            self._plan_services(work)
        except ApiError as error:
            raise advised(error, router) from error
        work.serves = not work.changes and not state.waiting_for(live, router)

    def plan_removal(self, work: Work) -> None:
        router, resource = work.router, work.live.resource
        # What is not ours stays.
        if resource is not None and (router_of(resource) == router.key or owned_fields(resource, MANAGER)):
            work.steps.append(_removal(RESOURCE.name, resource))
        work.steps += [_removal("Service", item) for item in work.services]
        for step in work.steps:
            try:
                self.cluster.delete(step.kind, router.namespace, step.name, dry_run=True)
            except ApiError as error:
                raise advised(error, router) from error

    def _plan_resource(self, work: Work) -> None:
        router, live, manifest = work.router, work.live.resource, manifests.resource(work.router)
        step = Step(RESOURCE.name, router.name, Change(f"{RESOURCE.name} {router.id}"), manifest)
        work.steps.append(step)
        if live is None:
            self.writer.resource(router, manifest, dry_run=True)
            step.change = Change(step.change.title, None, manifest)
        elif not in_force(manifest, live, MANAGER):
            after = self.writer.resource(router, manifest, live, dry_run=True)
            step.change = _planned(step, RESOURCE.api_version, live, after)

    def _plan_deployment(self, work: Work) -> None:
        router, live = work.router, work.live
        manifest = work.deployment(live)
        step = Step("Deployment", DEPLOYMENT, Change(f"Deployment {router.namespace}/{DEPLOYMENT}"), manifest)
        work.steps.append(step)
        if live.deployment is None or not state.belongs_to(live.deployment, live.uid):
            step.change = Change(step.change.title, None, _recreating(manifest))
        elif not deployment_is_ready(live.deployment, manifest):
            after = self.writer.deployment(router, live.deployment, manifest, dry_run=True)
            change = _planned(step, KIND["Deployment"].api_version, live.deployment, after)
            strategy = (live.deployment["spec"].get("strategy") or {}).get("type")
            step.change = Change(
                change.title, _recreating(change.before or {}, strategy), _recreating(change.after or {})
            )

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
            live = self.reader.get("Service", router.namespace, wanted)
            if live is not None and not _lost_its_labels(live, router):
                raise _foreign_service(router, title)
        if live is not None and in_force(manifest, live, MANAGER):
            return
        after = self.cluster.apply("Service", router.namespace, wanted, manifest, MANAGER, self.writer.force, True)
        if (after["spec"].get("clusterIP") == "None") is not router.service.headless:
            # The API server keeps the old value instead of refusing the new one.
            raise Immutable(f"service.headless has changed: this field cannot change, delete {title} and run again")
        step.change = _planned(step, "v1", live, after) if live else Change(title, None, manifest)


def new_steps(router: Router) -> Iterable[Step]:
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


def deployment_is_ready(live: dict[str, Any], manifest: Manifest) -> bool:
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


def _lost_its_labels(service: dict[str, Any], router: Router) -> bool:
    labels = service["metadata"].get("labels") or {}
    ours = {names.LABEL_NAME: APP_NAME, names.LABEL_INSTANCE: router.name}
    return bool(owned_fields(service, MANAGER)) and all(labels.get(key) in (None, value) for key, value in ours.items())


def _foreign_service(router: Router, title: str) -> InputError:
    return InputError(
        f"router {router.id}: {title} exists already and does not belong to this router: remove it, or give the router or its service "
        "another name"
    )
