"""The kind cluster: made, recognised as whole, taken away."""

from __future__ import annotations

import hashlib
import json
import time

from . import gobuild
from .engine import Engine
from .settings import BIN, CLUSTER, CONTROL_PLANE, HERE, KUBECONFIG, NETWORK, NODES, WORKERS
from .shell import LabError, run, step

CONFIGURATION = HERE / "kind.yaml"
STAMP = "/kind/egress-lab"  # on the control plane: the definition that the cluster was made from
NODE_LABEL = "io.x-k8s.kind.cluster"


def kubectl(*args: str, **options):
    """kubectl with the lab's kubeconfig."""
    return run([str(BIN / "kubectl"), "--kubeconfig", str(KUBECONFIG), *args], **options)


def nodes_of(engine: Engine) -> list[str]:
    """The lab's node containers, dead ones too."""
    return engine.output("ps", "-a", "--filter", f"label={NODE_LABEL}={CLUSTER}", "--format", "{{.Names}}").split()


def ensure(engine: Engine, image: str) -> bool:
    """Make the cluster unless it is there, whole, and of this definition. True if it was made."""
    definition = hashlib.sha256(CONFIGURATION.read_bytes() + image.encode()).hexdigest()
    problem = _problem(engine, definition)
    if not problem:
        return False
    if nodes_of(engine):
        with step(f"removing the previous cluster: {problem}", "5 seconds"):
            remove(engine)
    else:
        remove(engine)
    with step(f"creating the kind cluster {CLUSTER}, 3 nodes, with {engine.name}", "40 seconds"):
        KUBECONFIG.parent.mkdir(parents=True, exist_ok=True)
        _kind(
            engine,
            "create",
            "cluster",
            "--name",
            CLUSTER,
            "--image",
            image,
            "--config",
            str(CONFIGURATION),
            "--kubeconfig",
            str(KUBECONFIG),
        )
        fetch_kubectl(engine)
        engine.run("exec", "-i", CONTROL_PLANE, "tee", STAMP, stdin=definition)
    return True


def _problem(engine: Engine, definition: str) -> str:
    """Why the cluster that is there cannot be used; empty when it can."""
    _thaw(engine)
    there, running = set(nodes_of(engine)), set(engine.running())
    if there != set(NODES):
        return f"nodes are missing: {', '.join(sorted(set(NODES) - there))}"
    if not there <= running:
        return f"not running: {', '.join(sorted(there - running))}"
    if engine.output("exec", CONTROL_PLANE, "cat", STAMP, check=False) != definition:
        return "it was made from another definition, or its creation did not finish"
    if not KUBECONFIG.exists():
        _kind(engine, "export", "kubeconfig", "--name", CLUSTER, "--kubeconfig", str(KUBECONFIG))
    fetch_kubectl(engine)
    return _api_problem()


def _thaw(engine: Engine) -> None:
    """A test that freezes a node may have been killed before it could thaw it."""
    for name in engine.output("ps", "-a", "--filter", "status=paused", "--format", "{{.Names}}").split():
        if name in NODES:
            engine.run("unpause", name)


def _api_problem(seconds: float = 45) -> str:
    """A kubelet brings a crashed API server back by itself: replacing the cluster is the last resort."""
    deadline = time.monotonic() + seconds
    while True:
        answer = kubectl("get", "--raw", "/readyz", check=False, timeout=10)
        if not answer.returncode:
            return ""
        if time.monotonic() > deadline:
            return f"its API server does not answer: {answer.stderr.strip()}"
        time.sleep(1)


def remove(engine: Engine) -> None:
    """Nodes, their volumes, the engine's network. Nothing there is fine; a kill in between is too."""
    for node in nodes_of(engine):
        engine.run("rm", "-f", "-v", node, check=False)
    # For Podman kind makes a volume for each node beforehand, with the node's name as label.
    filters = [argument for node in NODES for argument in ("--filter", f"label={node}")]
    volumes = engine.output("volume", "ls", "-q", *filters, check=False).split()
    if volumes:
        engine.run("volume", "rm", "-f", *volumes, check=False)
    if engine.exists("network", NETWORK):
        engine.run("network", "rm", NETWORK, check=False)
    KUBECONFIG.unlink(missing_ok=True)


def fetch_kubectl(engine: Engine) -> None:
    """The node's own kubectl, which fits the cluster whatever image it came from."""
    target = BIN / "kubectl"
    if not target.exists():
        BIN.mkdir(parents=True, exist_ok=True)
        engine.run("cp", f"{CONTROL_PLANE}:/usr/bin/kubectl", str(target) + ".new")
        target.with_name("kubectl.new").rename(target)


def load(engine: Engine, archive: str) -> None:
    """Put the images of an archive into the workers' containerd: the control plane runs no other pods."""
    _kind(engine, "load", "image-archive", archive, "--name", CLUSTER, "--nodes", ",".join(WORKERS))


def wait_ready(seconds: float = 120) -> None:
    """All nodes Ready and CoreDNS available."""
    deadline = time.monotonic() + seconds
    while True:
        missing = _not_ready()
        if not missing:
            return
        if time.monotonic() > deadline:
            raise LabError(
                f"The cluster is not ready after {seconds:.0f} s: {', '.join(missing)}. "
                f"`tests/lab/lab env` gives the kubeconfig to look further."
            )
        time.sleep(0.5)


def _not_ready() -> list[str]:
    nodes = kubectl("get", "nodes", "-o", "json", check=False, timeout=20)
    if nodes.returncode:
        return [nodes.stderr.strip()]
    missing = [
        f"node {node['metadata']['name']}"
        for node in json.loads(nodes.stdout)["items"]
        if not any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))
    ]
    dns = kubectl("-n", "kube-system", "get", "deployment", "coredns", "-o", "json", check=False, timeout=20)
    deployment = json.loads(dns.stdout or "{}")
    status = deployment.get("status", {})
    current = status.get("observedGeneration") == deployment.get("metadata", {}).get("generation")
    if not current or not status.get("readyReplicas") or status.get("updatedReplicas") != status.get("replicas"):
        missing.append("CoreDNS")
    return missing


def _kind(engine: Engine, *args: str) -> None:
    # It must die with us: an orphan would go on beside the next run, and remove that one's nodes when it fails.
    run(["setpriv", "--pdeathsig", "KILL", str(gobuild.KIND.build() / "kind"), *args], env=engine.kind_env)
