# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client: a pod with `egress-router watch`, whose log is read from its node. That works without the API server too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import IMAGE, NAMESPACE

from ansible_collections.egress.router.plugins.module_utils._contract.watch import Period, from_lines
from ansible_collections.egress.router.plugins.module_utils._drill.judge import steady
from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.egress.router.plugins.module_utils._verify.client import manifest
from ansible_collections.egress.router.tests.support.waiting import until

from .nodes import CONTROL_PLANE, Nodes

INTERVAL_MS = 10
PERIOD_SECONDS = 0.5
# All connections have succeeded for so many periods.
STEADY_PERIODS = 3
# The node that no event touches.
PLACE = {
    "image": IMAGE,
    "image_pull_secrets": (),
    "node_selector": {"kubernetes.io/hostname": CONTROL_PLANE},
    "tolerations": [{"operator": "Exists"}],
}
LONGEST_SECONDS = 6 * 3600
# After SIGTERM, at which it resets its connections.
GRACE_SECONDS = 2


class Client:
    """Connects to `targets` all the time."""

    def __init__(self, log: Path, targets: Sequence[str]) -> None:
        self._log = log
        self._read = 0
        self._begun = b""
        self._periods: list[Period] = []
        self.targets = list(targets)

    def periods(self) -> list[Period]:
        """All that it has printed."""
        if not self._log.exists():
            return []
        with self._log.open("rb") as file:
            file.seek(self._read)
            found = file.read()
        self._read += len(found)
        *whole, self._begun = (self._begun + found).split(b"\n")
        # TIME STREAM F DOCUMENT
        documents = [line.decode().split(" ", 3)[3] for line in whole]
        self._periods += from_lines("".join(f"{text}\n" for text in documents if text.startswith("{")))
        return self._periods

    def number(self) -> int:
        """How many periods there are."""
        return len(self.periods())

    def since(self, number: int) -> list[Period]:
        """Those after the first `number`."""
        return self.periods()[number:]

    def steady(self, seconds: float = 60.0) -> None:
        """Until all connections succeed, from now on."""
        number, problem = self.number(), ""

        def succeed() -> bool:
            nonlocal problem
            problem = steady(self.since(number), self.targets, STEADY_PERIODS)
            return not problem

        try:
            until(succeed, "connections succeed", seconds)
        except AssertionError:
            raise AssertionError(f"the client after {seconds:g} s: {problem}") from None


@contextmanager
def client(
    nodes: Nodes, cluster: Cluster, targets: Sequence[str], established: int = 0, namespace: str = NAMESPACE
) -> Iterator[Client]:
    """A client that runs, and whose connections succeed."""
    options = [f"--interval={INTERVAL_MS}", f"--period={PERIOD_SECONDS}", f"--established={established}"]
    arguments = [*(f"--target={target}" for target in targets), *options]
    body: dict[str, Any] = manifest("watch", PLACE, arguments, LONGEST_SECONDS, False, "100m")
    made = cluster.create("Pod", namespace, body)["metadata"]
    try:
        folder = f"{namespace}_{made['name']}_{made['uid']}"
        found = Client(Path(nodes.root(CONTROL_PLANE)) / "var/log/pods" / folder / "watch/0.log", targets)
        found.steady()
        nodes.before_everything("egress_router watch")
        yield found
    finally:
        # Its connections end with it, and with them the pods that relay them.
        cluster.delete("Pod", namespace, made["name"], grace_seconds=GRACE_SECONDS)
