# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel as the fence: the pod serves while a permit that was granted has not run out, whatever becomes of the agent.

A permit is made before the question leaves whose answer grants it, so its time begins before anybody else's. Granting needs a
guard, another permit or the same: nft refuses to delete what has run out, and the transaction with it. So a process that was
frozen between thinking and doing, for however long, changes nothing afterwards.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from . import table
from .nft import FirewallError, Nft

# Elements of the set have 32 bits, and 0 is the mark of a packet without one.
_NUMBERS = 0xFFFFFFFF


class Fence:
    """Permits of one pod. All methods are for any thread; those that reach the kernel raise FirewallError.

    `lock` is held while the kernel changes; `commits` counts the changes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.lock = threading.Lock()
        self.commits = 0
        self._nft = Nft()
        self._clock = clock
        # Of an earlier process of this pod, and of this boot, all numbers were lower.
        self._last = int(clock() * 1000)
        self._until: dict[int, float] = {}
        self._granted = 0
        # What an earlier process of this pod granted may last.
        self._dropped = False

    def permit(self, seconds: float | None) -> int:
        """Make a permit that lasts for `seconds` from now (None: for ever); returns its number."""
        with self.lock:
            now = self._clock()
            self._last += 1
            number = self._last % _NUMBERS + 1
            # Noted as ending before the kernel's does.
            self._until = {n: until for n, until in self._until.items() if until > now or n == self._granted}
            self._until[number] = float("inf") if seconds is None else now + seconds
            self._dropped = False
            self._run(table.permit(number, seconds))
            return number

    def grant(self, number: int, guard: int) -> bool:
        """Serve by permit `number` alone from now on; False, and nothing has changed, if `guard` has run out.

        `guard` may be `number` itself: what has run out gives no right.
        """
        with self.lock:
            try:
                self._run(table.grant(number, guard))
            except FirewallError:
                return False
            if guard != number:
                self._until.pop(guard, None)
            self._granted = number
            return True

    def grant_endless(self, guard: int) -> bool:
        """Serve without an end from now on, if `guard` has not run out."""
        if self._until.get(self._granted) == float("inf"):
            return True
        number = self.permit(None)
        granted = self.grant(number, guard)
        if not granted:
            with self.lock:
                self._until.pop(number, None)
                self._run(table.revoke(number))
        return granted

    def drop(self) -> None:
        """Serve no more."""
        with self.lock:
            if self._dropped:
                return
            self._dropped = True
            self._granted = 0
            self._until.clear()
            # Without the table nothing is served either.
            with contextlib.suppress(FirewallError):
                self._run(table.drop())

    def restore(self) -> str:
        """Commands that bring back, into a table that somebody had removed, what is granted and has not run out."""
        left = self._until.get(self._granted, 0.0) - self._clock()
        if not self._granted or left <= 0:
            return ""
        return table.permit(self._granted, None if left == float("inf") else left) + table.grant(self._granted)

    def reassert(self) -> None:
        """Grant what is granted once more: somebody may have removed it."""
        with self.lock, contextlib.suppress(FirewallError):
            commands = self.restore()
            if commands:
                self._run(commands)

    def _run(self, commands: str) -> None:
        self._nft.run(commands)
        self.commits += 1
