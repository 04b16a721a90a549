# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The side of a pod that gives up the address, or has, and still has connections: what it says and does when.

No I/O and no clock here: `now` is a clock that never goes back, `Kernel` does what is decided, and `say` sends a message.

    preparing   the pod serves, and is to hand over: its successor is told of the connections, and the tunnel is there. Pods that
                relay through it tell the successor of theirs meanwhile, and are waited for
    relaying    the pod does not serve: the tunnel leads to the pod that does, which is told again all the time
    following   another pod serves now: it is told, and then the tunnel leads there. Who hears of the move before it happens tells that
                pod before, too, and packets wait in the tunnel meanwhile

A pod that lost the address without having prepared it, for whatever reason, follows too, with connections that stood still until then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

from ..kernel.ports import Ports
from ..net import IP
from . import flows as relayed
from .errors import RelayError
from .flows import ChunkError, Flows, Parcel, Server, without
from .messages import Kind, Message

INFINITE = float("inf")
# After which a message that was not answered is said again; chunks are many, and each takes the other pod some time.
AGAIN_SECONDS = 0.1
CHUNKS_AGAIN_SECONDS = 0.25
# The successor has to answer, and to know all connections, within this: the pod serves meanwhile, and somebody waits for the move.
ANSWER_SECONDS = 2.0
PREPARE_SECONDS = 5.0
# For so long those that relay through this pod are waited for: their connections would stand still at the move.
FOLLOW_SECONDS = 1.0
# How often a pod says that it relays, and looks which connections are left. With tens of thousands it looks less often.
ROUND_SECONDS = 1.0
CONNECTIONS_PER_SECOND = 20000
# After the move the cluster sends new connections here until it has heard of the other pod.
SPREAD_SECONDS = 3.0
SPREAD_ROUND_SECONDS = 0.2
# Until the other pod says that it serves, packets wait in the tunnel; that may be lost.
WAIT_SECONDS = 1.0
# From when the move is prepared: what is accepted late has to be named before the other pod does not relay it without a name.
ACCEPT_SECONDS = 5.0
# How much longer they are relayed without a name.
NAMELESS_SECONDS = 5.0
# For so long nobody need be able to relay, when the pod has lost the address; and when it relayed already.
GIVE_UP_SECONDS = 10.0
SILENT_SECONDS = 60.0
# What the other pod's kernel knows lasts for SILENT_SECONDS, so it is told again.
WHOLE_SECONDS = 20.0
# A move that was announced comes within this, or not at all.
ANNOUNCED_SECONDS = 10.0
# How often it is said that nothing is left: nobody answers that.
FAREWELLS = 3
# Connections that are looked at twice.
FEW = 1000


class Kernel(Protocol):
    """What is done. Each method raises RelayError."""

    def flows(self, half_open: bool = True) -> Flows:
        """The connections of this pod that have not ended, with or without those of TCP that only one end has opened."""

    def parts(self, flows: Flows) -> int:
        """Which parts of the source ports these and others that it knows of use: a bit for each."""

    def open_near(self, holder: IP, waiting: bool = False) -> None:
        """Have them take a tunnel to `holder` as soon as the address is given up; with `waiting`, packets wait in it at first."""

    def let_through(self) -> None:
        """What waits in the tunnel goes on."""

    def close_near(self) -> None:
        """Without a tunnel again."""

    def accept(self, seconds: float) -> None:
        """Let new connections into the tunnel for so long."""

    def reset(self) -> None:
        """Tell both ends of what is left that it is over."""


# To whom, the kind of message, and its fields.
Say = Callable[..., None]
# Whether the move is prepared, and why not.
Prepared = Callable[[bool, str], None]


class Link:
    """What a pod told another one, or is about to."""

    def __init__(self, to: IP, now: float) -> None:
        self.to = to
        self.began = self.heard_at = now
        self.said_at = self.sent_at = self.whole_at = -INFINITE
        self.look_at = now
        self.answered = False
        self.newcomers = False
        self.refusal = ""
        self.ends = False
        # Packets wait in the tunnel, and at most until then.
        self.waits = False
        self.waits_until = INFINITE
        self.parcel: Parcel | None = None
        self.told: Flows = {}
        # All that was told has arrived, once at least; and since when that is so.
        self.ready = False
        self.ready_at = INFINITE


class Leaving:
    """One pod. `tick` wants to be called at `due` at the latest. `through`: where the tunnel leads, None without one.

    `numbers`: gives a parcel's number, above those of all earlier ones. `ports`: the source ports of the pod's new connections.
    `followed`: whether all that relay through this pod are ready for the move that is prepared.
    `count`: how many connections are relayed; `too_many`: how many more were not.
    """

    def __init__(
        self,
        kernel: Kernel,
        say: Say,
        numbers: Callable[[], int],
        ports: Callable[[], Ports],
        followed: Callable[[], bool],
    ) -> None:
        self._kernel = kernel
        self._say = say
        self._numbers = numbers
        self._ports = ports
        self._followed = followed
        self._serves = False
        self._link: Link | None = None
        # With the pod that is about to serve, and by which term.
        self._next: Link | None = None
        self._next_term = 0
        self._prepared: Prepared | None = None
        # What an earlier process of this pod left, or what was lost without having been prepared, may be connections.
        self._unsure = True
        self._abandoned = False
        self._term = 0
        self._spread_until = -INFINITE
        self._ends_at = INFINITE
        self._farewell: tuple[IP, int] | None = None
        self.through: IP | None = None
        self.due = INFINITE
        self.count = 0
        self.too_many = 0

    @property
    def over(self) -> bool:
        """Whether nothing is left to be relayed, and everybody was told."""
        return not (self._has_some() or self._farewell or self._prepared)

    def _has_some(self) -> bool:
        """Whether there are connections to be relayed, or may be."""
        unsure = self._unsure and not self._abandoned and not self._serves
        return self._link is not None or self.through is not None or unsure

    # --- What happens ---

    def adopt(self, through: IP | None) -> None:
        """An earlier process of this pod had a tunnel to `through`."""
        self.through = through
        if through is not None:
            self._kernel.let_through()

    def prepare(self, now: float, to: IP, term: int, prepared: Prepared) -> None:
        """The pod is to hand over to `to`, which will serve by a term above `term`; calls `prepared` some time."""
        self._term = max(self._term, term + 1)
        try:
            self._kernel.open_near(to, waiting=True)
        except RelayError as error:
            prepared(False, str(error))
            return
        self.through = to
        self._prepared = prepared
        self._link = self._link_to(to, now)
        self._link.waits = True
        self.tick(now)

    def stays(self, now: float) -> None:
        """Nothing came of the move: the pod serves on."""
        self._abandoned = False
        # Another move may be in preparation already.
        if self._serves and self._link is not None and self._prepared is None:
            self._part(now)

    def abandon(self) -> None:
        """What is left of the connections was told already that it is over."""
        self._abandoned = True

    def serves(self, now: float, serves: bool) -> None:
        """The address is here now, or is not any more."""
        if serves == self._serves:
            return
        self._serves = serves
        link = self._link
        if serves:
            self._abandoned = False
            # Its own connections are direct again.
            if link is not None or self.through is not None:
                self._part(now)
        elif self._prepared is not None:
            self._tell(False, "the address was lost meanwhile")
        elif link is None:
            self._unsure = True
        else:
            self._spread_until = now + SPREAD_SECONDS if link.newcomers else -INFINITE
            link.look_at = now
            if link.newcomers and now + SPREAD_SECONDS > link.began + ACCEPT_SECONDS:
                # It took the API server long to write whose turn it is.
                self._kernel.accept(SPREAD_SECONDS)
        if not serves and link is not None:
            link.waits_until = now + WAIT_SECONDS
        self.tick(now)

    def holder(self, now: float, to: IP, term: int) -> None:
        """`to` serves by `term`, as far as somebody knows."""
        link = self._link
        if self._serves or self._abandoned or self._prepared is not None or term < self._term:
            return
        self._term = term
        if self._next is not None and self._next.to == to:
            self._follow(now, waiting=True)
            return
        if (link is not None and link.to == to) or (self.through is None and link is None and not self._unsure):
            return
        if self._kernel.flows():
            self._link = self._link_to(to, now)
        elif link is not None or self.through is not None:
            self._part(now)
        self._unsure = False
        self.tick(now)

    def moved(self, now: float, message: Message) -> None:
        """The pod that served says who serves now."""
        if message.holder is not None and message.term > self._term:
            self.holder(now, message.holder, message.term)

    def moves(self, now: float, message: Message) -> None:
        """The pod that serves says who is about to."""
        to, link = message.holder, self._link
        if (
            to is None
            or link is None
            or link.to == to
            or self._serves
            or self._prepared is not None
            or message.term <= self._term
        ):
            return
        if self._next is None or self._next.to != to:
            self._next = self._link_to(to, now)
        self._next_term = message.term
        if self._next.ready:
            self._say_follows(self._next)
        self.tick(now)

    def answer(self, now: float, message: Message) -> None:
        """Whom it told has answered."""
        link = next((one for one in (self._link, self._next) if one is not None and one.to == message.address), None)
        if link is None:
            return
        link.answered = message.yes
        link.refusal = "" if message.yes else message.body.decode(errors="replace")
        if message.yes:
            link.heard_at = now
            link.newcomers = message.newcomers
            self._receive(link, message)
        self.tick(now)

    def serving(self, now: float, message: Message) -> None:
        """A pod says that it serves now."""
        if self._next is not None and message.address == self._next.to and message.term >= self._next_term:
            self._term = max(self._term, message.term)
            self._follow(now, waiting=False)
            return
        if self._link is not None and message.address == self._link.to and message.term >= self._term:
            self._let_through(self._link)
            self.tick(now)

    def ends(self, now: float, to: IP) -> None:
        """`to` ends, and no third pod serves as far as it knows."""
        if self._link is not None and self._link.to == to:
            self._link.ends = True
            self.tick(now)

    def end(self, now: float, until: float) -> None:
        """The pod ends: connections last until then at most."""
        self._ends_at = until
        if self._unsure and not self._abandoned and not self._kernel.flows():
            self._unsure = False
        self.tick(now)

    # --- What time brings ---

    def tick(self, now: float) -> None:
        """Say and do what it is time for."""
        self.due = INFINITE
        if self._farewell is not None:
            to, left = self._farewell
            self._say(to, Kind.OVER)
            self._farewell = (to, left - 1) if left > 1 else None
            self._reached(now, now + AGAIN_SECONDS)
            if self._farewell is None and self._link is None and self.through is None:
                self._kernel.close_near()
        if not self._serves and self._has_some() and self._reached(now, self._ends_at):
            self._give_up(now)
        if self._next is not None:
            if self._reached(now, self._next.began + ANNOUNCED_SECONDS):
                self._next = None
            else:
                self._talk(self._next, now)
        link = self._link
        if link is None:
            return
        if self._prepared is not None:
            self._watch(link, now)
        elif not self._serves:
            if link.waits and self._reached(now, link.waits_until):
                self._let_through(link)
            lasts = SILENT_SECONDS if link.ready else GIVE_UP_SECONDS
            # Two that end do not wait for each other. Another pod may be about to take the address, and relays nothing then.
            both_end = link.ends and self._ends_at < INFINITE
            if both_end or self._reached(now, link.heard_at + lasts):
                self._give_up(now)
        if self._link is link:
            self._talk(link, now)

    def _link_to(self, to: IP, now: float) -> Link:
        if self._farewell is not None and self._farewell[0] == to:
            # It would end what begins now.
            self._farewell = None
        return Link(to, now)

    def _follow(self, now: float, waiting: bool) -> None:
        """To the pod that was about to serve; with `waiting`, it does not yet."""
        link, self._next = self._next, None
        assert link is not None
        self._link = link
        link.look_at = now
        # Else its connections are to be told first, as always.
        if link.ready:
            link.ready = False
            self._kernel.open_near(link.to, waiting)
            link.ready = True
            self.through = link.to
            link.waits, link.waits_until = waiting, now + WAIT_SECONDS
        self.tick(now)

    def _let_through(self, link: Link) -> None:
        if link.waits:
            self._kernel.let_through()
            link.waits = False

    def _reached(self, now: float, at: float) -> bool:
        """Whether it is time; if not, the next tick is due then."""
        if now >= at:
            return True
        self.due = min(self.due, at)
        return False

    def _watch(self, link: Link, now: float) -> None:
        """The successor takes too long, or says no; or it knows all, and so do those know it that relay through this pod."""
        if link.ready and not link.ends:
            if self._followed() or self._reached(now, link.ready_at + FOLLOW_SECONDS):
                self._tell(True, "")
            else:
                # One of them may end meanwhile.
                self._reached(now, now + AGAIN_SECONDS)
            return
        if link.ends:
            why = f"pod {link.to} ends too"
        elif link.refusal:
            why = f"pod {link.to} cannot relay: {link.refusal}"
        elif not link.answered and self._reached(now, link.began + ANSWER_SECONDS):
            why = f"pod {link.to} does not answer"
        elif self._reached(now, link.began + PREPARE_SECONDS):
            why = f"pod {link.to} does not know all connections after {PREPARE_SECONDS:g} s"
        else:
            return
        self._tell(False, why)
        self._part(now)

    def _talk(self, link: Link, now: float) -> None:
        if not link.answered:
            if self._reached(now, link.said_at + AGAIN_SECONDS):
                self._offer(link, now)
            return
        if link.parcel is None:
            self._send_all(link, now, self._kernel.flows())
        parcel = link.parcel
        if parcel is not None and parcel.left:
            if self._reached(now, link.said_at + ROUND_SECONDS):
                # Who does not know any more that this pod relays takes no chunks.
                self._offer(link, now)
            if self._reached(now, link.sent_at + CHUNKS_AGAIN_SECONDS):
                self._send_chunks(link, now)
            return
        if not link.ready:
            # What the kernel refuses is tried again.
            link.ready_at = now
            self._linked(link, now)
            link.ready = True
            if self._prepared is not None:
                self._watch(link, now)
        # To look takes a moment, and the other pod's word may come in it.
        if self._link is link and not (self._serves or link.waits) and self._reached(now, link.look_at):
            self._look(link, now)
        if link in (self._link, self._next) and self._reached(now, link.said_at + ROUND_SECONDS):
            self._offer(link, now)

    def _offer(self, link: Link, now: float) -> None:
        first, last = self._ports()
        spread = SPREAD_SECONDS if self._serves else self._spread_until - now
        seconds = int(spread + NAMELESS_SECONDS) if spread > 0 else 0
        self._say(
            link.to,
            Kind.RELAY,
            parcel=link.parcel.number if link.parcel else 0,
            parts=self._kernel.parts(link.told),
            first=first,
            last=last,
            seconds=seconds,
        )
        link.said_at = now
        self._reached(now, now + AGAIN_SECONDS)

    def _send_all(self, link: Link, now: float, found: Flows) -> None:
        link.told = relayed.limited(found)
        self.count = relayed.count(link.told)
        self.too_many = relayed.count(found) - self.count
        link.whole_at = now
        self._send(link, now, link.told)

    def _send(self, link: Link, now: float, some: Flows) -> None:
        link.parcel = Parcel(self._numbers(), some)
        self._send_chunks(link, now)

    def _send_chunks(self, link: Link, now: float) -> None:
        assert link.parcel is not None
        for chunk in link.parcel.left:
            self._say(link.to, Kind.CHUNK, body=chunk)
        link.sent_at = now
        self._reached(now, now + CHUNKS_AGAIN_SECONDS)

    def _receive(self, link: Link, message: Message) -> None:
        if link.parcel is None:
            return
        if message.body:
            with contextlib.suppress(ChunkError):
                link.parcel.received(message.body)
        if not link.parcel.left and message.parcel != link.parcel.number:
            # Another process there, which knows nothing.
            link.parcel = None

    def _linked(self, link: Link, now: float) -> None:
        """The other pod knows all connections."""
        if link is self._next:
            self._say_follows(link)
            return
        if self._prepared is not None:
            if link.newcomers:
                self._kernel.accept(ACCEPT_SECONDS)
            return
        if not self._serves and self.through != link.to:
            self._kernel.open_near(link.to)
            self.through = link.to
        if not self._serves and now < self._spread_until:
            self._kernel.accept(self._spread_until - now if link.newcomers else 0.0)

    def _say_follows(self, link: Link) -> None:
        if self._link is not None:
            self._say(self._link.to, Kind.FOLLOWS, holder=link.to, term=self._next_term)

    def _look(self, link: Link, now: float) -> None:
        """Which connections are left, and which are new."""
        found = self._kernel.flows()
        if now >= self._spread_until and self._none(found):
            self._part(now)
            return
        late = without(found, link.told)
        room = relayed.MAX_FLOWS - relayed.count(link.told)
        if self._reached(now, link.whole_at + WHOLE_SECONDS):
            self._send_all(link, now, found)
        elif late and room > 0:
            some = relayed.limited(late, room)
            link.told = _together(link.told, some)
            self._send(link, now, some)
        self.count = min(relayed.count(found), relayed.MAX_FLOWS)
        often = SPREAD_ROUND_SECONDS if now < self._spread_until else ROUND_SECONDS
        link.look_at = now + often + self.count / CONNECTIONS_PER_SECOND
        self._reached(now, link.look_at)

    def _none(self, found: Flows) -> bool:
        """Whether nothing of what was found is worth waiting for: a client that has gone may leave what it has begun."""
        return not found or (relayed.count(found) < FEW and not self._kernel.flows(half_open=False))

    def _give_up(self, now: float) -> None:
        """Nobody relays what is left, or its time is over."""
        link = self._link
        if self.through is None and link is not None:
            # The clients' side at least: it takes a way on which their packets can be answered.
            self._kernel.open_near(link.to)
            self.through = link.to
        elif link is not None:
            self._let_through(link)
        self._abandoned = True
        try:
            self._kernel.reset()
        finally:
            self._part(now)

    def _part(self, now: float) -> None:
        """Relay nothing any more."""
        to = self._link.to if self._link is not None else self.through
        # First: others look whether it is over. The tunnel goes with the last one: to remove it keeps the kernel from other changes
        # of the network for a moment, and the pod may just have begun to serve.
        self._farewell = (to, FAREWELLS) if to is not None else None
        self._link = self._next = None
        self._unsure = False
        self.through = None
        self.count = self.too_many = 0
        self._spread_until = -INFINITE
        self.due = now
        self._tell(False, "the address is here")

    def _tell(self, done: bool, why: str) -> None:
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            prepared(done, why)


def _together(one: Flows, other: Flows) -> Flows:
    found: dict[Server, list[int]] = {server: list(ports) for server, ports in one.items()}
    for server, ports in other.items():
        found.setdefault(server, []).extend(ports)
    return found
