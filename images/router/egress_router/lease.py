# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The router's Lease: at most one pod serves, and the Lease carries its status.

Another holder's lease is over when it has not changed for its duration by this process's own monotonic clock; times of
different machines are never compared.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract.status import Status

from .config import Config
from .kube import ApiError, Kube, Timeout


class Elector:
    """Acquires, renews and releases the lease. `held` is None until the API server was asked once.

    `renewed_at` is when the request was *sent* that renewed the lease last: others may count from a later moment only.
    """

    def __init__(self, kube: Kube, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._config = config
        self._clock = clock
        self._seen: Any = None
        self._seen_at = 0.0
        self._version = ""
        self._transitions = 0
        self._duration = float(config.lease_seconds)
        self._closed = False
        self.held: bool | None = None
        self.holder = ""
        self.renewed_at = 0.0

    @property
    def transitions(self) -> int:
        """How often the lease went to another pod, as the Lease says."""
        return self._transitions

    def step(self, status: Status) -> bool:
        """Renew the lease, or take it if it is free; writes `status` with it. Returns whether it is held.

        Raises ApiError; `held` is as it was then, and it is the caller's matter how long that is believed.
        """
        for _attempt in range(3):
            sent = self._clock()
            if not (self.held and self._version):
                self.held = self._look()
                if not self.held and not self._free():
                    return False
            try:
                lease = self._write(status)
            except ApiError as error:
                if error.status != 409:
                    raise
                # Somebody wrote in between: look again who holds it.
                self._version = ""
                continue
            if self._closed:
                break
            self._note(lease)
            self.renewed_at = sent
            self.held = True
            return True
        return bool(self.held)

    def close(self) -> None:
        """From now on nothing is acquired or renewed any more."""
        self._closed = True

    def release(self, status: Status, timeout: Timeout) -> None:
        """Give the lease back with a last `status`, after close(). Raises ApiError."""
        for _attempt in range(3):
            lease = self._kube.lease(timeout)
            if (lease.get("spec") or {}).get("holderIdentity") != self._config.pod:
                return
            metadata = {"resourceVersion": lease["metadata"]["resourceVersion"], "annotations": status.annotations()}
            try:
                self._kube.patch_lease({"metadata": metadata, "spec": {"holderIdentity": None}}, timeout)
                return
            except ApiError as error:
                # A renewal that was on its way came first.
                if error.status != 409:
                    raise

    def _look(self) -> bool:
        """Read the Lease; returns whether this pod holds it."""
        self._note(self._kube.lease())
        return self.holder == self._config.pod

    def _note(self, lease: dict[str, Any]) -> None:
        spec = lease.get("spec") or {}
        self._version = lease["metadata"]["resourceVersion"]
        self._transitions = spec.get("leaseTransitions") or 0
        self.holder = spec.get("holderIdentity") or ""
        seen = (self.holder, spec.get("renewTime"), self._transitions)
        if seen != self._seen:
            self._seen = seen
            self._seen_at = self._clock()
        self._duration = float(spec.get("leaseDurationSeconds") or self._config.lease_seconds)

    def _free(self) -> bool:
        return not self.holder or self._clock() >= self._seen_at + self._duration

    def _write(self, status: Status) -> dict[str, Any]:
        if self._closed:
            raise ApiError(0, "the agent is stopping")
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: dict[str, Any] = {
            "holderIdentity": self._config.pod,
            "leaseDurationSeconds": self._config.lease_seconds,
            "renewTime": now,
        }
        if self.holder != self._config.pod:
            spec |= {"acquireTime": now, "leaseTransitions": self._transitions + 1}
        metadata = {"resourceVersion": self._version, "annotations": status.annotations()}
        return self._kube.patch_lease({"metadata": metadata, "spec": spec})


class Fence(threading.Thread):
    """Calls `expire` when the deadline passes, whatever else hangs: no request of any kind is between."""

    def __init__(self, expire: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(name="fence", daemon=True)
        self._expire = expire
        self._clock = clock
        self._condition = threading.Condition()
        self._deadline: float | None = None
        self._called_out = False

    def set(self, deadline: float | None) -> None:
        """Move the deadline (monotonic seconds); None: there is none."""
        with self._condition:
            self._deadline = deadline
            self._called_out = False
            self._condition.notify()

    def passed(self) -> bool:
        """Whether the deadline is over."""
        deadline = self._deadline
        return deadline is not None and self._clock() >= deadline

    def run(self) -> None:
        """Wait for one deadline after the other, for ever; each is called out once."""
        while True:
            with self._condition:
                left = None
                if self._deadline is not None and not self._called_out:
                    left = self._deadline - self._clock()
                if left is None or left > 0:
                    self._condition.wait(left)
                    continue
                self._called_out = True
            self._expire()
