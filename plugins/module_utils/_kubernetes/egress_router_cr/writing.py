# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Writes the objects of a router, or asks the API server in a dry run what they would become."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ..._common.errors import Conflict
from ..._egress_router_cr import manifests, state
from ..._egress_router_cr.operator import DEPLOYMENT, RESOURCE
from ..._router.manifests import Manifest
from ..._router.router import Router
from ..cluster import Cluster
from .work import MANAGER, Step


class Writer:
    """`force`: takes fields over that somebody else owns."""

    def __init__(self, cluster: Cluster, force: bool) -> None:
        self.cluster = cluster
        self.force = force

    def resource(
        self, router: Router, manifest: Manifest, live: dict[str, Any] | None = None, dry_run: bool = False
    ) -> dict[str, Any]:
        """The list has the rules whoever changed them in between; another field of somebody else is a conflict."""
        where = (RESOURCE.name, router.namespace, router.name)
        force = self.force
        if live is not None:
            manifest = _same(manifest, live)
        if live is not None and not force:
            redirect = live["spec"].get("redirect", {})
            rest = {**manifest, "spec": {**manifest["spec"], "redirect": redirect}}
            self.cluster.apply(*where, rest, MANAGER, dry_run=True)
            force = True
        return self.cluster.apply(*where, manifest, MANAGER, force, dry_run)

    def deployment(
        self, router: Router, live: dict[str, Any], manifest: Manifest, dry_run: bool = False
    ) -> dict[str, Any]:
        where = ("Deployment", router.namespace, DEPLOYMENT)
        return self.cluster.apply(*where, _same(manifest, live), MANAGER, self.force, dry_run)

    def recreate(self, router: Router, deployment: dict[str, Any]) -> None:
        """From now on the old pod goes before the new one comes."""
        if not state.recreates(deployment):
            self.cluster.merge("Deployment", router.namespace, DEPLOYMENT, manifests.RECREATE, MANAGER, strategic=True)

    def service(self, router: Router, step: Step) -> None:
        """Creates, changes or removes the Service."""
        if step.manifest is None:
            with suppress(Conflict):
                self.cluster.delete("Service", router.namespace, step.name, uid=step.uid)
        else:
            self.cluster.apply("Service", router.namespace, step.name, step.manifest, MANAGER, self.force)
        step.done = True


def _same(manifest: Manifest, live: dict[str, Any]) -> Manifest:
    """With the uid it is a conflict, not a new object, if this one has been removed meanwhile."""
    return {**manifest, "metadata": {**manifest["metadata"], "uid": live["metadata"]["uid"]}}
