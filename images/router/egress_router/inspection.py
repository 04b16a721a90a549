# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`egress-router inspect`: what is seen on a node before a router is there, as one line of JSON.

Runs in the node's own network namespace, changes nothing there, and needs NET_RAW to ask the segment and NET_ADMIN to ask
nftables; without one of them the answer says what was not seen.

The question is JSON too, as argument or in EGRESS_INSPECT: `masters` are interfaces, `targets` what routers are to have.
An empty master is the interface of the default route. No question at all asks for the kernel alone.

    {"masters": ["eth1"], "timeout": 2, "cni_directory": "/opt/cni/bin",
     "targets": [{"ip": "198.51.100.50", "mac": "02:e6:c6:33:64:32", "gateway": "198.51.100.1", "master": "eth1"}]}
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from . import config, host, links, segment
from .config import IP
from .links import Links
from .segment import Heard, Target

SCHEMA = 1
TIMEOUT = 2.0
CNI_DIRECTORY = "/opt/cni/bin"
ENVIRONMENT = "EGRESS_INSPECT"

Json = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What is to be seen. `timeout`: seconds for the segment's answers."""

    masters: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    timeout: float = TIMEOUT
    cni_directory: str = CNI_DIRECTORY


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The argument of `egress-router inspect`."""
    parser.add_argument("question", nargs="?", help=f"JSON; without it the environment variable {ENVIRONMENT}")


def run(arguments: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Print the answer; 0 whatever was seen. Raises ConfigError if the question is not one."""
    question = parse(arguments.question or environment.get(ENVIRONMENT) or "{}")
    node = environment.get("NODE_NAME") or os.uname().nodename
    print(json.dumps(answer(question, node), separators=(",", ":")), flush=True)
    return 0


def parse(text: str) -> Question:
    """The question; raises ConfigError."""
    try:
        raw = json.loads(text)
        return Question(
            masters=tuple(str(name) for name in raw.get("masters", [])),
            targets=tuple(_read_target(item) for item in raw.get("targets", [])),
            timeout=float(raw.get("timeout", TIMEOUT)),
            cni_directory=str(raw.get("cni_directory", CNI_DIRECTORY)),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise config.ConfigError(f"the question '{text}' is not understood: {error}") from error
    except KeyError as error:
        raise config.ConfigError(f"the question '{text}' lacks {error}") from error


def answer(question: Question, node: str) -> Json:
    """All that was seen. The segments and nftables are asked at the same time."""
    found = links.read(dict.fromkeys([*question.masters, *(target.master for target in question.targets)]))
    # By the interface and not by the name in the question, so that each is asked at one pace.
    asked = [(target, found.by_name[target.master]) for target in question.targets]
    with ThreadPoolExecutor(max_workers=len(asked) + 1) as pool:
        nft = pool.submit(host.nft)
        heard = {
            name: pool.submit(
                segment.ask, link, [target for target, its in asked if its.name == name], question.timeout
            )
            for name, link in {link.name: link for _unused, link in asked}.items()
        }
        targets = [_seen(target, found, heard[link.name].result()) for target, link in asked]
    return {
        "schema": SCHEMA,
        "node": node,
        "kernel": os.uname().release,
        "interfaces": {name: link.as_json() for name, link in found.by_name.items()},
        "targets": targets,
        "nft": nft.result(),
        "conntrack": host.conntrack(),
        "sysctl": host.sysctls(),
        "cni": {"directory": question.cni_directory, "plugins": host.plugins(question.cni_directory)},
    }


def _read_target(item: Json) -> Target:
    gateway = item.get("gateway")
    mac = str(item["mac"]).lower()
    if not config.is_mac(mac):
        raise ValueError(f"'{item['mac']}' is not a unicast MAC address")
    return Target(
        ip=ipaddress.ip_address(item["ip"]),
        mac=mac,
        gateway=ipaddress.ip_address(gateway) if gateway else None,
        master=str(item.get("master") or ""),
    )


def _seen(target: Target, found: Links, heard: Heard) -> Json:
    """What the segment says of one target, and what the node does: the wire does not lead to the node itself."""
    owner = found.own.get(target.ip)
    return {
        "ip": str(target.ip),
        "mac": target.mac,
        "master": target.master,
        "holder_mac": heard.holders.get(target.ip),
        "node_has_ip_on": owner and owner.interface,
        "mac_seen_at": _mac_seen_at(target, heard),
        "node_has_mac_on": _node_has_mac_on(target, found),
        "mac_asked": heard.macs_asked,
        "gateway_mac": target.gateway and _gateway_mac(target.gateway, found, heard),
        "error": heard.error,
    }


def _mac_seen_at(target: Target, heard: Heard) -> str | None:
    """The address of who has the target's MAC address: the target's own if that is among them, an empty one if unknown."""
    addresses = [ip for ip, mac in heard.holders.items() if mac == target.mac]
    if target.ip in addresses:
        return str(target.ip)
    if addresses:
        return str(addresses[0])
    if target.mac in heard.seen:
        return str(heard.seen[target.mac] or "")
    return None


def _node_has_mac_on(target: Target, found: Links) -> str | None:
    """The master, or an interface below it, that receives for the target's MAC address already: a macvlan has it."""
    for link in found.by_name.values():
        if target.mac in (link.mac, *link.unicast_filter):
            return link.name
    return None


def _gateway_mac(gateway: IP, found: Links, heard: Heard) -> str | None:
    return found.own[gateway].mac if gateway in found.own else heard.holders.get(gateway)
