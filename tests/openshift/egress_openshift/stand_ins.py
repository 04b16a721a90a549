# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins: the Cluster Network Operator's controller of EgressRouters, and nodes that run the pods it makes.

The operator applies its two objects with its own field manager when a resource changes, is annotated or is new, and at every
resync. Nodes start a pod at once with what the network has at that moment, and end it as kubelets do, the grace period in
fast motion: a pod that takes no notice of the signal is there until it is killed.
"""

from __future__ import annotations

import ipaddress
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from .api_server import Api, Refused

MANAGER = "cluster-network-operator/egress_router"
ROUTERS = "/apis/network.operator.openshift.io/v1/egressrouters"
# So many times faster than a kubelet.
FAST = 20.0


class Repeating:
    """Does something again and again in a thread of its own."""

    def __init__(self, seconds: float = 0.1) -> None:
        self._stop = threading.Event()
        self._seconds = seconds
        self.failures: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self.failures, self.failures

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self.step()
            except Refused as error:
                # What somebody changed or removed meanwhile is tried again.
                if error.status not in (404, 409):
                    self.failures.append(str(error))

    def step(self) -> None:
        raise NotImplementedError


class Operator(Repeating):
    def __init__(self, api: Api) -> None:
        super().__init__()
        self.api = api
        self.seen: dict[str, str] = {}
        # Whether it works, and what it says to be wrong.
        self.alive = True
        self.said = ""

    def resync(self) -> None:
        """Looks at every resource again."""
        self.seen.clear()

    def step(self) -> None:
        if not self.alive:
            return
        for item in self.api("GET", ROUTERS)["items"]:
            key = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
            version = item["metadata"]["resourceVersion"]
            if self.seen.get(key) != version and "deletionTimestamp" not in item["metadata"]:
                self._reconcile(item)
                self.seen[key] = version

    def _reconcile(self, item: dict[str, Any]) -> None:
        namespace, spec = item["metadata"]["namespace"], item["spec"]
        metadata = {"namespace": namespace, "annotations": {"release.openshift.io/version": "4.21.0"}}
        metadata["ownerReferences"] = [{
            "apiVersion": item["apiVersion"], "kind": "EgressRouter", "name": item["metadata"]["name"],
            "uid": item["metadata"]["uid"], "controller": True,
        }]  # fmt: skip
        address = spec["addresses"][0]
        rules = [
            " ".join(
                str(word)
                for word in (rule["port"], rule["protocol"], rule["destinationIP"], rule.get("targetPort"))
                if word
            )
            for rule in (spec.get("redirect") or {}).get("redirectRules") or ()
        ]
        ip = {
            "addresses": [str(ipaddress.ip_interface(address["ip"]))],
            "destinations": rules,
            "gateway": address["gateway"],
        }
        config = {"cniVersion": "0.4.0", "type": "egress-router", "name": "egress-router-cni-nad", "ip": ip,
                  "log_file": "/tmp/egress-router-log", "log_level": "debug"}  # fmt: skip
        nad = {"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
               "metadata": {**metadata, "name": "egress-router-cni-nad"}, "spec": {"config": json.dumps(config)}}  # fmt: skip
        self.api.apply(
            f"/apis/k8s.cni.cncf.io/v1/namespaces/{namespace}/network-attachment-definitions/egress-router-cni-nad",
            MANAGER,
            nad,
        )
        labels = {"app": "egress-router-cni"}
        network = [{"name": "egress-router-cni-nad", "default-route": [address["gateway"]]}]
        container = {
            "name": "egress-router-cni-pod", "image": "quay.example.com/egress-router-cni:4.21",
            "command": ["/bin/sh", "-c", "sleep infinity"], "resources": {"requests": {"cpu": "100m"}},
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }  # fmt: skip
        annotations = {"target.workload.openshift.io/management": '{"effect": "PreferredDuringScheduling"}',
                       "k8s.v1.cni.cncf.io/networks": json.dumps(network)}  # fmt: skip
        deployment = {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**metadata, "name": "egress-router-cni-deployment"},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels, "annotations": annotations}, "spec": {"containers": [container]},
            }},
        }  # fmt: skip
        self.api.apply(
            f"/apis/apps/v1/namespaces/{namespace}/deployments/egress-router-cni-deployment", MANAGER, deployment
        )


class Nodes(Repeating):
    """Run the operator's pods. `plugin`: what the CNI plugin says instead of setting a pod up; empty: nothing."""

    def __init__(self, api: Api) -> None:
        super().__init__(0.05)
        self.api = api
        self.plugin = ""
        # By the name of the running pod: what it was started with. It is not changed afterwards.
        self.running: dict[str, dict[str, Any]] = {}
        # Two pods of a namespace that had their addresses at the same time.
        self.overlaps: list[str] = []
        self.started = 0
        self._ending: dict[str, float] = {}
        self.on_start: Callable[[], None] = lambda: None

    def of(self, namespace: str) -> list[dict[str, Any]]:
        return [one for one in self.running.values() if one["namespace"] == namespace]

    def step(self) -> None:
        pods = self.api("GET", "/api/v1/pods")["items"]
        there = {pod["metadata"]["uid"] for pod in pods}
        for uid in [uid for uid in self.running if uid not in there]:
            del self.running[uid]
        for pod in pods:
            if "deletionTimestamp" in pod["metadata"]:
                self._end(pod)
            elif not pod["spec"].get("nodeName"):
                self._bind(pod)
            elif (
                pod["metadata"]["uid"] not in self.running
                and pod["metadata"]["labels"].get("app") == "egress-router-cni"
            ):
                self._start(pod)

    def _path(self, pod: dict[str, Any]) -> str:
        return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"

    def _bind(self, pod: dict[str, Any]) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": "worker-1"}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]}, "target": target}
        self.api("POST", f"{self._path(pod)}/binding", body)

    def _end(self, pod: dict[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        since = self._ending.setdefault(uid, time.monotonic())
        if time.monotonic() - since >= pod["metadata"].get("deletionGracePeriodSeconds", 30) / FAST:
            self.running.pop(uid, None)
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
            self.api("DELETE", self._path(pod), {"apiVersion": "v1", "kind": "DeleteOptions", **options})

    def _start(self, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        waiting = {"name": pod["spec"]["containers"][0]["name"], "ready": False, "restartCount": 0, "image": "x", "imageID": "",
                   "state": {"waiting": {"reason": "ContainerCreating"}}}  # fmt: skip
        path = f"/apis/k8s.cni.cncf.io/v1/namespaces/{metadata['namespace']}/network-attachment-definitions/egress-router-cni-nad"
        network = self.api.get(path)
        if self.plugin or network is None:
            if not pod["status"].get("containerStatuses"):
                self.api.merge(f"{self._path(pod)}/status", {"status": {"containerStatuses": [waiting]}})
                self._event(pod)
            return
        ip = json.loads(network["spec"]["config"])["ip"]
        others = [one["name"] for one in self.of(metadata["namespace"])]
        if others:
            self.overlaps.append(f"{metadata['name']} began while {others} had the address")
        self.started += 1
        self.running[metadata["uid"]] = {"namespace": metadata["namespace"], "name": metadata["name"], "ip": ip}
        # Before anybody can know that it runs.
        self.on_start()
        address = ip["addresses"][0].partition("/")[0]
        status = [{"name": "ovn-kubernetes", "interface": "eth0", "ips": ["10.128.0.9"]},
                  {"name": "egress-router-cni-nad", "interface": "net1", "ips": [address], "mac": f"3a:00:00:00:00:{self.started % 256:02x}"}]  # fmt: skip
        self.api.merge(
            self._path(pod), {"metadata": {"annotations": {"k8s.v1.cni.cncf.io/network-status": json.dumps(status)}}}
        )
        ready = {**waiting, "ready": True, "state": {"running": {"startedAt": metadata["creationTimestamp"]}}}
        conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": metadata["creationTimestamp"]}]
        found = {
            "phase": "Running",
            "podIPs": [{"ip": "10.128.0.9"}],
            "podIP": "10.128.0.9",
            "conditions": conditions,
            "containerStatuses": [ready],
        }
        self.api.merge(f"{self._path(pod)}/status", {"status": found})

    def _event(self, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        self.api("POST", f"/api/v1/namespaces/{metadata['namespace']}/events", {
            "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "FailedCreatePodSandBox", "message": self.plugin or "no network",
            "metadata": {"generateName": "x-"},
            "involvedObject": {"kind": "Pod", "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
        })  # fmt: skip
