"""The machine's own part: kernel limits, and forwarding between the nodes over the engine's bridge."""

from __future__ import annotations

import json
from pathlib import Path

from .engine import Engine
from .settings import CLUSTER, NETWORK
from .shell import run

MARK = CLUSTER  # the comment on our rule

# Least values of the machine's settings.
SETTINGS = {
    # New pods inherit it from the machine, as they do on any Kubernetes node.
    "net/ipv4/ip_forward": 1,
    # All nodes share root's inotify instances; the kernel's 128 are too few for two labs: kubelets end with
    # "inotify_init: too many open files".
    "fs/inotify/max_user_instances": 8192,
    "fs/inotify/max_user_watches": 524288,
}


def prepare() -> None:
    """Raise what is lower; nothing is ever lowered."""
    for name, least in SETTINGS.items():
        setting = Path("/proc/sys") / name
        if int(setting.read_text()) < least:
            setting.write_text(str(least))


def ensure(engine: Engine) -> None:
    """Pods of different nodes talk over the engine's bridge. Where bridged frames pass the machine's packet filter and
    its FORWARD policy is DROP (a Docker engine sets it), they would die there."""
    rules = run(["iptables", "-S", "FORWARD"], check=False).stdout
    if "-P FORWARD DROP" not in rules or f"--comment {MARK} " in rules:
        return
    bridge = _bridge(engine)
    run(["iptables", "-I", "FORWARD", "-i", bridge, "-o", bridge, "-m", "comment", "--comment", MARK, "-j", "ACCEPT"])


def remove() -> None:
    for rule in run(["iptables", "-S", "FORWARD"], check=False).stdout.splitlines():
        if f"--comment {MARK} " in rule:
            run(["iptables", "-D", *rule.split()[1:]], check=False)


def _bridge(engine: Engine) -> str:
    network = json.loads(engine.output("network", "inspect", NETWORK))[0]
    return network.get("network_interface") or f"br-{network['Id'][:12]}"
