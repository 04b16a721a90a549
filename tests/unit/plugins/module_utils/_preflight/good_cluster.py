# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster on which everything is as it should be, for tests that break one thing in it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.identity import EgressAddress
from ansible_collections.egress.router.plugins.module_utils._contract.inspect import (
    Answer,
    Cni,
    Conntrack,
    Interface,
    Nft,
    Occupancy,
)
from ansible_collections.egress.router.plugins.module_utils._preflight.facts import (
    Deployed,
    Facts,
    Inspection,
    Named,
    OpenShift,
    Pod,
    Review,
    pod_trial,
)
from ansible_collections.egress.router.plugins.module_utils._router.manifests import identity, network_config
from ansible_collections.egress.router.plugins.module_utils._router.router import Router
from ansible_collections.egress.router.plugins.module_utils._router.routers import load

IP, MAC, GATEWAY_MAC = "198.51.100.50", "02:e6:c6:33:64:32", "02:00:5e:00:53:01"
WORKERS = ("worker-1", "worker-2")
LINUX = {"kubernetes.io/os": "linux"}
MULTUS = ("multus", "worker-1"), ("multus", "worker-2")


def router(**changes: Any) -> Router:
    spec = {
        "name": "db",
        "namespace": "payments",
        "image": "img:1",
        "master": "eth1",
        "addresses": [{"ip": f"{IP}/24", "gateway": "198.51.100.1"}],
        **changes,
    }
    routers, problems = load([spec])
    assert problems == []
    return routers[0]


def node(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": changes.get("labels", LINUX)},
        "spec": {"podCIDRs": ["10.244.1.0/24"], **changes.get("spec", {})},
        "status": {
            "conditions": [{"type": "Ready", "status": changes.get("ready", "True")}],
            "addresses": [{"type": "InternalIP", "address": changes.get("ip", "10.0.0.1")}],
        },
    }


def target(**changes: Any) -> Occupancy:
    return replace(Occupancy(IP, MAC, "eth1", gateway_mac=GATEWAY_MAC), **changes)


def interface(macs: int = 1, **changes: Any) -> Interface:
    return replace(
        Interface(
            "eth1",
            exists=True,
            up=True,
            carrier=True,
            mtu=1500,
            kind="physical",
            driver="virtio_net",
            mac="02:00:5e:00:53:11",
            addresses=("198.51.100.11/24", "fe80::1/64"),
            unicast_filter=tuple(f"02:00:00:00:01:{number:02x}" for number in range(macs - 1)),
        ),
        **changes,
    )


def seen(**changes: Any) -> Answer:
    return replace(
        Answer(
            kernel="6.1.0",
            interfaces={"eth1": interface()},
            targets=(target(),),
            nft=Nft(True, True, True),
            relay_error="",
            conntrack=Conntrack(262144, 100),
            sysctl={"net.ipv4.ip_forward": "1"},
            cni=Cni("/opt/cni/bin", ("macvlan", "multus", "tuning")),
        ),
        **changes,
    )


def cni(*plugins: str) -> Answer:
    """A node with these CNI plugins."""
    return seen(cni=Cni("/opt/cni/bin", plugins))


def facts(*routers: Router, on_nodes: Answer | Inspection | None = None, **changes: Any) -> Facts:
    """Facts of the good cluster. `on_nodes`: what was seen on worker-2, if not the same as on worker-1."""
    wanted = routers or (router(),)
    other = on_nodes or seen()
    return replace(
        Facts(
            routers=wanted,
            nodes=(node("worker-1", ip="10.0.0.1"), node("worker-2", ip="10.0.0.2")),
            pods=tuple(Pod("kube-system", name, where, ("10.0.0.1",), {"app": name}) for name, where in MULTUS),
            services=({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"clusterIPs": ["10.96.0.5"]}},),
            namespaces={"payments": {"metadata": {"name": "payments", "labels": {}}}},
            missing_permissions={"payments": ()},
            amounts={
                one.id: {
                    "cpu": Decimal("0.1"),
                    "requests.cpu": Decimal("0.1"),
                    "requests.memory": 96 * Decimal(2) ** 20,
                }
                for one in wanted
            },
            trials={pod_trial(one): None for one in wanted},
            inspections={
                "worker-1": Inspection(seen()),
                "worker-2": other if isinstance(other, Inspection) else Inspection(other),
            },
            inspected=tuple(one.id for one in wanted),
        ),
        **changes,
    )


def deployed(of: Router, ip: str = "", mac: str = "", **changes: Any) -> Deployed:
    """A router that serves as described, or was deployed with another address or MAC address."""
    told = identity(of)
    told = replace(told, mac=mac or told.mac, addresses=(EgressAddress(f"{ip}/24"),) if ip else told.addresses)
    return replace(
        Deployed(of.namespace, of.name, True, told, told.mac, of.image, of.node_labels, network_config(of), True),
        **changes,
    )


def named(kind: str, name: str, owner: str = "", namespace: str = "payments") -> Named:
    ours = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_INSTANCE: owner}
    return Named(kind, namespace, name, ours if owner else {})


def on_openshift(*routers: Router, namespace: dict[str, Any] | None = None, **changes: Any) -> Facts:
    """Facts of a good cluster that is OpenShift. `namespace`: metadata of the routers'."""
    metadata = {"name": "payments", **(namespace or {})}
    wanted = routers or (router(security_context_constraints="egress-router"),)
    good = OpenShift(
        constraints={"egress-router": True},
        reviews=(Review(wanted[0].id, True, "egress-router"),),
        # As it is delivered, as far as routers are concerned.
        allow_list=("^net.ipv4.conf.IFNAME.send_redirects$", "^net.ipv6.conf.IFNAME.accept_ra$"),
        network_type="OVNKubernetes",
        platform="BareMetal",
    )
    namespaces = {metadata["name"]: {"metadata": metadata}}
    return facts(*wanted, namespaces=namespaces, openshift=replace(good, **changes))
