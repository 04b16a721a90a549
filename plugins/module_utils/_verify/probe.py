# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Runs a client pod that connects to targets, and returns what the servers saw."""

from __future__ import annotations

import time
from typing import Any

from .._common.concurrent import wait_until
from .._common.errors import EgressError, InputError, NotReady
from .._contract.probe import ResultsError, from_json
from .._contract.target import TargetError, parse
from .._kubernetes.cluster import Cluster
from .._kubernetes.constraints import is_openshift
from .._kubernetes.pods import GRACE_SECONDS, pod_problem
from .client import events, manifest

SPEC: dict[str, Any] = {
    "namespace": {"type": "str", "required": True},
    "image": {"type": "str", "required": True},
    "targets": {"type": "list", "elements": "str", "required": True},
    "count": {"type": "int", "default": 1},
    "connect_timeout": {"type": "float", "default": 3},
    "concurrency": {"type": "int", "default": 8},
    "hold": {"type": "float"},
    "image_pull_secrets": {"type": "list", "elements": "str", "no_log": False},
    "node_selector": {"type": "dict"},
    "tolerations": {"type": "list", "elements": "dict"},
    "labels": {"type": "dict"},
    "wait_timeout": {"type": "int", "default": 120},
}


def run(cluster: Cluster, params: dict[str, Any]) -> dict[str, Any]:
    """`results` as the probe printed them, `node` and `pod_ips` of the client. The pod is deleted in every case."""
    namespace = params["namespace"]
    check_targets(params["targets"])
    if cluster.dry_run or not params["targets"]:
        return {"results": [], "node": "", "pod_ips": []}
    pod = cluster.create(
        "Pod", namespace, manifest("probe", params, _arguments(params), params["wait_timeout"], is_openshift(cluster))
    )
    name = pod["metadata"]["name"]
    try:
        ended = _wait(cluster, namespace, name, params["wait_timeout"])
        text = cluster.logs(namespace, name)
    finally:
        cluster.delete("Pod", namespace, name, grace_seconds=0)
    return {
        "results": _results(text, ended),
        "node": (ended.get("spec") or {}).get("nodeName", ""),
        "pod_ips": [ip["ip"] for ip in ended["status"].get("podIPs") or []],
    }


def check_targets(targets: list[str]) -> None:
    """InputError with every target that the client would not take."""
    wrong = [target for target in targets if not _is_target(target)]
    if wrong:
        raise InputError(
            "\n".join(
                f"targets: '{target}' is not a target: write it as tcp://HOST:PORT, udp:// or http://, or as tcp4:// or tcp6:// for one "
                "family"
                for target in wrong
            )
        )


def _is_target(text: str) -> bool:
    try:
        parse(text, ("tcp", "udp", "http"))
    except TargetError:
        return False
    return True


def _arguments(params: dict[str, Any]) -> list[str]:
    arguments = [f"--target={target}" for target in params["targets"]]
    arguments += [f"--count={params['count']}", f"--timeout={params['connect_timeout']:g}"]
    arguments += [f"--concurrency={params['concurrency']}"]
    return arguments + ([f"--hold={params['hold']:g}"] if params["hold"] else [])


def _wait(cluster: Cluster, namespace: str, name: str, seconds: float) -> dict[str, Any]:
    since = time.monotonic()
    problem = ""

    def check() -> dict[str, Any] | None:
        nonlocal since, problem
        pod = cluster.get("Pod", namespace, name)
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return pod
        problem = pod_problem(pod, events(cluster, namespace, pod))
        if not problem:
            since = time.monotonic()
        return pod if problem and time.monotonic() - since >= GRACE_SECONDS else None

    pod = wait_until(check, seconds, interval=0.2)
    if pod is not None and pod["status"].get("phase") == "Succeeded":
        return pod
    if pod is not None and pod["status"].get("phase") == "Failed":
        problem = pod_problem(pod)
        end = cluster.logs(namespace, name, lines=5).strip()
        problem += f"; it printed: {end}" if end else ""
    raise NotReady(
        f"the client pod in namespace {namespace} did not finish: {problem or f'still running after {seconds} s'}"
    )


def _results(text: str, pod: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        return [result.as_dict() for result in from_json(text)]
    except ResultsError as error:
        raise EgressError(f"image {pod['spec']['containers'][0]['image']}: {error}") from error
