# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`egress-router inspect` on a node: what it sees, what it does without, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from egress_router.inspect import host, links, neighbours

from ansible_collections.egress.router.plugins.module_utils._contract.inspect import Interface
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.router_pod import CAPABILITIES, EGRESS4, EGRESS6, MAC
from ansible_collections.egress.router.tests.support.waiting import until

Json = dict[str, Any]

NODE = "seen"
SQUATTER = "02:42:00:00:00:66"
GATEWAY4, GATEWAY6 = "198.51.100.1", "2001:db8:51::1"
GATEWAY_MAC = "02:00:5e:00:53:01"
TARGET4: Json = {"ip": EGRESS4, "mac": MAC, "gateway": GATEWAY4, "master": "eth1"}
TARGET6: Json = {"ip": EGRESS6, "mac": MAC, "gateway": GATEWAY6, "master": "eth1"}
# Opens a tunnel, which gives it a carrier, until its standard input ends.
HOLD_TUN = """
import fcntl, struct, sys
with open("/dev/net/tun", "r+b", buffering=0) as tun:
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH", b"odd0", 0x1001))
    sys.stdin.read()
"""
NET_RAW_ALONE = "setpriv --bounding-set=-all,+net_raw --no-new-privs"


@pytest.fixture
def node(network: None) -> Iterator[None]:
    """A node with eth1 on the segment."""
    namespaces.add_node(NODE)
    yield
    namespaces.remove_from_segment(NODE)


def command(question: Json, capabilities: str = CAPABILITIES, node: str = NODE) -> list[str]:
    words = f"ip netns exec {namespaces.PREFIX}{node} {capabilities} /usr/bin/python3 -m egress_router inspect".split()
    return [*words, json.dumps({"timeout": 0.6, **question})]


def inspect(
    *targets: Json, masters: tuple[str, ...] = ("eth1",), capabilities: str = CAPABILITIES, **more: Any
) -> Json:
    question = {"masters": masters, "targets": targets, **more}
    done = subprocess.run(command(question, capabilities), capture_output=True, text=True, timeout=60, check=False)
    # A pod's log has both.
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    return dict(json.loads(line))


def link(name: str = "eth1", **options: Any) -> Json:
    return dict(inspect(masters=(name,), **options)["interfaces"][name])


# The segment


@pytest.mark.parametrize("target", [TARGET4, TARGET6], ids=["IPv4", "IPv6"])
def test_a_free_address(node: None, target: Json) -> None:
    (seen,) = inspect(target)["targets"]
    assert seen == {
        **{"ip": target["ip"], "mac": MAC, "master": "eth1", "error": ""},
        **{"holder_mac": None, "mac_seen_at": None, "mac_asked": True, "gateway_mac": GATEWAY_MAC},
        **{"node_has_ip_on": None, "node_has_mac_on": None, "silent_route_gateways": []},
    }


@pytest.mark.parametrize(
    ("target", "gateways"),
    [(TARGET4, [GATEWAY4, "198.51.100.2"]), (TARGET6, [GATEWAY6, "2001:db8:51::2"])],
    ids=["IPv4", "IPv6"],
)
def test_gateways_of_routes(node: None, target: Json, gateways: list[str]) -> None:
    (seen,) = inspect({**target, "route_gateways": gateways})["targets"]
    assert seen["silent_route_gateways"] == gateways[1:]


@pytest.mark.parametrize("target", [TARGET4, TARGET6], ids=["IPv4", "IPv6"])
def test_who_has_the_address(node: None, segment_host, target: Json) -> None:
    segment_host(SQUATTER, f"{EGRESS4}/24", f"{EGRESS6}/64")
    (seen,) = inspect(target)["targets"]
    assert (seen["holder_mac"], seen["mac_seen_at"], seen["gateway_mac"]) == (SQUATTER, None, GATEWAY_MAC)


def test_who_has_the_address_answers_no_one_outside_its_own_subnet(node: None, segment_host) -> None:
    """The node's address is none of the holder's neighbours, and it checks the way back: only a probe is answered."""
    namespaces.ip(f"-n @{NODE} addr add 198.51.100.11/24 dev eth1")
    segment_host(SQUATTER, f"{EGRESS4}/32")
    namespaces.set_sysctls("host0", {"net.ipv4.conf.all.rp_filter": "1", "net.ipv4.conf.eth0.rp_filter": "1"})
    (seen,) = inspect(TARGET4)["targets"]
    assert seen["holder_mac"] == SQUATTER


def test_who_has_the_address_answers_no_probe(node: None, segment_host) -> None:
    """As behind a switch that drops ARP without a sender: the node's own address asks."""
    namespaces.ip(f"-n @{NODE} addr add 198.51.100.11/24 dev eth1")
    segment_host(SQUATTER, f"{EGRESS4}/24")
    namespaces.run("ip netns exec @host0 nft add table arp t")
    namespaces.run("ip netns exec @host0 nft add chain arp t c { type filter hook input priority 0 ; }")
    namespaces.run("ip netns exec @host0 nft add rule arp t c arp saddr ip 0.0.0.0 drop")
    (seen,) = inspect(TARGET4)["targets"]
    assert seen["holder_mac"] == SQUATTER


@pytest.mark.parametrize("ip", [EGRESS4, EGRESS6], ids=["IPv4", "IPv6"])
def test_the_node_itself_has_the_address(node: None, ip: str) -> None:
    namespaces.ip(f"-n @{NODE} addr add {ip} dev lo")
    (seen,) = inspect({**TARGET4, "ip": ip, "gateway": ip})["targets"]
    assert (seen["node_has_ip_on"], seen["holder_mac"]) == ("lo", None)
    # A gateway that the node is itself answers.
    assert seen["gateway_mac"] == "00:00:00:00:00:00"


def test_the_mac_is_in_use_on_the_segment(node: None, segment_host) -> None:
    segment_host(MAC, "198.51.100.77/24")
    seen4, seen6 = inspect(TARGET4, TARGET6)["targets"]
    assert (seen4["holder_mac"], seen4["node_has_mac_on"]) == (None, None)
    # It answers with its link-local address.
    assert seen4["mac_seen_at"].startswith("fe80::")
    assert seen6["mac_seen_at"] == seen4["mac_seen_at"]


def test_the_mac_is_heard_without_ipv6(node: None, segment_host) -> None:
    """Who has it asks for something meanwhile: the frame is enough."""
    segment_host(MAC, "198.51.100.77/24")
    namespaces.set_sysctls("host0", {"net.ipv6.conf.eth0.disable_ipv6": "1"})
    assert inspect(TARGET4)["targets"][0]["mac_seen_at"] is None
    process = subprocess.Popen(command({"masters": [], "targets": [TARGET4], "timeout": 3}), stdout=subprocess.PIPE)
    while process.poll() is None:
        namespaces.run("ip netns exec @host0 ping -c 1 -W 0.1 198.51.100.78", check=False)
    output, _errors = process.communicate()
    assert json.loads(output)["targets"][0]["mac_seen_at"] == "198.51.100.77"


def test_the_mac_is_in_use_on_the_node(node: None) -> None:
    namespaces.add("neighbour")
    try:
        namespaces.ip(f"-n @{NODE} link add link eth1 name mv address {MAC} type macvlan mode bridge")
        namespaces.ip(f"-n @{NODE} link set mv netns @neighbour")
        namespaces.ip("-n @neighbour link set mv up")
        (seen,) = inspect(TARGET4)["targets"]
        assert (seen["node_has_mac_on"], seen["mac_seen_at"]) == ("eth1", None)
    finally:
        namespaces.remove("neighbour")


def test_without_ipv6_the_mac_is_not_asked_for(node: None) -> None:
    namespaces.set_sysctls(NODE, {"net.ipv6.conf.eth1.disable_ipv6": "1"})
    process = subprocess.Popen(
        command({"masters": [], "targets": [TARGET4, TARGET6], "timeout": 2}), stdout=subprocess.PIPE
    )
    # The node does not listen to the group to which the gateway answers, so a NIC would drop the answer.
    until(lambda: "33:33:00:00:00:01" in namespaces.ip(f"-n @{NODE} maddr show dev eth1"), "the group is joined")
    output, _errors = process.communicate()
    for seen in json.loads(output)["targets"]:
        assert (seen["mac_asked"], seen["gateway_mac"], seen["error"]) == (False, GATEWAY_MAC, "")
    assert "33:33:00:00:00:01" not in namespaces.ip(f"-n @{NODE} maddr show dev eth1")


def test_a_silent_gateway(node: None) -> None:
    seen4, seen6 = inspect({**TARGET4, "gateway": "198.51.100.2"}, {**TARGET6, "gateway": "2001:db8:51::2"})["targets"]
    assert (seen4["gateway_mac"], seen6["gateway_mac"]) == (None, None)


def test_nodes_that_ask_at_the_same_time_do_not_take_each_other_for_holders(node: None) -> None:
    question = {"masters": ["eth1"], "targets": [TARGET4, TARGET6]}
    running = [
        subprocess.Popen(command(question, node=node), stdout=subprocess.PIPE, text=True)
        for node in (NODE, "node1", "node2")
    ]
    for process in running:
        output, _errors = process.communicate(timeout=60)
        assert [seen["holder_mac"] for seen in json.loads(output)["targets"]] == [None, None]


def test_a_router_that_serves_is_seen_from_another_node(node: None, make_pod) -> None:
    make_pod("node1").serve()
    seen4, seen6 = inspect(TARGET4, TARGET6)["targets"]
    assert (seen4["holder_mac"], seen6["holder_mac"]) == (MAC, MAC)
    # Not its link-local address, so that it is known for the router itself.
    assert (seen4["mac_seen_at"], seen6["mac_seen_at"]) == (EGRESS4, EGRESS6)


def test_many_targets_take_little_longer_and_are_no_storm(node: None, segment_host, record_property: Any) -> None:
    """12 frames a second at most: switches that inspect ARP shut down a port that sends more than 15."""
    segment_host(SQUATTER, "198.51.100.169/24")
    targets = [
        {**TARGET4, "ip": f"198.51.100.{150 + number}", "mac": f"02:e6:00:00:00:{number:02x}"} for number in range(20)
    ]
    capture = namespaces.inside("outside", _arp_socket)
    start = time.monotonic()
    seen = inspect(*targets)["targets"]
    took = time.monotonic() - start
    assert [found["holder_mac"] for found in seen] == [None] * 19 + [SQUATTER]
    assert {found["gateway_mac"] for found in seen} == {GATEWAY_MAC}
    record_property("figure", f"inspect, 20 addresses, timeout 0.6 s: {took:.1f} s")
    # One after the other they would take 0.6 s each, and a process for each.
    assert took < 12
    stamps = _stamps(capture)
    assert 20 <= len(stamps) <= 45
    for number, stamp in enumerate(stamps):
        assert len([other for other in stamps[number:] if other < stamp + 1]) <= 13


def _arp_socket() -> Any:
    import socket

    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    # SO_TIMESTAMPNS
    raw.setsockopt(socket.SOL_SOCKET, 35, 1)
    raw.bind(("seg0", 0x0806))
    raw.setblocking(False)
    return raw


def _stamps(raw: Any) -> list[float]:
    """When the requests came."""
    import struct

    stamps = []
    with raw:
        while True:
            try:
                frame, ((_level, _kind, stamp),), *_rest = raw.recvmsg(2048, 64)
            except BlockingIOError:
                return stamps
            if frame[20:22] == b"\x00\x01":
                seconds, nanoseconds = struct.unpack("qq", stamp)
                stamps.append(seconds + nanoseconds / 1e9)


# Interfaces


def test_an_interface_as_it_is(node: None) -> None:
    namespaces.ip(f"-n @{NODE} addr add 198.51.100.11/24 dev eth1")
    namespaces.ip(f"-n @{NODE} addr add 2001:db8:51::11/64 dev eth1 nodad")
    namespaces.ip(f"-n @{NODE} link set eth1 mtu 1400 address 02:00:00:00:00:11")
    found = link()
    link_local = [address for address in found.pop("addresses") if address.startswith("fe80:")]
    assert len(link_local) == 1
    assert found == {
        **{"name": "eth1", "exists": True, "up": True, "carrier": True, "mtu": 1400, "kind": "veth", "driver": None},
        **{"mac": "02:00:00:00:00:11", "enslaved_to": None, "enslaved_kind": None, "lower": [], "promiscuous": 0},
        "unicast_filter": [],
        "occupant": None,
    }
    assert {"198.51.100.11/24", "2001:db8:51::11/64"} < set(link()["addresses"])


def test_a_missing_interface(node: None) -> None:
    answer = inspect({**TARGET4, "master": "eth9"}, TARGET4)
    assert answer["interfaces"]["eth9"]["exists"] is False and answer["interfaces"]["eth9"]["mtu"] is None
    missing, there = answer["targets"]
    assert (missing["error"], missing["gateway_mac"], missing["mac_asked"]) == (
        "there is no interface eth9",
        None,
        False,
    )
    assert (there["error"], there["gateway_mac"]) == ("", GATEWAY_MAC)


@pytest.mark.parametrize("family", ["", "-6"], ids=["IPv4", "IPv6"])
def test_without_a_master_it_is_the_default_routes_interface(node: None, family: str) -> None:
    nowhere = inspect({**TARGET4, "master": ""})
    assert (nowhere["interfaces"][""]["exists"], nowhere["interfaces"][""]["name"]) == (False, "")
    assert nowhere["targets"][0]["error"] == "there is no default route to take the interface of"
    namespaces.ip(f"-n @{NODE} addr add 198.51.100.11/24 dev eth1")
    namespaces.ip(f"-n @{NODE} {family} route add default via {GATEWAY6 if family else GATEWAY4} dev eth1 onlink")
    answer = inspect({**TARGET4, "master": ""}, {**TARGET4, "ip": "198.51.100.51"})
    assert (answer["interfaces"][""]["exists"], answer["interfaces"][""]["name"]) == (True, "eth1")
    assert [(seen["master"], seen["gateway_mac"]) for seen in answer["targets"]] == [
        ("", GATEWAY_MAC),
        ("eth1", GATEWAY_MAC),
    ]


def test_an_interface_by_two_names_is_asked_at_one_pace(node: None) -> None:
    namespaces.ip(f"-n @{NODE} -6 route add default via {GATEWAY6} dev eth1 onlink")
    ips = [f"198.51.100.{150 + number}" for number in range(8)]
    capture = namespaces.inside("outside", _arp_socket)
    inspect(*[{**TARGET4, "ip": ip, "gateway": None, "master": "eth1" if ip in ips[:4] else ""} for ip in ips])
    stamps = _stamps(capture)
    assert len(stamps) == 16
    for number, stamp in enumerate(stamps):
        assert len([other for other in stamps[number:] if other < stamp + 1]) <= 13


def test_no_question_asks_for_the_kernel_alone(node: None) -> None:
    words = f"ip netns exec {namespaces.PREFIX}{NODE} /usr/bin/python3 -m egress_router inspect".split()
    done = subprocess.run(words, env={**os.environ, "NODE_NAME": "one"}, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert (answer["node"], answer["interfaces"], answer["targets"], answer["nft"]["usable"]) == ("one", {}, [], True)


def test_an_interface_that_is_down(node: None) -> None:
    namespaces.ip(f"-n @{NODE} link set eth1 down")
    answer = inspect(TARGET4)
    assert (answer["interfaces"]["eth1"]["up"], answer["interfaces"]["eth1"]["carrier"]) == (False, False)
    assert answer["targets"][0]["error"] == "eth1 is down"


def test_an_interface_without_carrier(node: None) -> None:
    namespaces.ip(f"-n @outside link set {NODE} down")
    answer = inspect(TARGET4)
    assert (answer["interfaces"]["eth1"]["up"], answer["interfaces"]["eth1"]["carrier"]) == (True, False)
    assert answer["targets"][0]["error"] == "eth1 has no carrier"


def test_a_bridge_port(node: None) -> None:
    namespaces.ip(f"-n @{NODE} link add br0 type bridge")
    namespaces.ip(f"-n @{NODE} link set eth1 master br0")
    namespaces.ip(f"-n @{NODE} link set br0 up")
    answer = inspect(TARGET4, {**TARGET4, "master": "br0"})
    port = answer["interfaces"]["eth1"]
    assert (port["enslaved_to"], port["enslaved_kind"]) == ("br0", "bridge")
    on_port, on_bridge = answer["targets"]
    assert on_port["error"] == "eth1 is a port of br0, which takes its frames"
    # The bridge itself may be a master.
    assert answer["interfaces"]["br0"]["kind"] == "bridge"
    assert (on_bridge["error"], on_bridge["gateway_mac"]) == ("", GATEWAY_MAC)


def test_macvlans_are_counted_whichever_namespace_they_are_in(node: None) -> None:
    namespaces.add("neighbour")
    try:
        for number, elsewhere in enumerate((False, True, True)):
            name = f"mv{number}"
            namespaces.ip(f"-n @{NODE} link add link eth1 name {name} address 02:e6:00:00:00:0{number} type macvlan")
            if elsewhere:
                namespaces.ip(f"-n @{NODE} link set {name} netns @neighbour")
            namespaces.ip(f"-n @{'neighbour' if elsewhere else NODE} link set {name} up")
        found = link()
        assert found["unicast_filter"] == [f"02:e6:00:00:00:0{number}" for number in range(3)]
        # A veth has no filter, so the kernel itself made it promiscuous.
        assert (Interface(**found).macs, found["promiscuous"]) == (4, 1)
        # Of a macvlan as master the interface below is shown too: its NIC is what has to receive.
        stacked = inspect(masters=("mv0",))["interfaces"]
        assert stacked["mv0"]["lower"] == ["eth1"] and Interface(**stacked["eth1"]).macs == 4
    finally:
        namespaces.remove("neighbour")


def test_promiscuous(node: None) -> None:
    namespaces.ip(f"-n @{NODE} link set eth1 promisc on")
    assert link()["promiscuous"] == 1


@pytest.mark.parametrize("kind", ["bond", "team"])
def test_a_member_of_a_bond(node: None, kind: str) -> None:
    try:
        namespaces.ip(f"-n @{NODE} link add bond0 type {kind}")
    except AssertionError as refused:
        assert "Unknown device type" in str(refused) or "not supported" in str(refused)
        pytest.skip(f"this machine's kernel has no {kind}")
    namespaces.ip(f"-n @{NODE} link set eth1 down")
    namespaces.ip(f"-n @{NODE} link set eth1 master bond0")
    namespaces.ip(f"-n @{NODE} link set bond0 up")
    found = inspect(masters=("bond0",))["interfaces"]
    assert found["bond0"]["lower"] == ["eth1"] and found["eth1"]["enslaved_kind"] == kind


class Message(dict[str, Any]):
    """A message of the kernel as pyroute2 gives it."""

    def get_attr(self, name: str) -> Any:
        return self.get(name)

    def get_nested(self, *names: str) -> Any:
        return self.get(names[-1])


def test_what_receives_for_a_vlan_on_a_bond() -> None:
    def message(index: int, name: str, **more: Any) -> tuple[int, Message]:
        return index, Message(index=index, flags=1, ifi_type=1, IFLA_IFNAME=name, **more)

    reader = links.Reader(
        dict(
            [
                message(1, "bond0.51", IFLA_INFO_KIND="vlan", IFLA_LINK=2),
                message(2, "bond0", IFLA_INFO_KIND="bond"),
                message(3, "eno1", IFLA_MASTER=2),
                message(4, "eno2", IFLA_MASTER=2),
                # Below it is an interface of another namespace, whose number is not ours.
                message(5, "vlan9", IFLA_INFO_KIND="vlan", IFLA_LINK=2, IFLA_LINK_NETNSID=0),
            ]
        ),
        [],
        [],
        [],
    )
    found = reader.links(["bond0.51", "vlan9"]).by_name
    assert {name: link.lower for name, link in found.items()} == {
        **{"bond0.51": ("bond0",), "bond0": ("eno1", "eno2"), "eno1": (), "eno2": (), "vlan9": ()},
    }
    assert (found["eno1"].kind, found["eno1"].enslaved_kind) == ("physical", "bond")
    assert found["bond0.51"].driver is None


def test_the_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """As sysfs shows it for hardware, which a namespace cannot have."""
    (tmp_path / "eno1" / "device").mkdir(parents=True)
    (tmp_path / "eno1" / "device" / "driver").symlink_to("../../../../bus/pci/drivers/ixgbe")
    monkeypatch.setattr(links, "CLASS", tmp_path)
    reader = links.Reader({3: Message(index=3, flags=1, ifi_type=1, IFLA_IFNAME="eno1")}, [], [], [])
    assert reader.links(["eno1"]).by_name["eno1"].driver == "ixgbe"


def test_an_alternative_name(node: None) -> None:
    name = "a-name-that-is-longer-than-those-of-interfaces"
    namespaces.ip(f"-n @{NODE} link property add dev eth1 altname {name}")
    found = inspect({**TARGET4, "master": name}, masters=(name,))
    assert found["interfaces"][name]["exists"] and found["interfaces"][name]["name"] == "eth1"
    assert found["targets"][0]["error"] == ""


@pytest.mark.parametrize(("mode", "occupant"), [("passthru", "macvlan mv0"), ("bridge", None)])
def test_who_takes_all_frames_of_an_interface(node: None, mode: str, occupant: str | None) -> None:
    namespaces.ip(f"-n @{NODE} link add link eth1 name mv0 type macvlan mode {mode}")
    assert link()["occupant"] == occupant


def test_an_odd_interface_keeps_no_other_from_being_asked(node: None) -> None:
    """A tunnel has no MAC address."""
    namespaces.ip(f"-n @{NODE} tuntap add mode tun name odd0")
    namespaces.ip(f"-n @{NODE} link set odd0 up")
    holder = subprocess.Popen(
        ["ip", "netns", "exec", f"{namespaces.PREFIX}{NODE}", "/usr/bin/python3", "-c", HOLD_TUN], stdin=subprocess.PIPE
    )
    try:
        until(lambda: link("odd0")["carrier"], "somebody has opened the tunnel")
        found = inspect({**TARGET4, "master": "odd0"}, TARGET4, masters=("odd0", "eth1"))
    finally:
        holder.communicate(timeout=10)
    odd, sound = found["targets"]
    assert odd["error"] == "odd0 has no MAC address" and found["interfaces"]["odd0"]["mac"] is None
    assert sound["error"] == "" and found["interfaces"]["eth1"]["mac"]


def test_whatever_fails_on_an_interface_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(interface: Interface) -> str:
        raise TypeError("something odd")

    monkeypatch.setattr(neighbours, "_sockets", odd)
    found = neighbours.ask(Interface("eth9", exists=True, up=True, carrier=True, mac="02:00:00:00:00:01"), [], 0.1)
    assert found.error == "eth9: TypeError: something odd"


def test_messages_without_an_ethernet_address() -> None:
    index = {"index": 3, "flags": 1, "ifi_type": 32, "IFLA_IFNAME": "ib0"}
    message = Message(**index, IFLA_ADDRESS="80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:00:01")
    entries = [Message(ifindex=3, flags=2, NDA_LLADDR=address) for address in (None, "192.0.2.1", "02:00:00:00:00:01")]
    found = links.Reader({3: message}, [], entries, []).links(["ib0"]).by_name["ib0"]
    assert (found.mac, found.unicast_filter) == (None, ("02:00:00:00:00:01",))


# The kernel


def test_nft(node: None) -> None:
    accepted = {"usable": True, "concat_maps": True, "spread": True, "error": ""}
    assert inspect()["nft"] == {**accepted, "rules": None}
    track(NODE)
    assert inspect()["nft"] == {**accepted, "rules": True}


def track(node: str) -> None:
    """Connection tracking, as on every node of a cluster, and a connection."""
    namespaces.run(f"ip netns exec @{node} nft add table inet t")
    namespaces.run(f"ip netns exec @{node} nft add chain inet t c {{ type filter hook output priority 0 ; }}")
    namespaces.run(f"ip netns exec @{node} nft add rule inet t c ct state new counter")
    namespaces.run(f"ip netns exec @{node} ping -c 1 -W 1 127.0.0.1")
    until(lambda: namespaces.run(f"ip netns exec @{node} conntrack -C").strip() != "0", "a connection is tracked")


def test_nft_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an old kernel says, said here by a table that nft does not understand."""
    monkeypatch.setattr(host.table, "maps", lambda name: f"table inet {name} {{ map m {{ type nonsense; }} }}")
    answer = host.nft()
    assert (answer.usable, answer.concat_maps, answer.rules) == (True, False, None)
    assert "Error:" in answer.error and "\n" not in answer.error


def test_nft_without_jhash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.table, "spread", lambda name: f"table inet {name} {{ chain c {{ meta mark set khash }} }}")
    answer = host.nft()
    assert (answer.concat_maps, answer.spread) == (True, False) and "Error:" in answer.error


def test_a_kernel_that_can_relay(node: None) -> None:
    assert inspect()["relay_error"] == ""


def test_a_kernel_that_cannot_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    """What kernels without the modules say, said here by this one to what no kernel has."""
    with monkeypatch.context() as patched:
        patched.setattr(host, "_VXLAN", "vxlan9")
        assert (host.relay_error() or "").startswith("there are no VXLAN interfaces: (95, ")
    monkeypatch.setattr(host.rules, "trial", lambda: "table netdev t { chain c { fwd over lo } }")
    found = host.relay_error() or ""
    assert found.startswith("nftables does not forward between interfaces: Error: ") and "\n" not in found


def test_with_net_raw_alone_all_but_nft_is_seen(node: None) -> None:
    answer = inspect(TARGET4, capabilities=NET_RAW_ALONE)
    assert answer["targets"][0]["gateway_mac"] == GATEWAY_MAC
    error = "not asked: the capability NET_ADMIN is missing"
    assert answer["nft"] == {"usable": None, "concat_maps": None, "rules": None, "spread": None, "error": error}
    assert answer["relay_error"] is None


def test_without_capabilities_the_segment_is_not_seen(node: None) -> None:
    answer = inspect(TARGET4, capabilities="setpriv --bounding-set=-all --no-new-privs")
    assert answer["targets"][0]["error"] == "eth1: Operation not permitted"
    assert answer["interfaces"]["eth1"]["up"] is True


def test_kernel_settings_and_plugins(node: None, tmp_path: Any) -> None:
    namespaces.set_sysctls(NODE, {"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "2"})
    (tmp_path / "macvlan").write_text("")
    (tmp_path / "a folder").mkdir()
    answer = inspect(cni_directory=str(tmp_path))
    assert answer["cni"] == {"directory": str(tmp_path), "plugins": ["macvlan"]}
    assert (answer["sysctl"]["net.ipv4.ip_forward"], answer["sysctl"]["net.ipv4.conf.all.rp_filter"]) == ("1", "2")
    assert (answer["schema"], answer["kernel"], answer["node"]) == (1, os.uname().release, os.uname().nodename)
    assert answer["conntrack"]["max"] > 0 and answer["conntrack"]["count"] == 0
    assert inspect(cni_directory=str(tmp_path / "none"))["cni"]["plugins"] is None


# The command


def test_nothing_is_left_behind(node: None) -> None:
    """Nor is anything different while it asks."""
    track(NODE)
    namespaces.ip(f"-n @{NODE} addr add 198.51.100.11/24 dev eth1")
    namespaces.ip(f"-n @{NODE} link add link eth1 name mv0 address 02:e6:00:00:00:01 type macvlan")
    namespaces.ip(f"-n @{NODE} link set mv0 up")
    namespaces.ip(f"-n @{NODE} neigh replace {GATEWAY4} lladdr {GATEWAY_MAC} dev eth1 nud permanent")
    before = state()
    until(lambda: state() == before, "the namespace is quiet")
    process = subprocess.Popen(
        command({"masters": ["eth1", "mv0"], "targets": [TARGET4, TARGET6], "timeout": 2}),
        stdout=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None:
        assert state() == before
    output, _errors = process.communicate()
    answer = json.loads(output)
    assert (answer["nft"]["rules"], answer["relay_error"]) == (True, "")
    assert state() == before


def state() -> dict[str, str]:
    """All that the kernel keeps of the node's network, without counters and clocks."""
    commands = (
        *("ip -d link show", "ip addr show", "ip rule show", "ip route show table all", "ip -6 route show table all"),
        *("ip neigh show dev eth1 nud permanent", "bridge fdb show", "nft -s list ruleset", "ip maddr show"),
    )
    found = {text: namespaces.run(f"ip netns exec @{NODE} {text}") for text in commands}
    settings = namespaces.run(f"ip netns exec @{NODE} sysctl -a --pattern ^net\\.(ipv[46]|bridge)")
    found["sysctl"] = "\n".join(line for line in settings.splitlines() if "stable_secret" not in line)
    return found


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("eth1", "cannot be read"),
        ('{"targets": [{"ip": "198.51.100.50"}]}', "missing 1 required positional argument: 'mac'"),
        ('{"masters": [], "targets": [{"ip": "x", "mac": "02:00:00:00:00:01"}]}', "'x' does not appear to be"),
        ('{"masters": [], "targets": [{"ip": "198.51.100.50", "mac": "03:00:00:00:00:01"}]}', "not a unicast MAC"),
    ],
)
def test_a_wrong_question(question: str, reason: str) -> None:
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "egress_router", "inspect"],
        env={**os.environ, "EGRESS_INSPECT": question},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and reason in done.stderr and done.stdout == ""
