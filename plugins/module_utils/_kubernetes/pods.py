# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Why a pod does not run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._contract.identity import UNREADABLE
from .._contract.version import VERSION

# How long a reason has to last before it counts: it may pass, such as a registry that did not answer once.
GRACE_SECONDS = 15.0
# This many failures to mount a volume are no accident: the kubelet waits 0.5, 1, 2 ... seconds between them.
STUCK_MOUNTS = 4

# Reasons of a waiting container that do not pass by themselves.
_STUCK = (
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
)
# Of a pod whose agent does not understand what it is told.
_NEWER_IMAGE = (
    f"The collection is of version {VERSION}: set image to one that was built from this version or a newer one"
)


def pod_problem(pod: dict[str, Any], events: Iterable[dict[str, Any]] = ()) -> str:
    """What keeps the pod from running, as a sentence; empty if nothing is known. `events` are the pod's."""
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return f"pod {name} cannot be scheduled: {condition.get('message', 'no reason given')}"
    if status.get("phase") == "Failed":
        return f"pod {name} failed: {status.get('reason', '')} {status.get('message', '')}".rstrip(" :")
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        problem = container_problem(container)
        if problem:
            return f"pod {name}: {problem}"
    said = {event.get("reason"): event for event in events}
    sandbox, mount = said.get("FailedCreatePodSandBox"), said.get("FailedMount")
    # Volumes come before the sandbox, so the sandbox's event is the newer one. A mount that failed once or twice was only
    # early: the kubelet repeats it, and its event stays for an hour.
    event = sandbox or (mount if mount and (mount.get("count") or 1) >= STUCK_MOUNTS else None)
    if event:
        return f"pod {name} cannot be set up on node {(pod.get('spec') or {}).get('nodeName')}: {event.get('message')}"
    return ""


def waits_for_sandbox(pod: dict[str, Any]) -> bool:
    """Whether the pod is on a node and none of its containers has started: only events tell why."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    waiting = [(status.get("state") or {}).get("waiting") or {} for status in statuses]
    return bool((pod.get("spec") or {}).get("nodeName")) and any(
        reason.get("reason") in ("ContainerCreating", "PodInitializing") for reason in waiting
    )


def going(pod: dict[str, Any]) -> bool:
    """Whether the pod is being deleted or has ended."""
    phase = (pod.get("status") or {}).get("phase")
    return "deletionTimestamp" in pod["metadata"] or phase in ("Failed", "Succeeded")


def container_problem(container: dict[str, Any]) -> str:
    """What keeps a container from running, without naming its pod; empty if nothing is known."""
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason not in _STUCK:
        return ""
    ended = (container.get("lastState") or {}).get("terminated") or {}
    if reason == "CrashLoopBackOff" and ended:
        last = (ended.get("message") or ended.get("reason") or "").strip()
        advice = f". {_NEWER_IMAGE}" if UNREADABLE in last else ""
        return f"{reason}: exit code {ended.get('exitCode')}, {last or 'no message'}{advice}"
    return f"{reason}: {waiting.get('message') or container.get('image', '')}"
