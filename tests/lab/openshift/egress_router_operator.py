"""A stand-in for what OpenShift's Cluster Network Operator does with EgressRouter resources. For tests only.

It exists because the operator is in no registry. EGRESS_LAB_CNO puts the real one in its place. It does what was observed
of the real one, faults included: it never writes the resources' status, two of them in a namespace take the two objects
from each other, and it forgets no error of a resource that was deleted.
Environment: KUBECONFIG, EGRESS_ROUTER_CNI_IMAGE, RELEASE_VERSION, as the real one has them.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import urllib3
from kubernetes import client, config, dynamic
from kubernetes.dynamic.exceptions import DynamicApiError, NotFoundError, ResourceNotFoundError

API = "network.operator.openshift.io/v1"
MANAGER = "cluster-network-operator/egress_router"
LABELS = {"app": "egress-router-cni"}
UNREACHABLE = (DynamicApiError, ResourceNotFoundError, urllib3.exceptions.HTTPError)

Key = tuple[str, str]  # namespace and name


def attachment_config(spec: dict[str, Any]) -> str:
    """The plugin's configuration. Only the first address counts; ValueError if it cannot be used."""
    if not spec["addresses"]:
        raise ValueError("router without addresses")
    address, gateway = spec["addresses"][0]["ip"], spec["addresses"][0].get("gateway", "")
    ipaddress.ip_interface(address)
    if not address.partition("/")[2].isdigit():
        raise ValueError(f"address {address!r} has no prefix length")
    if not gateway:
        raise ValueError(f"address {address!r} has no gateway")
    redirect = spec["redirect"]
    rules = redirect.get("redirectRules", [])
    keys = ("port", "protocol", "destinationIP", "targetPort")
    ip = {
        "addresses": [address],
        "destinations": [" ".join(str(rule[key]) for key in keys if key in rule) for rule in rules],
        **({"fallbackIP": redirect["fallbackIP"]} if redirect.get("fallbackIP") else {}),
        "gateway": gateway,
    }
    conf = {"cniVersion": "0.4.0", "type": "egress-router", "name": "egress-router-cni-nad", "ip": ip}
    log = {"log_file": "/tmp/egress-router-log", "log_level": "debug"}
    return json.dumps({**conf, **log}, separators=(",", ":"))


def manifests(router: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The two objects of a resource, which are called the same in every namespace."""
    spec = router["spec"]
    owner = {"apiVersion": API, "kind": "EgressRouter", "name": router["metadata"]["name"], "controller": True}
    meta = {
        "namespace": router["metadata"]["namespace"],
        "annotations": {"release.openshift.io/version": os.environ.get("RELEASE_VERSION", "")},
        "ownerReferences": [{**owner, "uid": router["metadata"]["uid"]}],
    }
    nad, deployment = "egress-router-cni-nad", "egress-router-cni-deployment"
    config_text = attachment_config(spec)
    yield {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": nad, **meta},
        "spec": {"config": config_text},
    }
    gateway = spec["addresses"][0]["gateway"]
    annotations = {
        "target.workload.openshift.io/management": '{"effect": "PreferredDuringScheduling"}',
        "k8s.v1.cni.cncf.io/networks": f'[\n  {{\n    "name":"{nad}",\n    "default-route": ["{gateway}"]\n  }}\n]\n',
    }
    container = {
        "name": "egress-router-cni-pod",
        "image": os.environ["EGRESS_ROUTER_CNI_IMAGE"],
        "command": ["/bin/sh", "-c", "sleep infinity"],
        "resources": {"requests": {"cpu": "100m"}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": deployment, "labels": LABELS, **meta},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS, "annotations": annotations},
                "spec": {"containers": [container]},
            },
        },
    }


class Operator:
    """Works on one resource at a time: when it changes in any way, when its resync is due, when it failed before."""

    def __init__(self, resync: float, degraded_after: float, delay: float) -> None:
        self._resync, self._degraded_after, self._delay = resync, degraded_after, delay
        self._cluster = dynamic.DynamicClient(client.ApiClient())
        self._changed: queue.Queue[Key] = queue.Queue()
        self._due: dict[Key, float] = {}
        self._tries: dict[Key, int] = {}
        self._errors: dict[Key, str] = {}
        self._failing_since = 0.0
        self._reported: str | None = None

    def run(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()
        while True:
            with suppress(queue.Empty):
                self._due[self._changed.get(timeout=0.1)] = 0.0
            for key in [key for key, due in self._due.items() if due <= time.monotonic()]:
                self._reconcile(key)
            self._report()

    def _watch(self) -> None:
        """Every resource at the beginning, then each change, of an annotation too."""
        while True:
            try:
                for event in self._resource(API, "EgressRouter").watch():
                    self._changed.put((event["object"].metadata.namespace, event["object"].metadata.name))
            except UNREACHABLE as error:
                say(f"watching: {error}")
                time.sleep(1)

    def _reconcile(self, key: Key) -> None:
        time.sleep(self._delay)
        namespace, name = key
        try:
            router = self._resource(API, "EgressRouter").get(name=name, namespace=namespace).to_dict()
            for manifest in manifests(router):
                self._apply(manifest)
        except NotFoundError:
            # It was deleted, or its namespace. An error of it stays.
            self._due.pop(key)
        except (ValueError, *UNREACHABLE) as error:
            self._failing_since = self._failing_since or time.monotonic()
            self._errors[key] = f"could not reconcile Egress Router {namespace}/{name}: {error}"
            self._tries[key] = self._tries.get(key, 0) + 1
            self._due[key] = time.monotonic() + min(0.005 * 2 ** self._tries[key], 60)
            say(self._errors[key])
        else:
            self._errors.pop(key, None)
            self._tries.pop(key, None)
            self._failing_since = self._failing_since if self._errors else 0.0
            self._due[key] = time.monotonic() + self._resync
            say(f"applied the objects of {namespace}/{name}")

    def _report(self) -> None:
        """The ClusterOperator is Degraded once errors have lasted for some time."""
        lasted = self._failing_since and time.monotonic() - self._failing_since >= self._degraded_after
        message = ", ".join(self._errors.values()) if lasted else ""
        if message == self._reported:
            return
        degraded = {"type": "Degraded", "status": str(bool(message)), "reason": "AsExpected"}
        if message:
            degraded |= {"reason": "EgressRouterError", "message": message}
        degraded["lastTransitionTime"] = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        operator = {"apiVersion": "config.openshift.io/v1", "kind": "ClusterOperator", "metadata": {"name": "network"}}
        try:
            self._apply({**operator, "spec": {}})
            self._apply({**operator, "status": {"conditions": [degraded]}}, "status")
            self._reported = message
            say(f"reported {degraded}")
        except UNREACHABLE as error:
            say(f"reporting: {error}")
            time.sleep(1)

    def _apply(self, manifest: dict[str, Any], subresource: str = "") -> None:
        resource = self._resource(manifest["apiVersion"], manifest["kind"])
        self._cluster.server_side_apply(
            resource.subresources[subresource] if subresource else resource,
            body=manifest,
            name=manifest["metadata"]["name"],
            field_manager=MANAGER,
            force_conflicts=True,
        )

    def _resource(self, api_version: str, kind: str) -> Any:
        return self._cluster.resources.get(api_version=api_version, kind=kind)


def say(text: str) -> None:
    print(f"{datetime.now(timezone.utc).isoformat(timespec='milliseconds')} {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resync", type=float, default=300, help="seconds between two looks (default: 300)")
    parser.add_argument("--degraded-after", type=float, default=120, help="seconds that errors last (default: 120)")
    parser.add_argument("--delay", type=float, default=0, help="seconds before each piece of work (default: 0)")
    config.load_kube_config()
    Operator(**vars(parser.parse_args())).run()


if __name__ == "__main__":
    main()
