# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check: that it finds its fault, under the right id, that nothing else is found, and what is not a fault."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.inspect import Conntrack, Interface, Nft
from ansible_collections.egress.router.plugins.module_utils._preflight.checks.all import IDS
from ansible_collections.egress.router.plugins.module_utils._preflight.checks.cloud import cloud_of
from ansible_collections.egress.router.plugins.module_utils._preflight.checks.permissions import attributes, described
from ansible_collections.egress.router.plugins.module_utils._preflight.facts import (
    Facts,
    Inspection,
    Operated,
    Pod,
    Quota,
    Refusal,
    Settings,
    pod_trial,
)
from ansible_collections.egress.router.plugins.module_utils._preflight.finding import Finding
from ansible_collections.egress.router.plugins.module_utils._preflight.report import examine
from ansible_collections.egress.router.plugins.module_utils._router.manifests import (
    Permission,
    selector,
)
from ansible_collections.egress.router.plugins.module_utils._router.router import Router
from ansible_collections.egress.router.tests.unit.plugins.module_utils._preflight.good_cluster import (
    IP,
    LINUX,
    MAC,
    cni,
    deployed,
    facts,
    interface,
    named,
    node,
    on_openshift,
    router,
    seen,
    target,
)

FAILOVER = (Path(__file__).resolve().parents[6] / "docs/failover.md").read_text(encoding="utf-8")
AWS, VSPHERE = "aws:///eu-central-1a/i-0abc", "vsphere://4217b9c0-0000-4000-8000-000000000001"


def found(of: Facts) -> list[Finding]:
    return list(examine(of).findings)


def ids(of: Facts) -> list[tuple[str, str]]:
    return [(finding.check, finding.severity) for finding in found(of)]


def provider(*provider_ids: str, **changes: Any) -> Facts:
    nodes = tuple(node(f"worker-{n}", spec={"providerID": text}) for n, text in enumerate(provider_ids, 1))
    return facts(nodes=nodes, **changes)


def on_worker(**changes: Any) -> Facts:
    """Something else is seen on worker-2."""
    return facts(on_nodes=seen(**changes))


def segment(**changes: Any) -> Facts:
    return on_worker(targets=(target(**changes),))


def master(**changes: Any) -> Facts:
    """A target behind an unsuitable master is not probed."""
    not_probed = set(changes) & {"exists", "up", "carrier"} or changes.get("enslaved_kind", "vrf") != "vrf"
    error = "not probed" if not_probed else ""
    return on_worker(interfaces={"eth1": interface(**changes)}, targets=(target(error=error),))


def bonded(macs: int) -> Facts:
    """A bond of two NICs, of which one has many MAC addresses."""
    bond = interface(name="bond0", kind="bond", driver=None, macs=macs, lower=("eth1", "eth2"))
    members = {
        name: interface(name=name, macs=count, enslaved_to="bond0", enslaved_kind="bond")
        for name, count in (("eth1", 3), ("eth2", macs))
    }
    found = seen(interfaces={"bond0": bond, **members}, targets=(target(master="bond0"),))
    return facts(router(master="bond0"), inspections={"worker-2": Inspection(found)})


def namespace(**metadata: Any) -> Facts:
    return facts(namespaces={"payments": {"metadata": {"name": "payments", **metadata}}})


def service(**spec: Any) -> Facts:
    return facts(services=({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec},))


def quota(hard: dict[str, str], used: dict[str, str], **changes: Any) -> Facts:
    numbers = ({key: Decimal(text) for key, text in items.items()} for items in (hard, used))
    return facts(quotas=(Quota("payments", "team", *numbers, **changes),))


def refused(said: str, known: str = "", **changes: Any) -> Facts:
    of = router(**changes)
    return facts(of, trials={pod_trial(of): Refusal(said, known)})


def runtime(**features: bool) -> dict[str, Any]:
    """A node whose container runtime has these features, beside a handler that has all of them."""
    handlers = [{"name": "crun", "features": {"userNamespaces": True}}, {"name": "", "features": features}]
    found = node("worker-1")
    return {**found, "status": {**found["status"], "runtimeHandlers": handlers}}


def policies(*specs: dict[str, Any], servers: tuple[tuple[str, int], ...] = (), of: Router | None = None) -> Facts:
    items = [{"metadata": {"name": f"p{n}", "namespace": "payments"}, "spec": spec} for n, spec in enumerate(specs)]
    return facts(*([of] if of else []), policies=tuple(items), api_server=servers)


def in_zones(*zones: str, on: str = "", **changes: Any) -> Facts:
    """A pair, and a node in each of the zones. `on`: the only zone that it may run in."""
    pair = router(**{"replicas": 2, "node_selector": {"topology.kubernetes.io/zone": on} if on else {}, **changes})
    labels = [{**LINUX, "topology.kubernetes.io/zone": zone} if zone else LINUX for zone in zones]
    nodes = [node(f"worker-{n}", labels=one, ip=f"10.0.0.{n}") for n, one in enumerate(labels, 1)]
    multus = [Pod("kube-system", "multus", f"worker-{n}", (), {"app": "multus"}) for n in range(1, len(zones) + 1)]
    return facts(pair, nodes=tuple(nodes), pods=tuple(multus))


def deployed_one(**changes: Any) -> Facts:
    return facts(deployed={"payments/db": deployed(router(), **changes)})


def other_router(**changes: Any) -> Facts:
    other = deployed(router(), namespace="elsewhere", mac="02:00:00:00:00:09", **changes)
    return facts(deployed={"elsewhere/db": other})


PREFLIGHT = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_COMPONENT: "preflight"}
SQUATTER = "02:00:00:00:00:07"


def operated(**changes: Any) -> Facts:
    """A cluster with a router that OpenShift's operator makes, and no other."""
    return of_operator({}, **changes)


def of_operator(of: dict[str, Any], nodes: Any = None, without: Any = None, **changes: Any) -> Facts:
    """The same with keys of the router, nodes, and what could not be read of the cluster."""
    one = router(backend="egress_router_cr", image=None, **{"master": None, **of})
    found = replace(facts(), routers=(), inspected=(), unread=without or {}, operated=Operated((one,), **changes))
    return replace(found, nodes=found.nodes if nodes is None else nodes)


def ovn_node(name: str, addresses: list[str], **config: Any) -> dict[str, Any]:
    """A node as OVN-Kubernetes annotates it."""
    found = node(name)
    default = {"mode": "shared", "interface-id": f"br-ex_{name}", "ip-addresses": addresses, **config}
    annotations = {"k8s.ovn.org/l3-gateway-config": json.dumps({"default": default})}
    return {**found, "metadata": {**found["metadata"], "annotations": annotations}}


ON_SEGMENT = tuple(ovn_node(f"worker-{n}", [f"198.51.100.1{n}/24", "2001:db8::1/64"]) for n in (1, 2))
ELSEWHERE = (ON_SEGMENT[0], ovn_node("worker-2", ["10.0.0.2/24"], **{"interface-id": "x", "bridge-id": "br-ex"}))


def egress_router(namespace: str, name: str, ip: str) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"addresses": [{"ip": ip}]}}


# What is there, the one finding (id and severity), and words of it.
FAULTS: dict[str, tuple[Facts, str, str, str]] = {
    "a cloud": (provider(AWS, AWS), "cloud", "error", "2 of the 2 nodes that can run it are servers of AWS; expected"),
    "a mixed cluster": (provider(AWS, VSPHERE), "cloud", "error", "1 of the 2 nodes that can run it is a server of AWS, the other 1 are not"),
    "no attachment API": (facts(attachment_api=False), "attachment_api", "error", "NetworkAttachmentDefinitions"),
    "Multus not on a node": (
        facts(pods=(Pod("kube-system", "multus", "worker-1", (), {"app": "multus"}),),
              on_nodes=cni("macvlan", "tuning"), inspections={
                  name: Inspection(cni("macvlan", "tuning")) for name in ("worker-1", "worker-2")}),
        "meta_plugin", "error", "no pod of Multus runs there"),
    "no sign of a meta-plugin": (
        facts(pods=(), on_nodes=cni("macvlan", "tuning")),
        "meta_plugin", "warning", "there is no sign of a meta-plugin"),
    "no macvlan plugin": (facts(on_nodes=cni("multus", "bridge")), "cni_plugins", "error", "lacks macvlan; expected"),
    "no tuning plugin": (
        facts(router(addresses=[{"ip": "2001:db8::50/64"}]), on_nodes=cni("multus", "macvlan")),
        "cni_plugins", "error", "lacks tuning; expected: the CNI plugins of the router's network: macvlan and tuning"),
    "no CNI directory": (
        facts(on_nodes=Inspection(problem="gone", no_cni_directory=True)), "cni_plugins", "error", "does not exist"),
    "selector matches nothing": (
        facts(router(node_selector={"egress": "yes"})), "nodes", "error", "none of the 2 nodes has the labels"),
    "no node with Linux": (
        facts(nodes=(node("worker-1", labels={"kubernetes.io/os": "windows"}), node("worker-2", labels={}))),
        "nodes", "error", "none of the 2 nodes has the label kubernetes.io/os=linux"),
    "all tainted": (
        facts(nodes=(node("worker-1", spec={"taints": [{"key": "gpu", "effect": "NoSchedule"}]}),)),
        "nodes", "error", "a taint that the router does not tolerate: gpu:NoSchedule"),
    "no node at all": (facts(nodes=()), "nodes", "error", "the cluster has no nodes"),
    "all cordoned": (
        facts(nodes=(node("worker-1", spec={"unschedulable": True}), node("worker-2", ready="Unknown"))),
        "nodes", "error", "worker-1 is cordoned, worker-2 is not ready"),
    "too few nodes": (
        facts(router(replicas=2), nodes=(node("worker-1"),)), "replicas", "warning", "1 node for 2 replicas"),
    "more than a pair": (
        in_zones("", "", "", replicas=3),
        "replicas", "info", "3 replicas: one pod serves, one is its successor, and the others wait"),
    "a pair in one zone of two": (in_zones("a", "a", "b", on="a"), "zones", "warning", "all 2 nodes that can run it are in zone a"),
    "a budget of somebody's own in the way of the router's": (
        facts(router(replicas=2), named=(named("PodDisruptionBudget", "db"),)),
        "foreign_objects", "error", "PodDisruptionBudget db in namespace payments exist"),
    "no messages between pods": (
        policies({"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "shop"}}}]}]}, of=router(replicas=2)),
        "beats", "warning",
        "p0 of namespace payments permit no messages (29798/UDP) and no relayed connections (29799/UDP) from its other pods; expected: "
        "that its pods reach one another on 29798/UDP and 29799/UDP. Apply the network policy of docs/failover.md, without which a "
        "take-over takes as long as the Lease of the router lasts, and open connections are reset when"),
    "messages between pods, but no relays": (
        policies({"podSelector": {}, "ingress": [{"ports": [{"protocol": "UDP", "port": "beats"}]}]}, of=router(replicas=2)),
        "beats", "warning",
        "permit no relayed connections (29799/UDP) from its other pods; expected: that its pods reach one another on 29799/UDP. Apply "
        "the network policy of docs/failover.md, without which open connections are reset when a pod is drained"),
    "relays between pods, but no messages": (
        policies({"podSelector": {}, "ingress": [{"ports": [{"protocol": "UDP", "port": "relays"}]}]}, of=router(replicas=2)),
        "beats", "warning", "permit no messages (29798/UDP) from its other pods; expected"),
    "nothing goes out to other pods": (
        policies(
            {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 6443}]}]},
            of=router(replicas=2, failover={"relay_seconds": 0})),
        "beats", "warning", "permit no messages (29798/UDP) to its other pods; expected: that its pods reach one another on 29798/UDP."),
    "a cordoned node": (
        facts(nodes=(node("worker-1"), node("worker-2", ip="10.0.0.2", spec={"unschedulable": True}))),
        "node_state", "warning", "the node is cordoned"),
    "no such interface": (master(exists=False), "master", "error", "there is no interface eth1"),
    "down": (master(up=False), "master", "error", "eth1 is down"),
    "no carrier": (master(carrier=False), "master", "error", "eth1 has no carrier"),
    "a bridge port": (
        master(enslaved_to="br0", enslaved_kind="bridge"), "master", "error", "eth1 is a port of br0"),
    "a bond member": (master(enslaved_to="bond0", enslaved_kind="bond"), "master", "error", "Set master to bond0"),
    "no master for a macvlan": (master(kind="loopback"), "master", "error", "eth1 is of kind loopback"),
    "MTU": (
        facts(router(mtu=9000), on_nodes=seen(interfaces={"eth1": interface(mtu=9000)})),
        "master_mtu", "error", "eth1 has MTU 1500"),
    "another subnet": (
        master(addresses=("203.0.113.9/24",)), "master_subnet", "warning", "eth1 is in 203.0.113.0/24"),
    "address in use": (segment(holder_mac=SQUATTER), "address", "error", f"{IP} is in use by {SQUATTER}"),
    "the same router elsewhere": (
        segment(holder_mac=MAC, mac_seen_at=IP), "address", "error", "the router is not deployed in this cluster"),
    "the node's own address": (segment(node_has_ip_on="eth1"), "address", "error", "is an address of the node itself, on eth1"),
    "not probed": (segment(error="no permission"), "address", "warning", "could not be probed: no permission"),
    "MAC answers as another": (
        segment(mac_seen_at="198.51.100.77"), "mac", "error", "answers for 198.51.100.77"),
    "MAC overheard": (segment(mac_seen_at=""), "mac", "error", "sends on the segment"),
    "MAC on the node": (segment(node_has_mac_on="eth1"), "mac", "error", "is that of another interface on eth1"),
    "MAC of another router": (
        facts(deployed={"elsewhere/db": deployed(router(), namespace="elsewhere", ip="198.51.100.99")}),
        "mac", "error", "is also the MAC address of egress router elsewhere/db"),
    "silent gateway": (segment(gateway_mac=None), "gateway", "error", "the gateway 198.51.100.1 does not answer"),
    "silent gateway of a route": (
        facts(
            router(routes=[{"destination": "192.0.2.0/24", "gateway": "198.51.100.2"}]),
            on_nodes=seen(targets=(target(silent_route_gateways=("198.51.100.2",)),))),
        "gateway", "error", "the gateway 198.51.100.2 of the route to 192.0.2.0/24 does not answer"),
    "a node's address": (
        facts(nodes=(node("worker-1", ip=IP), node("worker-2", ip="10.0.0.2"))), "cluster_address", "error", "node worker-1"),
    "in the pods' network": (
        facts(nodes=(node("worker-1", spec={"podCIDRs": ["198.51.100.0/24"]}),)),
        "cluster_address", "error", "is in the pod network 198.51.100.0/24 of node worker-1"),
    "a pod's address": (
        facts(pods=(*facts().pods, Pod("shop", "web-1", "worker-1", ("10.244.1.7", IP)))),
        "cluster_address", "error", "is an address of pod shop/web-1"),
    "a ClusterIP": (service(clusterIPs=[IP]), "cluster_address", "error", "is an address of Service shop/web"),
    "an external IP": (service(clusterIPs=["None"], externalIPs=[IP]), "cluster_address", "error", "Service shop/web"),
    "another router's address": (
        other_router(), "cluster_address", "error", "is also an address of egress router elsewhere/db"),
    "too many MACs for the NIC": (
        on_worker(interfaces={"eth1": interface(macs=65)}), "mac_budget", "warning",
        "eth1 receives for 65 MAC addresses, and for 66 with the routers"),
    "too many MACs for the switch": (
        facts(settings=Settings(mac_limit=1)), "mac_budget", "error", "at most 1, the value of preflight_mac_limit"),
    "too many MACs for the NICs below a bond": (
        bonded(65), "mac_budget", "warning", "eth2 receives for 65 MAC addresses, and for 66 with the routers"),
    "promiscuous": (
        on_worker(interfaces={"eth1": interface(promiscuous=1)}), "promiscuous", "info", "eth1 is in promiscuous mode"),
    "no namespace": (facts(namespaces={}), "namespace", "error", "there is no namespace payments"),
    "namespace going": (namespace(deletionTimestamp="now"), "namespace", "error", "is being deleted"),
    "restricted": (
        namespace(labels={"pod-security.kubernetes.io/enforce": "restricted"}), "pod_security", "error", "level restricted"),
    "restricted by default": (
        refused('pods "x" is forbidden: violates PodSecurity "baseline:latest": NET_ADMIN'),
        "pod_security", "error", "namespace payments refuses a pod like the router's"),
    "the feature gate is off": (
        refused("", Refusal.NO_USER_NAMESPACES, host_users=False),
        "user_namespaces", "error", "leaves out hostUsers, so the pod would run without one; expected: a user namespace"),
    "a runtime without user namespaces": (
        facts(router(host_users=False), nodes=(runtime(userNamespaces=False), node("worker-2"))),
        "user_namespaces", "error", "the node's container runtime has no user namespaces"),
    "a runtime that knows no user namespaces": (
        facts(router(host_users=False), nodes=(runtime(), node("worker-2"))),
        "user_namespaces", "error", "the node's container runtime has no user namespaces"),
    "a missing priority class": (
        refused("no PriorityClass with name x was found", priority_class_name="x"), "admission", "error", "no PriorityClass"),
    "a policy for the router's own labels": (
        policies({"podSelector": {"matchLabels": {"team": "payments"}}, "policyTypes": ["Egress"]},
                 of=router(pod_labels={"team": "payments"})),
        "network_policy", "error", "permit no outgoing traffic"),
    "an image that cannot be pulled": (
        facts(on_nodes=Inspection(images={"img:1": "ErrImagePull: unauthorized"})), "image", "error", "add a pull secret"),
    "an image that preflight cannot pull": (
        facts(router(image_pull_secrets=["registry"]), on_nodes=Inspection(images={"img:1": "ErrImagePull: unauthorized"})),
        "image", "warning", "This proves nothing, because image_pull_secrets are read in the router's own namespace"),
    "an image that the same secrets cannot pull": (
        facts(router(image_pull_secrets=["registry"]), on_nodes=Inspection(images={"img:1": "ErrImagePull: unauthorized"}),
              settings=Settings(inspection_namespace="checks")),
        "image", "error", "add a pull secret"),
    "an image that was pulled and does not start": (
        facts(router(image_pull_secrets=["registry"]), on_nodes=Inspection(images={"img:1": "StartError: exit code 128"})),
        "image", "error", "StartError"),
    "refused by a webhook": (
        refused("admission webhook denied the request: no root"), "admission", "error", "no root"),
    "no IPv6 Services": (
        facts(router(addresses=[{"ip": f"{IP}/24"}, {"ip": "2001:db8::5/64"}]),
              service_trials={("payments", (4, 6)): Refusal("this cluster is not configured for dual-stack")}),
        "service", "error", "a Service for IPv4 and IPv6: this cluster is not"),
    "quota of pods": (quota({"pods": "5"}, {"pods": "5"}), "quota", "error", "leaves 0 of pods, but the routers need 1"),
    "quota of the CPU's short name": (
        quota({"cpu": "1"}, {"cpu": "0.95"}), "quota", "error", "leaves 0.05 of cpu, but the routers need 0.1"),
    "quota of memory": (
        quota({"requests.memory": "25165824"}, {}), "quota", "error",
        "leaves 25165824 of requests.memory, but the routers need 100663296"),
    "a limit that is missing": (
        refused('pods "x" is forbidden: failed quota: q: must specify limits.cpu'),
        "quota", "error", "must specify limits.cpu"),
    "master taken": (
        on_worker(interfaces={"eth1": interface(occupant="macvlan mv0")}), "master", "error",
        "eth1 is taken by macvlan mv0, beside which the kernel lets no macvlan be"),
    "master without a MAC address": (
        on_worker(interfaces={"eth1": interface(mac=None, kind="tun")}), "master", "error", "eth1, of kind tun, has no MAC address"),
    "nothing comes in": (
        policies({"podSelector": {}, "policyTypes": ["Ingress"]}), "network_policy", "error", "p0 of namespace payments permit no incoming traffic"),
    "nothing gets out": (
        policies({"podSelector": {}, "policyTypes": ["Egress"]}), "network_policy", "error", "permit no outgoing traffic"),
    "nothing gets out by a policy that names no type": (
        policies({"podSelector": {}, "ingress": [{}], "egress": [{"to": [{"podSelector": {}}]}]}),
        "network_policy", "error", "permit outgoing traffic to pods only"),
    "only DNS gets out": (
        policies({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
            {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]},
            {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/24"]}}]},
            {"to": [{"ipBlock": {"cidr": "10.0.0.10/32"}}], "ports": [{"port": 443, "endPort": 500}]},
        ]}, servers=(("10.0.0.10", 6443),)),
        "network_policy", "error",
        "permit outgoing traffic to other addresses or ports only, so its agent does not reach the API server at 10.0.0.10 port 6443"),
    "only DNS gets out, and nobody knows where the API server is": (
        policies({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]}),
        "network_policy", "error", "permit outgoing traffic to other addresses or ports only"),
    "the API server is out of reach": (
        policies({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": {}}]}]}),
        "network_policy", "error", "permit outgoing traffic to pods only"),
    "permissions": (
        facts(missing_permissions={"payments": ("create deployments.apps", "patch services")}, identity="jane"),
        "permissions", "error", "jane may not create deployments.apps, patch services in namespace payments"),
    "permissions in the cluster": (
        facts(missing_permissions={"": ("create namespaces",)}), "permissions", "error",
        "the identity in use may not create namespaces in the cluster; expected: all permissions that provision needs. Grant "
        "them with a ClusterRole and a ClusterRoleBinding"),
    "a kernel that cannot relay": (
        facts(router(replicas=2), on_nodes=seen(relay_error="there are no VXLAN interfaces: (95, 'Operation not supported')")),
        "relay", "warning", "node worker-2): the kernel cannot relay connections: there are no VXLAN interfaces: (95, "),
    "old kernel": (on_worker(kernel="4.9.0-x", nft=Nft(True)), "kernel", "warning", "kernel 4.9.0-x"),
    "no nftables": (on_worker(nft=Nft(False, error="Operation not supported")), "nft", "error", "not supported"),
    "no jhash": (
        facts(router(source="spread"), on_nodes=seen(nft=Nft(True, True, True, False, "No such file"))), "nft", "error",
        "refuses to spread connections: No such file"),
    "no concatenations": (on_worker(nft=Nft(True, False)), "nft", "error", "refuses the router's table"),
    "conntrack full": (on_worker(conntrack=Conntrack(262144, 250000)), "conntrack", "warning", "250000 of at most 262144"),
    "no forwarding": (on_worker(sysctl={"net.ipv4.ip_forward": "0"}), "forwarding", "warning", "net.ipv4.ip_forward is 0"),
    "no image": (
        facts(on_nodes=Inspection(images={"img:1": "ErrImagePull: not found"}, problem="img:1 does not start")),
        "image", "error", "ErrImagePull: not found"),
    "somebody else's object": (
        facts(named=(named("Service", "db"), named("ConfigMap", "db-rules"))),
        "foreign_objects", "error", "ConfigMap db-rules, Service db in namespace payments exist and do not belong to this router"),
    "leftovers": (
        facts(named=(named("Lease", "old", "old"), named("Role", "old", "old"))), "leftovers", "info",
        "objects of egress router payments/old, which has no Deployment: Lease old, Role old"),
    "leftovers of a router of the list": (
        facts(named=(named("ConfigMap", "db-rules", "db"),)), "leftovers", "info",
        "leftovers (router payments/db): objects of egress router payments/db, which has no Deployment: ConfigMap db-rules; "
        "expected: a router with a Deployment, or no objects of it. No action needed: provision takes them over"),
    "a killed preflight": (
        facts(namespaces={**facts().namespaces, "egress-preflight-x": {
            "metadata": {"name": "egress-preflight-x", "labels": PREFLIGHT}}}),
        "leftovers", "warning", "namespace egress-preflight-x"),
    "no constraints on OpenShift": (
        on_openshift(constraints={"egress-router": False}), "security_context_constraints", "error",
        "there are no SecurityContextConstraints egress-router, and the identity in use may not make them"),
    "sysctls that OpenShift does not permit": (
        on_openshift(router(addresses=[{"ip": "2001:db8::50/64"}], security_context_constraints="egress-router")),
        "sysctls", "error", "does not let the CNI plugin tuning set net.ipv6.conf.all.forwarding;"),
    "no Multus on OpenShift": (on_openshift(multi_network=False), "cluster_network", "error", "there is no Multus"),
    "OpenShift in a cloud": (on_openshift(platform="GCP"), "platform", "error", "the platform of the cluster is GCP"),
    "no EgressRouters": (operated(served=False), "egress_router_cr", "error", "the API server does not know the kind EgressRouter"),
    "an operator without Multus": (operated(multi_network=False), "egress_router_cr", "error", "so that there is no Multus"),
    "another network": (
        operated(network_type="OpenShiftSDN"), "egress_router_cr", "error", "the network type of the cluster is OpenShiftSDN"),
    "what the cluster is may not be read": (
        operated(unread={"platform": "jane may not"}), "egress_router_cr", "warning", "could not be read: jane may not"),
    "the address in another namespace": (
        operated(resources=(egress_router("cards", "web", f"{IP}/24"),)), "egress_router_cr", "error",
        f"EgressRouter cards/web has address {IP} too"),
    "another resource in the namespace": (
        operated(resources=(egress_router("payments", "web", "198.51.100.99/24"), egress_router("payments", "db", f"{IP}/24"))),
        "egress_router_cr", "error", "namespace payments has EgressRouter web"),
    "resources that may not be read": (
        operated(unread={"resources": "jane may not"}), "egress_router_cr", "warning", "EgressRouters of other namespaces could not be read"),
    "a project's admin without the role": (
        operated(missing_permissions={"payments": ("patch egressrouters.network.operator.openshift.io",)}), "egress_router_cr", "error",
        "may not patch egressrouters.network.operator.openshift.io in namespace payments"),
    "an operator in a cloud": (
        of_operator({}, (node("worker-1", spec={"providerID": AWS}),)), "cloud", "error", "nodes that can run it is a server of AWS"),
    "no node for the operator's pod": (
        of_operator({"node_selector": {"egress": "yes"}}), "nodes", "error", "none of the 2 nodes has the labels"),
    "a cordoned node for the operator's pod": (
        of_operator({}, (ON_SEGMENT[0], node("worker-2", spec={"unschedulable": True}))), "node_state", "warning", "the node is cordoned"),
    "a master with the operator": (
        of_operator({"master": "eth1"}, ON_SEGMENT), "default_route", "warning",
        "(router payments/db, nodes worker-1, worker-2): master 'eth1' has no effect, the router is attached to the interface of the node's "
        "default route, br-ex; expected: no master with this backend"),
    "a default route elsewhere": (
        of_operator({}, ELSEWHERE), "default_route", "warning",
        "(router payments/db, node worker-2): the interface of the node's default route, br-ex, to which the router is attached, is in "
        "10.0.0.0/24; expected: the subnet of the egress address 198.51.100.50/24"),
    "a random MAC address on OpenStack, whose nodes may not be read": (
        of_operator({}, (), {"nodes": "jane may not list nodes"}, platform="OpenStack"), "random_mac", "error",
        "with its random MAC address is not known: jane may not list nodes"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_nothing_else(fault: str) -> None:
    of, check, severity, words = FAULTS[fault]
    assert ids(of) == [(check, severity)]
    assert words in str(found(of)[0])


def test_every_check_has_a_fault_that_it_finds() -> None:
    asked_elsewhere = {"openstack", "vsphere"}
    assert {fault[1] for fault in FAULTS.values()} | asked_elsewhere == set(IDS)
    assert len(IDS) == len(set(IDS))


def test_a_good_cluster() -> None:
    examination = examine(facts())
    assert examination.findings == ()
    assert examination.checked == IDS
    assert examination.gaps == ()


# What is like a fault, but is not one.
SOUND: dict[str, Facts] = {
    "vSphere and bare metal": provider(VSPHERE, ""),
    "a default route on the segment": of_operator({}, ON_SEGMENT),
    "a master that is the interface of the default route": of_operator({"master": "br-ex"}, ON_SEGMENT),
    "a default route of which nothing is known": of_operator({"master": "eth1"}),
    "OpenStack's nodes, whose ports Neutron is asked for": of_operator({}, ON_SEGMENT, platform="OpenStack"),
    "kind, OpenStack": provider("kind://podman/lab/worker", "openstack:///0abc"),
    "AWS nodes that it does not run on": facts(
        router(node_selector={"place": "here"}),
        nodes=(node("worker-1", labels={**LINUX, "place": "here"}), node("worker-9", spec={"providerID": AWS}))),
    "Multus known by its program": facts(pods=()),
    "another meta-plugin": facts(
        pods=(), settings=Settings(meta_plugins=("mine",)),
        inspections={name: Inspection(cni("macvlan", "mine", "tuning")) for name in ("worker-1", "worker-2")}),
    "a meta-plugin known by a pod's network status": facts(
        pods=tuple(Pod("shop", f"web-{n}", f"worker-{n}", (), has_network_status=True) for n in (1, 2)),
        inspections={name: Inspection(cni("macvlan", "tuning")) for name in ("worker-1", "worker-2")}),
    "a taint that comes and goes": facts(
        nodes=(node("worker-1", spec={"taints": [{"key": "node.kubernetes.io/x", "effect": "NoSchedule"}]}),)),
    "a tolerated taint": facts(
        router(tolerations=[{"key": "gpu", "operator": "Exists"}]),
        nodes=(node("worker-1", spec={"taints": [{"key": "gpu", "effect": "NoSchedule"}]}),)),
    "a port of a VRF": master(enslaved_to="blue", enslaved_kind="vrf"),
    "a master without addresses": master(addresses=()),
    "only link-local": master(addresses=("fe80::1/64",)),
    "a router that serves, on another node": facts(
        deployed={"payments/db": deployed(router())},
        on_nodes=seen(targets=(target(holder_mac=MAC, mac_seen_at=IP),))),
    "a router that serves, on this node": facts(
        deployed={"payments/db": deployed(router())},
        on_nodes=seen(targets=(target(node_has_mac_on="eth1"),))),
    "a router that serves with the MAC address it had": facts(
        router(mac="02:00:00:00:00:55"), deployed={"payments/db": deployed(router())},
        on_nodes=seen(targets=(target(holder_mac=MAC),))),
    "no gateway": facts(
        router(addresses=[{"ip": f"{IP}/24"}]), on_nodes=seen(targets=(target(gateway_mac=None),))),
    "its own pod": facts(
        deployed={"payments/db": deployed(router())},
        pods=(*facts().pods, Pod("payments", "db-x", "worker-1", ("10.244.1.7", IP), selector("db")))),
    "a pod on the host's network": facts(pods=(*facts().pods, Pod("kube-system", "proxy", "worker-1", ("10.0.0.1",)))),
    "its own MAC is counted already": facts(
        settings=Settings(mac_limit=2),
        pods=(*facts().pods, *(Pod("payments", f"db-{n}", f"worker-{n}", (), selector("db")) for n in (1, 2))),
        inspections={
            name: Inspection(seen(interfaces={"eth1": interface(macs=2)})) for name in ("worker-1", "worker-2")}),
    "promiscuous without a filter": on_worker(interfaces={"eth1": interface(promiscuous=1, driver="veth")}),
    "a namespace that will be made": facts(namespaces={}, settings=Settings(create_namespaces=True)),
    "privileged": namespace(labels={"pod-security.kubernetes.io/enforce": "privileged"}),
    "quota with room": quota({"pods": "5", "requests.cpu": "1"}, {"pods": "4", "requests.cpu": "0.9"}),
    "quota of other pods": quota({"pods": "0"}, {}, covers_routers=False),
    "a policy for the API server alone": policies(
        {"podSelector": {}, "policyTypes": ["Egress"], "egress": [
            {"to": [{"ipBlock": {"cidr": "10.0.0.8/29"}}], "ports": [{"port": 6000, "endPort": 7000}]}]},
        servers=(("10.0.0.10", 6443),)),
    "a policy for the API server, wherever it is": policies(
        {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 6443, "protocol": "TCP"}]}]}),
    "policies add up": policies(
        {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        {"podSelector": {"matchLabels": {names.LABEL_NAME: names.APP_NAME}}, "ingress": [{}], "egress": [{}],
         "policyTypes": ["Ingress", "Egress"]}),
    "a policy for others": policies(
        {"podSelector": {"matchLabels": {"app": "web"}}},
        {"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}},
        {"podSelector": {"matchExpressions": [{"key": names.LABEL_NAME, "operator": "NotIn", "values": ["egress-router"]}]}}),
    "a runtime with user namespaces": facts(
        router(host_users=False), nodes=(runtime(userNamespaces=True), node("worker-2"))),
    "a runtime without user namespaces, and nobody wants them": facts(
        router(host_users=True), nodes=(runtime(), node("worker-2"))),
    "a runtime class of which only the cluster knows": facts(
        router(host_users=False, runtime_class_name="crun"), nodes=(runtime(), node("worker-2"))),
    "a policy for pods without the router's label": policies(
        {"podSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, "policyTypes": ["Egress"]},
        of=router(pod_labels={"team": "payments"})),
    "a budget of somebody's own for the only pod": facts(named=(named("PodDisruptionBudget", "db"),)),
    "a budget of somebody's own instead of the router's": facts(
        router(replicas=2, disruption_budget=False), named=(named("PodDisruptionBudget", "db"),)),
    "a pair in two zones": in_zones("a", "b"),
    "a pair without zones": in_zones("", ""),
    "a pair, and a node whose zone is not known": in_zones("a", "", "b"),
    "one pod in one zone of two": in_zones("a", "a", "b", on="a", replicas=1),
    "a pair in the only zone": in_zones("a", "a"),
    "one pod that hears from no other": policies(
        {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "shop"}}}]}]}),
    "a pair with the policy of the docs": policies(
        {"podSelector": {}, "policyTypes": ["Ingress"]},
        *(yaml.safe_load(block)["spec"] for block in re.findall(r"```yaml\n(apiVersion: networking.*?)```", FAILOVER, flags=re.DOTALL)),
        {"podSelector": {}, "ingress": [{"ports": [{"port": 5432}]}]}, of=router(replicas=2)),
    "messages between pods, and nobody wants relays": policies(
        {"podSelector": {}, "ingress": [{"ports": [{"protocol": "UDP", "port": 29798}]}]},
        of=router(replicas=2, failover={"relay_seconds": 0})),
    "a kernel that cannot relay, for one pod": on_worker(relay_error="there are no VXLAN interfaces"),
    "a kernel that cannot relay, and nobody wants it": facts(
        router(replicas=2, failover={"relay_seconds": 0}), on_nodes=seen(relay_error="there are no VXLAN interfaces")),
    "a kernel that was not asked for relays": facts(router(replicas=2), on_nodes=seen(relay_error=None)),
    "a kernel without jhash, and nobody spreads": on_worker(nft=Nft(True, True, True, False, "No such file")),
    "a kernel that was not asked for jhash": facts(router(source="spread"), on_nodes=seen(nft=Nft(True, True, True))),
    "an old kernel that can": on_worker(kernel="4.18.0-553.el8"),
    "nothing could be seen": facts(on_nodes=Inspection(problem="its pod did not finish in time")),
    "a Service that the quota refuses, which is reported of the quota": facts(
        service_trials={("payments", (4,)): Refusal("exceeded quota: x")}),
    "no IPv6 forwarding for pods without IPv6": on_worker(sysctl={"net.ipv6.conf.all.forwarding": "0"}),
    "unknown conntrack": on_worker(conntrack=Conntrack()),
    "own objects": facts(
        deployed={"payments/db": deployed(router())},
        named=(named("Service", "db", "db"), named("ConfigMap", "db-rules", "db"), named("Secret", "db"))),
}  # fmt: skip


@pytest.mark.parametrize("case", SOUND)
def test_what_is_like_a_fault_but_is_not_one(case: str) -> None:
    assert [str(finding) for finding in found(SOUND[case])] == []


@pytest.mark.parametrize("annotation", [
    None, "no JSON", "{}", "[]", '{"default": {}}', '{"default": {"interface-id": "br-ex_worker-2", "ip-addresses": ["x"]}}',
    '{"default": {"interface-id": "br-ex_worker-2", "ip-addresses": ["2001:db8::1/64"]}}',
])  # fmt: skip
def test_a_default_route_that_is_not_known_is_told(annotation: str | None) -> None:
    other = node("worker-2")
    other["metadata"]["annotations"] = {"k8s.ovn.org/l3-gateway-config": annotation} if annotation else None
    examination = examine(of_operator({}, (ON_SEGMENT[0], other)))
    assert examination.findings == () and "default_route" in examination.checked
    (gap,) = examination.gaps
    assert gap[0] == "default_route" and gap[1].startswith("node worker-2: OVN-Kubernetes has not said")
    assert "default_route" not in examine(of_operator({}, (other,))).checked


@pytest.mark.parametrize(("provider_id", "cloud"), [
    (AWS, "AWS"),
    ("azure:///subscriptions/x/resourceGroups/y/providers/Microsoft.Compute/virtualMachines/z", "Azure"),
    ("gce://project/europe-west3-a/instance", "Google Cloud"),
    ("ibm://account///cluster/worker", "IBM Cloud"),
    ("oci://ocid1.instance.oc1.iad.abc", "Oracle Cloud"),
    ("ocid1.instance.oc1.iad.abc", "Oracle Cloud"),
    ("alicloud://cn-hangzhou.i-bp1abcdefghijklmnopq", "Alibaba Cloud"),
    ("cn-hangzhou.i-bp1abcdefghijklmnopq", "Alibaba Cloud"),
    ("digitalocean://1234", "DigitalOcean"),
    ("hcloud://1234", "Hetzner Cloud"),
    ("yandex://fhm0123456789abcdefg", "Yandex Cloud"),
    ("huaweicloud://6a5c1f5e-3f62-4d0e-9f5e-0d6a5c0d8a11", "Huawei Cloud"),
    ("cce://i-0Xabcdef", "Baidu AI Cloud"),
    ("bcc://i-0Xabcdef", "Baidu AI Cloud"),
    ("baiducloud://i-0Xabcdef", "Baidu AI Cloud"),
    ("tencentcloud:///ap-guangzhou-3/ins-0123abcd", "Tencent Cloud"),
    ("volcengine://i-0123abcd", "Volcano Engine"),
    ("upcloud:////6a5c1f5e-3f62-4d0e-9f5e-0d6a5c0d8a11", "UpCloud"),
    ("linode://1234", "Linode"),
    ("openstack:///0abc", ""), ("openstack://region/0abc", ""), (VSPHERE, ""), ("kind://docker/a/b", ""),
    ("metal3://0abc", ""), ("some-host.i-nternal", ""), ("", ""),
])  # fmt: skip
def test_clouds_by_provider_id(provider_id: str, cloud: str) -> None:
    assert cloud_of(provider_id) == cloud


def test_the_same_is_said_once() -> None:
    twins = [router(name=name, addresses=[{"ip": f"198.51.100.{n}/24"}]) for n, name in ((60, "a"), (61, "b"))]
    of = facts(*twins, nodes=tuple(node(f"worker-{n}", spec={"providerID": AWS}) for n in (1, 2)))
    (finding,) = found(of)
    assert finding.routers == ("payments/a", "payments/b")
    assert finding.nodes == ("worker-1", "worker-2")
    assert finding.where == "routers payments/a, payments/b, nodes worker-1, worker-2"


def test_permissions_as_the_api_server_is_asked_for_them() -> None:
    permission = Permission("create", "discovery.k8s.io", "endpointslices/restricted")
    assert described(permission) == "create endpointslices.discovery.k8s.io/restricted"
    assert attributes(permission, "payments") == {
        "verb": "create", "group": "discovery.k8s.io", "resource": "endpointslices", "subresource": "restricted",
        "namespace": "payments",
    }  # fmt: skip
    assert "subresource" not in attributes(Permission("get", "", "pods"), "")


def test_permissions_concern_the_routers_of_their_namespace() -> None:
    other = router(name="web", namespace="shop", addresses=[{"ip": "198.51.100.51/24"}])
    namespaces = {name: {"metadata": {"name": name}} for name in ("payments", "shop")}
    of = facts(router(), other, namespaces=namespaces, missing_permissions={"shop": ("get leases",)})
    assert [finding.routers for finding in found(of) if finding.check == "permissions"] == [("shop/web",)]


def test_what_the_segment_was_not_asked_for_is_not_checked() -> None:
    def on_master(interface: Interface, error: str) -> Facts:
        answer = seen(interfaces={"eth1": interface}, targets=(target(gateway_mac=None, error=error),))
        return facts(on_nodes=answer)

    absent = Interface("eth1")
    some = examine(on_master(absent, "there is no interface eth1"))
    assert [(finding.check, finding.nodes) for finding in some.findings] == [("master", ("worker-2",))]
    said = "node worker-2: there is no interface eth1"
    assert some.gaps == (("address", said), ("mac", said), ("gateway", said))
    assert {"address", "mac", "gateway"} <= set(some.checked), "on the other node"
    whole = facts(
        inspections={name: Inspection(seen(interfaces={"eth1": absent}, targets=(target(error="no eth1"),)))
                     for name in ("worker-1", "worker-2")}
    )  # fmt: skip
    none = examine(whole)
    assert not {"address", "mac", "gateway"} & set(none.checked)
    assert ("gateway", "nodes worker-1, worker-2: no eth1") in none.gaps
