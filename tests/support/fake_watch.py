# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of a drill on the fake API server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract.watch import Established, Gap, Period, Target

from .fake_api_server import FakeCluster

TCP, UDP = "tcp://billing-db.payments.svc:5432", "udp://billing-db.payments.svc:53"
GOOD = {TCP: Target(TCP, 100, 0), UDP: Target(UDP, 100, 0)}


class Watch(dict[str, str]):
    """The client's pod and its log: each time that somebody reads it, a period is over."""

    def __init__(self, cluster: FakeCluster) -> None:
        super().__init__()
        self.cluster = cluster
        self.created: list[dict[str, Any]] = []
        self.status: dict[str, Any] = {"phase": "Running"}
        self.targets = dict(GOOD)
        self.established: Established | None = None
        # What the period after the next take-over has; and how many there have been.
        self.trouble: Callable[[Period], Period] = lambda period: replace(
            period, targets=(replace(GOOD[TCP], failed=7, gaps=(Gap(5.0, 0.07, 7),)), period.targets[1])
        )
        self.moves: Callable[[], int] = lambda: 0
        self._known = 0
        self._lines: list[str] = []
        cluster.logs = self
        cluster.watchers.append(self._start)

    def _start(self, plural: str, item: dict[str, Any]) -> None:
        if plural == "pods" and item["metadata"]["name"].startswith("egress-watch-"):
            self.created.append(item)
            self._lines = []
            self.cluster.objects[("pods", item["metadata"]["namespace"], item["metadata"]["name"])]["status"] = (
                self.status
            )

    def __getitem__(self, name: str) -> str:
        assert name == self.created[-1]["metadata"]["name"]
        period = Period(len(self._lines) + 1, 0.002, tuple(self.targets.values()), self.established)
        if self.moves() != self._known:
            self._known = self.moves()
            period = self.trouble(period)
        self._lines.append(period.to_json() + "\n")
        return "".join(self._lines)

    def left(self) -> list[str]:
        return [name for plural, _space, name in self.cluster.objects if plural == "pods" and "egress-watch" in name]
