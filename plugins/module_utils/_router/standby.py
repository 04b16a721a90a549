# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""How the pods of a router stand by for each other, as users write it: the keys `failover` and `disruption_budget`."""

from __future__ import annotations

from .._contract import failover
from .._contract.failover import PERIODS, SERVE, STOP, Failover
from .fields import Fields

# Of a number in the list; which ones make sense together, the contract knows.
_LARGEST = 999_999


def read_failover(fields: Fields) -> Failover:
    """The periods, checked together, and what happens without the API server."""
    section, default = fields.section("failover"), Failover()
    known = len(fields.problems.found)
    periods = {key: section.number(key, 0, _LARGEST, getattr(default, key)) or 0 for key in PERIODS}
    # Of a period that could not be read nothing can be said.
    if len(fields.problems.found) == known:
        for message in failover.problems(**periods):
            fields.problem("failover", message)
    without_api = section.choice("without_api", (SERVE, STOP), default.without_api)
    section.finish()
    return Failover(**periods, without_api=without_api)


def read_disruption_budget(fields: Fields, replicas: int) -> bool:
    """Whether the router has a PodDisruptionBudget: by default where there is more than one pod."""
    several = replicas > 1
    wanted = fields.boolean("disruption_budget", several)
    if wanted and not several:
        fields.problem(
            "disruption_budget",
            "true has no effect with one replica, whose eviction it would only prevent: remove it, or set replicas to 2",
        )
    return wanted and several
