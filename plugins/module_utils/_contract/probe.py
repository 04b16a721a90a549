# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What `egress-router observe` says to a client, and what `egress-router probe` prints: JSON documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

# Outcomes of an attempt, and names of the fields that count them.
CONNECTED = "connected"
REFUSED = "refused"
TIMED_OUT = "timed_out"
FAILED = "failed"


class ResultsError(ValueError):
    """The text is not what `egress-router probe` prints."""


@dataclass(frozen=True)
class Observation:
    """What a server saw of a client. `source_mac`: None behind a gateway, or if the server may not read frames."""

    source_ip: str
    source_port: int
    source_mac: str | None
    local_ip: str
    local_port: int
    protocol: str

    def to_json(self) -> str:
        """The document, on one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: bytes) -> Observation | None:
        """Reads the document; None if a server that does not observe has sent something else."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None


@dataclass(frozen=True)
class Observed(Observation):
    """An observation and the number of attempts that had it. `source_port` is that of the first."""

    count: int


@dataclass(frozen=True)
class Seconds:
    """Seconds until connected (for UDP until the answer); None if no attempt was."""

    min: float | None
    median: float | None
    max: float | None


@dataclass(frozen=True)
class Result:
    """What came of all attempts to connect to one target.

    `errors`: the different ones, at most ten. `observed`: the different observations of the server; empty if it does not
    observe. `held_seconds`: how long the shortest connection was held, `interrupted`: whether one was cut or never made;
    both None unless connections were to be held.
    """

    target: str
    attempts: int
    connected: int
    refused: int
    timed_out: int
    failed: int
    errors: tuple[str, ...]
    seconds: Seconds
    observed: tuple[Observed, ...]
    held_seconds: float | None = None
    interrupted: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it. What only holding connections tells is left out if none was to be held."""
        found = asdict(self)
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in found.items() if value is not None
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """The reverse of as_dict; raises TypeError or KeyError."""
        fields = {
            **data,
            "errors": tuple(data["errors"]),
            "seconds": Seconds(**data["seconds"]),
            "observed": tuple(Observed(**item) for item in data["observed"]),
        }
        return cls(**fields)


def to_json(results: Iterable[Result]) -> str:
    """The document that the command prints."""
    return json.dumps({"results": [result.as_dict() for result in results]})


def from_json(text: str) -> list[Result]:
    """The results in what the command printed; raises ResultsError."""
    try:
        return [Result.from_dict(item) for item in json.loads(text)["results"]]
    except (ValueError, LookupError, TypeError) as error:
        raise ResultsError(f"it did not print the results of egress-router probe: {text[:200]!r}") from error
