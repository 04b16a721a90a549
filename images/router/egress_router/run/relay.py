# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drives relays: established connections go on when the address moves. What is decided is in the package relay, and pure.

One thread has the kernel's part, and waits for nobody: the driver's thread gives it the messages of other pods, the address thread
tells it where the address is, and the main thread changes the source ports for it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ..config import Config
from ..failover.channel import Channel
from ..kernel import conntrack
from ..kernel.fence import Fence
from ..kernel.firewall import Firewall
from ..kernel.nft import FirewallError
from ..kernel.ports import Ports, part_numbers, parts
from ..log import Problem, event
from ..net import IP
from ..relay import flows as relayed
from ..relay import guard
from ..relay.errors import RelayError
from ..relay.flows import Flows, without
from ..relay.former import Former
from ..relay.holder import Holder
from ..relay.hosting import Hosting
from ..relay.leaving import SILENT_SECONDS, Leaving, Prepared
from ..relay.messages import FORMAT, Kind, Message, MessageError, from_text, to_text
from . import life
from .driver import Driver

# The thread shows at least so often that it lives, and asks who serves.
ROUND_SECONDS = 1.0
# Tens of thousands of connections take it a few seconds.
HEALTHY_SECONDS = 30
# How long both ends of connections are made to speak whose time is over.
PROVOKE_SECONDS = 0.3
# For how long what this pod knows of its own connections is good enough to see that another pod's are others.
OWN_SECONDS = 1.0


class Relay:
    """The relays of one pod. All methods but start() are for any thread; the attributes are for reading.

    `problem`: why this pod neither relays nor is relayed for; empty if it does. `count`: how many of its connections go through the
    pod that serves; `guests`: how many pods' go through this one. `refused`: connections that could not be relayed;
    `reset`: those that were reset because nobody relayed them or their time was over; `strangers`: packets to the tunnels' port
    that no pod of the router sent; `passed`: set when packets that waited for the next pod do not any more.
    """

    def __init__(self, config: Config, fence: Fence, firewall: Firewall, channel: Channel, driver: Driver) -> None:
        self._config = config
        self._channel = channel
        self._driver = driver
        self._firewall = firewall
        self._fence = fence
        self._address = config.pod_ips[0]
        self._jobs: deque[Callable[[float], None]] = deque()
        self._wake = threading.Event()
        self._former = Former(config, fence)
        self._holder = Holder(config, fence)
        every = parts(config.replicas)
        self._leaving = Leaving(self, self._say, self._number, lambda: firewall.ports, lambda: self._hosting.followed)
        self._hosting = Hosting(self, self._say, every)
        # Of this pod's messages and parcels: above those of any earlier process of it, because the clock goes on.
        self._last_number = int(time.monotonic() * 1_000_000)
        self._saying = threading.Lock()
        # By which the pod serves for which a move was prepared.
        self._next_term = 0
        self._heard: dict[str, int] = {}
        self._serving = False
        self._wanted_ports: Ports | None = None
        self._own: tuple[float, Flows] = (-1.0, {})
        self._seen_strangers = 0
        self._failure = Problem("relay-failed")
        self._limit = Problem("relay-limit")
        self._started = 0.0
        self.change_ports: Callable[[], None] = lambda: None
        self.passed = threading.Event()
        self.problem = "not known yet"
        self.refused = 0
        self.reset_count = 0
        self.strangers = 0

    def start(self) -> None:
        """Begin, with what an earlier process of this pod left."""
        if self._config.replicas == 1:
            self.problem = "the router has one replica"
        elif not self._config.failover.relay_seconds:
            self.problem = "failover.relay_seconds is 0"
        else:
            self._channel.told = self.hear
            threading.Thread(target=self._run, name="relay", daemon=True).start()

    @property
    def count(self) -> int:
        """How many connections of this pod go through another one."""
        return self._leaving.count if self._leaving.through is not None and not self._serving else 0

    @property
    def left_out(self) -> int:
        """How many more of them stand still, because no more are relayed."""
        return self._leaving.too_many if self.count else 0

    @property
    def guests(self) -> int:
        """How many pods relay through this one."""
        return len(self._hosting.guests)

    @property
    def over(self) -> bool:
        """Whether a pod that ends has nothing to relay any more."""
        return bool(self.problem) or (not self._jobs and self._leaving.over)

    # --- What others tell ---

    def prepare(self, prepared: Prepared) -> None:
        """The pod is to hand over to its successor: calls `prepared` soon, and until then it should serve."""
        to = self._driver.successor_address
        if self.problem or to is None:
            prepared(False, self.problem or "there is no successor")
            return
        term = self._driver.term
        self.passed.clear()
        self._post(lambda now: self._leaving.prepare(now, to, term, prepared))
        self._next_term = term + 1
        self._post(lambda now: self._hosting.moves(now, to, term + 1))

    def stays(self) -> None:
        """Nothing came of what was prepared."""
        self._post(self._leaving.stays)

    def abandon(self) -> None:
        """The connections were reset."""
        self._post(lambda now: self._leaving.abandon())

    def serves(self, serves: bool) -> None:
        """Whether the address is here; at each moment, not only when that changes."""
        if serves != self._serving:
            self._serving = serves
            if serves and not self.problem:
                # Whatever the relay's thread is busy with: packets wait for this.
                for peer in self._hosting.guests:
                    self._say(peer, Kind.SERVES, term=self._driver.term)
            # In turn: two of these may be waiting.
            self._post(lambda now: self._note_serves(now, serves))

    def end(self, until: float) -> None:
        """The pod ends, and its connections last until then at most; `over` says when they do not any more."""
        self._post(lambda now: self._leaving.end(now, until))

    def ends(self, address: IP) -> None:
        """Another pod ends, and relays nothing any more."""
        self._post(lambda now: self._leaving.ends(now, address))

    def hear(self, text: bytes) -> bool:
        """Another pod said something; returns whether it did for the first time."""
        try:
            message = from_text(text)
        except MessageError:
            # Of a later version.
            return True
        if message.sender == self._config.pod or message.counter <= self._heard.get(message.sender, -1):
            return False
        self._heard[message.sender] = message.counter
        # Packets wait for this one, and others for a moment of the thread at most.
        self._post(lambda now: self._understand(now, message), first=message.kind in (Kind.MOVED, Kind.SERVES))
        return True

    def use_ports(self) -> None:
        """Change the source ports of new connections, if that is wanted. The main thread's."""
        wanted, self._wanted_ports = self._wanted_ports, None
        if wanted is None:
            return
        try:
            if wanted != self._firewall.ports:
                self._firewall.use_ports(wanted)
                event("source-ports", first=wanted[0], last=wanted[1])
        except FirewallError as error:
            event("source-ports-failed", error=error)
        self._post(self._ports_used)

    # --- The thread ---

    def _post(self, job: Callable[[float], None], *, first: bool = False) -> None:
        if self.problem:
            return
        if first:
            self._jobs.appendleft(job)
        else:
            self._jobs.append(job)
        self._wake.set()

    def _run(self) -> None:
        problem = guard.unsupported(self._config)
        if problem:
            self.problem = problem
            event("relay-impossible", why=problem)
            return
        self._guarded(self._adopt, time.monotonic())
        self.problem = ""
        # What was told before that.
        self._guarded(lambda now: self._note_serves(now, self._serving), time.monotonic())
        due = 0.0
        while True:
            life.beat(HEALTHY_SECONDS)
            now = time.monotonic()
            if now >= due:
                due = now + ROUND_SECONDS
                self._guarded(self._ask_who_serves, now)
                self._guarded(self._count_strangers, now)
                self._leaving.due = self._hosting.due = now
            for side in (self._leaving, self._hosting):
                if now >= side.due:
                    self._guarded(side.tick, now)
            if not self._jobs:
                self._wake.wait(max(0.0, min(due, self._leaving.due, self._hosting.due) - time.monotonic()))
            self._wake.clear()
            if self._jobs:
                self._guarded(self._jobs.popleft(), time.monotonic())

    def _guarded(self, job: Callable[[float], None], now: float) -> None:
        """Whatever the kernel refuses is tried again, or told to the other pod, some time."""
        try:
            job(now)
        except (RelayError, OSError) as error:
            self._failure.note(str(error))
        else:
            self._failure.note()

    def _adopt(self, now: float) -> None:
        through, peers = self._former.holder, self._holder.adopt(int(SILENT_SECONDS))
        if through is not None or peers:
            event("relay-adopted", through=through or "none", pods=",".join(map(str, peers)) or "none")
        self._hosting.adopt(now, peers)
        self._leaving.adopt(through)

    def _note_serves(self, now: float, serves: bool) -> None:
        if serves:
            # First: packets of those that relay through this pod may be waiting for it.
            self._hosting.serves(now, serves, self._driver.term)
            self._leaving.serves(now, serves)
            return
        through = self._leaving.through
        self._hosting.serves(now, serves, self._driver.term)
        if through is not None:
            # Those that relay through this pod go there too; to look what is left of its own takes longer.
            self._hosting.moved(now, through, max(self._driver.term, self._next_term))
        self._leaving.serves(now, serves)

    def _ask_who_serves(self, now: float) -> None:
        too_many = self.left_out
        self._limit.note(f"no more than {relayed.MAX_FLOWS} are" if too_many else "", left_out=too_many)
        found = self._driver.holder_elsewhere
        if found is not None:
            self._leaving.holder(now, *found)

    def _understand(self, now: float, message: Message) -> None:
        if message.kind is Kind.RELAY:
            self._hosting.relay(now, message)
        elif message.kind is Kind.CHUNK:
            self._hosting.chunk(now, message)
        elif message.kind is Kind.OVER:
            self._hosting.over(message)
        elif message.kind is Kind.ANSWER:
            self._leaving.answer(now, message)
        elif message.kind is Kind.MOVES:
            self._leaving.moves(now, message)
        elif message.kind is Kind.FOLLOWS:
            self._hosting.follows(message)
            self._leaving.tick(now)
        elif message.kind is Kind.MOVED:
            self._leaving.moved(now, message)
        elif message.kind is Kind.SERVES:
            self._leaving.serving(now, message)

    def _count_strangers(self, now: float) -> None:
        if self._leaving.through is None and not self._hosting.guests:
            self._seen_strangers = 0
            return
        counted = self._former.refused
        # The table may have been made again.
        self.strangers += counted - self._seen_strangers if counted >= self._seen_strangers else counted
        self._seen_strangers = counted

    def _ports_used(self, now: float) -> None:
        self._holder.reserve(self._firewall.ports)
        self._hosting.ports_chosen(now)

    def _number(self) -> int:
        self._last_number = max(self._last_number + 1, int(time.monotonic() * 1_000_000))
        return self._last_number

    def _say(self, to: IP, kind: Kind, **fields: Any) -> None:
        # Who hears a number takes no lower one.
        with self._saying:
            text = to_text(Message(kind, self._config.pod, self._address, self._number(), **fields))
            assert text[0] == FORMAT
            self._channel.tell(str(to), text)

    # --- What is decided: see leaving.Kernel and hosting.Kernel ---

    def flows(self, half_open: bool = True) -> Flows:
        return self._former.flows(half_open)

    def parts(self, flows: Flows) -> int:
        ports = [port for some in flows.values() for port in some]
        return part_numbers(self._config.replicas, [self._firewall.ports[0], *ports]) | self._hosting.parts

    def open_near(self, holder: IP, waiting: bool = False) -> None:
        self._former.open(holder, waiting)
        self._started = time.monotonic()
        event("relay", through=holder)

    def let_through(self) -> None:
        self._former.let_through()
        self.passed.set()

    def close_near(self) -> None:
        self._former.close()
        event("relay-over", seconds=f"{time.monotonic() - self._started:.1f}")

    def accept(self, seconds: float) -> None:
        self._former.accept(seconds)

    def reset(self) -> None:
        count = relayed.count(self._former.flows())
        provoked = self._former.reset(PROVOKE_SECONDS)
        self.reset_count += count
        event("relayed-connections-reset", connections=count, provoked=provoked)

    def open_far(self, peer: IP) -> None:
        self._holder.open(peer, int(SILENT_SECONDS))
        event("relaying-for", pod_ip=peer)

    def close_far(self, peer: IP) -> None:
        self._holder.close(peer)
        event("relaying-over", pod_ip=peer)

    def add(self, peer: IP, flows: Flows) -> None:
        if self._fence.serves:
            # Of a pod that lost the address without having told which connections it has.
            free = without(flows, self._own_flows())
            self.refused += relayed.count(flows) - relayed.count(free)
            flows = free
        self._holder.add(peer, flows)

    def accept_far(self, peer: IP, ports: Ports, seconds: float) -> bool:
        return self._holder.accept(peer, ports, seconds)

    def choose_ports(self) -> None:
        current = self._firewall.ports
        wanted = self._holder.ports(current, self._hosting.taken, self._hosting.coming)
        if wanted == current:
            self._post(self._ports_used)
        else:
            self._wanted_ports = wanted
            self.change_ports()

    def _own_flows(self) -> Flows:
        at, found = self._own
        if time.monotonic() > at + OWN_SECONDS:
            found = {relayed.Server(*server): ports for server, ports in conntrack.open_ports().items()}
            self._own = (time.monotonic(), found)
        return found
