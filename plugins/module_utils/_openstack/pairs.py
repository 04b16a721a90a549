# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Lets many addresses through the ports of many nodes, or shuts them out again.

Everything is read first, in a number of calls that depends on neither; then everything is planned, and only then
written, one compare-and-swap for each port that changes. Neutron replaces a port's list of pairs as a whole, so a write
without that would take away what somebody else wrote in between. What was taken out is looked for once more, see _settled.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from .._common.concurrent import each
from .._common.errors import ApiError, Conflict, EgressError, InputError, NotFound
from .._common.plan import Plan
from .cloud import Cloud
from .node import NodeId, read_node
from .pair import Pair, PairError, normal_pair, read_pair, with_pairs, without_pairs
from .port import Port, Subnet, ports_of, select_port

# How often a write is tried when somebody else changes the port at the same time.
ATTEMPTS = 10
# Upper bound of the pause before the next attempt, in seconds, for each attempt so far.
JITTER = 0.2
# After a removal, the port has to be left alone for twice as long as the write took, within these limits, in seconds.
PAUSE, LONGEST_PAUSE = 0.3, 5.0
_EXTENSION = "revision-if-match"
# No port has it: a write with it is refused, whoever asks. Neutron judges rights before revisions (24.2.2 and 28.0.2).
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
class Request:
    """An address and the nodes whose ports it is about."""

    pair: Pair
    nodes: tuple[NodeId, ...]


@dataclass
class Outcome:
    """What became of one port, or is to become of it. `wanted`: the pairs that it is asked to have, or not to have."""

    port: Port
    wanted: list[Pair]
    after: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    write_error: str = ""

    @property
    def plan(self) -> Plan:
        before, after = (tuple(map(_line, pairs)) for pairs in (self.port.pairs, self.after))
        return Plan(f"port {self.port}", before, after)

    @property
    def missing(self) -> list[Pair]:
        """Those of the wanted pairs that the port does not let through."""
        have = set(map(normal_pair, self.port.pairs))
        return [pair for pair in self.wanted if self.port.port_security and pair not in have]

    @property
    def changed(self) -> bool:
        return list(self.port.pairs) != self.after

    def info(self) -> dict[str, Any]:
        """For the result of a module that only reads."""
        missing = [pair.raw for pair in self.missing]
        return {
            **_facts(self.port),
            "allowed_address_pairs": list(self.port.pairs),
            "missing": missing,
            "write_error": self.write_error,
        }

    def as_dict(self) -> dict[str, Any]:
        """For the result of a module that writes."""
        return {
            **_facts(self.port),
            "addresses": [pair.raw for pair in self.wanted],
            "before": list(self.port.pairs),
            "after": self.after,
            "changed": self.changed,
            "error": self.error,
        }


@dataclass(frozen=True)
class Selection:
    """The ports that need pairs, and the subnets of their networks."""

    outcomes: list[Outcome]
    subnets: list[Subnet]


def read_requests(params: dict[str, Any]) -> list[Request]:
    """The module's options; InputError with everything that is wrong with them."""
    requests, problems = [], []
    for given in params["addresses"]:
        nodes = given["nodes"] if given["nodes"] is not None else params["nodes"]
        try:
            pair = read_pair(given["ip_address"], given["mac_address"])
            if nodes is None:
                raise PairError(f"address {pair.ip} has no nodes: give nodes for all addresses, or for this one")
            requests.append(Request(pair, tuple(read_node(text) for text in nodes)))
        except PairError as error:
            problems.append(str(error))
    _refuse(problems)
    return requests


def find_ports(cloud: Cloud, requests: list[Request]) -> list[Port]:
    """Every visible port of the nodes, those of their trunks included."""
    nodes = {node for request in requests for node in request.nodes}
    _refuse(
        f"node '{node.text}' is in region '{node.region}', the credentials are for region '{cloud.region}': set region_name"
        for node in nodes
        if node.region and cloud.region and node.region != cloud.region
    )
    found = cloud.ports((node.id for node in nodes), (node.id for node in nodes if not node.server))
    subports = {port_id for port in found for port_id in port.subports} - {port.id for port in found}
    return found + cloud.ports(port_ids=sorted(subports))


def select(cloud: Cloud, requests: list[Request]) -> Selection:
    """The port of each node for each address; InputError with every address and node for which there is not one."""
    ports = find_ports(cloud, requests)
    subnets = cloud.subnets(port.network_id for port in ports)
    found: dict[str, list[Pair]] = {}
    problems = []
    for request in requests:
        for node in request.nodes:
            try:
                port = select_port(request.pair.ip, node, ports, subnets)
                found.setdefault(port.id, []).append(request.pair)
            except PairError as error:
                problems.append(str(error))
    _refuse(problems)
    chosen = [Outcome(port, list(dict.fromkeys(found[port.id]))) for port in ports if port.id in found]
    return Selection(chosen, subnets)


def info(connect: Callable[[], Cloud], params: dict[str, Any]) -> list[dict[str, Any]]:
    """What a module that only reads returns. Wrong options are told before the cloud is asked."""
    requests = read_requests(params)
    cloud = connect()
    outcomes = select(cloud, requests).outcomes
    if params["writable"]:
        _ask_for_leave(cloud, [outcome for outcome in outcomes if outcome.missing])
    return [outcome.info() for outcome in outcomes]


def find_pairs(cloud: Cloud, requests: list[Request]) -> list[Outcome]:
    """Whichever ports of the nodes have one of the pairs. A server or port that is gone has none."""
    ports = find_ports(cloud, requests)
    outcomes = []
    for port in ports:
        have = set(map(normal_pair, port.pairs))
        pairs = [
            request.pair
            for request in requests
            if request.pair in have and any(port in ports_of(node, ports) for node in request.nodes)
        ]
        if pairs:
            outcomes.append(Outcome(port, list(dict.fromkeys(pairs))))
    return outcomes


def write(cloud: Cloud, outcomes: list[Outcome], present: bool, check: bool, unguarded: bool = False) -> None:
    """Adds the wanted pairs to the ports, or takes them out. `check`: only tells what would be.

    `unguarded`: write even to a Neutron that cannot compare revisions.
    """
    for outcome in outcomes:
        outcome.after = _after(outcome.port, outcome.wanted, present)
    changes = [outcome for outcome in outcomes if outcome.changed]
    if not changes:
        return
    guarded = cloud.has_extension(_EXTENSION)
    if not guarded and not unguarded:
        raise ApiError(
            f"this Neutron lacks the extension {_EXTENSION}, so a change could take away what others write at the same "
            "time: set allow_unguarded to accept that"
        )
    if not check:
        each(lambda outcome: _swap(cloud, outcome, present, guarded), changes)


def summary(outcomes: Iterable[Any]) -> str:
    """The failures, one a line; empty if there is none."""
    return "\n".join(outcome.error for outcome in outcomes if outcome.error)


def _refuse(problems: Iterable[str]) -> None:
    found = list(dict.fromkeys(problems))
    if found:
        raise InputError("\n".join(found))


def _ask_for_leave(cloud: Cloud, outcomes: list[Outcome]) -> None:
    """Notes with each port why it could not be changed, by a write of what is there that cannot succeed."""

    def ask(outcome: Outcome) -> None:
        try:
            cloud.set_pairs(replace(outcome.port, revision=_NO_REVISION), list(outcome.port.pairs))
        except Conflict:
            return
        except EgressError as error:
            outcome.write_error = str(error)

    if not outcomes:
        return
    if cloud.has_extension(_EXTENSION):
        each(ask, outcomes)
    else:
        for outcome in outcomes:
            outcome.write_error = (
                f"this Neutron lacks the extension {_EXTENSION}, without which others' pairs may be lost"
            )


def _swap(cloud: Cloud, outcome: Outcome, present: bool, guarded: bool) -> None:
    """Writes one port, from its newest state, until it stays as it is wanted. Its outcome says what was and is."""
    port, written = outcome.port, False
    try:
        for attempt in range(1, ATTEMPTS + 1):
            outcome.after = _after(port, outcome.wanted, present)
            if outcome.after == list(port.pairs):
                return
            began = time.monotonic()
            try:
                now = cloud.set_pairs(port, outcome.after, guarded)
            except Conflict:
                time.sleep(random.uniform(0, JITTER * attempt))
                port = cloud.port(port.id)
                if not written:
                    outcome.port = port
                continue
            written = True
            port = now if present else _settled(cloud, now, 2 * (time.monotonic() - began))
            outcome.after = list(port.pairs)
            if _after(port, outcome.wanted, present) == outcome.after:
                return
        raise Conflict(
            f"port {port} was changed by others at each of {ATTEMPTS} attempts: find out who writes it all the time"
        )
    except NotFound:
        _failed(outcome, f"port {port} was deleted while it was being changed: run again")
    except EgressError as error:
        _failed(outcome, str(error))


def _settled(cloud: Cloud, port: Port, pause: float) -> Port:
    """The port after a write, when nobody else's write has come after it for `pause` seconds.

    Neutron's If-Match leaves a gap: it compares the revision first, and then waits for the transaction of another writer.
    A write that began before ours had ended is therefore accepted, and puts back the pairs that it had read (24.2.2 on
    MariaDB: of 8 writers that each took out a pair at the same moment, 7 pairs were there again). Pairs that were added
    meanwhile stay, so only removals have to be looked at again.
    """
    for _look in range(ATTEMPTS):
        time.sleep(min(max(PAUSE, pause), LONGEST_PAUSE))
        now = cloud.port(port.id)
        if now.revision == port.revision:
            return now
        port = now
    return port


def _failed(outcome: Outcome, error: str) -> None:
    outcome.error = error
    outcome.after = list(outcome.port.pairs)


def _after(port: Port, wanted: list[Pair], present: bool) -> list[dict[str, Any]]:
    if present and not port.port_security:
        # Neutron refuses pairs on such a port, and lets everything through.
        return [dict(pair) for pair in port.pairs]
    return with_pairs(port.pairs, wanted) if present else without_pairs(port.pairs, wanted)


def _line(pair: Any) -> str:
    return f"{pair.get('ip_address')} {pair.get('mac_address')}"


def _facts(port: Port) -> dict[str, Any]:
    """What every result says of a port."""
    return {
        "port_id": port.id,
        "name": port.name,
        "server_id": port.device_id,
        "network_id": port.network_id,
        "fixed_ips": [ip for _subnet, ip in port.fixed_ips],
        "port_security": port.port_security,
    }
