# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The events: what each does, what mends it, and what is promised of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

from lab import IMAGE, NAMESPACE, command

from ansible_collections.egress.router.plugins.module_utils._common.concurrent import wait_until
from ansible_collections.egress.router.plugins.module_utils._drill.events import cordoned
from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.egress.router.plugins.module_utils._kubernetes.hand_over import Server, ask
from ansible_collections.egress.router.tests.support.waiting import until

from .nodes import Nodes
from .subjects import OTHER_IMAGE, PATIENCE, Pair, Subject, await_other, await_ready

API_AWAY_SECONDS = 60


@dataclass(frozen=True)
class Scene:
    """Where an event happens, to all subjects at once. `befores`: which pod of each serves before."""

    nodes: Nodes
    subjects: Sequence[Subject]
    befores: Sequence[Server]

    @property
    def node(self) -> str:
        """Of the pods that serve, which are on one."""
        (node,) = {before.node for before in self.befores}
        return node

    @property
    def cluster(self) -> Cluster:
        """Theirs."""
        return self.subjects[0].cluster

    def await_others(self) -> None:
        """Until another pod of each serves."""
        for subject, before in zip(self.subjects, self.befores, strict=True):
            await_other(subject, before)

    def await_ready(self) -> None:
        """Until each is as it was at first, but for pods that end."""
        for subject in self.subjects:
            await_ready(subject)


Cause = Callable[[Scene], AbstractContextManager[None]]


@dataclass(frozen=True)
class Event:
    """`cause`: begins it; its end is when everything is mended. `goal`: seconds without service, for 95 of 100 of them.

    `moves`: how often the address may change its node, or None if it is only shown. `planned`: established connections are kept.
    `fewer`: how many are enough, because each takes long. `plain`: whether a plain Deployment knows it too. `together`: whether it
    happens to several pairs at once, each of which is a sample; the pods that serve are on one node then.
    """

    name: str
    cause: Cause
    goal: float | None
    moves: int | None = 1
    planned: bool = False
    fewer: int | None = None
    plain: bool = False
    together: bool = False


@contextmanager
def both_networks(scene: Scene) -> Iterator[None]:
    with scene.nodes.cut_off(scene.node, segment_too=True):
        scene.await_others()
        yield


@contextmanager
def cluster_network(scene: Scene) -> Iterator[None]:
    with scene.nodes.cut_off(scene.node, segment_too=False):
        scene.await_others()
        yield


@contextmanager
def uplink(scene: Scene) -> Iterator[None]:
    with scene.nodes.uplink_down(scene.node):
        scene.await_others()
        yield


@contextmanager
def deleted(scene: Scene) -> Iterator[None]:
    for before in scene.befores:
        scene.cluster.delete("Pod", NAMESPACE, before.pod)
    scene.await_others()
    yield


@contextmanager
def drained(scene: Scene) -> Iterator[None]:
    def evict(pod: str) -> bool:
        scene.cluster.evict(NAMESPACE, pod)
        return True

    with cordoned(scene.cluster, scene.node):
        for before in scene.befores:
            wait_until(partial(evict, before.pod), PATIENCE)
        scene.await_others()
    yield


@contextmanager
def new_image(scene: Scene) -> Iterator[None]:
    words = ["kubectl", "-n", NAMESPACE]
    for subject in scene.subjects:
        now = {pod["spec"]["containers"][0]["image"] for pod in subject.pods()}
        image = OTHER_IMAGE if now == {IMAGE} else IMAGE
        command(*words, "set", "image", f"deployment/{subject.name}", f"*={image}")
        command(*words, "rollout", "status", f"deployment/{subject.name}", f"--timeout={PATIENCE:g}s")
    yield


@contextmanager
def hand_over(scene: Scene) -> Iterator[None]:
    for subject in scene.subjects:
        assert isinstance(subject, Pair)
        ask(subject.cluster, subject.facts())
    scene.await_others()
    yield


@contextmanager
def killed(scene: Scene) -> Iterator[None]:
    for before in scene.befores:
        scene.nodes.signal_agent(before.node, before.pod, "KILL")
    scene.await_others()
    yield
    _renew(scene, scene.befores)


@contextmanager
def frozen(scene: Scene) -> Iterator[None]:
    try:
        for before in scene.befores:
            scene.nodes.signal_agent(before.node, before.pod, "STOP")
        scene.await_others()
        yield
    finally:
        for before in scene.befores:
            scene.nodes.signal_agent(before.node, before.pod, "CONT")


@contextmanager
def without_api(scene: Scene) -> Iterator[None]:
    with _api_away(scene):
        time.sleep(API_AWAY_SECONDS)
    yield


@contextmanager
def without_api_and_standby(scene: Scene) -> Iterator[None]:
    standbys = _standbys(scene)
    with _api_away(scene):
        time.sleep(API_AWAY_SECONDS / 2)
        for standby in standbys:
            scene.nodes.signal_agent(standby.node, standby.pod, "KILL")
        time.sleep(API_AWAY_SECONDS / 2)
    yield
    _renew(scene, standbys)


@contextmanager
def standby_dies(scene: Scene) -> Iterator[None]:
    _renew(scene, _standbys(scene))
    scene.await_ready()
    yield


@contextmanager
def both_deleted(scene: Scene) -> Iterator[None]:
    for pod in [pod for subject in scene.subjects for pod in subject.pods()]:
        scene.cluster.delete("Pod", NAMESPACE, pod["metadata"]["name"])
    scene.await_ready()
    yield


@contextmanager
def nothing(scene: Scene) -> Iterator[None]:
    time.sleep(2)
    yield


def _renew(scene: Scene, servers: Iterable[Server]) -> None:
    """New pods: the kubelet restarts a container that fails again and again later and later."""
    for server in servers:
        scene.cluster.delete("Pod", NAMESPACE, server.pod, grace_seconds=0)


def _standbys(scene: Scene) -> list[Server]:
    found = []
    for subject in scene.subjects:
        assert isinstance(subject, Pair)
        facts = subject.facts()
        pod = next(pod for pod in facts.pods if pod["metadata"]["name"] == facts.status.successor)
        found.append(Server(pod["metadata"]["name"], pod["spec"]["nodeName"], 0))
    return found


@contextmanager
def _api_away(scene: Scene) -> Iterator[None]:
    try:
        scene.nodes.signal_api_server("STOP")
        yield
    finally:
        scene.nodes.signal_api_server("CONT")
    until(lambda: _answers(scene), "the API server answers", PATIENCE, 1)


def _answers(scene: Scene) -> bool:
    try:
        scene.subjects[0].ready()
    except Exception:
        return False
    return True


EVENTS = (
    Event("nothing", nothing, None, moves=0, planned=True, fewer=10),
    Event("hand-over asked for", hand_over, 0.2, planned=True),
    Event("serving pod deleted", deleted, 0.2, planned=True, plain=True),
    Event("node drained", drained, 0.2, planned=True, plain=True),
    # Which pod is replaced first is the Deployment's choice.
    Event("new image", new_image, 0.2, moves=2, planned=True, plain=True),
    Event("node cut off, both networks", both_networks, 1.0, plain=True),
    Event("node cut off, cluster network alone", cluster_network, 1.0, plain=True),
    Event("egress uplink down", uplink, 2.0),
    Event("agent SIGKILL", killed, 1.0),
    Event("agent SIGSTOP", frozen, 1.0),
    Event("standby dies", standby_dies, 0.0, moves=0, together=True),
    Event(f"API server away {API_AWAY_SECONDS} s", without_api, 0.0, moves=0, together=True),
    Event("the same, standby's agent killed meanwhile", without_api_and_standby, None, fewer=6, together=True),
    # kube-proxy changes a node's Services once a second at most: the first router's at once, the others' the next time.
    Event("node cut off, both networks, three routers on it", both_networks, None, fewer=12, together=True),
    Event("both pods deleted at once", both_deleted, None, moves=None),
)
