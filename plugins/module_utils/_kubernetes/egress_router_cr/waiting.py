# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Waits until the operator has made what the resource asks for, until the pod serves, or until all of it is gone."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from ..._common.concurrent import wait_until
from ..._common.errors import Forbidden, NotFound, NotReady
from ..._egress_router_cr import state
from ..._egress_router_cr.operator import DEPLOYMENT, NETWORK, RESOURCE, WAKE_UP
from ..._egress_router_cr.state import Live
from ..._router.router import Router
from ..change import Options
from ..pods import GRACE_SECONDS
from .reading import Reader
from .work import MANAGER, Work

# How long the operator has. It takes half a second, and looks at every resource again after five minutes.
OPERATOR_SECONDS = 60.0
# After this it is woken up: it may have missed that somebody removed what it had made.
WAKE_UP_SECONDS = 2.0


class Waiter:
    """NotReady, with the reason, if it waits in vain."""

    def __init__(self, reader: Reader, options: Options) -> None:
        self.reader = reader
        self.options = options
        self.cluster = reader.cluster

    def for_operator(self, work: Work) -> Live:
        router, started, woken = work.router, time.monotonic(), False
        # Where the resource has not changed, nothing else wakes it.
        patience = WAKE_UP_SECONDS if work.step(RESOURCE.name) else 0.0

        def done() -> Live | None:
            nonlocal woken
            live = self.reader.look_again(work)
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

    def for_pod(self, work: Work) -> None:
        """Waits until the pod serves as the resource asks for. NotReady with the reason if it does not."""
        router, seconds, since = work.router, self.options.wait_seconds, 0.0
        reason = problem = ""

        def done() -> bool | None:
            nonlocal reason, problem, since
            live = work.live = self.reader.look_again(work)
            reason, problem = state.waiting_for(live, router), ""
            if reason:
                problem = self.reader.problem(live)
                since = (since or time.monotonic()) if problem else 0.0
            # A problem that lasts does not pass by itself.
            stuck = problem and time.monotonic() - since >= min(GRACE_SECONDS, seconds)
            return True if not reason or stuck else None

        wait_until(done, seconds, interval=0.2)
        if reason:
            raise NotReady(f"router {router.id} does not serve: {problem or reason}")

    def until_gone(self, work: Work) -> None:
        router, seconds = work.router, self.options.wait_seconds
        left: list[str] = []

        def gone() -> bool | None:
            nonlocal left
            now = self.reader.look(router, None)
            others = [item for item in self.cluster.find(RESOURCE.name, router.namespace, metadata_only=True)
                      if item["metadata"].get("uid") != work.live.uid]  # fmt: skip
            left = list(_left(now, work.live.uid, others))
            return None if left else True

        if wait_until(gone, seconds) is None:
            raise NotReady(
                f"router {router.id} is not removed after {seconds:g} s: waiting for {', '.join(left)} to go"
            )

    def _wake_up(self, router: Router) -> None:
        fields = {"metadata": {"annotations": {WAKE_UP: self.cluster.request_value()}}}
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
