"""The machine's own part: forwarding between the nodes over the engine's bridge."""

from __future__ import annotations

import json
from pathlib import Path

from .engine import Engine
from .settings import CLUSTER, NETWORK
from .shell import run

MARK = CLUSTER   # the comment on our rule


def ensure(engine: Engine) -> None:
    """Pods of different nodes talk over the engine's bridge. Where bridged frames pass the machine's packet filter and
    its FORWARD policy is DROP (a Docker engine sets it), they would die there."""
    forward = Path("/proc/sys/net/ipv4/ip_forward")
    if forward.read_text().strip() != "1":
        # New pods inherit it from the machine, as they do on any Kubernetes node.
        forward.write_text("1")
    rules = run(["iptables", "-S", "FORWARD"], check=False).stdout
    if "-P FORWARD DROP" not in rules or MARK in rules:
        return
    bridge = _bridge(engine)
    run(["iptables", "-I", "FORWARD", "-i", bridge, "-o", bridge, "-m", "comment", "--comment", MARK, "-j", "ACCEPT"])


def remove() -> None:
    for rule in run(["iptables", "-S", "FORWARD"], check=False).stdout.splitlines():
        if f"--comment {MARK}" in rule:
            run(["iptables", "-D", *rule.split()[1:]], check=False)


def _bridge(engine: Engine) -> str:
    network = json.loads(engine.output("network", "inspect", NETWORK))[0]
    return network.get("network_interface") or f"br-{network['Id'][:12]}"
