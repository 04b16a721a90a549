# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The router's agent: rules, net1, lease and status put together.

The main thread owns the kernel: it loads rules, takes and repairs net1, and notices drift. The watcher brings rules,
the reporter keeps the lease and writes, the fence ends forwarding when the lease was not renewed in time. So nothing
that hangs at the API server can delay anything in the kernel.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from ansible_collections.egress.router.plugins.module_utils._contract import names, status
from ansible_collections.egress.router.plugins.module_utils._contract.rules import RulesError, RuleSet, parse
from ansible_collections.egress.router.plugins.module_utils._contract.status import Status

from . import conntrack, endpoints, wire
from .config import Config
from .firewall import Firewall, FirewallError
from .kube import ApiError, Kube
from .lease import Elector, Fence
from .log import event, now
from .network import Network, NetworkError
from .refusals import refusals
from .reporter import Reporter

# The pod is ready to serve and another one does.
STANDBY = "standby"

# While the table is gone, a packet of a redirected connection is answered by the pod itself: look often, it is cheap.
TICK_SECONDS = 0.25
NETWORK_CHECK_SECONDS = 2.0
RETRY_SECONDS = 2.0
# Seconds after taking the address: switches and neighbours may miss one announcement.
ANNOUNCE_AT = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
# The whole way out must take less than a second, whatever the API server does.
RELEASE_TIMEOUT = (0.2, 0.3)
RELEASE_SECONDS = 0.6
# Of a refusal's text in the status; the whole is in the log.
ERROR_LIMIT = 2000
API_TIMEOUT = (2.0, 3.0)


class Agent:
    """One router pod. `run` returns when the pod is to end."""

    def __init__(self, config: Config) -> None:
        self.config = config
        timeout = tuple(min(seconds, max(config.renew_seconds, 0.5)) for seconds in API_TIMEOUT)
        self._kube = Kube(config.namespace, config.router, (timeout[0], timeout[1]))
        self.firewall = Firewall(config)
        self._network = Network(config)
        self.elector = Elector(self._kube, config)
        self._fence = Fence(self._fall)
        self._reporter = Reporter(config, self._kube, self.elector, self._fence, self.status, self._wake)
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._rules_seen = threading.Event()
        self._pending: list[dict[str, Any] | None] = []

        self.state = STANDBY
        self.error = ""
        self.rules_version = ""
        self.rules_error = ""
        self.applied_at = ""
        self.repairs: Counter[str] = Counter()
        self.on_applied: list[Any] = []
        self._beat = time.monotonic()

        self._adopted = False
        self._up = False
        self._served = False
        self._touched = False
        self._fallen = False
        self._handled = ""
        self._retry_at = 0.0
        self._check_at = 0.0
        self._announce_at: list[float] = []

    def run(self) -> None:
        """Serve until SIGTERM."""
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, lambda *_: self.stop())
        self._network.prepare()
        self._adopt()
        self._fence.start()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()
        while not self._stop.is_set():
            self._tick()
            self._woken.wait(self._wait_seconds())
            self._woken.clear()
        self._end()

    def stop(self) -> None:
        """End soon."""
        self._stop.set()
        self._woken.set()

    def healthy(self) -> bool:
        """Whether the main thread still goes round."""
        return time.monotonic() - self._beat < 20

    def ready(self) -> bool:
        """Whether clients are served by this pod."""
        return self.state == status.SERVING and not self._fence.passed()

    def status(self) -> Status:
        """What goes into the Lease."""
        config, up = self.config, self._up
        return Status(
            state=status.STARTING if self.state == STANDBY else self.state,
            pod=config.pod,
            node=config.node,
            addresses=",".join(str(address.interface) for address in config.addresses) if up else "",
            mac=config.mac if up else "",
            rules_hash=self.firewall.rules_hash,
            rules_count=str(len(self.firewall.rules.rules)),
            rules_version=self.rules_version,
            rules_error=self.rules_error,
            applied_at=self.applied_at,
            error=self.error,
        )

    def _adopt(self) -> None:
        """Begin with what an earlier process of this pod left in the kernel."""
        kept = self.firewall.adopt()
        if kept and self._network.problem() == "" and self._network.taken():
            self._adopted = self._up = self._served = self._touched = True
            self.state = status.SERVING
            if self.config.replicas > 1:
                # How old the lease is nobody knows: it has to be renewed at once.
                self._fence.set(time.monotonic() + 1.0)
            self._publish()
            self._rules_seen.set()
            self._reporter.start()
        else:
            self._network.release()
        event("started", router=self.config.router, adopted=self._adopted, rules=len(self.firewall.rules.rules))

    def _tick(self) -> None:
        self._beat = time.monotonic()
        before = self.status()
        while self._pending:
            self._take_rules(self._pending.pop(0))
        try:
            if self.firewall.repair():
                self._count("rules")
        except FirewallError as error:
            event("repair-failed", error=error)
        try:
            self._serve()
        except (NetworkError, NetlinkError, OSError) as error:
            self._fail(status.FAILED, str(error))
        if self._rules_seen.is_set() and not self._reporter.is_alive():
            # Rules first: the pod that takes the lease has them.
            self._reporter.start()
        if self.status() != before:
            self._reporter.wake()

    def _wait_seconds(self) -> float:
        due = [self._beat + TICK_SECONDS, *self._announce_at[:1]]
        return max(0.0, min(due) - time.monotonic())

    def _wake(self) -> None:
        self._woken.set()

    # Rules

    def _watch(self) -> None:
        failing = False
        while not self._stop.is_set():
            try:
                for config_map in self._kube.watch_rules():
                    failing = False
                    self._pending.append(config_map)
                    self._woken.set()
            except ApiError as error:
                if not failing:
                    event("watch-failed", error=error)
                failing = True
                if error.status in (401, 403) and not self._rules_seen.is_set():
                    # No rules will come, and the status has to say so.
                    self.rules_error = str(error)
                    self._rules_seen.set()
                self._stop.wait(0.5)

    def _take_rules(self, config_map: dict[str, Any] | None) -> None:
        name = names.rules_config_map(self.config.router)
        if config_map is None:
            self.rules_error = f"ConfigMap {name} is missing: the loaded rules stay until there is one"
            self._rules_seen.set()
            return
        version = str(config_map["metadata"]["resourceVersion"])
        if version == self._handled:
            return
        started = time.monotonic()
        before = self.firewall.rules
        try:
            rules = self._wanted_rules(name, config_map)
            cut = self.firewall.apply(rules)
            conntrack.cut(cut)
        except RulesError as error:
            self._handled = version
            self._refuse(version, "; ".join(error.problems))
        except (FirewallError, NetlinkError, OSError) as error:
            # Not handled: the next list of the watch tries again.
            self._refuse(version, f"the kernel did not take the rules of ConfigMap {name}: {error}")
        else:
            seconds = time.monotonic() - started
            self._handled = self.rules_version = version
            self.rules_error = ""
            if before != self.firewall.rules or not self.applied_at:
                self.applied_at = now()
                for observer in self.on_applied:
                    observer(seconds)
                event("rules-applied", version=version, rules=len(rules.rules), cut=len(cut), seconds=f"{seconds:.3f}")
            if self._up:
                self._publish()
        self._rules_seen.set()

    def _wanted_rules(self, name: str, config_map: dict[str, Any]) -> RuleSet:
        data = config_map.get("data") or {}
        if data and names.RULES_KEY not in data:
            found = ", ".join(sorted(data))
            raise RulesError([f"ConfigMap {name} has no key '{names.RULES_KEY}' but {found}: rename it"])
        rules = parse(data.get(names.RULES_KEY) or "")
        problems = refusals(self.config, rules)
        if problems:
            raise RulesError(problems)
        return rules

    def _refuse(self, version: str, error: str) -> None:
        event("rules-refused", version=version, error=error)
        self.rules_version = version
        self.rules_error = error if len(error) <= ERROR_LIMIT else error[:ERROR_LIMIT] + " ... (more in the pod's log)"

    # net1

    def _may_serve(self) -> bool:
        held = self.elector.held
        if held is None:
            # The API server was not reached yet since this process began; the one before it held the lease.
            held = self._adopted
        return held and not self._fence.passed() and not self._stop.is_set()

    def _serve(self) -> None:
        if self._fallen or not self._may_serve():
            self._fallen = False
            if self._touched:
                self._step_down()
            self._set(STANDBY)
        elif not self._up:
            if time.monotonic() >= self._retry_at:
                self._take_up()
        else:
            self._look_after()

    def _take_up(self) -> None:
        self._set(status.STARTING, self.error)
        problem = self._network.problem()
        if problem:
            self._fail(status.FAILED, problem)
            return
        self._touched = True
        self._network.claim()
        ips = [address.ip for address in self.config.addresses]
        in_use = wire.probe(names.EGRESS_INTERFACE, self.config.mac, ips, self._stop)
        if in_use:
            holders = " and ".join(f"{ip} is in use by {mac}" for ip, mac in in_use.items())
            self._fail(status.CONFLICT, f"{holders}: free it or choose another address")
            return
        if not self._network.take(self._may_serve):
            return
        self._up = True
        self._check_at = time.monotonic() + NETWORK_CHECK_SECONDS
        self._announce_later()
        self._announce_due()
        event("address-taken", addresses=",".join(map(str, ips)), mac=self.config.mac)
        self._publish()
        self._set(status.STARTING)

    def _look_after(self) -> None:
        if time.monotonic() >= self._check_at:
            problem = self._network.problem()
            if problem:
                raise NetworkError(problem)
            repaired = self._network.repair(self._may_serve)
            for kind in repaired:
                self._count(kind)
            if repaired:
                self._announce_later()
            self._check_at = time.monotonic() + NETWORK_CHECK_SECONDS
        self._announce_due()
        if self._served or self._reporter.published:
            self._served = True
            self._set(status.SERVING)
        else:
            self._set(status.STARTING, self._reporter.publish_error)

    def _announce_later(self) -> None:
        start = time.monotonic()
        self._announce_at = [start + seconds for seconds in ANNOUNCE_AT]

    def _announce_due(self) -> None:
        if self._announce_at and time.monotonic() >= self._announce_at[0]:
            self._announce_at.pop(0)
            ips = [address.ip for address in self.config.addresses]
            try:
                wire.announce(names.EGRESS_INTERFACE, self.config.mac, ips)
            except OSError as error:
                # The next check of the interface says what is wrong, or mends it.
                event("announce-failed", error=error)

    def _publish(self) -> None:
        self._reporter.publish(endpoints.patches(self.config, self.firewall.rules))

    def _fail(self, state: str, error: str) -> None:
        """Not serving for a reason of this pod; tried again soon."""
        if self._up:
            self._down()
            self._reporter.publish({address.family: endpoints.NOBODY for address in self.config.addresses})
        self._retry_at = time.monotonic() + RETRY_SECONDS
        self._set(state, error)

    def _step_down(self) -> None:
        """The lease is another pod's, or may be soon."""
        self._reporter.forget()
        self._down()
        self._touched = False
        self._adopted = False
        self._retry_at = 0.0

    def _down(self) -> None:
        self._up = self._served = False
        self._announce_at = []
        # Whatever cannot be taken away now is looked at again before serving.
        with contextlib.suppress(NetworkError, NetlinkError):
            self._network.release()

    def _fall(self) -> None:
        """The fence: runs in a thread of its own, while the main thread may be anywhere."""
        with contextlib.suppress(NetworkError, NetlinkError):
            self._network.release()
        self._fallen = True
        event("fenced", why="the lease was not renewed in time")
        self._woken.set()

    # Way out

    def _end(self) -> None:
        began = time.monotonic()
        may_release = self._may_release()
        self._reporter.stop()
        self._down()
        self._set(status.STOPPED)
        if may_release:
            release = threading.Thread(target=self._release, name="release", daemon=True)
            release.start()
            release.join(RELEASE_SECONDS)
        event("stopped", seconds=f"{time.monotonic() - began:.3f}")

    def _may_release(self) -> bool:
        return (self.elector.held or (self.elector.held is None and self._adopted)) and not self._fence.passed()

    def _release(self) -> None:
        try:
            self._reporter.release(self.status(), RELEASE_TIMEOUT)
        except ApiError as error:
            event("release-failed", error=error)

    # State

    def _set(self, state: str, error: str = "") -> None:
        if (state, error) != (self.state, self.error):
            self.state, self.error = state, error
            event("state", state=state, **({"error": error} if error else {}))

    def _count(self, kind: str) -> None:
        self.repairs[kind] += 1
        event("repaired", kind=kind)


def run(config: Config) -> None:
    """Run the agent with its web server; ends the process when the pod ends."""
    # Late: the probe and the observer need none of it.
    from .metrics import Metrics
    from .web import serve

    agent = Agent(config)
    serve(agent, Metrics(agent), config.pod_ips, names.AGENT_PORT)
    agent.run()
    # Threads may still hang in requests; there is nothing left to clean up.
    os._exit(0)
