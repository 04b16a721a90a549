# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What has become of a router: from the operator's objects as they are read from the API server. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._contract.names import EGRESS_INTERFACE
from .._router.own import NETWORK_STATUS, NETWORKS
from .._router.router import Router
from .manifests import forwarding, hash_of
from .operator import CHANGED_AT, HASH, LOG, PLUGIN

Item = dict[str, Any]


@dataclass
class Live:
    """The objects of one router; None: there is none."""

    resource: Item | None = None
    network: Item | None = None
    deployment: Item | None = None
    pods: list[Item] = field(default_factory=list)

    @property
    def uid(self) -> str:
        """Of the resource."""
        return str((self.resource or {"metadata": {}})["metadata"].get("uid") or "")


def own(live: Live) -> Live:
    """Without what the operator has made of another resource."""
    network, deployment = (item if belongs_to(item, live.uid) else None for item in (live.network, live.deployment))
    return Live(live.resource, network, deployment, live.pods if deployment else [])


def belongs_to(item: Item | None, uid: str) -> bool:
    """Whether the operator has made an object of the resource with this uid."""
    owners = (item or {"metadata": {}})["metadata"].get("ownerReferences") or []
    return bool(uid) and uid in [owner.get("uid") for owner in owners]


def forwarded(network: Item | None) -> dict[str, Any] | None:
    """What the network has as `ip`, see manifests.forwarding. None if it is not one of the operator's."""
    try:
        found = json.loads((network or {})["spec"]["config"])
        # An empty list may be written as null.
        return (
            {**found["ip"], "destinations": found["ip"].get("destinations") or []} if found["type"] == PLUGIN else None
        )
    except (LookupError, TypeError, ValueError):
        return None


def default_route(deployment: Item) -> str:
    """The gateway that the operator has written into the pod template; empty if it cannot be read."""
    try:
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        return str(json.loads(annotations[NETWORKS])[0]["default-route"][0])
    except (LookupError, TypeError, ValueError):
        return ""


def operator_is_done(live: Live, router: Router) -> bool:
    """Whether the operator has made of the resource, as it is now, what is expected."""
    made = belongs_to(live.network, live.uid) and belongs_to(live.deployment, live.uid)
    if not made or live.deployment is None or forwarded(live.network) != forwarding(router):
        return False
    return default_route(live.deployment) == router.addresses[0].gateway


def recreates(deployment: Item) -> bool:
    """Whether the old pod goes before the new one comes."""
    strategy = deployment["spec"].get("strategy") or {}
    return bool(strategy.get("type") == "Recreate")


def template_annotation(deployment: Item | None, name: str) -> str:
    """An annotation of the pods that the Deployment makes."""
    template = ((deployment or {}).get("spec") or {}).get("template") or {}
    return str(((template.get("metadata") or {}).get("annotations") or {}).get(name) or "")


def config_changed_at(network: Item | None) -> str:
    """When the configuration of the network was changed last, in the API's own form; empty if that is not known."""
    times = [
        str(entry.get("time") or "")
        for entry in (network or {"metadata": {}})["metadata"].get("managedFields") or ()
        if "f:config" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return max(times, default="")


def is_ending(pod: Item) -> bool:
    """Whether the pod is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def is_older(pods: Iterable[Item], network: Item | None) -> bool:
    """Whether a pod was there before the network had its present configuration. Both times are the API server's."""
    changed = config_changed_at(network)
    return any(pod["metadata"].get("creationTimestamp", "") < changed for pod in pods if not is_ending(pod))


def stale(live: Live) -> str:
    """Why the pod does not work with the network as it is; empty if it does."""
    found = forwarded(live.network)
    if live.deployment is None or found is None or not [pod for pod in live.pods if not is_ending(pod)]:
        return ""
    started_with = template_annotation(live.deployment, HASH)
    if not started_with:
        return "its Deployment lacks what the collection adds, so that its pod may have other rules than its EgressRouter: provision it"
    if started_with != hash_of(found):
        return "its pod was started with other rules or addresses than its EgressRouter has now"
    if is_older(live.pods, live.network):
        return "its pod was started before the rules and addresses of its EgressRouter were changed last"
    return ""


def restart_mark(live: Live, router: Router) -> str:
    """The value of the annotation CHANGED_AT that the Deployment needs.

    The hash makes the pod anew when the network changes. The mark does where the hash is the right one and the pod is not: others
    changed the network and changed it back, and the pod was started in between.
    """
    right = hash_of(forwarding(router))
    if template_annotation(live.deployment, HASH) != right:
        return ""
    if forwarded(live.network) == forwarding(router) and is_older(live.pods, live.network):
        return config_changed_at(live.network)
    return template_annotation(live.deployment, CHANGED_AT)


def egress_interface(pod: Item, router_ip: str) -> dict[str, Any] | None:
    """What the meta-plugin has reported of the interface with the address; None if it has not."""
    return next((one for one in _interfaces(pod) if router_ip in (one.get("ips") or ())), None)


def reported_interface(pod: Item) -> dict[str, Any] | None:
    """The same of the egress interface, whatever address it has."""
    return next((one for one in _interfaces(pod) if one.get("interface") == EGRESS_INTERFACE), None)


def _interfaces(pod: Item) -> list[dict[str, Any]]:
    try:
        found = json.loads((pod["metadata"].get("annotations") or {})[NETWORK_STATUS])
        return [dict(one) for one in found]
    except (LookupError, TypeError, ValueError):
        return []


def is_ready(pod: Item) -> bool:
    """Whether the pod runs."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def rolled_out(deployment: Item) -> bool:
    """Whether all pods are of the Deployment's latest generation, and there."""
    status = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0)
        == status.get("replicas", 0)
        == status.get("availableReplicas", 0)
        == wanted
    )


def waiting_for(live: Live, router: Router) -> str:
    """What the router lacks to serve as the list has it; empty if it serves."""
    if live.deployment is None or live.network is None:
        return "the Cluster Network Operator has not made its Deployment and network yet"
    ending = [pod["metadata"]["name"] for pod in live.pods if is_ending(pod)]
    if not rolled_out(live.deployment):
        return f"pod {ending[0]} has not ended yet" if ending else "its Deployment is being rolled out"
    if ending:
        return f"pod {ending[0]} has not ended yet"
    ready = [pod for pod in live.pods if is_ready(pod)]
    if not ready:
        return "its pod is not ready yet"
    if egress_interface(ready[0], router.addresses[0].ip) is None:
        return f"pod {ready[0]['metadata']['name']} has not reported address {router.addresses[0].ip} yet"
    return stale(live)


def refused(deployment: Item | None) -> str:
    """Why the API server does not take the pods of the Deployment; empty if it does."""
    for condition in ((deployment or {}).get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return str(condition.get("message"))
    return ""


def explained(problem: str, pod: Item) -> str:
    """A pod's problem, in words that help: the plugin fails without any on this side."""
    if "unexpected end of JSON input" not in problem:
        return problem
    node = (pod.get("spec") or {}).get("nodeName") or "NODE"
    return (
        f"the CNI plugin {PLUGIN} on node {node} has refused to set up pod {pod['metadata']['name']}. Its reason is in {LOG} on that "
        f"node (oc debug node/{node}). Known causes: an IPv6 address or destination, a gateway outside the subnet, and nft older "
        "than 1.0.1 on the node"
    )


def degraded(cluster_operator: Mapping[str, Any], router: Router) -> str:
    """What the operator says of the router; empty if it says nothing of it."""
    name = re.compile(rf"(?<![\w./-]){re.escape(router.id)}(?![\w/-])")
    for condition in (cluster_operator.get("status") or {}).get("conditions") or ():
        message = str(condition.get("message") or "")
        if condition.get("type") == "Degraded" and condition.get("status") == "True" and name.search(message):
            return " ".join(message.split())
    return ""
