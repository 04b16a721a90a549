# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What is wrong with the users' data, collected so that all of it is told at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing to correct. `router` is `NAMESPACE/NAME`, or empty for the list as a whole.

    `message` says what, why and what to do.
    """

    router: str
    field: str
    message: str

    def __str__(self) -> str:
        where = [f"router {self.router}"] if self.router else []
        where += [self.field] if self.field else []
        return f"{', '.join(where)}: {self.message}"


class Problems:
    """Collects the problems of one router; the same sentence is kept once."""

    def __init__(self, router: str) -> None:
        self.router = router
        self._found: dict[Problem, None] = {}

    @property
    def found(self) -> list[Problem]:
        """The problems, in the order in which they were noted."""
        return list(self._found)

    def add(self, field: str, message: str) -> None:
        """Notes a problem of `field`."""
        self._found[Problem(self.router, field, message)] = None
