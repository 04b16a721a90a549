# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A world for the failover protocol: pods with clocks and kernels of their own, a cluster network, an API server, a segment.

Discrete events, no real time. A seed decides everything, so a schedule can be replayed, with a log.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

from ansible_collections.egress.router.images.router.egress_router.failover import protocol
from ansible_collections.egress.router.images.router.egress_router.failover.protocol import (
    Able,
    Announce,
    Ask,
    Conflict,
    Drop,
    End,
    Ending,
    Failed,
    Found,
    Grant,
    HandOver,
    Hold,
    Lease,
    Look,
    Periods,
    Permit,
    Preparing,
    Protocol,
    Received,
    Refused,
    Rewrite,
    Segment,
    Send,
    Swap,
    Swapped,
    Tick,
)
from ansible_collections.egress.router.plugins.module_utils._contract.failover import SERVE, STOP

INFINITE = float("inf")
# Shorter than a router's, in the same proportions, so that a schedule needs a few hundred events only.
PERIODS = Periods(beat=0.25, promise=1.25, lease=6.25)


class TwoServe(AssertionError):
    """The one thing that must never be."""


class Wrong(AssertionError):
    """Another promise that was broken."""


class Kernel:
    """Permits with timeouts, and the one that is granted: the times are the pod's own clock's."""

    def __init__(self) -> None:
        self.permits: dict[int, float] = {}
        self.granted = 0

    def until(self) -> float:
        return self.permits.get(self.granted, 0.0)


class Pod:
    """A node's clock, its kernel, and the agent's process in it."""

    def __init__(self, number: int, rate: float, offset: float) -> None:
        self.number = number
        self.name = f"pod-{number}"
        self.rate = rate
        self.offset = offset
        self.kernel = Kernel()
        self.process: Protocol | None = None
        self.incarnation = 0
        self.frozen_until = 0.0
        self.next_tick = INFINITE
        self.api = True
        self.api_lag = 0.0
        self.segment = True
        self.able = True
        self.gone = False
        # Real time until which its kernel serves.
        self.serves_until = 0.0
        self.questions: list[list[bool]] = []

    def local(self, real: float) -> float:
        return self.offset + self.rate * real

    def real(self, local: float) -> float:
        return (local - self.offset) / self.rate


class World:
    """Runs pods. `blind`: the segment was cut while it was the only witness, which is when two may serve (documented)."""

    def __init__(
        self,
        seed: int,
        pods: int = 2,
        *,
        periods: Periods = PERIODS,
        replicas: int | None = None,
        without_api: str = SERVE,
        make: Callable[..., Protocol] = Protocol,
        flaw: str = "",
        log: bool = False,
        apart: float = 0.005,
        late: float = 0.0,
    ) -> None:
        self.random = random.Random(seed)
        self.time = 0.0
        self.periods = periods
        self.replicas = pods if replicas is None else replicas
        self.without_api = without_api
        self.make = make
        self.flaw = flaw
        self.logging = log
        self.queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.sequence = 0
        self.events = 0
        self.loss = self.double = self.stutter = 0.0
        self.delay = (0.0005, 0.004)
        self.late = late
        self.lost_answers = 0.0
        self.lease: Lease | None = Lease(1)
        self.version = 1
        self.edits = 0
        self.blind = False
        self.held = False
        self.gaps: list[tuple[float, float]] = []
        self.covered_until = 0.0
        self.cut: set[tuple[int, int]] = set()
        self.pods: list[Pod] = []
        for number in range(pods):
            self.add(Pod(number, 1 + apart * self.random.uniform(-1, 1), self.random.uniform(1000, 1e6)))

    # --- What happens, and when ---

    def at(self, time: float, what: Callable[..., None], *arguments: Any) -> None:
        self.sequence += 1
        heapq.heappush(self.queue, (time, self.sequence, what, arguments))

    def run(self, until: float, done: Callable[[], bool] | None = None) -> bool:
        """Until a time, or until `done`; returns whether it is."""
        queue = self.queue
        while queue and queue[0][0] <= until:
            self.time, _sequence, what, arguments = heapq.heappop(queue)
            self.events += 1
            what(*arguments)
            if done is not None and done():
                return True
        self.time = max(self.time, until)
        return done is not None and done()

    def log(self, text: str, *arguments: object) -> None:
        if self.logging:
            print(f"{self.time:9.4f}", text.format(*arguments))

    # --- Pods ---

    def add(self, pod: Pod) -> Pod:
        self.pods.append(pod)
        self.start(pod)
        return pod

    def start(self, pod: Pod) -> None:
        if pod.process is not None or pod.gone:
            return
        pod.incarnation += 1
        pod.frozen_until = 0.0
        local = pod.local(self.time)
        granted = pod.kernel.granted
        adopted = granted if pod.kernel.until() == INFINITE else 0
        pod.process = self.make(
            pod.name,
            self.periods,
            local,
            int(local * 1000),
            replicas=self.replicas,
            without_api=self.without_api,
            adopted=adopted,
        )
        self.log("{} starts", pod.name)
        if not pod.able:
            self.deliver(pod, pod.incarnation, Able(False))
        self.deliver(pod, pod.incarnation, Hold(self.held))
        self.deliver(pod, pod.incarnation, Tick())

    def kill(self, pod: Pod) -> None:
        """The process ends; the kernel goes on."""
        self.log("{} is killed", pod.name)
        pod.process = None
        pod.next_tick = INFINITE

    def destroy(self, pod: Pod) -> None:
        """The node is lost, and all that is on it."""
        self.kill(pod)
        pod.kernel = Kernel()
        self.cover(pod, 0.0)

    def freeze(self, pod: Pod, seconds: float) -> None:
        pod.frozen_until = max(pod.frozen_until, self.time + seconds)
        self.log("{} is frozen for {:.3f}", pod.name, seconds)

    def tell(self, pod: Pod, event: protocol.Event) -> None:
        self.deliver(pod, pod.incarnation, event)

    def deliver(self, pod: Pod, incarnation: int, event: protocol.Event) -> None:
        process = pod.process
        if process is None or incarnation != pod.incarnation:
            return
        if self.time < pod.frozen_until:
            self.at(pod.frozen_until, self.deliver, pod, incarnation, event)
            return
        if isinstance(event, Tick) and self.time < pod.next_tick < INFINITE:
            return
        actions = process.step(pod.local(self.time), event)
        if self.logging and (actions or not isinstance(event, Tick)):
            self.log("{} {} -> {}", pod.name, event, actions)
        if actions:
            self.carry_out(pod, incarnation, actions, 0)
        if pod.process is not None:
            # A little later: the conversion must not make it a little earlier.
            tick = pod.real(process.due) + 1e-6
            if tick < pod.next_tick or pod.next_tick <= self.time:
                pod.next_tick = max(tick, self.time)
                if tick < INFINITE:
                    self.at(pod.next_tick, self.deliver, pod, incarnation, _TICK)

    def carry_out(self, pod: Pod, incarnation: int, actions: list[protocol.Action], start: int) -> None:
        if pod.process is None or incarnation != pod.incarnation:
            return
        if self.time < pod.frozen_until:
            self.at(pod.frozen_until, self.carry_out, pod, incarnation, actions, start)
            return
        for index in range(start, len(actions)):
            if self.stutter and self.random.random() < self.stutter:
                self.freeze(pod, self.random.uniform(0.1, 5) * self.periods.promise)
                self.at(pod.frozen_until, self.carry_out, pod, incarnation, actions, index)
                # Carried out when it comes up again, not put off a second time.
                return
            _CARRY_OUT[type(actions[index])](self, pod, actions[index])

    # --- The kernel ---

    def permit(self, pod: Pod, action: Permit) -> None:
        if action.number in pod.kernel.permits:
            raise Wrong(f"{pod.name} makes permit {action.number} twice")
        seconds = INFINITE if action.seconds is None else action.seconds
        pod.kernel.permits[action.number] = pod.local(self.time) + seconds

    def grant(self, pod: Pod, action: Grant) -> None:
        kernel = pod.kernel
        now = pod.local(self.time)
        if self.flaw == "late permits" and action.number in kernel.permits:
            kernel.permits[action.number] = kernel.permits[action.guard] = now + protocol.PERMIT * self.periods.promise
        if kernel.permits.get(action.guard, 0.0) <= now:
            self.log("{}'s kernel refuses", pod.name)
            self.at(self.time, self.deliver, pod, pod.incarnation, Refused())
            return
        kernel.granted = action.number
        until = kernel.until()
        if action.guard != action.number:
            kernel.permits.pop(action.guard, None)
        if len(kernel.permits) > 40:
            kernel.permits = {number: until for number, until in kernel.permits.items() if until > now}
            if len(kernel.permits) > 100:
                raise Wrong(f"{pod.name} has {len(kernel.permits)} permits")
        if until <= now:
            self.cover(pod, 0.0)
            return
        for other in self.pods:
            if other is not pod and other.serves_until > self.time and not self.blind:
                raise TwoServe(
                    f"{self.time:.4f}: {pod.name} begins, and {other.name} serves until {other.serves_until:.4f}"
                )
        self.cover(pod, INFINITE if until == INFINITE else pod.real(until))

    def drop(self, pod: Pod, action: Drop) -> None:
        pod.kernel = Kernel()
        self.cover(pod, 0.0)

    def cover(self, pod: Pod, until: float) -> None:
        if until > self.time > self.covered_until:
            self.gaps.append((self.covered_until, self.time))
            self.log("nobody served for {:.3f}", self.time - self.covered_until)
        pod.serves_until = until
        self.covered_until = max(min(self.covered_until, self.time), max(other.serves_until for other in self.pods))

    def server(self) -> Pod | None:
        """Who serves now."""
        return next((pod for pod in self.pods if pod.serves_until > self.time), None)

    def serves(self, pod: Pod, until: float) -> bool:
        """Runs until `pod` serves; returns whether it does."""
        return self.run(until, lambda: pod.serves_until > self.time)

    def ends(self, pod: Pod, until: float) -> bool:
        """Runs until `pod` has ended; returns whether it has."""
        return self.run(until, lambda: pod.gone)

    def longest_gap(self, since: float = 0.0) -> float:
        """For how long nobody served, after `since` and until now."""
        gaps = [*self.gaps, (min(self.covered_until, self.time), self.time)]
        return max((end - max(begin, since) for begin, end in gaps if end > since), default=0.0)

    # --- The cluster network ---

    def send(self, pod: Pod, action: Send) -> None:
        number = int(action.to.rpartition("-")[2])
        if number >= len(self.pods) or (pod.number, number) in self.cut:
            return
        target = self.pods[number]
        choose = self.random.random
        copies = (choose() >= self.loss) + (self.double > 0 and choose() < self.double)
        for _copy in range(copies):
            low, high = self.delay
            delay = low + (high - low) * choose()
            if self.late and choose() < self.late:
                delay += choose() * 2 * self.periods.promise
            self.at(self.time + delay, self.arrive, pod.number, target, action.message)

    def arrive(self, sender: int, target: Pod, message: protocol.Message) -> None:
        if (sender, target.number) not in self.cut:
            self.deliver(target, target.incarnation, Received(message))

    # --- The API server ---

    def request(self, pod: Pod, action: Look | Swap | Announce) -> None:
        if not pod.api:
            if self.random.random() < 0.5:
                self.at(self.time + 0.001, self.deliver, pod, pod.incarnation, Failed(action.request))
            return
        lag = self.random.uniform(0.002, 0.01) + self.random.random() * pod.api_lag
        self.at(self.time + lag, self.execute, pod, pod.incarnation, action)

    def execute(self, pod: Pod, incarnation: int, action: Look | Swap | Announce) -> None:
        answer: protocol.Event
        if isinstance(action, Look):
            answer = Found(action.request, self.lease)
        else:
            before = self.lease
            if before is None:
                answer = Failed(action.request)
            elif before.version != action.version and self.flaw != "no comparison":
                answer = Conflict(action.request)
            else:
                self.version += 1
                if isinstance(action, Swap):
                    self.check_terms(before, action)
                    written = {key: value for key, value in action._asdict().items() if key != "request"}
                else:
                    written = {"standby": action.standby}
                self.lease = before._replace(**{**written, "version": self.version})
                self.log("Lease {}", self.lease)
                answer = Swapped(action.request, self.lease)
        if pod.api and self.random.random() >= self.lost_answers:
            lag = self.random.uniform(0.002, 0.01) + self.random.random() * pod.api_lag
            self.at(self.time + lag, self.deliver, pod, incarnation, answer)

    def check_terms(self, before: Lease, after: Swap) -> None:
        another = after.holder and after.holder != before.holder
        if after.term < before.term or (another and after.term == before.term):
            raise Wrong(f"{self.time:.4f}: the Lease goes from {before} to {after}: a holder has a term of its own")

    def hold(self, on: bool) -> None:
        """Written into the Lease by hand, too; each pod sees it some time later."""
        self.held = on
        for pod in self.pods:
            self.at(self.time + self.random.random(), self.tell, pod, Hold(on))

    def edit(self, lease: Lease | None) -> None:
        """By hand."""
        self.edits += 1
        self.version += 1
        self.lease = None if lease is None else lease._replace(version=self.version)
        self.log("edited: {}", self.lease)

    # --- The segment ---

    def ask(self, pod: Pod, action: Ask) -> None:
        # Was answered; missed another that serves or asks.
        state = [False, False]
        pod.questions.append(state)
        self.probe(pod, pod.incarnation, action, state, 0)

    def probe(self, pod: Pod, incarnation: int, action: Ask, state: list[bool], count: int) -> None:
        if incarnation != pod.incarnation:
            pod.questions.clear()
            return
        if self.time < pod.frozen_until:
            self.at(pod.frozen_until, self.probe, pod, incarnation, action, state, count)
            return
        for other in self.pods:
            serves = other.serves_until > self.time
            if other is pod or not (serves or other.questions):
                continue
            if not (pod.segment and other.segment):
                state[1] = True
            elif serves or other.number < pod.number:
                state[0] = True
            else:
                for heard in other.questions:
                    heard[0] = True
        if count < 3:
            self.at(self.time + action.seconds / 3 / pod.rate, self.probe, pod, incarnation, action, state, count + 1)
            return
        if state in pod.questions:
            pod.questions = [one for one in pod.questions if one is not state]
        self.blind = self.blind or (state[1] and not state[0])
        self.deliver(pod, incarnation, Segment(action.question, not state[0]))

    def end(self, pod: Pod, action: End) -> None:
        self.log("{} ends", pod.name)
        pod.process = None
        pod.gone = True
        pod.next_tick = INFINITE

    # --- What a test asks ---

    def settled(self) -> bool:
        """One serves, the Lease says so, and if there is another pod it is the successor."""
        server = self.server()
        lease = self.lease
        if server is None or lease is None or lease.holder != server.name:
            return False
        others = [pod.name for pod in self.pods if pod.process is not None and pod is not server]
        return not others or lease.successor in others

    def heal(self) -> None:
        """No faults any more."""
        self.loss = self.double = self.stutter = self.late = self.lost_answers = 0.0
        self.cut.clear()
        self.hold(False)
        for pod in self.pods:
            pod.api = pod.segment = True
            pod.api_lag = 0.0
            if not pod.able:
                pod.able = True
                self.tell(pod, Able(True))
            self.start(pod)
        if self.lease is None:
            self.edit(Lease(0))


_TICK = Tick()
_CARRY_OUT: dict[type, Callable[[World, Pod, Any], None]] = {
    Permit: World.permit,
    Grant: World.grant,
    Drop: World.drop,
    Send: World.send,
    Look: World.request,
    Swap: World.request,
    Announce: World.request,
    Ask: World.ask,
    End: World.end,
}


# --- Random schedules ---


def schedule(seed: int, **options: Any) -> World:
    """A world with faults of every kind at random times, then without; raises an AssertionError if a promise is broken."""
    choose = random.Random(f"faults {seed}")
    pods = choose.choice((2, 2, 2, 3))
    replicas = 1 if choose.random() < 0.15 else None
    without_api = choose.choice((SERVE, STOP))
    world = World(seed, pods, replicas=replicas, without_api=without_api, **options)
    if choose.random() < 0.5:
        world.loss, world.double = choose.choice((0.0, 0.05, 0.3)), choose.choice((0.0, 0.1))
    if choose.random() < 0.3:
        world.late = 0.1
    if choose.random() < 0.25:
        world.stutter = 0.003
    # Mostly from a state of rest.
    at = 4.0 if choose.random() < 0.8 else 0.5
    for _number in range(choose.randint(1, 4)):
        at += choose.uniform(0.0, 3.0)
        world.at(at, FAULTS[choose.choice(NAMES)], world, choose)
    world.run(at + choose.uniform(1, 4))
    world.heal()
    check_recovery(world)
    return world


def check_recovery(world: World) -> None:
    """After the faults: somebody serves, soon, with a successor, and it stays so."""
    periods = world.periods
    if not any(pod.process is not None for pod in world.pods):
        return
    # The Lease's rule for "all gone", then the segment is asked twice, perhaps again because two asked at once.
    world.run(max(pod.frozen_until for pod in world.pods) + 0.001)
    limit = 2 * periods.lease + 12 * periods.ask + 4 * periods.answer
    if not world.run(world.time + limit, world.settled):
        raise Wrong(f"{limit:.0f} s after the faults: {world.lease}, {world.server() and world.server().name}")
    # A message of before may arrive late.
    world.run(world.time + 2 * periods.promise)
    if not world.run(world.time + limit, world.settled):
        raise Wrong(f"not settled: {world.lease}")
    began = world.time
    world.run(began + 2 * periods.promise)
    if world.longest_gap(began) > 0 or not world.settled():
        raise Wrong(f"{world.time:.4f}: no rest after the faults: {world.lease}")


def _some(world: World, choose: random.Random) -> Pod:
    """The pod that serves, or any."""
    return (choose.random() < 0.5 and world.server()) or choose.choice(world.pods)


def _pair(world: World, choose: random.Random) -> tuple[int, int]:
    one, other = choose.sample([pod.number for pod in world.pods], 2)
    return one, other


def _for_a_while(world: World, choose: random.Random, undo: Callable[[], None]) -> None:
    world.at(world.time + choose.choice((0.3, 1.0, 4.0)) * choose.uniform(0.1, 2.0) * world.periods.promise, undo)


def _cut_peers(world: World, choose: random.Random) -> None:
    one, other = _pair(world, choose)
    ways = {(one, other), (other, one)} if choose.random() < 0.7 else {(one, other)}
    world.log("peers cut: {}", ways)
    world.cut |= ways
    _for_a_while(world, choose, lambda: world.cut.difference_update(ways))


def _cut_api(world: World, choose: random.Random) -> None:
    pods = world.pods if choose.random() < 0.4 else [_some(world, choose)]
    world.log("API server away from {}", [pod.name for pod in pods])
    _set(world, choose, pods, "api", False, True)


def _slow_api(world: World, choose: random.Random) -> None:
    pods = world.pods if choose.random() < 0.4 else [_some(world, choose)]
    world.log("API server slow for {}", [pod.name for pod in pods])
    _set(world, choose, pods, "api_lag", choose.choice((0.1, 1.0, 4.0)), 0.0)


def _lose_answers(world: World, choose: random.Random) -> None:
    world.log("answers of the API server are lost")
    _set(world, choose, [world], "lost_answers", choose.choice((0.3, 1.0)), 0.0)


def _cut_segment(world: World, choose: random.Random) -> None:
    pod = _some(world, choose)
    world.log("segment cut: {}", pod.name)
    _set(world, choose, [pod], "segment", False, True)


def _isolate(world: World, choose: random.Random) -> None:
    """The node of a pod: everything, or all but the segment."""
    pod = _some(world, choose)
    world.log("{} is cut off", pod.name)
    _set(world, choose, [pod], "api", False, True)
    if choose.random() < 0.5:
        _set(world, choose, [pod], "segment", False, True)
    ways = {(pod.number, other.number) for other in world.pods} | {(other.number, pod.number) for other in world.pods}
    world.cut |= ways
    _for_a_while(world, choose, lambda: world.cut.difference_update(ways))


def _set(world: World, choose: random.Random, things: Any, name: str, value: object, usual: object) -> None:
    for thing in things:
        setattr(thing, name, value)

    def undo() -> None:
        for thing in things:
            setattr(thing, name, usual)

    _for_a_while(world, choose, undo)


def _freeze(world: World, choose: random.Random) -> None:
    world.freeze(
        _some(world, choose), choose.choice((0.5, 1.0, 4.0)) * choose.uniform(0.2, 2.0) * world.periods.promise
    )


def _restart(world: World, choose: random.Random) -> None:
    pods = world.pods if choose.random() < 0.15 else [_some(world, choose)]
    for pod in pods:
        if pod.process is not None:
            world.kill(pod)
            world.at(world.time + choose.choice((0.05, 0.5, 3.0)) * world.periods.promise, world.start, pod)


def _lose_node(world: World, choose: random.Random) -> None:
    pods = world.pods if choose.random() < 0.15 else [_some(world, choose)]
    for pod in pods:
        if pod.process is not None:
            world.destroy(pod)
            world.at(world.time + choose.choice((0.5, 3.0)) * world.periods.promise, world.start, pod)


def _edit(world: World, choose: random.Random) -> None:
    names = ["", *(pod.name for pod in world.pods)]
    before = world.lease or Lease(0)
    how = choose.randrange(5)
    if how == 0:
        world.edit(None)
        _for_a_while(world, choose, lambda: None if world.lease else world.edit(Lease(0)))
    elif how == 1:
        world.edit(before._replace(holder=choose.choice(names)))
    elif how == 2:
        world.edit(before._replace(successor=choose.choice(names)))
    elif how == 3:
        # What the protocol does not read, such as an annotation.
        world.edit(before)
    else:
        world.edit(before._replace(term=max(0, before.term + choose.choice((-2, 3)))))


def _unable(world: World, choose: random.Random) -> None:
    pod = _some(world, choose)
    if pod.able:
        pod.able = False
        world.tell(pod, Able(False))

        def mend() -> None:
            if not pod.able:
                pod.able = True
                world.tell(pod, Able(True))

        _for_a_while(world, choose, mend)


def _hold(world: World, choose: random.Random) -> None:
    world.hold(True)
    _for_a_while(world, choose, lambda: world.hold(False))


def _rewrite(world: World, choose: random.Random) -> None:
    """What the pods say of themselves in the Lease changes many times."""
    for pod in world.pods:
        for _number in range(choose.randrange(10)):
            world.at(world.time + choose.uniform(0, 2) * world.periods.promise, world.tell, pod, Rewrite())


def _hand_over(world: World, choose: random.Random) -> None:
    world.log("hand over")
    pod = world.server()
    if pod is not None:
        # Its connections take some time.
        world.tell(pod, Preparing())
        seconds = choose.choice((0.0, 0.1, 2.0)) * world.periods.promise
        world.at(world.time + seconds, world.deliver, pod, pod.incarnation, HandOver())


def _stop(world: World, choose: random.Random) -> None:
    """A pod is deleted, and another one made."""
    _replace(world, choose, _some(world, choose))


def _stop_all(world: World, choose: random.Random) -> None:
    """All at once, or nearly."""
    for pod in choose.sample(world.pods, len(world.pods)):
        world.at(world.time + choose.choice((0.0, 0.0, 0.01, 0.5)), _replace, world, choose, pod)


def _replace(world: World, choose: random.Random, pod: Pod) -> None:
    if pod.process is not None and not pod.gone and len(world.pods) < 5:
        world.log("{} is to end", pod.name)
        world.tell(pod, Ending())
        # Its connections take some time.
        incarnation = pod.incarnation
        seconds = choose.choice((0.0, 0.1, 2.0)) * world.periods.promise
        world.at(world.time + seconds, world.deliver, pod, incarnation, End())
        rate, offset = 1 + 0.005 * choose.uniform(-1, 1), choose.uniform(1000, 1e6)
        world.at(world.time + choose.choice((0.2, 2.0)), lambda: world.add(Pod(len(world.pods), rate, offset)))


FAULTS: dict[str, Callable[[World, random.Random], None]] = {
    "peers": _cut_peers,
    "API server": _cut_api,
    "slow API server": _slow_api,
    "lost answers": _lose_answers,
    "segment": _cut_segment,
    "isolated": _isolate,
    "frozen": _freeze,
    "restarted": _restart,
    "node lost": _lose_node,
    "edited": _edit,
    "unable": _unable,
    "rewritten": _rewrite,
    "on hold": _hold,
    "hand-over": _hand_over,
    "stopped": _stop,
    "all stopped": _stop_all,
}
NAMES = list(FAULTS)
