# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""One router with this backend, as it is and as it is to be, and what becomes of its objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..._contract import names
from ..._egress_router_cr import manifests, state
from ..._egress_router_cr.state import Live
from ..._router.manifests import Manifest
from ..._router.router import Router
from ..change import Change

MANAGER = names.FIELD_MANAGER_DEPLOY


@dataclass
class Step:
    """What becomes of one object."""

    kind: str
    name: str
    change: Change
    # None: it is removed.
    manifest: Manifest | None = None
    uid: str = ""
    done: bool = False

    @property
    def verb(self) -> str:
        """What is done to it."""
        if self.change.after is None:
            return "removed"
        return "created" if self.change.before is None else "modified"


@dataclass
class Work:
    """One router, as it is and as it is to be."""

    router: Router
    live: Live = field(default_factory=Live)
    # Services of the router, and all EgressRouters of its namespace.
    services: list[dict[str, Any]] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    # Whether it serves as the list has it.
    serves: bool = False

    @property
    def changes(self) -> list[Step]:
        return [step for step in self.steps if step.change.changed]

    def deployment(self, live: Live) -> Manifest:
        """The fields of the Deployment that are the collection's, as they are to be."""
        return manifests.deployment(self.router, state.restart_mark(live, self.router))

    def step(self, kind: str) -> Step | None:
        """What is to be done to the object of a kind; None: nothing."""
        return next((step for step in self.changes if step.kind == kind and step.manifest), None)
