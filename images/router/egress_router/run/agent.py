# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent's threads, from the start of the pod to its end.

The main thread loads rules and keeps them in the kernel, another one does the same for net1, so neither waits for the other. The
watch brings rules, the driver decides who serves, the publisher writes endpoints; each request is a thread's that nobody waits
for. So nothing that hangs at the API server can delay anything in the kernel.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

from ansible_collections.egress.router.plugins.module_utils._contract import status
from ansible_collections.egress.router.plugins.module_utils._contract.status import Status

from ..config import Config
from ..kernel.fence import Fence
from ..log import event
from ..relay.leaving import PREPARE_SECONDS
from . import life
from .address import STANDBY, EgressAddress
from .driver import Driver
from .kube import ApiError, Kube
from .lease import Leases
from .publisher import Publisher
from .relay import Relay
from .rules import Rules
from .take_over import TakeOvers

# Without the table, the pod itself answers packets of redirected connections: look often, it is cheap.
TICK_SECONDS = 0.25
# The driver stops the kernel when the API server has written whose turn it is, unless there is no successor any more.
DROP_SECONDS = 4.0
# The main thread is busy for a few seconds at most: with thousands of rules.
HEALTHY_SECONDS = 20
# The address is given up at once. Telling the API server may take so long, which the pod's grace period leaves room for: a
# lease that is not released costs the next pod its whole duration.
RELEASE_TIMEOUT = (1.0, 2.0)
RELEASE_SECONDS = 3.5
# The kernel changes one thing of the network at a time. While packets wait for the next pod's word, nothing is to keep it busy; but
# a pod on the same node cannot have the address before this one has given it up.
PASS_SECONDS = 0.1
# An heir has so long to put itself in this pod's place in the EndpointSlices: until then this one takes new connections for it.
HEIR_SECONDS = 2.0


class Agent:
    """One router pod. `run` returns when the pod is to end."""

    def __init__(
        self,
        config: Config,
        fence: Fence,
        rules: Rules,
        address: EgressAddress,
        driver: Driver,
        take_overs: TakeOvers,
        publisher: Publisher,
        relay: Relay,
        stop: threading.Event,
    ) -> None:
        self._config = config
        self._fence = fence
        self._rules = rules
        self._address = address
        self._driver = driver
        self._take_overs = take_overs
        self._publisher = publisher
        self._relay = relay
        self._stop = stop
        self._over = threading.Event()
        self._wake_rules = threading.Event()
        self._wake_address = threading.Event()
        # What the address thread is to do before its next tick.
        self._then: list[Callable[[], None]] = []
        self._told: object = None
        # Whether packets are to take the relay's way when the kernel is about to drop.
        self._drop = threading.Lock()
        self._divert = False

    def run(self, kube: Kube, leases: Leases) -> None:
        """Serve until SIGTERM."""
        for number in (signal.SIGTERM, signal.SIGINT):
            # Not in the main thread itself, which may be holding the lock of what it would set.
            signal.signal(number, lambda *_: threading.Thread(target=self.stop, name="stop", daemon=True).start())
        self._address.prepare()
        adopted = self._adopt()
        watch = (kube, self._over, self._wake_rules.set)
        threading.Thread(target=self._rules.watch, args=watch, name="watch", daemon=True).start()
        self._driver.changed = self._publisher.changed = self.wake
        self._driver.repair = self._wake_rules.set
        self._driver.leave = self._leave
        self._driver.before_drop = self._before_drop
        self._driver.ends = self._relay.ends
        self._address.taken = lambda: self._relay.serves(True)
        self._relay.change_ports = self._wake_rules.set
        self._tell()
        self._driver.start(leases, self.status, adopted)
        self._relay.start()
        self._publisher.start()
        address = threading.Thread(target=self._keep_address, name="address", daemon=True)
        address.start()
        woken = True
        while not self._stop.is_set():
            if self._keep_rules():
                self._address.publish()
            if woken:
                # What happens otherwise the address thread tells as soon.
                self._tell()
            woken = self._wake_rules.wait(TICK_SECONDS)
            self._wake_rules.clear()
        self._end()

    def stop(self) -> None:
        """End soon."""
        self._stop.set()
        self._wake_rules.set()
        self.wake()

    def wake(self) -> None:
        """Something happened that decides about the address."""
        self._wake_address.set()

    def ready(self) -> bool:
        """Whether this pod serves clients, or could if the one that does failed."""
        if self._address.state == STANDBY:
            return self._able() == (True, "") and self._driver.reached
        return self._address.state == status.SERVING and self._fence.serves

    def status(self) -> Status:
        """What goes into the Lease."""
        config, rules, address, driver = self._config, self._rules, self._address, self._driver
        taken = self._take_overs.last
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
            error=address.error or self._publisher.error,
            pod_ip=str(config.pod_ips[0]),
            successor=driver.successor,
            successor_error=driver.successor_error,
            taken_over_at=taken.at,
            taken_over_from=taken.previous,
            take_over_cause=taken.cause,
            take_over_seconds=taken.seconds,
            beats_lost=str(driver.beats_lost),
            relay_error=self._relay.problem if config.replicas > 1 else "",
            routes_error=address.routes_error,
        )

    def _adopt(self) -> int:
        """Begin with what an earlier process of this pod left in the kernel; returns its permit, if that has no end."""
        same = self._rules.adopt()
        permit = self._fence.adopt()
        self._address.secure()
        adopted = same and self._address.adopt()
        if adopted:
            self._rules.known.set()
        else:
            self._address.release()
        event("started", router=self._config.router, adopted=adopted, rules=len(self._rules.loaded.rules))
        return permit

    def _able(self) -> tuple[bool, str]:
        """Whether this pod could serve, and why not. Rules first: the pod that takes over has them."""
        reason = self._address.unable if self._rules.known.is_set() else "the rules are not known yet"
        return not reason, reason

    def _tell(self) -> None:
        """Tell the driver, if anything of that has changed."""
        found = (self._able(), self.status())
        if found != self._told:
            self._told = found
            self._driver.tell(*found[0])

    def _keep_rules(self) -> bool:
        """One round of the main thread; returns whether new rules were loaded."""
        life.beat(HEALTHY_SECONDS)
        self._relay.use_ports()
        loaded = self._rules.load()
        self._rules.repair()
        return loaded

    def _keep_address(self) -> None:
        while True:
            life.beat(HEALTHY_SECONDS)
            while self._then:
                self._then.pop(0)()
            self._address.tick()
            self._relay.serves(self._address.present)
            self._tell()
            wait = min(TICK_SECONDS, self._address.due - time.monotonic())
            self._wake_address.wait(max(0.0, wait))
            self._wake_address.clear()

    def _leave(self, then: Callable[[], None]) -> None:
        """Before another pod serves: its successor relays the connections of this one, or nobody shall wait for one that is over."""

        def leave(relayed: bool, why: str) -> None:
            self._then.append(lambda: self._hand_over(relayed, why, then))
            self.wake()

        self._relay.prepare(leave)

    def _hand_over(self, relayed: bool, why: str, then: Callable[[], None]) -> None:
        """The address thread's: nothing else is done for the address meanwhile."""
        if not relayed:
            self._reset_connections(why)
        if self._serve_until_dropped(then, relayed):
            self._let_pass()
            self._address.hand_over()
        self._rules.end_reset()
        if self._fence.serves:
            self._relay.stays()

    def _reset_connections(self, why: str) -> None:
        event("connections-not-relayed", why=why)
        self._address.reset_connections()
        self._relay.abandon()

    def _serve_until_dropped(self, leave: Callable[[], object], relayed: bool) -> bool:
        """Begin to leave, and do nothing for the address until the driver has another pod serve.

        With `relayed`, packets wait in the tunnel from right before the kernel drops, instead of getting lost; returns whether they do.
        Then the rest of the address is to be given up: the other pod does not wait for that.
        """
        with self._drop:
            self._divert = relayed
        leave()
        deadline = time.monotonic() + DROP_SECONDS
        while self._fence.serves and time.monotonic() < deadline:
            time.sleep(0.005)
        with self._drop:
            diverted = relayed and not self._divert
            self._divert = False
        return diverted

    def _let_pass(self) -> None:
        """The address is about to go: those who relay through this pod are told, and what waits gets its turn first."""
        self._relay.serves(False)
        self._relay.passed.wait(PASS_SECONDS)

    def _before_drop(self) -> None:
        """The driver's thread: the address thread waits for it, or does not any more."""
        with self._drop:
            if self._divert:
                self._address.divert()
                self._divert = False

    def _end(self) -> None:
        began = time.monotonic()
        self._publisher.stop()
        released = threading.Event()
        patience = 0.0
        # A move that somebody asks for now would be prepared instead of this one.
        self._driver.leave = lambda then: None

        def release(relayed: bool, why: str) -> None:
            self._then.append(lambda: give_up(relayed, why))
            self.wake()

        def give_up(relayed: bool, why: str) -> None:
            nonlocal patience
            patience = HEIR_SECONDS if relayed else 0.0
            if relayed:
                if self._serve_until_dropped(self._driver.end, relayed):
                    self._let_pass()
            elif self._address.present:
                self._reset_connections(why)
            self._address.end()
            self._relay.serves(False)
            released.set()

        self._driver.prepare_end()
        self._relay.prepare(release)
        released.wait(PREPARE_SECONDS + RELEASE_SECONDS)
        self._driver.end()
        failover = self._config.failover
        self._relay.end(began + failover.relay_seconds)
        self._driver.ended.wait(2 * failover.promise_ms / 1000 + RELEASE_SECONDS)
        withdraw = threading.Thread(target=self._withdraw, args=(patience,), name="withdraw", daemon=True)
        withdraw.start()
        withdraw.join(max(patience + 0.5, began + RELEASE_SECONDS - time.monotonic()))
        left = time.monotonic()
        while not self._relay.over:
            self._keep_rules()
            self._wake_rules.wait(TICK_SECONDS)
            self._wake_rules.clear()
        self._over.set()
        now = time.monotonic()
        event("stopped", seconds=f"{left - began:.3f}", relayed_for=f"{now - left:.3f}")

    def _withdraw(self, patience: float) -> None:
        try:
            self._publisher.withdraw(RELEASE_TIMEOUT, patience)
        except ApiError as error:
            event("release-failed", error=error)
