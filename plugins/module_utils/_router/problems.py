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


class ModelError(ValueError):
    """The data cannot be used. `problems` has everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Problems:
    """Collects the problems of one router; the same sentence is kept once."""

    def __init__(self, router: str) -> None:
        self.router = router
        self.found: list[Problem] = []

    def add(self, field: str, message: str) -> None:
        """Notes a problem of `field`."""
        problem = Problem(self.router, field, message)
        if problem not in self.found:
            self.found.append(problem)
