# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client that connects all the time, to know for how long nobody serves."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

from ansible_collections.egress.router.tests.support.router_pod import ask

# How often it begins a connection.
EVERY_SECONDS = 0.01


class Client:
    """Begins a connection to what the Service leads to every 10 ms, and remembers which got an answer.

    `where`: the address of the pod that the Service leads to; empty for none.
    """

    def __init__(self, where: Callable[[], str]) -> None:
        self._where = where
        self._stop = threading.Event()
        # When each connection was begun, and the MAC address that the server saw; empty without an answer.
        self.seen: list[tuple[float, str]] = []
        self._threads = [threading.Thread(target=self._begin, daemon=True)]
        self._threads[0].start()

    def _begin(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            thread = threading.Thread(target=self._connect, args=(time.monotonic(), self._where()), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _connect(self, began: float, address: str) -> None:
        try:
            answer = ask(address, 5432, timeout=0.5) if address else {}
        except (OSError, ValueError):
            answer = {}
        self.seen.append((began, str(answer.get("source_mac", ""))))

    def macs(self) -> set[str]:
        return {mac for _began, mac in self.seen if mac}

    def stop(self) -> tuple[float, float]:
        """The longest time without a connection that got an answer, and for how much of it this client had no processor."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        good = sorted(began for began, mac in self.seen if mac)
        start, end = max(itertools.pairwise(good), key=lambda pair: pair[1] - pair[0])
        during = sorted(began for began, _mac in self.seen if start <= began <= end)
        late = sum(later - earlier - 2 * EVERY_SECONDS for earlier, later in itertools.pairwise(during))
        return end - start, max(0.0, late)
