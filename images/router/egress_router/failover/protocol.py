# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which pod of a router serves. Pure: time and an event go in, actions come out, and somebody else carries them out.

*The Lease says who may serve, the pods say how fast.* The Lease names a holder and a successor, and counts terms: each holder
has a term of its own. Whoever changes it compares and swaps, so of two changes one fails.

*The kernel is the fence.* A pod serves while its kernel has a permit that was granted and has not run out. A permit is made
before the question leaves whose answer grants it, so its time begins before anybody else's. Granting needs a second permit, the
guard, that has not run out at that moment: a process that was frozen between thinking and doing changes nothing afterwards.

*Promises.* The holder sends beats to its successor, which answers each: "I do not serve before `promise` is over." The permit of
that beat lasts for nine tenths of it. While a successor may be named, only its promises are granted, never the Lease's time.
A holder that prepares a move asks for longer promises: the other pod has just started, and both have more to do than usual. A
successor that is to end says so, and goes on promising until the holder has written the Lease without it.

*Proof.* A right that has run out comes back only with proof that nobody else has it: the holder has just swapped the Lease; or,
without the API server, the segment was asked for the address for longer than a promise, and nobody answered.

*A gift.* A holder that hands over has the Lease name its successor while it still serves itself, so that nobody waits for the API
server. Only then it stops, and says that it did. The successor makes its permit when it is asked whether it takes the Lease, which is
before that can be written, and is sure of it when the holder's word refers to that answer. If the Lease cannot be written, it goes
the other way: the holder stops, says "yours", and the successor writes the Lease. A gift that nobody took is taken back when the
permit for it has run out: whoever did take it has written the Lease by then.

Who takes over, and when:

    the successor     when its last promise is over and the Lease still names it, or when the holder says "yours" or "given"
    anybody           when the Lease has no holder; or was not renewed for twice its duration (once, with one replica) and nobody
                      on the segment answers for the address. Before it serves it asks the segment once more

*Whether there are other pods* is not a matter of how a pod was started: somebody may scale the Deployment, and pods of a router of
one replica have no key to talk to each other. A pod that waits and hears no beats says in the Lease that it is there. A holder that
has lately heard of another pod, in the Lease or from itself, is fenced by time like one of several replicas.
"""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple

from ansible_collections.egress.router.plugins.module_utils._contract.failover import SERVE

# Parts of a promise, and of the Lease's duration, after which the kernel stops. Clocks may run a few per cent apart.
PERMIT = 0.9
ALONE = 0.8
# A pod that waits says so in the Lease once in each duration; it counts as gone after so many.
FORGOTTEN = 3
INFINITE = float("inf")
# Stands for a permit that is not made yet.
ENDLESS = -1
# No term.
NONE = -1
# In a beat: the holder counts on the promises of this successor; and asks whether it takes the Lease. The bit PATIENT is set besides
# if it asks for a longer promise.
COUNTS = 1
GIVES = 2
PATIENT = 4
# Why a pod took over: the holder said "yours", or its promise ran out; the Lease had no holder; or it was not renewed, and nobody
# on the segment answered. Or this process found that an earlier one of the pod had.
HANDED_OVER = "handed-over"
SILENT = "silent"
FREE = "free"
EXPIRED = "expired"
RESTARTED = "restarted"
CAUSES = (HANDED_OVER, SILENT, FREE, EXPIRED, RESTARTED)


@dataclass(frozen=True)
class Periods:
    """In seconds. The contract's `failover.problems` says what may be chosen."""

    beat: float = 0.1
    promise: float = 0.6
    lease: float = 15.0

    @property
    def patience(self) -> float:
        """The longer promise, while a move is prepared.

        A new process takes over no earlier than that, without having heard the holder: after a promise and a question to the segment.
        """
        return self.promise + self.ask

    @property
    def silent(self) -> float:
        """A successor that made no promise for so long is replaced, while the last promise still lasts."""
        return self.promise / 2

    @property
    def renew(self) -> float:
        """How often the holder writes the Lease."""
        return self.lease / 3

    @property
    def look(self) -> float:
        """How often others read it, and what failed is tried again."""
        return min(1.0, self.lease / 5)

    @property
    def answer(self) -> float:
        """An answer of the API server that takes longer counts as none."""
        return min(3.0, self.lease / 5)

    @property
    def gift(self) -> float:
        """How long the permit lasts with which a successor takes the Lease: until it is written for it, and once more by it."""
        return 2 * self.answer

    @property
    def ask(self) -> float:
        """How long the segment is asked: longer than anybody's permit lasts by a promise, or by a guard."""
        return 1.5 * self.promise


class Lease(NamedTuple):
    """The Lease as somebody read it. `version` changes with each write, and is compared only for being the same.

    `writer`: of the Swap that wrote it last; a hand that edits it leaves that as it was. So does an Announce, whose `standby` it keeps.
    """

    version: Any
    holder: str = ""
    successor: str = ""
    term: int = 0
    writer: str = ""
    standby: str = ""


class Kind(enum.IntEnum):
    """What a message says."""

    # To the holder: I am here, and may become your successor.
    HELLO = 1
    # From the holder: may I go on?
    BEAT = 2
    # To the holder: I do not serve before a promise is over.
    PROMISE = 3
    # From the holder, which serves no more: take over.
    YOURS = 4
    # There is a newer term.
    NEWS = 5
    # To the holder, or to the one before if no other pod is left: I end, so do not count on me.
    ENDS = 6
    # From the holder before, which serves no more: the Lease is yours, take over.
    GIVEN = 7


class Message(NamedTuple):
    """`counter` grows from message to message of a sender. `session` tells apart the processes of a pod.

    `about`: of a beat, COUNTS, GIVES or 0, and PATIENT; of a promise, the counter of its beat; of "yours", the successor's session; of "given", the
    counter of the promise with which it takes the Lease.
    `able`: the sender's own side is in order; if not, `reason` says why, for people. `ready`: it reaches the API server.
    """

    kind: Kind
    sender: str
    term: int
    counter: int
    session: int
    about: int = 0
    able: bool = True
    ready: bool = True
    reason: str = ""


# --- Events ---


class Tick(NamedTuple):
    """Nothing but time has passed."""


class Received(NamedTuple):
    """A message whose sender is proved."""

    message: Message


class Found(NamedTuple):
    """A Look was answered; `lease` is None if there is none."""

    request: int
    lease: Lease | None


class Swapped(NamedTuple):
    """A Swap or an Announce was done; `lease` is its result."""

    request: int
    lease: Lease


class Conflict(NamedTuple):
    """A Swap or an Announce was refused: the Lease has another version."""

    request: int


class Failed(NamedTuple):
    """There is no answer, and it is not known what the API server did."""

    request: int


class Segment(NamedTuple):
    """The segment was asked: was there no answer?"""

    question: int
    silent: bool


class Able(NamedTuple):
    """Whether this pod's own side of the segment is in order, and why not. What it cannot find out counts as able."""

    able: bool
    reason: str = ""


class Refused(NamedTuple):
    """The kernel refused the last Grant: its guard had run out."""


class HandOver(NamedTuple):
    """Somebody asks for another pod to serve."""


class Rewrite(NamedTuple):
    """What the holder writes into the Lease beside the names has changed."""


class Hold(NamedTuple):
    """Whether the holder leaves the address to another router for now: it asks the segment for it only when that is over."""

    on: bool


class Ending(NamedTuple):
    """This pod is to end in a moment, and tells its successor of its connections meanwhile."""


class Preparing(NamedTuple):
    """This pod is to hand over in a moment, and tells its successor of its connections meanwhile."""


class End(NamedTuple):
    """Event: this pod is to end. Action: it may."""


# --- Actions, to be carried out in their order ---


class Permit(NamedTuple):
    """Make a permit in the kernel that lasts for `seconds` from now (None: for ever)."""

    number: int
    seconds: float | None


class Grant(NamedTuple):
    """Serve as long as permit `number` lasts, instead of any other; Refused if permit `guard` has run out."""

    number: int
    guard: int


class Drop(NamedTuple):
    """Serve no more, from now on."""


class Send(NamedTuple):
    """Send a message to a pod."""

    to: str
    message: Message


class Look(NamedTuple):
    """Read the Lease."""

    request: int


class Swap(NamedTuple):
    """Write the Lease if it is still at `version`."""

    request: int
    version: Any
    holder: str
    successor: str
    term: int
    writer: str


class Announce(NamedTuple):
    """Write into the Lease, if it is still at `version`, that a pod is there and waits: `standby`, different each time."""

    request: int
    version: Any
    standby: str


class Ask(NamedTuple):
    """Ask the segment for the address for `seconds`, at the very beginning, at the very end and at least twice between.

    The question of another pod counts as an answer if that pod's MAC address is the lower one: one of two has to win.
    """

    question: int
    seconds: float


Event = (
    Tick
    | Received
    | Found
    | Swapped
    | Conflict
    | Failed
    | Segment
    | Able
    | Refused
    | HandOver
    | Rewrite
    | Hold
    | Preparing
    | Ending
    | End
)
Action = Permit | Grant | Drop | Send | Look | Swap | Announce | Ask | End


class _Purpose(enum.Enum):
    LOOK = enum.auto()
    # The holder's, with the successor it has.
    RENEW = enum.auto()
    # The holder's, without.
    ALONE = enum.auto()
    ACQUIRE = enum.auto()
    RELEASE = enum.auto()
    # The holder's, for its successor.
    GIVE = enum.auto()
    # By a pod that is not the holder.
    ANNOUNCE = enum.auto()


class _Request:
    """One that is not answered. `permit`, `guard`: made for it, 0 if not. `term`: what was known when it left."""

    __slots__ = ("asking", "guard", "number", "permit", "purpose", "sent", "term")

    def __init__(self, number: int, purpose: _Purpose, sent: float, term: int) -> None:
        self.number = number
        self.purpose = purpose
        self.sent = sent
        self.term = term
        self.permit = 0
        self.guard = 0
        self.asking = False


class _Beat(NamedTuple):
    """`sent`: when; `lasts`: for how long the permit that was made for it does."""

    sent: float
    lasts: float

    @property
    def until(self) -> float:
        return self.sent + self.lasts


class Protocol:
    """One pod. `step` takes an event; `due` is when the next one is wanted at the latest, be it a Tick.

    `taken`: why this pod became the holder, and since when nobody had served then, as far as it knows. `beats_lost`: how many
    beats no successor answered in time. `peer_able`, `peer_reason`: what the successor says of itself. `standby`: which other pod
    said in the Lease that it waits.

    `now` of all calls is a clock that never goes back and that the kernel's timeouts follow. `counter` has to be above
    that of every earlier process of this pod. `adopted`: a permit without end that an earlier process left granted.
    """

    def __init__(
        self,
        name: str,
        periods: Periods,
        now: float,
        counter: int,
        *,
        replicas: int = 2,
        without_api: str = SERVE,
        adopted: int = 0,
    ) -> None:
        self.name = name
        self.periods = periods
        self.now = now
        self.due = now
        self.term = 0
        self.holding = False
        self.successor = ""
        self.ended = False
        self._counter = counter
        self._session = counter
        # A router of one replica is not fenced by time, unless it is told to be, or finds that there is another pod.
        self._alone = replicas == 1
        self._unfenced = self._alone and without_api == SERVE
        self._accompanied_until = 0.0
        self._announce_at = now + periods.renew
        self.standby = ""
        self._stale = periods.lease * (1 if self._alone else 2)
        self._able = True
        self._reason = ""
        self._on_hold = False
        self.taken = (RESTARTED, now)
        self.beats_lost = 0
        self.peer_able = False
        self.peer_reason = ""
        self._stopping = False
        self._actions: list[Action] = []
        self._heard: dict[str, int] = {}
        # The Lease, when it changed, and when the API server answered last.
        self._lease: Lease | None = None
        self._known: Lease | None = None
        self._announced = ""
        self._changed_at = now
        self._answered_at = -INFINITE
        self._failing = False
        self._request: _Request | None = None
        self._look_at = now
        self._try_at = now
        # The right: what the kernel has granted and until when, what may be granted, and what proves that it may.
        self._granted = adopted
        # The kernel may still serve by what an earlier process granted.
        self._inherits = True
        self._until = INFINITE if adopted else 0.0
        self._permit = 0
        self._permit_until = 0.0
        self._guard = 0
        self._guard_until = 0.0
        self._must_ask = self._restarted = False
        self._question: tuple[int, float] | None = None
        self._ask_at = now
        self._silent_until = 0.0
        # The holder's side. Beats by their counters, and which were the successor's.
        self._beats: dict[int, _Beat] = {}
        self._counting: set[int] = set()
        self._beat_at = now
        self._promised_at = 0.0
        self._promised_for = periods.promise
        self._peer_ready = self._peer_ends = False
        self._peer_session = 0
        self._others: dict[str, tuple[float, bool]] = {}
        self._trial = ""
        self._renew_at = now
        self._leaving = False
        self._asked_to_leave = False
        self._leave_until = 0.0
        self._ending = self._preparing = False
        # Until when the successor has to say that it takes the Lease (0: it is not asked), by which beats it is asked, and its answer.
        self._give_until = 0.0
        self._giving: set[int] = set()
        self._taker = 0
        self._taken_until = 0.0
        self._give_writer = ""
        # After it: to whom, in which Lease; the other numbers are as before.
        self._given = ("", "")
        # The successor's side. What an earlier process promised is not known: as much as can be, or what is usual and a question.
        self._bound_until = self._bound_to_others = now + periods.promise
        self._unknown_until = now + periods.patience
        self._bound_to = ""
        self._bound_term = NONE
        # Its swap as a successor, which may come true when nobody waits for the answer any more.
        self._taking = ""
        self._claim = (RESTARTED, now)
        self._handed_at: float | None = None
        # The permit with which it takes the Lease as a gift, and until when; and how the writer and the term of that Lease are known.
        self._offer = (0, 0.0)
        self._gift = ("", NONE)
        self._wrote = NONE
        self._beat_heard_at = -INFINITE
        self._hello_at = now
        # A pod that is to end goes on promising until then at most.
        self._stays_until = -INFINITE

    @property
    def heir(self) -> bool:
        """Whether there is a successor that would serve if it were handed over now."""
        return self.holding and not self._leaving and self._has_heir()

    @property
    def parting(self) -> bool:
        """Whether it is about to leave the router to its successor."""
        return self.holding and bool(self._asked_to_leave or self._give_until or self._leaving)

    @property
    def calm(self) -> bool:
        """Whether what others say may wait for the next beat: the last permit lasts for longer, and nobody is about to take over."""
        leaves = self.parting or self._patient or self._stopping
        return self.holding and self.serving and bool(self.successor) and len(self._beats) <= 1 and not leaves

    @property
    def knows_lease(self) -> bool:
        """Whether it has read the Lease as it is, as far as it knows."""
        return self._lease is not None

    @property
    def serving(self) -> bool:
        """Whether the kernel was told to serve, and as far as this process knows still does."""
        return bool(self._granted)

    @property
    def accompanied(self) -> bool:
        """Whether it has lately heard of another pod of this router."""
        return self.now < self._accompanied_until

    @property
    def permit_seconds(self) -> float:
        """How long the permit of a beat lasts now."""
        return PERMIT * (self.periods.patience if self._patient else self.periods.promise)

    @property
    def _patient(self) -> bool:
        """Whether it asks for longer promises."""
        return self._ending or self._preparing

    @property
    def _silent(self) -> float:
        """A successor that made no promise for so long is not counted on: half of what the last one lasts."""
        return self._promised_for / 2

    @property
    def _endless(self) -> bool:
        return self._unfenced and not self.accompanied

    def step(self, now: float, event: Event) -> list[Action]:
        """What is to be done."""
        self.now = now
        self._actions = []
        if self.ended:
            return self._actions
        if self._request is not None and now >= self._request.sent + self.periods.answer:
            self._fail()
        if self._question is not None and now >= self._question[1]:
            self._question = None
            self._ask_at = now
        if self._granted and now >= self._until:
            self._lapse()
        getattr(self, _HANDLERS[type(event)])(event)
        self._decide()
        return self._actions

    # --- What time brings ---

    def _decide(self) -> None:
        self.due = INFINITE
        if self.holding and self._leaving:
            self._leave()
        elif self.holding:
            self._hold()
        else:
            self._wait()
        if self._request is not None:
            self._reached(self._request.sent + self.periods.answer)
        if self._question is not None:
            self._reached(self._question[1])
        if self._granted:
            self._reached(self._until)

    def _reached(self, at: float) -> bool:
        """Whether it is time; if not, the next step is due then."""
        if self.now >= at:
            return True
        if at < self.due:
            self.due = at
        return False

    def _hold(self) -> None:
        """The holder: beats, the Lease, and the right itself."""
        if (self._give_until or self._leaves()) and not self._give():
            return
        self._forget_beats()
        peer = self.successor or self._candidate()
        if peer and self._reached(self._beat_at):
            self._beat(peer)
        busy = self._request
        if self.successor and self._unwanted():
            if (busy is None or busy.purpose is not _Purpose.ALONE) and self._reached(self._try_at):
                self._give_until = 0.0
                self._preparing = False
                # A new term, in which its promises of before make nobody the successor.
                self._renew(alone=True, new_term=True)
        elif busy is None and self._reached(self._renew_at):
            self._renew()
        if not self._granted and self._permit and self.now < self._permit_until:
            self._begin()

    def _give(self) -> bool:
        """Go on while the Lease is written for the successor; False when it leaves in another way."""
        if not self._give_until:
            # Who cannot serve has nothing to wait for.
            able = self._able and self._granted and self._has_heir() and self._lease_is_own()
            self._give_until = self.now + (self._silent if able else 0.0)
            self._ask_for_a_taker()
            if able and not self._stopping and self._request is None:
                # Who asks for it has written the Lease.
                self._look()
        request = self._request
        if request is not None and request.purpose is _Purpose.GIVE:
            return True
        if request is not None and request.purpose is _Purpose.LOOK:
            self._give_until = self.now + self._silent
            return True
        if self.successor and not self._giving:
            self._beat_at = self.now
        if self.successor and self._taker and self._lease_is_own():
            self._write(_Purpose.GIVE, self.successor, "", self.term + 1)
            self._give_writer = self._writer(self._request.number) if self._request else ""
            return True
        if not self._reached(self._give_until):
            return True
        self._give_until = 0.0
        if self._stopping or ((not self._able or not self._granted) and self._has_heir()):
            self._begin_to_leave()
            self._leave()
            return False
        # It serves on, and nobody notices. Who wants another pod to serve asks again.
        self._preparing = False
        return True

    def _ask_for_a_taker(self) -> None:
        self._giving.clear()
        self._taker = 0

    def _lease_is_own(self) -> bool:
        lease = self._lease
        return lease is not None and (lease.holder, lease.term) == (self.name, self.term)

    def _unwanted(self) -> bool:
        """Whether the holder is better off without its successor."""
        if self._peer_ends:
            return True
        if self._reached(self._promised_at + self._silent):
            # Who ends needs it whatever happens: at worst it takes over a moment earlier, by itself.
            return not self._ending
        return not self.peer_able and any(
            able and name != self.successor and self.now - at < self.periods.promise * 3
            for name, (at, able) in self._others.items()
        )

    def _begin(self) -> None:
        """There is something to serve by: do, with proof, or look for that."""
        bound = not self._reached(self._bound_until)
        if not bound and self._guard and self.now < self._guard_until and not self._must_ask:
            self._grant()
            return
        if self._must_ask or self._failing:
            self._ask()
        if not bound and not self._must_ask and self._request is None and self._reached(self._try_at):
            self._renew()

    def _wait(self) -> None:
        """A pod that is not the holder: look, be seen, and take over."""
        if self._given[0] and self._wait_for_the_taker():
            return
        if self._stopping:
            # A swap that comes true afterwards would leave the Lease to a pod that is gone.
            acquires = self._request is not None and self._request.purpose is _Purpose.ACQUIRE
            if not (acquires or self._counted_on()):
                self._finish()
            return
        if self._request is None and self._reached(self._look_at):
            self._look()
        lease = self._lease
        if lease is None:
            return
        others = lease.holder not in ("", self.name)
        if others and self._reached(max(self._hello_at, self._beat_heard_at + self.periods.silent)):
            self._hello_at = self.now + self.periods.promise
            self._reached(self._hello_at)
            self._send(lease.holder, Kind.HELLO)
        if not others or lease.successor:
            self._announce_at = self.now + self.periods.renew
        elif self._request is None and self._reached(self._announce_at):
            self._announce(lease)
        if not self._able or (self._request is not None and self._request.purpose is _Purpose.ACQUIRE):
            return
        named = others and lease.successor == self.name
        # Only who heard its beats knows that the holder counts on its promises. Another name in the Lease is somebody's edit.
        sure = named and self._bound_term == lease.term
        free = not lease.holder
        due = 0.0 if named or free else self._changed_at + self._stale
        # The only pod takes a Lease that nobody has at once: it asks the segment before it serves, and a promise ends before that.
        bound = 0.0 if free and self._alone else max(self._bound_until, self._unknown_until if sure else 0.0)
        if not self._reached(max(due, bound, self._try_at)):
            return
        if sure or free or self.now < self._silent_until:
            term = max(lease.term, self.term) + 1
            self._write(_Purpose.ACQUIRE, self.name, "", term)
            if self._request is not None:
                self._claim = self._cause(sure, free)
                self._taking = self._writer(self._request.number) if sure else ""
                self._request.asking = not sure and not self._granted
        else:
            self._ask()

    def _counted_on(self) -> bool:
        """Whether the holder would be without a promise if this pod ended now, and may not know yet that it does."""
        until = min(self._bound_until, self._stays_until)
        return self._bound_term == self.term and self._handed_at is None and not self._reached(until)

    def _stays(self) -> bool:
        """Whether this pod is to end, and answers beats for a moment: in the term of the holder, which may not know the next one yet."""
        return self._stopping and not self.holding and self._counted_on()

    def _wait_for_the_taker(self) -> bool:
        """Say whose the Lease is until that pod is heard; False when there is something else to do. Nobody took it: take it back."""
        name, writer = self._given
        if self._lease is not None and self._lease.writer != writer:
            self._given = ("", "")
            return False
        if not self._reached(self._taken_until):
            if self._reached(self._beat_at):
                self._beat_at = self.now + self.periods.beat
                self._reached(self._beat_at)
                self._send(name, Kind.GIVEN, self._taker)
            return True
        if self._lease is None or self._request is not None or not self._reached(self._try_at):
            return self._lease is not None
        if self._stopping:
            self._write(_Purpose.RELEASE, "", "", self.term)
        else:
            self._claim = (EXPIRED, self.now)
            self._write(_Purpose.ACQUIRE, self.name, "", self.term + 1)
        return True

    def _cause(self, sure: bool, free: bool) -> tuple[str, float]:
        """Why it takes over, and since when nobody has served."""
        if not sure:
            return (FREE if free else EXPIRED), self._changed_at
        return (SILENT, self._beat_heard_at) if self._handed_at is None else (HANDED_OVER, self._handed_at)

    def _leaves(self) -> bool:
        if self._stopping:
            return True
        # A process that finds itself the holder, after a restart, had better leave it to the successor, which is ready.
        restarted = self._must_ask and not self._granted and bool(self.successor)
        wanted = self._asked_to_leave or not self._able or restarted
        leaves = wanted and self._has_heir()
        if self._asked_to_leave:
            self._asked_to_leave, self._preparing = False, leaves
        return leaves

    def _has_heir(self) -> bool:
        fresh = self.now - self._promised_at < (PERMIT * self._promised_for if self._patient else self._silent)
        return bool(self.successor) and fresh and self.peer_able and self._peer_ready

    def _begin_to_leave(self) -> None:
        heir = bool(self.successor) and self.peer_able
        self._leaving = True
        self._leave_until = self.now + (2 * self.periods.promise if heir else 0.0)
        self._beat_at = self.now
        self._request = None
        self._give_up()

    def _leave(self) -> None:
        """The holder serves no more: its successor is told; if that helps not, it takes back or releases the Lease."""
        if self.successor and self._reached(self._beat_at):
            self._beat_at = self.now + self.periods.beat
            self._reached(self._beat_at)
            self._send(self.successor, Kind.YOURS, self._peer_session)
        if not self._reached(self._leave_until) or self._request is not None:
            return
        if self._stopping and self.now >= self._leave_until + self.periods.answer:
            self._finish()
        elif not self._reached(self._try_at):
            return
        elif self._stopping:
            self._write(_Purpose.RELEASE, "", "", self.term)
        else:
            # A new term: what was said in the old one counts no more.
            self._renew(alone=True, new_term=True)

    # --- What others say ---

    def _on_tick(self, event: Tick) -> None:
        pass

    def _on_received(self, event: Received) -> None:
        message = event.message
        if message.counter <= self._heard.get(message.sender, -1):
            return
        self._heard[message.sender] = message.counter
        self._accompany()
        # A term that this holder wrote itself, without knowing yet that it did, is nobody else's.
        if message.term > self.term and not (self.holding and message.term <= self._wrote):
            self.term = message.term
            self._lose()
            self._look_at = self.now
        getattr(self, _MESSAGES[message.kind])(message)

    def _on_hello(self, message: Message) -> None:
        if self.holding:
            self._others[message.sender] = (self.now, message.able)

    def _on_beat(self, message: Message) -> None:
        if message.term < self.term:
            self._send(message.sender, Kind.NEWS)
            return
        known = self._lease
        if self.holding or (known is not None and known.term == message.term and known.holder != message.sender):
            return
        # What an earlier process of this pod left.
        self._give_up()
        if message.sender != self._bound_to:
            self._bound_to, self._bound_to_others = message.sender, self._bound_until
        patient, about = message.about & PATIENT, message.about & ~PATIENT
        # Never shorter than what was promised before.
        lasts = self.periods.patience if patient else self.periods.promise
        self._bound_until = max(self._bound_until, self.now + lasts)
        self._bound_term = message.term if about in (COUNTS, GIVES) else NONE
        self._beat_heard_at = self.now
        self._handed_at = None
        if about == GIVES and not self._stopping:
            # Before its answer leaves, and so before the Lease is written.
            lasts = self.periods.gift
            self._offer = (self._counter + 1, self.now + lasts)
            self._gift = (f"{message.sender}/{message.session}/", message.term + 1)
            self._actions.append(Permit(self._offer[0], lasts))
        if self._stopping:
            # In this order: what arrives after a later word is not heard.
            self._send(message.sender, Kind.ENDS)
        self._send(message.sender, Kind.PROMISE, message.counter)

    def _on_promise(self, message: Message) -> None:
        beat = self._beats.pop(message.about, None)
        self._counting.discard(message.about)
        if not self.holding or self._leaving or message.term != self.term or beat is None:
            return
        sent, until = beat.sent, beat.until
        if self.now >= until or message.sender not in (self.successor, self._trial):
            return
        named = message.sender == self.successor
        if not named and (self.successor or not self._granted or self._request is not None or self._lease is None):
            return
        if not named or sent >= self._promised_at:
            self._promised_at, self._promised_for = sent, beat.lasts / PERMIT
        self._peer_ends = self._peer_ends and message.session == self._peer_session
        self.peer_able, self._peer_ready, self._peer_session = message.able, message.ready, message.session
        self.peer_reason = message.reason
        if not named or until > self._permit_until:
            self._permit, self._permit_until = message.about, until
            if self._granted:
                self._grant()
        if message.about in self._giving and not self._taker:
            self._taker, self._taken_until = message.counter, self.now + self.periods.gift / PERMIT
        if not named:
            # From here on it may be the successor, whatever becomes of the swap; the kernel's time is short already.
            self.successor = message.sender
            self._trial = ""
            self._peer_ends = False
            self._renew()

    def _on_yours(self, message: Message) -> None:
        # Said to this process, in this term, and after the last beat: what was promised to the sender counts no more.
        if (
            self.holding
            or message.sender != self._bound_to
            or message.about != self._session
            or message.term != self.term
        ):
            return
        self._bound_term = message.term
        self._bound_until = max(self.now, self._bound_to_others)
        self._unknown_until = self.now
        self._handed_at = self.now if self._handed_at is None else self._handed_at
        if self._lease is None or self._lease.term != self.term or self._lease.successor != self.name:
            self._look_at = self.now

    def _on_news(self, message: Message) -> None:
        if message.sender == self._given[0]:
            # It has it.
            self._given = ("", "")

    def _on_given(self, message: Message) -> None:
        # Said about what this process took, by the pod that asked; and nothing has happened in between.
        number, until = self._offer
        writer, term = self._gift
        if (
            message.about != number
            or message.term != term
            or self.now >= until
            or not writer.startswith(f"{message.sender}/")
        ):
            return
        if not self.holding and self.term == term and message.sender == self._bound_to:
            self.taken = (HANDED_OVER, self.now)
            self._bound_until = max(self.now, self._bound_to_others)
            # What is read now was written for this pod.
            self._lease = self._request = None
            self._look_at = self.now
            self._become_holder("", asking=False)
            self._permit, self._permit_until = number, until
            self._guard, self._guard_until = number, until
        if self.holding:
            self._send(message.sender, Kind.NEWS)

    def _on_ends(self, message: Message) -> None:
        # Of the process that promised, in this term: of another one, or before, it would say nothing about the successor.
        if message.session != self._peer_session:
            return
        if message.sender in (self.successor, self._given[0]):
            # If the Lease is its own by now, or will be, it does not take it.
            self._taken_until = self.now
        if not self.holding or message.sender != self.successor or message.term != self.term:
            return
        self.peer_able, self.peer_reason = False, f"pod {self.successor} ends"
        self._peer_ends = True
        self._leave_until = min(self._leave_until, self.now)

    def _on_found(self, event: Found) -> None:
        request = self._answered(event.request)
        if request is None:
            return
        self._look_at = self.now + self.periods.look
        lease = event.lease
        if self._stays():
            return
        if lease is None:
            self._lease = None
            return
        if lease.term < self.term and request.term < self.term:
            # Older than what was heard meanwhile.
            self._look_at = self.now
            return
        gift = lease.term == self._gift[1] and lease.writer.startswith(self._gift[0])
        if gift and not self.holding and lease.holder == self.name and self.now < self._bound_until:
            # The pod that gives it still serves, and will say when it does not.
            self._look_at = self._bound_until
            return
        self._note(lease)
        if lease.holder == self.name:
            if not self.holding:
                own = bool(self._taking) and lease.writer == self._taking
                self.taken = self._claim if own else (RESTARTED, self.now)
                self._become_holder(lease.successor, asking=not own)
                self._restarted = not own and not self._alone
            elif not gift and not lease.writer.startswith(f"{self.name}/{self._session}/"):
                # Edited, perhaps after somebody else had it: being able to write it proves nothing.
                self._must_ask = True
        elif self.holding and lease.holder:
            self._part_with(lease)
        elif self.holding:
            self._must_ask = True
            self._renew_at = self.now
        elif lease.holder:
            # What an earlier process left granted is not this pod's any more.
            self._give_up()

    def _on_swapped(self, event: Swapped) -> None:
        request = self._answered(event.request)
        if request is None:
            return
        lease = event.lease
        if lease.term < self.term:
            self._look_at = self.now
            return
        before = self._lease
        self._note(lease)
        if request.purpose is _Purpose.ANNOUNCE:
            return
        if request.purpose is _Purpose.RELEASE:
            self._finish()
            return
        if request.purpose is _Purpose.GIVE:
            self._part_with(lease)
            return
        if request.purpose is _Purpose.ACQUIRE:
            self.taken = self._claim
            self._become_holder("", asking=request.asking)
            if before is not None and before.holder and not request.asking:
                self._send(before.holder, Kind.NEWS)
        self._renew_at = request.sent + self.periods.renew
        if self._stopping:
            return
        self._leaving = False
        if request.guard:
            self._guard, self._guard_until = request.guard, request.sent + self.periods.answer
        self._restarted = False
        if not lease.successor:
            if self.successor and self._peer_ends:
                # It need not promise any more.
                self._send(self.successor, Kind.NEWS)
            self.successor = ""
            self._peer_ends = False
            # One without end is made when it is granted.
            self._permit = request.permit or ENDLESS
            self._permit_until = request.sent + ALONE * self.periods.lease if request.permit else INFINITE
            if self._granted:
                self._grant()

    def _on_conflict(self, event: Conflict) -> None:
        request = self._answered(event.request)
        if request is not None:
            if request.purpose is _Purpose.ANNOUNCE:
                self._announce_at = self.now
            elif request.purpose is _Purpose.GIVE:
                # It has no time to wait for another one.
                self._ask_for_a_taker()
            self._lease = None
            self._look()

    def _on_failed(self, event: Failed) -> None:
        if self._request is not None and self._request.number == event.request:
            self._fail()

    def _on_segment(self, event: Segment) -> None:
        if self._question is None or self._question[0] != event.question:
            return
        until = self._question[1]
        self._question = None
        self._ask_at = self.now
        if not event.silent:
            # Two that ask at the same time hear each other: not for ever.
            chance = zlib.crc32(f"{self.name} {event.question}".encode()) % 1000 / 1000
            self._ask_at += self.periods.promise * (1 + 6 * chance)
        elif self.holding:
            self._must_ask = False
            self._guard, self._guard_until = event.question, until
        else:
            self._silent_until = self.now + self.periods.promise

    def _on_able(self, event: Able) -> None:
        self._able, self._reason = event

    def _on_refused(self, event: Refused) -> None:
        self._lapse()

    def _on_hand_over(self, event: HandOver) -> None:
        self._asked_to_leave = self.holding

    def _on_rewrite(self, event: Rewrite) -> None:
        if self.holding and not self._failing:
            self._renew_at = self.now

    def _on_held(self, event: Hold) -> None:
        self._on_hold = event.on
        self._question = None
        self._ask_at = self.now

    def _on_preparing(self, event: Preparing) -> None:
        self._preparing = self.holding
        # Before there is more to do.
        self._beat_at = self.now

    def _on_ending(self, event: Ending) -> None:
        self._ending = True
        self._beat_at = self.now

    def _on_end(self, event: End) -> None:
        if not self._stopping:
            self._stays_until = self.now + self.periods.answer
        self._stopping = True
        if not self.holding and self._counted_on():
            self._send(self._bound_to, Kind.ENDS)

    # --- Steps ---

    def _writer(self, number: int) -> str:
        return f"{self.name}/{self._session}/{number}"

    def _number(self) -> int:
        self._counter += 1
        return self._counter

    def _send(self, to: str, kind: Kind, about: int = 0) -> int:
        ready = self.now - self._answered_at < 3 * self.periods.look
        number = self._number()
        able, reason = (False, f"pod {self.name} ends") if self._stopping else (self._able, self._reason)
        message = Message(kind, self.name, self.term, number, self._session, about, able, ready, reason)
        self._actions.append(Send(to, message))
        return number

    def _beat(self, peer: str) -> None:
        self._beat_at = self.now + self.periods.beat
        self._reached(self._beat_at)
        # The permit first: its time begins before the successor's.
        lasts = self.permit_seconds
        self._actions.append(Permit(self._counter + 1, lasts))
        looks = self._request is not None and self._request.purpose is _Purpose.LOOK
        named = peer == self.successor
        asks = named and bool(self._give_until) and not self._taker and not looks
        about = (GIVES if asks else COUNTS) if named else 0
        counter = self._send(peer, Kind.BEAT, about | (PATIENT if self._patient else 0))
        if asks:
            self._giving.add(counter)
        self._beats[counter] = _Beat(self.now, lasts)
        if named:
            self._counting.add(counter)

    def _forget_beats(self) -> None:
        """Those whose permit has run out."""
        for counter in [counter for counter, beat in self._beats.items() if beat.until <= self.now]:
            del self._beats[counter]
            if counter in self._counting:
                self._counting.discard(counter)
                self.beats_lost += 1

    def _candidate(self) -> str:
        """Whom the holder tries as its successor; the first that promises is named."""
        if not self._granted or self._leaving:
            self._trial = ""
        elif not self._trial:
            fresh = self.now - 3 * self.periods.promise
            able = sorted((not able, name) for name, (at, able) in self._others.items() if at > fresh)
            if able:
                self._trial = able[0][1]
                self._promised_at = self._beat_at = self.now
        elif self._reached(self._promised_at + self.periods.promise):
            self._others.pop(self._trial, None)
            self._trial = ""
        return self._trial

    def _look(self) -> None:
        number = self._number()
        self._request = _Request(number, _Purpose.LOOK, self.now, self.term)
        self._actions.append(Look(number))

    def _renew(self, *, alone: bool = False, new_term: bool = False) -> None:
        """The holder writes the Lease, with its successor or `alone`."""
        lease = self._lease
        # If somebody has edited it, what others know of this term may be wrong.
        edited = lease is not None and (lease.holder, lease.term) != (self.name, self.term)
        successor = "" if alone else self.successor
        purpose = _Purpose.RENEW if successor else _Purpose.ALONE
        # An earlier process may have counted on promises before the Lease named who made them.
        again = self._restarted and not successor
        term = max(self.term, lease.term if lease else 0) + (edited or new_term or again)
        self._wrote = max(self._wrote, term)
        self._write(purpose, self.name, successor, term)

    def _write(self, purpose: _Purpose, holder: str, successor: str, term: int) -> None:
        lease = self._lease
        if lease is None:
            if self._request is None and self._reached(self._look_at):
                self._look()
            return
        self._request = request = _Request(self._number(), purpose, self.now, self.term)
        if holder == self.name and not successor and not self._endless:
            request.permit = self._number()
            self._actions.append(Permit(request.permit, ALONE * self.periods.lease))
        if holder == self.name and not self._granted:
            request.guard = self._number()
            self._actions.append(Permit(request.guard, self.periods.answer))
        self._actions.append(Swap(request.number, lease.version, holder, successor, term, self._writer(request.number)))

    def _ask(self) -> None:
        if self._on_hold and self.holding:
            return
        if self._question is None and self._reached(self._ask_at):
            number = self._number()
            # Its answer is a proof for a moment only: less than anybody asks.
            lasts = self.periods.ask + self.periods.promise
            self._question = (number, self.now + lasts)
            self._actions += (Permit(number, lasts), Ask(number, self.periods.ask))

    def _answered(self, number: int) -> _Request | None:
        """The request, if somebody still waits for it."""
        request = self._request
        if request is None or request.number != number:
            return None
        self._request = None
        self._failing = False
        self._answered_at = self.now
        return request

    def _fail(self) -> None:
        request, self._request = self._request, None
        self._failing = True
        self._look_at = self._renew_at = self.now + self.periods.look
        if request is not None and request.purpose is _Purpose.ANNOUNCE:
            self._announce_at = self._look_at
        elif request is not None and request.purpose is not _Purpose.LOOK:
            self._try_at = self.now + self.periods.silent

    def _note(self, lease: Lease) -> None:
        # Who announces itself says nothing about the holder.
        known = lease._replace(version=None, standby="")
        if known != self._known:
            self._known = known
            self._changed_at = self.now
        if lease.standby != self._announced:
            self._announced = lease.standby
            name = lease.standby.partition("/")[0]
            if name not in ("", self.name):
                self.standby = name
                self._accompany()
        if not self.accompanied:
            self.standby = ""
        self._lease = lease
        self.term = max(self.term, lease.term)

    def _accompany(self) -> None:
        self._accompanied_until = self.now + FORGOTTEN * self.periods.lease

    def _announce(self, lease: Lease) -> None:
        self._announce_at = self.now + self.periods.lease
        self._accompany()
        number = self._number()
        self._request = _Request(number, _Purpose.ANNOUNCE, self.now, self.term)
        self._actions.append(Announce(number, lease.version, self._writer(number)))

    def _become_holder(self, successor: str, *, asking: bool) -> None:
        self.holding = True
        self.successor = successor
        self._must_ask = asking
        self._leaving = self._asked_to_leave = self._preparing = False
        self._give_until = 0.0
        self._given = ("", "")
        self._permit = self._guard = 0
        self._question = None
        self._renew_at = self._beat_at = self._promised_at = self.now
        self._promised_for = self.periods.promise
        self._others.clear()
        self._trial = ""
        self.peer_able = self._peer_ready = self._peer_ends = False
        self.peer_reason = ""

    def _lose(self) -> None:
        """The Lease is another pod's."""
        self._give_up()
        if not self.holding:
            return
        self.holding = self._leaving = self._must_ask = self._preparing = False
        self._give_until = 0.0
        self.successor = self._trial = ""
        self._beats.clear()
        self._counting.clear()
        self._request = None
        self._look_at = self.now

    def _part_with(self, lease: Lease) -> None:
        """The Lease is another pod's. If this one has given it, the other one waits to hear that it serves no more."""
        if self._give_writer and lease.writer == self._give_writer:
            self._given = (lease.holder, lease.writer)
            self._beat_at = self.now
        self._lose()

    def _give_up(self) -> None:
        self._permit = self._guard = 0
        if self._granted or self._inherits:
            self._inherits = False
            self._actions.append(Drop())
            self._lapse()

    def _lapse(self) -> None:
        """The right has run out: what proved it before proves nothing now."""
        self._granted = self._guard = 0
        self._question = None
        self._silent_until = 0.0
        if self._request is not None:
            self._request.guard = 0

    def _grant(self) -> None:
        """Serve by the permit at hand, with the proof at hand: the right that lasts, or the guard."""
        endless = self._permit_until == INFINITE
        if not (endless and self._granted and self._until == INFINITE):
            if endless:
                self._permit = self._number()
                self._actions.append(Permit(self._permit, None))
            self._actions.append(Grant(self._permit, self._granted or self._guard))
            self._inherits = False
            self._granted, self._until = self._permit, self._permit_until
        self._guard = 0

    def _finish(self) -> None:
        self._give_up()
        # Not if another pod serves already, or will: whoever ends too counts on that one then.
        last = not (self.successor or self._others) if self.holding else self._bound_term == self.term
        if self._bound_to and last:
            self._send(self._bound_to, Kind.ENDS)
        self.holding = False
        self.ended = True
        self.due = INFINITE
        self._actions.append(End())


_HANDLERS: dict[type, str] = {
    Tick: "_on_tick",
    Received: "_on_received",
    Found: "_on_found",
    Swapped: "_on_swapped",
    Conflict: "_on_conflict",
    Failed: "_on_failed",
    Segment: "_on_segment",
    Able: "_on_able",
    Refused: "_on_refused",
    HandOver: "_on_hand_over",
    Rewrite: "_on_rewrite",
    Hold: "_on_held",
    Preparing: "_on_preparing",
    Ending: "_on_ending",
    End: "_on_end",
}
_MESSAGES: dict[Kind, str] = {
    Kind.HELLO: "_on_hello",
    Kind.BEAT: "_on_beat",
    Kind.PROMISE: "_on_promise",
    Kind.YOURS: "_on_yours",
    Kind.NEWS: "_on_news",
    Kind.ENDS: "_on_ends",
    Kind.GIVEN: "_on_given",
}
