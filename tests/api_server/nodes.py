# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the nodes: the scheduler, a kubelet, and what OpenShift's CNI plugin does for the pods of its operator.

A pod is started at once, one of the operator's with what the network has at that moment. It ends as with kubelets, the grace period
in fast motion: a pod that takes no notice of the signal is there until it is killed.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from ansible_collections.egress.router.tests.api_server.api import NODE, Api, Refused

# So many times faster than a kubelet.
FAST = 20.0
_LABELS = {"kubernetes.io/os": "linux", "example.com/egress": "true"}
_NUMBERS = itertools.count(1)


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
                # What somebody changed or removed meanwhile is tried again, and the namespace of an earlier test may be on its way.
                if error.status not in (404, 409) and "is being terminated" not in str(error):
                    self.failures.append(str(error))
            except Exception as error:
                self.failures.append(repr(error))

    def step(self) -> None:
        raise NotImplementedError


class Nodes(Repeating):
    """Run pods. `plugin`: what the CNI plugin says instead of setting a pod of the operator up; empty: nothing."""

    def __init__(self, api: Api) -> None:
        super().__init__(0.05)
        self.api = api
        self.plugin = ""
        self.fast = FAST
        # By the uid of the running pod of an operator's: what it was started with. It is not changed afterwards.
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
            elif (pod["metadata"].get("labels") or {}).get("app") == "egress-router-cni":
                if pod["metadata"]["uid"] not in self.running:
                    self._start_with_plugin(pod)
            elif pod["status"].get("phase") not in ("Running", "Failed"):
                self._runs(pod)

    def _path(self, pod: dict[str, Any]) -> str:
        return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"

    def _bind(self, pod: dict[str, Any]) -> None:
        if not (pod["spec"].get("nodeSelector") or {}).items() <= _LABELS.items():
            return
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]}, "target": target}
        self.api("POST", f"{self._path(pod)}/binding", body)

    def _end(self, pod: dict[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        since = self._ending.setdefault(uid, time.monotonic())
        if time.monotonic() - since >= pod["metadata"].get("deletionGracePeriodSeconds", 30) / self.fast:
            self.running.pop(uid, None)
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
            self.api("DELETE", self._path(pod), {"apiVersion": "v1", "kind": "DeleteOptions", **options})

    def _start_with_plugin(self, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        path = f"/apis/k8s.cni.cncf.io/v1/namespaces/{metadata['namespace']}/network-attachment-definitions/egress-router-cni-nad"
        network = self.api.get(path)
        if self.plugin or network is None:
            if not pod["status"].get("containerStatuses"):
                waits = [self._container(pod, ready=False, waiting={"reason": "ContainerCreating"})]
                self.api.merge(f"{self._path(pod)}/status", {"status": {"containerStatuses": waits}})
                self._event(pod)
            return
        ip = json.loads(network["spec"]["config"])["ip"]
        others = [one["name"] for one in self.of(metadata["namespace"])]
        if others:
            self.overlaps.append(f"{metadata['name']} began while {others} had the address")
        self.started += 1
        mac = f"3a:00:00:00:00:{self.started % 256:02x}"
        named = {"namespace": metadata["namespace"], "name": metadata["name"]}
        self.running[metadata["uid"]] = {**named, "ip": ip, "mac": mac}
        # Before anybody can know that it runs.
        self.on_start()
        address = ip["addresses"][0].partition("/")[0]
        status = [{"name": "ovn-kubernetes", "interface": "eth0", "ips": ["10.128.0.9"]},
                  {"name": "egress-router-cni-nad", "interface": "net1", "ips": [address], "mac": mac}]  # fmt: skip
        annotations = {"k8s.v1.cni.cncf.io/network-status": json.dumps(status)}
        self.api.merge(self._path(pod), {"metadata": {"annotations": annotations}})
        self._runs(pod)

    def _runs(self, pod: dict[str, Any]) -> None:
        if pod["spec"].get("restartPolicy") == "Never":
            self._fails(pod)
            return
        number, since = next(_NUMBERS), pod["metadata"]["creationTimestamp"]
        ip = f"10.128.{number // 250}.{number % 250 + 1}"
        status = {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}],
            "containerStatuses": [self._container(pod, ready=True, running={"startedAt": since})],
        }
        self.api.merge(f"{self._path(pod)}/status", {"status": status})

    def _fails(self, pod: dict[str, Any]) -> None:
        """A pod that is to run a command to its end, which nobody runs here: or whoever waits for it waits for minutes."""
        ended = {"exitCode": 128, "reason": "StartError", "message": "no command runs here"}
        status = {"phase": "Failed", "containerStatuses": [self._container(pod, ready=False, terminated=ended)]}
        self.api.merge(f"{self._path(pod)}/status", {"status": status})

    def _container(self, pod: dict[str, Any], ready: bool, **state: Any) -> dict[str, Any]:
        name = pod["spec"]["containers"][0]["name"]
        return {"name": name, "ready": ready, "restartCount": 0, "image": "x", "imageID": "", "state": state}

    def _event(self, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        self.api("POST", f"/api/v1/namespaces/{metadata['namespace']}/events", {
            "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "FailedCreatePodSandBox", "message": self.plugin or "no network",
            "metadata": {"generateName": "x-"},
            "involvedObject": {"kind": "Pod", "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
        })  # fmt: skip
