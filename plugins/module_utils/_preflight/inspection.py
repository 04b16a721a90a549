# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Looks at nodes from the inside: one short-lived pod on each, all at once, removed in every case.

Each pod is on its node's network and sees its interfaces and its segments. It changes nothing there: it may send (ARP and
neighbour discovery) and ask nftables, reads the directory of the CNI plugins, and has no token, no writable file system
and no other host path.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .._common.concurrent import each, wait_until
from .._common.errors import EgressError, Forbidden, NotReady
from .._contract import names
from .._kubernetes.cluster import Cluster
from .._kubernetes.pods import GRACE_SECONDS, pod_problem, waits_for_sandbox
from .._router.router import Router
from .checks.leftovers import COMPONENT
from .facts import Inspection
from .node_facts import AnswerError, read_answer

# Seconds in which the wire is asked.
PROBE_SECONDS = 2
_LABELS = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_COMPONENT: COMPONENT}
_NODE_LABEL = "egress.router/node"
# The kubelet's words for a host path that is not there.
_NO_DIRECTORY = "hostPath type check failed"
_BACK_OFF = re.compile(r'ImagePullBackOff: Back-off pulling image "[^"]*": ')
_PRIVILEGED = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "warn", "audit")}


@dataclass(frozen=True)
class Place:
    """Where the pods run. `namespace` empty: in one that is made for them and removed with them."""

    namespace: str = ""
    cni_directory: str = "/opt/cni/bin"
    seconds: int = 120


@dataclass
class _Look:
    """The pod of one node, as it was seen last. `problem`: what keeps it from ending, `since` when."""

    node: str
    images: list[str]
    pod: str = ""
    seen: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    since: float = 0.0


def inspect(cluster: Cluster, wanted: dict[str, list[Router]], place: Place) -> dict[str, Inspection]:
    """What there is to see on each node for the routers that may run there. Forbidden if no pod may be made at all."""
    if not wanted:
        return {}
    with _terminated_properly(), _namespace(cluster, place) as namespace:
        looks = each(lambda item: _start(cluster, namespace, place, *item), wanted.items())
        try:
            _wait(cluster, namespace, [look for look in looks if look.pod], place.seconds)
            found = each(lambda look: _result(cluster, namespace, look), looks)
        finally:
            # A namespace of our own takes its pods along.
            if place.namespace:
                each(lambda look: cluster.delete("Pod", namespace, look.pod, 0), [look for look in looks if look.pod])
    return {look.node: inspection for look, inspection in zip(looks, found, strict=True)}


def manifest(node: str, routers: list[Router], place: Place) -> dict[str, Any]:
    """The pod for one node: the first image looks at it, any further image only shows that it starts."""
    images = _images(routers)
    looking = _container(_name(0), images[0], ["inspect"])
    looking["env"] = [
        {"name": "EGRESS_INSPECT", "value": json.dumps(question(routers, place))},
        {"name": "NODE_NAME", "value": node},
    ]
    looking["volumeMounts"] = [{"name": "cni", "mountPath": place.cni_directory, "readOnly": True}]
    # Sending raw frames, and asking nftables whether it would take the router's table.
    looking["securityContext"].update(runAsUser=0, capabilities={"drop": ["ALL"], "add": ["NET_RAW", "NET_ADMIN"]})
    others = [_container(_name(number), image, ["--version"]) for number, image in enumerate(images) if number]
    spec = {
        "activeDeadlineSeconds": place.seconds,
        "automountServiceAccountToken": False,
        "containers": [looking, *others],
        "enableServiceLinks": False,
        "hostNetwork": True,
        # Past the scheduler, because it is this node that has to be seen, cordoned or tainted as it may be.
        "nodeName": node,
        "restartPolicy": "Never",
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 0,
        "tolerations": [{"operator": "Exists"}],
        # The type is checked, because some runtimes make a directory that is missing.
        "volumes": [{"name": "cni", "hostPath": {"path": place.cni_directory, "type": "Directory"}}],
    }
    metadata = {"generateName": "egress-preflight-", "labels": _LABELS, "annotations": {_NODE_LABEL: node}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def question(routers: Iterable[Router], place: Place) -> dict[str, Any]:
    """What `egress-router inspect` is asked on a node."""
    routers = list(routers)
    targets = [
        {
            "ip": address.ip,
            "mac": router.mac,
            "gateway": address.gateway,
            "master": router.master,
        }
        for router in routers
        for address in router.addresses
    ]
    return {
        "masters": list(dict.fromkeys(router.master for router in routers)),
        "targets": targets,
        "timeout": PROBE_SECONDS,
        "cni_directory": place.cni_directory,
    }


def _images(routers: Iterable[Router]) -> list[str]:
    return list(dict.fromkeys(router.image for router in routers))


def _name(number: int) -> str:
    """The container of a pod's image."""
    return f"image-{number}" if number else "inspect"


def _container(name: str, image: str, arguments: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "command": ["egress-router", *arguments],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _start(cluster: Cluster, namespace: str, place: Place, node: str, routers: list[Router]) -> _Look:
    look = _Look(node, _images(routers), since=time.monotonic())
    try:
        look.pod = cluster.create("Pod", namespace, manifest(node, routers, place))["metadata"]["name"]
    except EgressError as error:
        look.problem = str(error)
    return look


def _wait(cluster: Cluster, namespace: str, looks: list[_Look], seconds: float) -> None:
    """Until every pod has ended, or is kept from that by something that does not pass."""

    def check() -> bool | None:
        pods = {pod["metadata"]["name"]: pod for pod in _pods(cluster, namespace)}
        events = _events(cluster, namespace, pods.values())
        for look in looks:
            look.seen = pods.get(look.pod, look.seen)
            own = [event for event in events if event["involvedObject"].get("name") == look.pod]
            problem = "" if _ended(look.seen) else pod_problem(look.seen, own) if look.seen else ""
            if not problem or not look.problem:
                look.since = time.monotonic()
            look.problem = problem
        return True if all(_ended(look.seen) or _hopeless(look) for look in looks) else None

    wait_until(check, seconds, interval=0.2)


def _pods(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    return cluster.find("Pod", namespace, labels=",".join(f"{key}={value}" for key, value in _LABELS.items()))


def _events(cluster: Cluster, namespace: str, pods: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Asked for when only events can explain a pod. Whoever may not read events does without."""
    if not any(waits_for_sandbox(pod) for pod in pods):
        return []
    try:
        return cluster.find("Event", namespace, fields="type=Warning")
    except Forbidden:
        return []


def _hopeless(look: _Look) -> bool:
    return bool(look.problem) and time.monotonic() - look.since >= GRACE_SECONDS


def _ended(pod: dict[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _result(cluster: Cluster, namespace: str, look: _Look) -> Inspection:
    if not look.pod:
        return Inspection(problem=look.problem)
    status = look.seen.get("status") or {}
    containers = {item["name"]: item for item in status.get("containerStatuses") or ()}
    images = {}
    for number, image in enumerate(look.images):
        reason = _image_problem(look.pod, containers.get(_name(number)) or {}, looks=number == 0)
        if reason:
            images[image] = reason
    if look.images[0] in images:
        return Inspection(images=images, problem=f"image {look.images[0]} does not start there")
    if not _ending(containers.get(_name(0)) or {}):
        problem = look.problem or pod_problem(look.seen) or "its pod did not end in time"
        return Inspection(images=images, problem=problem, no_cni_directory=_NO_DIRECTORY in problem)
    try:
        return Inspection(read_answer(cluster.logs(namespace, look.pod, container=_name(0))), images)
    except AnswerError as error:
        return Inspection(images=images, problem=f"image {look.images[0]}: {error}")
    except EgressError as error:
        return Inspection(images=images, problem=str(error))


def _image_problem(pod: str, container: dict[str, Any], looks: bool) -> str:
    """Why the image of a container does not start; what it does after that, the one that `looks` says in its answer."""
    waits = pod_problem({"metadata": {"name": pod}, "status": {"containerStatuses": [container]}})
    if waits:
        # The kubelet says the same with and without this, as the moment has it.
        return _BACK_OFF.sub("", waits.partition(": ")[2])
    ended = _ending(container)
    if ended.get("reason") in ("StartError", "ContainerCannotRun") or (not looks and ended.get("exitCode")):
        said = (ended.get("message") or "").strip()
        return f"{ended.get('reason')}: exit code {ended.get('exitCode')}, {said or 'no message'}"
    return ""


def _ending(container: dict[str, Any]) -> dict[str, Any]:
    return (container.get("state") or {}).get("terminated") or {}


@contextmanager
def _namespace(cluster: Cluster, place: Place) -> Generator[str, None, None]:
    """The namespace of the pods. hostNetwork takes Pod Security's level privileged, which no namespace in use should have."""
    if place.namespace:
        yield place.namespace
        return
    metadata = {"generateName": "egress-preflight-", "labels": {**_LABELS, **_PRIVILEGED}}
    made = cluster.create("Namespace", None, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    name = made["metadata"]["name"]
    try:
        yield name
    finally:
        try:
            cluster.delete("Namespace", None, name)
        except EgressError as error:
            raise NotReady(f"namespace {name} of the node checks could not be removed: {error}") from error


@contextmanager
def _terminated_properly() -> Generator[None, None, None]:
    """SIGTERM, by which AWX cancels a job, ends the module as an exception does: what was made is removed."""

    def leave(*_unused: object) -> None:
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
