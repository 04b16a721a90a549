# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether something else in the cluster has an egress address."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from ..._router.addresses import Address
from ..._router.router import Router
from ..facts import NODES, PODS, ROUTERS, SERVICES, Facts, name_of
from ..finding import ERROR, Check, Finding, Part


def _addresses(facts: Facts) -> Iterator[tuple[Router, Address]]:
    for router in facts.routers:
        for address in router.addresses:
            yield router, address


def _found(router: Router, address: Address, owner: str) -> Finding:
    return Finding(
        "cluster_address", ERROR, f"{address.ip} {owner}", "an address that nothing else in the cluster has",
        "Choose another egress address", (router.id,),
    )  # fmt: skip


def _nodes(facts: Facts) -> Iterator[Finding]:
    owners = _by_ip((ip, f"is an address of node {name_of(node)}") for node in facts.nodes for ip in _node_ips(node))
    networks = [
        (ipaddress.ip_network(cidr, strict=False), name_of(node))
        for node in facts.nodes
        for cidr in node["spec"].get("podCIDRs") or ()
    ]
    for router, address in _addresses(facts):
        if address.ip in owners:
            yield _found(router, address, owners[address.ip])
        for network, node in networks:
            if ipaddress.ip_address(address.ip) in network:
                yield _found(router, address, f"is in the pod network {network} of node {node}")


def _pods(facts: Facts) -> Iterator[Finding]:
    nodes = {_plain(ip) for node in facts.nodes for ip in _node_ips(node)}
    owners = _by_ip((ip, pod) for pod in facts.pods for ip in pod.ips)
    for router, address in _addresses(facts):
        pod = owners.get(address.ip)
        # A pod on the host network has the address of its node.
        if pod and address.ip not in nodes and pod.router != router.id:
            yield _found(router, address, f"is an address of pod {pod.id}")


def _services(facts: Facts) -> Iterator[Finding]:
    owners = _by_ip(
        (ip, f"is an address of Service {service['metadata']['namespace']}/{name_of(service)}")
        for service in facts.services
        for ip in _service_ips(service)
    )
    for router, address in _addresses(facts):
        if address.ip in owners:
            yield _found(router, address, owners[address.ip])


def _routers(facts: Facts) -> Iterator[Finding]:
    listed = {router.id for router in facts.routers}
    for router, address in _addresses(facts):
        for other in facts.deployed.values():
            # Routers of the list are compared when the list is read.
            if other.id not in listed and address.ip in other.ips:
                yield _found(router, address, f"is also an address of egress router {other.id}")


def _by_ip(pairs: Any) -> dict[str, Any]:
    return {_plain(ip): owner for ip, owner in pairs}


def _plain(ip: str) -> str:
    """IPv6 in its short form, as routers have it."""
    try:
        return str(ipaddress.ip_address(ip))
    except ValueError:
        return ip


def _node_ips(node: Mapping[str, Any]) -> list[str]:
    kinds = ("InternalIP", "ExternalIP")
    return [item["address"] for item in (node.get("status") or {}).get("addresses") or () if item.get("type") in kinds]


def _service_ips(service: Mapping[str, Any]) -> list[str]:
    spec, status = service.get("spec") or {}, service.get("status") or {}
    found = [*(spec.get("clusterIPs") or ()), *(spec.get("externalIPs") or ()), spec.get("loadBalancerIP")]
    found += [item.get("ip") for item in (status.get("loadBalancer") or {}).get("ingress") or ()]
    return [ip for ip in found if ip and ip != "None"]


CHECK = Check(
    "cluster_address", "no node, pod, Service or other router has an egress address",
    (Part((NODES,), _nodes), Part((PODS,), _pods), Part((SERVICES,), _services), Part((ROUTERS,), _routers)),
)  # fmt: skip
