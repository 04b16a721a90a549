# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What `egress-router inspect` is asked on a node, and what it answers: two JSON documents.

The question is an argument of the command, or the environment variable `VARIABLE`; the answer is one line of standard
output. In an answer, None means that something could not be determined, or is not there, which is never an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

# Of the answer; another number means that collection and image are of different releases.
SCHEMA = 1
VARIABLE = "EGRESS_INSPECT"


class QuestionError(ValueError):
    """The text is not a question; the message says why."""


class AnswerError(ValueError):
    """The text is not an answer; the message says what it is instead, as the continuation of "image X: "."""


@dataclass(frozen=True)
class EgressAddress:
    """An egress address to ask the segment of `master` for, without prefix length. `gateway`: None if it has none.

    `route_gateways`: those of the router's routes of the same family.
    """

    ip: str
    mac: str
    gateway: str | None = None
    master: str = ""
    route_gateways: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """What to look at. An empty master is the interface of the default route.

    `timeout`: seconds for the segment's answers. `cni_directory`: where the node's CNI plugins are.
    """

    masters: tuple[str, ...] = ()
    targets: tuple[EgressAddress, ...] = ()
    timeout: float = 2.0
    cni_directory: str = "/opt/cni/bin"

    def to_json(self) -> str:
        """The document, on one line. `Question.from_json(x.to_json()) == x`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Question:
        """Reads the document; raises QuestionError. Addresses are not checked here."""
        try:
            data = json.loads(text)
            masters = tuple(str(name) for name in data.pop("masters", ()))
            targets = tuple(_made(EgressAddress, item) for item in data.pop("targets", ()))
            timeout = float(data.pop("timeout", cls.timeout))
            return cls(masters=masters, targets=targets, timeout=timeout, **data)
        except (ValueError, TypeError, AttributeError) as error:
            raise QuestionError(f"the question '{text}' cannot be read: {error}") from error


@dataclass(frozen=True)
class Interface:
    """An interface of the node; of one that does not exist only the name is known, if any.

    `kind`: `physical`, `veth`, `bond`, `vlan` and so on. `driver`: of hardware. `addresses`: with prefix length.
    `enslaved_to`, `enslaved_kind`: the bridge, bond and so on that it is a port of. `lower`: the interfaces that receive
    for this one. `unicast_filter`: the MAC addresses besides its own that the kernel asked the driver to receive, those of
    macvlans in all network namespaces included. `promiscuous`: how many users asked for all frames; the kernel itself is
    one if the driver has no unicast filter. `occupant`: another virtual interface that takes all of its frames, with its kind.
    """

    name: str
    exists: bool = False
    up: bool = False
    carrier: bool = False
    mtu: int | None = None
    kind: str | None = None
    driver: str | None = None
    mac: str | None = None
    addresses: tuple[str, ...] = ()
    enslaved_to: str | None = None
    enslaved_kind: str | None = None
    lower: tuple[str, ...] = ()
    unicast_filter: tuple[str, ...] = ()
    promiscuous: int | None = None
    occupant: str | None = None

    @property
    def macs(self) -> int | None:
        """How many MAC addresses the interface receives for; None if it does not exist."""
        return len({self.mac, *self.unicast_filter} - {None}) if self.exists else None


@dataclass(frozen=True)
class Occupancy:
    """Who has an egress address (`ip`, `mac`, `master`: as asked), its MAC address, and its gateway's address.

    `holder_mac`: who answered for the address. `mac_seen_at`: the address of the host that has the MAC address on the
    segment, empty if that host has no known address; `mac_asked` is false if the MAC address could only be overheard,
    for want of an IPv6 link-local address. `node_has_ip_on`, `node_has_mac_on`: the interface of this node that has the
    address or receives for the MAC address; the segment does not lead to the node itself. `silent_route_gateways`: those that did
    not answer. `error`: why the segment was not asked, empty if it was.
    """

    ip: str
    mac: str
    master: str
    holder_mac: str | None = None
    mac_seen_at: str | None = None
    mac_asked: bool = False
    node_has_ip_on: str | None = None
    node_has_mac_on: str | None = None
    gateway_mac: str | None = None
    silent_route_gateways: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Nft:
    """Whether the kernel accepts nftables at all, the router's maps, its rules, and what spreads connections; None: not tried."""

    usable: bool | None = None
    concat_maps: bool | None = None
    rules: bool | None = None
    spread: bool | None = None
    error: str = ""


@dataclass(frozen=True)
class Conntrack:
    """The limit of tracked connections, and how many the node itself tracks."""

    max: int | None = None
    count: int | None = None


@dataclass(frozen=True)
class Cni:
    """The CNI plugins of a directory; None if the directory is not there."""

    directory: str = ""
    plugins: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Answer:
    """What is known of one node. `interfaces`: by the names that were asked for, and those below them.

    `relay_error`: why its kernel cannot relay connections between pods of a router; empty if it can.
    """

    node: str = ""
    kernel: str = ""
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    targets: tuple[Occupancy, ...] = ()
    nft: Nft = Nft()
    relay_error: str | None = None
    conntrack: Conntrack = Conntrack()
    sysctl: Mapping[str, str | None] = field(default_factory=dict)
    cni: Cni = Cni()

    def to_json(self) -> str:
        """The document, on one line. `Answer.from_json(x.to_json()) == x`."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Answer:
        """Reads the last line of what the command printed; raises AnswerError."""
        try:
            data = json.loads(text.strip().splitlines()[-1])
            schema = data.pop("schema")
            if schema != SCHEMA:
                raise AnswerError(f"it answers in version {schema} of the schema instead of {SCHEMA}")
            return cls(
                interfaces={name: _made(Interface, item) for name, item in data.pop("interfaces").items()},
                targets=tuple(_made(Occupancy, item) for item in data.pop("targets")),
                nft=_made(Nft, data.pop("nft")),
                conntrack=_made(Conntrack, data.pop("conntrack")),
                cni=_made(Cni, data.pop("cni")),
                **data,
            )
        except AnswerError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise AnswerError(f"it did not print what egress-router inspect prints: {text.strip()[:200]!r}") from error


def _made(kind: type[Any], fields: Mapping[str, Any]) -> Any:
    """A dataclass of its JSON object, whose lists are tuples again."""
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})
