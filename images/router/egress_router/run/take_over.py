# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How this pod came to serve: when, after whom, why, and for how long nobody had."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from ansible_collections.egress.router.plugins.module_utils._contract.status import Status

from ..failover.protocol import CAUSES, RESTARTED
from ..log import event, now


@dataclass(frozen=True)
class TakeOver:
    """As the fields of status.Status say it."""

    at: str = ""
    previous: str = ""
    cause: str = ""
    seconds: str = ""


class TakeOvers:
    """`last` is what goes into the status; `seconds`: of the last, a number; `by_cause` counts."""

    def __init__(self) -> None:
        self.last = TakeOver()
        self.seconds = 0.0
        self.by_cause: Counter[str] = Counter(dict.fromkeys(CAUSES, 0))
        self._begun: tuple[str, str, float] | None = None

    def begin(self, cause: str, previous: str, since: float) -> None:
        """This pod is the holder now. Nobody had served `since` (monotonic seconds)."""
        self._begun = (cause, previous, since)

    def end(self) -> None:
        """It serves."""
        begun, self._begun = self._begun, None
        if begun is None:
            return
        cause, previous, since = begun
        self.by_cause[cause] += 1
        self.seconds = time.monotonic() - since
        self.last = TakeOver(now(), previous, cause, f"{self.seconds:.3f}")
        event("take-over", cause=cause, previous=previous or "nobody", seconds=self.last.seconds)

    def adopt(self, status: Status) -> None:
        """An earlier process of this pod took over, and this one goes on."""
        if self.last == TakeOver() and (self._begun is None or self._begun[0] == RESTARTED):
            self.last = TakeOver(
                status.taken_over_at, status.taken_over_from, status.take_over_cause, status.take_over_seconds
            )
