# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drives the failover protocol: tells it what happens, and does what it decides.

Its thread alone knows the protocol, the other pods and the kernel's permits, and it waits for nothing: requests of the API server
and questions to the segment are threads of their own, whose answers come through a queue. So a beat is late only if the machine is.
"""

from __future__ import annotations

import ipaddress
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from ansible_collections.egress.router.plugins.module_utils._contract.failover import BEAT_PORT
from ansible_collections.egress.router.plugins.module_utils._contract.status import STARTING, Status

from ..config import Config
from ..failover import protocol
from ..failover.channel import Channel
from ..failover.protocol import Event, Kind, Protocol
from ..kernel.fence import Fence, Spare
from ..log import Problem, event
from ..net import IP
from . import life
from .kube import ApiError
from .lease import Found, Leases
from .question import Question
from .take_over import TakeOvers

# The thread shows at least so often that it lives; it is never busy for longer than a transaction of the kernel.
IDLE_SECONDS = 1.0
HEALTHY_SECONDS = 20
# For so long somebody who asks for another pod to serve may wait for one that could.
WISH_SECONDS = 5.0
# While the router is on hold: how often the Lease is read. When the hold is lifted, clients are waiting.
HOLD_SECONDS = 0.5
# Of a beat: after so much of the time until the next one, that one's permit may be used.
SPARE_PART = 0.7
# Numbers of requests that are not the protocol's.
PEEK = -1
TELL = -2


class Answer(NamedTuple):
    """The API server's to a request."""

    request: int
    answer: Found | ApiError


class Driver:
    """One pod's part in the protocol. All methods but start() may be called from any thread; the attributes are for reading.

    `lease_error`: why the last request of the Lease failed; empty if it did not. `reached`: whether one ever succeeded.
    `changed`: called when something happened that decides about the address; `repair`: called when the table is gone;
    `leave`: called before the pod hands over because somebody asks for it, with what to do then; `before_drop`: called right before
    the kernel serves no more; `ends`: called when another pod says that it ends, with its cluster address.
    """

    def __init__(
        self,
        config: Config,
        channel: Channel,
        check_keys: Callable[[], str],
        fence: Fence,
        question: Question,
        take_overs: TakeOvers,
    ) -> None:
        self._config = config
        self._channel = channel
        self._check_keys = check_keys
        self._key_problem = ""
        self._fence = fence
        self._question = question
        self._take_overs = take_overs
        self._events: deque[Event | Answer] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._protocol = self._new_protocol(0)
        self._permits: dict[int, tuple[int, float]] = {}
        self._able = protocol.Able(True)
        # Requests that write the Lease and are not answered.
        self._swaps: set[int] = set()
        self._found: Found | None = None
        # When the API server answered last, and what the watch has seen since.
        self._answered_at = 0.0
        self._seen_version: Any = None
        self._written: Status | None = None
        self._told: Status | None = None
        self._telling = False
        # Whether something may have changed that the Lease is to say.
        self._news = True
        self._hand_over: str | None = None
        # Until when a hand-over is wanted (0: it is not), and whether the pod prepares it.
        self._wish_until = 0.0
        self._preparing = False
        self._peek_at = 0.0
        self._lost_before = 0
        self._lost_logged = 0.0
        self._problem = Problem("lease-failed")
        self._no_key = Problem("beats-impossible")
        self.changed: Callable[[], None] = lambda: None
        self.repair: Callable[[], None] = lambda: None
        self.leave: Callable[[Callable[[], None]], None] = lambda then: then()
        self.before_drop: Callable[[], None] = lambda: None
        self.ends: Callable[[IP], None] = lambda address: None
        self.ended = threading.Event()
        self.lease_error = ""
        self.reached = False
        self.on_hold = False
        self.predecessor = Status()
        self.beats_sent = 0
        self.expired = 0

    def start(self, leases: Leases, status: Callable[[], Status], adopted: int) -> None:
        """Begin. `adopted`: the permit without end by which the kernel serves already, 0 without."""
        self._leases = leases
        self._status = status
        self._protocol = self._new_protocol(adopted)
        if adopted:
            self._permits[adopted] = (adopted, protocol.INFINITE)
        if self._config.replicas > 1:
            leases.watch(self._see)
        threading.Thread(target=self._run, name="failover", daemon=True).start()

    # --- What others may ask and tell ---

    @property
    def holding(self) -> bool:
        """Whether the Lease is this pod's, as far as it knows."""
        return self._protocol.holding

    @property
    def term(self) -> int:
        """The highest term that this pod knows of."""
        return self._protocol.term

    @property
    def successor(self) -> str:
        """The successor of this pod; empty without."""
        return self._protocol.successor if self.holding else ""

    @property
    def successor_error(self) -> str:
        """Why the successor could not serve, or there can be none; empty if it could."""
        if self.successor:
            found = self._protocol
            return "" if found.peer_able else found.peer_reason or f"pod {found.successor} cannot serve"
        if self._key_problem:
            return self._key_problem if self._wants_key else ""
        standby = self._protocol.standby
        if not standby:
            return ""
        return (
            f"no message of pod {standby} arrives, which stands by: see in its log whether it has a key, and whether a network policy "
            f"keeps {BEAT_PORT}/UDP from it"
        )

    @property
    def successor_able(self) -> bool:
        """Whether there is a successor that could serve."""
        return bool(self.successor) and self._protocol.peer_able

    @property
    def successor_address(self) -> IP | None:
        """The cluster address of the successor; None without."""
        found = self._channel.addresses.get(self.successor)
        return ipaddress.ip_address(found) if found else None

    @property
    def holder_elsewhere(self) -> tuple[IP, int] | None:
        """The cluster address of the holder and its term, as the Lease says; None if this pod is the holder, or nobody."""
        found = self._found
        if found is None or self.holding or found.lease.holder in ("", self._config.pod):
            return None
        status = found.status
        known = status.pod == found.lease.holder and status.pod_ip
        return (ipaddress.ip_address(status.pod_ip), found.lease.term) if known else None

    @property
    def has_key(self) -> bool:
        """Whether this pod can talk to the others."""
        return not self._key_problem

    @property
    def _wants_key(self) -> bool:
        """Whether there are other pods to talk to: by what this pod was started with, or by what it has heard of."""
        return self._config.replicas > 1 or self._protocol.accompanied

    @property
    def beats_lost(self) -> int:
        """How many beats were not answered in time since this pod became the holder."""
        return self._protocol.beats_lost - self._lost_before

    @property
    def all_beats_lost(self) -> int:
        """The same since this process began."""
        return self._protocol.beats_lost

    @property
    def refused(self) -> dict[str, int]:
        """How many datagrams of others were dropped, by reason."""
        return dict(self._channel.refused)

    def tell(self, able: bool, reason: str) -> None:
        """Whether the pod could serve; and look whether its status has changed."""
        found = protocol.Able(able, reason)
        if found != self._able:
            self._able = found
            event("able", able=able, **({"reason": reason} if reason else {}))
            self._events.append(found)
        self._poke()

    def prepare_end(self) -> None:
        """The pod is to end, and its connections are prepared for that."""
        self._post(protocol.Ending())

    def end(self) -> None:
        """The pod is to end: `ended` is set when it may."""
        self._post(protocol.End())

    def answered(self, request: int, answer: Found | ApiError) -> None:
        """The API server answered, or did not."""
        self._post(Answer(request, answer))

    def _post(self, what: Event | Answer) -> None:
        self._events.append(what)
        self._poke()

    def _poke(self) -> None:
        self._news = True
        os.eventfd_write(self._wake, 1)

    def _new_protocol(self, adopted: int) -> Protocol:
        failover = self._config.failover
        now = time.monotonic()
        return Protocol(
            self._config.pod,
            protocol.Periods(failover.beat_ms / 1000, failover.promise_ms / 1000, failover.lease_seconds),
            now,
            # More than any process of this pod counted to, because the clock goes on and each counts slower than this.
            int(now * 1_000_000),
            replicas=self._config.replicas,
            without_api=failover.without_api,
            adopted=adopted,
        )

    # --- The thread ---

    def _run(self) -> None:
        while not self._protocol.ended:
            life.beat(HEALTHY_SECONDS)
            wait = min(self._protocol.due - time.monotonic(), IDLE_SECONDS)
            if self.on_hold and self.holding:
                wait = min(wait, self._peek_at - time.monotonic())
            # To wake up is most of what a pod computes at rest: for the promise and for the next beat at once.
            calm = self._protocol.calm
            watched = [self._wake] if calm else [self._wake, self._channel.fileno()]
            readable, _writable, _failed = select.select(watched, [], [], max(0.0, wait))
            if self._wake in readable:
                os.eventfd_read(self._wake)
            if calm or self._channel.fileno() in readable:
                for message in self._channel.received():
                    self._step(protocol.Received(message))
                    self._tell_end(message)
            self._drain()
            if time.monotonic() >= self._protocol.due:
                self._step(protocol.Tick())
                self._drain()
            self._check_key()
            self._hand_over_if_wanted()
            self._write_what_changed()
        self.ended.set()
        while True:
            # The rest of the process ends soon. While connections are relayed, other pods have something to say, and the Lease too.
            life.beat(HEALTHY_SECONDS)
            self._leases.look(PEEK)
            until = time.monotonic() + IDLE_SECONDS
            while select.select([self._channel.fileno()], [], [], max(0.0, until - time.monotonic()))[0]:
                for message in self._channel.received():
                    self._tell_end(message)
            self._drain()

    def _tell_end(self, message: protocol.Message) -> None:
        if message.kind is Kind.ENDS:
            self.ends(ipaddress.ip_address(self._channel.addresses[message.sender]))

    def _drain(self) -> None:
        while self._events:
            happened = self._events.popleft()
            if isinstance(happened, Answer):
                self._hear(happened)
            else:
                self._step(happened)
                self._preparing = self._preparing and not isinstance(happened, protocol.HandOver)

    def _check_key(self) -> None:
        problem = self._check_keys()
        if problem != self._key_problem:
            self._key_problem = problem
            self._news = True
        self._no_key.note(problem if self._wants_key else "")

    def _step(self, happened: Event) -> None:
        machine = self._protocol
        served, held, successor, lost = machine.serving, machine.holding, machine.successor, machine.beats_lost
        others = _others(machine)
        actions = machine.step(time.monotonic(), happened)
        if machine.holding and not held:
            # Before the kernel serves.
            self._begin_to_hold()
        for action in actions:
            _CARRY_OUT[type(action)](self, action)
        if machine.beats_lost > lost:
            self._log_lost()
        if _others(machine) != others:
            self._news = True
        if (machine.holding, machine.successor) != (held, successor):
            self._news = True
            event("lease", held=machine.holding, term=machine.term, successor=self.successor or "none")
        if served and not machine.serving and not any(isinstance(action, protocol.Drop) for action in actions):
            self.expired += 1
            event("fenced", why="neither a successor nor the API server answered in time")
        if (machine.serving, machine.holding) != (served, held):
            self.changed()

    def _begin_to_hold(self) -> None:
        found = self._found
        self._lost_before = self._protocol.beats_lost
        # What was there already was not said to this pod. A Lease that was given to it is not read yet.
        self._hand_over = found.hand_over if found and self._protocol.knows_lease else None
        cause, since = self._protocol.taken
        last = self.predecessor.pod
        if cause == protocol.RESTARTED and self._protocol.serving:
            return
        self._take_overs.begin(cause, last, since)

    def _log_lost(self) -> None:
        """One line a second at most."""
        now = time.monotonic()
        if now - self._lost_logged >= 1:
            self._lost_logged = now
            event("beats-lost", successor=self._protocol.successor or "none", total=self.beats_lost)

    # --- The Lease ---

    def _see(self, seen: Found) -> None:
        """The watch's thread. What it brings may be old, so it is only a reason to ask: when people want something else of the holder."""
        self._seen_version = seen.lease.version
        known = self._found
        if known is not None and (seen.hand_over, seen.on_hold) != (known.hand_over, known.on_hold):
            self._leases.look(PEEK)

    def _hear(self, answered: Answer) -> None:
        request, answer = answered
        if isinstance(answer, ApiError):
            self._hear_error(request, answer)
            return
        if answer is not self._found:
            self._answered_at = time.monotonic()
        self._note(answer)
        # Before the pod becomes the holder, and asks for the address.
        self._notice_hold(answer)
        if request >= 0:
            swapped = request in self._swaps
            self._swaps.discard(request)
            kind = protocol.Swapped if swapped else protocol.Found
            self._step(kind(request, answer.lease))
        elif request == TELL:
            self._telling = False
        if self.holding and self._hand_over is None:
            self._hand_over = answer.hand_over
        elif self.holding and answer.hand_over != self._hand_over:
            self._hand_over = answer.hand_over
            self._wish_until = time.monotonic() + WISH_SECONDS if answer.hand_over else 0.0
            self._hand_over_if_wanted()

    def _hear_error(self, request: int, error: ApiError) -> None:
        if request == TELL:
            self._telling = False
            self._told = None
        if request < 0:
            # What goes wrong here goes wrong with the next renewal too, which tells.
            return
        swapped = request in self._swaps
        self._swaps.discard(request)
        if error.status == 409:
            self._step(protocol.Conflict(request))
            return
        self.lease_error = str(error)
        self._problem.note(self.lease_error)
        if error.status == 404 and not swapped:
            self._step(protocol.Found(request, None))
        else:
            self._step(protocol.Failed(request))

    def _note(self, found: Found) -> None:
        self.lease_error = ""
        self._problem.note()
        if not self.reached:
            self.reached = True
            self.changed()
        self._found = found
        if found.status.pod != self._config.pod:
            self.predecessor = found.status
        else:
            self._take_overs.adopt(found.status)

    def _notice_hold(self, found: Found) -> None:
        if self.on_hold != found.on_hold:
            self.on_hold = found.on_hold
            self._step(protocol.Hold(self.on_hold))
            self.changed()

    def _hand_over_if_wanted(self) -> None:
        """As soon as there is a pod that could serve."""
        if not self._wish_until or self._preparing or self._protocol.parting:
            return
        if not self.holding:
            self._wish_until = 0.0
        elif self._protocol.heir:
            self._preparing = True
            self._step(protocol.Preparing())
            event("hand-over", to=self._protocol.successor, why="the Lease asks for it")
            self.leave(lambda: self._post(protocol.HandOver()))
        elif time.monotonic() >= self._wish_until:
            self._wish_until = 0.0
            event("hand-over-refused", why=self.successor_error or "no other pod could serve")

    def _write_what_changed(self) -> None:
        """The status, soon after it changed; and what nobody who holds the Lease would tell."""
        if self.on_hold and self.holding and time.monotonic() >= self._peek_at:
            self._peek_at = time.monotonic() + HOLD_SECONDS
            self._leases.look(PEEK)
        if not self._news:
            return
        self._news = False
        status = replace(self._status(), beats_lost="")
        if self.holding:
            if not self._swaps and status != self._written and not self.lease_error:
                self._step(protocol.Rewrite())
            return
        found = self._found
        if found is None or found.lease.holder or self._able.able or self._telling or status == self._told:
            return
        self._told = status
        self._telling = True
        self._leases.tell(TELL, found.lease.version, status)

    # --- Carrying out ---

    def _permit(self, action: protocol.Permit) -> None:
        now = time.monotonic()
        if len(self._permits) > 200:
            self._permits = {n: one for n, one in self._permits.items() if one[1] > now}
        until = protocol.INFINITE if action.seconds is None else now + action.seconds
        self._permits[action.number] = (self._fence.permit(action.seconds), until)

    def _grant(self, action: protocol.Grant) -> None:
        nothing = (0, 0.0)
        number, until = self._permits.get(action.number, nothing)
        guard, guard_until = self._permits.get(action.guard, nothing)
        machine = self._protocol
        spare = Spare(SPARE_PART * machine.periods.beat, machine.permit_seconds) if machine.successor else None
        if number and guard and self._fence.grant(number, guard, spare):
            return
        if until == protocol.INFINITE:
            # It would stay.
            self._fence.revoke(number)
        if guard and self._fence.serves:
            # Somebody has removed the table, or the permits: they come back, with what was granted last.
            self._permits[action.number] = (guard, guard_until)
            self.repair()
        else:
            self._events.appendleft(protocol.Refused())

    def _drop(self, action: protocol.Drop) -> None:
        self.before_drop()
        self._fence.drop()
        self._permits.clear()

    def _send(self, action: protocol.Send) -> None:
        address = self._address_of(action.to)
        if address:
            self.beats_sent += action.message.kind is Kind.BEAT
            self._channel.send(address, action.message)

    def _address_of(self, pod: str) -> str:
        """Where a pod's last message came from; before there is any, what the Lease says."""
        address, found = self._channel.addresses.get(pod, ""), self._found
        if address or found is None:
            return address
        if found.status.pod == pod:
            return found.status.pod_ip
        return found.successor_ip if found.lease.successor == pod else ""

    def _look(self, action: protocol.Look) -> None:
        found = self._found
        lately = time.monotonic() < self._answered_at + self._protocol.periods.renew
        unchanged = found is not None and self._leases.watching and self._seen_version == found.lease.version
        # The watch may be later than a pod that tells of a newer term.
        if found is not None and unchanged and lately and found.lease.term >= self._protocol.term:
            # Nobody has written it. What was read before does as well: whoever takes over has to name its version.
            self._events.append(Answer(action.request, found))
        else:
            self._leases.look(action.request)

    def _swap(self, action: protocol.Swap) -> None:
        status = self._status()
        if action.holder not in ("", self._config.pod):
            # The pod that the Lease is given to will say what is so.
            status = replace(status, state=STARTING, successor="", successor_error="")
        self._swaps.add(action.request)
        self._written = replace(status, beats_lost="")
        before = self._found.lease.holder if self._found else ""
        successor_ip = self._address_of(action.successor) if action.successor else ""
        self._leases.swap(action, status, bool(action.holder) and before != action.holder, successor_ip)

    def _announce(self, action: protocol.Announce) -> None:
        self._swaps.add(action.request)
        self._leases.announce(action)

    def _ask(self, action: protocol.Ask) -> None:
        threading.Thread(target=self._ask_segment, args=(action,), name="question", daemon=True).start()

    def _ask_segment(self, action: protocol.Ask) -> None:
        silent = self._question.silent(action.seconds)
        self._post(protocol.Segment(action.question, silent))
        self.changed()

    def _end(self, action: protocol.End) -> None:
        pass


def _others(machine: Protocol) -> tuple[object, ...]:
    """What the status says of other pods."""
    return machine.peer_able, machine.peer_reason, machine.standby, machine.accompanied


_CARRY_OUT: dict[type, Callable[[Driver, Any], None]] = {
    protocol.Permit: Driver._permit,
    protocol.Grant: Driver._grant,
    protocol.Drop: Driver._drop,
    protocol.Send: Driver._send,
    protocol.Look: Driver._look,
    protocol.Swap: Driver._swap,
    protocol.Announce: Driver._announce,
    protocol.Ask: Driver._ask,
    protocol.End: Driver._end,
}
