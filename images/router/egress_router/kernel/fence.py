# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel as the fence: the pod serves while a permit that was granted has not run out, whatever becomes of the agent.

A permit is made before the question leaves whose answer grants it, so its time begins before anybody else's. Granting needs a
guard, another permit or the same: nft refuses to delete what has run out, and the transaction with it. So a process that was
frozen between thinking and doing, for however long, changes nothing afterwards.

A change of the kernel costs as much as a beat, so the permit of the next beat is made with the grant of this one: the spare. It lasts
for as long longer as it has to wait, and is not used earlier, so it ends no later than one that is made then.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from . import permits, table
from .nft import FirewallError, Nft

# Elements of the set have 32 bits, and 0 is the mark of a packet without one.
_NUMBERS = 0xFFFFFFFF
INFINITE = float("inf")
# What comes back has to be in the kernel within this after the clock was read, and ends earlier by as much. A process that was
# frozen meanwhile reads the clock again.
RESTORE_SECONDS = 0.05
RESTORE_ATTEMPTS = 5


class Spare(NamedTuple):
    """A permit that is made ahead. `wait`: for how many seconds it is not used; then it lasts for `seconds`, or less if it waits longer."""

    wait: float
    seconds: float


class _Made(NamedTuple):
    """A spare in the kernel since `at`, or a moment before."""

    number: int
    spare: Spare
    at: float


class Fence:
    """Permits of one pod. All methods are for any thread.

    `lock` is held while the kernel changes; `commits` counts the changes. `restored`: the last restore() succeeded, which it does not
    without the table, nor if the process is frozen again and again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.lock = threading.Lock()
        self.commits = 0
        self.restored = True
        self._nft = Nft()
        self._clock = clock
        # Of an earlier process of this pod, and of this boot, all numbers were lower.
        self._last = int(clock() * 1000)
        self._until: dict[int, float] = {}
        self._granted = 0
        self._spare: _Made | None = None
        # What an earlier process of this pod granted may last.
        self._dropped = False
        # Until when the kernel serves by what is granted, as far as this process knows.
        self.until = 0.0

    @property
    def serves(self) -> bool:
        """Whether the kernel serves at this moment. Waits for nothing."""
        return self._clock() < self.until

    def adopt(self) -> int:
        """Know what an earlier process of this pod left granted; returns its number if it has no end, otherwise 0."""
        with self.lock:
            now = self._clock()
            try:
                number, left = table.granted(
                    *(json.loads(self._nft.run(one))["nftables"] for one in table.LIST_GRANTED)
                )
            except FirewallError:
                return 0
            if left <= 0:
                return 0
            self._granted = number
            self._until[number] = self.until = now + left
            return number if left == INFINITE else 0

    def permit(self, seconds: float | None) -> int:
        """Make a permit that lasts for `seconds` from now (None: for ever); returns its number.

        If somebody has removed the table, the permit comes back with it.
        """
        with self.lock:
            now = self._clock()
            made, self._spare = self._spare, None
            if (
                made is not None
                and made.spare.seconds == seconds
                and 0 <= now - made.at - made.spare.wait < made.spare.wait
            ):
                return made.number
            number = self._next()
            # Noted as ending before the kernel's does.
            self._until = {n: until for n, until in self._until.items() if until > now or n == self._granted}
            self._until[number] = INFINITE if seconds is None else now + seconds
            self._dropped = False
            with contextlib.suppress(FirewallError):
                self._commit(permits.permit(number, seconds))
            return number

    def grant(self, number: int, guard: int, spare: Spare | None = None) -> bool:
        """Serve by permit `number` alone from now on; False, and nothing has changed, if `guard` has run out.

        `guard` may be `number` itself: what has run out gives no right. `spare`: a permit that will soon be asked for.
        """
        with self.lock:
            changes = permits.grant(number, guard)
            ahead = self._next() if spare else 0
            now = self._clock()
            if spare:
                changes += permits.permit(ahead, spare.wait + spare.seconds)
            try:
                self._commit(changes)
            except FirewallError:
                return False
            self._spare = None
            if spare:
                self._until[ahead] = now + spare.wait + spare.seconds
                self._spare = _Made(ahead, spare, self._clock())
            if guard != number:
                self._until.pop(guard, None)
            self._granted = number
            self.until = self._until.get(number, 0.0)
            return True

    def revoke(self, number: int) -> None:
        """Remove a permit that was not granted: one without end would stay."""
        with self.lock, contextlib.suppress(FirewallError):
            self._until.pop(number, None)
            self._commit(permits.revoke(number))

    def drop(self) -> None:
        """Serve no more."""
        with self.lock:
            if self._dropped:
                return
            self._dropped = True
            self._spare = None
            self.until = 0.0
            self._granted = 0
            self._until.clear()
            # Without the table nothing is served either.
            with contextlib.suppress(FirewallError):
                self._commit(permits.drop())

    def restore(self) -> None:
        """Bring back permits that have not run out, and what is granted: somebody may have removed them. With `lock` held."""
        self.restored = any(self._restore() for _attempt in range(RESTORE_ATTEMPTS))

    def _restore(self) -> bool:
        guard = self._next()
        try:
            self._commit(permits.permit(guard, RESTORE_SECONDS))
            # Only now: if the guard has not run out when the kernel changes, the clock was read no longer ago than that.
            end = self._clock() + RESTORE_SECONDS
            left = {number: until - end for number, until in self._until.items() if until > end}
            changes = permits.revoke(guard)
            for number, seconds in left.items():
                changes += permits.permit(number, None if seconds == INFINITE else seconds)
            if self._granted in left:
                changes += permits.grant(self._granted)
            self._commit(changes)
        except FirewallError:
            return False
        return True

    def reassert(self) -> None:
        """The same, without the lock."""
        with self.lock:
            self.restore()

    def run(self, commands: str) -> None:
        """Run commands that change no table of Firewall's, which need not look at them then."""
        with self.lock:
            self._nft.run(commands)
            self.commits += 1

    def _next(self) -> int:
        self._last += 1
        return self._last % _NUMBERS + 1

    def _commit(self, changes: list[bytes]) -> None:
        self._nft.commit(changes)
        self.commits += 1
