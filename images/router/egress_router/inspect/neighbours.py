# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks the neighbours of an interface who has an address and who has a MAC address.

Nothing is claimed: the frames come from the node's own MAC address, never from the one that is asked for, because a switch
would then send a serving router's frames here.
"""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ansible_collections.egress.router.plugins.module_utils._contract.inspect import Interface

from ..net import IP
from ..segment import frames, packet_socket
from . import links

# A switch that inspects ARP may shut down a port that sends more than 15 requests a second (docs/layer2.md).
QUESTIONS_PER_SECOND = 12.0
# RFC 5227's three if there is time, otherwise one of each kind.
ROUNDS = 3
LEAST_ROUNDS = 2
# The rest of the time is for the last answer.
_ASKING = 0.67

# ICMPv6 echo replies, solicitations and advertisements: a busy node receives much else.
_FILTER = (
    (0x30, 0, 0, 20),  # 0: A = next header
    (0x15, 0, 5, socket.IPPROTO_ICMPV6),  # 1: or drop
    (0x30, 0, 0, 54),  # 2: A = ICMPv6 type
    (0x15, 2, 0, frames.ECHO_REPLY),
    (0x15, 1, 0, frames.SOLICITATION),
    (0x15, 0, 1, frames.ADVERTISEMENT),
    (0x06, 0, 0, 2048),  # 6: accept
    (0x06, 0, 0, 0),  # 7: drop
)


@dataclass(frozen=True)
class Target:
    """An address that a router will have on interface `master`, with its MAC address and its gateway, if any.

    `route_gateways`: those of the router's routes.
    """

    ip: IP
    mac: str
    gateway: IP | None
    master: str
    route_gateways: tuple[IP, ...] = ()

    @property
    def gateways(self) -> tuple[IP, ...]:
        """All of them."""
        return (*((self.gateway,) if self.gateway else ()), *self.route_gateways)


@dataclass
class Heard:
    """What was heard: who has an IP address, and with which IP address a MAC address was seen (None: with none)."""

    holders: dict[IP, str] = field(default_factory=dict)
    seen: dict[str, IP | None] = field(default_factory=dict)
    macs_asked: bool = False
    error: str = ""

    def __contains__(self, about: IP | str) -> bool:
        return about in self.seen if isinstance(about, str) else about in self.holders


@dataclass(frozen=True)
class _Question:
    """A frame about an IP or a MAC address, for the socket of one IP version."""

    about: IP | str
    version: int
    frame: bytes


def ask(interface: Interface, targets: Sequence[Target], seconds: float) -> Heard:
    """Ask the segment of an interface for all targets.

    Takes `seconds`; longer if QUESTIONS_PER_SECOND requires it, less if everything was answered.
    """
    heard = Heard(error=links.silence(interface))
    if heard.error:
        return heard
    try:
        with _sockets(interface) as raws:
            _converse(raws, interface, targets, seconds, heard)
    except OSError as error:
        heard.error = f"{interface.name}: {error.strerror or error}"
    except Exception as error:
        # Whatever it is: one odd interface keeps the others from nothing.
        heard.error = f"{interface.name}: {type(error).__name__}: {error}"
    return heard


def _converse(
    raws: dict[int, socket.socket], interface: Interface, targets: Sequence[Target], seconds: float, heard: Heard
) -> None:
    turns = _turns(interface, targets, seconds)
    waiting = {question.about for turn in turns for question in turn}
    heard.macs_asked = any(isinstance(about, str) for about in waiting)
    interval = max(1 / QUESTIONS_PER_SECOND, seconds * _ASKING / max(1, len(turns)))
    with selectors.DefaultSelector() as selector:
        for raw in raws.values():
            selector.register(raw, selectors.EVENT_READ)
        due = time.monotonic()
        while waiting and (turns or time.monotonic() < due):
            if turns and time.monotonic() >= due:
                for question in turns.pop(0):
                    if question.about in waiting:
                        raws[question.version].send(question.frame)
                        due = time.monotonic() + (interval if turns else seconds * (1 - _ASKING))
            for key, _events in selector.select(max(0.0, due - time.monotonic())):
                _hear(key.fileobj, interface, {target.mac for target in targets}, heard)  # type: ignore[arg-type]
            waiting = {about for about in waiting if about not in heard}


def _turns(interface: Interface, targets: Sequence[Target], seconds: float) -> list[list[_Question]]:
    """What is sent at once: a question for an IP address and one for a MAC address, which is not ARP.

    A question without a sender's address is answered whatever route leads back, but a switch may drop it as ARP without a
    sender. So both kinds are tried.
    """
    own = frames.mac_bytes(str(interface.mac))
    link_local = links.link_local(interface)
    gateways = itertools.chain.from_iterable(target.gateways for target in targets)
    ips = dict.fromkeys([*gateways, *(target.ip for target in targets)])
    echoes = [
        _Question(mac, 6, frames.echo(own, link_local, frames.mac_bytes(mac)))
        for mac in dict.fromkeys(target.mac for target in targets)
        if link_local
    ]
    rounds = ROUNDS if ROUNDS * len(ips) <= QUESTIONS_PER_SECOND * seconds * _ASKING else LEAST_ROUNDS
    turns = []
    for number in range(rounds):
        questions = [
            _Question(ip, ip.version, frames.question(own, ip, links.source(interface, ip) if number % 2 else None))
            for ip in ips
        ]
        turns += [list(filter(None, turn)) for turn in itertools.zip_longest(questions, echoes)]
    return turns


def _hear(raw: socket.socket, interface: Interface, macs: set[str], heard: Heard) -> None:
    frame, (name, _protocol, direction, _hardware, _address) = raw.recvfrom(2048)
    sender, ip = frames.sender(frame)
    # A frame of a VLAN on this interface comes with the name of the VLAN's interface.
    if direction == packet_socket.OUTGOING or name != interface.name or sender.hex(":") == interface.mac:
        return
    # Not `claims`: other nodes ask at the same time.
    for holder_of, holder in frames.answers(frame):
        heard.holders.setdefault(holder_of, holder.hex(":"))
    if sender.hex(":") in macs:
        heard.seen[sender.hex(":")] = ip or heard.seen.get(sender.hex(":"))


@contextlib.contextmanager
def _sockets(interface: Interface) -> Iterator[dict[int, socket.socket]]:
    """One socket for ARP and one for IPv6; each says on which interface a frame arrived."""
    with contextlib.ExitStack() as stack:
        found = {}
        for version, protocol in ((4, frames.ARP), (6, frames.IPV6)):
            # Protocol 0: nothing arrives before the filter is attached.
            raw = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            if protocol == frames.IPV6:
                packet_socket.attach_filter(raw, _FILTER)
            raw.bind((interface.name, protocol))
            found[version] = raw
        if links.link_local(interface) is None:
            # Answers to questions without an address go to all nodes, and without IPv6 the node does not listen to that.
            packet_socket.join(found[6], interface.name, frames.group_mac(frames.ALL_NODES))
        yield found
