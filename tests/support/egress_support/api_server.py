"""A real API server without a cluster: etcd and kube-apiserver on loopback, and those controllers that are asked for."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from egress_lab import gobuild
from egress_lab.settings import SERVICE_SUBNET

from . import process

TOKEN = "of-the-tests"


def start(state: Path, controllers: str = "", users: Iterable[str] = ()) -> Path:
    """Starts them and returns the kubeconfig of an administrator. `process.stop_all(state)` stops them.

    `controllers`: names for kube-controller-manager, with commas. `users`: others who may log in, with their names as tokens.
    """
    programs = gobuild.KUBERNETES.build()
    client, peer, secure, manager = free_ports(4)
    process.start(
        state,
        "etcd",
        [
            str(programs / "server"),
            f"--data-dir={state}/etcd",
            "--unsafe-no-fsync",
            f"--listen-client-urls=http://127.0.0.1:{client}",
            f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
        ],
        {},
    )
    others = [f"{user},{user},{user}" for user in users]
    (state / "tokens.csv").write_text("\n".join((f"{TOKEN},admin,admin,system:masters", *others)) + "\n")
    process.start(
        state,
        "kube-apiserver",
        [
            *(str(programs / "kubernetes"), "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{client}",
            "--bind-address=127.0.0.1",
            f"--secure-port={secure}",
            # It makes itself a certificate there. The key signs tokens of ServiceAccounts too, which nobody uses.
            f"--cert-dir={state}/certificates",
            f"--service-account-key-file={state}/certificates/apiserver.key",
            f"--service-account-signing-key-file={state}/certificates/apiserver.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={state}/tokens.csv",
            "--authorization-mode=RBAC",
            f"--service-cluster-ip-range={SERVICE_SUBNET}",
            # No controller makes ServiceAccounts here.
            "--disable-admission-plugins=ServiceAccount",
        ],
        {},
    )
    kubeconfig = _kubeconfig(state, secure)
    ready = [str(programs / "kubectl"), f"--kubeconfig={kubeconfig}", "get", "--raw", "/readyz"]
    process.wait_for(
        "kube-apiserver",
        state,
        "kube-apiserver",
        lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0,
        120,
    )
    if controllers:
        process.start(
            state,
            "kube-controller-manager",
            [
                *(str(programs / "kubernetes"), "kube-controller-manager"),
                f"--kubeconfig={kubeconfig}",
                f"--controllers={controllers}",
                "--bind-address=127.0.0.1",
                f"--secure-port={manager}",
                f"--cert-dir={state}/certificates",
                "--leader-elect=false",
                f"--service-account-private-key-file={state}/certificates/apiserver.key",
            ],
            {},
        )
    return kubeconfig


def url(kubeconfig: Path) -> str:
    found: str = json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    return found


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _number in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _kubeconfig(state: Path, port: int) -> Path:
    path = state / "kubeconfig"
    cluster = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "tests",
                "clusters": [{"name": "tests", "cluster": cluster}],
                "users": [{"name": "tests", "user": {"token": TOKEN}}],
                "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            }
        )
    )
    return path
