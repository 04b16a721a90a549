"""The CNI plugin `egress-router` in network namespaces, called as a container runtime calls it. Needs no cluster.

With EGRESS_LAB_EGRESS_ROUTER_PLUGIN the real plugin has to pass as well.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.egress.router.tests.support import namespaces

sys.path.insert(0, str(Path(__file__).resolve().parent))

from egress_lab import nodes, packages

NODES = ("node1", "node2")
ADDRESS = "198.51.100.60"
GATEWAY = "198.51.100.1"
DESTINATIONS = [
    "5432 TCP 203.0.113.10",
    "8080 TCP 203.0.113.11 80",
    "53 UDP 203.0.113.12",
    "9000 SCTP 203.0.113.13 9001",
    "5432 TCP 203.0.113.99",
]
# A client that is not in the pod's own subnet.
DISTANT = "10.244.7.7"


class Pod:
    """A pod's namespace with eth0 as on OpenShift, and the node that calls the plugin for it."""

    def __init__(self, folder: Path, name: str, number: int, node: str = "node1") -> None:
        self.name, self.ip, self.node = name, f"10.244.0.{number}", node
        self.log_file = folder / f"{name}.log"
        namespaces.add(name)
        namespaces.ip(f"-n @pods link add {name} type veth peer name eth0 netns @{name}")
        namespaces.ip(f"-n @pods link set {name} master cni0 up")
        namespaces.ip(f"-n @{name} link set eth0 up")
        namespaces.ip(f"-n @{name} addr add {self.ip}/24 dev eth0")
        namespaces.ip(f"-n @{name} route add default via 10.244.0.1")
        namespaces.ip(f"-n @{name} route add 10.244.0.0/16 via 10.244.0.1")
        namespaces.set_sysctls(name, {"net.ipv4.ip_forward": "0"})

    def call(self, command: str, netns: str = "", **ip: Any) -> subprocess.CompletedProcess[str]:
        config = {
            "cniVersion": "0.4.0",
            "type": "egress-router",
            "name": "egress-router-cni-nad",
            "ip": {"addresses": [f"{ADDRESS}/24"], "destinations": DESTINATIONS, "gateway": GATEWAY, **ip},
            "log_file": str(self.log_file),
            "log_level": "debug",
        }
        return subprocess.run(
            ["ip", "netns", "exec", namespaces.PREFIX + self.node, str(nodes.egress_router_plugin())],
            input=json.dumps(config),
            env={
                **os.environ,
                "CNI_COMMAND": command,
                "CNI_CONTAINERID": self.name,
                "CNI_NETNS": netns or f"/run/netns/{namespaces.PREFIX}{self.name}",
                "CNI_IFNAME": "net1",
                "CNI_PATH": "/opt/cni/bin",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def add(self, **ip: Any) -> dict[str, Any]:
        done = self.call("ADD", **ip)
        assert done.returncode == 0 and done.stdout, f"{done.stderr}{self.log()}"
        return dict(json.loads(done.stdout))

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def ip_json(self, words: str) -> list[dict[str, Any]]:
        return list(json.loads(namespaces.ip(f"-n @{self.name} -json -details {words}")))

    def link_names(self) -> set[str]:
        return {link["ifname"] for link in self.ip_json("link show")}

    def sysctl(self, key: str) -> str:
        return namespaces.run(f"ip netns exec @{self.name} sysctl -n {key}").strip()


@pytest.fixture(scope="module", autouse=True)
def network() -> Iterator[None]:
    packages.ensure(packages.COMMON)
    nodes.egress_router_plugin()
    try:
        namespaces.build()
        namespaces.ip(f"-n @pods addr add {DISTANT}/32 dev lo")
        for number, node in enumerate(NODES, 11):
            namespaces.add_node(node)
            namespaces.ip(f"-n @{node} addr add 198.51.100.{number}/24 dev eth1")
        # An OpenShift node; the other one has no default route.
        namespaces.ip(f"-n @node1 route add default via {GATEWAY}")
        yield
    finally:
        for name in ("pods", "outside", *NODES):
            namespaces.remove(name)


_numbers = itertools.count(20)


@pytest.fixture
def make_pod(tmp_path: Path) -> Iterator[Callable[..., Pod]]:
    made: list[Pod] = []

    def make(**options: Any) -> Pod:
        number = next(_numbers)
        made.append(Pod(tmp_path, f"pod{number}", number, **options))
        return made[-1]

    yield make
    for pod in made:
        print(f"--- log of {pod.name}\n{pod.log()}")
        namespaces.remove(pod.name)


@pytest.fixture
def pod(make_pod: Callable[..., Pod]) -> Pod:
    return make_pod()


@pytest.fixture
def outside() -> Iterator[Callable[..., None]]:
    """Starts servers outside that tell every client whom they saw, and as whom they were asked."""
    servers: list[socket.socket] = []

    def serve(server: socket.socket) -> None:
        # It ends when the server is shut down: with an error for TCP, with no peer for UDP.
        with suppress(OSError):
            while True:
                if server.type == socket.SOCK_DGRAM:
                    _data, peer = server.recvfrom(1)
                    if peer is None:
                        return
                    server.sendto(json.dumps([peer[0], *server.getsockname()]).encode(), peer)
                else:
                    connection, peer = server.accept()
                    with connection:
                        connection.sendall(json.dumps([peer[0], *connection.getsockname()]).encode())

    def start(address: str, port: int, kind: int = socket.SOCK_STREAM) -> None:
        def bind() -> socket.socket:
            server = socket.socket(socket.AF_INET, kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            if kind == socket.SOCK_STREAM:
                server.listen()
            return server

        servers.append(namespaces.inside("outside", bind))
        threading.Thread(target=serve, args=[servers[-1]], daemon=True).start()

    yield start
    for server in servers:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


def ask(address: str, port: int, kind: int = socket.SOCK_STREAM, source: str = "") -> list[Any]:
    """Source, address and port that the server saw. Raises as the socket does."""

    def body() -> list[Any]:
        with socket.socket(socket.AF_INET, kind) as client:
            client.settimeout(3)
            client.bind((source, 0))
            client.connect((address, port))
            if kind == socket.SOCK_DGRAM:
                client.send(b"?")
            return list(json.loads(client.recv(1000)))

    return namespaces.inside("pods", body)


def test_the_result_has_address_and_mac_of_the_interface(pod: Pod) -> None:
    result = pod.add()
    assert result["cniVersion"] == "0.4.0"
    (interface,) = result["interfaces"]
    (net1,) = pod.ip_json("link show net1")
    assert interface["name"] == "net1" and interface["mac"] == net1["address"]
    assert interface["sandbox"] == f"/run/netns/{namespaces.PREFIX}{pod.name}"
    (ip,) = result["ips"]
    assert (ip["version"], ip["address"], ip["gateway"], ip["interface"]) == ("4", f"{ADDRESS}/24", GATEWAY, 0)


def test_the_interface_is_a_macvlan_on_that_of_the_nodes_default_route(pod: Pod) -> None:
    pod.add()
    (net1,) = pod.ip_json("link show net1")
    assert net1["linkinfo"]["info_kind"] == "macvlan" and net1["linkinfo"]["info_data"]["mode"] == "bridge"
    (eth1,) = json.loads(namespaces.ip("-n @node1 -json link show eth1"))
    assert net1["link_index"] == eth1["ifindex"] and net1["operstate"] == "UP"


def test_the_mac_is_another_one_at_every_start(make_pod: Callable[..., Pod]) -> None:
    macs = {make_pod().add()["interfaces"][0]["mac"] for _start in range(3)}
    assert len(macs) == 3
    # Locally administered: nobody's card has such a one.
    assert all(int(mac[:2], 16) & 3 == 2 for mac in macs)


def test_routes_and_kernel_settings(pod: Pod) -> None:
    pod.add()
    routes = {(route["dst"], route.get("gateway"), route["dev"]) for route in pod.ip_json("route show")}
    assert routes == {
        ("default", GATEWAY, "net1"),
        (GATEWAY, None, "net1"),
        ("198.51.100.0/24", None, "net1"),
        ("10.244.0.0/24", None, "eth0"),
        ("10.244.0.0/16", "10.244.0.1", "eth0"),
    }
    assert pod.sysctl("net.ipv4.ip_forward") == "1"
    assert pod.sysctl("net.ipv4.conf.net1.proxy_arp") == "1"
    assert pod.sysctl("net.ipv4.conf.net1.arp_notify") == "0"


def test_the_rules_are_one_for_each_destination(pod: Pod) -> None:
    pod.add()
    listed = namespaces.run(f"ip netns exec @{pod.name} nft list ruleset")
    assert re.findall(r"table .* {", listed) == ["table ip egress_cni {"]
    lines = [line.strip() for line in listed.splitlines()]
    # By name or by number: different versions of nft print the priorities differently.
    (prerouting,) = [n for n, line in enumerate(lines) if "hook prerouting" in line]
    (postrouting,) = [n for n, line in enumerate(lines) if "hook postrouting" in line]
    assert lines[prerouting + 1 : prerouting + 1 + len(DESTINATIONS)] == [
        'iif "eth0" tcp dport 5432 dnat to 203.0.113.10',
        'iif "eth0" tcp dport 8080 dnat to 203.0.113.11:80',
        'iif "eth0" udp dport 53 dnat to 203.0.113.12',
        'iif "eth0" sctp dport 9000 dnat to 203.0.113.13:9001',
        'iif "eth0" tcp dport 5432 dnat to 203.0.113.99',
    ]
    assert lines[postrouting + 1] == f'oif "net1" snat to {ADDRESS}'
    assert " ".join(lines).count("dnat to") == len(DESTINATIONS)


def test_connections_leave_with_address_and_mac_of_the_router(pod: Pod, outside: Callable[..., None]) -> None:
    outside("203.0.113.10", 5432)
    outside("203.0.113.11", 80)
    outside("203.0.113.12", 53, socket.SOCK_DGRAM)
    mac = pod.add()["interfaces"][0]["mac"]
    # Of two rules for a port the first one counts.
    assert ask(pod.ip, 5432) == [ADDRESS, "203.0.113.10", 5432]
    assert ask(pod.ip, 8080) == [ADDRESS, "203.0.113.11", 80]
    assert ask(pod.ip, 53, socket.SOCK_DGRAM)[0] == ADDRESS
    (neighbour,) = json.loads(namespaces.ip(f"-n @outside -json neigh show {ADDRESS}"))
    assert neighbour["lladdr"] == mac


def test_answers_to_other_nodes_pods_need_the_routes_that_openshift_adds(
    make_pod: Callable[..., Pod], outside: Callable[..., None]
) -> None:
    outside("203.0.113.10", 5432)
    routed, bare = make_pod(), make_pod()
    namespaces.ip(f"-n @{bare.name} route del 10.244.0.0/16")
    routed.add()
    assert ask(routed.ip, 5432, source=DISTANT)[0] == ADDRESS
    bare.add(addresses=["198.51.100.61/24"])
    with pytest.raises(TimeoutError):
        ask(bare.ip, 5432, source=DISTANT)


def test_a_fallback_has_no_effect(pod: Pod, outside: Callable[..., None]) -> None:
    outside("203.0.113.99", 9999)
    pod.add(fallbackIP="203.0.113.99")
    with pytest.raises(ConnectionRefusedError):
        ask(pod.ip, 9999)


def test_a_lone_address_is_a_fallback(pod: Pod, outside: Callable[..., None]) -> None:
    outside("203.0.113.99", 9999)
    pod.add(destinations=[*DESTINATIONS, "203.0.113.99"])
    assert ask(pod.ip, 9999) == [ADDRESS, "203.0.113.99", 9999]


def test_the_pod_filters_nothing(pod: Pod, outside: Callable[..., None]) -> None:
    outside("203.0.113.77", 7777)
    pod.add()
    namespaces.ip(f"-n @pods route add 203.0.113.77 via {pod.ip}")
    try:
        assert ask("203.0.113.77", 7777) == [ADDRESS, "203.0.113.77", 7777]
    finally:
        namespaces.ip("-n @pods route del 203.0.113.77")


def test_only_the_first_address_counts(pod: Pod) -> None:
    result = pod.add(addresses=[f"{ADDRESS}/24", "198.51.100.61/24"])
    assert [ip["address"] for ip in result["ips"]] == [f"{ADDRESS}/24"]
    (net1,) = pod.ip_json("-4 addr show net1")
    assert [one["local"] for one in net1["addr_info"] if "local" in one] == [ADDRESS]


def test_no_destination_is_no_rule(pod: Pod) -> None:
    pod.add(destinations=[])
    assert "dnat" not in namespaces.run(f"ip netns exec @{pod.name} nft list ruleset")


def test_the_address_is_announced(pod: Pod) -> None:
    def listen() -> socket.socket:
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
        listener.bind(("seg0", 0x0806))
        listener.settimeout(10)
        return listener

    with namespaces.inside("outside", listen) as listener:
        mac = pod.add()["interfaces"][0]["mac"]
        while True:
            frame = listener.recv(100)
            sender, target = frame[28:32], frame[38:42]
            if sender == target == socket.inet_aton(ADDRESS):
                break
    assert frame[:6] == b"\xff" * 6 and frame[6:12].hex(":") == mac


@pytest.mark.parametrize(
    "ip",
    [
        {"addresses": [ADDRESS]},
        {"addresses": ["word/24"]},
        {"addresses": ["2001:db8:51::60/64"], "gateway": "2001:db8:51::1"},
        {"destinations": ["5432 TCP 2001:db8:113::10"]},
        {"destinations": ["5432 TCP word"]},
        {"destinations": ["5432 ICMP 203.0.113.10"]},
        {"destinations": ["65536 TCP 203.0.113.10"]},
        {"destinations": ["http TCP 203.0.113.10"]},
        {"destinations": ["5432 TCP 203.0.113.10 80 80"]},
        {"addresses": [f"{ADDRESS}/32"]},
        {"gateway": "203.0.113.1"},
    ],
    ids=str,
)
def test_a_failure_prints_nothing_and_is_in_the_nodes_log(pod: Pod, ip: dict[str, Any]) -> None:
    done = pod.call("ADD", **ip)
    assert (done.returncode, done.stdout) == (0, "")
    assert " [error] " in pod.log()
    assert pod.link_names() == {"lo", "eth0"}


def test_a_node_without_default_route_has_no_interface_for_it(make_pod: Callable[..., Pod]) -> None:
    pod = make_pod(node="node2")
    done = pod.call("ADD")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no default route interface found" in pod.log()
    assert pod.link_names() == {"lo", "eth0"}


def test_del_removes_the_interface_and_never_fails(pod: Pod) -> None:
    pod.add()
    assert "net1" in pod.link_names()
    for netns in ("", "", "/run/netns/there-is-none"):
        done = pod.call("DEL", netns)
        assert (done.returncode, done.stdout) == (0, "")
        assert pod.link_names() == {"lo", "eth0"}


def test_check_finds_nothing_wrong_ever(pod: Pod) -> None:
    pod.add()
    assert pod.call("CHECK").returncode == 0
    namespaces.ip(f"-n @{pod.name} link del net1")
    assert pod.call("CHECK").returncode == 0
