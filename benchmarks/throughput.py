# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the router costs those who go through it, against a plain forwarding hop, and against no hop at all.

The hop is a second pod beside the router's, with interfaces made by the same code on the same networks: eth0 a veth, net1 a
macvlan of the same node. It forwards, without nftables and connection tracking, what clients send to the server's own address.
The router's pod has what the real agent makes: its table, settings, routes and routing rules. All take turns, in another
order each round.

A measurement that fails is repeated once, with those it is compared with. One that fails twice is left out from then on: the
others have their figures, and the benchmark fails. There are as many rounds as fit into the time.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pods import FAILURES, SERVER, Failed, result, router, running, segment
from report import Figure, Ratio, paired, publish, rounds

from ansible_collections.egress.router.tests.support import namespaces

ROUNDS = rounds(11)
# No round begins later than that, except for the first few: their median says something still.
LONGEST, FEWEST = 300, 3
SECONDS = 1
LATENCY_SECONDS = 2
RATE = 1000
STREAM_PORT, UDP_PORT, REQUEST_PORT = 5201, 5202, 5203
# A few more than the three that are used.
RULES = "".join(
    [
        f"{STREAM_PORT} TCP {SERVER}\n{UDP_PORT} UDP {SERVER}\n{REQUEST_PORT} TCP {SERVER}\n",
        *(f"{port} TCP 203.0.113.11\n" for port in range(10000, 10097)),
    ]
)
HOP_ADDRESS = "198.51.100.60"
DIRECT = "192.0.2.1"
# Where the server is for clients, by the way to it.
WAYS = {"router": "10.244.0.11", "hop": SERVER, "direct": DIRECT}


@contextmanager
def hop() -> Iterator[None]:
    """A pod that only forwards, and the routes through it."""
    plain = {"net.ipv4.conf.all.forwarding": "1", "net.ipv4.conf.all.rp_filter": "0"}
    try:
        namespaces.add_pod("pod12", "node1", 12, tuning=plain)
        namespaces.ip(f"-n @pod12 address add {HOP_ADDRESS}/24 dev net1")
        namespaces.ip(f"-n @pod12 route add {SERVER} via 198.51.100.1 dev net1")
        namespaces.ip(f"-n @pods route add {SERVER} via 10.244.0.12")
        namespaces.ip(f"-n @outside route add 10.244.0.0/24 via {HOP_ADDRESS}")
        yield
    finally:
        namespaces.remove("pod12")


def no_hop() -> None:
    """A link from the clients to the server's network."""
    namespaces.ip("-n @outside link add direct type veth peer name direct netns @pods")
    for namespace, address in (("pods", "192.0.2.2"), ("outside", DIRECT)):
        namespaces.ip(f"-n @{namespace} address add {address}/24 dev direct")
        namespaces.ip(f"-n @{namespace} link set direct up")


def check_hop() -> None:
    """Nothing but the router differs: interfaces are the same, and the hop tracked no connection."""
    for interface in ("eth0", "net1"):
        pods = [namespaces.run(f"ip netns exec @{pod} ethtool -k {interface}") for pod in ("pod11", "pod12")]
        pods += [
            namespaces.run(f"ip netns exec @{pod} cat /sys/class/net/{interface}/mtu") for pod in ("pod11", "pod12")
        ]
        if pods[0] != pods[1] or pods[2] != pods[3]:
            raise SystemExit(f"{interface} is not the same in both pods: {pods}")
    tracked = namespaces.run("ip netns exec @pod12 sysctl -n net.netfilter.nf_conntrack_count").strip()
    if tracked != "0" or namespaces.run("ip netns exec @pod12 nft list ruleset").strip():
        raise SystemExit(f"the hop is no plain one: it tracks {tracked} connections")


def streams(count: int, *options: str) -> Callable[[str], float]:
    """Gigabits per second that arrive."""

    def measure(address: str) -> float:
        # A new server each time: one that has served before may be busy still with the end of that.
        serve = ["iperf3", "--server", "--one-off", "--port", str(STREAM_PORT), "--forceflush"]
        ask = ["iperf3", "--client", address, "--port", str(STREAM_PORT), "--json"]
        with running("outside", *serve) as server:
            assert server.stdout
            server.stdout.readline()
            found = result("pods", *ask, "--time", str(SECONDS), "--parallel", str(count), *options, seconds=SECONDS)
        return float(found["end"]["sum_received"]["bits_per_second"]) / 1e9

    return measure


def datagrams(connect: str) -> Callable[[str], float]:
    """Thousands of datagrams a second that arrive at the server's socket, whether somebody there is quick enough or not."""

    def measure(address: str) -> float:
        before = arrived()
        sent = result("pods", connect, "flood", "-seconds", str(SECONDS), f"{address}:{UDP_PORT}", seconds=SECONDS)
        return (arrived() - before) / float(sent["seconds"]) / 1000

    return measure


def arrived() -> int:
    """Datagrams that were read, and those for which the socket had no room."""
    lines = namespaces.run("ip netns exec @outside cat /proc/net/snmp").splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    counters = dict(zip(names, values, strict=True))
    return int(counters["InDatagrams"]) + int(counters["RcvbufErrors"])


def requests(connect: str) -> Callable[[str], float]:
    """The 99th percentile of what a request takes, in microseconds."""

    def measure(address: str) -> float:
        options = ("-rate", str(RATE), "-seconds", str(LATENCY_SECONDS))
        found = result("pods", connect, "open", *options, f"{address}:{REQUEST_PORT}", seconds=LATENCY_SECONDS)
        if found["failed"] or found["connections"] < RATE * LATENCY_SECONDS * 0.95:
            raise Failed(f"{found['failed']} connections to {address} failed, {found['connections']} did not")
        return float(found["p99_us"])

    return measure


def in_turn(name: str, measure: Callable[[str], float], ways: list[str]) -> dict[str, float]:
    """One sample for each way, all of one moment of the machine: if one fails, all are measured again."""
    try:
        return {way: measure(WAYS[way]) for way in ways}
    except FAILURES as why:
        print(f"{name}, measured again: {why}", file=sys.stderr)
    return {way: measure(WAYS[way]) for way in ways}


def take_turns(measures: dict[str, Callable[[str], float]], figures: dict[tuple[str, str], Figure]) -> bool:
    """Measure all in turns, into `figures`; whether none failed."""
    began, left = time.monotonic(), dict(measures)
    for turn in range(ROUNDS):
        if turn >= FEWEST and time.monotonic() - began > LONGEST:
            print(f"{turn} rounds of {ROUNDS} in {LONGEST} s", file=sys.stderr)
            break
        for name, measure in list(left.items()):
            try:
                found = in_turn(name, measure, list(WAYS)[:: -1 if turn % 2 else 1])
            except FAILURES as why:
                print(f"{name}, failed: {why}", file=sys.stderr)
                del left[name]
                continue
            for way, sample in found.items():
                figures[name, way].samples.append(sample)
    return left.keys() == measures.keys()


def main() -> None:
    """Measure, print, publish."""
    connect = sys.argv[1]
    latency = f"{RATE} connections/s, p99"
    measures = {
        "TCP, 1 stream, up": streams(1),
        "TCP, 1 stream, down": streams(1, "--reverse"),
        "TCP, 8 streams, up": streams(8),
        "TCP, 8 streams, down": streams(8, "--reverse"),
        "UDP, 64 bytes": datagrams(connect),
        latency: requests(connect),
    }
    units = {name: "µs" if name == latency else "kpackets/s" if "UDP" in name else "Gbit/s" for name in measures}
    figures = {(name, way): Figure(f"{name}: {way}", units[name]) for name in measures for way in WAYS}
    with segment(), router(11, RULES) as pod, hop():
        pod.serve()
        no_hop()
        with (
            running("outside", connect, "serve", f":{REQUEST_PORT}") as server,
            namespaces.inside("outside", lambda: socket.socket(type=socket.SOCK_DGRAM)) as sink,
        ):
            sink.bind(("", UDP_PORT))
            assert server.stdout
            server.stdout.readline()
            all_measured = take_turns(measures, figures)
            check_hop()
    ratios = []
    for name in [name for name in measures if figures[name, "router"].samples]:
        of_hop, of_direct = (paired(figures[name, "router"], figures[name, way]) for way in ("hop", "direct"))
        what = f"{name}: router / hop"
        if name == latency:
            ratios.append(Ratio.at_most(what, of_hop, 1.2))
        else:
            ratios.append(Ratio.at_least(what, of_hop, 0.85 if "UDP" in name else 0.9))
        ratios.append(Ratio(f"{name}: router / direct", of_direct))
    publish("Through the router and through a plain hop", [one for one in figures.values() if one.samples], ratios)
    if not all_measured:
        sys.exit(1)


if __name__ == "__main__":
    main()
