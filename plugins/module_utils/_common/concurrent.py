# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Does one thing for many routers at once, and waits for a condition with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from .errors import Unreachable

Item = TypeVar("Item")
Result = TypeVar("Result")

# Most of the time they wait. The Kubernetes client keeps fewer connections open and makes new ones as needed.
WORKERS = 32


def each(function: Callable[[Item], Result], items: Iterable[Item], workers: int = 0) -> list[Result]:
    """The results of `function` for each item, in their order, `workers` at once (0: WORKERS). What it raises is raised here."""
    found = list(items)
    if len(found) < 2:
        return [function(item) for item in found]
    with ThreadPoolExecutor(min(workers or WORKERS, len(found))) as pool:
        return list(pool.map(function, found))


def wait_until(
    condition: Callable[[], Result | None], seconds: float, interval: float = 0.1, slowest: float = 1.0
) -> Result | None:
    """Asks `condition` until it returns something else than None, which is returned; None when time is up.

    It is asked at once, then after `interval`, then in steps that grow to `slowest`, one second. An API server that does not
    answer in between is asked again; if it does not answer at the end either, Unreachable is raised.
    """
    deadline = time.monotonic() + seconds
    while True:
        unreachable = None
        try:
            found = condition()
        except Unreachable as error:
            found, unreachable = None, error
        left = deadline - time.monotonic()
        if found is None and unreachable is not None and left <= 0:
            raise unreachable
        if found is not None or left <= 0:
            return found
        time.sleep(min(interval, left))
        interval = min(interval * 1.3, slowest)
