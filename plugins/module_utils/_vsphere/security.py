# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Sets the security policy of port groups to which nodes are connected, and nothing else; or restores an earlier one.

Everything is read first (survey.py), then everything is planned, and only then written. Distributed switches and port groups
have versions, so a write that conflicts with another is repeated on the latest state. Standard ones have none: each is read
again right before it is written, and read back until the flags are in effect.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .._common.concurrent import each
from .._common.errors import Conflict, EgressError, InputError
from .._common.plan import Plan
from .adapter import STANDARD
from .flags import FLAGS, LEARNING, PREVIOUS_SPEC, Flags, missing, previous_flags, read_previous
from .policies import PolicyId, SecurityPolicy, lines, needed_ids, refusals, restored, sources, unmet, with_flags
from .survey import TARGET_SPEC, AdapterRequest, Attachment, PolicyTarget, Survey, read_requests, read_targets, survey

if TYPE_CHECKING:
    from .vcenter import Vcenter

# How often a write is attempted while others change the same policy, or it does not take effect.
ATTEMPTS = 10
# Upper bound of the pause before the next attempt, in seconds, multiplied by the number of attempts so far.
JITTER = 0.2

SPEC: dict[str, Any] = {
    **{name: {"type": "bool"} for name in (*FLAGS, LEARNING)},
    "state": {"type": "str", "choices": ["present", "restored"], "default": "present"},
    "previous": {
        "type": "list",
        "elements": "dict",
        "options": {
            **TARGET_SPEC,
            "kind": {"type": "str"},
            **dict.fromkeys((*FLAGS, LEARNING), PREVIOUS_SPEC),
        },
    },
}

Connect = Callable[[], AbstractContextManager["Vcenter"]]


@dataclass
class PolicyChange:
    """One policy before and after. `compute`: the flags that it has to set. `after`: those that it sets then."""

    policy: SecurityPolicy
    nodes: list[str]
    compute: Callable[[SecurityPolicy], Flags]
    unmet: Callable[[SecurityPolicy], list[str]]
    after: Flags = field(default_factory=Flags)
    error: str = ""

    @property
    def changed(self) -> bool:
        return self.policy.own != self.after

    @property
    def plan(self) -> Plan:
        return Plan(str(self.policy), lines(self.policy, self.policy.own), lines(self.policy, self.after))

    @property
    def previous(self) -> dict[str, Any]:
        """The entry of the option `previous` that undoes the change."""
        return {**self.policy.address(), **previous_flags(self.policy.own, self.after)}

    def as_dict(self) -> dict[str, Any]:
        """The policy in the module's result."""
        after = replace(self.policy, own=self.after, reported=Flags() if self.changed else self.policy.reported)
        return {
            **self.policy.address(),
            "nodes": self.nodes,
            "before": self.policy.effective.given(),
            "after": after.effective.given(),
            "changed": self.changed,
            "error": self.error,
        }


def ensure(connect: Connect, params: Mapping[str, Any], check: bool) -> tuple[Survey, list[PolicyChange]]:
    """What the module's options ask for. They are checked before vSphere is contacted. `check`: predicts only."""
    flags = read_flags(params)
    requests, targets = read_requests(params), read_targets(params["targets"])
    with connect() as vcenter:
        found, changes = plan(vcenter, requests, targets, flags, params)
        write(vcenter, changes, check)
    return found, changes


def info(connect: Connect, params: Mapping[str, Any]) -> dict[str, Any]:
    """The result of the info module, and its `warnings`."""
    requests, targets = read_requests(params), read_targets(params["targets"])
    with connect() as vcenter:
        found = survey(vcenter, requests, targets, every_nic=True, allow_disconnected=True)
        errors = _write_errors(vcenter, found.policies) if params["writable"] else {}
    return {
        "nics": [_attachment_info(one, errors) for one in found.attachments],
        "targets": [_policy_info(policy, errors) for policy in found.targeted],
        "warnings": [*found.warnings, *found.general_problems()],
    }


def read_flags(params: Mapping[str, Any]) -> Flags:
    """The flags that are requested."""
    flags = Flags(**{name: params[name] for name in (*FLAGS, LEARNING)})
    if params["state"] == "present" and not flags.given():
        raise InputError(f"no flag is specified: set at least one of {', '.join(FLAGS)} and {LEARNING}")
    return flags


def plan(
    vcenter: Vcenter,
    requests: list[AdapterRequest],
    targets: list[PolicyTarget],
    flags: Flags,
    params: Mapping[str, Any],
) -> tuple[Survey, list[PolicyChange]]:
    """What exists and what has to change, by the module's options."""
    options = {name: params[name] for name in ("scope", "allow_disconnected")}
    if params["state"] == "restored":
        return plan_restored(vcenter, requests, params["previous"], options)
    found = survey(vcenter, requests, targets, **options)
    return found, plan_present(found, flags)


def plan_present(found: Survey, flags: Flags) -> list[PolicyChange]:
    """The flags in every policy of the survey; InputError where that is not possible."""
    found.problems += [problem for policy in found.policies for problem in refusals(policy, flags)]
    found.refuse()
    return [
        PolicyChange(policy, found.nodes_of(policy), lambda one: with_flags(one, flags), lambda one: unmet(one, flags))
        for policy in found.policies
    ]


def plan_restored(
    vcenter: Vcenter, requests: list[AdapterRequest], previous: list[Mapping[str, Any]], options: Mapping[str, Any]
) -> tuple[Survey, list[PolicyChange]]:
    """The flags of `previous`, except where the network adapters of `requests` need the present ones."""
    targets = read_targets(previous)
    found = survey(vcenter, requests, targets, **options)
    found.warnings += [f"{target} does not exist any more: nothing to restore" for target in found.not_found]
    found.not_found = []
    found.problems += [problem for policy in found.targeted for problem in refusals(policy, Flags())]
    found.refuse()
    needed = needed_ids(policy for one in found.attachments for policy in one.policies)
    changes = []
    for policy in found.targeted:
        entry = next(entry for target, entry in zip(targets, previous, strict=True) if target.matches(policy))
        if policy.id in needed:
            found.warnings.append(f"{policy} is not restored: other nodes need its policy")
        else:
            changes.append(PolicyChange(policy, [], _restorer(read_previous(entry)), lambda one: []))
    return found, changes


def write(vcenter: Vcenter, changes: list[PolicyChange], check: bool) -> None:
    """Makes the changes. `check`: predicts only."""
    for change in changes:
        change.after = change.compute(change.policy)
    # One writer for each host and distributed switch.
    by_parent: dict[str, list[PolicyChange]] = {}
    for change in changes:
        if change.changed:
            by_parent.setdefault(change.policy.parent_id, []).append(change)

    def settle(some: list[PolicyChange]) -> None:
        for change in some:
            _settle(vcenter, change)

    if not check:
        each(settle, by_parent.values())


def failure(changes: Iterable[PolicyChange]) -> str:
    """The failures, one a line, and then what was changed and what was not; empty if there is none."""
    changes = list(changes)
    errors = [change.error for change in changes if change.error]
    if not errors:
        return ""
    changed = [str(change.policy) for change in changes if change.changed]
    unchanged = [str(change.policy) for change in changes if change.error and not change.changed]
    return "\n".join(
        [
            *errors,
            f"changed: {', '.join(changed) or 'nothing'}",
            f"not changed: {', '.join(unchanged) or 'nothing'}",
        ]
    )


def _write_errors(vcenter: Vcenter, policies: Iterable[SecurityPolicy]) -> dict[PolicyId, str]:
    """Why what is missing in policies cannot be changed, by their ids."""
    closed = [policy for policy in policies if missing(policy.effective)]
    found = vcenter.lacking(policy for policy in closed if not policy.refused)
    return found | {policy.id: f"{policy} {policy.refused}" for policy in closed if policy.refused}


def _attachment_info(one: Attachment, errors: Mapping[PolicyId, str]) -> dict[str, Any]:
    machine, nic = one.machine, one.nic
    return {
        "node": one.node.text,
        "vm": machine.vm.name if machine else "",
        "esxi_hostname": one.esxi_hostname,
        "powered_on": machine.powered_on if machine else False,
        "nic": nic.label if nic else "",
        "mac_address": nic.mac if nic else "",
        "addresses": list(nic.guest) if nic else [],
        "network": nic.network if nic else "",
        "problem": one.problem,
        "policies": [_policy_info(policy, errors) for policy in one.policies],
    }


def _policy_info(policy: SecurityPolicy, errors: Mapping[PolicyId, str]) -> dict[str, Any]:
    return {
        **policy.address(),
        "effective": policy.effective.given(),
        "sources": {name: source for name, source in sources(policy).items() if source},
        "missing": missing(policy.effective),
        "write_error": errors.get(policy.id, ""),
    }


def _settle(vcenter: Vcenter, change: PolicyChange) -> None:
    """Writes one policy, from its latest state, until it is as requested. Records what was and what is."""
    policy, written = change.policy, False
    try:
        for attempt in range(ATTEMPTS + 1):
            if attempt > 1:
                time.sleep(random.uniform(0, JITTER * attempt))
            if attempt or policy.kind == STANDARD:
                policy = vcenter.reread(policy)
                if not written:
                    change.policy = policy
                change.after = change.compute(policy)
            if change.after == policy.own and not change.unmet(policy):
                return
            if attempt < ATTEMPTS:
                with suppress(Conflict):
                    vcenter.set_policy(policy, change.after)
                    written = True
        raise Conflict(
            f"{policy} was changed by others during each of {ATTEMPTS} attempts, or the flags do not take effect: find out "
            "what keeps changing it"
        )
    except EgressError as error:
        change.error = str(error)
        if not written:
            change.after = change.policy.own


def _restorer(flags: Mapping[str, bool | None]) -> Callable[[SecurityPolicy], Flags]:
    return lambda policy: restored(policy, flags)
