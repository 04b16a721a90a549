# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one thread that writes to the API server: the Lease with the status, and the endpoints of the serving pod.

It may hang in a request for as long as the request's timeout; rules, repairs and the fence do not wait for it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.status import Status

from ..config import Config
from ..log import Problem, event
from . import life
from .endpoints import NOBODY
from .kube import ApiError, Kube, Timeout
from .lease import Elector

# Published again after this, in case somebody else changed the slices.
REPUBLISH_SECONDS = 30.0
# While the router is on hold: how often the Lease is read. When the hold is lifted, clients are waiting.
HOLD_SECONDS = 0.5
# All requests of one round time out within this.
ROUND_SECONDS = 60.0


class Reporter:
    """Calls `changed` when the lease was acquired, renewed or lost, and when publishing succeeded or failed.

    `lease_error`, `publish_error`: why the last attempt to renew the lease or to publish the endpoints failed; empty if it
    did not.
    """

    def __init__(self, config: Config, kube: Kube, elector: Elector, changed: Callable[[], None]) -> None:
        self._config = config
        self._kube = kube
        self._elector = elector
        self._changed = changed
        self._wake = threading.Event()
        self._stopping = False
        self._patches: dict[int, dict[str, Any]] = {}
        self._patched: dict[int, dict[str, Any]] = {}
        self._patched_at = 0.0
        # Of the slices, by family. With it in each patch, a late one of a pod that serves no more changes nothing.
        self._versions: dict[int, str] = {}
        self._lease_problem = Problem("lease-failed")
        self._publish_problem = Problem("publish-failed")
        self.started = False
        self.lease_error = ""
        self.publish_error = ""

    def start(self, status: Callable[[], Status]) -> None:
        """Compete for the lease and report `status` from now on."""
        self.started = True
        threading.Thread(target=self._run, args=(status,), name="reporter", daemon=True).start()

    @property
    def published(self) -> bool:
        """Whether the slices are as the last publish() demands."""
        return bool(self._patches) and self._patched == self._patches

    def publish(self, patches: dict[int, dict[str, Any]]) -> None:
        """Write these patches, by family, to the EndpointSlices, soon."""
        self._patches = patches
        self._wake.set()

    def forget(self) -> None:
        """Leave the slices alone: they are another pod's now."""
        self._patches = {}
        self._patched = {}
        self._fail_to_publish("")

    def wake(self) -> None:
        """The status changed: write it now."""
        self._wake.set()

    def stop(self) -> None:
        """Begin nothing any more."""
        self._stopping = True
        self._elector.close()
        self._wake.set()

    def release(self, status: Status, timeout: Timeout) -> None:
        """Give the lease back, for which the next pod waits, and remove the pod from the slices. Raises ApiError."""
        try:
            self._elector.release(status, timeout)
        finally:
            for family in self._patches:
                self._withdraw(family, timeout)

    def _run(self, read_status: Callable[[], Status]) -> None:
        # A candidate asks often, because a released lease stays unused for as long.
        retry = min(self._config.renew_seconds / 5, 1.0)
        written: Status | None = None
        due = 0.0
        while not self._stopping:
            life.beat(self._config.renew_seconds + ROUND_SECONDS)
            self._wake.clear()
            status = read_status()
            if time.monotonic() >= due or (self._elector.held and status != written):
                started = time.monotonic()
                written = status if self._write_lease(status) else None
                due = started + (self._config.renew_seconds if written else retry)
            if self._elector.held and not self._stopping:
                try:
                    self._write_slices()
                except ApiError as error:
                    if error.status == 409:
                        # Perhaps another pod serves: look at the lease first.
                        self._elector.doubt()
                        due = 0.0
            wait = due - time.monotonic()
            if self._elector.held and self._patched != self._patches:
                wait = min(wait, retry)
            if self._elector.on_hold:
                wait = min(wait, HOLD_SECONDS)
            self._wake.wait(max(0.0, wait))
            if self._elector.on_hold and time.monotonic() < due and not self._stopping:
                self._look()

    def _look(self) -> None:
        """Whether the router is still on hold. What goes wrong here goes wrong with the next renewal too, which tells."""
        with contextlib.suppress(ApiError):
            self._elector.look()
        if not self._elector.on_hold:
            self._changed()

    def _write_lease(self, status: Status) -> bool:
        """Whether the lease is held and `status` was written."""
        before = self._elector.held
        try:
            held = self._elector.step(status)
        except ApiError as error:
            self.lease_error = str(error)
            self._lease_problem.note(self.lease_error)
            return False
        self.lease_error = ""
        self._lease_problem.note()
        if held != before:
            event("lease", held=held, holder=self._elector.holder, transitions=self._elector.transitions)
        if held or held != before:
            # Also at each renewal, which lifts a fence that had expired.
            self._changed()
        return held

    def _write_slices(self) -> None:
        patches = self._patches
        if not patches or (patches == self._patched and time.monotonic() < self._patched_at + REPUBLISH_SECONDS):
            return
        try:
            for family, patch in patches.items():
                self._patch_slice(family, patch)
        except ApiError as error:
            self._patched = {}
            if error.status != 409:
                self._fail_to_publish(str(error))
            raise
        self._patched_at = time.monotonic()
        self._fail_to_publish("")
        if patches != self._patched:
            event("published", families=",".join(map(str, patches)), withdrawn=NOBODY in patches.values())
            self._patched = patches
            self._changed()

    def _withdraw(self, family: int, timeout: Timeout) -> None:
        """Remove this pod from a slice, and no other one: the next pod may have the lease, and be published already."""
        if family in self._versions:
            try:
                self._patch_slice(family, NOBODY, timeout)
                return
            except ApiError as error:
                if error.status != 409:
                    raise
        found = self._kube.endpoint_slice(family)
        if any((item.get("targetRef") or {}).get("name") == self._config.pod for item in found.get("endpoints") or ()):
            self._versions[family] = found["metadata"]["resourceVersion"]
            self._patch_slice(family, NOBODY, timeout)

    def _patch_slice(self, family: int, patch: dict[str, Any], timeout: Timeout | None = None) -> None:
        # Taken out: after a failure nobody knows the version.
        version = self._versions.pop(family, None)
        try:
            if version is None:
                version = self._kube.endpoint_slice(family)["metadata"]["resourceVersion"]
            answer = self._kube.patch_endpoint_slice(family, patch, version, timeout)
        except ApiError as error:
            if error.status == 404:
                name = names.endpoint_slice(self._config.router, family)
                reason = f"EndpointSlice {name} is gone, so the Service leads nowhere: deploy the router again"
                raise ApiError(404, reason) from error
            raise
        self._versions[family] = answer["metadata"]["resourceVersion"]

    def _fail_to_publish(self, error: str) -> None:
        self._publish_problem.note(error)
        if error != self.publish_error:
            self.publish_error = error
            self._changed()
