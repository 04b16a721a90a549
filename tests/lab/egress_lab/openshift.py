"""What the lab has of OpenShift, and only while it is asked for: the EgressRouter resource, its operator and its plugin."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from egress_support import process

from . import gobuild, nodes
from .cluster import kubectl
from .engine import Engine
from .settings import (
    CLUSTER,
    HERE,
    KUBECONFIG,
    LAB_CACHE,
    OPENSHIFT_OPERATOR,
    REPOSITORY,
    ROUTER_IMAGE,
)
from .shell import LabError, run, step

STATE = LAB_CACHE / f"openshift-{CLUSTER}"  # the operator's log and process id; there as long as any of it may be there
MODULE = "github.com/openshift/api"
ROUTERS = "egressrouters.network.operator.openshift.io"
DEFINITIONS = {
    ROUTERS: "networkoperator/v1/zz_generated.crd-manifests/001_egressrouters.crd.yaml",
    "clusteroperators.config.openshift.io": "config/v1/zz_generated.crd-manifests/0000_00_cluster-version-operator_01_clusteroperators.crd.yaml",
}
NAME = "egress-router-cni"


def up(engine: Engine, delay: float = 0) -> None:
    """Make all of it; the operator is started anew. `delay`: seconds that the stand-in waits before each piece of work."""
    if delay and OPENSHIFT_OPERATOR:
        raise LabError("EGRESS_LAB_CNO asks for the real operator, and --delay can slow down only the stand-in.")
    STATE.mkdir(parents=True, exist_ok=True)
    nodes.ensure(engine, openshift=True)
    with step("starting OpenShift's operator", "5 seconds"):
        _define()
        start_operator(STATE, KUBECONFIG, *([f"--delay={delay}"] if delay else []))


def stop() -> None:
    """Stop the operator alone."""
    process.stop_all(STATE)


def down(engine: Engine) -> None:
    """Remove all of it, with the routers that are there."""
    if not STATE.exists():
        return
    stop()
    with step("removing what is there of OpenShift", "10 seconds, a minute when routers are left"):
        if kubectl("get", "crd", ROUTERS, "--ignore-not-found", "-o", "name").stdout:
            _remove_routers()
        kubectl("delete", "crd", *DEFINITIONS, "--ignore-not-found")
        nodes.ensure(engine)
    forget()


def forget() -> None:
    """The cluster goes, or has nothing of it any more."""
    stop()
    shutil.rmtree(STATE, ignore_errors=True)


def definitions() -> list[Path]:
    """The files of OpenShift's CustomResourceDefinitions."""
    folder = gobuild.OPENSHIFT_API.source(MODULE)
    return [folder / path for path in DEFINITIONS.values()]


def _define() -> None:
    for path in definitions():
        kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=egress-lab", "-f", str(path))
    kubectl("wait", "crd", *DEFINITIONS, "--for=condition=Established", "--timeout=60s")


def start_operator(state: Path, kubeconfig: Path, *arguments: str) -> None:
    """Start the operator, or replace the one that runs: the stand-in, with these arguments, or the real one."""
    process.stop_all(state)
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "EGRESS_ROUTER_CNI_IMAGE": ROUTER_IMAGE,
        "RELEASE_VERSION": "0.0.0-lab",
    }
    if OPENSHIFT_OPERATOR:
        process.start(state, "operator", ["sh", "-c", f"exec {OPENSHIFT_OPERATOR}"], environment)
        return
    program = HERE / "openshift" / "egress_router_operator.py"
    log = state / "operator.log"
    log.unlink(missing_ok=True)
    in_environment = str(REPOSITORY / "tools/run")
    run([in_environment, "true"])  # On a new machine it has to be made first, which takes its time.
    process.start(state, "operator", [in_environment, "python", str(program), *arguments], environment)
    try:
        process.wait_for("the operator", state, "operator", lambda: log.exists() and "reported" in log.read_text(), 120)
    except process.ServerError as error:
        raise LabError(str(error)) from error


def _remove_routers(seconds: float = 90) -> None:
    """Without its operator nothing comes back. A pod ignores SIGTERM, so it gets no time for it."""
    everywhere = ("--all-namespaces", "--ignore-not-found", "--wait=false")
    ours = ("--selector", f"app={NAME}")
    attachments = ("network-attachment-definitions", "--field-selector", f"metadata.name={NAME}-nad")
    kubectl("delete", ROUTERS, "--all", *everywhere)
    kubectl("delete", "deployments", *ours, *everywhere)
    kubectl("delete", *attachments, *everywhere)
    deadline = time.monotonic() + seconds
    while left := _names(ROUTERS) + _names("deployments,pods", *ours) + _names(*attachments):
        if time.monotonic() > deadline:
            raise LabError(f"Still there after {seconds:.0f} s: {', '.join(left)}.")
        kubectl("delete", "pods", *ours, "--grace-period=1", *everywhere)
        time.sleep(0.5)


def _names(*selection: str) -> list[str]:
    return kubectl("get", *selection, "--all-namespaces", "-o", "name").stdout.split()
