# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Finds the port groups and switches that nodes are connected to: node -> VM -> NIC -> port group -> switch.

A node may move within its cluster, so a standard port group counts on every host there. The number of requests does not
grow with the nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .._common.errors import InputError
from .adapter import DISTRIBUTED, STANDARD, Machine, Nic, Wish, read_wish, select_nic
from .node import NodeRef, Vm, VsphereError, find_vm, read_node
from .policies import Place
from .vcenter import Host, Vcenter

PORT_GROUP, SWITCH = "port_group", "switch"

TARGET_SPEC: dict[str, Any] = {
    "host": {"type": "str"},
    "switch": {"type": "str"},
    "port_group": {"type": "str"},
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
        "required_one_of": [("switch", "port_group")],
    },
}
INFO_SPEC: dict[str, Any] = {**SELECTION_SPEC, "writable": {"type": "bool", "default": False}}
SPEC: dict[str, Any] = {
    **SELECTION_SPEC,
    "scope": {"type": "str", "choices": [PORT_GROUP, SWITCH], "default": PORT_GROUP},
    "allow_disconnected": {"type": "bool", "default": False},
}


@dataclass(frozen=True)
class Request:
    """Nodes, and which of their network adapters it is about."""

    wish: Wish
    nodes: tuple[NodeRef, ...]


@dataclass(frozen=True)
class Target:
    """A port group or switch that is named directly; empty fields are any."""

    host: str = ""
    switch: str = ""
    port_group: str = ""

    def __str__(self) -> str:
        what = f"port group '{self.port_group}'" if self.port_group else f"switch '{self.switch}'"
        switch = f" of switch '{self.switch}'" if self.port_group and self.switch else ""
        return f"{what}{switch} on host {self.host}" if self.host else f"distributed {what}{switch}"

    def means(self, place: Place) -> bool:
        return (
            (place.kind == STANDARD) == bool(self.host)
            and place.host == self.host
            and place.port_group == self.port_group
            and self.switch in ("", place.switch)
        )


@dataclass
class Chain:
    """How one node is connected. `problem`: why the chain ends early, empty if it does not."""

    node: NodeRef
    machine: Machine | None = None
    nic: Nic | None = None
    host: str = ""
    places: list[Place] = field(default_factory=list)
    problem: str = ""


@dataclass
class Survey:
    """What was found. `targeted`: places that were named directly."""

    chains: list[Chain] = field(default_factory=list)
    targeted: list[Place] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def places(self) -> list[Place]:
        """Each place once."""
        found = [place for chain in self.chains for place in chain.places] + self.targeted
        return list({place.id: place for place in found}.values())

    def nodes_of(self, place: Place) -> list[str]:
        """The nodes that are connected there, or may come there."""
        return [chain.node.text for chain in self.chains if any(one.id == place.id for one in chain.places)]

    def refuse(self) -> None:
        """InputError with everything that is wrong."""
        found = [*self.problems, *(chain.problem for chain in self.chains if chain.problem)]
        if found:
            raise InputError("\n".join(dict.fromkeys(found)))


def read_requests(params: Mapping[str, Any]) -> list[Request]:
    """The module's options nics and nodes; InputError with everything that is wrong with them."""
    requests, problems = [], []
    # Nodes without nics: their only network adapters.
    for given in params["nics"] if params["nics"] is not None else [{}] if params["nodes"] else []:
        nodes = given.get("nodes") if given.get("nodes") is not None else params["nodes"]
        try:
            if nodes is None:
                raise VsphereError("an entry of nics has no nodes: give nodes for all entries, or for this one")
            wish = read_wish(given.get("addresses") or (), given.get("network") or "", given.get("mac_address") or "")
            requests.append(Request(wish, tuple(map(read_node, nodes))))
        except VsphereError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    return requests


def read_targets(given: Iterable[Mapping[str, Any]] | None) -> list[Target]:
    """The module's option targets, or places that a result named."""
    return [Target(one.get("host") or "", one.get("switch") or "", one.get("port_group") or "") for one in given or ()]


def survey(
    vcenter: Vcenter,
    requests: list[Request],
    targets: list[Target],
    scope: str = PORT_GROUP,
    every_nic: bool = False,
    allow_disconnected: bool = False,
) -> Survey:
    """Reads everything. `every_nic`: all of a node's network adapters where the request does not say which."""
    found = Survey()
    found.chains = _chains(vcenter, requests, every_nic)
    connected = [chain for chain in found.chains if chain.nic and not chain.problem]
    standard = [chain for chain in connected if chain.nic and chain.nic.kind == STANDARD]
    keys = [chain.nic.portgroup_key for chain in connected if chain.nic and chain.nic.kind == DISTRIBUTED]
    everywhere = any(target.host for target in targets)
    hosts = vcenter.hosts(None if everywhere else [chain.machine.host_id for chain in connected if chain.machine])
    for chain in connected:
        chain.host = next((host.name for host in hosts if chain.machine and host.id == chain.machine.host_id), "")
    reachable = _reachable(found, hosts, standard, targets, allow_disconnected)
    places = vcenter.standard(reachable)
    places += vcenter.distributed(None if any(not target.host for target in targets) else keys)
    for chain in connected:
        _connect(found, chain, places, hosts, scope)
    found.targeted = [place for target in targets for place in _targeted(found, target, places, hosts)]
    _warn_of_overrides(vcenter, found)
    found.warnings = list(dict.fromkeys(found.warnings))
    return found


def _chains(vcenter: Vcenter, requests: list[Request], every_nic: bool) -> list[Chain]:
    nodes = {node for request in requests for node in request.nodes}
    vms = vcenter.vms() if nodes else []
    known: dict[NodeRef, Vm] = {}
    problems: dict[NodeRef, str] = {}
    for node in nodes:
        try:
            known[node] = find_vm(node, vms)
        except VsphereError as error:
            problems[node] = str(error)
    machines = {machine.vm: machine for machine in vcenter.machines(dict.fromkeys(known.values()))}
    found = []
    for request in requests:
        for node in request.nodes:
            machine = machines.get(known[node]) if node in known else None
            if machine is None:
                found.append(Chain(node, problem=problems.get(node) or f"{node} was deleted meanwhile: run again"))
            else:
                found += _adapters(node, machine, request.wish, every_nic)
    return found


def _adapters(node: NodeRef, machine: Machine, wish: Wish, every_nic: bool) -> list[Chain]:
    candidates = [replace(machine, nics=(nic,)) for nic in machine.nics] if every_nic and not wish.given else [machine]
    chains = []
    for candidate in candidates:
        chain = Chain(node, machine, candidate.nics[0] if len(candidate.nics) == 1 else None)
        try:
            chain.nic = select_nic(candidate, wish)
        except VsphereError as error:
            chain.problem = str(error)
        chains.append(chain)
    return chains


def _reachable(
    found: Survey, hosts: list[Host], standard: list[Chain], targets: list[Target], allow_disconnected: bool
) -> list[Host]:
    """The hosts whose standard networks count."""
    clusters = {host.cluster_id for host in hosts for chain in standard if host.name == chain.host}
    named = {target.host for target in targets if target.host}
    wanted = [host for host in hosts if host.cluster_id in clusters or host.name in named]
    for host in wanted:
        if not host.in_contact:
            _out_of_contact(found, host, allow_disconnected)
    return [host for host in wanted if host.in_contact]


def _out_of_contact(found: Survey, host: Host, allowed: bool) -> None:
    said = f"vCenter is out of contact with host {host.name} of cluster {host.cluster}"
    if allowed:
        found.warnings.append(f"{said}: it is left out, run again when it is back")
    else:
        found.problems.append(
            f"{said}, so its port groups can be neither read nor changed: reconnect it, take it out of the cluster, or leave "
            "it out with allow_disconnected"
        )


def _connect(found: Survey, chain: Chain, places: list[Place], hosts: list[Host], scope: str) -> None:
    """Adds to a chain the places of its NIC: on its own host, and where the node may move."""
    nic = chain.nic
    if nic is None or chain.machine is None:
        return
    own = next((host for host in hosts if host.id == chain.machine.host_id), None)
    beside = [host for host in hosts if own is not None and host.cluster_id == own.cluster_id]
    if nic.kind == DISTRIBUTED:
        groups = [place for place in places if place.key and place.key == nic.portgroup_key]
        lacking = [host.name for host in beside if groups and groups[0].hosts and host.id not in groups[0].hosts]
    else:
        names = {host.name for host in beside}
        groups = [place for place in places if place.host in names and place.port_group == nic.network]
        have = {place.host for place in groups}
        lacking = [host.name for host in beside if host.in_contact and host.name not in have]
    if not groups or (own is not None and own.in_contact and own.name in lacking and nic.kind == STANDARD):
        chain.problem = (
            f"port group '{nic.network}' of {nic.label} of VM {chain.machine.vm.name} was not found on "
            f"{f'host {own.name}' if own else 'its host'}: connect the network adapter to one that exists, or let the user "
            "see it"
        )
        return
    if lacking:
        found.warnings.append(
            f"port group '{nic.network}' is not on {', '.join(sorted(lacking))} of cluster {own.cluster if own else ''}: "
            "nodes cannot move there, or lose their network if they do"
        )
    if scope == SWITCH:
        found.warnings += [
            f"{group} has a security policy of its own, which that of its switch does not reach: use scope port_group"
            for group in groups
            if group.own.given()
        ]
        groups = [one for one in places for group in groups if one.id == (group.kind, group.lane, group.switch, "")]
    # Where the node is now comes first.
    chain.places = sorted(groups, key=lambda place: place.host != chain.host)


def _targeted(found: Survey, target: Target, places: list[Place], hosts: list[Host]) -> list[Place]:
    chosen = [place for place in places if target.means(place)]
    away = [host for host in hosts if host.name == target.host and not host.in_contact]
    if not chosen and not away:
        advice = "" if target.host else "; a standard one needs its host"
        found.problems.append(f"{target} was not found: check its name{advice}, and that the user may see it")
    if len(chosen) > 1:
        found.problems.append(
            f"{target} was found {len(chosen)} times: {', '.join(map(str, chosen))}: name its switch, or give a node instead"
        )
    return chosen


def _warn_of_overrides(vcenter: Vcenter, found: Survey) -> None:
    for place in found.places:
        ports = vcenter.overriding_ports(place) if place.key else []
        if ports:
            found.warnings.append(
                f"ports {', '.join(ports)} of {place} have a security policy of their own, which is left alone: reset it "
                "where a node is connected"
            )
