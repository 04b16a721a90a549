# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ordinary pods that keep every core of the workers busy: nobody may take over for that."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab import IMAGE, NAMESPACE, command

from .nodes import WORKERS

_NAME = "busy"


@contextmanager
def all_cores_busy() -> Iterator[None]:
    """On each worker as many pods as there are cores, each of which computes all the time."""
    words = ["kubectl", "-n", NAMESPACE]
    manifests = {"apiVersion": "v1", "kind": "List", "items": [_manifest(node) for node in WORKERS]}
    try:
        subprocess.run(
            [*words, "apply", "-f", "-"], input=json.dumps(manifests), text=True, check=True, stdout=subprocess.DEVNULL
        )
        for node in WORKERS:
            command(*words, "rollout", "status", f"deployment/{_NAME}-{node}", "--timeout=120s")
        yield
    finally:
        command(*words, "delete", "deployment", "--selector", f"app={_NAME}", "--wait", "--cascade=foreground")


def _manifest(node: str) -> dict[str, Any]:
    labels = {"app": _NAME, "node": node}
    container = {
        "name": _NAME,
        "image": IMAGE,
        "command": ["python3", "-c", "while True: pass"],
        "resources": {"requests": {"cpu": "100m"}},
    }
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{_NAME}-{node}", "labels": labels},
        "spec": {
            "replicas": os.cpu_count(),
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
