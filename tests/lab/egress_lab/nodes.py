"""What a node of the cluster gets from the lab: CNI plugins, the primary network, network attachment, routes."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import time
from pathlib import Path

from . import gobuild
from .cluster import kubectl
from .engine import Engine
from .settings import EGRESS_ROUTER_PLUGIN, GATEWAYS, HERE, MULTUS, NODES, POD_SUBNET, SERVICE_SUBNET, WORKERS
from .shell import LabError, step

FOLDER = HERE / "cni"
STAMP = "/run/egress-lab"  # gone when the node restarts, as the routes are


def ensure(engine: Engine, openshift: bool = False) -> None:
    """Configure every node that is not configured like this already. `openshift`: with what a node has there besides."""
    plugins = _plugins(openshift)
    stamp = _stamp(plugins)
    if all(engine.run("exec", node, "test", "-e", f"{STAMP}/{stamp}", check=False).returncode == 0 for node in NODES):
        return
    with step("configuring the nodes: cluster objects, CNI plugins, routes", "10 seconds"):
        _apply_objects()
        pod_networks = _pod_networks()
        kubeconfig = _kubeconfig(pod_networks[NODES[0]][0][1])
        for node in NODES:
            cidrs = [cidr for cidr, _address in pod_networks[node]]
            archive = _archive(plugins, kubeconfig, _primary_network(cidrs, openshift))
            peers = [
                f"{cidr},{address},{name}"
                for name, networks in pod_networks.items()
                for cidr, address in networks
                if name != node
            ]
            gateway = GATEWAYS[0] if openshift and node in WORKERS else ""
            engine.run("exec", node, "rm", "-rf", STAMP)
            engine.run("exec", "-i", node, "tar", "-xf", "-", "-C", "/", stdin=archive)
            engine.run("exec", "-e", f"EGRESS_GATEWAY={gateway}", node, "/etc/egress-lab/setup-node", *peers)
            engine.run("exec", node, "sh", "-c", f"mkdir -p {STAMP} && touch {STAMP}/{stamp}")


def egress_router_plugin() -> Path:
    """OpenShift's CNI plugin `egress-router`: the stand-in, or the real one."""
    if not EGRESS_ROUTER_PLUGIN:
        return gobuild.EGRESS_ROUTER.build() / "egressrouter"
    if not Path(EGRESS_ROUTER_PLUGIN).is_file():
        raise LabError(f"EGRESS_LAB_EGRESS_ROUTER_PLUGIN names {EGRESS_ROUTER_PLUGIN}, and there is no such file.")
    return Path(EGRESS_ROUTER_PLUGIN)


def _plugins(openshift: bool) -> dict[str, Path]:
    """Plugin name to program; `meta` is the one that the container runtime calls."""
    found = {program.name: program for program in gobuild.CNI_PLUGINS.build().iterdir()}
    if MULTUS:
        if not Path(MULTUS).is_file():
            raise LabError(f"EGRESS_LAB_MULTUS names {MULTUS}, and there is no such file.")
        found["multus"] = Path(MULTUS)
    else:
        found["netattach"] = gobuild.NETATTACH.build() / "netattach"
    if openshift:
        found["egress-router"] = egress_router_plugin()
    return found


def _meta() -> str:
    return "multus" if MULTUS else "netattach"


def _stamp(plugins: dict[str, Path]) -> str:
    """Built programs are in folders named by their content; those of others are judged by time and size."""
    digest = hashlib.sha256()
    for name, program in sorted(plugins.items()):
        status = program.stat()
        digest.update(f"{name} {program} {status.st_size} {status.st_mtime_ns}\n".encode())
    for path in (*sorted(FOLDER.iterdir()), *sorted((HERE / "manifests").iterdir()), Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _apply_objects() -> None:
    manifests = ["network-attachment.yaml", "coredns.yaml", *(["multus.yaml"] if MULTUS else [])]
    kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=egress-lab",
        *(argument for name in manifests for argument in ("-f", str(HERE / "manifests" / name))),
    )
    # A Corefile reaches running pods minutes later; as part of the pod's template at once.
    digest = hashlib.sha256((HERE / "manifests" / "coredns.yaml").read_bytes()).hexdigest()[:16]
    kubectl(
        "-n",
        "kube-system",
        "patch",
        "deployment",
        "coredns",
        "-p",
        json.dumps({"spec": {"template": {"metadata": {"annotations": {"egress-lab/corefile": digest}}}}}),
    )


def _pod_networks(seconds: float = 60) -> dict[str, list[tuple[str, str]]]:
    """Node name to pod CIDR and address, IPv4 first. The controller manager hands the CIDRs out shortly after a node joins."""
    deadline = time.monotonic() + seconds
    while True:
        items = json.loads(kubectl("get", "nodes", "-o", "json").stdout)["items"]
        found = {
            item["metadata"]["name"]: list(
                zip(
                    sorted(item["spec"].get("podCIDRs", []), key=_family),
                    sorted(
                        (a["address"] for a in item["status"].get("addresses", []) if a["type"] == "InternalIP"),
                        key=_family,
                    ),
                    strict=False,
                )
            )
            for item in items
        }
        missing = [name for name in NODES if len(found.get(name, [])) < 2]
        if not missing:
            return found
        if time.monotonic() > deadline:
            raise LabError(
                f"No pod CIDRs or addresses of both families after {seconds:.0f} s for {', '.join(missing)}: the controller "
                "manager's log says why."
            )
        time.sleep(0.3)


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _kubeconfig(control_plane: str, seconds: float = 30) -> bytes:
    """For the plugin on the nodes: straight to the API server, so that it does not need kube-proxy."""
    deadline = time.monotonic() + seconds
    while True:
        data = json.loads(kubectl("-n", "kube-system", "get", "secret", "network-attachment", "-o", "json").stdout).get(
            "data", {}
        )
        if "token" in data:
            break
        if time.monotonic() > deadline:
            raise LabError(
                f"The secret kube-system/network-attachment has no token after {seconds:.0f} s: the controller manager's log says why."
            )
        time.sleep(0.3)
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "lab",
            "clusters": [
                {
                    "name": "lab",
                    "cluster": {
                        "server": f"https://{control_plane}:6443",
                        "certificate-authority-data": data["ca.crt"],
                    },
                }
            ],
            "users": [{"name": "lab", "user": {"token": base64.b64decode(data["token"]).decode()}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        }
    ).encode()


def _primary_network(pod_cidrs: list[str], openshift: bool) -> bytes:
    text = (FOLDER / "primary.conflist").read_text()
    for family, cidr in zip((4, 6), pod_cidrs, strict=True):
        text = text.replace(f"@POD_CIDR{family}@", cidr)
    network = json.loads(text)
    if openshift:
        # As OVN-Kubernetes does: pods and services stay on eth0 when the default route goes to another interface.
        network["plugins"][0]["ipam"]["routes"] += [{"dst": subnet} for subnet in (POD_SUBNET, SERVICE_SUBNET)]
    return json.dumps(network).encode()


def _archive(plugins: dict[str, Path], kubeconfig: bytes, primary_network: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, program in plugins.items():
            tar.add(program, f"opt/cni/bin/{name}", filter=_as_root)

        def write(name: str, data: bytes, mode: int) -> None:
            info = tarfile.TarInfo(f"etc/egress-lab/{name}")
            info.size, info.mode = len(data), mode
            tar.addfile(info, io.BytesIO(data))

        write("kubeconfig", kubeconfig, 0o600)
        write("primary.conflist", primary_network, 0o644)
        write("meta.conf", (FOLDER / "meta.conf").read_bytes().replace(b"@META@", _meta().encode()), 0o644)
        write("setup-node", (FOLDER / "setup-node").read_bytes(), 0o755)
    return buffer.getvalue()


def _as_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.mode = 0o755
    return info
