# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""From an old router to the new one that has its address: what is left to do, and what is written down for the way back.

Nothing here talks to a cluster. What is left to do follows from what is there, so that an interrupted run goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

from .._contract import names
from .._router.manifests import Manifest, selector, whole_manifests
from .._router.router import Router
from .objects import Object, selector_of
from .report import Source

# The two routers.
NEW, OLD = "new", "old"

# How the pods of an old router are stopped: by `replicas`, by a node selector that no node has, or by removing the pod.
REPLICAS, NODE_SELECTOR, REMOVAL = "replicas", "node selector", "removal"
# The operator brings back everything that it writes itself, which a node selector is not.
NO_NODE = names.ANNOTATION_PREFIX + "stopped"

# Steps, in the order in which they are taken. From the old router to the new one:
HOLD = "hold the new router"
DEPLOY = "deploy the new router"
SAVE = "save what is there"
STOP = "stop the old router"
AWAIT_END = "wait for the old pods to end"
MOVE_SERVICE = "move the Service"
LIFT = "lift the hold"
AWAIT_NEW = "wait for the new router to serve"
REMOVE_OLD = "remove the old router"
# And back:
END_NEW = "take the address from the new router"
RETURN_SERVICE = "return the Service"
START = "start the old router"
AWAIT_OLD = "wait for the old pods to run"
FORGET = "forget what was saved"


@dataclass(frozen=True)
class Maker:
    """What makes pods of an old router. `labels`: those that its pods have; of a Pod none, it is known by its name.

    `saved`: what is changed or removed by stopping it, as it was.
    """

    kind: str
    name: str
    way: str
    labels: dict[str, str] = field(default_factory=dict)
    saved: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """What is needed for the way back; it is kept in a ConfigMap from the moment before the old router is stopped.

    `service`: what the new router takes from the Service of its name; None if it has a Service of its own.
    """

    source: Source
    makers: tuple[Maker, ...]
    service: dict[str, Any] | None = None

    def to_json(self) -> str:
        """`Record.from_json(x.to_json()) == x`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Record:
        data = json.loads(text)
        return cls(Source(**data["source"]), tuple(Maker(**maker) for maker in data["makers"]), data["service"])


@dataclass(frozen=True)
class Situation:
    """What is there now.

    `present`: there is an old router, or what was saved of it. `recorded`: it has been stopped, or was about to be.
    `started`, `stopped`: everything makes its pods, or nothing does; in between, neither. `ended`: it has no pod with a network.
    `returned`, `moved`: the Service is the old router's, or the new one's; in between, neither.
    `on_hold`: the new router has been told to leave the address to others. `waiting`: it does. `serving`: it serves.
    """

    present: bool = True
    recorded: bool = False
    started: bool = True
    stopped: bool = False
    ended: bool = False
    returned: bool = True
    moved: bool = False
    on_hold: bool = False
    waiting: bool = False
    serving: bool = False


def steps(active: str, now: Situation, remove_old: bool = False) -> tuple[str, ...]:
    """What is left to do until the router `active` serves."""
    away = now.stopped and now.ended
    # While the old router has the address, the new one waits.
    hold = not now.serving and not away
    wanted: tuple[tuple[str, bool], ...]
    if active == NEW:
        wanted = (
            (HOLD, hold and not now.on_hold),
            (DEPLOY, not now.serving),
            (SAVE, not now.recorded and now.present),
            (STOP, not now.stopped),
            (AWAIT_END, not away),
            (MOVE_SERVICE, not now.moved),
            (LIFT, hold or now.on_hold),
            (AWAIT_NEW, not now.serving),
            (REMOVE_OLD, remove_old and now.present),
        )
    else:
        wanted = (
            # What was not stopped by a cut-over is not started by one.
            (HOLD, now.recorded and not now.on_hold),
            (END_NEW, now.recorded and not now.waiting),
            (RETURN_SERVICE, now.recorded and not now.returned),
            (START, now.recorded and not now.started),
            (AWAIT_OLD, now.recorded),
            (FORGET, now.recorded),
        )
    return tuple(step for step, is_left in wanted if is_left)


def record_name(router: Router) -> str:
    """The ConfigMap that has the record."""
    return f"{router.name}-cutover"


def record_manifest(router: Router, record: Record) -> Manifest:
    """Its labels are not those of a router's objects, of which `provision` removes what it does not know."""
    labels = {**selector(router.name), names.LABEL_NAME: f"{names.APP_NAME}-cutover"}
    return {"metadata": {"name": record_name(router), "labels": labels}, "data": {"record": record.to_json()}}


def read_record(config_map: Object) -> Record:
    return Record.from_json(config_map["data"]["record"])


def as_maker(item: Object, by_operator: bool = False) -> Maker:
    """How an object is stopped, with what is saved of it."""
    kind, name, spec = item["kind"], item["metadata"]["name"], item.get("spec") or {}
    if kind == "Pod":
        return Maker(kind, name, REMOVAL, saved=_again(item))
    # Of a Deployment it may have expressions too; the labels of the template match in any case.
    labels = dict(((spec.get("template") or {}).get("metadata") or {}).get("labels") or {})
    if by_operator:
        return Maker(kind, name, NODE_SELECTOR, labels, {"strategy": spec.get("strategy") or {}})
    replicas = spec.get("replicas")
    return Maker(kind, name, REPLICAS, labels, {"replicas": 1 if replicas is None else int(replicas)})


def is_stopped(maker: Maker, item: Object | None) -> bool:
    """Whether an object makes no pods. `item`: None if it is not there."""
    if maker.way == REMOVAL:
        return item is None or "deletionTimestamp" in item["metadata"]
    return item is None or stopped(maker, item) == item


def stopped(maker: Maker, item: Object) -> dict[str, Any] | None:
    """The object so that it makes no pods; None: it has to be removed."""
    if maker.way == REMOVAL:
        return None
    found = _copy(item)
    if maker.way == REPLICAS:
        found["spec"]["replicas"] = 0
    else:
        # A rolling update would begin with a new pod, and wait for it.
        found["spec"]["strategy"] = {"type": "Recreate"}
        found["spec"]["template"]["spec"].setdefault("nodeSelector", {})[NO_NODE] = "true"
    return found


def started(maker: Maker, item: Object | None) -> dict[str, Any]:
    """The object as it was before it was stopped."""
    if maker.way == REMOVAL or item is None:
        return _copy(maker.saved)
    found = _copy(item)
    if maker.way == REPLICAS:
        found["spec"]["replicas"] = maker.saved["replicas"]
    else:
        found["spec"]["strategy"] = maker.saved["strategy"]
        node_selector = found["spec"]["template"]["spec"].get("nodeSelector") or {}
        node_selector.pop(NO_NODE, None)
    return found


def shown(maker: Maker, item: Object | None) -> dict[str, Any] | None:
    """What stopping or starting changes of an object, for a difference."""
    if item is None:
        return None
    head = {"apiVersion": item.get("apiVersion"), "kind": maker.kind, "metadata": {"name": maker.name}}
    spec = item["spec"]
    if maker.way == REMOVAL:
        return {**head, "spec": spec}
    if maker.way == REPLICAS:
        return {**head, "spec": {"replicas": spec.get("replicas", 1)}}
    node_selector = spec["template"]["spec"].get("nodeSelector") or {}
    template = {"spec": {"nodeSelector": node_selector}}
    return {**head, "spec": {"strategy": spec.get("strategy") or {}, "template": template}}


def pods_of(makers: Iterable[Maker], pods: Iterable[Object]) -> list[Object]:
    """The pods of an old router that may have the address: those on a node that have not ended."""
    found = list(makers)
    return [pod for pod in pods if _has_network(pod) and any(_makes(maker, pod) for maker in found)]


def are_running(makers: Iterable[Maker], pods: Iterable[Object]) -> bool:
    """Whether each maker that is to have pods has one that is ready, and none that ends."""
    everything = list(pods)
    for maker in makers:
        own = pods_of([maker], everything)
        ready = [pod for pod in own if _is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]
        if not ready and maker.saved.get("replicas") != 0:
            return False
    return True


def saved_service(item: Object) -> dict[str, Any]:
    """What is changed of a Service that the new router takes over."""
    spec = item["spec"]
    return {
        "name": item["metadata"]["name"],
        "labels": dict(item["metadata"].get("labels") or {}),
        "selector": dict(spec.get("selector") or {}),
        "ports": list(spec.get("ports") or ()),
    }


def is_returned(item: Object, saved: Mapping[str, Any]) -> bool:
    """Whether a Service is as it was saved."""
    return returned_service(item, saved) == item


def new_service(router: Router) -> Manifest:
    """The Service of the new router with the ports of its rules."""
    return next(m for m in whole_manifests(router) if m["kind"] == "Service")


def stripped_service(item: Object, router: Router) -> dict[str, Any]:
    """The Service without its selector, and without ports that the module router does not write: those of rules come after."""
    found = _copy(item)
    found["spec"].pop("selector", None)
    written = {(names.AGENT_PORT, "TCP"), *router.service.extra_ports}
    ports = found["spec"].get("ports") or ()
    found["spec"]["ports"] = [port for port in ports if (port["port"], port.get("protocol", "TCP")) in written]
    return found


def returned_service(item: Object, saved: Mapping[str, Any]) -> dict[str, Any]:
    """The Service as it was."""
    found = _copy(item)
    found["metadata"]["labels"] = dict(saved["labels"])
    found["spec"].update(selector=dict(saved["selector"]), ports=list(saved["ports"]))
    return found


def shown_service(labels: Mapping[str, str], spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a cut-over changes of a Service, for a difference."""
    ports = sorted(spec.get("ports") or (), key=lambda port: (port["port"], port.get("protocol", "TCP")))
    kept = [{key: port[key] for key in ("name", "port", "protocol", "targetPort") if key in port} for port in ports]
    return {"labels": dict(labels), "spec": {"selector": dict(spec.get("selector") or {}), "ports": kept}}


def service_problems(item: Object, router: Router, makers: Iterable[Maker], pods: Iterable[Object]) -> list[str]:
    """Why the new router cannot take a Service over."""
    spec, wanted = item["spec"], selector_of(item)
    where = f"Service {router.namespace}/{router.service.name}"
    labels = [maker.labels or dict((maker.saved.get("metadata") or {}).get("labels") or {}) for maker in makers]
    labels += [dict(pod["metadata"].get("labels") or {}) for pod in pods]
    found = []
    if not wanted:
        found.append(f"{where} has no selector, so it is not that of the old router: give service.name another name")
    elif not any(wanted.items() <= own.items() for own in labels):
        found.append(f"{where} does not lead to the old router: give service.name another name")
    if spec.get("type", "ClusterIP") != "ClusterIP" or spec.get("externalIPs"):
        what = "externalIPs" if spec.get("externalIPs") else f"type {spec['type']}"
        message = f"{where} has {what}, and the Service of a router is reached within the cluster alone: give service.name another name"
        found.append(f"{message}, and move the clients by hand")
    if (spec.get("clusterIP") == "None") is not router.service.headless:
        there = "headless" if spec.get("clusterIP") == "None" else "not headless"
        found.append(
            f"{where} is {there}, which cannot change: set service.headless to {str(not router.service.headless).lower()}"
        )
    return found


def maker_problems(item: Object, known: Iterable[Object]) -> list[str]:
    """Why stopping an object would be in vain: something else makes it again."""
    uids = {other["metadata"].get("uid") for other in known}
    title = f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}"
    found = []
    for owner in item["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and owner.get("uid") not in uids:
            found.append(
                f"{title} is made by {owner.get('kind')} {owner.get('name')}, which would start it again: stop that by hand"
            )
    if "kubernetes.io/config.mirror" in (item["metadata"].get("annotations") or {}):
        found.append(f"{title} is a static pod of its node: remove its file there by hand")
    return found


def _copy(item: Object) -> dict[str, Any]:
    found: dict[str, Any] = deepcopy(dict(item))
    return found


def _again(pod: Object) -> dict[str, Any]:
    """The pod as it can be created again, wherever the scheduler sees fit."""
    metadata, spec = pod["metadata"], _copy(pod["spec"])
    for key in ("nodeName", "ephemeralContainers"):
        spec.pop(key, None)
    kept = {key: metadata[key] for key in ("name", "namespace", "labels", "annotations") if key in metadata}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _copy(kept), "spec": spec}


def _makes(maker: Maker, pod: Object) -> bool:
    metadata = pod["metadata"]
    if maker.way == REMOVAL:
        return bool(metadata["name"] == maker.name)
    return bool(maker.labels) and maker.labels.items() <= (metadata.get("labels") or {}).items()


def _has_network(pod: Object) -> bool:
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return bool((pod.get("spec") or {}).get("nodeName")) and not ended


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
