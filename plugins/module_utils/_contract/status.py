# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What the router's agent says of itself, written as annotations of the router's Lease.

The Lease's own fields say who serves (`spec.holderIdentity`, the pod's name) and that it still does
(`spec.renewTime`); the annotations say what it serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .names import ANNOTATION_PREFIX

# The pod has the lease, its address is on net1 and its rules are in the kernel.
SERVING = "serving"
# The pod has the lease and prepares, for example probes the segment for its address.
STARTING = "starting"
# The pod has the lease and its rules are in the kernel, but it leaves the address to others (see names.HOLD).
ON_HOLD = "on-hold"
# The pod has the lease but somebody else answers for its address; `error` says who.
CONFLICT = "conflict"
# The pod has the lease and cannot serve; `error` says why.
FAILED = "failed"
# The pod gave the lease back.
STOPPED = "stopped"


@dataclass(frozen=True)
class Status:
    """One router's state. Every field is text, as annotations are; empty means not known or none.

    `addresses`: comma-separated addresses with prefix that are on net1, empty while not serving.
    `rules_hash`: hash of the rules that were read back from the kernel (see RuleSet.hash).
    `rules_count`: how many.
    `rules_version`: resourceVersion of the rules ConfigMap that the agent dealt with last, taken or refused.
    `rules_error`: why that version was refused; empty when it was taken.
    `applied_at`: when the kernel's rules changed last, RFC 3339, UTC.
    `error`: why the router does not serve, or why the Service does not lead to it.
    `pod_ip`: where the pod receives messages of other pods of the router.
    `successor`: the pod that takes over when this one fails; empty if there is none.
    `successor_error`: why that pod could not serve, or why no pod can be a successor; empty if it could.
    `taken_over_at`, `taken_over_from`, `take_over_cause`, `take_over_seconds`: when this pod began to serve (RFC 3339, UTC), after
    which pod (empty: none), why, and for how long nobody had served, as far as it knows.
    `beats_lost`: how many messages to its successor were not answered in time since then.
    `relay_error`: why connections that are open would be reset at a planned move; empty if they would go on.
    `routes_error`: which gateways of its routes do not answer, so that the router does not reach the servers behind them.
    """

    state: str = ""
    pod: str = ""
    node: str = ""
    addresses: str = ""
    mac: str = ""
    rules_hash: str = ""
    rules_count: str = ""
    rules_version: str = ""
    rules_error: str = ""
    applied_at: str = ""
    error: str = ""
    pod_ip: str = ""
    successor: str = ""
    successor_error: str = ""
    taken_over_at: str = ""
    taken_over_from: str = ""
    take_over_cause: str = ""
    take_over_seconds: str = ""
    beats_lost: str = ""
    relay_error: str = ""
    routes_error: str = ""

    @property
    def serving(self) -> bool:
        """Whether clients are served."""
        return self.state == SERVING

    def annotations(self) -> dict[str, str]:
        """The annotations for the Lease; every field is there, so that a merge clears what is empty now."""
        return {_key(field.name): getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_lease(cls, lease: Mapping[str, Any]) -> Status:
        """The status in a Lease object as the API returns it; all fields empty if no agent has written yet."""
        annotations = (lease.get("metadata") or {}).get("annotations") or {}
        return cls(**{field.name: annotations.get(_key(field.name), "") for field in fields(cls)})


def _key(field: str) -> str:
    return ANNOTATION_PREFIX + field.replace("_", "-")
