"""The machine's own part: kernel limits, and forwarding between the nodes over the engine's bridge."""

from __future__ import annotations

import json
from pathlib import Path

from .engine import Engine
from .settings import CLUSTER, NETWORK
from .shell import run

MARK = CLUSTER  # the comment on our rules
PROGRAMS = ("iptables", "ip6tables")

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
    for program in PROGRAMS:
        rules = run([program, "-S", "FORWARD"], check=False).stdout
        if "-P FORWARD DROP" in rules and f"--comment {MARK} " not in rules:
            bridge = _bridge(engine)
            comment = ["-m", "comment", "--comment", MARK]
            run([program, "-I", "FORWARD", "-i", bridge, "-o", bridge, *comment, "-j", "ACCEPT"])


def remove() -> None:
    for program in PROGRAMS:
        for rule in run([program, "-S", "FORWARD"], check=False).stdout.splitlines():
            if f"--comment {MARK} " in rule:
                run([program, "-D", *rule.split()[1:]], check=False)


def _bridge(engine: Engine) -> str:
    network = json.loads(engine.output("network", "inspect", NETWORK))[0]
    return network.get("network_interface") or f"br-{network['Id'][:12]}"
