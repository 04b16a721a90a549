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

from ansible_collections.egress.router.plugins.module_utils._contract.names import ANNOTATION_PREFIX, HOLD
from ansible_collections.egress.router.plugins.module_utils._contract.status import Status

from ..config import Config
from ..kernel.fence import Fence as KernelFence
from ..kernel.nft import FirewallError
from ..log import event
from . import life
from .kube import ApiError, Kube, Timeout

# The holder stops serving after this part of the lease's duration, so that two pods never serve at once.
FENCE_AT = 0.8
# How long an adopted router of several replicas serves before it has to renew: nobody knows how old the lease is.
ADOPTED_SECONDS = 1.0
# A pod that waits for the lease says so in it, once in each duration; after so many without a word there is none.
STANDBY = ANNOTATION_PREFIX + "standby"
STANDBY_DURATIONS = 3
# The fence's thread wakes up this often, to show that it lives.
FENCE_BEAT_SECONDS = 5.0


class Fence(threading.Thread):
    """Calls `expire` when the deadline passes, whatever else hangs: it waits for no request of any kind."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(name="fence", daemon=True)
        self.expire: Callable[[], None] = lambda: None
        self._clock = clock
        self._condition = threading.Condition()
        self._deadline: float | None = None
        self._called = False

    def set(self, deadline: float) -> None:
        """Move the deadline (monotonic seconds)."""
        with self._condition:
            self._deadline = deadline
            self._called = False
            self._condition.notify()

    def lift(self) -> None:
        """No deadline any more."""
        with self._condition:
            self._deadline = None

    def passed(self) -> bool:
        """Whether the deadline is over; never without one."""
        deadline = self._deadline
        return deadline is not None and self._clock() >= deadline

    def run(self) -> None:
        """Wait for one deadline after the other, for ever, and call once for each."""
        while True:
            life.beat(4 * FENCE_BEAT_SECONDS)
            with self._condition:
                left = None
                if self._deadline is not None and not self._called:
                    left = self._deadline - self._clock()
                if left is None or left > 0:
                    self._condition.wait(min(left or FENCE_BEAT_SECONDS, FENCE_BEAT_SECONDS))
                    continue
                self._called = True
            self.expire()


class Elector:
    """Acquires, renews and releases the lease. `held` is None until the API server was reached once.

    `predecessor` is the status of the last other pod that had the lease, as far as this one saw.
    `renewed_at` is when the last successful renewal was *sent*: others can count only from a later moment.
    """

    def __init__(
        self,
        kube: Kube,
        config: Config,
        fence: Fence,
        kernel: KernelFence,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._kernel = kernel
        self._config = config
        self._fence = fence
        self._clock = clock
        self._seen: Any = None
        self._seen_at = 0.0
        self._version = ""
        self._transitions = 0
        self._duration = float(config.lease_seconds)
        self._presumed = False
        self._closed = False
        # What another pod said of itself last, and until when it counts; and when this one has to say so again.
        self._standby: str | None = None
        self._standby_until = 0.0
        self._stand_by_at = 0.0
        self.held: bool | None = None
        # Whether the Lease says that its holder shall leave the address to others.
        self.on_hold = False
        self.holder = ""
        self.renewed_at = 0.0
        self.predecessor = Status()

    @property
    def transitions(self) -> int:
        """How often the lease went to another pod, as the Lease says."""
        return self._transitions

    def serves(self) -> bool:
        """Whether this pod is the one that may serve at this moment. Waits for nothing."""
        held = self._presumed if self.held is None else self.held
        return held and not self._fence.passed()

    def presume(self) -> None:
        """An earlier process of this pod held the lease: so does this one, until the API server says otherwise."""
        self._presumed = True
        if self._config.replicas > 1:
            self._fence.set(self._clock() + ADOPTED_SECONDS)

    def step(self, status: Status) -> bool:
        """Renew the lease, or acquire it if it is free, and write `status` with it. Returns whether it is held.

        Raises ApiError; `held` is unchanged then, and the fence ends its validity.
        """
        for _attempt in range(3):
            sent = self._clock()
            if not (self.held and self._version):
                self.held = self._look()
                if not self.held and not self._free():
                    self._kernel.drop()
                    self._stand_by()
                    return False
            permit = self._permit()
            try:
                lease = self._write(status)
            except ApiError as error:
                if error.status != 409:
                    raise
                # The Lease was changed in between: look again who holds it.
                self._version = ""
                continue
            if self._closed:
                break
            self._note(lease)
            self.renewed_at = sent
            fenced = self._config.replicas > 1 or self._clock() < self._standby_until
            self._grant(permit, fenced)
            if fenced:
                self._fence.set(sent + FENCE_AT * self._config.lease_seconds)
            else:
                self._fence.lift()
            self.held = True
            return True
        return bool(self.held)

    def look(self) -> None:
        """Read the Lease between two renewals. Raises ApiError."""
        self.held = self._look()

    def doubt(self) -> None:
        """Read the Lease before the next renewal: another pod may have it."""
        self._version = ""

    def close(self) -> None:
        """Acquire and renew nothing from now on."""
        self._closed = True

    def release(self, status: Status, timeout: Timeout) -> None:
        """Give the lease back with a last `status`, after close(). Raises ApiError."""
        self._kernel.drop()
        version = self._version if self.held else ""
        for _attempt in range(3):
            if not version:
                lease = self._kube.lease(timeout)
                if (lease.get("spec") or {}).get("holderIdentity") != self._config.pod:
                    return
                version = lease["metadata"]["resourceVersion"]
            metadata = {"resourceVersion": version, "annotations": status.annotations()}
            try:
                self._kube.patch_lease({"metadata": metadata, "spec": {"holderIdentity": None}}, timeout)
                return
            except ApiError as error:
                # A renewal that was already on its way arrived first.
                if error.status != 409:
                    raise
                version = ""

    def _permit(self) -> int:
        """A permit in the kernel, whose time begins before the Lease's; 0 without the table, which is made again soon."""
        try:
            return self._kernel.permit(FENCE_AT * self._config.lease_seconds)
        except FirewallError as error:
            event("permit-failed", error=error)
            return 0

    def _grant(self, permit: int, fenced: bool) -> None:
        """The Lease is held: the kernel may serve."""
        try:
            granted = permit and (self._kernel.grant(permit, permit) if fenced else self._kernel.grant_endless(permit))
        except FirewallError as error:
            event("grant-failed", error=error)
            return
        if permit and not granted:
            event("grant-refused", why="the answer came when the permit had run out")

    def _look(self) -> bool:
        """Read the Lease; returns whether this pod holds it."""
        lease = self._kube.lease()
        self._note(lease)
        last = Status.from_lease(lease)
        if last.pod != self._config.pod:
            self.predecessor = last
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
        annotations = lease["metadata"].get("annotations") or {}
        self.on_hold = HOLD in annotations
        standby = annotations.get(STANDBY)
        if standby != self._standby:
            self._standby = standby
            if standby and standby.split()[0] != self._config.pod:
                self._standby_until = self._clock() + STANDBY_DURATIONS * self._duration

    def _stand_by(self) -> None:
        """Tell the holder that it is not alone, whatever it was started with: somebody may have scaled the Deployment."""
        if self._closed or self._clock() < self._stand_by_at:
            return
        self._stand_by_at = self._clock() + self._duration
        annotations = {STANDBY: f"{self._config.pod} {_now()}"}
        try:
            self._kube.patch_lease({"metadata": {"resourceVersion": self._version, "annotations": annotations}})
        except ApiError as error:
            # The holder has renewed in between.
            if error.status != 409:
                raise
            self._stand_by_at = 0.0

    def _free(self) -> bool:
        return not self.holder or self._clock() >= self._seen_at + self._duration

    def _write(self, status: Status) -> dict[str, Any]:
        if self._closed:
            raise ApiError(0, "the agent is stopping")
        now = _now()
        spec: dict[str, Any] = {
            "holderIdentity": self._config.pod,
            "leaseDurationSeconds": self._config.lease_seconds,
            "renewTime": now,
        }
        if self.holder != self._config.pod:
            spec |= {"acquireTime": now, "leaseTransitions": self._transitions + 1}
        metadata = {"resourceVersion": self._version, "annotations": status.annotations()}
        return self._kube.patch_lease({"metadata": metadata, "spec": spec})


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
