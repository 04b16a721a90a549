# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking the address: the probe, conflicts, what is missing in the pod, and telling the segment."""

from __future__ import annotations

import ipaddress
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest
from egress_router.kernel.notices import Notices
from egress_router.net import checksum
from egress_router.segment import frames

from ansible_collections.egress.router.plugins.module_utils._contract.identity import EgressAddress
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.fake_agent_api import FakeApi
from ansible_collections.egress.router.tests.support.router_pod import (
    EGRESS4,
    EGRESS6,
    GATEWAY4,
    MAC,
    TERMINATED,
    ask,
)
from ansible_collections.egress.router.tests.support.waiting import always, until

CHANGES = {
    "link": "link set lo mtu 1400",
    "address": "addr add 198.51.100.7/32 dev lo",
    "address6": "addr add 2001:db8::7/128 dev lo",
    "route": "route add 203.0.113.0/24 dev lo",
    "route6": "-6 route add 2001:db8:7::/64 dev lo",
    "rule": "rule add from 198.51.100.7 lookup 100",
    "rule6": "-6 rule add from 2001:db8::7 lookup 100",
}
SQUATTER = "02:42:00:00:00:66"


@pytest.fixture(scope="module")
def noticing(network: None) -> Iterator[Notices]:
    namespaces.add("noticed")
    yield namespaces.inside("noticed", Notices)
    namespaces.remove("noticed")


@pytest.mark.parametrize("change", CHANGES)
def test_the_kernel_tells_when_something_changes(noticing: Notices, change: str) -> None:
    """So nobody has to look all the time."""
    # What the kernel itself does after the one before.
    until(lambda: not noticing.changed(), "rest")
    namespaces.ip(f"-n @noticed {CHANGES[change]}")
    assert noticing.changed()
    until(lambda: not noticing.changed(), "rest again")


def test_more_changes_than_can_be_told(noticing: Notices) -> None:
    until(lambda: not noticing.changed(), "rest")
    commands = "".join(
        f"route add 203.0.113.{host}/32 dev lo\nroute del 203.0.113.{host}/32 dev lo\n" for host in range(250)
    )
    subprocess.run(
        ["ip", "-n", f"{namespaces.PREFIX}noticed", "-batch", "-"], input=4 * commands, text=True, check=True
    )
    assert noticing.changed()
    until(lambda: not noticing.changed(), "rest again")


def test_an_address_in_use_is_not_taken(make_pod, segment_host) -> None:
    segment_host(SQUATTER, f"{EGRESS4}/24")
    pod = make_pod().start()
    until(lambda: pod.status().state == "conflict", "the conflict is told")
    error = pod.status().error
    since = error.partition("since ")[2].partition(" at least")[0]
    assert error == f"{EGRESS4} is in use by {SQUATTER}, since {since} at least: free it or choose another address"
    assert since.endswith("Z")
    always(lambda: pod.addresses_on_net1() == set() and pod.endpoints() == [], "nothing is taken", 3.5)
    assert pod.status().error == error, "the conflict is still the same one"
    assert pod.get("/readyz")[0] == 503 and SQUATTER in pod.get("/readyz")[1]
    namespaces.ip("-n @host0 addr flush dev eth0")
    pod.wait_serving()
    assert pod.status().error == "" and pod.addresses_on_net1() == {EGRESS4, EGRESS6}


def test_an_ipv6_address_in_use_is_not_taken(make_pod, segment_host) -> None:
    segment_host(SQUATTER, f"{EGRESS6}/64")
    pod = make_pod().start()
    until(lambda: pod.status().state == "conflict", "the conflict is told")
    assert pod.status().error.startswith(f"{EGRESS6} is in use by {SQUATTER}")
    namespaces.ip("-n @host0 -6 addr flush dev eth0 scope global")
    pod.wait_serving()


@pytest.mark.parametrize("address", [f"{EGRESS4}/24", f"{EGRESS6}/64"])
def test_an_answer_from_our_own_mac_is_another_pod_that_serves(make_pod, segment_host, address: str) -> None:
    """Its node is cut off from the API server, or it is another cluster's."""
    segment_host(MAC, address)
    pod = make_pod()
    original = pod.mac()
    pod.start()
    until(lambda: pod.status().state == "conflict", "the conflict is told")
    assert f"is in use by {MAC}, since" in pod.status().error and "the router's own MAC address" in pod.status().error
    always(lambda: (pod.addresses_on_net1(), pod.mac()) == (set(), original), "nothing is taken", 2.5)
    namespaces.ip("-n @host0 link set eth0 down")
    pod.wait_serving()


def test_a_second_pod_does_not_serve_beside_the_first(make_pod, api: FakeApi) -> None:
    """One replica, whose node is cut off from the API server: another pod asks the segment, and the first one answers."""
    first, second = make_pod("node1"), make_pod("node2")
    first.put_rules("5432 TCP 203.0.113.10\n")
    first.serve()
    api.stop()
    first.process.send_signal(signal.SIGSTOP)
    api.start()
    second.start()
    until(lambda: "event=state state=conflict" in second.log(), "the conflict is told")
    assert f"pod {first.pod} on node node-of-{first.pod}, which had the lease before" in second.get("/readyz")[1]
    assert second.holder() == first.pod
    assert ask(first.ip4, 5432)["source_ip"] == EGRESS4
    always(lambda: second.addresses_on_net1() == set() and second.mac() != MAC, "nothing is taken", 2.5)
    first.process.send_signal(signal.SIGCONT)
    first.wait_serving()
    always(lambda: second.mac() != MAC, "the first goes on", 1.0)
    first.kill()
    namespaces.remove(first.pod)
    second.wait_serving()
    assert ask(second.ip4, 5432)["source_ip"] == EGRESS4


def test_the_hypervisor_drops_the_first_probe(make_pod, segment_host) -> None:
    """Port security lets only the router's MAC address through, so the second one must find the other host."""
    segment_host(SQUATTER, f"{EGRESS4}/24")
    pod = make_pod()
    namespaces.run(
        "ip netns exec @outside nft add table bridge port; add chain bridge port c { type filter hook forward priority 0; }; "
        f"add rule bridge port c ether saddr {pod.mac()} drop".replace("nft ", "nft ", 1)
    )
    try:
        pod.start()
        until(lambda: pod.status().state == "conflict", "the conflict is told")
    finally:
        namespaces.run("ip netns exec @outside nft delete table bridge port")


def test_the_mac_is_in_use_on_the_node(make_pod) -> None:
    """An earlier pod that did not end yet: its macvlan on the same parent has the MAC address."""
    earlier, pod = make_pod("node1"), make_pod("node1")
    namespaces.ip(f"-n @{earlier.pod} link set net1 address {MAC}")
    pod.start()
    until(lambda: pod.status().state == "failed", "the failure is told")
    assert f"MAC address {MAC} of router billing-db is in use by another interface" in pod.status().error
    namespaces.ip(f"-n @{earlier.pod} link set net1 address 02:00:00:00:00:77")
    pod.wait_serving()


def test_neighbours_are_told_at_once(make_pod, segment_host) -> None:
    """The gateway has a stale entry of an earlier holder; the announcement replaces it."""
    pod = make_pod()
    pod.put_rules("5432 TCP 203.0.113.10\n5432 TCP 2001:db8:113::10\n")
    for address in (EGRESS4, EGRESS6):
        namespaces.ip(f"-n @outside neigh replace {address} lladdr {SQUATTER} dev seg0 nud stale")
    pod.serve()
    # Before any traffic, which would tell the gateway too.
    for address in (EGRESS4, EGRESS6):
        until(lambda address=address: MAC in namespaces.ip(f"-n @outside neigh show {address} dev seg0"), "told", 1)
    assert ask(pod.ip4, 5432, timeout=1.0)["source_mac"] == MAC
    assert ask(pod.ip6, 5432, timeout=1.0)["source_mac"] == MAC


def test_no_net1(make_pod) -> None:
    pod = make_pod()
    namespaces.ip(f"-n @{pod.pod} link set net1 name other0")
    pod.start()
    until(lambda: pod.status().state == "failed", "the failure is told")
    assert "there is no interface net1" in pod.status().error and "billing-db" in pod.status().error
    namespaces.ip(f"-n @{pod.pod} link set other0 down")
    namespaces.ip(f"-n @{pod.pod} link set other0 name net1")
    namespaces.ip(f"-n @{pod.pod} link set net1 up")
    pod.wait_serving()


def test_net1_goes_away(make_pod) -> None:
    pod = make_pod().serve()
    namespaces.ip(f"-n @{pod.pod} link del net1")
    until(lambda: pod.status().state == "failed", "the failure is told")
    until(lambda: pod.endpoints() == [], "no endpoint")
    assert pod.get("/readyz")[0] == 503


def test_no_forwarding(make_pod) -> None:
    pod = make_pod(tuning={**namespaces.TUNING, "net.ipv6.conf.all.forwarding": "0"}).start()
    until(lambda: pod.status().state == "failed", "the failure is told")
    assert "net.ipv6.conf.all.forwarding is not 1" in pod.status().error
    assert pod.terminate() < TERMINATED


def test_a_router_with_ipv4_alone_needs_no_tuning(make_pod) -> None:
    pod = make_pod(tuning={**namespaces.TUNING, "net.ipv6.conf.all.forwarding": "0"})
    pod.addresses = pod.addresses[:1]
    pod.put_rules("5432 TCP 203.0.113.10\n")
    pod.serve()
    assert ask(pod.ip4, 5432)["source_ip"] == EGRESS4


@pytest.mark.parametrize(
    ("of_all", "source"), [("0", {"rp_filter": 0, "accept_local": 1}), ("1", {"rp_filter": 2, "accept_local": 0})]
)
def test_settings_of_both_interfaces(make_pod, of_all: str, source: dict[str, int]) -> None:
    """Whatever the node's are. Forwarding begins when the table is there, which drops what is not redirected."""
    pod = make_pod(tuning={**namespaces.TUNING, "net.ipv4.conf.all.rp_filter": of_all})
    pod.put_rules("5432 TCP 203.0.113.10\n")
    pod.serve()
    assert ask(pod.ip4, 5432)["source_ip"] == EGRESS4
    wanted = {"forwarding": 1, "accept_redirects": 0, "send_redirects": 0, "accept_source_route": 0, "proxy_arp": 0}
    wanted |= source
    more = {"arp_ignore": 1, "arp_announce": 2}
    names = [(interface, name, value) for interface in ("eth0", "net1") for name, value in wanted.items()]
    for interface, name, value in [*names, *(("net1", *item) for item in more.items())]:
        assert pod.run(f"sysctl -n net.ipv4.conf.{interface}.{name}").strip() == str(value), (interface, name)


def test_nobody_else_sends_from_its_own_addresses(make_pod) -> None:
    """The kernel does not look at sources where the node leaves that to the pod: the table does, once a connection."""
    pod = make_pod(tuning={**namespaces.TUNING, "net.ipv4.conf.all.rp_filter": "0"})
    pod.put_rules("9999 UDP 203.0.113.10\n")
    pod.serve()
    labels = 'destination="203.0.113.10:9999",name="",port="9999",protocol="UDP"'

    def send(source: str) -> None:
        addresses = b"".join(ipaddress.ip_address(text).packed for text in (source, pod.ip4))
        header = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            # A checksum of 0 is none.
            raw.sendto(header + struct.pack("!HHHH", 4000, 9999, 8, 0), (pod.ip4, 0))

    for source in (pod.ip4, EGRESS4):
        namespaces.inside("pods", lambda source=source: send(source))
    namespaces.inside("pods", lambda: send("10.244.0.99"))
    until(lambda: pod.metric(f"egress_router_rule_connections_total{{{labels}}}") >= 1, "another source goes through")
    assert pod.metric(f"egress_router_rule_connections_total{{{labels}}}") == 1


def test_a_router_advertisement_changes_nothing(make_pod) -> None:
    """A router with IPv4 alone listens to them, as any host: tuning is for IPv6."""
    pod = make_pod(tuning={"net.ipv6.conf.net1.accept_dad": "0"})
    pod.addresses = pod.addresses[:1]
    routes = pod.run("ip -6 route show table main default")
    mac = bytes.fromhex(pod.mac().replace(":", ""))

    def taken() -> bool:
        # An interface that is new does not listen at once.
        advertise(mac)
        return "2001:db8:99:" in pod.run("ip addr show net1")

    until(taken, "the kernel took an address", every=0.2)
    pod.serve()
    assert pod.addresses_on_net1() == {EGRESS4}
    assert pod.run("ip -6 route show table main default") == routes
    advertise(bytes.fromhex(MAC.replace(":", "")))
    always(lambda: pod.addresses_on_net1() == {EGRESS4}, "no address", 1.0)
    assert pod.run("ip -6 route show table main default") == routes
    assert pod.metric('egress_router_drift_repairs_total{kind="address"}') == 0, "it came no further than the table"


def advertise(mac: bytes) -> None:
    """A router advertisement of 2001:db8:99::/64 to one host on the segment, as its only router."""
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + ipaddress.ip_address("2001:db8:99::").packed
    source, group = (ipaddress.ip_address(text) for text in ("fe80::1", "ff02::1"))
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix
    pseudo = source.packed + group.packed + struct.pack("!II", len(message), socket.IPPROTO_ICMPV6)
    message = message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), socket.IPPROTO_ICMPV6, 255) + source.packed + group.packed

    def send() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
            raw.bind(("seg0", 0))
            raw.send(mac + b"\x02\0\0\0\0\x01\x86\xdd" + header + message)

    namespaces.inside("outside", send)


def test_no_proxy_arp_whatever_the_node_has(make_pod, segment_host) -> None:
    """The kernel has it if the interface or `all` has it, and `all` is not the agent's."""
    segment_host("02:42:00:00:00:67", "198.51.100.67/24")
    pod = make_pod().serve()
    assert pod.run("sysctl -n net.ipv4.conf.all.proxy_arp").strip() == "1"
    namespaces.ip("-n @host0 route add 10.244.0.0/24 dev eth0")
    namespaces.run("ip netns exec @host0 ping -c 1 -W 1 10.244.0.1", check=False)
    assert MAC not in namespaces.ip("-n @host0 neigh show 10.244.0.1 dev eth0")


def test_an_address_without_gateway_reaches_its_segment(make_pod, segment_host) -> None:
    pod = make_pod()
    pod.addresses = tuple(EgressAddress(address.ip) for address in pod.addresses)
    pod.put_rules("5432 TCP 198.51.100.1\n")
    pod.serve()
    seen = ask(pod.ip4, 5432)
    assert (seen["source_ip"], seen["local_ip"]) == (EGRESS4, "198.51.100.1")
    version = pod.put_rules("5432 TCP 198.51.100.1\n80 TCP 203.0.113.10\n")
    until(lambda: pod.status().rules_version == version, "the agent dealt with the rules")
    assert "'203.0.113.10' is outside 198.51.100.0/24 and" in pod.status().rules_error
    assert ask(pod.ip4, 5432)["source_ip"] == EGRESS4


def test_a_missing_slice_is_told(make_pod, api) -> None:
    api.delete("endpointslices", "billing-db-ipv6")
    pod = make_pod()
    pod.start()
    until(lambda: "EndpointSlice billing-db-ipv6 is gone" in pod.status().error, "the status says what is missing")
    assert pod.status().state == "starting" and pod.get("/readyz")[0] == 503
    api.put("endpointslices", "billing-db-ipv6", {"addressType": "IPv6"})
    pod.wait_serving()


@pytest.mark.parametrize("address", [EGRESS4, EGRESS6])
def test_a_claim_is_answered_once_and_then_a_conflict(make_pod, address: str) -> None:
    pod = make_pod().serve()

    def claim() -> None:
        frame = frames.announcement(bytes.fromhex(SQUATTER.replace(":", "")), ipaddress.ip_address(address))
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
            raw.bind(("seg0", 0))
            raw.send(frame)

    namespaces.inside("outside", claim)
    until(lambda: pod.metric("egress_router_address_claims_total") == 1, "the claim is counted", 3)
    assert pod.get("/readyz")[0] == 200 and pod.addresses_on_net1() == {EGRESS4, EGRESS6}
    namespaces.inside("outside", claim)
    until(lambda: pod.status().state == "conflict", "the conflict is told", 3)
    assert f"{address} is in use by {SQUATTER}" in pod.status().error
    # Nobody answers for the address.
    pod.wait_serving()
    assert pod.addresses_on_net1() == {EGRESS4, EGRESS6}


def test_somebody_takes_the_address_later(make_pod, segment_host) -> None:
    pod = make_pod().serve()
    segment_host(SQUATTER, f"{EGRESS4}/24")
    host = bytes.fromhex(SQUATTER.replace(":", ""))

    def announce() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
            raw.bind(("eth0", 0))
            raw.send(frames.announcement(host, ipaddress.ip_address(EGRESS4)))

    def told() -> bool:
        namespaces.inside("host0", announce)
        return pod.status().state == "conflict"

    until(told, "the conflict is told", 5)
    until(lambda: pod.addresses_on_net1() == set() and pod.endpoints() == [], "everything is given up", 3)
    always(lambda: pod.status().state != "serving", "it is not taken again", 4.0)


def test_the_switch_port_of_the_node_is_down(make_pod) -> None:
    pod = make_pod("node2").serve()
    namespaces.ip("-n @node2 link set eth1 down")
    try:
        until(lambda: pod.status().state == "failed", "the failure is told", 5)
        assert "net1 has no carrier" in pod.status().error and pod.get("/readyz")[0] == 503
        assert pod.metric('egress_router_state{state="failed"}') == 1
    finally:
        namespaces.ip("-n @node2 link set eth1 up")
    pod.wait_serving(10)


def test_the_gateway_is_silent(make_pod) -> None:
    pod = make_pod().serve()
    assert pod.metric(f'egress_router_gateway_answers{{gateway="{GATEWAY4}"}}') == 1
    namespaces.ip("-n @outside link set seg0 arp off")
    try:
        until(lambda: pod.status().state == "failed", "the failure is told", 8)
        assert f"gateway {GATEWAY4}" in pod.status().error and pod.get("/readyz")[0] == 503
        assert pod.metric(f'egress_router_gateway_answers{{gateway="{GATEWAY4}"}}') == 0
        assert pod.addresses_on_net1() == {EGRESS4, EGRESS6}
    finally:
        namespaces.ip("-n @outside link set seg0 arp on")
    pod.wait_serving(10)
