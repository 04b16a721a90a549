# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent's main thread: from the start of the pod to its end.

The main thread owns the kernel: it loads rules, takes and repairs net1, and notices changes by others. The watch brings
rules, the reporter keeps the lease and writes, the fence ends forwarding when the lease was not renewed in time. So
nothing that hangs at the API server can delay anything in the kernel.
"""

from __future__ import annotations

import signal
import threading
import time

from ansible_collections.egress.router.plugins.module_utils._contract import status
from ansible_collections.egress.router.plugins.module_utils._contract.status import Status

from ..config import Config
from ..log import event
from . import life
from .address import STANDBY, EgressAddress
from .kube import ApiError, Kube
from .lease import Elector
from .reporter import Reporter
from .rules import Rules

# Without the table, the pod itself answers packets of redirected connections: look often, it is cheap.
TICK_SECONDS = 0.25
# The main thread is busy for a few seconds at most: with thousands of rules.
HEALTHY_SECONDS = 20
# The address is given up at once. Telling the API server may take so long, which the pod's grace period leaves room for: a
# lease that is not released costs the next pod its whole duration.
RELEASE_TIMEOUT = (1.0, 2.0)
RELEASE_SECONDS = 3.5


class Agent:
    """One router pod. `run` returns when the pod is to end."""

    def __init__(
        self,
        config: Config,
        rules: Rules,
        address: EgressAddress,
        elector: Elector,
        reporter: Reporter,
        stop: threading.Event,
        wake: threading.Event,
    ) -> None:
        self._config = config
        self._rules = rules
        self._address = address
        self._elector = elector
        self._reporter = reporter
        self._stop = stop
        self._wake = wake
        self._beat = time.monotonic()

    def run(self, kube: Kube) -> None:
        """Serve until SIGTERM."""
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, lambda *_: self.stop())
        self._address.prepare()
        self._adopt()
        watch = (kube, self._stop, self._wake.set)
        threading.Thread(target=self._rules.watch, args=watch, name="watch", daemon=True).start()
        while not self._stop.is_set():
            self._tick()
            due = min(self._beat + TICK_SECONDS, self._address.due)
            self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
        self._end()

    def stop(self) -> None:
        """End soon."""
        self._stop.set()
        self._wake.set()

    def ready(self) -> bool:
        """Whether this pod serves clients."""
        return self._address.state == status.SERVING and self._elector.serves()

    def status(self) -> Status:
        """What goes into the Lease."""
        config, rules, address = self._config, self._rules, self._address
        return Status(
            state=status.STARTING if address.state == STANDBY else address.state,
            pod=config.pod,
            node=config.node,
            addresses=",".join(str(own.interface) for own in config.addresses) if address.present else "",
            mac=config.mac if address.present else "",
            rules_hash=rules.hash,
            rules_count=str(len(rules.loaded.rules)),
            rules_version=rules.version,
            rules_error=rules.error,
            applied_at=rules.applied_at,
            error=address.error or self._reporter.publish_error,
        )

    def _adopt(self) -> None:
        """Begin with what an earlier process of this pod left in the kernel."""
        same = self._rules.adopt()
        self._address.secure()
        adopted = same and self._address.adopt()
        if adopted:
            self._elector.presume()
            self._rules.known.set()
            self._reporter.start(self.status)
        else:
            self._address.release()
        event("started", router=self._config.router, adopted=adopted, rules=len(self._rules.loaded.rules))

    def _tick(self) -> None:
        self._beat = time.monotonic()
        life.beat(HEALTHY_SECONDS)
        before = self.status()
        if self._rules.load():
            self._address.publish()
        self._rules.repair()
        self._address.tick()
        if self._rules.known.is_set() and not self._reporter.started:
            # Rules first: the pod that acquires the lease has them.
            self._reporter.start(self.status)
        if self.status() != before:
            self._reporter.wake()

    def _end(self) -> None:
        began = time.monotonic()
        serves = self._elector.serves()
        self._reporter.stop()
        self._address.end()
        if serves:
            release = threading.Thread(target=self._release, name="release", daemon=True)
            release.start()
            release.join(RELEASE_SECONDS)
        event("stopped", seconds=f"{time.monotonic() - began:.3f}")

    def _release(self) -> None:
        try:
            self._reporter.release(self.status(), RELEASE_TIMEOUT)
        except ApiError as error:
            event("release-failed", error=error)
