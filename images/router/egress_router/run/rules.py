# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules: from the ConfigMap to the kernel, and kept there."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.config_map import rules_text
from ansible_collections.egress.router.plugins.module_utils._contract.rules import RulesError, RuleSet, parse

from ..config import Config
from ..kernel import conntrack
from ..kernel.firewall import Firewall
from ..kernel.nft import FirewallError
from ..log import Problem, event, now
from . import life
from .kube import WATCH_SECONDS, ApiError, Kube
from .refusals import refusals

# Of a refusal's text in the status; all of it is in the log.
ERROR_LIMIT = 2000
_WATCH_RETRY_SECONDS = 0.5
# The watch ends by itself, or times out, within this.
_WATCH_ROUND_SECONDS = 3.0 * WATCH_SECONDS


class Rules:
    """The rules of one router. A thread of its own watches; all other methods but the resets are the main thread's.

    `version`, `error`, `applied_at`: see status.Status. `watch_error`: why the ConfigMap cannot be watched; empty if it is.
    `known`: whether the ConfigMap was dealt with once, or cannot be.
    `on_applied`: called with the seconds that loading new rules took.
    """

    def __init__(self, config: Config, firewall: Firewall) -> None:
        self._config = config
        self._firewall = firewall
        self._pending: deque[dict[str, Any] | None] = deque()
        self._handled = ""
        self._refusal = Problem("rules-refused")
        self._repair_problem = Problem("repair-failed")
        self._cut_problem = Problem("cut-failed")
        # Marks of revoked rules whose connections must still be ended, and whether there may be others: what the kernel
        # redirected may have been something else for a moment, or an earlier process may have ended before it ended them.
        self._to_cut: set[int] = set()
        self._strays = True
        # While the connections of a pod that leaves are reset, and once afterwards, the table differs from what it should be.
        self._resetting = self._was_reset = False
        self.version = ""
        self.error = ""
        self.applied_at = ""
        self.watch_error = ""
        self.repairs = 0
        self.on_applied: Callable[[float], object] = lambda seconds: None
        self.known = threading.Event()

    @property
    def loaded(self) -> RuleSet:
        """The rules in the kernel."""
        return self._firewall.rules

    @property
    def hash(self) -> str:
        """Their hash."""
        return self._firewall.rules_hash

    def watch(self, kube: Kube, stop: threading.Event, wake: Callable[[], None]) -> None:
        """Receive the ConfigMap until `stop`; calls `wake` whenever load() has something to do."""
        problem = Problem("watch-failed")
        while not stop.is_set():
            life.beat(_WATCH_ROUND_SECONDS)
            try:
                for config_map in kube.watch_rules():
                    self.watch_error = ""
                    problem.note()
                    life.beat(_WATCH_ROUND_SECONDS)
                    self._pending.append(config_map)
                    wake()
            except ApiError as error:
                self.watch_error = str(error)
                problem.note(self.watch_error)
                if error.status in (401, 403) and not self.known.is_set():
                    # No rules will come, and the status has to say so.
                    self.error = str(error)
                    self.known.set()
                stop.wait(_WATCH_RETRY_SECONDS)

    def adopt(self) -> bool:
        """Take over the rules that an earlier process of this pod left in the kernel; returns whether there were any."""
        return self._firewall.adopt()

    def load(self) -> bool:
        """Load what watch() received since the last call; returns whether rules were accepted."""
        accepted = False
        while self._pending:
            config_map = self._pending.popleft()
            if config_map is None:
                name = names.rules_config_map(self._config.router)
                self.error = f"ConfigMap {name} does not exist: the loaded rules stay until it does"
            elif config_map["metadata"]["resourceVersion"] != self._handled:
                accepted = self._load(config_map) or accepted
            self.known.set()
        return accepted

    def reset_connections(self) -> None:
        """The pod leaves the address to another: reset what is redirected, until end_reset(). For any thread."""
        self._resetting = self._was_reset = True
        self._firewall.reset_connections()

    def end_reset(self) -> None:
        """The next repair() makes the table as it was. For any thread."""
        self._resetting = False

    def repair(self) -> None:
        """Restore in the kernel what others changed."""
        if self._resetting:
            return
        try:
            if self._firewall.repair():
                self._strays = True
                if not self._was_reset:
                    self.repairs += 1
                    event("repaired", kind="rules")
            self._was_reset = False
        except FirewallError as error:
            self._repair_problem.note(str(error))
        else:
            self._repair_problem.note()
        self._cut()

    def _load(self, config_map: dict[str, Any]) -> bool:
        """Whether the rules were accepted."""
        name = config_map["metadata"]["name"]
        version = str(config_map["metadata"]["resourceVersion"])
        started = time.monotonic()
        before = self.loaded
        try:
            rules = self._parse(name, config_map)
            revoked = self._firewall.apply(rules)
        except RulesError as error:
            self._handled = version
            self._refuse(version, "; ".join(error.problems))
            return False
        except (FirewallError, NetlinkError, OSError) as error:
            # Not handled: the next list of the watch tries again.
            self._strays = True
            self._refuse(version, f"the kernel did not accept the rules of ConfigMap {name}: {error}")
            return False
        self._to_cut |= revoked
        self._cut()
        seconds = time.monotonic() - started
        self._handled = self.version = version
        self.error = ""
        self._refusal.note()
        if before != self.loaded or not self.applied_at:
            self.applied_at = now()
            self.on_applied(seconds)
            event("rules-applied", version=version, rules=len(rules.rules), cut=len(revoked), seconds=f"{seconds:.3f}")
        return True

    def _cut(self) -> None:
        """End the connections of revoked rules; what fails is tried again at the next tick."""
        try:
            conntrack.cut(self._to_cut)
            self._to_cut.clear()
            if self._strays and self.known.is_set():
                cut = conntrack.cut_others(self.loaded, self._config.default_sources)
                self._strays = False
                if cut:
                    event("strays-cut", connections=cut)
        except (NetlinkError, OSError) as error:
            self._cut_problem.note(str(error))
        else:
            self._cut_problem.note()

    def _parse(self, name: str, config_map: dict[str, Any]) -> RuleSet:
        text = rules_text(config_map)
        data = {**(config_map.get("data") or {}), **(config_map.get("binaryData") or {})}
        if data and names.RULES_KEY not in data:
            found = ", ".join(sorted(data))
            raise RulesError([f"ConfigMap {name} has no key '{names.RULES_KEY}' but {found}: rename it"])
        rules = parse(text)
        problems = refusals(self._config, rules)
        if problems:
            raise RulesError(problems)
        return rules

    def _refuse(self, version: str, error: str) -> None:
        self._refusal.note(error, version=version)
        self.version = version
        self.error = error if len(error) <= ERROR_LIMIT else error[:ERROR_LIMIT] + " ... (more in the pod's log)"
