# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The Kubernetes objects that a router is made of. Pure: from a router to dictionaries as a YAML file would have them."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from .._contract import names
from .._contract.failover import BEAT_PORT, KEY, KEYS_DIRECTORY, RELAY_PORT
from .._contract.identity import VARIABLE, EgressAddress, Identity, Port
from .._contract.version import VERSION
from .own import (
    LABEL_SERVICE_NAME,
    LABEL_VERSION,
    NETWORKS,
    NO_MESH_ANNOTATIONS,
    NO_MESH_LABELS,
    REQUIRED_CONSTRAINTS,
    ZONE,
)
from .router import Router

Manifest: TypeAlias = "dict[str, Any]"

_ROLES = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Kind:
    """A kind of object. `wave`: objects of a wave need only those of earlier waves."""

    name: str
    group: str
    version: str
    plural: str
    wave: int = 0

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


# Everything that a router is made of, in the order in which it is created. Removal goes the other way.
KINDS = (
    Kind("NetworkAttachmentDefinition", "k8s.cni.cncf.io", "v1", "network-attachment-definitions", 1),
    Kind("ServiceAccount", "", "v1", "serviceaccounts", 1),
    Kind("Role", _ROLES, "v1", "roles", 1),
    Kind("ConfigMap", "", "v1", "configmaps", 1),
    Kind("Lease", "coordination.k8s.io", "v1", "leases", 1),
    Kind("Service", "", "v1", "services", 1),
    Kind("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets", 1),
    # The API server looks up the Role before it lets somebody bind it.
    Kind("RoleBinding", _ROLES, "v1", "rolebindings", 2),
    # Their owner is the Service, by its uid.
    Kind("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices", 2),
    # The pods use all the others.
    Kind("Deployment", "apps", "v1", "deployments", 3),
)
# Made once where there are several pods, then neither read nor changed, and removed by Kubernetes with its owner, the
# ServiceAccount: so nobody needs a permission for Secrets but `create`. The pods find it when they start.
SECRET = Kind("Secret", "", "v1", "secrets", 2)
# Of the Prometheus Operator, which not every cluster has: asked for where a router wants one, and left where nobody may look.
MONITOR = Kind("PodMonitor", "monitoring.coreos.com", "v1", "podmonitors", 1)
# All of them, in the order in which they are created.
KIND = {kind.name: kind for kind in sorted((*KINDS, SECRET, MONITOR), key=lambda kind: kind.wave)}

# Of the pods' ports for one another, so that network policies can name them.
BEAT_PORT_NAME = "beats"
RELAY_PORT_NAME = "relays"
_PEERS = "peers"
# What Kubernetes puts on the node of a pod that it cannot reach.
_LOST_NODE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_LOST_NODE_SECONDS = 30
# The agent gives the address back within a second, and the lease within 3.5 more if the API server is slow.
_END_SECONDS = 5
# Before a pod relays, it tells the other one which connections; after relay_seconds, it resets what is still open.
_AROUND_RELAY_SECONDS = 5
# The preparation counts as time of the relay, and may take so long even if the relay itself is not to.
_PREPARE_SECONDS = 7


@dataclass(frozen=True)
class Permission:
    """A verb on a resource of an API group. `name`: of one object; empty: of any."""

    verb: str
    group: str
    resource: str
    name: str = ""


def labels(name: str) -> dict[str, str]:
    """The labels of every object of a router."""
    return {**selector(name), LABEL_VERSION: VERSION}


def selector(name: str) -> dict[str, str]:
    """The labels that never change: for the Deployment's selector and for the pods, which no upgrade shall restart."""
    return {
        names.LABEL_NAME: names.APP_NAME,
        names.LABEL_INSTANCE: name,
        names.LABEL_COMPONENT: "router",
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
    }


def pod_labels(router: Router) -> dict[str, str]:
    """The labels of a router's pods, for example for network policies."""
    return {**router.pod_labels, **selector(router.name), **NO_MESH_LABELS}


def object_names(router: Router) -> list[tuple[str, str]]:
    """Kind and name of every object that the router has, or may have had with other address families or more pods."""
    own = {"ConfigMap": names.rules_config_map(router.name), "Service": router.service.name}
    found = []
    for kind in KINDS:
        if kind.name == "PodDisruptionBudget" and router.present and not router.disruption_budget:
            continue  # It may be the user's own.
        if kind.name == "EndpointSlice":
            found += [(kind.name, names.endpoint_slice(router.name, family)) for family in names.FAMILIES]
        else:
            found.append((kind.name, own.get(kind.name, router.name)))
    return found


def manifests(router: Router, service_uid: str = "") -> list[Manifest]:
    """The objects of a present router, in the order of KINDS, without what others own: the rules, the status and the Secret.

    `service_uid`: makes the EndpointSlices the Service's, so that they go with it.
    """
    made = [
        _network_attachment_definition(router),
        _object(router, "ServiceAccount", router.name),
        _role(router),
        # The rules in it are written by the module redirect_rules, the Lease's content by the agent.
        _object(router, "ConfigMap", names.rules_config_map(router.name)),
        _object(router, "Lease", router.name),
        _service(router),
        *([_disruption_budget(router)] if router.disruption_budget else []),
        *([pod_monitor(router)] if router.monitoring else []),
        _role_binding(router),
        *(_endpoint_slice(router, family, service_uid) for family in router.families),
        _deployment(router),
    ]
    return [without_empty(manifest) for manifest in made]


def whole_manifests(router: Router) -> list[Manifest]:
    """The objects of a present router with its rules, for people who apply them with a tool of their own."""
    found = manifests(router)
    for manifest in found:
        if manifest["kind"] == "ConfigMap" and router.rules.lines():
            manifest["data"] = {names.RULES_KEY: router.rules.text()}
        if manifest["kind"] == "Service" and not router.service.headless:
            wanted = sorted({(rule.port, rule.protocol) for rule in router.rules.rules})
            manifest["spec"]["ports"] += [service_port(port, protocol) for port, protocol in wanted]
    return found


def service_port(port: int, protocol: str) -> dict[str, Any]:
    """The port of a Service for a rule."""
    return {"name": names.port_name(protocol, port), "port": port, "protocol": protocol, "targetPort": port}


def owned_by(manifest: Manifest, service_uid: str) -> Manifest:
    """The manifest with a Service as its owner; the Service's name is the label's."""
    return _owned(manifest, "Service", manifest["metadata"]["labels"][LABEL_SERVICE_NAME], service_uid)


def _owned(manifest: Manifest, kind: str, name: str, uid: str) -> Manifest:
    owner = {"apiVersion": KIND[kind].api_version, "kind": kind, "name": name, "uid": uid}
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [owner]}}


def peers_secret(router: Router, account_uid: str) -> Manifest:
    """The Secret of a router with several pods, without its key, as it may be shown.

    Its owner is the ServiceAccount, which is created and removed with the router. A Service is also removed when it gets
    another name, and would take the key of pods with it that go on.
    """
    made = _object(router, SECRET.name, names.peers_secret(router.name), type="Opaque")
    return _owned(made, "ServiceAccount", router.name, account_uid)


def with_key(secret: Manifest, key: bytes) -> Manifest:
    """The Secret as it is created. Neither to be shown nor to be kept."""
    return {**secret, "data": {KEY: base64.b64encode(key).decode()}}


def trial_pod(router: Router) -> Manifest:
    """The router's pod as a dry run can create it before the router's other objects exist."""
    template = _deployment(router)["spec"]["template"]
    spec = {**template["spec"], "automountServiceAccountToken": False}
    # Admission looks for the ServiceAccount.
    del spec["serviceAccountName"]
    metadata = {
        "generateName": f"{router.name}-",
        "labels": template["metadata"]["labels"],
        "annotations": {**router.pod_annotations, **NO_MESH_ANNOTATIONS},
    }
    found: Manifest = without_empty({"metadata": metadata, "spec": spec})
    return found


def pod_template(router: Router) -> Manifest:
    """The router's pods as its Deployment has them."""
    found: Manifest = without_empty(_deployment(router)["spec"]["template"])
    return found


def trial_service(router: Router) -> Manifest:
    """The router's Service as a dry run can create it, whether it exists or not."""
    service = _service(router)
    metadata = {"generateName": f"{service['metadata']['name']}-", "labels": service["metadata"]["labels"]}
    found: Manifest = without_empty({"metadata": metadata, "spec": service["spec"]})
    return found


def agent_permissions(router: Router) -> list[Permission]:
    """What the router's Role grants to its agent."""
    return [
        # Who deploys may do the rest to objects of any name, as routers come and go.
        Permission(verb, group, resource, rule["resourceNames"][0] if verb == "use" else "")
        for rule in _role(router)["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def needed_permissions(routers: Collection[Router]) -> list[Permission]:
    """What provisioning these routers does in their namespace: server-side apply, waiting for the pods, loading the rules."""
    found = [
        Permission(verb, kind.group, kind.plural)
        for kind in (*KINDS, *([MONITOR] if any(router.monitoring for router in routers) else []))
        # Server-side apply is a patch, and a creation as well where the object is missing.
        for verb in ("list", "create", "patch")
    ]
    rules, lease = KIND["ConfigMap"], KIND["Lease"]
    if any(router.has_standbys for router in routers):
        found.append(Permission("create", SECRET.group, SECRET.plural))
    return [
        *found,
        Permission("list", "", "pods"),
        Permission("get", rules.group, rules.plural),
        Permission("update", rules.group, rules.plural),
        Permission("get", lease.group, lease.plural),
    ]


def removal_permissions() -> list[Permission]:
    """What removing routers does in their namespace beyond listing."""
    return [Permission("delete", kind.group, kind.plural) for kind in KINDS]


def network_config(router: Router) -> str:
    """The CNI configuration of net1: a macvlan without IPAM, because MAC and addresses are the agent's.

    The IPv4 settings are the agent's too. IPv6 has some that only sysctls can change, and the agent must not write those.
    """
    macvlan: dict[str, Any] = {"type": "macvlan", "mode": router.macvlan_mode}
    if router.master:
        macvlan["master"] = router.master
    if router.mtu is not None:
        macvlan["mtu"] = router.mtu
    plugins = [macvlan]
    if 6 in router.families:
        sysctl = {"net.ipv6.conf.all.forwarding": "1", "net.ipv6.conf.IFNAME.accept_ra": "0"}
        plugins.append({"type": "tuning", "sysctl": sysctl})
    return json.dumps({"cniVersion": "1.0.0", "name": router.name, "plugins": plugins}, indent=2)


def network_plugins(router: Router) -> list[str]:
    """The CNI plugins that the network configuration names."""
    return [plugin["type"] for plugin in json.loads(network_config(router))["plugins"]]


def sysctls(router: Router) -> list[str]:
    """The sysctls that the network configuration sets, as it writes them."""
    plugins = json.loads(network_config(router))["plugins"]
    return [name for plugin in plugins for name in plugin.get("sysctl", ())]


def identity(router: Router) -> Identity:
    """What the agent is told of its router: the network identity, whose change restarts the pod. No rules."""
    return Identity(
        router=router.name,
        addresses=tuple(EgressAddress(address.cidr, address.gateway) for address in router.addresses),
        mac=router.mac,
        replicas=router.replicas,
        headless=router.service.headless,
        extra_ports=tuple(Port(port, protocol) for port, protocol in router.service.extra_ports),
        failover=router.failover,
        routes=router.routes,
        source=router.source,
    )


def _object(
    router: Router, kind: str, name: str, more_labels: dict[str, str] | None = None, **content: Any
) -> Manifest:
    metadata = {"name": name, "namespace": router.namespace, "labels": {**(more_labels or {}), **labels(router.name)}}
    return {"apiVersion": KIND[kind].api_version, "kind": kind, "metadata": metadata, **content}


def _network_attachment_definition(router: Router) -> Manifest:
    return _object(router, "NetworkAttachmentDefinition", router.name, spec={"config": network_config(router)})


def _role(router: Router) -> Manifest:
    # Everything that the agent may do, each by name. Creating cannot be limited to a name, so it may create nothing.
    slices = [names.endpoint_slice(router.name, family) for family in router.families]
    rules = [
        _rule("", ["configmaps"], [names.rules_config_map(router.name)], ["list", "watch"]),
        _rule("coordination.k8s.io", ["leases"], [router.name], ["get", "watch", "patch"]),
        _rule("discovery.k8s.io", ["endpointslices"], slices, ["get", "patch"]),
        # Before OpenShift lets somebody publish addresses of pods or Services, as the agent does, it asks whether he may
        # create this, by the slice's name. It asks the same for a patch, never for `patch`. There is nothing to create
        # behind it, so this one can be limited to names.
        _rule("discovery.k8s.io", ["endpointslices/restricted"], slices, ["create"]),
    ]
    constraints = router.security_context_constraints
    if constraints:
        rules.append(_rule("security.openshift.io", ["securitycontextconstraints"], [constraints], ["use"]))
    return _object(router, "Role", router.name, rules=rules)


def _rule(group: str, resources: list[str], resource_names: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "resourceNames": resource_names, "verbs": verbs}


def _role_binding(router: Router) -> Manifest:
    subject = {"kind": "ServiceAccount", "name": router.name, "namespace": router.namespace}
    role = {"apiGroup": _ROLES, "kind": "Role", "name": router.name}
    return _object(router, "RoleBinding", router.name, roleRef=role, subjects=[subject])


def _service(router: Router) -> Manifest:
    """Without a selector: the serving pod publishes itself in the EndpointSlices. The rules' ports follow the rules."""
    service = router.service
    ports = [{"name": names.AGENT_PORT_NAME, "port": names.AGENT_PORT, "protocol": "TCP"}]
    ports += [
        {"name": names.port_name(protocol, port), "port": port, "protocol": protocol}
        for port, protocol in service.extra_ports
    ]
    spec = {
        "type": "ClusterIP",
        "clusterIP": "None" if service.headless else None,
        "ipFamilies": [f"IPv{family}" for family in router.families],
        "ipFamilyPolicy": "RequireDualStack" if len(router.families) > 1 else "SingleStack",
        "ports": ports,
    }
    made = _object(router, "Service", service.name, service.labels, spec=spec)
    made["metadata"]["annotations"] = service.annotations
    return made


def _disruption_budget(router: Router) -> Manifest:
    """One pod may be evicted at a time, so that a drain waits until the other one stands by again.

    Pods that are not ready serve nobody, so they never keep a node from being drained.
    """
    spec = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector(router.name)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return _object(router, "PodDisruptionBudget", router.name, spec=spec)


def pod_monitor(router: Router) -> Manifest:
    """Has Prometheus read the metrics of the router's pods, and label them as the alert rules of monitoring/ expect."""
    relabelings = [
        # What the API server would add is said here: such lists are owned as a whole.
        {"action": "replace", "sourceLabels": [source], "targetLabel": target}
        for source, target in (
            ("__meta_kubernetes_pod_node_name", "node"),
            ("__meta_kubernetes_pod_label_app_kubernetes_io_instance", "router"),
        )
    ]
    spec = {
        "selector": {"matchLabels": selector(router.name)},
        "podMetricsEndpoints": [{"port": names.AGENT_PORT_NAME, "relabelings": relabelings}],
    }
    return _object(router, MONITOR.name, router.name, router.monitoring_labels, spec=spec)


def _endpoint_slice(router: Router, family: int, service_uid: str) -> Manifest:
    """Endpoints and ports are the serving agent's."""
    own = {
        # Not Kubernetes' own controllers.
        "endpointslice.kubernetes.io/managed-by": names.MANAGED_BY,
        LABEL_SERVICE_NAME: router.service.name,
    }
    name = names.endpoint_slice(router.name, family)
    made = _object(router, "EndpointSlice", name, own, addressType=f"IPv{family}")
    return owned_by(made, service_uid) if service_uid else made


def _deployment(router: Router) -> Manifest:
    networks = json.dumps([{"name": router.name, "interface": names.EGRESS_INTERFACE}])
    template = {
        "metadata": {
            "labels": pod_labels(router),
            "annotations": {
                **router.pod_annotations,
                NETWORKS: networks,
                REQUIRED_CONSTRAINTS: router.security_context_constraints or None,
                **NO_MESH_ANNOTATIONS,
            },
        },
        "spec": _pod_spec(router),
    }
    # Of several pods one is replaced after the other, each when the one before could serve. The only one has nobody to
    # wait for: a new pod could but wait for its address.
    rolling = {"maxSurge": 0, "maxUnavailable": 1 if router.has_standbys else "100%"}
    spec = {
        "replicas": router.replicas,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
        "selector": {"matchLabels": selector(router.name)},
        "template": template,
    }
    return _object(router, "Deployment", router.name, spec=spec)


def _pod_spec(router: Router) -> dict[str, Any]:
    return {
        "serviceAccountName": router.name,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _grace_seconds(router),
        "imagePullSecrets": [{"name": name} for name in router.image_pull_secrets],
        "priorityClassName": router.priority_class_name or None,
        "runtimeClassName": router.runtime_class_name or None,
        "hostUsers": router.host_users,
        "nodeSelector": router.node_labels,
        "tolerations": [*router.tolerations, *_of_lost_nodes(router)],
        "affinity": _affinity(router),
        # Several pods of a router are of use on several nodes only.
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector(router.name)},
            }
        ],
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(router)],
        "volumes": _volumes(router),
    }


def _grace_seconds(router: Router) -> int:
    """How long a pod may take to end. It ends as soon as none of its connections is open any more."""
    relay_seconds = router.failover.relay_seconds if router.has_standbys else 0
    return _END_SECONDS + (_AROUND_RELAY_SECONDS + max(relay_seconds, _PREPARE_SECONDS) if relay_seconds else 0)


def _of_lost_nodes(router: Router) -> list[dict[str, Any]]:
    """How long a router's only pod stays on a node that is lost, unless the user says so. Kubernetes waits for 300 s.

    The new pod asks the segment before it takes the address, so it need not wait until the old one has surely ended.
    """
    if router.has_standbys:
        return []
    # As the API server looks whether it has to add its own.
    given = {one.get("key", "") for one in router.tolerations if one.get("effect", "NoExecute") == "NoExecute"}
    return [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _LOST_NODE_SECONDS}
        for key in _LOST_NODE
        if not given & {key, ""}
    ]


def _affinity(router: Router) -> dict[str, Any] | None:
    """Pods in different zones, where there are any.

    A second topologySpreadConstraint would not do: the scheduler leaves nodes without a zone out of both, and so does not
    spread over nodes either where there are no zones.
    """
    if not router.has_standbys:
        return None
    term = {"labelSelector": {"matchLabels": selector(router.name)}, "topologyKey": ZONE}
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def _volumes(router: Router) -> list[dict[str, Any]]:
    """The key of the messages between pods. They start without it: where it is missing, they have the Lease.

    Projected, which the SecurityContextConstraints of OpenShift admit as they are, because the account's token is too.
    """
    if not router.has_standbys:
        return []
    source = {"secret": {"name": names.peers_secret(router.name), "optional": True}}
    return [{"name": _PEERS, "projected": {"defaultMode": 0o400, "sources": [source]}}]


def _container(router: Router) -> dict[str, Any]:
    # The API server would add it, and a field reference is owned as a whole.
    version = {"apiVersion": "v1"}
    environment = {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "POD_UID": "metadata.uid",
        "POD_IPS": "status.podIPs",
        "NODE_NAME": "spec.nodeName",
    }
    return {
        "name": "router",
        "image": router.image,
        "command": ["egress-router", "run"],
        "env": [
            {"name": VARIABLE, "value": identity(router).to_json()},
            *(
                {"name": name, "valueFrom": {"fieldRef": {**version, "fieldPath": path}}}
                for name, path in environment.items()
            ),
        ],
        "ports": _container_ports(router),
        "volumeMounts": [
            {"name": volume["name"], "mountPath": KEYS_DIRECTORY, "readOnly": True} for volume in _volumes(router)
        ],
        "livenessProbe": _http_probe("/healthz", periodSeconds=10, timeoutSeconds=5, failureThreshold=3),
        "readinessProbe": _http_probe("/readyz", periodSeconds=2, timeoutSeconds=2, failureThreshold=2),
        "resources": router.resources,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            # Capabilities are of use to root only; these two change this pod's own network namespace and nothing else.
            "runAsUser": 0,
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _container_ports(router: Router) -> list[dict[str, Any]]:
    found = [{"name": names.AGENT_PORT_NAME, "containerPort": names.AGENT_PORT, "protocol": "TCP"}]
    if router.has_standbys:
        for name, port in ((BEAT_PORT_NAME, BEAT_PORT), (RELAY_PORT_NAME, RELAY_PORT)):
            found.append({"name": name, "containerPort": port, "protocol": "UDP"})
    return found


def _http_probe(path: str, **times: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": names.AGENT_PORT_NAME}, **times}


def without_empty(value: Any) -> Any:
    """The same without None and empty lists and dictionaries: the API server does not store them either."""
    if isinstance(value, dict):
        inner: Iterable[tuple[Any, Any]] = ((key, without_empty(item)) for key, item in value.items())
        return {key: item for key, item in inner if item is not None and item not in ({}, [])}
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    return value
