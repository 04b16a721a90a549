# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Finds the security policies that apply to nodes: node -> VM -> network adapter -> port group -> switch.

A node may move within its cluster, so a standard port group is looked up on every host there. The number of requests does
not grow with the nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .._common.errors import InputError
from .adapter import DISTRIBUTED, STANDARD, AdapterSelector, Machine, Nic, read_selector, select_nic
from .node import Host, NodeRef, Vm, find_vm, read_node, same_name
from .policies import PORTGROUP, SWITCH, SecurityPolicy

if TYPE_CHECKING:
    from .vcenter import Vcenter

# The names are those of community.vmware.
TARGET_SPEC: dict[str, Any] = {
    "esxi_hostname": {"type": "str"},
    "switch": {"type": "str"},
    "portgroup": {"type": "str"},
}
SELECTION_SPEC: dict[str, Any] = {
    "nics": {
        "type": "list",
        "elements": "dict",
        "options": {
            "addresses": {"type": "list", "elements": "str"},
            "network": {"type": "str"},
            "mac_address": {"type": "str"},
            "nodes": {"type": "list", "elements": "str"},
        },
    },
    "nodes": {"type": "list", "elements": "str"},
    "targets": {
        "type": "list",
        "elements": "dict",
        "options": TARGET_SPEC,
        "required_one_of": [("switch", "portgroup")],
    },
}
INFO_SPEC: dict[str, Any] = {**SELECTION_SPEC, "writable": {"type": "bool", "default": False}}
SPEC: dict[str, Any] = {
    **SELECTION_SPEC,
    "scope": {"type": "str", "choices": [PORTGROUP, SWITCH], "default": PORTGROUP},
    "allow_disconnected": {"type": "bool", "default": False},
}


@dataclass(frozen=True)
class AdapterRequest:
    """Nodes and the network adapter that is meant on each."""

    selector: AdapterSelector
    nodes: tuple[NodeRef, ...]


@dataclass(frozen=True)
class PolicyTarget:
    """A port group or switch that is specified by name; empty fields match any."""

    esxi_hostname: str = ""
    switch: str = ""
    portgroup: str = ""

    def __str__(self) -> str:
        what = f"port group '{self.portgroup}'" if self.portgroup else f"switch '{self.switch}'"
        switch = f" of switch '{self.switch}'" if self.portgroup and self.switch else ""
        return f"{what}{switch} on host {self.esxi_hostname}" if self.esxi_hostname else f"distributed {what}{switch}"

    def matches(self, policy: SecurityPolicy) -> bool:
        return (
            (policy.kind == STANDARD) == bool(self.esxi_hostname)
            and policy.esxi_hostname == self.esxi_hostname
            and same_name(policy.portgroup, self.portgroup)
            and (not self.switch or same_name(self.switch, policy.switch))
        )


@dataclass
class Attachment:
    """How a node is connected. `policies`: those that apply to it, that of its own host first. `problem`: why there is none."""

    node: NodeRef
    machine: Machine | None = None
    nic: Nic | None = None
    esxi_hostname: str = ""
    policies: list[SecurityPolicy] = field(default_factory=list)
    problem: str = ""


@dataclass
class Survey:
    """What was found. `targeted`: policies that were specified by name. `not_found`: those that do not exist."""

    attachments: list[Attachment] = field(default_factory=list)
    targeted: list[SecurityPolicy] = field(default_factory=list)
    not_found: list[PolicyTarget] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def policies(self) -> list[SecurityPolicy]:
        """Each policy once."""
        found = [policy for attachment in self.attachments for policy in attachment.policies] + self.targeted
        return list({policy.id: policy for policy in found}.values())

    def nodes_of(self, policy: SecurityPolicy) -> list[str]:
        """The nodes to which a policy applies, or would after a move."""
        return [
            attachment.node.text
            for attachment in self.attachments
            if any(one.id == policy.id for one in attachment.policies)
        ]

    def general_problems(self) -> list[str]:
        """All problems except those of attachments."""
        return [*self.problems, *map(_advice, self.not_found)]

    def refuse(self) -> None:
        """InputError with all problems."""
        found = [*self.general_problems(), *(one.problem for one in self.attachments if one.problem)]
        if found:
            raise InputError("\n".join(dict.fromkeys(found)))


def read_requests(params: Mapping[str, Any]) -> list[AdapterRequest]:
    """The module's options nics and nodes; InputError with everything that is wrong with them."""
    requests, problems = [], []
    # Without nics, the only network adapter of each node.
    for given in params["nics"] if params["nics"] is not None else [{}] if params["nodes"] else []:
        nodes = given.get("nodes") if given.get("nodes") is not None else params["nodes"]
        try:
            if nodes is None:
                raise InputError("an entry of nics has no nodes: specify nodes for this entry, or for all of them")
            selector = read_selector(
                given.get("addresses") or (), given.get("network") or "", given.get("mac_address") or ""
            )
            requests.append(AdapterRequest(selector, tuple(map(read_node, nodes))))
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    return requests


def read_targets(given: Iterable[Mapping[str, Any]] | None) -> list[PolicyTarget]:
    """The entries of the module's options targets and previous."""
    return [PolicyTarget(**{name: one.get(name) or "" for name in TARGET_SPEC}) for one in given or ()]


def survey(
    vcenter: Vcenter,
    requests: list[AdapterRequest],
    targets: list[PolicyTarget],
    scope: str = PORTGROUP,
    every_nic: bool = False,
    allow_disconnected: bool = False,
) -> Survey:
    """Reads everything. `every_nic`: all network adapters of a node, if the request does not select one."""
    found = Survey()
    found.attachments = _attachments(vcenter, requests, every_nic)
    connected = [one for one in found.attachments if one.nic and not one.problem]
    standard = [one for one in connected if one.nic and one.nic.kind == STANDARD]
    keys = [one.nic.portgroup_key for one in connected if one.nic and one.nic.kind == DISTRIBUTED]
    everywhere = any(target.esxi_hostname for target in targets)
    hosts = vcenter.hosts(None if everywhere else [one.machine.host_id for one in connected if one.machine])
    for one in connected:
        one.esxi_hostname = next((host.name for host in hosts if one.machine and host.id == one.machine.host_id), "")
    reachable = _reachable(found, hosts, standard, targets, allow_disconnected)
    policies = vcenter.standard(reachable)
    policies += vcenter.distributed(None if any(not target.esxi_hostname for target in targets) else keys)
    for one in connected:
        _attach(found, one, policies, hosts, scope)
    found.targeted = [policy for target in targets for policy in _targeted(found, target, policies, hosts)]
    _warn_of_overrides(vcenter, found)
    found.warnings = list(dict.fromkeys(found.warnings))
    return found


def _attachments(vcenter: Vcenter, requests: list[AdapterRequest], every_nic: bool) -> list[Attachment]:
    nodes = {node for request in requests for node in request.nodes}
    vms = vcenter.vms() if nodes else []
    known: dict[NodeRef, Vm] = {}
    problems: dict[NodeRef, str] = {}
    for node in nodes:
        try:
            known[node] = find_vm(node, vms)
        except InputError as error:
            problems[node] = str(error)
    machines = {machine.vm: machine for machine in vcenter.machines(dict.fromkeys(known.values()))}
    found = []
    for request in requests:
        for node in request.nodes:
            machine = machines.get(known[node]) if node in known else None
            if machine is None:
                found.append(Attachment(node, problem=problems.get(node) or f"{node} was deleted meanwhile: run again"))
            else:
                found += _adapters(node, machine, request.selector, every_nic)
    return found


def _adapters(node: NodeRef, machine: Machine, selector: AdapterSelector, every_nic: bool) -> list[Attachment]:
    every = every_nic and not selector.given
    candidates = [replace(machine, nics=(nic,)) for nic in machine.nics] if every else [machine]
    found = []
    for candidate in candidates:
        one = Attachment(node, machine, candidate.nics[0] if len(candidate.nics) == 1 else None)
        try:
            one.nic = select_nic(candidate, selector)
        except InputError as error:
            one.problem = str(error)
        found.append(one)
    return found


def _reachable(
    found: Survey, hosts: list[Host], standard: list[Attachment], targets: list[PolicyTarget], allow_disconnected: bool
) -> list[Host]:
    """The connected hosts whose standard port groups have to be read."""
    clusters = {host.cluster_id for host in hosts for one in standard if host.name == one.esxi_hostname}
    named = {target.esxi_hostname for target in targets if target.esxi_hostname}
    wanted = [host for host in hosts if host.cluster_id in clusters or host.name in named]
    for host in wanted:
        if not host.connected:
            _disconnected(found, host, allow_disconnected)
    return [host for host in wanted if host.connected]


def _disconnected(found: Survey, host: Host, allowed: bool) -> None:
    said = f"host {host.name} of cluster {host.cluster} is not connected to vCenter"
    if allowed:
        found.warnings.append(f"{said}: it is skipped, run again when it is back")
    else:
        found.problems.append(
            f"{said}, so its port groups cannot be read or changed: reconnect it, remove it from the cluster, or set "
            "allow_disconnected to skip it"
        )


def _attach(found: Survey, one: Attachment, policies: list[SecurityPolicy], hosts: list[Host], scope: str) -> None:
    """Adds the policies of the network adapter: on the host of the node, and where the node may move."""
    nic = one.nic
    if nic is None or one.machine is None:
        return
    own = next((host for host in hosts if host.id == one.machine.host_id), None)
    beside = [host for host in hosts if own is not None and host.cluster_id == own.cluster_id]
    if nic.kind == DISTRIBUTED:
        groups = [policy for policy in policies if policy.key and policy.key == nic.portgroup_key]
        lacking = [host.name for host in beside if groups and groups[0].host_ids and host.id not in groups[0].host_ids]
    else:
        names = {host.name for host in beside}
        groups = [policy for policy in policies if policy.esxi_hostname in names and nic.has_network(policy.portgroup)]
        have = {policy.esxi_hostname for policy in groups}
        lacking = [host.name for host in beside if host.connected and host.name not in have]
    if not groups or (own is not None and own.connected and own.name in lacking and nic.kind == STANDARD):
        one.problem = (
            f"port group '{nic.network}' of {nic.label} of VM {one.machine.vm.name} does not exist on "
            f"{f'host {own.name}' if own else 'its host'}, or is not visible: connect the network adapter to an existing port "
            "group, or let the user see it"
        )
        return
    if lacking:
        found.warnings.append(
            f"port group '{nic.network}' does not exist on {', '.join(sorted(lacking))} of cluster {own.cluster if own else ''}: "
            "nodes cannot move there, or lose their network if they do"
        )
    if scope == SWITCH:
        found.warnings += [
            f"{group} has a security policy of its own, which overrides that of its switch: use scope portgroup"
            for group in groups
            if group.own.given()
        ]
        groups = [
            policy
            for policy in policies
            for group in groups
            if policy.id == (group.kind, group.parent_id, group.switch, "")
        ]
    one.policies = sorted(groups, key=lambda policy: policy.esxi_hostname != one.esxi_hostname)


def _targeted(
    found: Survey, target: PolicyTarget, policies: list[SecurityPolicy], hosts: list[Host]
) -> list[SecurityPolicy]:
    chosen = [policy for policy in policies if target.matches(policy)]
    away = [host for host in hosts if host.name == target.esxi_hostname and not host.connected]
    if not chosen and not away:
        found.not_found.append(target)
    if len(chosen) > 1:
        found.problems.append(
            f"{target} was found {len(chosen)} times: {', '.join(map(str, chosen))}: specify its switch, or a node instead"
        )
    return chosen


def _advice(target: PolicyTarget) -> str:
    standard = "" if target.esxi_hostname else "; for a standard one set esxi_hostname"
    return f"{target} was not found: check its name and that the user may see it{standard}"


def _warn_of_overrides(vcenter: Vcenter, found: Survey) -> None:
    for policy in found.policies:
        ports = vcenter.overriding_ports(policy) if policy.key else []
        if ports:
            found.warnings.append(
                f"ports {', '.join(ports)} of {policy} have security policies of their own, which are not changed: reset "
                "those of ports to which nodes are connected"
            )
