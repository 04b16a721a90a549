# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`egress-router inspect`: looks at a node before a router is deployed, and prints one line of JSON.

Runs in the node's own network namespace and changes nothing there. It needs NET_RAW to ask the segment and NET_ADMIN to
ask nftables; without one of them the answer says what could not be determined.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.egress.router.plugins.module_utils._contract.inspect import (
    VARIABLE,
    Answer,
    EgressAddress,
    Occupancy,
    Question,
    QuestionError,
)

from ..net import IP, is_mac
from . import host, links, neighbours
from .links import Links
from .neighbours import Heard, Target


def main(arguments: Sequence[str]) -> int:
    """Print the answer; 0 whatever was found, 2 if the question cannot be read."""
    parser = argparse.ArgumentParser(prog="egress-router inspect", description="Look at a node and its segment.")
    parser.add_argument("question", nargs="?", help=f"as JSON; default: the environment variable {VARIABLE}")
    text = parser.parse_args(arguments).question or os.environ.get(VARIABLE) or "{}"
    try:
        question = Question.from_json(text)
        targets = [_target(asked) for asked in question.targets]
    except QuestionError as error:
        parser.error(str(error))
    node = os.environ.get("NODE_NAME") or os.uname().nodename
    print(answer(question, targets, node).to_json(), flush=True)
    return 0


def answer(question: Question, targets: Sequence[Target], node: str) -> Answer:
    """Everything that can be found out. The segments and nftables are asked at the same time."""
    found = links.read(dict.fromkeys([*question.masters, *(target.master for target in targets)]))
    # By the interface and not by the name in the question, so that questions on one interface keep one rate.
    asked = [(target, found.by_name[target.master]) for target in targets]
    with ThreadPoolExecutor(max_workers=len(asked) + 1) as pool:
        nft = pool.submit(host.nft)
        heard = {
            name: pool.submit(
                neighbours.ask, interface, [target for target, its in asked if its.name == name], question.timeout
            )
            for name, interface in {interface.name: interface for _target, interface in asked}.items()
        }
        occupancies = [_occupancy(target, found, heard[interface.name].result()) for target, interface in asked]
    return Answer(
        node=node,
        kernel=os.uname().release,
        interfaces=found.by_name,
        targets=tuple(occupancies),
        nft=nft.result(),
        # Not at the same time: both use the library of nftables.
        relay_error=host.relay_error(),
        conntrack=host.conntrack(),
        sysctl=host.sysctls(),
        cni=host.cni(question.cni_directory),
    )


def _target(asked: EgressAddress) -> Target:
    mac = str(asked.mac).lower()
    if not is_mac(mac):
        raise QuestionError(f"the question asks for '{asked.mac}', which is not a unicast MAC address")
    try:
        ip = ipaddress.ip_address(asked.ip)
        gateway = ipaddress.ip_address(asked.gateway) if asked.gateway else None
        others = tuple(ipaddress.ip_address(text) for text in asked.route_gateways)
    except ValueError as error:
        raise QuestionError(f"the question cannot be read: {error}") from error
    return Target(ip, mac, gateway, asked.master, others)


def _occupancy(target: Target, found: Links, heard: Heard) -> Occupancy:
    """What the segment says of one target, and what the node does: the segment does not lead to the node itself."""
    owner = found.own.get(target.ip)
    return Occupancy(
        ip=str(target.ip),
        mac=target.mac,
        master=target.master,
        holder_mac=heard.holders.get(target.ip),
        mac_seen_at=_mac_seen_at(target, heard),
        mac_asked=heard.macs_asked,
        node_has_ip_on=owner and owner.interface,
        node_has_mac_on=_node_has_mac_on(target, found),
        gateway_mac=_gateway_mac(target.gateway, found, heard) if target.gateway else None,
        silent_route_gateways=tuple(
            str(gateway) for gateway in target.route_gateways if not _gateway_mac(gateway, found, heard)
        ),
        error=heard.error,
    )


def _mac_seen_at(target: Target, heard: Heard) -> str | None:
    """An address of the host with the target's MAC address, preferably the target's own; empty if it has none."""
    addresses = [ip for ip, mac in heard.holders.items() if mac == target.mac]
    if target.ip in addresses:
        return str(target.ip)
    if addresses:
        return str(addresses[0])
    if target.mac in heard.seen:
        return str(heard.seen[target.mac] or "")
    return None


def _node_has_mac_on(target: Target, found: Links) -> str | None:
    """The master, or an interface below it, that already receives for the target's MAC address: a macvlan has it."""
    for interface in found.by_name.values():
        if target.mac in (interface.mac, *interface.unicast_filter):
            return interface.name
    return None


def _gateway_mac(gateway: IP, found: Links, heard: Heard) -> str | None:
    return found.own[gateway].mac if gateway in found.own else heard.holders.get(gateway)
