# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The client of a drill: a pod in which `egress-router watch` connects all the time, and whose log tells what failed."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from .._common.concurrent import wait_until
from .._common.errors import EgressError, NotReady
from .._contract.watch import Period, PeriodsError, from_lines
from .._kubernetes.cluster import Cluster
from .._kubernetes.constraints import is_openshift
from .._kubernetes.pods import GRACE_SECONDS, pod_problem
from .._verify.client import events, manifest
from .judge import steady

# Targets that have not answered by then do not answer the client at all.
SETTLE_SECONDS = 10.0
# The client is steady after so many periods, of a second, without a failure.
STEADY_PERIODS = 2
# What it needs for 100 connections and datagrams in a second: one that has to wait for its node measures that.
CPU = "100m"
# More than an event takes, and what a log may hold.
_LINES = 2000
_INTERVAL = 0.2


class Client:
    """A pod that runs. `targets`: those that answer it. `notes`: why others do not count."""

    def __init__(self, cluster: Cluster, namespace: str, name: str, targets: Sequence[str]) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self.targets = list(targets)
        self.notes: list[str] = []

    def start(self, seconds: float) -> None:
        """Waits until it runs, and its connections succeed."""
        self._await_running(seconds)
        if not self._await_steady(0, min(SETTLE_SECONDS, seconds)):
            return
        periods = self.periods()
        problems = {target: steady(periods, [target], STEADY_PERIODS) for target in self.targets}
        self.targets = [target for target, problem in problems.items() if not problem]
        problem = steady(periods, self.targets, STEADY_PERIODS)
        if problem or not self.targets:
            raise NotReady(f"no drill without connections that succeed: {problem or '; '.join(problems.values())}")
        self.notes += [f"not measured: {problem}" for problem in problems.values() if problem]

    def periods(self) -> list[Period]:
        """What it has printed."""
        try:
            return from_lines(self._cluster.logs(self._namespace, self._name, lines=_LINES))
        except PeriodsError as error:
            raise EgressError(f"the client pod in namespace {self._namespace}: {error}") from error

    def number(self) -> int:
        """Of the last period: what comes after it is new."""
        periods = self.periods()
        return periods[-1].number if periods else 0

    def since(self, number: int, seconds: float) -> tuple[list[Period], str]:
        """The periods after `number` until all connections succeed again, and why they do not."""
        problem = self._await_steady(self.number(), seconds)
        return [period for period in self.periods() if period.number > number], problem

    def _await_steady(self, number: int, seconds: float) -> str:
        problem = ""

        def ask() -> bool | None:
            nonlocal problem
            periods = [period for period in self.periods() if period.number > number]
            problem = steady(periods, self.targets, STEADY_PERIODS)
            if problem:
                self._check_running()
            return None if problem else True

        wait_until(ask, seconds, _INTERVAL, 1.0)
        return problem

    def _check_running(self) -> None:
        pod = self._cluster.get("Pod", self._namespace, self._name)
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            end = self._cluster.logs(self._namespace, self._name, lines=3).strip()
            raise NotReady(
                f"the client pod in namespace {self._namespace} has ended: {pod_problem(pod)}; it printed: {end}"
            )

    def _await_running(self, seconds: float) -> None:
        since = time.monotonic()
        problem = ""

        def ask() -> bool | None:
            nonlocal since, problem
            pod = self._cluster.get("Pod", self._namespace, self._name)
            phase = (pod.get("status") or {}).get("phase")
            if phase == "Running":
                return True
            if phase in ("Succeeded", "Failed"):
                self._check_running()
            problem = pod_problem(pod, events(self._cluster, self._namespace, pod))
            if not problem:
                since = time.monotonic()
            return False if problem and time.monotonic() - since >= GRACE_SECONDS else None

        if not wait_until(ask, seconds, _INTERVAL):
            said = problem or f"not running after {seconds:g} s"
            raise NotReady(f"the client pod in namespace {self._namespace} does not start: {said}")


@contextmanager
def running(
    cluster: Cluster, params: Mapping[str, Any], targets: Sequence[str], seconds: float, deadline: int
) -> Generator[Client, None, None]:
    """A client that connects all the time. Its pod is deleted in every case, and ends by itself at the deadline.

    `params`: `namespace`, `image`, `image_pull_secrets`, `node_selector`, `interval_ms` and `established`.
    """
    namespace = params["namespace"]
    arguments = [f"--target={target}" for target in targets]
    arguments += [f"--interval={params['interval_ms']}", f"--established={params['established']}"]
    body = manifest("watch", params, arguments, deadline, is_openshift(cluster), CPU)
    name = cluster.create("Pod", namespace, body)["metadata"]["name"]
    try:
        client = Client(cluster, namespace, name, targets)
        client.start(seconds)
        yield client
    finally:
        cluster.delete("Pod", namespace, name, grace_seconds=0)
