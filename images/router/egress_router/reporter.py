# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one thread that writes to the API server: the lease with the status, and the endpoints of the serving pod.

It may hang in a request for as long as the request's timeout; rules, drift and the fence do not wait for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract.status import Status

from .config import Config
from .endpoints import NOBODY
from .kube import ApiError, Kube, Timeout
from .lease import Elector, Fence
from .log import event

# The old holder stops this early, as a part of the lease's duration, so that two never meet.
FENCE_AT = 0.8
# Published again after this, in case somebody else changed the slices.
REPUBLISH_SECONDS = 30.0


class Reporter(threading.Thread):
    """Calls `changed` when the lease was gained or lost, or the endpoints were published."""

    def __init__(
        self,
        config: Config,
        kube: Kube,
        elector: Elector,
        fence: Fence,
        status: Callable[[], Status],
        changed: Callable[[], None],
    ) -> None:
        super().__init__(name="reporter", daemon=True)
        self._config = config
        self._kube = kube
        self._elector = elector
        self._fence = fence
        self._status = status
        self._changed = changed
        self._wake = threading.Event()
        self._stopping = False
        self._patches: dict[int, dict[str, Any]] = {}
        self._patched: dict[int, dict[str, Any]] = {}
        self._patched_at = 0.0
        self._failing = ""
        self.publish_error = ""

    @property
    def published(self) -> bool:
        """Whether the slices were written as publish() wants them."""
        return bool(self._patches) and self._patched == self._patches

    def publish(self, patches: dict[int, dict[str, Any]]) -> None:
        """Write these patches, by family, to the EndpointSlices, soon."""
        self._patches = patches
        self._wake.set()

    def forget(self) -> None:
        """Leave the slices alone: they are another pod's now."""
        self._patches = {}
        self._patched = {}

    def wake(self) -> None:
        """The status changed: write it now."""
        self._wake.set()

    def stop(self) -> None:
        """Begin nothing any more."""
        self._stopping = True
        self._elector.close()
        self._wake.set()

    def run(self) -> None:
        """Renew and publish until stop()."""
        # A candidate asks often: that is how long a released lease stays unused.
        retry = min(self._config.renew_seconds / 5, 1.0)
        written: Status | None = None
        due = 0.0
        while not self._stopping:
            self._wake.clear()
            status = self._status()
            if time.monotonic() >= due or (self._elector.held and status != written):
                started = time.monotonic()
                written = status if self._lease(status) else None
                due = started + (self._config.renew_seconds if written else retry)
            if self._elector.held and not self._stopping:
                self._publish()
            wait = due - time.monotonic()
            if self._elector.held and self._patched != self._patches:
                wait = min(wait, retry)
            self._wake.wait(max(0.0, wait))

    def release(self, status: Status, timeout: Timeout) -> None:
        """Take the pod out of the slices and give the lease back. Raises ApiError."""
        for family in self._patches:
            self._kube.patch_endpoint_slice(family, NOBODY, timeout)
        self._elector.release(status, timeout)

    def _lease(self, status: Status) -> bool:
        """Whether the lease is held and `status` was written."""
        before = self._elector.held
        try:
            held = self._elector.step(status)
        except ApiError as error:
            self._note("lease-failed", str(error))
            return False
        self._note("lease-answered", "")
        if held and self._config.replicas > 1:
            self._fence.set(self._elector.renewed_at + FENCE_AT * self._config.lease_seconds)
        if held != before:
            event("lease", held=held, holder=self._elector.holder, transitions=self._elector.transitions)
            self._changed()
        elif held:
            # A fence that had fallen is up again.
            self._changed()
        return held

    def _publish(self) -> None:
        patches = self._patches
        if not patches or (patches == self._patched and time.monotonic() < self._patched_at + REPUBLISH_SECONDS):
            return
        try:
            for family, patch in patches.items():
                self._kube.patch_endpoint_slice(family, patch)
        except ApiError as error:
            self._patched_at = time.monotonic()
            if str(error) != self.publish_error:
                event("publish-failed", error=error)
                self.publish_error = str(error)
                self._changed()
            return
        self._patched_at = time.monotonic()
        self.publish_error = ""
        if patches != self._patched:
            event("published", families=",".join(map(str, patches)), withdrawn=NOBODY in patches.values())
            self._patched = patches
            self._changed()

    def _note(self, name: str, error: str) -> None:
        """Log a trouble when it begins and when it is over, not at every attempt."""
        if bool(error) != bool(self._failing):
            event(name, **({"error": error} if error else {}))
        self._failing = error
