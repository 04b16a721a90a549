# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What `egress-router inspect` saw on a node. None is what it could not see, which is never a fault."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA = 1


class AnswerError(ValueError):
    """The text is not an answer of `egress-router inspect`."""


@dataclass(frozen=True)
class Interface:
    """An interface of the node. `addresses`: with prefix length. `macs`: how many MAC addresses it receives for.

    `enslaved_to`: the interface that it is a port of, empty for none. `lower`: the interfaces that receive for this one.
    `promiscuous`: how many users have requested promiscuous mode.
    """

    name: str
    exists: bool
    up: bool | None = None
    carrier: bool | None = None
    mtu: int | None = None
    kind: str = ""
    driver: str = ""
    enslaved_to: str = ""
    enslaved_kind: str = ""
    addresses: tuple[str, ...] | None = None
    lower: tuple[str, ...] = ()
    macs: int | None = None
    promiscuous: int = 0


@dataclass(frozen=True)
class Target:
    """What was seen of an egress address on the segment and on the node. Texts are empty if there is nothing.

    `holder_mac`: which host answers for the address. `mac_seen`: whether a host has the MAC address, `mac_seen_at`: the
    address it answers for, if any. `node_has_ip_on`, `node_has_mac_on`: the interface of the node that has them.
    """

    ip: str
    mac: str
    master: str
    holder_mac: str = ""
    mac_seen: bool = False
    mac_seen_at: str = ""
    node_has_ip_on: str = ""
    node_has_mac_on: str = ""
    gateway_mac: str = ""
    error: str = ""


@dataclass(frozen=True)
class NodeFacts:
    """One node. `plugins`: names of the programs in the CNI directory."""

    kernel: str = ""
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    targets: Mapping[tuple[str, str], Target] = field(default_factory=dict)
    nft_usable: bool | None = None
    nft_maps: bool | None = None
    nft_rules: bool | None = None
    nft_error: str = ""
    conntrack_max: int | None = None
    conntrack_count: int | None = None
    sysctl: Mapping[str, str] = field(default_factory=dict)
    cni_directory: str = ""
    plugins: tuple[str, ...] | None = None


def read_answer(text: str) -> NodeFacts:
    """The facts of what the pod printed; AnswerError if it is something else."""
    try:
        data = json.loads(text.strip().splitlines()[-1])
        if data["schema"] != SCHEMA:
            raise AnswerError(f"it speaks version {data['schema']} of the answer instead of {SCHEMA}")
        return _facts(data)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        if isinstance(error, AnswerError):
            raise
        raise AnswerError(f"it did not print what egress-router inspect prints: {text.strip()[:200]!r}") from error


def _facts(data: Mapping[str, Any]) -> NodeFacts:
    nft, conntrack, cni = (data.get(key) or {} for key in ("nft", "conntrack", "cni"))
    plugins = cni.get("plugins")
    return NodeFacts(
        kernel=data.get("kernel") or "",
        interfaces={name: _interface(name, item) for name, item in (data.get("interfaces") or {}).items()},
        targets={(item["ip"], item.get("master") or ""): _target(item) for item in data.get("targets") or ()},
        nft_usable=nft.get("usable"),
        nft_maps=nft.get("concat_maps"),
        nft_rules=nft.get("rules"),
        nft_error=nft.get("error") or "",
        conntrack_max=conntrack.get("max"),
        conntrack_count=conntrack.get("count"),
        sysctl={key: str(value) for key, value in (data.get("sysctl") or {}).items() if value is not None},
        cni_directory=cni.get("directory") or "",
        plugins=tuple(plugins) if plugins is not None else None,
    )


def _interface(name: str, item: Mapping[str, Any]) -> Interface:
    addresses = item.get("addresses")
    return Interface(
        name=item.get("name") or name,
        exists=bool(item.get("exists")),
        up=item.get("up"),
        carrier=item.get("carrier"),
        mtu=item.get("mtu"),
        kind=item.get("kind") or "",
        driver=item.get("driver") or "",
        enslaved_to=item.get("enslaved_to") or "",
        enslaved_kind=item.get("enslaved_kind") or "",
        addresses=tuple(addresses) if addresses is not None else None,
        lower=tuple(item.get("lower") or ()),
        macs=item.get("macs_on_it"),
        promiscuous=int(item.get("promiscuous") or 0),
    )


def _target(item: Mapping[str, Any]) -> Target:
    keys = ("mac", "master", "holder_mac", "mac_seen_at", "node_has_ip_on", "node_has_mac_on", "gateway_mac", "error")
    texts = {key: item.get(key) or "" for key in keys}
    return Target(ip=item["ip"], mac_seen=item.get("mac_seen_at") is not None, **texts)
