# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""For how long clients of a router with two pods notice what happens to it, and those of a plain Deployment beside.

A pod connects every 10 ms through the Service, by TCP and by UDP, while one event after the other happens on the lab's nodes. When
the move is planned it keeps 200 connections open besides, each used twice a second. All the time the ports of both nodes in the
egress segment are recorded: if two pods had the router's address, it would change its port more often than the event explains.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import kubernetes.config
import kubernetes.dynamic
from ansible.utils.collection_loader import _collection_finder
from lab import IMAGE, NAMESPACE, command, namespace
from report import Figure, Ratio, publish, rounds, table

_collection_finder._AnsibleCollectionFinder(os.environ["ANSIBLE_COLLECTIONS_PATH"].split(os.pathsep))._install()

from outage.busy import all_cores_busy  # noqa: E402
from outage.client import Client, client  # noqa: E402
from outage.events import EVENTS, Event, Scene  # noqa: E402
from outage.nodes import Nodes  # noqa: E402
from outage.ports import Switch, recorded  # noqa: E402
from outage.subjects import (  # noqa: E402
    OTHER_IMAGE,
    Pair,
    Plain,
    Subject,
    await_other,
    await_ready,
    await_whole,
    targets,
)

from ansible_collections.egress.router.plugins.module_utils._common.errors import EgressError  # noqa: E402
from ansible_collections.egress.router.plugins.module_utils._common.signals import unwound  # noqa: E402
from ansible_collections.egress.router.plugins.module_utils._contract.watch import Period  # noqa: E402
from ansible_collections.egress.router.plugins.module_utils._drill import judge  # noqa: E402
from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import Cluster  # noqa: E402
from ansible_collections.egress.router.plugins.module_utils._kubernetes.hand_over import ask  # noqa: E402
from ansible_collections.egress.router.plugins.module_utils._kubernetes.pods import going  # noqa: E402

ROUNDS = rounds(30)
# Each takes a minute or more, most of which is Kubernetes' own patience.
PLAIN_ROUNDS = rounds(3)
# How many pairs an event happens to at once that happens to several.
PAIRS = 3
ESTABLISHED = 200
STALL_SECONDS = 0.5
BUSY_MINUTES = float(os.environ.get("EGRESS_BENCH_BUSY_MINUTES", "10"))
# Parts of names, separated by commas; empty for all.
ONLY = [part for part in os.environ.get("EGRESS_BENCH_EVENTS", "").split(",") if part]
# What a sample raises that does not come to its end, and how many of them end an event.
FAILURES = (AssertionError, EgressError)
PATIENCE = 3


@dataclass(frozen=True)
class Sample:
    """One event. `late`: the client itself. `moves`: how often the address changed its port. `beyond`: more than the event explains.

    `gaps`: those of each protocol, for the log.
    """

    seconds: float
    late: float
    broken: int
    stall: float
    moves: int
    beyond: int
    gaps: str = ""


@dataclass
class Measured:
    """An event, what came of it, and what came of it for the plain Deployment."""

    event: Event
    pair: list[Sample] = field(default_factory=list)
    plain: list[Sample] = field(default_factory=list)

    def figures(self) -> list[Figure]:
        """Those that there are."""
        found = [self._figure("without service", "s", self.pair, "seconds")]
        found.append(self._figure("the plain Deployment without service", "s", self.plain, "seconds"))
        if self.event.planned:
            found.append(self._figure(f"broken of {ESTABLISHED}", "connections", self.pair, "broken"))
            found.append(self._figure("longest stall of an established connection", "s", self.pair, "stall"))
        return [one for one in found if one.samples]

    def ratios(self) -> list[Ratio]:
        """What is promised, and the comparison."""
        if not self.pair:
            return []
        name, goal, of = self.event.name, self.event.goal, len(self.pair)
        seconds = [one.seconds for one in self.pair]
        found = []
        if goal:
            found.append(Ratio.at_most(f"{name}: p95 of {of} / {goal:g} s", p95(seconds) / goal, 1))
        elif goal is not None:
            found.append(Ratio.at_most(f"{name}: longest of {of}, s", max(seconds), 0))
        if self.event.planned:
            broken, stall = max(one.broken for one in self.pair), max(one.stall for one in self.pair)
            found.append(Ratio.at_most(f"{name}: broken of {ESTABLISHED}, most of {of}", broken, 0))
            found.append(
                Ratio.at_most(f"{name}: longest stall of {of} / {STALL_SECONDS:g} s", stall / STALL_SECONDS, 1)
            )
        if self.plain:
            middle = statistics.median(seconds)
            plain = statistics.median(one.seconds for one in self.plain)
            if middle:
                found.append(Ratio(f"{name}: plain Deployment / pair", plain / middle))
        return found

    def row(self) -> list[str]:
        """Of the table."""
        seconds, plain = ([one.seconds for one in ones] for ones in (self.pair, self.plain))
        kept = {True: "kept", False: "NOT KEPT", None: ""}[_verdict(self.ratios())]
        stall = f"{max((one.stall for one in self.pair), default=0.0):.2f}" if self.event.planned else ""
        broken = f"{max((one.broken for one in self.pair), default=0)}" if self.event.planned else ""
        return [
            self.event.name,
            str(len(seconds)),
            *(f"{of(seconds):.2f}" if seconds else "-" for of in (statistics.median, p95, max)),
            "" if self.event.goal is None else f"{self.event.goal:g}",
            broken,
            stall,
            kept,
            str(max((one.moves for one in self.pair), default=0)),
            f"{max((one.late for one in self.pair), default=0.0):.2f}",
            f"{statistics.median(plain):.1f} ({len(plain)})" if plain else "",
        ]

    def _figure(self, name: str, unit: str, samples: list[Sample], of: str) -> Figure:
        return Figure(f"{self.event.name}: {name}", unit, [float(getattr(one, of)) for one in samples])


HEAD = [
    "seconds without service",
    "n",
    "p50",
    "p95",
    "max",
    "goal",
    "broken",
    "stall",
    "",
    "moves",
    "late",
    "plain p50 (n)",
]


def _verdict(ratios: list[Ratio]) -> bool | None:
    said = [one.kept for one in ratios if one.kept is not None]
    return all(said) if said else None


def p95(samples: list[float]) -> float:
    """What 95 of 100 do not exceed."""
    return statistics.quantiles(samples, n=20, method="inclusive")[-1] if len(samples) > 1 else samples[0]


class Bench:
    """The lab while it is broken and mended, and what was seen of it."""

    def __init__(self) -> None:
        self.nodes = Nodes()
        self.cluster = Cluster(kubernetes.dynamic.DynamicClient(kubernetes.config.new_client_from_config()))
        self.measured = [Measured(event) for event in EVENTS if not ONLY or any(part in event.name for part in ONLY)]
        self.failed: list[str] = []
        # By the pair's name.
        self.switches: dict[str, Switch] = {}
        # Changes of the port until then are explained; and those that nothing explains.
        self._marks: dict[str, int] = {}
        self.beyond = 0
        self._shared: Client | None = None
        self.take_overs: int | None = None

    def run(self) -> None:
        """Everything, in a namespace that is gone afterwards."""
        self.nodes.mend()
        with namespace(), ExitStack() as mended:
            mended.callback(self.nodes.mend)
            self.nodes.copy_image(IMAGE, OTHER_IMAGE)
            self._with_pairs()
            if any(one.event.plain for one in self.measured):
                self._with_a_plain_one()

    def _with_pairs(self) -> None:
        """All events, and a while without any."""
        pairs = [Pair(self.cluster, number) for number in range(PAIRS)]
        planned = [one for one in self.measured if one.event.planned]
        alone = [one for one in self.measured if not one.event.planned and not one.event.together]
        together = [one for one in self.measured if one.event.together]
        with ExitStack() as recording:
            self._deploy(pairs[:1], recording)
            self.nodes.before_everything("egress_router observe")
            for one in planned:
                self._measure(one.event, pairs[:1], one.pair)
            self._measure_all(alone, pairs[:1])
            if together:
                self._deploy(pairs[1:], recording)
                self._measure_all(together, pairs)
            if BUSY_MINUTES and not ONLY:
                self._busy(pairs)
        command(
            "kubectl",
            "-n",
            NAMESPACE,
            "delete",
            "deployment",
            *(pair.name for pair in pairs),
            "--ignore-not-found",
            "--wait",
        )

    def _measure_all(self, several: Sequence[Measured], pairs: Sequence[Pair]) -> None:
        """Events that a client outlives."""
        if several:
            wanted = [target for pair in pairs for target in targets(pair)]
            with client(self.nodes, self.cluster, wanted) as self._shared:
                for one in several:
                    self._measure(one.event, pairs, one.pair)
                self._shared = None

    def _deploy(self, pairs: Sequence[Pair], recording: ExitStack) -> None:
        for pair in pairs:
            pair.deploy()
            await_whole(pair)
            status = pair.facts().status
            address = status.addresses.partition("/")[0]
            self.switches[pair.name] = recording.enter_context(recorded(self.nodes, status.mac, address))
            self._moves(pair)

    def _with_a_plain_one(self) -> None:
        """The events that it knows too."""
        plain = Plain(self.cluster)
        plain.deploy()
        for one in self.measured:
            if one.event.plain:
                self._measure(one.event, [plain], one.plain, PLAIN_ROUNDS)

    def _busy(self, pairs: Sequence[Pair]) -> None:
        def count() -> int:
            for pair in pairs:
                await_whole(pair)
            return sum(pair.take_overs() for pair in pairs)

        before = count()
        with all_cores_busy():
            time.sleep(BUSY_MINUTES * 60)
        self.take_overs = count() - before
        say(f"{self.take_overs} take-overs of {len(pairs)} pairs in {BUSY_MINUTES:g} minutes with all cores busy")

    def _measure(self, event: Event, subjects: Sequence[Subject], into: list[Sample], count: int | None = None) -> None:
        """So many samples; one that fails is reported, and several in a row are enough."""
        wanted = min(count or event.fewer or ROUNDS, ROUNDS)
        failed = 0
        while len(into) < wanted:
            began = time.monotonic()
            try:
                found = self._sample(event, subjects)
            except FAILURES as why:
                failed += 1
                self.failed.append(f"{event.name}, {subjects[0].name}: {why}")
                say(self.failed[-1])
                for subject in subjects:
                    self._moves(subject)
                if failed == PATIENCE:
                    return
                continue
            failed = 0
            into += found
            took = time.monotonic() - began
            for subject, one in zip(subjects, found, strict=True):
                rest = f"{one.broken} broken, stall {one.stall:.2f} s, client late {one.late:.2f} s, {one.moves} moves"
                what = f"{event.name}, {subject.name} {len(into)}/{wanted}: {one.seconds:.3f} s"
                say(f"{what} ({one.gaps}); {rest}; took {took:.0f} s")

    def _sample(self, event: Event, subjects: Sequence[Subject]) -> list[Sample]:
        """One of each subject. Until all is as before, but for pods that end."""
        for subject in subjects:
            await_whole(subject)
            self.beyond += self._moves(subject)
        if event.together:
            self._gather(subjects)
        with self._client(subjects, event) as connects:
            connects.steady()
            number = connects.number()
            with event.cause(Scene(self.nodes, subjects, [subject.server() for subject in subjects])):
                connects.steady()
            for subject in subjects:
                await_ready(subject)
            connects.steady()
            periods = connects.since(number)
        if event.planned:
            # The client is gone, but what a kernel knows of UDP lasts for half a minute, and so do pods that relay it.
            for subject in subjects:
                for pod in filter(going, subject.pods()):
                    self.nodes.forget_connections(pod["spec"]["nodeName"], pod["metadata"]["name"])
        return [self._seen(event, subject, periods) for subject in subjects]

    def _gather(self, subjects: Sequence[Subject]) -> None:
        """The pods that serve, on one node."""
        first, *others = subjects
        node = first.server().node
        for subject in others:
            before = subject.server()
            if before.node != node and isinstance(subject, Pair):
                ask(self.cluster, subject.facts())
                await_other(subject, before)
                await_whole(subject)
                self._moves(subject)

    def _seen(self, event: Event, subject: Subject, periods: list[Period]) -> Sample:
        seen, kept, moves = judge.seen(periods, targets(subject)), judge.kept(periods), self._moves(subject)
        beyond = max(0, moves - event.moves) if event.moves is not None else 0
        self.beyond += beyond
        return Sample(
            max(one.seconds for one in seen),
            judge.late(periods),
            kept.broken if kept else 0,
            kept.stall_seconds if kept else 0.0,
            moves,
            beyond,
            ", ".join(
                f"{one.target[:3]} {' + '.join(f'{gap.seconds:.2f}' for gap in one.gaps) or 'none'}" for one in seen
            ),
        )

    @contextmanager
    def _client(self, subjects: Sequence[Subject], event: Event) -> Iterator[Client]:
        """One of its own for a planned move, so that its connections end afterwards; else the one that is there."""
        if self._shared is not None:
            yield self._shared
            return
        (subject,) = subjects
        established = ESTABLISHED if event.planned and isinstance(subject, Pair) else 0
        with client(self.nodes, self.cluster, targets(subject), established) as found:
            yield found

    def _moves(self, subject: Subject) -> int:
        """How often the pair's address has changed its port since this was asked last."""
        switch = self.switches.get(subject.name)
        if switch is None:
            return 0
        before, self._marks[subject.name] = self._marks.get(subject.name, 0), len(switch.changes)
        return self._marks[subject.name] - before

    def report(self) -> bool:
        """The tables and the JSON; whether all promises are kept."""
        measured = [one for one in self.measured if one.pair or one.plain]
        ratios = [ratio for one in measured for ratio in one.ratios()]
        if self.switches:
            said = f"in {sum(switch.frames for switch in self.switches.values())} frames of both ports"
            ratios.append(Ratio.at_most(f"moves of the address that no event explains, {said}", self.beyond, 0))
            missed = sum(switch.missed for switch in self.switches.values())
            ratios.append(Ratio.at_most("frames that were missed", missed, 0))
        if self.take_overs is not None:
            name = f"take-overs in {BUSY_MINUTES:g} minutes with all cores busy"
            ratios.append(Ratio.at_most(name, self.take_overs, 0))
        figures = [figure for one in measured for figure in one.figures()]
        try:
            publish("Failover", figures, ratios, table([HEAD, *(one.row() for one in measured)]))
        except SystemExit:
            return False
        return not self.failed


def say(text: str) -> None:
    """What has just been measured, because all of it takes an hour and more."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print, publish, however far it came."""
    bench = Bench()
    kept = False
    try:
        with unwound():
            bench.run()
    finally:
        kept = bench.report()
        for sentence in bench.failed:
            print(sentence, file=sys.stderr)
    if not kept:
        sys.exit(1)


if __name__ == "__main__":
    main()
