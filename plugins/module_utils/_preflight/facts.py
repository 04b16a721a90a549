# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What is known before anything is touched: the list of routers, the cluster's objects, and what was seen on nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .._contract import names
from .._router.placement import may_run_on
from .._router.router import Router
from .._router.view import network_config
from .node_facts import NodeFacts

# Keys of Facts.unread.
NODES = "nodes"
PODS = "pods"
SERVICES = "services"
NAMESPACES = "namespaces"
ROUTERS = "routers"
NAMED = "objects"
ATTACHMENT_API = "attachment API"
QUOTAS = "quotas"
POLICIES = "network policies"
RIGHTS = "rights"
TRIALS = "trials"
SERVICE_TRIALS = "trials of Services"
INSPECTION = "node checks"
OPENSTACK = "OpenStack"
VSPHERE = "vSphere"


@dataclass(frozen=True)
class Pod:
    """A pod of the cluster, as far as it matters to others. `has_network_status`: a network-attachment plugin set it up."""

    namespace: str
    name: str
    node: str
    ips: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    has_network_status: bool = False

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def router(self) -> str:
        """NAMESPACE/NAME of the egress router that it is a pod of; empty for others' pods."""
        if self.labels.get(names.LABEL_MANAGED_BY) != names.MANAGED_BY:
            return ""
        router = self.labels.get(names.LABEL_INSTANCE, "")
        return f"{self.namespace}/{router}" if router else ""


@dataclass(frozen=True)
class Deployed:
    """A router of ours that the cluster has, whoever's list it is in.

    `ips`: without prefix length, those it was deployed with. `macs`: its present one and that of its Deployment.
    """

    namespace: str
    name: str
    has_deployment: bool = False
    ips: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()
    image: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    network_config: str = ""
    serving: bool = False
    node: str = ""

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Named:
    """An object of a kind that routers are made of."""

    kind: str
    namespace: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Whether the collection made it."""
        return self.labels.get(names.LABEL_MANAGED_BY) == names.MANAGED_BY

    @property
    def router(self) -> str:
        """NAMESPACE/NAME of the router that it belongs to."""
        return f"{self.namespace}/{self.labels.get(names.LABEL_INSTANCE, '')}"


@dataclass(frozen=True)
class Inspection:
    """What became of the pod on a node. `images`: why an image could not be started, by image. `problem`: why it saw nothing."""

    facts: NodeFacts | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    no_cni_directory: bool = False


@dataclass(frozen=True)
class Settings:
    """What the user says of the place. `mac_limit`: how many MAC addresses a NIC may have, None to go by its driver.

    `attachment_plugins`: names of programs by which a network-attachment plugin is known.
    """

    create_namespaces: bool = False
    mac_limit: int | None = None
    attachment_plugins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """Everything. What could not be read is empty, and `unread` says why.

    `routers`: those that shall be there. `inspected`: ids of those whose nodes were looked at. `attachment_api`: whether the
    cluster knows NetworkAttachmentDefinitions. `missing_rights`: by namespace, such as "create deployments.apps".
    `trials`: by namespace, the API server's reason to refuse a router's pod, empty if it would take it; `service_trials`: the
    same of a Service, by namespace and IP families.
    """

    routers: tuple[Router, ...]
    nodes: tuple[Mapping[str, Any], ...] = ()
    pods: tuple[Pod, ...] = ()
    services: tuple[Mapping[str, Any], ...] = ()
    namespaces: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    deployed: Mapping[str, Deployed] = field(default_factory=dict)
    named: tuple[Named, ...] = ()
    attachment_api: bool = True
    quotas: tuple[Mapping[str, Any], ...] = ()
    policies: tuple[Mapping[str, Any], ...] = ()
    missing_rights: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    identity: str = ""
    trials: Mapping[str, str] = field(default_factory=dict)
    service_trials: Mapping[tuple[str, tuple[int, ...]], str] = field(default_factory=dict)
    inspections: Mapping[str, Inspection] = field(default_factory=dict)
    inspected: tuple[str, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)

    @cached_property
    def _eligible(self) -> dict[str, list[Mapping[str, Any]]]:
        return {router.id: [node for node in self.nodes if may_run_on(router, node)] for router in self.routers}

    def eligible(self, router: Router) -> list[Mapping[str, Any]]:
        """The nodes that the scheduler may place the router on, whatever state they are in."""
        return self._eligible[router.id]

    @cached_property
    def eligible_anywhere(self) -> list[Mapping[str, Any]]:
        """The nodes on which any of the routers may run."""
        wanted = {name_of(node) for nodes in self._eligible.values() for node in nodes}
        return [node for node in self.nodes if name_of(node) in wanted]

    def node_facts(self, router: Router) -> Iterable[tuple[str, NodeFacts]]:
        """What was seen for a router on each of its nodes, as far as anything was."""
        if router.id in self.inspected:
            for node in self.eligible(router):
                inspection = self.inspections.get(name_of(node))
                if inspection and inspection.facts:
                    yield name_of(node), inspection.facts

    def settled(self, router: Router) -> bool:
        """Whether the router serves, and as it is described, so that its nodes have nothing new to prove."""
        found = self.deployed.get(router.id)
        return (
            found is not None
            and found.serving
            and set(found.ips) == {address.ip for address in router.addresses}
            and set(found.macs) == {router.mac}
            and found.image == router.image
            and dict(found.node_selector) == router.node_selector
            and found.network_config == network_config(router)
        )

    def has_mac(self, router: Router) -> bool:
        """Whether a pod of the router may have the router's MAC address now."""
        found = self.deployed.get(router.id)
        return found is not None and router.mac in found.macs

    def is_new(self, router: Router) -> bool:
        """Whether the router has no Deployment yet."""
        deployed = self.deployed.get(router.id)
        return deployed is None or not deployed.has_deployment


def name_of(item: Mapping[str, Any]) -> str:
    """The name of an object."""
    return str(item["metadata"]["name"])


def ready(node: Mapping[str, Any]) -> bool:
    """Whether the node's kubelet says that it is ready."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def schedulable(node: Mapping[str, Any]) -> bool:
    """Whether new pods are placed on the node."""
    return not node["spec"].get("unschedulable")
