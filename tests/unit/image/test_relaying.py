# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both sides of relays in pods whose kernels and network are simulated: who relays through whom, and when that ends."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.egress.router.images.router.egress_router.kernel.ports import (
    Ports,
    choose,
    part_numbers,
    parts,
)
from ansible_collections.egress.router.images.router.egress_router.net import IP
from ansible_collections.egress.router.images.router.egress_router.relay import flows as relayed
from ansible_collections.egress.router.images.router.egress_router.relay import hosting, leaving
from ansible_collections.egress.router.images.router.egress_router.relay.errors import RelayError
from ansible_collections.egress.router.images.router.egress_router.relay.flows import Flows, Server, without
from ansible_collections.egress.router.images.router.egress_router.relay.hosting import Hosting
from ansible_collections.egress.router.images.router.egress_router.relay.leaving import Leaving
from ansible_collections.egress.router.images.router.egress_router.relay.messages import (
    Kind,
    Message,
    from_text,
    to_text,
)

SERVER = Server(6, ipaddress.ip_address("203.0.113.10").packed, 5432)
STEP = 0.01
SHORTEST = 0.001


class World:
    """Pods, a clock, and what is on its way between them. `loses(message)`: whether a message is lost."""

    def __init__(self, replicas: int = 2) -> None:
        self.now = 1000.0
        self.replicas = replicas
        self.pods: dict[IP, Pod] = {}
        self.under_way: list[tuple[float, IP, bytes]] = []
        self.loses: Callable[[Message], bool] = lambda message: False
        self.said: list[tuple[IP, Message]] = []
        self.term = 1

    def add(self, count: int = 0) -> Pod:
        pod = Pod(self, ipaddress.ip_address(f"192.0.2.{len(self.pods) + 1}"))
        self.pods[pod.ip] = pod
        pod.begin(count)
        return pod

    def send(self, sender: Pod, to: IP, message: Message) -> None:
        self.said.append((to, message))
        if not self.loses(message):
            self.under_way.append((self.now + 0.002, to, to_text(message)))

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            next_at = [at for at, _to, _text in self.under_way] + [pod.due for pod in self.pods.values()]
            self.now = min(until, max(self.now + SHORTEST, min(next_at)))
            arrived = [one for one in self.under_way if one[0] <= self.now]
            self.under_way = [one for one in self.under_way if one[0] > self.now]
            for _at, to, text in arrived:
                self.pods[to].hear(from_text(text))
            for pod in self.pods.values():
                pod.tick()

    def move(self, old: Pod, new: Pod) -> bool:
        """A planned move; returns whether it was prepared."""
        told: list[tuple[bool, str]] = []
        old.leaving.prepare(self.now, new.ip, self.term, lambda done, why: told.append((done, why)))
        old.hosting.moves(self.now, new.ip, self.term + 1)
        while not told:
            self.run(STEP)
        self.term += 1
        old.serve(False)
        self.run(0.02)
        new.serve(True)
        old.why = told[0][1]
        return told[0][0]


class Pod:
    """Its kernel is simulated, and both sides of relays are real."""

    def __init__(self, world: World, ip: IP) -> None:
        self.world = world
        self.ip = ip
        self.alive = True
        self.serving = False
        self.open: dict[Server, list[int]] = {}
        self.half_open: set[int] = set()
        self.near: IP | None = None
        self.waits = False
        self.far: dict[IP, dict[Server, list[int]]] = {}
        self.ports: Ports = parts(world.replicas)[0]
        self.accepting_until = 0.0
        self.accepts: dict[IP, tuple[Ports, float]] = {}
        self.refuses = ""
        self.resets = 0
        self.counter = 0
        self.chosen_soon = False
        self.why = ""
        self.begin()

    def begin(self, count: int = 0) -> None:
        """A new process, which knows what is in the kernel."""
        self.leaving = Leaving(self, self.say, self.number, lambda: self.ports, lambda: self.hosting.followed)
        self.hosting = Hosting(self, self.say, parts(self.world.replicas))
        self.leaving.adopt(self.near)
        self.hosting.adopt(self.world.now, list(self.far))
        if count:
            self.connect(count)
            self.serve(True)

    def connect(self, count: int) -> None:
        used = self.open.setdefault(SERVER, [])
        first = max([self.ports[0] - 1, *(port for port in used if port <= self.ports[1])])
        used += range(first + 1, first + 1 + count)

    def serve(self, serves: bool) -> None:
        self.serving = serves
        through = self.leaving.through
        if serves:
            # The order of run/relay.py, which test_units.py of the agent's tests proves.
            self.hosting.serves(self.world.now, serves, self.world.term)
            self.leaving.serves(self.world.now, serves)
            return
        self.hosting.serves(self.world.now, serves, self.world.term)
        if through is not None:
            self.hosting.moved(self.world.now, through, self.world.term)
        self.leaving.serves(self.world.now, serves)

    def tick(self) -> None:
        if not self.alive:
            return
        now = self.world.now
        if self.chosen_soon:
            self.chosen_soon = False
            self.hosting.ports_chosen(now)
        for side in (self.leaving, self.hosting):
            if now >= side.due:
                side.tick(now)

    @property
    def due(self) -> float:
        if not self.alive:
            return float("inf")
        return self.world.now if self.chosen_soon else min(self.leaving.due, self.hosting.due)

    def hear(self, message: Message) -> None:
        if not self.alive:
            return
        now = self.world.now
        {
            Kind.RELAY: lambda: self.hosting.relay(now, message),
            Kind.CHUNK: lambda: self.hosting.chunk(now, message),
            Kind.OVER: lambda: self.hosting.over(message),
            Kind.ANSWER: lambda: self.leaving.answer(now, message),
            Kind.MOVES: lambda: self.leaving.moves(now, message),
            Kind.MOVED: lambda: self.leaving.moved(now, message),
            Kind.SERVES: lambda: self.leaving.serving(now, message),
            Kind.FOLLOWS: lambda: self.follow(message),
        }[message.kind]()

    def follow(self, message: Message) -> None:
        self.hosting.follows(message)
        self.leaving.tick(self.world.now)

    def say(self, to: IP, kind: Kind, **fields: Any) -> None:
        self.world.send(self, to, Message(kind, str(self.ip), self.ip, self.number(), **fields))

    def number(self) -> int:
        self.counter += 1
        return self.counter

    def goes_on(self, through: Pod) -> bool:
        """Whether all connections do."""
        return self.near == through.ip and through.serving and not without(self.open, through.far.get(self.ip, {}))

    # --- Its kernel ---

    def flows(self, half_open: bool = True) -> Flows:
        ports = [port for port in self.open.get(SERVER, []) if half_open or port not in self.half_open]
        return {SERVER: ports} if ports else {}

    def parts(self, flows: Flows) -> int:
        used = [port for ports in flows.values() for port in ports]
        return part_numbers(self.world.replicas, [self.ports[0], *used]) | self.hosting.parts

    def open_near(self, holder: IP, waiting: bool = False) -> None:
        if self.refuses:
            raise RelayError(self.refuses)
        self.near, self.waits = holder, waiting

    def let_through(self) -> None:
        assert self.near is not None
        self.waits = False

    def close_near(self) -> None:
        self.near = None
        self.accepting_until = 0.0

    def accept(self, seconds: float) -> None:
        assert self.near is not None
        self.accepting_until = self.world.now + seconds

    def reset(self) -> None:
        self.resets += 1
        self.open.clear()

    def open_far(self, peer: IP) -> None:
        if self.refuses:
            raise RelayError(self.refuses)
        self.far[peer] = {}

    def close_far(self, peer: IP) -> None:
        del self.far[peer]
        self.accepts.pop(peer, None)

    def add(self, peer: IP, flows: Flows) -> None:
        for server, ports in without(flows, self.far[peer]).items():
            self.far[peer].setdefault(server, []).extend(ports)

    def accept_far(self, peer: IP, ports: Ports, seconds: float) -> bool:
        if ports == self.ports:
            self.accepts.pop(peer, None)
            return False
        self.accepts[peer] = (ports, self.world.now + seconds)
        return True

    def choose_ports(self) -> None:
        used = [port for flows in self.far.values() for ports in flows.values() for port in ports]
        closed = [ports for ports, end in self.accepts.values() if end > self.world.now]
        coming = [(ports, end) for ports, end in self.hosting.coming if end > self.world.now]
        self.ports = choose(self.world.replicas, self.ports, [*used, *self.hosting.taken], closed, coming)
        self.chosen_soon = True


@pytest.fixture
def world() -> World:
    return World()


def relaying(world: World, count: int = 10, replicas: int = 3) -> tuple[Pod, Pod, Pod]:
    """The first pod relays through the second one, which serves; the third one stands by."""
    world.replicas = replicas
    first, second, third = world.add(count), world.add(), world.add()
    assert world.move(first, second)
    world.run(1)
    return first, second, third


@pytest.mark.parametrize("count", [1, 5, 3000])
@pytest.mark.parametrize("lost", [0.0, 0.3])
def test_a_planned_move(world: World, count: int, lost: float) -> None:
    chance = random.Random(count)
    world.loses = lambda message: chance.random() < lost
    old, new = world.add(count), world.add()
    assert world.move(old, new)
    assert old.goes_on(through=new)
    assert old.ports != new.ports and not old.leaving.over
    assert old.leaving.count == count
    world.run(3 * leaving.WHOLE_SECONDS)
    assert old.goes_on(through=new) and new.hosting.guests == [old.ip] and not old.waits


@pytest.mark.parametrize(
    ("change", "heard"),
    [({}, True), ({"term": 1}, False), ({"address": ipaddress.ip_address("192.0.2.77")}, False)],
    ids=["the new holder", "an older term", "another pod"],
)
def test_packets_wait_in_the_tunnel_until_the_new_pod_serves(world: World, change: dict[str, Any], heard: bool) -> None:
    old, new = world.add(5), world.add()
    world.loses = lambda message: message.kind is Kind.SERVES
    assert world.move(old, new)
    assert old.near == new.ip and old.waits
    (said, *_again) = (message for _to, message in world.said if message.kind is Kind.SERVES)
    old.hear(said._replace(**change))
    assert old.waits != heard and old.goes_on(through=new)


def test_who_begins_to_serve_says_so_first(world: World) -> None:
    """Packets wait for that. The tunnel that it does not need any more keeps the kernel busy when it goes."""
    old, new = world.add(5), world.add()
    assert world.move(old, new)
    world.run(1)
    before = len(world.said)
    assert world.move(new, old) and old.near == new.ip
    kinds = [message.kind for _to, message in world.said[before:] if message.sender == str(old.ip)]
    assert kinds.index(Kind.SERVES) < kinds.index(Kind.OVER)
    world.run(leaving.FAREWELLS * leaving.AGAIN_SECONDS)
    assert old.near is None and new.far == {}


def test_a_farewell_does_not_end_what_begins(world: World) -> None:
    """The address goes back to a pod to which another one has just said that nothing of it is left."""
    old, new = world.add(5), world.add()
    assert world.move(old, new)
    world.run(1)
    assert world.move(new, old)
    before, began = len(world.said), world.now
    assert world.move(old, new)
    assert Kind.OVER not in [message.kind for _to, message in world.said[before:] if message.sender == str(old.ip)]
    assert world.now - began < leaving.AGAIN_SECONDS
    world.run(1)
    assert old.goes_on(through=new)


def test_the_new_pod_forgets_what_it_was_told_in_part(world: World) -> None:
    """Its agent begins again before it knows all connections."""
    old, new = world.add(3000), world.add()
    world.loses = lambda message: message.kind is Kind.CHUNK and message.body[10] == 1
    told: list[bool] = []
    old.leaving.prepare(world.now, new.ip, 1, lambda done, why: told.append(done))
    world.run(0.5)
    assert list(new.far) == [old.ip]
    new.far.clear()
    new.begin()
    world.loses = lambda message: False
    world.run(leaving.ROUND_SECONDS + 1)
    assert told == [True]
    old.serve(False)
    new.serve(True)
    assert old.goes_on(through=new)


def test_nothing_is_looked_at_while_packets_wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With thousands of connections that takes longer than the other pod's word."""
    old, new = world.add(5), world.add()
    prepared: list[bool] = []
    old.leaving.prepare(world.now, new.ip, world.term, lambda done, why: prepared.append(done))
    world.run(0.5)
    assert prepared == [True]
    looks: list[float] = []
    flows = old.flows
    monkeypatch.setattr(old, "flows", lambda half_open=True: looks.append(world.now) or flows(half_open))
    world.term += 1
    old.serve(False)
    world.run(0.3)
    assert old.waits and not looks
    new.serve(True)
    world.run(0.01)
    assert not old.waits and looks


def test_packets_do_not_wait_for_ever(world: World) -> None:
    """Everything that the new pod says is lost."""
    old, new = world.add(5), world.add()
    world.loses = lambda message: message.kind is Kind.SERVES
    assert world.move(old, new)
    began = world.now
    while old.waits:
        world.run(STEP)
    assert world.now - began < leaving.WAIT_SECONDS and old.goes_on(through=new)
    # Nor with a restarted agent.
    old.waits = True
    old.begin()
    assert not old.waits


def test_packets_do_not_wait_when_the_address_is_lost_before_the_move_is_prepared(world: World) -> None:
    old, new = world.add(5), world.add()
    world.loses = lambda message: message.kind is Kind.SERVES
    old.leaving.prepare(world.now, new.ip, 1, lambda done, why: None)
    old.serve(False)
    new.serve(True)
    world.run(leaving.WAIT_SECONDS + STEP)
    assert not old.waits and old.goes_on(through=new)


def test_what_waits_is_told_that_it_is_over(world: World) -> None:
    old, new = world.add(5), world.add()
    world.loses = lambda message: message.kind is Kind.SERVES
    assert world.move(old, new)
    waited: list[bool] = []
    old.reset = lambda: waited.append(old.waits)  # type: ignore[method-assign]
    old.leaving.end(world.now, world.now)
    assert waited == [False]


def test_a_successor_that_ends_is_not_waited_for(world: World) -> None:
    old, new = world.add(5), world.add()
    told: list[tuple[bool, str]] = []
    new.alive = False
    old.leaving.prepare(world.now, new.ip, 1, lambda done, why: told.append((done, why)))
    old.leaving.ends(world.now, ipaddress.ip_address("192.0.2.77"))
    assert told == [] and old.leaving.through == new.ip
    old.leaving.ends(world.now, new.ip)
    assert told == [(False, f"pod {new.ip} ends too")] and old.leaving.through is None


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("later", [True, False])
def test_pods_that_end_do_not_relay_through_each_other(world: World, both: bool, later: bool) -> None:
    """One that does not end itself waits for a third pod, or may be about to take the address again."""
    old, new = world.add(5), world.add()
    assert world.move(old, new)
    if both and not later:
        old.leaving.end(world.now, world.now + 60)
    old.leaving.ends(world.now, new.ip)
    if both and later:
        assert old.resets == 0
        old.leaving.end(world.now, world.now + 60)
    world.run(1)
    assert old.resets == both and old.leaving.over == both


def test_the_successor_chooses_ports_before_the_old_pod_hands_over(world: World) -> None:
    old, new = world.add(5), world.add()
    chosen: list[bool] = []
    choosing = new.choose_ports
    new.choose_ports = lambda: chosen.append(not old.serving) or choosing()  # type: ignore[method-assign, func-returns-value]
    assert world.move(old, new)
    assert chosen[0] is False and new.ports != old.ports


def test_a_connection_that_begins_between_the_list_and_the_move(world: World) -> None:
    old, new = world.add(5), world.add()
    prepared: list[bool] = []
    old.leaving.prepare(world.now, new.ip, 1, lambda done, why: prepared.append(done))
    world.run(0.5)
    assert prepared == [True]
    old.connect(3)
    world.term += 1
    old.serve(False)
    new.serve(True)
    world.run(0.05)
    assert old.goes_on(through=new)


def test_new_connections_after_the_move(world: World) -> None:
    """Relayed without a name at first, for a while, and by their name soon."""
    old, new = world.add(5), world.add()
    assert world.move(old, new)
    assert old.accepting_until > world.now + leaving.SPREAD_SECONDS
    ports, until = new.accepts[old.ip]
    assert ports == old.ports and until > world.now + leaving.SPREAD_SECONDS
    for _number in range(7):
        old.connect(2)
        world.run(leaving.SPREAD_ROUND_SECONDS + 0.2)
        assert old.goes_on(through=new)
    world.run(10)
    assert old.accepting_until < world.now and new.accepts[old.ip][1] < world.now
    assert new.accepts[old.ip][1] > old.accepting_until + 2, "named before they are not relayed any more without a name"


def test_new_connections_are_refused_if_their_ports_may_be_used(world: World) -> None:
    old, new = world.add(5), world.add()
    new.choose_ports = lambda: setattr(new, "chosen_soon", True)  # type: ignore[method-assign]
    assert world.move(old, new)
    assert old.goes_on(through=new) and old.accepting_until == 0.0 and not new.accepts


@pytest.mark.parametrize("why", ["silence", "refusal", "own", "half"])
def test_a_move_that_cannot_be_prepared(world: World, why: str) -> None:
    old, new = world.add(3000), world.add()
    if why == "refusal":
        new.refuses = "no such device"
    elif why == "own":
        old.refuses = "no such device"
    elif why == "half":
        world.loses = lambda message: message.kind is Kind.CHUNK and message.body[10] == 1
    else:
        new.alive = False
    began = world.now
    assert not world.move(old, new)
    said = {"silence": "does not answer", "half": "does not know all", "refusal": "cannot relay: no such device"}
    assert said.get(why, "no such device") in old.why
    assert world.now < began + leaving.PREPARE_SECONDS + 0.2
    world.run(leaving.FAREWELLS * leaving.AGAIN_SECONDS)
    assert old.near is None
    old.leaving.abandon()
    world.run(1)
    assert old.leaving.over and not new.far


def test_nothing_comes_of_the_move(world: World) -> None:
    old, new = world.add(5), world.add()
    prepared: list[bool] = []
    old.leaving.prepare(world.now, new.ip, 1, lambda done, why: prepared.append(done))
    world.run(0.5)
    old.leaving.stays(world.now)
    world.run(0.5)
    assert old.near is None and new.far == {} and old.serving
    assert world.move(old, new) and old.goes_on(through=new)


def test_nothing_comes_of_the_move_and_the_next_is_in_preparation(world: World) -> None:
    old, new = world.add(5), world.add()
    told: list[bool] = []
    for _number in range(2):
        old.leaving.prepare(world.now, new.ip, 1, lambda done, why: told.append(done))
        world.run(0.001)
        old.leaving.stays(world.now)
        world.run(0.5)
    assert told == [True, True] and old.near == new.ip
    old.leaving.stays(world.now)
    world.run(leaving.FAREWELLS * leaving.AGAIN_SECONDS)
    assert old.near is None
    old.leaving.prepare(world.now, new.ip, 1, lambda done, why: told.append(done))
    old.serve(False)
    old.serve(True)
    assert told == [True, True, False]


def test_the_last_connection_ends(world: World) -> None:
    old, new = world.add(5), world.add()
    assert world.move(old, new)
    old.leaving.end(world.now, world.now + 60)
    world.run(10)
    assert not old.leaving.over
    old.open.clear()
    world.run(2.5)
    assert old.leaving.over and old.near is None and new.far == {} and old.resets == 0


def test_half_open_connections_are_relayed_and_not_waited_for(world: World) -> None:
    old, new = world.add(5), world.add()
    old.half_open = set(old.open[SERVER][3:])
    assert world.move(old, new) and old.goes_on(through=new)
    world.run(10)
    assert old.goes_on(through=new)
    old.half_open.update(old.open[SERVER])
    world.run(3)
    assert old.leaving.over and new.far == {}


def test_new_connections_are_served_though_the_pod_had_none(world: World) -> None:
    old, new = world.add(), world.add()
    old.serve(True)
    assert world.move(old, new)
    old.leaving.end(world.now, world.now + 60)
    world.run(leaving.SPREAD_SECONDS - 0.5)
    assert not old.leaving.over
    old.connect(1)
    world.run(1)
    assert old.goes_on(through=new)
    old.open.clear()
    world.run(2)
    assert old.leaving.over


def test_the_time_of_a_pod_that_ends_is_over(world: World) -> None:
    old, new = world.add(5), world.add()
    assert world.move(old, new)
    old.leaving.end(world.now, world.now + 8)
    world.run(7.9)
    assert old.resets == 0 and old.goes_on(through=new)
    world.run(1)
    assert old.resets == 1 and old.leaving.over and old.near is None and new.far == {}


def test_a_pod_that_was_asked_to_hand_over_relays_for_as_long_as_connections_last(world: World) -> None:
    old, new = world.add(5), world.add()
    assert world.move(old, new)
    world.run(600)
    assert old.goes_on(through=new) and old.resets == 0


def test_a_standby_without_connections_may_end(world: World) -> None:
    world.add(5)
    standby = world.add()
    standby.leaving.end(world.now, world.now + 60)
    assert standby.leaving.over


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("lost", [0.0, 0.2])
def test_moves_in_a_row(count: int, lost: float) -> None:
    world = World(count)
    chance = random.Random(count)
    world.loses = lambda message: chance.random() < lost
    every = [world.add() for _number in range(count)]
    every[0].serve(True)
    for number in range(7):
        holder, following = every[number % count], every[(number + 1) % count]
        holder.connect(10)
        assert world.move(holder, following)
        world.run(1)
        assert following.near is None, "its own connections are direct"
        for pod in every:
            assert pod is following or not pod.open or pod.goes_on(through=following)
        assert holder.far == {}, "it does not serve"
    assert len({pod.ports for pod in every}) == count


def test_the_third_pods_ports_are_not_chosen(world: World) -> None:
    """The new pod learns of them before it serves, from the one that serves."""
    world.replicas = 3
    first, second, third = (world.add() for _number in range(3))
    first.serve(True)
    first.connect(10)
    assert world.move(first, second)
    second.connect(5)
    world.run(1)
    world.loses = lambda message: message.sender == str(first.ip)
    assert world.move(second, third)
    assert third.ports not in (first.ports, second.ports)


@pytest.mark.parametrize("known_first", ["the pod that hands over", "the pod that relays"])
def test_new_connections_at_the_pod_that_hands_over_are_relayed(world: World, known_first: str) -> None:
    """An update moves twice: the newest pod has to do without one of two parts, and thousands of connections have the other one."""
    # The cluster may still send new connections to the first one.
    first, second, third = relaying(world, 3000, replicas=2)
    second.connect(300)
    late = first if known_first == "the pod that hands over" else second
    until = world.now + 0.3
    world.loses = lambda message: message.kind is Kind.CHUNK and message.sender == str(late.ip) and world.now < until
    assert world.move(second, third)
    assert third.ports != second.ports
    assert third.accepts[second.ip][0] == second.ports and second.accepting_until > world.now
    assert first.goes_on(through=third)


@pytest.mark.parametrize("told", [True, False])
def test_another_pod_serves(world: World, told: bool) -> None:
    """The holder says so; if it cannot, the Lease does."""
    world.replicas = 3
    first, second, third = world.add(10), world.add(), world.add()
    assert world.move(first, second)
    world.run(1)
    world.loses = lambda message: message.kind in (Kind.MOVES, Kind.MOVED) and not told
    assert world.move(second, third)
    world.run(1)
    assert first.goes_on(through=third) is told
    first.leaving.holder(world.now, third.ip, world.term)
    world.run(1)
    assert first.goes_on(through=third)
    first.leaving.holder(world.now, second.ip, world.term - 1)
    world.run(1)
    assert first.goes_on(through=third), "what is older does not count"


@pytest.mark.parametrize("lost", [None, Kind.MOVED, Kind.SERVES, Kind.MOVES])
def test_who_relays_is_told_of_a_move_before_it_happens(world: World, lost: Kind | None) -> None:
    """So that its packets take the new way as soon as the new pod serves, and wait until then."""
    first, second, third = relaying(world)
    world.loses = lambda message: message.kind is lost
    done: list[bool] = []
    second.leaving.prepare(world.now, third.ip, world.term, lambda ready, why: done.append(ready))
    second.hosting.moves(world.now, third.ip, world.term + 1)
    world.run(0.1)
    assert done == ([] if lost is Kind.MOVES else [True]) and first.goes_on(through=second), "nothing changes before"
    assert (first.ip in third.far) == (lost is not Kind.MOVES)
    world.run(leaving.FOLLOW_SECONDS)
    assert done == [True], "nobody is waited for any longer"
    assert second.hosting.followed == (lost is not Kind.MOVES)
    world.term += 1
    second.serve(False)
    world.run(0.005)
    early = lost not in (Kind.MOVED, Kind.MOVES)
    assert (first.near == third.ip) == early and first.waits == early
    assert second.hosting.followed, "it is over"
    third.serve(True)
    world.run(0.005)
    assert first.goes_on(through=third) or lost is Kind.MOVES
    assert first.waits == (lost is Kind.SERVES)
    world.run(leaving.WAIT_SECONDS)
    assert first.goes_on(through=third) and not first.waits and first.ip not in second.far


@pytest.mark.parametrize("lost", [Kind.CHUNK, Kind.FOLLOWS, Kind.MOVES])
def test_a_move_waits_for_those_whose_connections_would_stand_still(world: World, lost: Kind) -> None:
    """The new pod has just started, and takes some time to know thousands of connections."""
    first, second, third = relaying(world, 3000)
    # Less than it waits in any case.
    slow_until = world.now + leaving.FOLLOW_SECONDS / 2
    sender = {Kind.MOVES: second}.get(lost, first)
    world.loses = lambda message: message.kind is lost and message.sender == str(sender.ip) and world.now < slow_until
    done: list[float] = []
    second.leaving.prepare(world.now, third.ip, world.term, lambda ready, why: done.append(world.now))
    second.hosting.moves(world.now, third.ip, world.term + 1)
    world.run(2)
    assert slow_until <= done[0] <= slow_until + leaving.CHUNKS_AGAIN_SECONDS + 0.1
    world.term += 1
    second.serve(False)
    world.run(0.005)
    third.serve(True)
    world.run(0.005)
    assert first.goes_on(through=third) and not first.waits


@pytest.mark.parametrize("lately", [True, False])
def test_a_pod_that_is_gone_keeps_nobody_waiting(world: World, lately: bool) -> None:
    first, second, third = relaying(world)
    first.alive = False
    world.run(1 if lately else hosting.LATELY_SECONDS + 1)
    began = world.now
    assert world.move(second, third)
    assert (world.now - began > leaving.FOLLOW_SECONDS) == lately
    assert world.now - began < leaving.FOLLOW_SECONDS + 0.2


def test_who_has_no_connections_any_more_keeps_nobody_waiting(world: World) -> None:
    first, second, third = relaying(world)
    world.loses = lambda message: message.kind is Kind.FOLLOWS
    done: list[float] = []
    second.leaving.prepare(world.now, third.ip, world.term, lambda ready, why: done.append(world.now))
    second.hosting.moves(world.now, third.ip, world.term + 1)
    world.run(0.2)
    assert not done
    said = next(message for _to, message in world.said if message.kind is Kind.FOLLOWS)
    for other in (said._replace(term=world.term), said._replace(holder=first.ip)):
        second.hear(other)
        assert not second.hosting.followed, "it is about another move"
    first.say(second.ip, Kind.OVER)
    world.run(leaving.AGAIN_SECONDS + 0.01)
    assert done


def test_a_move_that_was_announced_and_does_not_happen(world: World) -> None:
    first, second, third = relaying(world)
    second.hosting.moves(world.now, third.ip, world.term + 1)
    world.run(leaving.ANNOUNCED_SECONDS + hosting.KEEP_SECONDS + 1)
    assert first.goes_on(through=second) and first.ip not in third.far
    # And the next one is as any other.
    assert world.move(second, third)
    world.run(0.05)
    assert first.goes_on(through=third)


def test_a_tunnel_that_the_kernel_refuses_is_tried_again(world: World) -> None:
    first, second, third = relaying(world)
    second.hosting.moves(world.now, third.ip, world.term + 1)
    world.run(0.1)
    first.refuses = "no memory"
    with pytest.raises(RelayError, match="no memory"):
        first.leaving.holder(world.now, third.ip, world.term + 1)
    first.refuses = ""
    third.serve(True)
    world.run(leaving.ROUND_SECONDS + 0.1)
    assert first.goes_on(through=third) and not first.waits


def test_an_announcement_that_is_old(world: World) -> None:
    """Of a pod that served before: its words came late."""
    first, second, third = relaying(world)
    second.say(first.ip, Kind.MOVES, holder=third.ip, term=world.term)
    world.run(1)
    assert third.far == {}


def test_the_holder_fails(world: World) -> None:
    world.replicas = 3
    first, second, third = world.add(10), world.add(), world.add()
    assert world.move(first, second)
    second.connect(5)
    second.alive = second.serving = False
    world.run(5)
    third.serve(True)
    first.leaving.holder(world.now, third.ip, world.term + 1)
    world.run(1)
    assert first.goes_on(through=third) and first.resets == 0


def test_an_address_that_was_lost_without_a_word(world: World) -> None:
    """The pod stood still, and another one took over."""
    first, second = world.add(10), world.add()
    first.serve(False)
    second.serve(True)
    assert not first.leaving.over
    first.leaving.holder(world.now, second.ip, 2)
    world.run(1)
    assert first.goes_on(through=second)


def test_nobody_relays_what_was_lost(world: World) -> None:
    first, second = world.add(10), world.add()
    first.serve(False)
    second.alive = False
    first.leaving.holder(world.now, second.ip, 2)
    world.run(leaving.GIVE_UP_SECONDS - 1)
    assert first.resets == 0
    world.run(2)
    assert first.resets == 1 and first.near is None and first.leaving.over


@pytest.mark.parametrize("which", ["old", "new"])
def test_an_agent_is_restarted(world: World, which: str) -> None:
    old, new = world.add(3000), world.add()
    assert world.move(old, new)
    world.run(1)
    if which == "old":
        old.begin()
        assert not old.leaving.over and old.near == new.ip
        old.leaving.holder(world.now, new.ip, world.term)
        old.connect(10)
    else:
        new.begin()
        new.serve(True)
        new.far[old.ip].clear()
    world.run(2)
    assert old.goes_on(through=new) and old.leaving.count == relayed.count(old.open)


def test_a_restarted_agent_knows_no_tunnel_any_more(world: World) -> None:
    old, new = world.add(100), world.add()
    assert world.move(old, new)
    new.far.clear()
    new.begin()
    new.serve(True)
    world.run(2)
    assert old.goes_on(through=new)


def test_a_pod_that_is_gone_is_forgotten(world: World) -> None:
    old, new = world.add(5), world.add()
    assert world.move(old, new)
    world.run(1)
    old.alive = False
    world.run(leaving.SILENT_SECONDS - 5)
    assert list(new.far) == [old.ip]
    world.run(10)
    assert new.far == {} and new.hosting.guests == []


def test_a_pod_that_never_serves_relays_nothing(world: World) -> None:
    old, new = world.add(5), world.add()
    prepared: list[bool] = []
    old.leaving.prepare(world.now, new.ip, 1, lambda done, why: prepared.append(done))
    world.run(0.5)
    assert list(new.far) == [old.ip]
    old.alive = False
    world.run(hosting.KEEP_SECONDS + 1)
    assert new.far == {}


def test_more_than_can_be_relayed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relayed, "MAX_FLOWS", 100)
    monkeypatch.setattr(relayed.limited, "__defaults__", (100,))
    old, new = world.add(120), world.add()
    assert world.move(old, new)
    world.run(1)
    assert relayed.count(new.far[old.ip]) == 100
    assert (old.leaving.count, old.leaving.too_many) == (100, 20)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_lost_it_comes_right(seed: int) -> None:
    """Moves, planned or not, restarts, and a network that loses; in the end all connections go through the holder."""
    chance = random.Random(seed)
    count = chance.choice([2, 3])
    world = World(count)
    every = [world.add() for _number in range(count)]
    holder = every[0]
    holder.serve(True)
    for _number in range(12):
        part = chance.choice([0.0, 0.1, 0.5])
        world.loses = lambda message, part=part: chance.random() < part  # type: ignore[misc]
        holder.connect(chance.randrange(4))
        kind = chance.choice(["move", "loss", "restart", "wait"])
        following = chance.choice([pod for pod in every if pod is not holder])
        if kind == "move":
            if not world.move(holder, following):
                holder.open.clear()
                holder.leaving.abandon()
            holder = following
        elif kind == "loss":
            holder.serve(False)
            world.term += 1
            following.serve(True)
            holder = following
        elif kind == "restart":
            pod = chance.choice(every)
            serving = pod.serving
            pod.begin()
            if serving:
                pod.serve(True)
        for _second in range(chance.randrange(4)):
            for pod in every:
                if not pod.serving:
                    pod.leaving.holder(world.now, holder.ip, world.term)
            world.run(1)
    world.loses = lambda message: False
    for _second in range(8):
        for pod in every:
            if not pod.serving:
                pod.leaving.holder(world.now, holder.ip, world.term)
        world.run(1)
    for pod in every:
        if pod is holder:
            assert pod.near is None
        else:
            assert not pod.flows() or pod.goes_on(through=holder), f"seed {seed}"
            assert pod.far == {} or world.now, "others relay nothing for long"


def test_what_the_new_pod_knows_lasts(world: World) -> None:
    """Its kernel forgets connections that are not named again within SILENT_SECONDS."""
    old, new = world.add(5), world.add()
    assert world.move(old, new)
    world.run(1)
    world.said.clear()
    world.run(leaving.SILENT_SECONDS - 1)
    named = [message for _to, message in world.said if message.kind is Kind.CHUNK]
    assert len(named) >= 2


def test_a_move_is_not_prepared_before_ports_are_chosen(world: World) -> None:
    old, new = world.add(5), world.add()
    new.choose_ports = lambda: None  # type: ignore[method-assign]
    assert not world.move(old, new)
    assert "does not know all connections" in old.why
