# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The router's Lease, as the failover protocol and the agent read and write it.

    spec.holderIdentity, leaseTransitions     the holder, and its term
    annotations egress.router/*               the holder's status, in which `successor` is the protocol's; and `writer`, `standby`,
                                              `successor-ip`, by which a restarted holder finds its successor

Requests are threads of their own: each may hang for as long as its timeout, and nobody waits for it. So is the watch, which brings
wishes of people at once.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from ansible_collections.egress.router.plugins.module_utils._contract.names import ANNOTATION_PREFIX, HAND_OVER, HOLD
from ansible_collections.egress.router.plugins.module_utils._contract.status import STOPPED, Status

from ..config import Config
from ..failover.protocol import Announce, Lease, Swap
from ..log import Problem
from . import life
from .kube import WATCH_SECONDS, ApiError, Kube

WRITER = ANNOTATION_PREFIX + "writer"
STANDBY = ANNOTATION_PREFIX + "standby"
SUCCESSOR_IP = ANNOTATION_PREFIX + "successor-ip"
# After a watch that failed: so often the Lease is asked for instead.
_WATCH_RETRY_SECONDS = 1.0
# The watch ends by itself, or times out, within this.
_WATCH_ROUND_SECONDS = 3.0 * WATCH_SECONDS


class Found(NamedTuple):
    """The Lease as somebody read it. `on_hold`, `hand_over`: what people want of the holder, see names.

    `successor_ip`: the successor's cluster address, empty if the holder did not know it.
    """

    lease: Lease
    status: Status
    on_hold: bool
    hand_over: str
    successor_ip: str = ""

    @classmethod
    def read(cls, body: dict[str, Any]) -> Found:
        """What is in a Lease object as the API returns it."""
        spec = body.get("spec") or {}
        annotations = body["metadata"].get("annotations") or {}
        status = Status.from_lease(body)
        lease = Lease(
            body["metadata"]["resourceVersion"],
            spec.get("holderIdentity") or "",
            status.successor,
            int(spec.get("leaseTransitions") or 0),
            annotations.get(WRITER, ""),
            annotations.get(STANDBY, ""),
        )
        return cls(
            lease, status, HOLD in annotations, annotations.get(HAND_OVER, ""), annotations.get(SUCCESSOR_IP, "")
        )


# The number of the request, and what the API server answered.
Answered = Callable[[int, "Found | ApiError"], None]


class Leases:
    """Requests of one router's Lease; each answer is given to `answered`, in the request's own thread.

    `watching`: the watch brings changes, as far as is known: of a connection that is dead, nothing is for a while.
    """

    def __init__(self, kube: Kube, config: Config, answered: Answered) -> None:
        self._kube = kube
        self._config = config
        self._answered = answered
        self.watching = False

    def look(self, request: int) -> None:
        """Read it."""
        self._begin(request, self._kube.lease)

    def watch(self, seen: Callable[[Found], None]) -> None:
        """Call `seen` with it now and after each change, in a thread of its own. Where it cannot be watched, every second."""
        threading.Thread(target=self._watch, args=(seen,), name="lease-watch", daemon=True).start()

    def _watch(self, seen: Callable[[Found], None]) -> None:
        problem = Problem("lease-watch-failed")
        while True:
            life.beat(_WATCH_ROUND_SECONDS)
            try:
                for number, body in enumerate(self._kube.watch_lease()):
                    life.beat(_WATCH_ROUND_SECONDS)
                    if number:
                        # The first one was asked for.
                        problem.note()
                        self.watching = True
                    if body is not None:
                        seen(Found.read(body))
            except ApiError as error:
                self.watching = False
                problem.note(str(error))
                time.sleep(_WATCH_RETRY_SECONDS)

    def swap(self, action: Swap, status: Status, acquired: bool, successor_ip: str = "") -> None:
        """Write it if it is still at the action's version, with the holder's status; `acquired`: it had another holder."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if action.holder:
            status = replace(status, successor=action.successor)
            spec: dict[str, Any] = {
                "holderIdentity": action.holder,
                "leaseDurationSeconds": self._config.failover.lease_seconds,
                "renewTime": now,
                **({"acquireTime": now} if acquired else {}),
            }
        else:
            status = replace(status, state=STOPPED, addresses="", mac="", successor="", successor_error="", error="")
            spec = {"holderIdentity": None}
        annotations = {**status.annotations(), WRITER: action.writer, SUCCESSOR_IP: successor_ip}
        metadata = {"resourceVersion": action.version, "annotations": annotations}
        patch = {"metadata": metadata, "spec": {**spec, "leaseTransitions": action.term}}
        self._begin(action.request, lambda: self._kube.patch_lease(patch))

    def announce(self, action: Announce) -> None:
        """Write that a pod waits for it, if it is still at the action's version."""
        patch = {"metadata": {"resourceVersion": action.version, "annotations": {STANDBY: action.standby}}}
        self._begin(action.request, lambda: self._kube.patch_lease(patch))

    def tell(self, request: int, version: Any, status: Status) -> None:
        """Write the status of a pod that cannot be the holder, while there is none: somebody will look for the reason."""
        patch = {"metadata": {"resourceVersion": version, "annotations": replace(status, successor="").annotations()}}
        self._begin(request, lambda: self._kube.patch_lease(patch))

    def _begin(self, request: int, call: Callable[[], dict[str, Any]]) -> None:
        threading.Thread(target=self._run, args=(request, call), name="lease", daemon=True).start()

    def _run(self, request: int, call: Callable[[], dict[str, Any]]) -> None:
        answer: Found | ApiError
        try:
            answer = Found.read(call())
        except ApiError as error:
            answer = error
        self._answered(request, answer)
