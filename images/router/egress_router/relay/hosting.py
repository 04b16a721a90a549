# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The side of the pod that serves, or is about to: what it answers pods that relay through it, and when it forgets them.

No I/O and no clock here, as in leaving.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Protocol

from ..kernel.ports import Ports
from ..net import IP
from .errors import RelayError
from .flows import Assembly, ChunkError, Flows
from .leaving import AGAIN_SECONDS, FAREWELLS, INFINITE, PREPARE_SECONDS, SILENT_SECONDS, Say
from .messages import Kind, Message

# A pod that does not serve, nor becomes the one that does within this, need not be able to relay.
KEEP_SECONDS = 10.0
# Nobody waits for a pod that has said nothing for so long.
LATELY_SECONDS = 3.0


class Kernel(Protocol):
    """What is done. Each method but the last raises RelayError."""

    def open_far(self, peer: IP) -> None:
        """Be able to relay for `peer`."""

    def close_far(self, peer: IP) -> None:
        """Relay nothing of `peer` any more."""

    def add(self, peer: IP, flows: Flows) -> None:
        """From now on, relay these; they last for SILENT_SECONDS more."""

    def accept_far(self, peer: IP, ports: Ports, seconds: float) -> bool:
        """For so long, relay what has these source ports, if nothing of this pod's own can have them; returns whether it does."""

    def choose_ports(self) -> None:
        """Have new connections of this pod use others than the relayed ones; Hosting.ports_chosen() is called then."""


class _Guest:
    """A pod that relays through this one. `chosen`: the number of the last parcel that is complete, and for which ports were chosen."""

    def __init__(self, now: float) -> None:
        self.opened_at = self.heard_at = now
        self.assembly = Assembly()
        self.chosen = 0
        self.parts = 0
        self.range: Ports = (0, 0)
        self.range_until = -INFINITE
        self.newcomers = False

    @property
    def complete(self) -> bool:
        """Whether all of the newest parcel is here."""
        return self.assembly.complete

    @property
    def receipt(self) -> bytes:
        """What is said of the parcel's chunks: of all, only when ports were chosen."""
        done = not self.complete or self.chosen == self.assembly.number
        return self.assembly.receipt() if done and self.assembly.number >= 0 else b""


class Hosting:
    """One pod. `tick` wants to be called at `due` at the latest. `parts`: of source ports, of which a bit each is set in messages."""

    def __init__(self, kernel: Kernel, say: Say, parts: Sequence[Ports]) -> None:
        self._kernel = kernel
        self._say = say
        self._parts = parts
        self._guests: dict[IP, _Guest] = {}
        self._served_at = -INFINITE
        self._serves = False
        # Who serves now, by which term, and how often that is still to be said.
        self._moved: tuple[IP, int, int] | None = None
        # Who is about to, by which term, since when that is said and when it is said again; and which guests are not ready for that.
        self._moves: tuple[IP, int, float, float] | None = None
        self._unready: set[IP] = set()
        # By which term this pod serves, and how often that is still to be said.
        self._serving: tuple[int, int] = (0, 0)
        self.due = INFINITE

    @property
    def guests(self) -> list[IP]:
        """Which pods relay through this one."""
        return list(self._guests)

    @property
    def followed(self) -> bool:
        """Whether all guests are ready for the move that was announced."""
        return not self._unready.intersection(self._guests)

    @property
    def parts(self) -> int:
        """Which parts of the source ports guests use, as far as they know: a bit for each."""
        found = 0
        for guest in self._guests.values():
            found |= guest.parts
        return found

    @property
    def taken(self) -> list[int]:
        """Source ports that stand for parts which are used, beside those of the relayed connections themselves."""
        return [first for number, (first, _last) in enumerate(self._parts) if self.parts >> number & 1]

    @property
    def coming(self) -> list[tuple[Ports, float]]:
        """Which source ports new connections of guests have, and until when that counts."""
        return [(guest.range, guest.range_until) for guest in self._guests.values() if guest.range[0]]

    # --- What happens ---

    def adopt(self, now: float, peers: Sequence[IP]) -> None:
        """An earlier process of this pod had tunnels to `peers`. It knows no connections of theirs, and is told again."""
        self._guests.update((peer, _Guest(now)) for peer in peers)
        self._served_at = now

    def serves(self, now: float, serves: bool, term: int) -> None:
        """The address is here now by `term`, or is not any more."""
        self._serves = serves
        self._served_at = now
        self._serving = (term, FAREWELLS if serves else 0)
        self._moves = None
        self._unready.clear()
        if serves:
            self._moved = None
        self.tick(now)

    def moves(self, now: float, to: IP, term: int) -> None:
        """The address is about to be at `to`, by `term`: who relays through this pod can tell that one of its connections already."""
        self._moves = (to, term, now, now)
        self._unready = {
            peer for peer, guest in self._guests.items() if peer != to and now < guest.heard_at + LATELY_SECONDS
        }
        self.tick(now)

    def follows(self, message: Message) -> None:
        """A guest is ready for the move that was announced."""
        if self._moves is not None and (message.holder, message.term) == self._moves[:2]:
            self._unready.discard(message.address)

    def moved(self, now: float, to: IP, term: int) -> None:
        """The address is at `to` now."""
        self._moved = (to, term, FAREWELLS)
        self.tick(now)

    def relay(self, now: float, message: Message) -> None:
        """A pod relays through this one, or is about to."""
        peer = message.address
        guest = self._guests.get(peer)
        if guest is None:
            try:
                self._kernel.open_far(peer)
            except RelayError as error:
                self._say(peer, Kind.ANSWER, yes=False, body=str(error).encode()[:300])
                return
            guest = self._guests[peer] = _Guest(now)
        guest.heard_at = now
        guest.parts = message.parts
        guest.range = (message.first, message.last)
        guest.range_until = now + message.seconds
        if guest.chosen:
            self._accept(peer, guest, now)
        self._answer(peer, guest)
        self.tick(now)

    def chunk(self, now: float, message: Message) -> None:
        """Connections of a pod that relays."""
        peer = message.address
        guest = self._guests.get(peer)
        if guest is None:
            # It will say that it relays, and be answered.
            return
        with contextlib.suppress(ChunkError):
            guest.heard_at = now
            found = guest.assembly.add(message.body)
            try:
                if found:
                    self._kernel.add(peer, found)
            except RelayError:
                self._close(peer)
                raise
            if guest.complete and guest.chosen != guest.assembly.number:
                self._kernel.choose_ports()
            else:
                self._answer(peer, guest)

    def ports_chosen(self, now: float) -> None:
        """What was to be done for the complete parcels is done."""
        for peer, guest in self._guests.items():
            if guest.complete and guest.chosen != guest.assembly.number:
                guest.chosen = guest.assembly.number
                self._accept(peer, guest, now)
                self._answer(peer, guest)

    def over(self, message: Message) -> None:
        """Nothing of that pod is left."""
        if message.address in self._guests:
            self._close(message.address)

    # --- What time brings ---

    def tick(self, now: float) -> None:
        """Say and do what it is time for."""
        self.due = INFINITE
        if self._moves is not None:
            self._tell_moves(now)
        if self._moved is not None:
            self._tell_moved(now)
        self._tell_serving(now)
        for peer, guest in list(self._guests.items()):
            until = guest.heard_at + SILENT_SECONDS
            if not self._serves:
                until = min(until, max(self._served_at, guest.opened_at) + KEEP_SECONDS)
            if now >= until:
                self._close(peer)
            else:
                self.due = min(self.due, until)

    def _tell_moves(self, now: float) -> None:
        assert self._moves is not None
        to, term, began, again = self._moves
        if now >= again:
            all_of_them = now < began + FAREWELLS * AGAIN_SECONDS
            if not all_of_them and (self.followed or now >= began + PREPARE_SECONDS):
                self._moves = None
                return
            for peer in self.guests:
                if peer != to and (all_of_them or peer in self._unready):
                    self._say(peer, Kind.MOVES, holder=to, term=term)
            again = now + AGAIN_SECONDS
            self._moves = (to, term, began, again)
        self.due = min(self.due, again)

    def _tell_moved(self, now: float) -> None:
        assert self._moved is not None
        to, term, left = self._moved
        for peer in self.guests:
            if not left:
                self._close(peer)
            elif peer != to:
                self._say(peer, Kind.MOVED, holder=to, term=term)
        self._moved = (to, term, left - 1) if self._guests else None
        self.due = min(self.due, now + AGAIN_SECONDS)

    def _tell_serving(self, now: float) -> None:
        term, left = self._serving
        if left:
            for peer in self.guests:
                self._say(peer, Kind.SERVES, term=term)
            self._serving = (term, left - 1)
            self.due = min(self.due, now + AGAIN_SECONDS)

    def _accept(self, peer: IP, guest: _Guest, now: float) -> None:
        left = guest.range_until - now
        if left > 0:
            guest.newcomers = self._kernel.accept_far(peer, guest.range, left)

    def _answer(self, peer: IP, guest: _Guest) -> None:
        self._say(peer, Kind.ANSWER, yes=True, newcomers=guest.newcomers, parcel=guest.chosen, body=guest.receipt)

    def _close(self, peer: IP) -> None:
        del self._guests[peer]
        self._kernel.close_far(peer)
