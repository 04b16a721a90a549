# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Security policies of port groups and switches: what is in effect, and what has to be set for others to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .adapter import DISTRIBUTED, STANDARD
from .flags import Flags

PORTGROUP, SWITCH = "portgroup", "switch"
# The first version of distributed switches with MAC learning.
LEARNS_SINCE = (6, 6)

PolicyId = tuple[str, str, str, str]


@dataclass(frozen=True)
class SecurityPolicy:
    """The security policy of a port group, or of a switch (`portgroup` empty). A standard one is on a host.

    `own`: the flags that it sets. `inherited`: those in effect where it sets none. `reported`: what vSphere says is in
    effect. `inherits_as_whole`: its flags are inherited together or not at all. `parent_id`: of the host's network system or
    the distributed switch, which must not be written to concurrently. `key`: of a distributed port group. `host_ids`: hosts
    that have it. `refused`: why it must not be changed. `raw`: the API's objects.
    """

    kind: str
    switch: str
    portgroup: str = ""
    esxi_hostname: str = ""
    own: Flags = field(default_factory=Flags)
    inherited: Flags = field(default_factory=Flags)
    reported: Flags = field(default_factory=Flags)
    inherits_as_whole: bool = False
    version: str = ""
    parent_id: str = ""
    key: str = ""
    host_ids: tuple[str, ...] = ()
    refused: str = ""
    raw: Any = field(default=None, compare=False, repr=False)

    @property
    def id(self) -> PolicyId:
        # The names of distributed switches are unique in a datacenter only.
        return (self.kind, self.parent_id, self.switch, self.portgroup)

    @property
    def effective(self) -> Flags:
        """The flags in effect."""
        return self.reported.over(self.own).over(self.inherited)

    @property
    def learns(self) -> bool:
        """Whether MAC learning is available."""
        return self.kind == DISTRIBUTED and _version(self.version) >= LEARNS_SINCE

    def __str__(self) -> str:
        standard = self.kind == STANDARD
        switch = f"switch '{self.switch}'" if standard else f"distributed switch '{self.switch}'"
        if not self.portgroup:
            return f"{switch} on host {self.esxi_hostname}" if standard else switch
        if standard:
            return f"port group '{self.portgroup}' on host {self.esxi_hostname}"
        return f"distributed port group '{self.portgroup}' of {switch}"

    def address(self) -> dict[str, str]:
        """How users name it."""
        return {
            "kind": self.kind,
            "esxi_hostname": self.esxi_hostname,
            "switch": self.switch,
            "portgroup": self.portgroup,
        }


def with_flags(policy: SecurityPolicy, wanted: Flags) -> Flags:
    """The flags that a policy has to set for `wanted` to be in effect: its own, except those that differ."""
    effective = asdict(policy.effective)
    differing = {name: value for name, value in wanted.given().items() if effective[name] != value}
    if not differing:
        return policy.own
    after = replace(policy.own, **differing)
    # Where flags are inherited together, all of them have to be set: the others to what is in effect.
    return after.over(policy.effective) if policy.inherits_as_whole else after


def unmet(policy: SecurityPolicy, wanted: Flags) -> list[str]:
    """The wanted flags that are not in effect."""
    effective = asdict(policy.effective)
    return [name for name, value in wanted.given().items() if effective[name] != value]


def restored(policy: SecurityPolicy, previous: Mapping[str, bool | None]) -> Flags:
    """The flags that a policy has to set for those of `previous` to be as they were. None: inherited."""
    after = replace(policy.own, **previous)
    if not policy.inherits_as_whole or None not in previous.values():
        return after
    as_switch = all(value in (None, asdict(policy.inherited)[name]) for name, value in asdict(after).items())
    return Flags() if as_switch else after.over(policy.inherited)


def sources(policy: SecurityPolicy) -> dict[str, str]:
    """Where each flag in effect is set: `portgroup` or `switch`; empty if unknown."""
    own = PORTGROUP if policy.portgroup else SWITCH
    effective = asdict(policy.effective)
    return {
        name: own if value is not None else SWITCH if effective[name] is not None else ""
        for name, value in asdict(policy.own).items()
    }


def lines(policy: SecurityPolicy, own: Flags) -> tuple[str, ...]:
    """A policy that sets `own`, one flag a line."""
    # What vSphere reports is about the flags that are set now.
    effective = policy.effective if own == policy.own else own.over(policy.inherited)
    set_here = asdict(own)
    return tuple(
        f"{name}: {str(value).lower()}{' (inherited from the switch)' if set_here[name] is None else ''}"
        for name, value in effective.given().items()
    )


def refusals(policy: SecurityPolicy, wanted: Flags) -> list[str]:
    """Why a policy cannot have the flags of `wanted`."""
    found = [f"{policy} {policy.refused}"] if policy.refused else []
    advice = "use promiscuous_mode: true instead of mac_learning"
    if wanted.mac_learning and policy.kind == STANDARD:
        found.append(f"{policy} has no MAC learning, which only distributed switches have: {advice}")
    elif wanted.mac_learning and not policy.learns:
        version = f"is of version {policy.version or 'unknown'}"
        found.append(f"{policy} {version}, but MAC learning requires 6.6.0: upgrade the switch, or {advice}")
    return found


def needed_ids(policies: Iterable[SecurityPolicy]) -> set[PolicyId]:
    """Ids of the policies that determine the flags of `policies`: their own and those of their switches."""
    policies = list(policies)
    return {policy.id for policy in policies} | {
        (policy.kind, policy.parent_id, policy.switch, "") for policy in policies
    }


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
