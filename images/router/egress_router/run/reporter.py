# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one thread that writes to the API server: the Lease with the status, and the endpoints of the serving pod.

It may hang in a request for as long as the request's timeout; rules, repairs and the fence do not wait for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract.status import Status

from ..config import Config
from ..log import event
from . import life
from .endpoints import NOBODY
from .kube import ApiError, Kube, Timeout
from .lease import Elector

# Published again after this, in case somebody else changed the slices.
REPUBLISH_SECONDS = 30.0
# All requests of one round time out within this.
ROUND_SECONDS = 60.0


class Reporter:
    """Calls `changed` when the lease was acquired, renewed or lost, and when publishing succeeded or failed.

    `publish_error`: why the endpoints could not be published; empty if they were, or need not be.
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
        self._failing = ""
        self.started = False
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

    def wake(self) -> None:
        """The status changed: write it now."""
        self._wake.set()

    def stop(self) -> None:
        """Begin nothing any more."""
        self._stopping = True
        self._elector.close()
        self._wake.set()

    def release(self, status: Status, timeout: Timeout) -> None:
        """Remove the pod from the slices and give the lease back. Raises ApiError."""
        for family in self._patches:
            self._kube.patch_endpoint_slice(family, NOBODY, timeout)
        self._elector.release(status, timeout)

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
                self._write_slices()
            wait = due - time.monotonic()
            if self._elector.held and self._patched != self._patches:
                wait = min(wait, retry)
            self._wake.wait(max(0.0, wait))

    def _write_lease(self, status: Status) -> bool:
        """Whether the lease is held and `status` was written."""
        before = self._elector.held
        try:
            held = self._elector.step(status)
        except ApiError as error:
            self._note("lease-failed", str(error))
            return False
        self._note("lease-answered", "")
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
        """Log a problem when it begins and when it is over, not at every attempt."""
        if bool(error) != bool(self._failing):
            event(name, **({"error": error} if error else {}))
        self._failing = error
