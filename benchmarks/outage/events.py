# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The events: what each does, what mends it, and what is promised of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from lab import IMAGE, NAMESPACE, command

from ansible_collections.egress.router.plugins.module_utils._common.concurrent import wait_until
from ansible_collections.egress.router.plugins.module_utils._drill.events import cordoned
from ansible_collections.egress.router.plugins.module_utils._kubernetes.hand_over import Server, ask
from ansible_collections.egress.router.tests.support.waiting import until

from .nodes import Nodes
from .subjects import OTHER_IMAGE, PATIENCE, Pair, Subject, await_other, await_ready

API_AWAY_SECONDS = 60


@dataclass(frozen=True)
class Scene:
    """Where an event happens, and which pod serves before."""

    nodes: Nodes
    subject: Subject
    before: Server


Cause = Callable[[Scene], AbstractContextManager[None]]


@dataclass(frozen=True)
class Event:
    """`cause`: begins it; its end is when everything is mended. `goal`: seconds without service, for 95 of 100 of them.

    `moves`: how often the address may change its node, or None if it is only shown. `planned`: established connections are kept.
    `fewer`: how many are enough, because each takes long. `plain`: whether a plain Deployment knows it too.
    """

    name: str
    cause: Cause
    goal: float | None
    moves: int | None = 1
    planned: bool = False
    fewer: int | None = None
    plain: bool = False


@contextmanager
def both_networks(scene: Scene) -> Iterator[None]:
    with scene.nodes.cut_off(scene.before.node, segment_too=True):
        await_other(scene.subject, scene.before)
        yield


@contextmanager
def cluster_network(scene: Scene) -> Iterator[None]:
    with scene.nodes.cut_off(scene.before.node, segment_too=False):
        await_other(scene.subject, scene.before)
        yield


@contextmanager
def uplink(scene: Scene) -> Iterator[None]:
    with scene.nodes.uplink_down(scene.before.node):
        await_other(scene.subject, scene.before)
        yield


@contextmanager
def deleted(scene: Scene) -> Iterator[None]:
    scene.subject.cluster.delete("Pod", NAMESPACE, scene.before.pod)
    await_other(scene.subject, scene.before)
    yield


@contextmanager
def drained(scene: Scene) -> Iterator[None]:
    def evict() -> bool:
        scene.subject.cluster.evict(NAMESPACE, scene.before.pod)
        return True

    with cordoned(scene.subject.cluster, scene.before.node):
        wait_until(evict, PATIENCE)
        await_other(scene.subject, scene.before)
    yield


@contextmanager
def new_image(scene: Scene) -> Iterator[None]:
    now = {pod["spec"]["containers"][0]["image"] for pod in scene.subject.pods()}
    image = OTHER_IMAGE if now == {IMAGE} else IMAGE
    words = ["kubectl", "-n", NAMESPACE]
    command(*words, "set", "image", f"deployment/{scene.subject.name}", f"*={image}")
    command(*words, "rollout", "status", f"deployment/{scene.subject.name}", f"--timeout={PATIENCE:g}s")
    yield


@contextmanager
def hand_over(scene: Scene) -> Iterator[None]:
    assert isinstance(scene.subject, Pair)
    ask(scene.subject.cluster, scene.subject.facts())
    await_other(scene.subject, scene.before)
    yield


@contextmanager
def killed(scene: Scene) -> Iterator[None]:
    scene.nodes.signal_agent(scene.before.node, scene.before.pod, "KILL")
    await_other(scene.subject, scene.before)
    yield
    _renew(scene, scene.before)


@contextmanager
def frozen(scene: Scene) -> Iterator[None]:
    try:
        scene.nodes.signal_agent(scene.before.node, scene.before.pod, "STOP")
        await_other(scene.subject, scene.before)
        yield
    finally:
        scene.nodes.signal_agent(scene.before.node, scene.before.pod, "CONT")


@contextmanager
def without_api(scene: Scene) -> Iterator[None]:
    with _api_away(scene):
        time.sleep(API_AWAY_SECONDS)
    yield


@contextmanager
def without_api_and_standby(scene: Scene) -> Iterator[None]:
    standby = _standby(scene)
    with _api_away(scene):
        time.sleep(API_AWAY_SECONDS / 2)
        scene.nodes.signal_agent(standby.node, standby.pod, "KILL")
        time.sleep(API_AWAY_SECONDS / 2)
    yield
    _renew(scene, standby)


@contextmanager
def standby_dies(scene: Scene) -> Iterator[None]:
    standby = _standby(scene)
    scene.subject.cluster.delete("Pod", NAMESPACE, standby.pod, grace_seconds=0)
    await_ready(scene.subject)
    yield


@contextmanager
def both_deleted(scene: Scene) -> Iterator[None]:
    for pod in scene.subject.pods():
        scene.subject.cluster.delete("Pod", NAMESPACE, pod["metadata"]["name"])
    await_ready(scene.subject)
    yield


@contextmanager
def nothing(scene: Scene) -> Iterator[None]:
    time.sleep(2)
    yield


def _renew(scene: Scene, server: Server) -> None:
    """A new pod: the kubelet restarts a container that fails again and again later and later."""
    scene.subject.cluster.delete("Pod", NAMESPACE, server.pod, grace_seconds=0)


def _standby(scene: Scene) -> Server:
    assert isinstance(scene.subject, Pair)
    facts = scene.subject.facts()
    pod = next(pod for pod in facts.pods if pod["metadata"]["name"] == facts.status.successor)
    return Server(pod["metadata"]["name"], pod["spec"]["nodeName"], 0)


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
        scene.subject.ready()
    except Exception:
        return False
    return True


EVENTS = (
    Event("nothing", nothing, None, moves=0, planned=True),
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
    Event("standby dies", standby_dies, 0.0, moves=0),
    Event(f"API server away {API_AWAY_SECONDS} s", without_api, 0.0, moves=0, fewer=5),
    Event("the same, standby's agent killed meanwhile", without_api_and_standby, None, fewer=3),
    Event("both pods deleted at once", both_deleted, None, moves=None),
)
