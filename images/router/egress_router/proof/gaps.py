# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""For how long nothing answered, from attempts to connect that overlap. Pure: times go in, gaps come out."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.egress.router.plugins.module_utils._contract.watch import Gap, Target


class Gaps:
    """Attempts at one target, in the order in which they begin and end.

    A gap begins with the first attempt that begins after the last success, and ends with the next success. So a client that
    was too busy to try finds no gap. `shortest`: what takes less is none. `patience`: when an attempt has failed at the latest.
    `due`: when the next attempt should begin. Of a gap, what the client itself was late by meanwhile counts as nothing, and what is left has
    to be `shortest`.
    """

    def __init__(self, target: str, shortest: float, patience: float) -> None:
        self._target = target
        self._shortest = shortest
        self._patience = patience
        # When the first attempt after the last success began, and how many have failed since.
        self._since: float | None = None
        self._failed_since = 0
        self._late = 0.0
        self._succeeded = False
        # Gaps that are over, with the time of their end, until all attempts in them have ended: some have only begun.
        self._over: list[tuple[float, Gap]] = []
        self._attempts = 0
        self._failed = 0
        self._error = ""
        self.due = float("inf")

    def begin(self, now: float) -> None:
        """An attempt begins."""
        if self._since is None:
            self._since, self._late = now, 0.0

    def late(self, seconds: float) -> None:
        """The client was late by so much with an attempt."""
        self._late = max(self._late, seconds)

    def succeed(self, now: float) -> None:
        """An attempt succeeds."""
        self._attempts += 1
        # The first attempts of all only show how long an answer takes.
        known = self._succeeded or self._failed_since
        late = max(self._late, now - self.due)
        if self._since is not None and known and now - self._since - late >= self._shortest:
            self._over.append((now, Gap(self._since, now - self._since, self._failed_since)))
        self._since = None
        self._failed_since = 0
        self._succeeded = True

    def fail(self, begun: float, error: str) -> None:
        """An attempt fails that began at `begun`."""
        self._attempts += 1
        self._failed += 1
        self._error = error
        if self._since is not None and begun >= self._since:
            self._failed_since += 1
            return
        for place, (end, gap) in enumerate(self._over):
            if gap.start <= begun <= end:
                self._over[place] = (end, replace(gap, failed=gap.failed + 1))

    def take(self, now: float, last: bool = False) -> Target:
        """What came of the attempts since the last call. `last`: there is no next one, what is not over ends now."""
        down = now - self._since if self._since is not None else 0.0
        down = down if down >= self._shortest else 0.0
        ready = [gap for end, gap in self._over if last or now >= end + self._patience]
        self._over = [(end, gap) for end, gap in self._over if gap not in ready]
        if last and down and self._since is not None:
            ready.append(Gap(self._since, down, self._failed_since))
        found = Target(
            self._target,
            self._attempts,
            self._failed,
            round(down, 3),
            tuple(replace(gap, start=round(gap.start, 3), seconds=round(gap.seconds, 3)) for gap in ready),
            self._error,
        )
        self._attempts = self._failed = 0
        self._error = ""
        return found
