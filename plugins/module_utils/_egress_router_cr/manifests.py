# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""A router as an EgressRouter resource, and what belongs to it. Pure: from a router to dictionaries as a YAML file would have them.

The operator makes a network (NetworkAttachmentDefinition) and a Deployment of the resource. The collection adds to the Deployment
what keeps a new pod and the old one from having the address at the same time, and a hash of the network, because the operator
does not restart the pod when the network changes.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .._contract import names
from .._contract.rules import Rule, RuleSet
from .._contract.version import VERSION
from .._router.manifests import KIND, Manifest, Permission, service_port, without_empty
from .._router.openshift import FOLDER
from .._router.own import LABEL_VERSION
from .._router.router import Router
from .operator import APP_NAME, CHANGED_AT, CONTAINER, DEPLOYMENT, HASH, NETWORK, POD_LABELS, RESOURCE

# A strategic merge patch. Server-side apply of the type alone is refused, because the operator's fields for another type stay.
RECREATE: Manifest = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
# The pod's only process takes no notice of the signal to end, so it has the address until it is killed.
GRACE_SECONDS = 1
CLUSTER_ROLE = "egress-router-cr-deployer"
READER_ROLE = "egress-router-cr-reader"
# Where the role render writes what only a cluster-admin may apply, below render_path.
ROLES_FILE = f"{FOLDER}/cluster-roles.yaml"


def labels(router: Router) -> dict[str, str]:
    """The labels of what the collection makes."""
    return {
        names.LABEL_NAME: APP_NAME,
        names.LABEL_INSTANCE: router.name,
        names.LABEL_COMPONENT: "router",
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        LABEL_VERSION: VERSION,
    }


def resource(router: Router) -> Manifest:
    """The EgressRouter. What has no effect is left out."""
    spec = {
        "mode": "Redirect",
        "networkInterface": {"macvlan": {"mode": "Bridge"}},
        "addresses": [{"ip": address.cidr, "gateway": address.gateway} for address in router.addresses],
        "redirect": redirect(router.rules),
    }
    metadata = {"name": router.name, "namespace": router.namespace, "labels": labels(router)}
    return {"apiVersion": RESOURCE.api_version, "kind": RESOURCE.name, "metadata": metadata, "spec": spec}


def redirect(rules: RuleSet) -> dict[str, Any]:
    """The part of the resource that has the rules."""
    return {"redirectRules": [_rule(rule) for rule in rules.rules]}


def forwarding(router: Router) -> dict[str, Any]:
    """What the operator is to write as `ip` into the configuration of the network."""
    (address,) = router.addresses
    destinations = []
    for rule in router.rules.rules:
        target = f" {rule.target_port}" if rule.target_port != rule.port else ""
        destinations.append(f"{rule.port} {rule.protocol} {rule.destination_ip}{target}")
    return {"addresses": [address.cidr], "destinations": destinations, "gateway": address.gateway}


def hash_of(found: dict[str, Any]) -> str:
    """SHA-256 in hex of what `forwarding` returns, or of what the network has of it."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def deployment(router: Router, changed_at: str = "") -> Manifest:
    """The fields of the operator's Deployment that the collection sets. They stay when the operator applies its own.

    `changed_at`: makes a pod anew that has an older network of the same hash.
    """
    container = {"name": CONTAINER, "resources": _resources(router)}
    template = {
        "metadata": {
            "labels": router.pod_labels,
            "annotations": {
                **router.pod_annotations,
                HASH: hash_of(forwarding(router)),
                CHANGED_AT: changed_at or None,
            },
        },
        "spec": {
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "nodeSelector": router.node_labels,
            "tolerations": router.tolerations,
            "priorityClassName": router.priority_class_name or None,
            "containers": [container] if container["resources"] else [],
        },
    }
    metadata = {"name": DEPLOYMENT, "namespace": router.namespace}
    found = {"apiVersion": KIND["Deployment"].api_version, "kind": "Deployment", "metadata": metadata}
    result: Manifest = without_empty({**found, "spec": {"template": template}})
    return result


def service(router: Router) -> Manifest | None:
    """The Service, whose selector is the operator's pod. None: without a rule it would have no port, which only a headless one may."""
    ports = sorted({(rule.port, rule.protocol) for rule in router.rules.rules})
    wanted = router.service
    if not ports and not wanted.headless:
        return None
    made = {
        "apiVersion": KIND["Service"].api_version,
        "kind": "Service",
        "metadata": {
            "name": wanted.name,
            "namespace": router.namespace,
            "labels": {**wanted.labels, **labels(router)},
            "annotations": wanted.annotations,
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None" if wanted.headless else None,
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "selector": POD_LABELS,
            "ports": [] if wanted.headless else [service_port(port, protocol) for port, protocol in ports],
        },
    }
    result: Manifest = without_empty(made)
    return result


def applied(router: Router) -> list[Manifest]:
    """What somebody can apply with a tool of his own."""
    return [manifest for manifest in (resource(router), service(router)) if manifest]


def warnings(router: Router) -> list[str]:
    """What a present router asks for without effect and without harm."""
    if not router.master:
        return []
    return [
        f"router {router.id}, master: '{router.master}' has no effect with backend {router.backend}, the router is attached to the "
        "interface of the node's default route: make sure that this is the egress network's"
    ]


def needed_permissions() -> list[Permission]:
    """What provisioning, changing and removing does in a router's namespace."""
    deployments, networks = KIND["Deployment"], KIND["NetworkAttachmentDefinition"]
    return [
        *(Permission(verb, RESOURCE.group, RESOURCE.plural) for verb in ("list", "get", "create", "patch", "delete")),
        Permission("get", networks.group, networks.plural, NETWORK),
        *(Permission(verb, deployments.group, deployments.plural, DEPLOYMENT) for verb in ("get", "patch")),
        *(Permission(verb, "", "services") for verb in ("list", "get", "create", "patch", "delete")),
        Permission("list", "", "pods"),
        Permission("list", "", "events"),
    ]


def reading_permissions() -> list[Permission]:
    """What is read of the whole cluster where that is permitted: why the operator fails, what the cluster is, who has an address."""
    config, operators = "config.openshift.io", "operator.openshift.io"
    return [
        Permission("get", config, "clusteroperators", "network"),
        Permission("get", config, "networks", "cluster"),
        Permission("get", config, "infrastructures", "cluster"),
        Permission("get", operators, "networks", "cluster"),
        Permission("list", RESOURCE.group, RESOURCE.plural),
    ]


def cluster_roles() -> list[Manifest]:
    """The least that somebody needs who runs the collection: the first to be bound in each namespace, the second in the cluster."""
    found = ((CLUSTER_ROLE, needed_permissions()), (READER_ROLE, reading_permissions()))
    return [
        {
            "apiVersion": KIND["Role"].api_version,
            "kind": "ClusterRole",
            "metadata": {
                "name": name,
                "labels": {names.LABEL_NAME: APP_NAME, names.LABEL_MANAGED_BY: names.MANAGED_BY},
            },
            "rules": _rules(permissions),
        }
        for name, permissions in found
    ]


def _rules(permissions: list[Permission]) -> list[Manifest]:
    verbs: dict[tuple[str, str, str], list[str]] = {}
    for one in permissions:
        verbs.setdefault((one.group, one.resource, one.name), []).append(one.verb)
    return [
        {
            "apiGroups": [group],
            "resources": [plural],
            **({"resourceNames": [name]} if name else {}),
            "verbs": found,
        }
        for (group, plural, name), found in verbs.items()
    ]


def _rule(rule: Rule) -> dict[str, Any]:
    target = {"targetPort": rule.target_port} if rule.target_port != rule.port else {}
    return {"destinationIP": rule.destination_ip, "port": rule.port, "protocol": rule.protocol, **target}


def _resources(router: Router) -> dict[str, Any]:
    """Without the request of CPU, which is the operator's."""
    found = {name: dict(amounts) for name, amounts in router.resources.items()}
    found.get("requests", {}).pop("cpu", None)
    return {name: amounts for name, amounts in found.items() if amounts}
