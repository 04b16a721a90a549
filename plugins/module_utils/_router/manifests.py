# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The Kubernetes objects that a router is made of. Pure: from a router to dictionaries as a YAML file would have them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from .._contract import names
from .._contract.identity import VARIABLE, EgressAddress, Identity, Port
from .._contract.version import VERSION
from .own import LABEL_SERVICE_NAME, LABEL_VERSION, NETWORKS, NO_MESH_ANNOTATIONS, NO_MESH_LABELS, REQUIRED_CONSTRAINTS
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
    # The API server looks up the Role before it lets somebody bind it.
    Kind("RoleBinding", _ROLES, "v1", "rolebindings", 2),
    # Their owner is the Service, by its uid.
    Kind("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices", 2),
    # The pods use all the others.
    Kind("Deployment", "apps", "v1", "deployments", 3),
)
KIND = {kind.name: kind for kind in KINDS}


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
    """Kind and name of every object that the router has, or may have had with other address families."""
    own = {"ConfigMap": names.rules_config_map(router.name), "Service": router.service.name}
    found = []
    for kind in KINDS:
        if kind.name == "EndpointSlice":
            found += [(kind.name, names.endpoint_slice(router.name, family)) for family in names.FAMILIES]
        else:
            found.append((kind.name, own.get(kind.name, router.name)))
    return found


def manifests(router: Router, service_uid: str = "") -> list[Manifest]:
    """The objects of a present router, in the order of KINDS, without what others own: the rules and the status.

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
    metadata = manifest["metadata"]
    owner = {
        "apiVersion": KIND["Service"].api_version,
        "kind": "Service",
        "name": metadata["labels"][LABEL_SERVICE_NAME],
        "uid": service_uid,
    }
    return {**manifest, "metadata": {**metadata, "ownerReferences": [owner]}}


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


def needed_permissions() -> list[Permission]:
    """What provisioning does in a router's namespace: server-side apply, waiting for the pods, loading the rules."""
    found = [
        Permission(verb, kind.group, kind.plural)
        for kind in KINDS
        # Server-side apply is a patch, and a creation as well where the object is missing.
        for verb in ("list", "create", "patch")
    ]
    rules, lease = KIND["ConfigMap"], KIND["Lease"]
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
        _rule("coordination.k8s.io", ["leases"], [router.name], ["get", "patch"]),
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
    spec = {
        "replicas": router.replicas,
        # A new pod could only wait for the old one's lease, so the old one goes first.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "100%"}},
        "selector": {"matchLabels": selector(router.name)},
        "template": template,
    }
    return _object(router, "Deployment", router.name, spec=spec)


def _pod_spec(router: Router) -> dict[str, Any]:
    return {
        "serviceAccountName": router.name,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        # The agent gives the address back within a second, and the lease within 3.5 more if the API server is slow.
        "terminationGracePeriodSeconds": 5,
        "imagePullSecrets": [{"name": name} for name in router.image_pull_secrets],
        "priorityClassName": router.priority_class_name or None,
        "runtimeClassName": router.runtime_class_name or None,
        "hostUsers": router.host_users,
        "nodeSelector": router.node_labels,
        "tolerations": router.tolerations,
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
    }


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
        "ports": [{"name": names.AGENT_PORT_NAME, "containerPort": names.AGENT_PORT, "protocol": "TCP"}],
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
