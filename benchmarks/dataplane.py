# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""New connections through the router: our map lookups against the reference's linear rules.

Three network namespaces (client, router, outside), one at a time either the agent's own ruleset or the rules that
OpenShift's egress-router-cni loads: `iif eth0 tcp dport N dnat to IP:PORT`, one a redirect, and
`oif net1 snat to IP`. The client always connects to the last port, the one that linear rules find last. All
variants take turns, several rounds, so that a slow moment of the machine hits each of them. So does a router that spreads
its connections over four addresses.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from report import Figure, Ratio, paired, publish, rounds

from ansible_collections.egress.router.plugins.module_utils._contract.rules import Rule, rule_set

SIZES = (1, 1000, 5000)
ROUNDS = rounds(11)
SECONDS = 1.0
FIRST_PORT = 10000
TARGET_PORT = 9
LOAD_RULES = Path(__file__).with_name("load_rules.py")
CLIENT, ROUTER, OUTSIDE = "egr-bench-client", "egr-bench-router", "egr-bench-outside"
POD_IP, EGRESS_IP, SERVER_IP = "10.244.9.2", "198.51.100.50", "203.0.113.10"
MORE_IPS = ("198.51.100.51", "198.51.100.52", "198.51.100.53")
SPREAD = "ours, spread over four addresses"

LINKS = f"""
link add c0 netns {CLIENT} type veth peer name eth0 netns {ROUTER}
link add net1 netns {ROUTER} type veth peer name o0 netns {OUTSIDE}
-n {CLIENT} address add 10.244.9.1/24 dev c0
-n {ROUTER} address add {POD_IP}/24 dev eth0
-n {ROUTER} address add {EGRESS_IP}/24 dev net1
-n {OUTSIDE} address add 198.51.100.1/24 dev o0
-n {OUTSIDE} address add {SERVER_IP}/32 dev lo
-n {CLIENT} link set c0 up
-n {ROUTER} link set eth0 up
-n {ROUTER} link set net1 up
-n {OUTSIDE} link set o0 up
-n {OUTSIDE} link set lo up
-n {ROUTER} route add default via 198.51.100.1 dev net1
"""


def run(*command: str, text: str = "") -> str:
    """Run a command to its end; its standard output."""
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def in_router(*command: str, text: str = "") -> str:
    """The same in the router's namespace."""
    return run("ip", "netns", "exec", ROUTER, *command, text=text)


@contextmanager
def namespaces(connect: str) -> Iterator[None]:
    """The three namespaces, with a server on SERVER_IP; gone afterwards."""
    names = (CLIENT, ROUTER, OUTSIDE)
    existing = run("ip", "-j", "netns", "list") or "[]"
    for name in {entry["name"] for entry in json.loads(existing)} & set(names):
        run("ip", "netns", "delete", name)
    for name in names:
        run("ip", "netns", "add", name)
    server = None
    try:
        more = [f"-n {ROUTER} address add {ip}/24 dev net1" for ip in MORE_IPS]
        for line in (*LINKS.strip().splitlines(), *more):
            run("ip", *line.split())
        in_router("sysctl", "-qw", "net.ipv4.ip_forward=1")
        run("ip", "netns", "exec", CLIENT, "sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535")
        server = subprocess.Popen(
            ["ip", "netns", "exec", OUTSIDE, connect, "serve", f"{SERVER_IP}:{TARGET_PORT}"], stdout=subprocess.PIPE
        )
        assert server.stdout
        server.stdout.readline()
        yield
    finally:
        if server:
            server.kill()
            server.wait()
        for name in names:
            run("ip", "netns", "delete", name)


def load_ours(size: int, *more: str) -> None:
    """The agent's own table, as the agent loads it."""
    rules = rule_set(Rule(FIRST_PORT + n, "TCP", 4, SERVER_IP, TARGET_PORT) for n in range(size))
    addresses = [f"{ip}/24" for ip in (EGRESS_IP, *more)]
    in_router(sys.executable, str(LOAD_RULES), POD_IP, *addresses, text=rules.text())


def load_spread(size: int) -> None:
    """The same with more addresses."""
    load_ours(size, *MORE_IPS)


def load_linear(size: int) -> None:
    """What the reference loads, in its order."""
    rules = "\n".join(
        f"add rule ip egress_cni prerouting iif eth0 tcp dport {FIRST_PORT + n} dnat to {SERVER_IP}:{TARGET_PORT}"
        for n in range(size)
    )
    in_router(
        "nft",
        "-f",
        "-",
        text="add table ip egress_cni\n"
        "add chain ip egress_cni prerouting { type nat hook prerouting priority dstnat; }\n"
        "add chain ip egress_cni postrouting { type nat hook postrouting priority srcnat; }\n"
        f"{rules}\nadd rule ip egress_cni postrouting oif net1 snat to {EGRESS_IP}\n",
    )


def measure(connect: str, size: int) -> dict[str, float]:
    """Connections to the last port for SECONDS."""
    target = f"{POD_IP}:{FIRST_PORT + size - 1}"
    out = run("ip", "netns", "exec", CLIENT, connect, "run", "-seconds", str(SECONDS), target)
    found: dict[str, float] = json.loads(out)
    if found["failed"] or not found["connections"]:
        raise SystemExit(f"{size} rules: {found['failed']} connections failed, {found['connections']} did not")
    return found


def main() -> None:
    """Measure, print, publish."""
    connect = sys.argv[1]
    first, last = SIZES[0], SIZES[-1]
    loads = {"ours": load_ours, "linear": load_linear, SPREAD: load_spread}
    variants = [*((name, size) for size in SIZES for name in ("ours", "linear")), (SPREAD, first)]
    rate = {(name, size): Figure(f"{name}, {size} rules", "conn/s") for name, size in variants}
    p50 = {(name, size): Figure(f"{name}, {size} rules, p50", "µs") for name, size in variants}
    with namespaces(connect):
        for _round in range(ROUNDS):
            for name, size in variants:
                in_router("nft", "flush", "ruleset")
                # Connections of the variant before would be let through, or not, as that one translated them.
                in_router("conntrack", "-F")
                loads[name](size)
                found = measure(connect, size)
                rate[name, size].samples.append(found["per_second"])
                p50[name, size].samples.append(found["p50_us"])
    ratios = [
        Ratio.at_least(f"ours: {last} rules / {first} rule", paired(rate["ours", last], rate["ours", first]), 0.95),
        Ratio(f"ours: {last} rules / {first} rule, p50", paired(p50["ours", last], p50["ours", first])),
        Ratio.at_least("ours: four addresses / one", paired(rate[SPREAD, first], rate["ours", first]), 0.95),
        Ratio("ours: four addresses / one, p50", paired(p50[SPREAD, first], p50["ours", first])),
    ]
    for size in SIZES:
        ratios += [
            Ratio(f"ours / linear, {size} rules", paired(rate["ours", size], rate["linear", size])),
            Ratio(f"ours / linear, {size} rules, p50", paired(p50["ours", size], p50["linear", size])),
        ]
    publish("New connections through the router", [*rate.values(), *p50.values()], ratios)


if __name__ == "__main__":
    main()
