"""The lab's nodes say which OpenStack server they are, and again what they said before."""

from __future__ import annotations

import json
from typing import Any

from egress_lab.cluster import kubectl
from egress_lab.settings import KUBECONFIG, WORKERS
from egress_lab.shell import LabError

_BEFORE = "egress-lab/provider-id"


def set_provider_id(node: str, value: str) -> None:
    """spec.providerID cannot be changed, so the Node is made anew; its kubelet and its pods do not notice."""
    there = _node(node)
    before = there["spec"].get("providerID", "")
    if before != value:
        there["metadata"].setdefault("annotations", {}).setdefault(_BEFORE, before)
        _replace(there, value)


def restore_provider_ids() -> None:
    """What the nodes said before is kept by themselves, so that it outlives a killed run."""
    if not KUBECONFIG.exists():
        return
    for node in WORKERS:
        try:
            there = _node(node)
        except LabError:
            continue  # No lab, so nothing to restore.
        before = there["metadata"].get("annotations", {}).pop(_BEFORE, None)
        if before is not None:
            _replace(there, before)


def _node(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("get", "node", name, "--output=json", "--request-timeout=5s").stdout)
    return found


def _replace(node: dict[str, Any], provider_id: str) -> None:
    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        node["metadata"].pop(field, None)
    node["spec"]["providerID"] = provider_id
    kubectl("replace", "--force", "--filename=-", stdin=json.dumps(node))
