# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What the client saw of an event, and whether that is good enough."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .._contract.target import family_of
from .._contract.watch import Gap, Period
from .._kubernetes.hand_over import Server

# A client that was late by so much may have made the gap itself.
LATE_SECONDS = 0.1


@dataclass(frozen=True)
class Seen:
    """Attempts at one target while an event went on. `seconds`: for how long none succeeded, in all gaps together."""

    target: str
    attempts: int
    failed: int
    seconds: float
    gaps: tuple[Gap, ...]


@dataclass(frozen=True)
class Kept:
    """Established connections at that time."""

    wanted: int
    broken: int
    stall_seconds: float


@dataclass(frozen=True)
class Finding:
    """An event. `after` None: nobody served. `error`: why it did not come to its end."""

    event: str
    before: Server | None
    after: Server | None
    targets: tuple[Seen, ...]
    established: Kept | None
    limit: float
    late_seconds: float = 0.0
    lease_seconds: float | None = None
    cause: str = ""
    error: str = ""

    @property
    def attempts(self) -> int:
        return sum(seen.attempts for seen in self.targets)

    @property
    def failed(self) -> int:
        return sum(seen.failed for seen in self.targets)

    def of_family(self, family: int) -> list[Seen]:
        """Attempts at targets that ask for one family."""
        return [seen for seen in self.targets if family_of(seen.target) == family]

    @property
    def seconds(self) -> float:
        """Of the target that was without service for longest."""
        return max((seen.seconds for seen in self.targets), default=0.0)

    @property
    def problems(self) -> list[str]:
        """Why the event did not go as it should."""
        found = [self.error] if self.error else []
        if not self.error and not self.attempts:
            found.append("the client made no connection")
        found += [
            f"{seen.target} was without service for {seen.seconds:.2f} s, more than {self.limit:g} s"
            for seen in self.targets
            if seen.seconds > self.limit
        ]
        kept = self.established
        if kept is not None and kept.broken:
            found.append(f"{kept.broken} of {kept.wanted} established connections broke")
        if kept is not None and kept.stall_seconds > self.limit:
            found.append(f"an established connection waited for {kept.stall_seconds:.2f} s, more than {self.limit:g} s")
        return found

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def notice(self) -> str:
        if self.late_seconds < LATE_SECONDS:
            return ""
        return f"the client itself was late by up to {self.late_seconds:.2f} s: its node is busy"

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            "event": self.event,
            "ok": self.ok,
            "before": asdict(self.before) if self.before else None,
            "after": asdict(self.after) if self.after else None,
            "attempts": self.attempts,
            "failed": self.failed,
            "seconds": round(self.seconds, 3),
            "limit": self.limit,
            "lease_seconds": self.lease_seconds,
            "cause": self.cause,
            "targets": [asdict(seen) for seen in self.targets],
            "established": asdict(self.established) if self.established else None,
            "late_seconds": self.late_seconds,
            "problems": self.problems,
            "notice": self.notice,
        }


def seen(periods: Sequence[Period], targets: Collection[str]) -> tuple[Seen, ...]:
    """What came of the attempts at `targets` in these periods. A gap that is not over counts as long as it is."""
    found = []
    for name in targets:
        ones = [target for period in periods for target in period.targets if target.target == name]
        gaps = tuple(gap for one in ones for gap in one.gaps)
        open_ = ones[-1].down_seconds if ones else 0.0
        seconds = round(sum(gap.seconds for gap in gaps) + open_, 3)
        found.append(Seen(name, sum(one.attempts for one in ones), sum(one.failed for one in ones), seconds, gaps))
    return tuple(found)


def kept(periods: Sequence[Period]) -> Kept | None:
    """What became of established connections; None if there are none to be kept."""
    found = [period.established for period in periods if period.established is not None]
    if not found:
        return None
    return Kept(found[-1].wanted, sum(one.broken for one in found), max(one.stall_seconds for one in found))


def late(periods: Sequence[Period]) -> float:
    """By how much the client itself was late."""
    return max((period.late_seconds for period in periods), default=0.0)


def steady(periods: Sequence[Period], targets: Collection[str], count: int) -> str:
    """Why the last `count` periods do not show a client whose connections all succeed; empty if they do."""
    if len(periods) < count:
        return f"its client has run for {len(periods)} of {count} periods"
    for period in periods[-count:]:
        for one in period.targets:
            if one.target in targets and (one.failed or one.down_seconds or not one.attempts):
                said = f": {one.error}" if one.error else ""
                return f"{one.failed} of {one.attempts} connections to {one.target} failed{said}"
        use = period.established
        if use is not None and use.open < use.wanted:
            said = f": {use.error}" if use.error else ""
            return f"{use.open} of {use.wanted} established connections are open{said}"
    return ""
