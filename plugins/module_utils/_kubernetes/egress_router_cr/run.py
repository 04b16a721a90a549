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

from contextlib import suppress
from typing import Any

from ..._common.errors import ApiError, Conflict, NotFound
from ..._egress_router_cr import manifests
from ..._egress_router_cr.operator import RESOURCE
from ..._router.router import Router
from .. import namespaces
from ..change import Change, Options, do_all, new_namespace
from ..cluster import Cluster
from .errors import advised
from .planning import Planner, deployment_is_ready, new_steps
from .reading import Reader
from .waiting import Waiter
from .work import Work
from .writing import Writer


class OperatorRun:
    """One call, for the routers with this backend."""

    def __init__(self, cluster: Cluster, routers: list[Router], options: Options) -> None:
        self.cluster = cluster
        self.options = options
        self.reader = Reader(cluster)
        self.writer = Writer(cluster, options.force_conflicts)
        self.planner = Planner(self.reader, self.writer)
        self.waiter = Waiter(self.reader, options)
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
        do_all(self.reader.read, self.works)
        present = [work for work in self.works if work.router.present]
        self.missing = namespaces.missing(
            self.cluster, [work.router.namespace for work in present if not work.resources]
        )
        going = {work.router.key for work in self.works if not work.router.present}

        def one(work: Work) -> None:
            if not work.router.present:
                self.planner.plan_removal(work)
            elif work.router.namespace in self.missing:
                namespaces.predict(self.cluster, work.router.namespace, self.options)
                work.steps = list(new_steps(work.router))
            else:
                self.planner.refuse_neighbours(work, going)
                self.planner.plan(work)

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

    def _remove(self, work: Work) -> None:
        """The resource, then what was made of it and the pods, then the Service."""
        for step in work.steps:
            # A conflict: it is another object by now, which nobody asked to remove.
            with suppress(Conflict):
                self.cluster.delete(step.kind, work.router.namespace, step.name, uid=step.uid)
            if step.kind == RESOURCE.name:
                self.waiter.until_gone(work)
            step.done = True

    def _apply(self, work: Work) -> None:
        router = work.router
        try:
            if work.changes:
                self._change(work)
            if self.options.wait:
                self.waiter.for_pod(work)
                work.serves = True
            for step in work.changes:
                if step.kind == "Service":
                    self.writer.service(router, step)
        except (Conflict, NotFound) as error:
            if work.live.resource is not None:
                # Is it still there? What was made of it has gone, or is another one.
                self.reader.look_again(work)
            raise advised(error, router) from error
        except ApiError as error:
            raise advised(error, router) from error

    def _change(self, work: Work) -> None:
        """The resource, what the operator makes of it, and the Deployment."""
        router, live = work.router, work.live
        resource, network, deployment = (
            work.step(kind) for kind in (RESOURCE.name, "NetworkAttachmentDefinition", "Deployment")
        )
        if (resource or network) and live.deployment is not None:
            # A change of the gateway makes a new pod at once, and it must not run beside the old one.
            self.writer.recreate(router, live.deployment)
        if resource and resource.manifest:
            live.resource = self.writer.resource(router, resource.manifest, live.resource)
            resource.done = True
        self.settle(work)
        for step in (network, deployment):
            if step:
                step.done = True

    def settle(self, work: Work) -> None:
        """Waits until the operator has made what the resource asks for, and has the pod made anew if it has to be."""
        live = work.live = self.waiter.for_operator(work)
        manifest = work.deployment(live)
        if live.deployment is not None and not deployment_is_ready(live.deployment, manifest):
            self.writer.recreate(work.router, live.deployment)
            self.writer.deployment(work.router, live.deployment, manifest)
