# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Adds many address pairs to the ports of many nodes, or removes them.

Everything is read first, in a number of requests that depends neither on the addresses nor on the nodes. Then everything is
planned, and only then written: one compare-and-swap for each port that changes. Neutron replaces a port's whole list of
pairs, so an unconditional write would drop what somebody else wrote in between. Removals are checked again, see _settled.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .._common.concurrent import each
from .._common.errors import ApiError, Conflict, EgressError, InputError, NotFound
from .._common.plan import Plan
from .node import NodeId, read_node
from .pair import Pair, normal_pair, read_ip, read_pair, with_pairs, without_pairs
from .port import Port, Subnet, ports_of, select_port

if TYPE_CHECKING:
    from .cloud import Cloud

# How often a write is attempted while others change the same port.
ATTEMPTS = 10
# Upper bound of the pause before the next attempt, in seconds, multiplied by the number of attempts so far.
JITTER = 0.2
# After a removal, the port must stay unchanged for twice the time of the write, within these limits, in seconds.
PAUSE, LONGEST_PAUSE = 0.3, 5.0
_EXTENSION = "revision-if-match"
_PAIRS_EXTENSION = "allowed-address-pairs"
_NO_PAIRS = (
    f"Neutron does not have the extension {_PAIRS_EXTENSION}, so its ports cannot be opened for the address of a router: disable "
    "port security on the egress network, or have the extension enabled"
)
# No port has this revision, so a write with it is refused. Neutron checks permissions first (24.2.2 and 28.0.2).
_NO_REVISION = 2**31 - 1

ADDRESSES_SPEC: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "required": True,
    "options": {
        "ip_address": {"type": "str", "required": True},
        "mac_address": {"type": "str"},
        "nodes": {"type": "list", "elements": "str"},
    },
}
SPEC: dict[str, Any] = {"addresses": ADDRESSES_SPEC, "nodes": {"type": "list", "elements": "str"}}
INFO_SPEC: dict[str, Any] = {**SPEC, "writable": {"type": "bool", "default": False}}


@dataclass(frozen=True)
class PairRequest:
    """A pair and the nodes whose ports have to allow it."""

    pair: Pair
    nodes: tuple[NodeId, ...]


@dataclass
class PortChange:
    """One port before and after. `pairs`: the requested pairs that concern it, to be added or removed."""

    port: Port
    pairs: list[Pair]
    after: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    write_error: str = ""

    @property
    def plan(self) -> Plan:
        before, after = (tuple(map(_line, pairs)) for pairs in (self.port.pairs, self.after))
        return Plan(f"port {self.port}", before, after)

    @property
    def missing(self) -> list[Pair]:
        """The requested pairs that the port does not allow. Without a MAC address it is none."""
        have = set(map(normal_pair, self.port.pairs))
        return [pair for pair in self.pairs if self.port.port_security and pair.mac and pair not in have]

    @property
    def changed(self) -> bool:
        return list(self.port.pairs) != self.after

    def info(self) -> dict[str, Any]:
        """The port in the result of the info module."""
        return {
            **_facts(self.port),
            "addresses": [pair.raw for pair in self.pairs],
            "allowed_address_pairs": list(self.port.pairs),
            "missing": [pair.raw for pair in self.missing],
            "write_error": self.write_error,
        }

    def as_dict(self) -> dict[str, Any]:
        """The port in the result of the module that writes."""
        return {
            **_facts(self.port),
            "addresses": [pair.raw for pair in self.pairs],
            "before": list(self.port.pairs),
            "after": self.after,
            "changed": self.changed,
            "error": self.error,
        }


@dataclass(frozen=True)
class PortSelection:
    """The ports that need pairs, and the subnets of their networks."""

    changes: list[PortChange]
    subnets: list[Subnet]


def read_requests(params: dict[str, Any], mac_required: bool = True) -> list[PairRequest]:
    """The module's options; InputError with everything that is wrong with them."""
    requests, problems = [], []
    for given in params["addresses"]:
        nodes = given["nodes"] if given["nodes"] is not None else params["nodes"]
        try:
            known = mac_required or given["mac_address"] is not None
            pair = (
                read_pair(given["ip_address"], given["mac_address"])
                if known
                else Pair(read_ip(given["ip_address"]), "")
            )
            if nodes is None:
                raise InputError(f"address {pair.ip} has no nodes: specify nodes for this address, or for all of them")
            requests.append(PairRequest(pair, tuple(read_node(text) for text in nodes)))
        except InputError as error:
            problems.append(str(error))
    _refuse(problems)
    return requests


def find_ports(cloud: Cloud, requests: list[PairRequest]) -> list[Port]:
    """All visible ports of the nodes, including the subports of their trunks."""
    nodes = {node for request in requests for node in request.nodes}
    _refuse(
        f"node '{node.text}' is in region '{node.region}', but the credentials are for region '{cloud.region}': set region_name"
        for node in nodes
        if node.region and cloud.region and node.region != cloud.region
    )
    found = cloud.ports((node.id for node in nodes), (node.id for node in nodes if not node.server))
    subports = {port_id for port in found for port_id in port.subports} - {port.id for port in found}
    return found + cloud.ports(port_ids=sorted(subports))


def select(cloud: Cloud, requests: list[PairRequest]) -> PortSelection:
    """The port of each node for each address; InputError with all addresses and nodes that do not have exactly one."""
    ports = find_ports(cloud, requests)
    subnets = cloud.subnets(port.network_id for port in ports)
    found: dict[str, list[Pair]] = {}
    problems = []
    for request in requests:
        for node in request.nodes:
            try:
                port = select_port(request.pair.ip, node, ports, subnets)
                found.setdefault(port.id, []).append(request.pair)
            except InputError as error:
                problems.append(str(error))
    _refuse(problems)
    chosen = [PortChange(port, list(dict.fromkeys(found[port.id]))) for port in ports if port.id in found]
    return PortSelection(chosen, subnets)


def find_pairs(cloud: Cloud, requests: list[PairRequest]) -> list[PortChange]:
    """The ports of the nodes that have one of the pairs. A server or port that does not exist any more has none."""
    ports = find_ports(cloud, requests)
    changes = []
    for port in ports:
        have = set(map(normal_pair, port.pairs))
        pairs = [
            request.pair
            for request in requests
            if request.pair in have and any(port in ports_of(node, ports) for node in request.nodes)
        ]
        if pairs:
            changes.append(PortChange(port, list(dict.fromkeys(pairs))))
    return changes


def info(connect: Callable[[], Cloud], params: dict[str, Any]) -> list[dict[str, Any]]:
    """The result of the info module. The options are checked before the cloud is contacted."""
    requests = read_requests(params, mac_required=False)
    cloud = connect()
    changes = select(cloud, requests).changes
    if params["writable"]:
        _check_permissions(cloud, [change for change in changes if change.missing])
    return [change.info() for change in changes]


def write(cloud: Cloud, changes: list[PortChange], present: bool, check: bool, unguarded: bool = False) -> None:
    """Adds the pairs to the ports (`present`) or removes them. `check`: predicts only.

    `unguarded`: writes even if Neutron cannot compare revisions.
    """
    for change in changes:
        change.after = _after(change.port, change.pairs, present)
    due = [change for change in changes if change.changed]
    if not due:
        return
    if not cloud.has_extension(_PAIRS_EXTENSION):
        raise ApiError(_NO_PAIRS)
    guarded = cloud.has_extension(_EXTENSION)
    if not guarded and not unguarded:
        raise ApiError(
            f"Neutron does not have the extension {_EXTENSION}, so a change could drop pairs that others write at the same "
            "time: set allow_unguarded to accept this risk"
        )
    if not check:
        each(lambda change: _swap(cloud, change, present, guarded), due)


def _refuse(problems: Iterable[str]) -> None:
    found = list(dict.fromkeys(problems))
    if found:
        raise InputError("\n".join(found))


def _check_permissions(cloud: Cloud, changes: list[PortChange]) -> None:
    """Sets write_error of each port that must not be changed, by sending its present pairs with an impossible revision."""

    def check(change: PortChange) -> None:
        try:
            cloud.set_pairs(replace(change.port, revision=_NO_REVISION), list(change.port.pairs))
        except Conflict:
            return
        except EgressError as error:
            change.write_error = str(error)

    if not changes:
        return
    lacking = "" if cloud.has_extension(_PAIRS_EXTENSION) else _NO_PAIRS
    if not lacking and not cloud.has_extension(_EXTENSION):
        lacking = f"Neutron does not have the extension {_EXTENSION}, without which pairs of others may be lost"
    if not lacking:
        each(check, changes)
    for change in changes if lacking else ():
        change.write_error = lacking


def _swap(cloud: Cloud, change: PortChange, present: bool, guarded: bool) -> None:
    """Writes one port, from its latest state, until it keeps what is requested. Records what was and what is."""
    port, written, said = change.port, False, ""
    try:
        for attempt in range(1, ATTEMPTS + 1):
            change.after = _after(port, change.pairs, present)
            if change.after == list(port.pairs):
                return
            began = time.monotonic()
            try:
                now = cloud.set_pairs(port, change.after, guarded)
            except Conflict as error:
                said = f" (the last time: {error})"
                time.sleep(random.uniform(0, JITTER * attempt))
                port = cloud.port(port.id)
                if not written:
                    change.port = port
                continue
            written = True
            port = now if present else _settled(cloud, now, 2 * (time.monotonic() - began))
            change.after = list(port.pairs)
            if _after(port, change.pairs, present) == change.after:
                return
        raise Conflict(
            f"port {port} was changed by others during each of {ATTEMPTS} attempts{said}: find out what keeps changing it"
        )
    except NotFound:
        _failed(change, f"port {port} was deleted while it was being changed: run again")
    except EgressError as error:
        _failed(change, str(error))


def _settled(cloud: Cloud, port: Port, pause: float) -> Port:
    """The port after a write, once nobody else has written to it for `pause` seconds.

    Neutron's If-Match leaves a gap: it compares the revision first and then waits for the transaction of another writer. A
    write that began before ours ended is therefore accepted and restores the pairs it had read (24.2.2 on MariaDB: when 8
    writers each removed a pair at the same moment, 7 pairs were back). Added pairs survive this, so only removals are
    checked again.
    """
    for _look in range(ATTEMPTS):
        time.sleep(min(max(PAUSE, pause), LONGEST_PAUSE))
        now = cloud.port(port.id)
        if now.revision == port.revision:
            return now
        port = now
    return port


def _failed(change: PortChange, error: str) -> None:
    change.error = error
    change.after = list(change.port.pairs)


def _after(port: Port, pairs: list[Pair], present: bool) -> list[dict[str, Any]]:
    if present and not port.port_security:
        # Neutron refuses pairs on such a port, which drops nothing anyway.
        return list(port.pairs)
    return with_pairs(port.pairs, pairs) if present else without_pairs(port.pairs, pairs)


def _line(pair: dict[str, Any]) -> str:
    return f"{pair.get('ip_address')} {pair.get('mac_address')}"


def _facts(port: Port) -> dict[str, Any]:
    """What all results contain of a port."""
    return {
        "port_id": port.id,
        "name": port.name,
        "server_id": port.device_id,
        "network_id": port.network_id,
        "fixed_ips": [ip for _subnet, ip in port.fixed_ips],
        "port_security": port.port_security,
    }
