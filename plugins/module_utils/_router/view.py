# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""A router as templates and users need it: nothing is left to compute in Jinja."""

from __future__ import annotations

import json
from typing import Any

from .._contract import names
from .._contract.version import VERSION
from .router import Router, object_names

_API_VERSIONS = {
    "ServiceAccount": "v1",
    "Role": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
    "ConfigMap": "v1",
    "NetworkAttachmentDefinition": "k8s.cni.cncf.io/v1",
    "Lease": "coordination.k8s.io/v1",
    "Deployment": "apps/v1",
    "Service": "v1",
    "EndpointSlice": "discovery.k8s.io/v1",
}


def view(router: Router) -> dict[str, Any]:
    """The router in plain dictionaries, lists, texts and numbers. Absent routers have identity and objects only."""
    result: dict[str, Any] = {
        "name": router.name,
        "namespace": router.namespace,
        "id": router.id,
        # As the modules' option `routers` takes it.
        "reference": {"name": router.name, "namespace": router.namespace},
        "state": router.state,
        "labels": labels(router.name),
        "selector": selector(router.name),
        "label_selectors": [f"{key}={value}" for key, value in selector(router.name).items()],
        "config_map": names.rules_config_map(router.name),
        "objects": _objects(router),
    }
    return {**result, **_present_view(router)} if router.present else result


def labels(name: str) -> dict[str, str]:
    """The labels of every object of a router."""
    return {**selector(name), "app.kubernetes.io/version": VERSION}


def selector(name: str) -> dict[str, str]:
    """The labels that never change: for the Deployment's selector and for the pods, which no upgrade shall restart."""
    return {
        names.LABEL_NAME: names.APP_NAME,
        names.LABEL_INSTANCE: name,
        names.LABEL_COMPONENT: "router",
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
    }


def agent_args(router: Router) -> list[str]:
    """The agent's command line: the router's network identity, whose change restarts the pod. Rules are not in it."""
    args = [f"--router={router.name}"]
    args += [f"--address={address.cidr}" for address in router.addresses]
    args += [f"--gateway={address.gateway}" for address in router.addresses if address.gateway]
    args += [f"--mac={router.mac}", f"--replicas={router.replicas}"]
    args += ["--headless"] if router.service.headless else []
    args += [f"--extra-port={port}/{protocol}" for port, protocol in router.service.extra_ports]
    return args


def network_config(router: Router) -> str:
    """The CNI configuration of net1: a macvlan without IPAM (MAC and addresses are the agent's), then its sysctls."""
    macvlan: dict[str, Any] = {"type": "macvlan", "mode": router.macvlan_mode}
    if router.master:
        macvlan["master"] = router.master
    if router.mtu is not None:
        macvlan["mtu"] = router.mtu
    sysctl = {
        # Answers of remote servers come in on net1 while the default route is eth0's: loose mode (RFC 3704).
        "net.ipv4.conf.IFNAME.rp_filter": "2",
        # Only net1's own addresses are answered for and announced on the segment, never eth0's.
        "net.ipv4.conf.IFNAME.arp_ignore": "1",
        "net.ipv4.conf.IFNAME.arp_announce": "2",
        "net.ipv4.ip_forward": "1",
    }
    if 6 in router.families:
        sysctl["net.ipv6.conf.all.forwarding"] = "1"
        sysctl["net.ipv6.conf.IFNAME.accept_ra"] = "0"
    plugins = [macvlan, {"type": "tuning", "sysctl": sysctl}]
    return json.dumps({"cniVersion": "1.0.0", "name": router.name, "plugins": plugins}, indent=2)


def _present_view(router: Router) -> dict[str, Any]:
    return {
        "image": router.image,
        "replicas": router.replicas,
        "addresses": [address.as_dict() for address in router.addresses],
        "families": list(router.families),
        "mac": router.mac,
        "master": router.master,
        "macvlan_mode": router.macvlan_mode,
        "mtu": router.mtu,
        "redirect_rules": [rule.as_dict() for rule in router.rules.rules],
        "fallback_ip": router.rules.fallback_ip,
        # As the option `routers` of redirect_rules takes it.
        "rules": {
            "name": router.name,
            "namespace": router.namespace,
            "redirect_rules": [rule.as_dict() for rule in router.rules.rules],
            "fallback_ip": router.rules.fallback_ip,
        },
        "rules_lines": router.rules.lines(),
        "rules_hash": router.rules.hash(),
        "node_selector": router.node_selector,
        "tolerations": router.tolerations,
        "resources": router.resources,
        "agent_args": agent_args(router),
        "agent_port": names.AGENT_PORT,
        "agent_port_name": names.AGENT_PORT_NAME,
        "network_annotation": json.dumps([{"name": router.name, "interface": names.EGRESS_INTERFACE}]),
        "network_config": network_config(router),
        "service": _service_view(router),
        "endpoint_slices": [
            {"name": names.endpoint_slice(router.name, family), "family": family, "address_type": f"IPv{family}"}
            for family in router.families
        ],
    }


def _service_view(router: Router) -> dict[str, Any]:
    service = router.service
    extra = [
        {"name": names.port_name(protocol, port), "port": port, "protocol": protocol}
        for port, protocol in service.extra_ports
    ]
    return {
        "name": service.name,
        "dns_name": f"{service.name}.{router.namespace}.svc",
        "headless": service.headless,
        "annotations": service.annotations,
        "labels": {**service.labels, **labels(router.name)},
        # Those that the role owns; the rules' ports are the module redirect_rules'.
        "ports": [{"name": names.AGENT_PORT_NAME, "port": names.AGENT_PORT, "protocol": "TCP"}, *extra],
        "ip_families": [f"IPv{family}" for family in router.families],
        "ip_family_policy": "RequireDualStack" if len(router.families) > 1 else "SingleStack",
    }


def _objects(router: Router) -> list[dict[str, str]]:
    """Every object of the router, in the order in which they are made. Both families' EndpointSlices."""
    found = list(object_names(router).items())
    found += [("EndpointSlice", names.endpoint_slice(router.name, family)) for family in names.FAMILIES]
    return [
        {"api_version": _API_VERSIONS[kind], "kind": kind, "name": name, "namespace": router.namespace}
        for kind, name in found
    ]
