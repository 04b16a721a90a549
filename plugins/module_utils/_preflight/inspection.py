# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Inspects nodes from the inside: one short-lived pod on each, all at once, removed in any case.

Each pod is on the network of its node, and sees its interfaces and segments. It changes nothing there: it can send (ARP and
neighbour discovery) and ask nftables, and it reads the directory of the CNI plugins. It has no token, no writable file
system and no other host path.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .._common.concurrent import each, wait_until
from .._common.errors import EgressError, Forbidden, NotReady
from .._contract import names
from .._contract.inspect import VARIABLE, Answer, AnswerError, EgressAddress, Question
from .._kubernetes.cluster import Cluster
from .._kubernetes.pods import GRACE_SECONDS, container_problem, pod_problem, waits_for_sandbox
from .._router.router import Router
from .checks.leftovers import COMPONENT
from .facts import Inspection

# Seconds for probing the segment.
PROBE_SECONDS = 2
_LABELS = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_COMPONENT: COMPONENT}
_NODE_LABEL = "egress.router/node"
# What the kubelet says of a host path that does not exist.
_NO_DIRECTORY = "hostPath type check failed"
_BACK_OFF = re.compile(r'ImagePullBackOff: Back-off pulling image "[^"]*": ')
# On OpenShift /opt is read-only, so the CNI plugins are elsewhere.
_CNI_DIRECTORY, _CNI_DIRECTORY_OPENSHIFT = "/opt/cni/bin", "/var/lib/cni/bin"
_OPENSHIFT_LABEL = "node.openshift.io/os_id"
_PRIVILEGED = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "warn", "audit")}


@dataclass(frozen=True)
class PodOptions:
    """How the pods run. `namespace` empty: in one that is created for them and removed with them."""

    namespace: str = ""
    cni_directory: str = "/opt/cni/bin"
    wait_timeout: int = 120


@dataclass
class _Inspector:
    """The pod of one node. `object`: as it was read last. `problem`: what keeps it from ending, `since` when.

    `no_directory`: the kubelet does not find the directory of the CNI plugins.
    """

    node: str
    images: list[str]
    pod: str = ""
    object: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    since: float = 0.0
    no_directory: bool = False


def inspect(cluster: Cluster, wanted: dict[str, list[Router]], options: PodOptions) -> dict[str, Inspection]:
    """What is seen on each node for the routers that can run there. Forbidden if no pod can be created at all."""
    if not wanted:
        return {}
    with _terminated_properly(), _namespace(cluster, options) as namespace:
        inspectors = each(lambda item: _start(cluster, namespace, options, *item), wanted.items())
        started = [inspector for inspector in inspectors if inspector.pod]
        try:
            _wait(cluster, namespace, started, options.wait_timeout)
            found = each(lambda inspector: _result(cluster, namespace, inspector), inspectors)
        finally:
            # A namespace of our own is removed with its pods.
            if options.namespace:
                each(lambda inspector: cluster.delete("Pod", namespace, inspector.pod, 0), started)
    return {inspector.node: inspection for inspector, inspection in zip(inspectors, found, strict=True)}


def cni_directory(nodes: Iterable[Mapping[str, Any]]) -> str:
    """Where the nodes usually have their CNI plugins."""
    openshift = any(_OPENSHIFT_LABEL in (node["metadata"].get("labels") or {}) for node in nodes)
    return _CNI_DIRECTORY_OPENSHIFT if openshift else _CNI_DIRECTORY


def manifest(node: str, routers: list[Router], options: PodOptions) -> dict[str, Any]:
    """The pod for one node: the first image inspects it, the others only prove that they start."""
    images = _images(routers)
    inspecting = _container(_name(0), images[0], ["inspect"])
    inspecting["env"] = [
        {"name": VARIABLE, "value": question(routers, options.cni_directory).to_json()},
        {"name": "NODE_NAME", "value": node},
    ]
    inspecting["volumeMounts"] = [{"name": "cni", "mountPath": options.cni_directory, "readOnly": True}]
    # To send raw frames, and to ask nftables whether it accepts the router's table.
    inspecting["securityContext"].update(runAsUser=0, capabilities={"drop": ["ALL"], "add": ["NET_RAW", "NET_ADMIN"]})
    others = [_container(_name(number), image, ["--version"]) for number, image in enumerate(images) if number]
    spec = {
        "activeDeadlineSeconds": options.wait_timeout,
        "automountServiceAccountToken": False,
        "containers": [inspecting, *others],
        "enableServiceLinks": False,
        "hostNetwork": True,
        # A namespace of the pods' own has none of them.
        "imagePullSecrets": [{"name": name} for name in _pull_secrets(routers)] if options.namespace else [],
        # Without the scheduler: this node has to be inspected, even if it is cordoned or tainted.
        "nodeName": node,
        "restartPolicy": "Never",
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 0,
        "tolerations": [{"operator": "Exists"}],
        # With the type, because some runtimes create a missing directory.
        "volumes": [{"name": "cni", "hostPath": {"path": options.cni_directory, "type": "Directory"}}],
    }
    metadata = {"generateName": "egress-preflight-", "labels": _LABELS, "annotations": {_NODE_LABEL: node}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def question(routers: Iterable[Router], cni_directory: str) -> Question:
    """What `egress-router inspect` is asked on a node."""
    routers = list(routers)
    return Question(
        masters=tuple(dict.fromkeys(router.master for router in routers)),
        targets=tuple(
            EgressAddress(
                address.ip, router.mac, address.gateway or None, router.master, _route_gateways(router, address.family)
            )
            for router in routers
            for address in router.addresses
        ),
        timeout=PROBE_SECONDS,
        cni_directory=cni_directory,
    )


def _route_gateways(router: Router, family: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(route.gateway for route in router.routes if route.family == family))


def _images(routers: Iterable[Router]) -> list[str]:
    return list(dict.fromkeys(router.image for router in routers))


def _pull_secrets(routers: Iterable[Router]) -> list[str]:
    return list(dict.fromkeys(name for router in routers for name in router.image_pull_secrets))


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


def _start(cluster: Cluster, namespace: str, options: PodOptions, node: str, routers: list[Router]) -> _Inspector:
    inspector = _Inspector(node, _images(routers), since=time.monotonic())
    try:
        inspector.pod = cluster.create("Pod", namespace, manifest(node, routers, options))["metadata"]["name"]
    except EgressError as error:
        inspector.problem = str(error)
    return inspector


def _wait(cluster: Cluster, namespace: str, inspectors: list[_Inspector], seconds: float) -> None:
    """Waits until every pod has ended, or something keeps it from ending that does not pass by itself."""

    def check() -> bool | None:
        pods = {pod["metadata"]["name"]: pod for pod in _pods(cluster, namespace)}
        events = _events(cluster, namespace, pods.values())
        for inspector in inspectors:
            inspector.object = pods.get(inspector.pod, inspector.object)
            own = [event for event in events if event["involvedObject"].get("name") == inspector.pod]
            inspector.no_directory |= any(_NO_DIRECTORY in (event.get("message") or "") for event in own)
            waits = inspector.object and not _ended(inspector.object)
            problem = pod_problem(inspector.object, own) if waits else ""
            if not problem or not inspector.problem:
                inspector.since = time.monotonic()
            inspector.problem = problem
        return True if all(_ended(inspector.object) or _is_stuck(inspector) for inspector in inspectors) else None

    wait_until(check, seconds, interval=0.2)


def _pods(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    return cluster.find("Pod", namespace, labels=",".join(f"{key}={value}" for key, value in _LABELS.items()))


def _events(cluster: Cluster, namespace: str, pods: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Read if only events can explain a pod, and if the identity may read them."""
    if not any(waits_for_sandbox(pod) for pod in pods):
        return []
    try:
        return cluster.find("Event", namespace, fields="type=Warning")
    except Forbidden:
        return []


def _is_stuck(inspector: _Inspector) -> bool:
    """Whether there is nothing to wait for: what may pass by itself gets some time, a missing directory does not."""
    return inspector.no_directory or (bool(inspector.problem) and time.monotonic() - inspector.since >= GRACE_SECONDS)


def _ended(pod: dict[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _result(cluster: Cluster, namespace: str, inspector: _Inspector) -> Inspection:
    if not inspector.pod:
        return Inspection(problem=inspector.problem)
    status = inspector.object.get("status") or {}
    containers = {item["name"]: item for item in status.get("containerStatuses") or ()}
    images = {}
    for number, image in enumerate(inspector.images):
        reason = _image_problem(containers.get(_name(number)) or {}, inspects=number == 0)
        if reason:
            images[image] = reason
    first = inspector.images[0]
    if first in images:
        return Inspection(images=images, problem=f"image {first} does not start there")
    if not _ending(containers.get(_name(0)) or {}):
        if inspector.no_directory:
            return Inspection(
                images=images, problem="the directory of the CNI plugins does not exist", no_cni_directory=True
            )
        problem = inspector.problem or pod_problem(inspector.object) or "its pod did not finish in time"
        return Inspection(images=images, problem=problem)
    try:
        return Inspection(Answer.from_json(cluster.logs(namespace, inspector.pod, container=_name(0))), images)
    except AnswerError as error:
        return Inspection(images=images, problem=f"image {first}: {error}")
    except EgressError as error:
        return Inspection(images=images, problem=str(error))


def _image_problem(container: dict[str, Any], inspects: bool) -> str:
    """Why the image of a container does not start. `inspects`: what happens after that, its answer tells."""
    waits = container_problem(container)
    if waits:
        # The kubelet says the same with and without this, depending on the moment.
        return _BACK_OFF.sub("", waits)
    ended = _ending(container)
    if ended.get("reason") in ("StartError", "ContainerCannotRun") or (not inspects and ended.get("exitCode")):
        said = (ended.get("message") or "").strip()
        return f"{ended.get('reason')}: exit code {ended.get('exitCode')}, {said or 'no message'}"
    return ""


def _ending(container: dict[str, Any]) -> dict[str, Any]:
    return (container.get("state") or {}).get("terminated") or {}


@contextmanager
def _namespace(cluster: Cluster, options: PodOptions) -> Generator[str, None, None]:
    """The namespace of the pods. The host network needs Pod Security level privileged, which the routers' should not have."""
    if options.namespace:
        yield options.namespace
        return
    metadata = {"generateName": "egress-preflight-", "labels": {**_LABELS, **_PRIVILEGED}}
    created = cluster.create("Namespace", None, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    name = created["metadata"]["name"]
    try:
        yield name
    finally:
        try:
            cluster.delete("Namespace", None, name)
        except EgressError as error:
            raise NotReady(f"cannot remove namespace {name} of the node checks, remove it yourself: {error}") from error


@contextmanager
def _terminated_properly() -> Generator[None, None, None]:
    """SIGTERM, with which AWX cancels a job, ends the module like an exception: what was created is removed."""

    def leave(*_unused: object) -> None:
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
