# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What `egress-router watch` prints: a JSON document on a line for each period of time, with what went wrong in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


class PeriodsError(ValueError):
    """The text is not what `egress-router watch` prints."""


@dataclass(frozen=True)
class Gap:
    """A time in which no attempt succeeded. `start`: in seconds since the client's. `failed`: attempts begun in it that failed."""

    start: float
    seconds: float
    failed: int


@dataclass(frozen=True)
class Target:
    """Attempts to connect that ended in a period. `down_seconds`: how long a gap has lasted that is not over.

    `gaps`: those that are over, and all of whose attempts have ended. `error`: of the last attempt that failed.
    """

    target: str
    attempts: int
    failed: int
    down_seconds: float = 0.0
    gaps: tuple[Gap, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Established:
    """Connections that are kept open and used. `broken`: those that ended in the period. `stall_seconds`: the longest wait for an echo.

    `error`: why one is not open.
    """

    wanted: int
    open: int
    broken: int = 0
    stall_seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Period:
    """`number` counts from 1. `late_seconds`: by how much the client itself was late: its node is busy, and gaps may be its own."""

    number: int
    late_seconds: float
    targets: tuple[Target, ...]
    established: Established | None = None

    def to_json(self) -> str:
        """The document, on one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Period:
        """What `to_json` has written; raises TypeError or LookupError."""
        targets = [
            Target(**{**item, "gaps": tuple(Gap(**gap) for gap in item.get("gaps", ()))}) for item in data["targets"]
        ]
        kept = data.get("established")
        fields = {"targets": tuple(targets), "established": None if kept is None else Established(**kept)}
        return cls(**{**data, **fields})


def from_lines(text: str) -> list[Period]:
    """The periods of which there is a whole line; raises PeriodsError."""
    try:
        return [Period.from_dict(json.loads(line)) for line in text.split("\n")[:-1] if line]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise PeriodsError(f"it did not print what egress-router watch does: {text[:200]!r}") from error
