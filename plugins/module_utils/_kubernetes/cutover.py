# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The requests of a cut-over. Which of them are made, and in which order, is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .._common.concurrent import wait_until
from .._common.errors import Conflict, NotFound, NotReady
from .._contract import names
from .._router.manifests import manifests
from .._router.own import LABEL_SERVICE_NAME
from .._router.router import Router
from .cluster import Cluster
from .selection import router_of
from .service_ports import Ports

MANAGER = names.FIELD_MANAGER_CUTOVER
# Kubernetes' own controllers, which write the endpoints of a Service with a selector.
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
# What is left to a pod that is to end: nobody gets a connection through it any more.
GRACE_SECONDS = 1
# Somebody else, such as a controller, may write an object in between.
_ATTEMPTS = 10
# While clients wait.
_INTERVAL = 0.1

Change = Callable[[dict[str, Any]], "dict[str, Any] | None"]


def get(cluster: Cluster, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
    """An object; None if there is none."""
    with suppress(NotFound):
        return cluster.get(kind, namespace, name)
    return None


def change(cluster: Cluster, kind: str, namespace: str, name: str, make: Change) -> None:
    """Makes of an object what `make` returns for it; None removes it. Nothing happens if it is not there."""
    for attempt in range(_ATTEMPTS):
        item = get(cluster, kind, namespace, name)
        if item is None:
            return
        wanted = make(item)
        if wanted == item:
            return
        try:
            if wanted is None:
                cluster.delete(
                    kind, namespace, name, grace_seconds=GRACE_SECONDS, uid=item["metadata"].get("uid") or ""
                )
            else:
                cluster.replace(kind, {"kind": kind, **wanted}, MANAGER)
            return
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise


def hold(cluster: Cluster, router: Router, old: str) -> None:
    """Has the router leave its address to `old`. Its Lease is made, if there is none, before there is a pod."""
    there = get(cluster, "Lease", router.namespace, router.name)
    if there is not None and router_of(there) != router.key:
        raise Conflict(
            f"router {router.id}: there is a Lease of its name that is not its own: give the router another name"
        )
    if there is None:
        (lease,) = (m for m in manifests(router) if m["kind"] == "Lease")
        cluster.apply("Lease", router.namespace, router.name, lease, names.FIELD_MANAGER_DEPLOY)
    _apply_hold(cluster, router, {names.HOLD: old})


def lift(cluster: Cluster, router: Router) -> None:
    """Has the router take its address."""
    _apply_hold(cluster, router, {})


def _apply_hold(cluster: Cluster, router: Router, annotations: dict[str, str]) -> None:
    metadata = {"name": router.name, "annotations": annotations}
    cluster.apply("Lease", router.namespace, router.name, {"metadata": metadata}, MANAGER, force=True)


def pods(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    """The pods of a namespace that are none of our routers."""
    found = cluster.find("Pod", namespace)
    return [
        pod for pod in found if (pod["metadata"].get("labels") or {}).get(names.LABEL_MANAGED_BY) != names.MANAGED_BY
    ]


def await_end(
    cluster: Cluster, namespace: str, old: Callable[[list[dict[str, Any]]], list[Any]], seconds: float
) -> None:
    """Waits until a namespace has none of the old pods, and shortens the grace of those that are ending."""
    shortened: set[str] = set()
    left: list[Any] = []

    def ended() -> bool | None:
        nonlocal left
        left = old(pods(cluster, namespace))
        for pod in left:
            uid = pod["metadata"].get("uid") or ""
            # Whoever makes it would make another one if it were deleted before that was stopped.
            if "deletionTimestamp" in pod["metadata"] and uid not in shortened:
                shortened.add(uid)
                with suppress(Conflict):
                    cluster.delete("Pod", namespace, pod["metadata"]["name"], grace_seconds=GRACE_SECONDS, uid=uid)
        return None if left else True

    if wait_until(ended, seconds, _INTERVAL, _INTERVAL) is None:
        said = ", ".join(f"{pod['metadata']['name']} on node {pod['spec'].get('nodeName')}" for pod in left)
        raise NotReady(f"the old pods have not ended after {seconds:g} s: {said}")


def await_old(
    cluster: Cluster, namespace: str, running: Callable[[list[dict[str, Any]]], bool], seconds: float
) -> None:
    """Waits until the old pods run."""
    if wait_until(lambda: running(pods(cluster, namespace)) or None, seconds, _INTERVAL, 0.5) is None:
        raise NotReady(f"the old pods in namespace {namespace} are not ready after {seconds:g} s: look at them")


def end_new_pods(cluster: Cluster, router: Router, seconds: float) -> None:
    """Ends the router's pods, and waits until they are gone, and their address with them. New ones are on hold."""
    labels = f"{names.SELECTOR},{names.LABEL_INSTANCE}={router.name}"
    first = {
        pod["metadata"].get("uid"): pod["metadata"]["name"] for pod in cluster.find("Pod", router.namespace, labels)
    }
    for uid, name in first.items():
        with suppress(Conflict):
            cluster.delete("Pod", router.namespace, name, uid=uid or "")

    def gone() -> bool | None:
        there = {pod["metadata"].get("uid") for pod in cluster.find("Pod", router.namespace, labels)}
        return None if there & first.keys() else True

    if first and wait_until(gone, seconds, _INTERVAL, _INTERVAL) is None:
        raise NotReady(
            f"router {router.id}: pod {', '.join(first.values())} has not ended after {seconds:g} s, and may still have the address, so "
            "that the old router was not started: remove it, for example with kubectl delete --force if its node is gone for good"
        )
    # Who was killed has withdrawn nothing.
    for family in router.families:
        change(
            cluster, "EndpointSlice", router.namespace, names.endpoint_slice(router.name, family), _without_endpoints
        )


def _without_endpoints(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "endpoints": []} if item.get("endpoints") else item


def rehearse_service(cluster: Cluster, router: Router) -> None:
    """Has the API server say whether it would let the router have its Service."""
    _apply_service(cluster, router, dry_run=True)


def move_service(cluster: Cluster, router: Router, strip: Change, seconds: float) -> None:
    """Makes an old router's Service the new one's. Its name and cluster IP stay. `strip`: takes off what is the old one's."""
    if wait_until(lambda: None if _has_endpoints(cluster, router) else True, seconds, _INTERVAL, _INTERVAL) is None:
        raise NotReady(
            f"Service {router.namespace}/{router.service.name} has endpoints of the old router for {seconds:g} s after its pods: does the "
            "controller for EndpointSlices run?"
        )
    _apply_service(cluster, router)
    change(cluster, "Service", router.namespace, router.service.name, strip)
    ports = Ports(cluster.get("Service", router.namespace, router.service.name))
    ports.set(cluster, ports.wanted(router.rules))


def _apply_service(cluster: Cluster, router: Router, dry_run: bool = False) -> None:
    (service,) = (m for m in manifests(router) if m["kind"] == "Service")
    call = ("Service", router.namespace, router.service.name, service, names.FIELD_MANAGER_DEPLOY)
    cluster.apply(*call, force=True, dry_run=dry_run)


def _has_endpoints(cluster: Cluster, router: Router) -> bool:
    """Whether what the controllers have written for the old pods is still there. Without a selector nobody would remove it."""
    labels = f"{LABEL_SERVICE_NAME}={router.service.name}"
    slices = cluster.find("EndpointSlice", router.namespace, labels)
    others = [item for item in slices if item["metadata"]["labels"].get(_MANAGED_BY) != names.MANAGED_BY]
    # Another controller copies the Endpoints of Services without a selector into slices.
    legacy = get(cluster, "Endpoints", router.namespace, router.service.name) or {}
    return any(item.get("endpoints") for item in others) or bool(legacy.get("subsets"))


def write_record(cluster: Cluster, namespace: str, manifest: dict[str, Any]) -> None:
    """Writes what is needed for the way back."""
    cluster.apply("ConfigMap", namespace, manifest["metadata"]["name"], manifest, MANAGER, force=True)


def create_again(cluster: Cluster, namespace: str, item: dict[str, Any], seconds: float) -> None:
    """Creates an object that was removed, when the removed one is gone. One that stays is left alone."""
    kind, name = item["kind"], item["metadata"]["name"]

    def there() -> bool | None:
        found = get(cluster, kind, namespace, name)
        if found is None:
            cluster.create(kind, namespace, item)
            return True
        return None if "deletionTimestamp" in found["metadata"] else True

    if wait_until(there, 0 if cluster.dry_run else seconds, _INTERVAL, 0.5) is None and not cluster.dry_run:
        raise NotReady(f"{kind} {namespace}/{name} has not ended after {seconds:g} s, so that it was not created again")
