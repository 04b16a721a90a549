"""Names, addresses and places of the lab. Nothing here does anything."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent.parent

CACHE = Path(
    os.environ.get("EGRESS_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "egress.router"
)
LAB_CACHE = CACHE / "lab"
BIN = LAB_CACHE / "bin"

# Another name makes a second lab beside the first.
CLUSTER = os.environ.get("EGRESS_LAB_NAME") or "egress-lab"
KUBECONFIG = LAB_CACHE / ("kubeconfig" if CLUSTER == "egress-lab" else f"kubeconfig-{CLUSTER}")
LOCK = Path("/run") / f"{CLUSTER}.lock"
CONTROL_PLANE = f"{CLUSTER}-control-plane"
WORKERS = (f"{CLUSTER}-worker", f"{CLUSTER}-worker2")
NODES = (CONTROL_PLANE, *WORKERS)
OUTSIDE = f"{CLUSTER}-outside"
NETWORK = CLUSTER  # the engine's network that kind puts the nodes on
SEGMENT = f"{CLUSTER}-segment"  # the network namespace that holds the egress segment's bridge

KUBERNETES_VERSION = "v1.34.4"
# What kubeadm of that version asks for, apart from its own programs: kubeadm config images list.
ETCD_TAG = "3.6.5-0"
COREDNS_TAG = "v1.12.1"
PAUSE_TAG = "3.10.1"
POD_SUBNET = "10.244.0.0/16"
SERVICE_SUBNET = "10.96.0.0/16"

EGRESS_INTERFACE = "eth1"
OUTSIDE_ADDRESSES = ("198.51.100.1/24", "2001:db8:51::1/64")
# Served on the outside server's lo: any of them answers.
DESTINATIONS = ("203.0.113.0/24", "2001:db8:113::/64")
GATEWAYS = ("198.51.100.1", "2001:db8:51::1")
WORKER_ADDRESSES = {
    WORKERS[0]: ("198.51.100.11/24", "2001:db8:51::11/64"),
    WORKERS[1]: ("198.51.100.12/24", "2001:db8:51::12/64"),
}

BASE_SUITE = "bookworm"
BASE_IMAGE = f"docker.io/library/debian:{BASE_SUITE}-slim"
NODE_IMAGE = "localhost/egress-lab-node"
ROUTER_IMAGE = "localhost/egress-router:dev"
ROUTER_CONTAINERFILE = REPOSITORY / "images" / "router" / "Containerfile"

MULTUS = os.environ.get("EGRESS_LAB_MULTUS", "")
# The real ones in place of the stand-ins: a command, a program's path.
OPENSHIFT_OPERATOR = os.environ.get("EGRESS_LAB_CNO", "")
EGRESS_ROUTER_PLUGIN = os.environ.get("EGRESS_LAB_EGRESS_ROUTER_PLUGIN", "")
OBSERVE_PORTS = os.environ.get("EGRESS_LAB_OBSERVE_PORTS", "tcp:5432 http:80 udp:53 tcp:9999").replace(",", " ").split()
