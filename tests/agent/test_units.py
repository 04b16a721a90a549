# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts that need no kernel: marks, the table's text, the configuration, the elector's clock, frames."""

from __future__ import annotations

import copy
import ipaddress
import json
import socket
import subprocess
import sys
import threading
import time
from typing import Any
from unittest.mock import ANY, MagicMock, Mock, call

import pytest
from egress_router import config, log
from egress_router.kernel import conntrack, table
from egress_router.kernel.marks import BASE, MASK, fallback_mark, rule_mark
from egress_router.kernel.nft import FirewallError
from egress_router.net import checksum
from egress_router.proof import sniffer
from egress_router.run import agent, life
from egress_router.run.kube import ApiError
from egress_router.run.lease import Elector, Fence
from egress_router.run.reporter import Reporter
from egress_router.run.rules import Rules
from egress_router.run.web import Pages
from egress_router.segment import conflict, frames

from ansible_collections.egress.router.plugins.module_utils._contract.identity import (
    VARIABLE,
    EgressAddress,
    Identity,
    Port,
)
from ansible_collections.egress.router.plugins.module_utils._contract.rules import parse
from ansible_collections.egress.router.plugins.module_utils._contract.status import Status
from ansible_collections.egress.router.tests.support.waiting import until

ENVIRONMENT = {"POD_NAME": "pod", "POD_NAMESPACE": "payments", "NODE_NAME": "node", "POD_IPS": "10.244.0.11"}
IDENTITY: dict[str, Any] = {
    "router": "r",
    "addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}],
    "mac": "02:E6:c6:33:64:32",
}


def load(environment: dict[str, str] | None = None, **identity: Any) -> config.Config:
    return config.load({**ENVIRONMENT, VARIABLE: json.dumps({**IDENTITY, **identity}), **(environment or {})})


def test_the_agent_imports_of_pyroute2_what_it_uses() -> None:
    """All of it would be a fifth of the memory of an idle router."""
    code = "import egress_router.run.composition, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pyroute2.iproute" in done.stdout.split()
    assert not {"pyroute2.ndb", "pyroute2.cli", "pyroute2.ipdb", "unittest", "asyncio"} & set(done.stdout.split())


def test_garbage_is_collected_once_all_is_imported() -> None:
    code = "import gc; from egress_router.__main__ import main; main(); print(); print(gc.isenabled(), gc.get_freeze_count() > 0)"
    command = [sys.executable, "-c", code, "sbom"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True True"


def test_marks_are_all_different_and_ours() -> None:
    marks = [rule_mark(f, p, n) for f in (4, 6) for p in ("TCP", "UDP", "SCTP") for n in (1, 53, 65535)]
    marks += [fallback_mark(4), fallback_mark(6)]
    assert len(set(marks)) == len(marks)
    assert all(mark & MASK == BASE for mark in marks)
    # Connections outlive the agent: another number for the same rule in a later release would stall them.
    assert (rule_mark(4, "TCP", 5432), rule_mark(6, "UDP", 53)) == (0xE6C11538, 0xE6C60035)
    assert (fallback_mark(4), fallback_mark(6)) == (0xE6C80000, 0xE6CC0000)


def test_delta_touches_what_differs_only() -> None:
    before, after = (
        parse("80 TCP 203.0.113.10\n443 TCP 203.0.113.11\n"),
        parse("80 TCP 203.0.113.10\n53 UDP 203.0.113.12\n"),
    )
    text = table.delta(table.contents(before), table.contents(after), table.revoked(before, after))
    assert "443" in text and "6 . 80" not in text
    assert table.delta(table.contents(after), table.contents(after), set()) == ""


def test_delta_of_a_name_leaves_the_counters() -> None:
    before, after = parse("80 TCP 203.0.113.10\n"), parse("80 TCP 203.0.113.10 name=web\n")
    text = table.delta(table.contents(before), table.contents(after), table.revoked(before, after))
    assert text.splitlines() == [
        "delete element inet egress_router redirect4 { 6 . 80 }",
        'add element inet egress_router redirect4 { 6 . 80 comment "web" : 203.0.113.10 . 80 }',
    ]


def test_configuration() -> None:
    ports = [{"port": 8443, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    found = load({"POD_IPS": "10.244.0.11,2001:db8:244::11"}, extra_ports=ports, headless=True)
    assert found.mac == "02:e6:c6:33:64:32"
    assert str(found.addresses[0].gateway) == "198.51.100.1"
    assert found.extra_ports == ((8443, "TCP"), (53, "UDP"))
    assert str(found.pod_ip(6)) == "2001:db8:244::11" and found.address(6) is None
    assert (found.lease_seconds, found.renew_seconds, found.replicas, found.headless) == (15, 5.0, 1, True)


def test_what_the_collection_writes_is_what_the_agent_reads() -> None:
    identity = Identity(
        router="billing-db",
        addresses=(EgressAddress("2001:db8:51::50/64"), EgressAddress("198.51.100.50/24", "198.51.100.1")),
        mac="02:e6:c6:33:64:32",
        replicas=2,
        headless=True,
        extra_ports=(Port(8443, "TCP"),),
        lease_seconds=30,
        renew_seconds=7.5,
    )
    found = config.load({**ENVIRONMENT, VARIABLE: identity.to_json()})
    assert (found.router, found.mac, found.replicas, found.headless) == ("billing-db", identity.mac, 2, True)
    assert [(str(a.interface), str(a.gateway or "")) for a in found.addresses] == [
        ("198.51.100.50/24", "198.51.100.1"),
        ("2001:db8:51::50/64", ""),
    ]
    assert (found.extra_ports, found.lease_seconds, found.renew_seconds) == (((8443, "TCP"),), 30, 7.5)


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        ({"router": ""}, "router '' is not the name of a router"),
        ({"addresses": []}, "addresses is empty"),
        ({"addresses": [{"ip": "198.51.100.50"}]}, r"addresses\[0\].ip '198.51.100.50' lacks its prefix length"),
        ({"addresses": [{"ip": "nonsense"}]}, r"addresses\[0\].ip 'nonsense' is not an address"),
        ({"addresses": [{"ip": None}]}, r"addresses\[0\].ip 'None' is not an address"),
        ({"addresses": [{"ip": "198.51.100.50/24"}] * 2}, r"addresses\[1\].ip .* is a second IPv4 address"),
        ({"addresses": [{"ip": "198.51.100.50/24", "gateway": "2001:db8::1"}]}, "is not an IPv4 address as"),
        ({"addresses": [{"ip": "198.51.100.50/24", "gateway": 1}]}, r"addresses\[0\].gateway '1' is not an IP address"),
        ({"addresses": [{"ip": "198.51.100.50/24", "gatway": ""}]}, "unexpected keyword argument 'gatway'"),
        ({"mac": "03:00:00:00:00:01"}, "mac '03:00:00:00:00:01' is not a unicast MAC address"),
        ({"replicas": 0}, "replicas '0' is not a whole number of at least 1"),
        ({"replicas": "2"}, "replicas '2' is not a whole number of at least 1"),
        ({"headless": "no"}, "headless 'no' is neither true nor false"),
        ({"lease_seconds": True}, "lease_seconds 'True' is not a whole number"),
        ({"renew_seconds": 8}, "renew_seconds '8' is not a number above 0 and at most half of lease_seconds"),
        ({"extra_ports": [{"port": 70000, "protocol": "TCP"}]}, r"extra_ports\[0\].port '70000' is above 65535"),
        ({"extra_ports": [{"port": 80, "protocol": "ICMP"}]}, r"extra_ports\[0\].protocol 'ICMP' is not one of"),
    ],
)
def test_wrong_identity(identity: dict[str, Any], reason: str) -> None:
    with pytest.raises(config.ConfigError, match=f"^EGRESS_ROUTER.*{reason}"):
        load(**identity)


@pytest.mark.parametrize("name", ["POD_IPS", "POD_NAME", "POD_NAMESPACE", "NODE_NAME"])
def test_missing_environment(name: str) -> None:
    with pytest.raises(config.ConfigError, match=f"environment variable {name} is not set"):
        load({name: ""})


def test_wrong_pod_ips() -> None:
    with pytest.raises(config.ConfigError, match="POD_IPS: 'x' is not an IP address"):
        load({"POD_IPS": "10.244.0.11,x"})


def test_the_kernel_forwards_only_when_the_table_is_there() -> None:
    parts = MagicMock()
    agent.Agent(load(), parts.rules, parts.address, parts.elector, parts.reporter, parts.stop, parts.wake)._adopt()
    order = [call[0] for call in parts.mock_calls]
    assert order.index("rules.adopt") < order.index("address.secure") < order.index("address.adopt")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Api:
    """A Lease in memory."""

    def __init__(self) -> None:
        self.lease_object: dict[str, Any] = {"metadata": {"resourceVersion": "1"}, "spec": {}}
        self.before_patch: Any = lambda: None

    def lease(self, timeout: Any = None) -> dict[str, Any]:
        return copy.deepcopy(self.lease_object)

    def patch_lease(self, patch: dict[str, Any], timeout: Any = None) -> dict[str, Any]:
        self.before_patch()
        if patch["metadata"]["resourceVersion"] != self.lease_object["metadata"]["resourceVersion"]:
            raise ApiError(409, "the object has been modified")
        self.lease_object["metadata"].setdefault("annotations", {}).update(patch["metadata"]["annotations"])
        self.write(**patch.get("spec", {}))
        return self.lease()

    def write(self, **spec: Any) -> None:
        self.lease_object["spec"].update(spec)
        metadata = self.lease_object["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)


def elector(api: Api, clock: Clock, replicas: int = 1) -> Elector:
    return Elector(api, load(lease_seconds=10, replicas=replicas), Fence(clock), MagicMock(), clock)  # type: ignore[arg-type]


def test_the_kernels_time_begins_before_the_lease_is_renewed() -> None:
    """And it is granted when the answer is there; with one replica without an end, by proof of the same."""
    for replicas, granted in ((2, call.grant(7, 7)), (1, call.grant_endless(7))):
        api, clock, kernel = Api(), Clock(), MagicMock()
        kernel.permit.return_value = 7
        config = load(lease_seconds=10, replicas=replicas)
        holder = Elector(api, config, Fence(clock), kernel, clock)  # type: ignore[arg-type]
        api.before_patch = lambda kernel=kernel: kernel.patched()
        assert holder.step(Status())
        made = [one for one in kernel.mock_calls if "__" not in one[0]]
        assert made == [call.permit(8.0), call.patched(), granted]


def test_the_kernel_stops_when_the_lease_is_another_pods() -> None:
    api, clock, kernel = Api(), Clock(), MagicMock()
    holder = Elector(api, load(lease_seconds=10, replicas=2), Fence(clock), kernel, clock)  # type: ignore[arg-type]
    assert holder.step(Status())
    api.write(holderIdentity="other")
    kernel.reset_mock()
    assert not holder.step(Status())
    assert kernel.mock_calls[-1] == call.drop()
    assert call.grant(ANY, ANY) not in kernel.mock_calls


def test_a_table_that_is_gone_ends_no_renewal() -> None:
    """It is made again soon."""
    api, clock, kernel = Api(), Clock(), MagicMock()
    kernel.permit.side_effect = FirewallError("No such file or directory")
    holder = Elector(api, load(lease_seconds=10, replicas=2), Fence(clock), kernel, clock)  # type: ignore[arg-type]
    assert holder.step(Status())
    kernel.grant.assert_not_called()


def test_a_lease_is_over_when_it_did_not_change_for_its_duration_here() -> None:
    api, clock = Api(), Clock()
    # The other's clock is far in the future; it does not matter.
    api.write(holderIdentity="other", renewTime="2099-01-01T00:00:00Z", leaseDurationSeconds=10, leaseTransitions=4)
    candidate = elector(api, clock)
    assert candidate.step(Status()) is False
    clock.now += 9
    assert candidate.step(Status()) is False
    api.write(renewTime="2099-01-01T00:00:09Z")
    clock.now += 9
    assert candidate.step(Status()) is False, "it was renewed meanwhile"
    clock.now += 9.9
    assert candidate.step(Status()) is False
    clock.now += 0.1
    assert candidate.step(Status()) is True
    assert api.lease_object["spec"]["leaseTransitions"] == 5 and candidate.renewed_at == clock.now


def test_a_lost_race_is_lost() -> None:
    api, clock = Api(), Clock()
    candidate = elector(api, clock)
    api.before_patch = lambda: (
        api.write(holderIdentity="other", leaseDurationSeconds=10) or setattr(api, "before_patch", lambda: None)
    )
    assert candidate.step(Status()) is False and candidate.holder == "other"


def test_a_renewal_survives_somebody_elses_write() -> None:
    api, clock = Api(), Clock()
    holder = elector(api, clock)
    assert holder.step(Status())
    api.write(leaseTransitions=7)
    assert holder.step(Status()) and holder.transitions == 7


def test_a_taken_lease_is_noticed_at_the_next_renewal() -> None:
    api, clock = Api(), Clock()
    holder = elector(api, clock)
    assert holder.step(Status())
    api.write(holderIdentity="other")
    assert holder.step(Status()) is False and holder.held is False


def test_nothing_is_acquired_after_close() -> None:
    api, clock = Api(), Clock()
    holder = elector(api, clock)
    assert holder.step(Status())
    holder.close()
    holder.release(Status(), (1, 1))
    assert api.lease_object["spec"]["holderIdentity"] is None
    with pytest.raises(ApiError):
        holder.step(Status())


def test_who_may_serve() -> None:
    api, clock = Api(), Clock()
    candidate = elector(api, clock, replicas=2)
    assert not candidate.serves(), "nobody knows yet"
    assert candidate.step(Status()) and candidate.serves()
    clock.now += 7.9
    assert candidate.serves()
    clock.now += 0.1
    assert candidate.held and not candidate.serves(), "not renewed for 0.8 of the lease's duration"
    assert candidate.step(Status()) and candidate.serves()
    api.write(holderIdentity="other")
    assert not candidate.step(Status()) and not candidate.serves()


def test_a_holder_that_is_not_alone_is_fenced_whatever_it_was_started_with() -> None:
    """Somebody has scaled the Deployment."""
    api, clock = Api(), Clock()
    holder, waiting = (
        Elector(api, load({"POD_NAME": name}, lease_seconds=10), Fence(clock), MagicMock(), clock)  # type: ignore[arg-type]
        for name in ("first", "second")
    )
    assert holder.step(Status())
    clock.now += 9
    assert holder.serves(), "alone, it needs no API server"
    assert not waiting.step(Status()) and not waiting.step(Status())
    assert api.lease_object["spec"]["holderIdentity"] == "first"
    assert holder.step(Status()) and holder.serves()
    clock.now += 8
    assert not holder.serves()
    for _second in range(31):
        assert holder.step(Status()) and holder.serves()
        clock.now += 1
    assert holder.step(Status())
    clock.now += 60
    assert holder.serves(), "alone again"


@pytest.mark.parametrize(("replicas", "later"), [(1, True), (2, False)])
def test_an_adopted_router_serves_until_it_knows_better(replicas: int, later: bool) -> None:
    """Of several replicas only for a second: nobody knows how old the lease is."""
    api, clock = Api(), Clock()
    adopted = elector(api, clock, replicas)
    adopted.presume()
    assert adopted.serves()
    clock.now += 1.0
    assert adopted.serves() is later
    api.write(holderIdentity="other", renewTime="2026-01-01T00:00:00Z", leaseDurationSeconds=10)
    assert not adopted.step(Status()) and not adopted.serves()


def test_the_fence_falls_once_for_each_deadline() -> None:
    fell = threading.Semaphore(0)
    fence = Fence()
    fence.expire = fell.release
    fence.start()
    assert not fence.passed()
    fence.set(time.monotonic() + 0.05)
    assert fell.acquire(timeout=2) and fence.passed()
    assert not fell.acquire(timeout=0.1)
    fence.set(time.monotonic() + 60)
    assert not fence.passed()
    fence.set(time.monotonic())
    assert fell.acquire(timeout=2)


def test_frames() -> None:
    mac, ip = bytes.fromhex("02e6c6336432"), ipaddress.ip_address("198.51.100.50")
    probe, announcement = frames.question(mac, ip), frames.announcement(mac, ip)
    assert (
        probe.hex()
        == "ffffffffffff02e6c633643208060001080006040001" + "02e6c6336432" + "00000000" + "0" * 12 + "c6336432"
    )
    # Two of these meet: each is a claim of the other's address.
    assert list(frames.claims(probe)) == [(ip, mac)] and list(frames.answers(probe)) == []
    assert (ip, mac) in frames.claims(announcement)
    # Our own question may come back from a switch; an answer with our MAC address is another pod's.
    assert conflict.others(probe, mac) == [] and conflict.others(probe, bytes(6)) == [(ip, mac)]
    assert (ip, mac) in conflict.others(announcement, mac)
    ip6 = ipaddress.ip_address("2001:db8:51::50")
    for frame in (frames.question(mac, ip6), frames.announcement(mac, ip6)):
        assert list(frames.claims(frame)) == [(ip6, mac)]
        # RFC 1071: a message with its checksum sums up to zero.
        pseudo = frame[22:54] + len(frame[54:]).to_bytes(4, "big") + (58).to_bytes(4, "big")
        assert checksum(pseudo + frame[54:]) == 0


@pytest.mark.parametrize("frame", [b"", b"\0" * 14, b"\xff" * 20, b"\0" * 12 + b"\x08\x06" + b"\0" * 10])
def test_short_frames_claim_nothing(frame: bytes) -> None:
    assert list(frames.claims(frame)) == []


def test_a_problem_is_logged_when_it_begins_changes_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    problem = log.Problem("repair-failed")
    for error in ("", "a", "a", "a", "b", "", "", "a"):
        problem.note(error)
    lines = [line.split("event=")[1] for line in capsys.readouterr().out.splitlines()]
    assert lines == [f"repair-failed {what}" for what in ("error=a", "error=b", "over=True", "error=a")]


def test_a_thread_that_fails_ends_the_process() -> None:
    program = """
import threading, time
from egress_router.run import life
life.end_with_any_thread()
threading.Thread(target=lambda: 1 / 0, name="watch", daemon=True).start()
time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "event=crashed thread=watch error=\"ZeroDivisionError('division by zero')\"" in done.stdout


def test_healthz_names_a_thread_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "_alive_until", {"watch": time.monotonic() - 1, "fence": time.monotonic() + 60})
    pages = Pages(*[Mock()] * 4)
    assert pages.page("/healthz")[::2] == (500, b"threads that do not respond: watch\n")
    life._alive_until["watch"] += 60
    assert pages.page("/healthz")[::2] == (200, b"ok\n")


def test_every_thread_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: dict[str, float] = {}
    monkeypatch.setattr(life, "_alive_until", alive)
    api = Mock()
    api.lease.side_effect = api.watch_rules.side_effect = ApiError(0, "away")
    stop = threading.Event()
    fence = Fence()
    fence.start()
    reporter = Reporter(load(), api, Elector(api, load(), fence, MagicMock()), lambda: None)
    reporter.start(Status)
    rules = Rules(load(), Mock())
    threading.Thread(target=rules.watch, args=(api, stop, lambda: None), name="watch", daemon=True).start()
    try:
        until(lambda: alive.keys() >= {"fence", "reporter", "watch"}, "all threads", 5)
    finally:
        stop.set()
        reporter.stop()


def test_marks_are_kept_until_they_were_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[set[int]] = []

    def full(marks: set[int]) -> None:
        tried.append(set(marks))
        if len(tried) < 3:
            raise OSError(105, "No buffer space available")

    monkeypatch.setattr(conntrack, "cut", full)
    monkeypatch.setattr(conntrack, "cut_others", lambda _rules: 0)
    firewall = Mock()
    firewall.apply.return_value = {7}
    firewall.rules, firewall.rules_hash = parse(""), ""
    rules = Rules(load(), firewall)
    rules._pending.append({"metadata": {"name": "r-rules", "resourceVersion": "1"}})
    assert rules.load() and rules.error == ""
    firewall.apply.return_value = {8}
    rules._pending.append({"metadata": {"name": "r-rules", "resourceVersion": "2"}})
    rules.load()
    for _tick in range(2):
        rules.repair()
    assert tried == [{7}, {7, 8}, {7, 8}, set()]


def test_a_slice_is_not_written_by_a_pod_that_lost_the_lease_unnoticed() -> None:
    """Somebody has changed the slice: the pod that serves now, perhaps."""
    api, clock = Api(), Clock()
    kube = Mock(wraps=api)
    kube.endpoint_slice = Mock(return_value={"metadata": {"resourceVersion": "5"}})

    def conflict_of_two(*_arguments: Any) -> None:
        api.write(holderIdentity="other")
        raise ApiError(409, "the object has been modified")

    kube.patch_endpoint_slice = Mock(side_effect=conflict_of_two)
    holder = Elector(kube, load(lease_seconds=10), Fence(clock), MagicMock(), clock)
    reporter = Reporter(load(), kube, holder, lambda: None)
    reporter.publish({4: {"endpoints": ["me"]}})
    reporter.start(Status)
    try:
        until(lambda: holder.held is False, "it has looked at the lease", 5)
    finally:
        reporter.stop()
    assert kube.patch_endpoint_slice.call_args_list == [call(4, {"endpoints": ["me"]}, "5", None)]
    assert reporter.publish_error == ""


@pytest.mark.parametrize(("published", "withdrawn"), [("pod", True), ("another", False), (None, False)])
@pytest.mark.parametrize("known", [True, False], ids=["changed since", "version not known"])
def test_a_pod_that_ends_withdraws_itself_and_nobody_else(published: str | None, withdrawn: bool, known: bool) -> None:
    """The next pod may have published itself as soon as the lease was given back."""
    version, patched = "7", []
    endpoints = [{"targetRef": {"name": published}}] if published else None

    def patch(_family: int, body: Any, given: str, _timeout: Any) -> dict[str, Any]:
        if given != version:
            raise ApiError(409, "the object has been modified")
        patched.append(body)
        return {"metadata": {"resourceVersion": "8"}}

    kube = Mock(patch_endpoint_slice=patch)
    kube.endpoint_slice.return_value = {"metadata": {"resourceVersion": version}, "endpoints": endpoints}
    reporter = Reporter(load(), kube, Mock(), lambda: None)
    reporter.publish({4: {"endpoints": ["me"]}})
    if known:
        reporter._versions[4] = "5"
    reporter.release(Status(), (1.0, 1.0))
    assert patched == ([{"endpoints": []}] if withdrawn else [])


def test_a_frame_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another router may have the address by the time the port is used again."""
    monkeypatch.setattr(sniffer, "_on_link", lambda _ip: True)
    monkeypatch.setattr(sniffer.Sniffer, "_listen", lambda _self: None)
    monkeypatch.setattr(sniffer, "attach_filter", lambda *_: None)
    monkeypatch.setattr(sniffer.socket, "socket", Mock())
    seen = sniffer.Sniffer()
    tcp, udp = (socket.IPPROTO_TCP, "198.51.100.50", 40000), (socket.IPPROTO_UDP, "198.51.100.50", 40000)
    seen._note(tcp, "02:00:00:00:00:01")
    # Sent again.
    seen._note(tcp, "02:00:00:00:00:01")
    assert [seen.mac(*tcp, 0) for _number in range(2)] == ["02:00:00:00:00:01", None]
    seen._note(tcp, "02:00:00:00:00:02")
    assert seen.mac(*tcp, 0) == "02:00:00:00:00:02"
    for number in range(2):
        seen._note(udp, f"02:00:00:00:00:0{number}")
    assert [seen.mac(*udp, 0) for _number in range(3)] == ["02:00:00:00:00:00", "02:00:00:00:00:01", None]
    seen._note(tcp, "02:00:00:00:00:01")
    late = time.monotonic() + 60
    monkeypatch.setattr(sniffer, "time", Mock(monotonic=lambda: late))
    assert seen.mac(*tcp, 0) is None
