# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One line of key=value text for each event, on standard output."""

from __future__ import annotations

import datetime
import json
import re
import sys

# Of one value: nobody reads more, and logs are stored.
LIMIT = 4000
_PLAIN = re.compile(r"[^\s\"=]+\Z")


def now() -> str:
    """The time of day, RFC 3339, UTC, with milliseconds."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event(name: str, **fields: object) -> None:
    """Log event `name` with its fields; a value with spaces or quotes is written as a JSON string."""
    words = [f"time={now()}", f"event={name}"]
    for key, value in fields.items():
        text = str(value)
        text = text if len(text) <= LIMIT else f"{text[:LIMIT]} ... ({len(text)} characters)"
        words.append(f"{key}={text if _PLAIN.match(text) else json.dumps(text, ensure_ascii=False)}")
    # One write a line, so that lines of two threads do not mix.
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


class Problem:
    """Logs event `name` when a problem begins or changes, and once without an error when it is over: not at each attempt."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last: dict[str, object] = {}

    def note(self, error: str = "", **fields: object) -> None:
        """What is wrong now; empty if nothing is."""
        now = {**fields, "error": error} if error else {}
        if now != self._last:
            self._last = now
            event(self._name, **(now or {"over": True}))
