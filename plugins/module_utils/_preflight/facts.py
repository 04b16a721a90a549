# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Everything that the checks judge: the list of routers, the objects of the cluster, and what was seen on its nodes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from .._contract import names
from .._contract.identity import Identity
from .._contract.inspect import Answer
from .._router.manifests import identity, network_config
from .._router.placement import may_run_on
from .._router.router import Router

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
API_SERVER = "endpoints of the API server"
PERMISSIONS = "permissions"
TRIALS = "trials"
SERVICE_TRIALS = "trials of Services"
# The pods on the nodes, and what they answered.
INSPECTION = "node checks"
ANSWERS = "answers of nodes"
OPENSTACK = "OpenStack"
PORT_SECURITY = "port security"
VSPHERE = "vSphere"


@dataclass(frozen=True)
class Pod:
    """A pod of the cluster, as far as the checks need it. `has_network_status`: a meta-plugin has set up its networks."""

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
        """NAMESPACE/NAME of the egress router that it belongs to; empty for other pods."""
        if self.labels.get(names.LABEL_MANAGED_BY) != names.MANAGED_BY:
            return ""
        router = self.labels.get(names.LABEL_INSTANCE, "")
        return f"{self.namespace}/{router}" if router else ""


@dataclass(frozen=True)
class Deployed:
    """An egress router of the cluster, on this list or on another one.

    `identity`: what its Deployment tells the agent; None if that is unknown. `live_mac`: with which it serves; empty if it
    does not.
    """

    namespace: str
    name: str
    has_deployment: bool = False
    identity: Identity | None = None
    live_mac: str = ""
    image: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    network_config: str = ""
    serving: bool = False

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def ips(self) -> tuple[str, ...]:
        """Its addresses, without prefix length."""
        return tuple(address.ip.partition("/")[0] for address in self.identity.addresses) if self.identity else ()

    @property
    def macs(self) -> tuple[str, ...]:
        """The MAC addresses with which it may be answering."""
        return tuple(filter(None, (self.identity.mac if self.identity else "", self.live_mac)))


@dataclass(frozen=True)
class Named:
    """An object of a kind that routers consist of."""

    kind: str
    namespace: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Whether the collection created it."""
        return self.labels.get(names.LABEL_MANAGED_BY) == names.MANAGED_BY

    @property
    def router(self) -> str:
        """NAMESPACE/NAME of the router that it belongs to."""
        return f"{self.namespace}/{self.labels.get(names.LABEL_INSTANCE, '')}"


@dataclass(frozen=True)
class Refusal:
    """Why the API server refuses an object in a dry run. `said`: its own words. `by`: which of its admission plugins it is.

    `known`: what it is, if its words do not tell.
    """

    POD_SECURITY = "pod security"
    # The quota is used up.
    QUOTA_EXCEEDED = "quota exceeded"
    # The object does not say how much it takes of a resource with a quota.
    QUOTA_FAILED = "quota failed"
    # It accepts the pod, but without the user namespace.
    NO_USER_NAMESPACES = "no user namespaces"
    OTHERS = "others"

    said: str
    known: str = ""

    @property
    def by(self) -> str:
        """Known by the message alone, because the API server has no reason code for them."""
        words = {
            "violates PodSecurity": self.POD_SECURITY,
            "exceeded quota": self.QUOTA_EXCEEDED,
            "failed quota": self.QUOTA_FAILED,
        }
        return self.known or next((by for word, by in words.items() if word in self.said), self.OTHERS)


@dataclass(frozen=True)
class Inspection:
    """The result of the pod on a node. `images`: why an image does not start, by image. `problem`: why there is no answer."""

    answer: Answer | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    no_cni_directory: bool = False


@dataclass(frozen=True)
class Settings:
    """What the user knows of the cluster. `mac_limit`: how many MAC addresses a NIC may have; None: what its driver filters.

    `meta_plugins`: names of the executables of meta-plugins, besides the known ones. `inspection_namespace`: of the pods on the
    nodes; empty if they get one of their own.
    """

    create_namespaces: bool = False
    mac_limit: int | None = None
    meta_plugins: tuple[str, ...] = ()
    inspection_namespace: str = ""


@dataclass(frozen=True)
class Quota:
    """A ResourceQuota. `hard` and `used` by resource. `covers_routers`: not only for pods that no router's pod is like."""

    namespace: str
    name: str
    hard: Mapping[str, Decimal]
    used: Mapping[str, Decimal]
    covers_routers: bool = True


@dataclass(frozen=True)
class Review:
    """By which constraints OpenShift admits the router's pod, and if by none, why. `entitled`: its account may use its own."""

    router: str
    entitled: bool = False
    allowed_by: str = ""
    reason: str = ""


@dataclass(frozen=True)
class OpenShift:
    """What only OpenShift has. `unread`: why something could not be read, by field.

    `constraints`: whether SecurityContextConstraints are there or provision can make them, by name. `reviews`: one for each
    namespace and name of constraints. `allow_list`: regular expressions of the sysctls that the tuning plugin may set; None:
    unknown. `multi_network`: whether Multus is installed. `network_type`, `platform`: empty if unknown.
    """

    constraints: Mapping[str, bool] = field(default_factory=dict)
    reviews: tuple[Review, ...] = ()
    allow_list: tuple[str, ...] | None = None
    network_type: str = ""
    multi_network: bool = True
    platform: str = ""
    unread: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operated:
    """Of the routers that OpenShift's operator makes. `unread`: why something could not be read, by field.

    `routers`: the present ones of the list. `served`: whether the cluster knows EgressRouters. `resources`: those that are there, as far
    as they may be read. `missing_permissions`: by namespace. The others are as in OpenShift.
    """

    routers: tuple[Router, ...]
    served: bool = True
    resources: tuple[Mapping[str, Any], ...] = ()
    missing_permissions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    network_type: str = ""
    multi_network: bool = True
    platform: str = ""
    unread: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """All facts. What could not be read is empty, and `unread` says why.

    `routers`: the present ones of the list with backend agent. `operated`: of the others. `inspected`: ids of those whose
    nodes were inspected. `attachment_api`: whether the cluster serves NetworkAttachmentDefinitions. `missing_permissions`: by
    namespace, such as "create deployments.apps". `api_server`: address and port of each of its endpoints. `trials`: by
    pod_trial, why the API server refuses a router's pod. `service_trials`: why it refuses a Service, by namespace and IP
    families. `amounts`: by router and key such as `requests.cpu`, what one of its pods takes. `openshift`: None if the
    cluster is another one.
    """

    routers: tuple[Router, ...]
    nodes: tuple[Mapping[str, Any], ...] = ()
    pods: tuple[Pod, ...] = ()
    services: tuple[Mapping[str, Any], ...] = ()
    namespaces: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    deployed: Mapping[str, Deployed] = field(default_factory=dict)
    named: tuple[Named, ...] = ()
    attachment_api: bool = True
    quotas: tuple[Quota, ...] = ()
    amounts: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
    policies: tuple[Mapping[str, Any], ...] = ()
    api_server: tuple[tuple[str, int], ...] = ()
    missing_permissions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    identity: str = ""
    trials: Mapping[tuple[str, str], Refusal | None] = field(default_factory=dict)
    service_trials: Mapping[tuple[str, tuple[int, ...]], Refusal | None] = field(default_factory=dict)
    inspections: Mapping[str, Inspection] = field(default_factory=dict)
    inspected: tuple[str, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    openshift: OpenShift | None = None
    operated: Operated | None = None

    @property
    def all_routers(self) -> tuple[Router, ...]:
        """The present ones of the list, whatever their backend."""
        return (*self.routers, *(self.operated.routers if self.operated else ()))

    @cached_property
    def _eligible(self) -> dict[str, list[Mapping[str, Any]]]:
        return {router.id: [node for node in self.nodes if may_run_on(router, node)] for router in self.all_routers}

    def eligible(self, router: Router) -> list[Mapping[str, Any]]:
        """The nodes that can run the router by labels and taints, whatever their state."""
        return self._eligible[router.id]

    def eligible_for(self, routers: Iterable[Router]) -> list[Mapping[str, Any]]:
        """The nodes that can run any of these routers."""
        wanted = {name_of(node) for router in routers for node in self.eligible(router)}
        return [node for node in self.nodes if name_of(node) in wanted]

    def answers(self, router: Router) -> Iterable[tuple[str, Answer]]:
        """What was seen on the nodes that can run the router."""
        if router.id in self.inspected:
            for node in self.eligible(router):
                inspection = self.inspections.get(name_of(node))
                if inspection and inspection.answer:
                    yield name_of(node), inspection.answer

    def settled(self, router: Router) -> bool:
        """Whether the router serves as the list describes it, so that inspecting its nodes would prove nothing new."""
        found = self.deployed.get(router.id)
        return (
            found is not None
            and found.serving
            and found.identity == identity(router)
            and found.live_mac == router.mac
            and found.image == router.image
            and dict(found.node_selector) == router.node_labels
            and found.network_config == network_config(router)
        )

    def has_mac(self, router: Router) -> bool:
        """Whether a pod of the router may be using its MAC address."""
        found = self.deployed.get(router.id)
        return found is not None and router.mac in found.macs

    def refusal(self, router: Router) -> Refusal | None:
        """Why the API server refuses the router's pod; None if it accepts it, or was not asked."""
        return self.trials.get(pod_trial(router))

    def is_new(self, router: Router) -> bool:
        """Whether the router has no Deployment yet."""
        deployed = self.deployed.get(router.id)
        return deployed is None or not deployed.has_deployment


def pod_trial(router: Router) -> tuple[str, str]:
    """What decides whether the API server accepts a router's pod: routers that have it in common need one dry run."""
    settings = (
        router.pod_labels,
        router.pod_annotations,
        router.priority_class_name,
        router.runtime_class_name,
        router.host_users,
    )
    return router.namespace, json.dumps(settings, sort_keys=True)


def name_of(item: Mapping[str, Any]) -> str:
    """The name of an object."""
    return str(item["metadata"]["name"])


def ready(node: Mapping[str, Any]) -> bool:
    """Whether the node is ready."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def schedulable(node: Mapping[str, Any]) -> bool:
    """Whether the node is not cordoned."""
    return not node["spec"].get("unschedulable")
