# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts that need no kernel: marks, the table's text, the configuration, the Lease's text, frames."""

from __future__ import annotations

import ipaddress
import json
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock, call

import pytest
from egress_router import config, log
from egress_router.failover.channel import Channel
from egress_router.failover.protocol import (
    PERMIT,
    Drop,
    Grant,
    Kind,
    Lease,
    Look,
    Message,
    Permit,
    Preparing,
    Protocol,
    Refused,
    Send,
    Swap,
    Tick,
)
from egress_router.kernel import conntrack, table
from egress_router.kernel.marks import BASE, MASK, fallback_mark, rule_mark
from egress_router.kernel.ports import ALL
from egress_router.net import checksum
from egress_router.proof import sniffer
from egress_router.relay import messages as relay_messages
from egress_router.run import agent, life
from egress_router.run import keys as keys_module
from egress_router.run import lease as lease_module
from egress_router.run.driver import PEEK, TELL, Answer, Driver
from egress_router.run.keys import Keys
from egress_router.run.kube import ApiError
from egress_router.run.lease import Found, Leases
from egress_router.run.publisher import Publisher
from egress_router.run.refusals import refusals
from egress_router.run.relay import Relay
from egress_router.run.rules import Rules
from egress_router.run.take_over import TakeOver, TakeOvers
from egress_router.run.web import Pages
from egress_router.segment import conflict, frames

from ansible_collections.egress.router.plugins.module_utils._contract.failover import Failover
from ansible_collections.egress.router.plugins.module_utils._contract.identity import (
    VARIABLE,
    EgressAddress,
    Identity,
    Port,
    Route,
)
from ansible_collections.egress.router.plugins.module_utils._contract.rules import parse
from ansible_collections.egress.router.plugins.module_utils._contract.status import Status
from ansible_collections.egress.router.plugins.module_utils._contract.version import VERSION
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


def test_a_rule_that_leaves_from_elsewhere_is_another_one() -> None:
    plain, other = parse("80 TCP 203.0.113.10\n"), parse("80 TCP 203.0.113.10 source=198.51.100.51\n")
    assert table.revoked(plain, other) == table.revoked(other, plain) == {rule_mark(4, "TCP", 80)}
    text = table.delta(table.contents(plain), table.contents(other), set())
    assert text == f"add element inet egress_router sources4 {{ {rule_mark(4, 'TCP', 80)} : 198.51.100.51 }}\n"


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
    assert (found.failover, found.replicas, found.headless) == (Failover(100, 600, 15, 60, "serve"), 1, True)


def test_several_addresses() -> None:
    addresses = [
        {"ip": text} for text in ("2001:db8::51/64", "198.51.100.60/24", "2001:db8::50/64", "198.51.100.50/24")
    ]
    found = load(addresses=addresses)
    assert [str(a.ip) for a in found.addresses] == ["198.51.100.60", "198.51.100.50", "2001:db8::51", "2001:db8::50"]
    assert (str(found.address(4).ip), found.families, found.source) == ("198.51.100.60", (4, 6), "first")
    assert [str(ip) for ip in found.default_sources] == ["198.51.100.60", "2001:db8::51"]
    assert len(load(addresses=addresses, source="spread").default_sources) == 4


def test_rules_that_leave_from_an_address_that_is_not_there() -> None:
    rules = parse("80 TCP 203.0.113.10 source=198.51.100.51\n")
    said = "rule 80/TCP of router r: source_ip '198.51.100.51'"
    two = [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}, {"ip": "198.51.100.51/24", "gateway": "198.51.100.1"}]
    assert refusals(load(), rules) == [
        f"{said} is not an address of the router: choose one of 198.51.100.50, or add it to addresses first"
    ]
    assert refusals(load(addresses=two), rules) == []
    assert refusals(load(addresses=two, source="spread"), rules) == [
        f"{said} cannot be used with source 'spread', which uses all addresses: remove one of the two"
    ]
    (own,) = refusals(load(addresses=two), parse("80 TCP 198.51.100.51\n"))
    assert own.endswith("is the router itself: set the address of the server")


def test_what_the_collection_writes_is_what_the_agent_reads() -> None:
    identity = Identity(
        router="billing-db",
        addresses=(EgressAddress("2001:db8:51::50/64"), EgressAddress("198.51.100.50/24", "198.51.100.1")),
        mac="02:e6:c6:33:64:32",
        replicas=2,
        headless=True,
        extra_ports=(Port(8443, "TCP"),),
        failover=Failover(50, 300, 30, 0, "stop"),
        routes=(Route("192.0.2.0/24", "198.51.100.2"), Route("2001:db8:9::/48", "fe80::2")),
    )
    found = config.load({**ENVIRONMENT, VARIABLE: identity.to_json()})
    assert (found.router, found.mac, found.replicas, found.headless) == ("billing-db", identity.mac, 2, True)
    assert [(str(a.interface), str(a.gateway or "")) for a in found.addresses] == [
        ("198.51.100.50/24", "198.51.100.1"),
        ("2001:db8:51::50/64", ""),
    ]
    assert (found.extra_ports, found.failover) == (((8443, "TCP"),), identity.failover)
    assert [(str(route.network), str(route.gateway), route.family) for route in found.routes] == [
        ("192.0.2.0/24", "198.51.100.2", 4),
        ("2001:db8:9::/48", "fe80::2", 6),
    ]


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        ({"router": ""}, "router '' is not the name of a router"),
        ({"addresses": []}, "addresses is empty"),
        ({"addresses": [{"ip": "198.51.100.50"}]}, r"addresses\[0\].ip '198.51.100.50' lacks its prefix length"),
        ({"addresses": [{"ip": "nonsense"}]}, r"addresses\[0\].ip 'nonsense' is not an address"),
        ({"addresses": [{"ip": None}]}, r"addresses\[0\].ip 'None' is not an address"),
        (
            {"addresses": [{"ip": "198.51.100.50/24"}] * 2},
            r"addresses\[1\].ip .* is the address '198.51.100.50/24' again",
        ),
        (
            {"addresses": [{"ip": "198.51.100.50/24"}, {"ip": "198.51.101.50/24"}]},
            r"addresses\[1\].ip '198.51.101.50/24' is not in 198.51.100.0/24 as",
        ),
        (
            {"addresses": [{"ip": f"198.51.100.{host}/24"} for host in range(50, 67)]},
            "17 addresses are more than the 16 of one router",
        ),
        ({"source": "all"}, "source 'all' is neither first nor spread"),
        ({"addresses": [{"ip": "198.51.100.50/24", "gateway": "2001:db8::1"}]}, "is not an IPv4 address as"),
        ({"addresses": [{"ip": "198.51.100.50/24", "gateway": 1}]}, r"addresses\[0\].gateway '1' is not an IP address"),
        ({"addresses": [{"ip": "198.51.100.50/24", "gatway": ""}]}, r"unknown keys addresses\[0\].gatway\. This image"),
        ({"mac": "03:00:00:00:00:01"}, "mac '03:00:00:00:00:01' is not a unicast MAC address"),
        ({"replicas": 0}, "replicas '0' is not a whole number of at least 1"),
        ({"replicas": "2"}, "replicas '2' is not a whole number of at least 1"),
        ({"headless": "no"}, "headless 'no' is neither true nor false"),
        ({"failover": {"lease_seconds": True}}, "failover.lease_seconds 'True' is not a whole number"),
        ({"failover": {"beat_ms": "100"}}, "failover.beat_ms '100' is not a whole number"),
        (
            {"failover": {"beat_ms": 10, "promise_ms": 20}},
            "beat_ms 10 is not between 20 and 1000; promise_ms 20 is less",
        ),
        ({"failover": {"relay_seconds": -1}}, "failover: relay_seconds -1 is not between 0 and 3600"),
        ({"failover": {"relay_seconds": "60"}}, "failover.relay_seconds '60' is not a whole number"),
        ({"failover": {"without_api": "go"}}, "failover.without_api 'go' is neither serve nor stop"),
        ({"failover": {"lease": 1}}, "unknown keys failover.lease\\. This image"),
        ({"lease_seconds": 15}, "unknown keys lease_seconds\\. This image"),
        (
            {"routes": [{"destination": "192.0.2.7/24", "gateway": "198.51.100.2"}]},
            r"routes\[0\].destination '192.0.2.7/24' is not a",
        ),
        (
            {"routes": [{"destination": None, "gateway": "198.51.100.2"}]},
            r"routes\[0\].destination 'None' is not a network",
        ),
        (
            {"routes": [{"destination": "192.0.2.0/24", "gateway": "203.0.113.1"}]},
            r"routes\[0\].gateway '203.0.113.1' is outside",
        ),
        (
            {"routes": [{"destination": "0.0.0.0/0", "gateway": "198.51.100.2"}]},
            r"routes\[0\].destination '0.0.0.0/0' is every",
        ),
        ({"routes": [{"destination": "192.0.2.0/24", "gateway": 7}]}, r"routes\[0\].gateway '7' is not an IP address"),
        ({"routes": [{"to": "192.0.2.0/24"}]}, r"unknown keys routes\[0\].to\. This image"),
        ({"extra_ports": [{"port": 70000, "protocol": "TCP"}]}, r"extra_ports\[0\].port '70000' is above 65535"),
        ({"extra_ports": [{"port": 80, "protocol": "ICMP"}]}, r"extra_ports\[0\].protocol 'ICMP' is not one of"),
    ],
)
def test_wrong_identity(identity: dict[str, Any], reason: str) -> None:
    with pytest.raises(config.ConfigError, match=f"^EGRESS_ROUTER.*{reason}"):
        load(**identity)


def test_an_identity_of_a_newer_collection_says_what_is_too_old() -> None:
    newer = {
        "failover": {"relay_seconds": 60, "witness": "api"},
        "extra_ports": [{"port": 80, "protocol": "TCP", "name": "web"}],
    }
    with pytest.raises(config.ConfigError) as caught:
        load(**newer, colour="red")
    assert str(caught.value) == (
        "EGRESS_ROUTER is not the description of a router: unknown keys colour, failover.witness, extra_ports[0].name. This image is "
        f"of version {VERSION}, and has to be as new as the collection that wrote it"
    )


@pytest.mark.parametrize("name", ["POD_IPS", "POD_NAME", "POD_NAMESPACE", "NODE_NAME"])
def test_missing_environment(name: str) -> None:
    with pytest.raises(config.ConfigError, match=f"environment variable {name} is not set"):
        load({name: ""})


def test_wrong_pod_ips() -> None:
    with pytest.raises(config.ConfigError, match="POD_IPS: 'x' is not an IP address"):
        load({"POD_IPS": "10.244.0.11,x"})


def agent_of(parts: Any) -> agent.Agent:
    stop = threading.Event()
    of_address = (parts.address, parts.driver, TakeOvers(), parts.publisher, parts.relay)
    return agent.Agent(load(), parts.fence, parts.rules, *of_address, stop)


def test_the_kernel_forwards_only_when_the_table_is_there() -> None:
    parts = MagicMock()
    made = agent_of(parts)
    made._adopt()
    order = [call[0] for call in parts.mock_calls]
    assert order.index("rules.adopt") < order.index("fence.adopt") < order.index("address.adopt")
    assert order.index("rules.adopt") < order.index("address.secure") < order.index("address.adopt")


# --- The Lease ---


def lease(**annotations: str) -> dict[str, Any]:
    found = {f"egress.router/{name.replace('_', '-')}": value for name, value in annotations.items()}
    spec = {"holderIdentity": "billing-db-a", "leaseTransitions": 7, "renewTime": "2099-01-01T00:00:00Z"}
    return {"metadata": {"resourceVersion": "41", "annotations": found}, "spec": spec}


def test_what_the_lease_says() -> None:
    found = Found.read(
        lease(successor="billing-db-b", writer="billing-db-a/5/9", pod="billing-db-a", pod_ip="10.244.0.9")
    )
    assert found.lease == Lease("41", "billing-db-a", "billing-db-b", 7, "billing-db-a/5/9")
    assert (found.status.pod_ip, found.on_hold, found.hand_over) == ("10.244.0.9", False, "")
    found = Found.read(lease(hold="cut-over", hand_over="2026-11-26T08:00:00Z"))
    assert (found.on_hold, found.hand_over) == (True, "2026-11-26T08:00:00Z")


def test_a_lease_that_nobody_has_written() -> None:
    assert Found.read({"metadata": {"resourceVersion": "1"}}).lease == Lease("1")
    assert Found.read({"metadata": {"resourceVersion": "1"}, "spec": {"holderIdentity": None}}).lease == Lease("1")


class Api:
    """Remembers what would be written, and answers with `answer` or raises it."""

    def __init__(self, answer: Any = None) -> None:
        self.patches: list[dict[str, Any]] = []
        self.answer = answer or lease()
        self.answers: list[tuple[int, Any]] = []
        self.leases = Leases(self, load(), lambda *answer: self.answers.append(answer))  # type: ignore[arg-type]

    def lease(self) -> Any:
        if isinstance(self.answer, ApiError):
            raise self.answer
        return self.answer

    def patch_lease(self, patch: dict[str, Any]) -> Any:
        self.patches.append(patch)
        return self.lease()

    def wait(self) -> Any:
        until(lambda: self.answers, "an answer", 5)
        return self.answers.pop()


STATUS = Status(
    state="serving", pod="pod", addresses="198.51.100.50/24", mac="02:e6:c6:33:64:32", successor="old", error="x"
)


@pytest.mark.parametrize("acquired", [True, False])
def test_what_a_holder_writes(acquired: bool) -> None:
    api = Api()
    api.leases.swap(Swap(5, "41", "pod", "billing-db-b", 8, "pod/1/5"), STATUS, acquired, "10.244.0.9")
    assert api.wait() == (5, Found.read(lease()))
    (patch,) = api.patches
    assert patch["metadata"]["resourceVersion"] == "41"
    assert ("acquireTime" in patch["spec"]) == acquired
    assert {key: value for key, value in patch["spec"].items() if not key.endswith("Time")} == {
        "holderIdentity": "pod",
        "leaseDurationSeconds": 15,
        "leaseTransitions": 8,
    }
    annotations = patch["metadata"]["annotations"]
    assert annotations["egress.router/writer"] == "pod/1/5"
    assert annotations["egress.router/successor-ip"] == "10.244.0.9"
    # The protocol's word, not the status'.
    assert Status.from_lease(patch) == replace(STATUS, successor="billing-db-b")


def test_what_a_holder_writes_at_its_end() -> None:
    api = Api()
    api.leases.swap(Swap(5, "41", "", "", 8, "pod/1/5"), STATUS, acquired=False)
    api.wait()
    assert api.patches[0]["spec"] == {"holderIdentity": None, "leaseTransitions": 8}
    assert Status.from_lease(api.patches[0]) == Status(state="stopped", pod="pod")


def test_what_a_pod_writes_that_cannot_be_the_holder() -> None:
    """No names, no writer: the protocol reads it as before."""
    api = Api()
    api.leases.tell(-2, "41", replace(STATUS, successor=""))
    api.wait()
    assert "spec" not in api.patches[0] and "egress.router/writer" not in api.patches[0]["metadata"]["annotations"]


def test_a_request_that_fails() -> None:
    api = Api(ApiError(409, "the object has been modified"))
    api.leases.look(3)
    assert api.wait() == (3, api.answer)


# --- The driver ---


class Driven:
    """A driver without its thread, whose kernel and API server are mocks."""

    def __init__(self, **identity: Any) -> None:
        self.fence, self.leases, self.channel = MagicMock(serves=False), MagicMock(), MagicMock(addresses={})
        self.fence.permit.side_effect = range(1001, 2000)
        self.driver = Driver(load(**identity), self.channel, lambda: "no key", self.fence, MagicMock(), TakeOvers())
        self.status = Status(state="starting", pod="pod")
        self.driver._leases, self.driver._status = self.leases, lambda: self.status
        self.hand_overs: list[Any] = []
        self.driver.leave = self.hand_overs.append

    def hear(self, body: dict[str, Any] | ApiError, request: int | None = None) -> None:
        """The API server's answer to the request that is waited for."""
        if request is None:
            request = self.driver._protocol._request.number  # type: ignore[union-attr]
        self.driver._hear(Answer(request, body if isinstance(body, ApiError) else Found.read(body)))

    def hold_the_lease(self, **annotations: str) -> None:
        # An earlier process promised nothing.
        self.driver._protocol._bound_until = 0.0
        self.driver._step(Tick())
        self.hear({**lease(**annotations), "spec": {"leaseTransitions": 7}})
        action, _status, acquired, _successor_ip = self.leases.swap.call_args.args
        assert acquired
        assert (action.holder, action.term, action.version) == ("pod", 8, "41")
        body = lease(writer=action.writer, pod="pod", **annotations)
        body["spec"] = {"holderIdentity": "pod", "leaseTransitions": 8}
        self.hear(body)
        assert self.driver.holding and self.driver.term == 8


def test_a_status_that_changed_is_written_once() -> None:
    driven = Driven()
    driven.hold_the_lease()
    before = driven.leases.swap.call_count
    driven.driver._write_what_changed()
    assert driven.leases.swap.call_count == before, "it was written with the Lease"
    driven.status = replace(driven.status, beats_lost="5")
    driven.driver.tell(able=True, reason="")
    driven.driver._write_what_changed()
    assert driven.leases.swap.call_count == before, "a lost beat alone is not worth it"
    driven.status = replace(driven.status, rules_hash="new")
    driven.driver._write_what_changed()
    assert driven.leases.swap.call_count == before, "nobody said that there is something new"
    for _number in range(3):
        driven.driver.tell(able=True, reason="")
        driven.driver._write_what_changed()
    assert driven.leases.swap.call_count == before + 1
    assert driven.leases.swap.call_args.args[1].rules_hash == "new"


def test_a_status_that_could_not_be_written_is_written_later() -> None:
    driven = Driven()
    driven.hold_the_lease()
    driven.status = replace(driven.status, rules_hash="new")
    driven.driver._write_what_changed()
    driven.hear(ApiError(409, "the object has been modified"))
    body = lease(writer=f"pod/{driven.driver._protocol._session}/1", pod="pod")
    body["spec"] = {"holderIdentity": "pod", "leaseTransitions": 8}
    before = driven.leases.swap.call_count
    driven.hear(body)
    driven.driver._write_what_changed()
    assert driven.leases.swap.call_count == before + 1
    assert driven.leases.swap.call_args.args[1].rules_hash == "new"


@pytest.mark.parametrize("heir", [True, False])
def test_who_asks_for_a_hand_over_is_heard_once(
    monkeypatch: pytest.MonkeyPatch, heir: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    driven = Driven()
    driven.hold_the_lease(hand_over="before it was the holder")
    monkeypatch.setattr(Protocol, "heir", heir)
    body = lease(pod="pod", hand_over="before it was the holder")
    body["spec"] = {"holderIdentity": "pod", "leaseTransitions": 8}
    for wanted in ("before it was the holder", "now", "now"):
        body["metadata"]["annotations"]["egress.router/hand-over"] = wanted
        driven.hear(body, request=PEEK)
        assert wanted == "now" or not driven.driver._wish_until, "it was said to another pod"
    driven.driver._hand_over_if_wanted()
    assert len(driven.hand_overs) == heir
    assert capsys.readouterr().out.count("event=hand-over ") == heir
    machine = driven.driver._protocol
    assert machine.permit_seconds == PERMIT * (machine.periods.patience if heir else machine.periods.promise)
    # Nobody could serve for a while.
    monkeypatch.setattr(Protocol, "heir", False)
    driven.driver._wish_until = min(driven.driver._wish_until, 1.0)
    driven.driver._preparing = False
    for _number in range(2):
        driven.driver._hand_over_if_wanted()
    assert capsys.readouterr().out.count("event=hand-over-refused") == 1
    # Then somebody could, too late.
    monkeypatch.setattr(Protocol, "heir", True)
    driven.driver._hand_over_if_wanted()
    assert len(driven.hand_overs) == heir


def test_why_no_pod_can_be_the_holder_is_written_once() -> None:
    """Somebody will look for the reason in the Lease."""
    driven = Driven(replicas=2)
    driven.driver.tell(False, "there is no interface net1")
    driven.driver._drain()
    driven.status = Status(state="failed", pod="pod", error="there is no interface net1")
    driven.hear({**lease(), "spec": {}})
    for _number in range(3):
        driven.driver._write_what_changed()
    driven.leases.tell.assert_called_once_with(TELL, "41", driven.status)
    driven.leases.swap.assert_not_called()
    driven.hear(lease(), request=TELL)
    driven.status = replace(driven.status, error="other")
    driven.driver._write_what_changed()
    assert driven.leases.tell.call_count == 1, "there is a holder, who writes its own"


def test_a_table_that_somebody_removed_ends_no_right() -> None:
    """A grant that the kernel refuses while the right lasts: the permits come back with the table."""
    driven = Driven()
    driver, repaired = driven.driver, []
    driver.repair = lambda: repaired.append(True)
    driver._permit(Permit(1, 0.5))
    driver._permit(Permit(2, 0.5))
    driven.fence.grant.return_value, driven.fence.serves = False, True
    driver._grant(Grant(2, 1))
    assert repaired and not driver._events
    # The next one is granted by what is granted in the kernel.
    driven.fence.grant.return_value = True
    driver._permit(Permit(3, 0.5))
    driver._grant(Grant(3, 2))
    driven.fence.grant.assert_called_with(1003, 1001, None)


def test_the_permit_that_is_made_ahead_is_the_one_that_will_be_asked_for() -> None:
    driven = Driven()
    driven.hold_the_lease()
    machine = driven.driver._protocol
    machine.successor = "other"
    for about_to, seconds in ((None, machine.periods.promise), (Preparing(), machine.periods.patience)):
        if about_to is not None:
            machine.step(machine.now, about_to)
        driven.driver._permit(Permit(1, 0.5))
        driven.driver._grant(Grant(1, 1))
        assert driven.fence.grant.call_args.args[2].seconds == PERMIT * seconds


def test_the_address_is_given_up_before_the_kernel_drops() -> None:
    """Packets of a planned move wait in the tunnel then instead of getting lost."""
    driven = Driven()
    order: list[str] = []
    driven.driver.before_drop = lambda: order.append("address")
    driven.fence.drop.side_effect = lambda: order.append("kernel")
    driven.driver._drop(Drop())
    assert order == ["address", "kernel"]


@pytest.mark.parametrize("given", [True, False])
def test_what_a_lease_says_that_is_given_away(given: bool) -> None:
    """The pod that it is given to does not serve yet, whatever this one does."""
    driven = Driven()
    driven.driver._status = lambda: Status(state="serving", pod="pod", successor="other", successor_error="it is slow")
    driven.driver._swap(Swap(1, "7", "other" if given else "pod", "", 2, "pod/1/1"))
    (_action, status, moves, _ip), _options = driven.leases.swap.call_args
    said = (status.state, status.successor, status.successor_error, moves)
    assert said == (("starting", "", "", True) if given else ("serving", "other", "it is slow", True))


@pytest.mark.parametrize("known", [True, False])
def test_a_guard_that_has_run_out_is_told(known: bool) -> None:
    driven = Driven()
    driven.driver._permit(Permit(2, None))
    if known:
        driven.driver._permit(Permit(1, 0.5))
    driven.fence.grant.return_value = False
    driven.driver._grant(Grant(2, 1))
    assert list(driven.driver._events) == [Refused()]
    driven.fence.revoke.assert_called_once_with(1001)


def test_where_messages_go() -> None:
    driven = Driven()
    hello = Send("billing-db-a", Message(Kind.HELLO, "pod", 7, 1, 1))
    driven.driver._send(hello)
    driven.channel.send.assert_not_called()
    driven.driver._step(Tick())
    driven.hear(lease(pod="billing-db-a", pod_ip="10.244.0.9"))
    driven.driver._send(hello)
    driven.channel.send.assert_called_with("10.244.0.9", hello.message)
    # It is there that its last message came from.
    driven.channel.addresses["billing-db-a"] = "10.244.0.10"
    driven.driver._send(hello)
    driven.channel.send.assert_called_with("10.244.0.10", hello.message)


def test_a_restarted_holder_finds_its_successor() -> None:
    driven = Driven(replicas=2)
    driven.driver._step(Tick())
    body = lease(pod="pod", pod_ip="10.244.0.8", successor="billing-db-b", successor_ip="10.244.0.9")
    body["spec"] = {"holderIdentity": "pod", "leaseTransitions": 8}
    driven.hear(body)
    assert driven.driver.holding and driven.driver.successor == "billing-db-b"
    (sent,) = driven.channel.send.call_args_list
    assert sent.args[0] == "10.244.0.9" and sent.args[1].kind is Kind.BEAT
    # It goes on to say so.
    driven.driver._swap(Swap(5, "41", "pod", "billing-db-b", 8, "pod/1/5"))
    assert driven.leases.swap.call_args.args[3] == "10.244.0.9"
    driven.driver._swap(Swap(6, "41", "pod", "", 8, "pod/1/6"))
    assert driven.leases.swap.call_args.args[3] == ""


def test_what_the_watch_brings_is_a_reason_to_ask() -> None:
    """It may be older than what this pod has read."""
    driven = Driven()
    driven.hold_the_lease(hand_over="1")
    before = driven.leases.look.call_count
    seen = lease(pod="somebody-else", hand_over="1")
    driven.driver._see(Found.read(seen))
    assert driven.leases.look.call_count == before
    for changed in ({"hand_over": "2"}, {"hand_over": "1", "hold": ""}):
        driven.driver._see(Found.read(lease(**changed)))
        before += 1
        assert driven.leases.look.call_count == before and driven.leases.look.call_args == call(PEEK)
        assert driven.driver._found is not None and driven.driver._found.hand_over == "1"


def test_what_was_read_does_when_nobody_has_written() -> None:
    """The watch may be later than a pod that tells of a newer term: then the Lease is read."""
    driven = Driven()
    driven.hold_the_lease()
    driver = driven.driver
    assert driver._found is not None and driver._found.lease.term == driver.term
    driven.leases.watching, driver._seen_version = True, driver._found.lease.version
    before = driven.leases.look.call_count
    driver._look(Look(77))
    assert driven.leases.look.call_count == before and Answer(77, driver._found) in driver._events
    driver._protocol.term += 1
    driver._look(Look(78))
    assert driven.leases.look.call_args == call(78)
    assert [one.request for one in driver._events if isinstance(one, Answer)] == [77]


def test_a_lease_that_cannot_be_watched_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The role may be that of an older release."""
    seen: list[Found] = []
    rounds = ["0", "1", "2"]

    def refused() -> Any:
        if not rounds:
            raise RuntimeError("there are no more rounds")
        yield lease(hand_over=rounds.pop(0))
        raise ApiError(403, "watch is forbidden")

    monkeypatch.setattr(lease_module.time, "sleep", lambda seconds: None)
    leases = Leases(Mock(watch_lease=refused), load(), Mock())
    with pytest.raises(RuntimeError, match="no more rounds"):
        leases._watch(seen.append)
    assert [found.hand_over for found in seen] == ["0", "1", "2"]
    assert capsys.readouterr().out.count("event=lease-watch-failed error=") == 1


# --- The keys ---


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    monkeypatch.setattr(keys_module, "DIRECTORY", tmp_path)
    # Looked at each time.
    monkeypatch.setattr(keys_module, "LOOK_SECONDS", 0.0)
    return Keys()


def test_keys(keys: Keys, tmp_path: Path) -> None:
    assert keys() == [] and f"{tmp_path}/key cannot be read: No such file" in keys.problem
    (tmp_path / "key").write_bytes(b"a" * 32)
    assert keys() == [b"a" * 32] and keys.problem == ""
    # The module replaces it: both are there for a while.
    (tmp_path / "new").write_bytes(b"b" * 32)
    (tmp_path / "previous").write_bytes(b"a" * 32)
    (tmp_path / "new").rename(tmp_path / "key")
    assert keys() == [b"b" * 32, b"a" * 32]
    (tmp_path / "previous").unlink()
    assert keys() == [b"b" * 32]
    (tmp_path / "key").unlink()
    assert keys() == [] and keys.problem


def test_files_are_not_looked_at_for_each_message(keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"a" * 32)
    monkeypatch.setattr(keys_module, "LOOK_SECONDS", 60.0)
    assert keys() == [b"a" * 32]
    monkeypatch.setattr(keys_module, "_identity", lambda path: pytest.fail("it was looked at"))
    assert keys() == [b"a" * 32] and keys.check() == ""


def test_a_key_that_somebody_could_guess(keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"changeme")
    assert keys() == []
    assert "key has 8 bytes, and a key has 32" in keys.problem and "changeme" not in keys.problem


# --- Taking over ---


def test_a_take_over_is_counted_when_the_pod_serves() -> None:
    found = TakeOvers()
    found.begin("silent", "billing-db-a", time.monotonic() - 0.5)
    assert found.last == TakeOver() and found.by_cause["silent"] == 0
    found.end()
    assert (found.last.previous, found.last.cause) == ("billing-db-a", "silent")
    assert 0.5 <= float(found.last.seconds) < 5 and found.last.at.endswith("Z")
    found.end()
    assert found.by_cause["silent"] == 1


def test_a_new_process_knows_what_the_lease_says() -> None:
    said = Status(
        taken_over_at="2026-11-26T08:00:00Z", taken_over_from="a", take_over_cause="silent", take_over_seconds="0.6"
    )
    found = TakeOvers()
    found.adopt(said)
    assert found.last == TakeOver("2026-11-26T08:00:00Z", "a", "silent", "0.6")
    found.begin("handed-over", "b", time.monotonic())
    found.end()
    found.adopt(said)
    assert found.last.previous == "b"


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
    assert conflict.others(probe, mac, mac) == []
    assert (ip, mac) in conflict.others(announcement, mac, mac)
    # Of two that ask, the one with the lower MAC address goes on, and whoever asks from the router's is further.
    lower, higher = bytes.fromhex("020000000001"), bytes.fromhex("02ffffffffff")
    assert conflict.others(probe, higher, higher) == [(ip, mac)]
    assert conflict.others(probe, lower, lower) == []
    assert conflict.others(probe, lower, lower, mac) == [(ip, mac)]
    # It asks from the router's, too: another one's question counts by the rank of its own.
    assert conflict.others(frames.question(higher, ip), mac, lower, mac) == []
    assert conflict.others(frames.question(lower, ip), mac, higher, mac) == [(ip, lower)]
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
    monkeypatch.setattr(life, "_alive_until", {"watch": time.monotonic() - 1, "failover": time.monotonic() + 60})
    pages = Pages(*[Mock()] * 4)
    assert pages.page("/healthz")[::2] == (500, b"threads that do not respond: watch\n")
    life._alive_until["watch"] += 60
    assert pages.page("/healthz")[::2] == (200, b"ok\n")


def test_every_thread_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alive: dict[str, float] = {}
    monkeypatch.setattr(life, "_alive_until", alive)
    api = Mock()
    api.lease.side_effect = api.watch_rules.side_effect = ApiError(0, "away")
    stop = threading.Event()
    publisher = Publisher(load(), api, lambda: False)
    publisher.start()
    channel = Channel(ipaddress.ip_address("127.0.0.1"), 0, "payments/r", "pod", list)
    driver = Driver(load(), channel, lambda: "", Mock(), Mock(), TakeOvers())
    driver.start(Leases(api, load(), driver.answered), Status, 0)
    rules = Rules(load(), Mock())
    threading.Thread(target=rules.watch, args=(api, stop, lambda: None), name="watch", daemon=True).start()
    try:
        until(lambda: alive.keys() >= {"failover", "publisher", "watch"}, "all threads", 5)
        until(lambda: driver.lease_error, "the Lease cannot be read", 5)
    finally:
        stop.set()
        publisher.stop()
        driver.end()
        # Its thread listens on: a pod that ends may still relay.
        assert driver.ended.wait(5)


def test_marks_are_kept_until_they_were_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[set[int]] = []

    def full(marks: set[int]) -> None:
        tried.append(set(marks))
        if len(tried) < 3:
            raise OSError(105, "No buffer space available")

    monkeypatch.setattr(conntrack, "cut", full)
    monkeypatch.setattr(conntrack, "cut_others", lambda _rules, _sources: 0)
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


def test_a_slice_is_not_written_by_a_pod_that_serves_no_more() -> None:
    """Another one has published itself, and this one learns the version afterwards: it knows by then that its right is over."""
    serves = [True]
    kube = Mock()

    def another(*_arguments: Any) -> None:
        serves.clear()
        raise ApiError(409, "the object has been modified")

    kube.patch_endpoint_slice = Mock(side_effect=another)
    kube.endpoint_slice = Mock(return_value={"metadata": {"resourceVersion": "5"}})
    publisher = Publisher(load(), kube, lambda: bool(serves))
    publisher.publish({4: {"endpoints": ["me"]}})
    publisher._write()
    publisher._write()
    assert kube.patch_endpoint_slice.call_args_list == [call(4, {"endpoints": ["me"]}, "5", None)]
    assert publisher.error == "" and not publisher.published


def test_a_right_that_ends_while_the_slice_is_read() -> None:
    serves = [True]
    kube = Mock()

    def read(*_arguments: Any) -> dict[str, Any]:
        serves.clear()
        return {"metadata": {"resourceVersion": "5"}}

    kube.endpoint_slice = read
    publisher = Publisher(load(), kube, lambda: bool(serves))
    publisher.publish({4: {"endpoints": ["me"]}})
    publisher._write()
    kube.patch_endpoint_slice.assert_not_called()
    assert not publisher.published


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
    publisher = Publisher(load(), kube, lambda: False)
    publisher.publish({4: {"endpoints": ["me"]}})
    if known:
        publisher._versions[4] = "5"
    publisher.withdraw((1.0, 1.0))
    assert patched == ([{"endpoints": []}] if withdrawn else [])


def test_packets_that_wait_come_before_everything_else() -> None:
    """Another pod serves: what it says besides is for later."""
    driver = MagicMock()
    made = Relay(load(), MagicMock(), MagicMock(ports=ALL), MagicMock(), driver)
    made.problem = ""
    done: list[relay_messages.Kind] = []
    made._understand = lambda _now, message: done.append(message.kind)  # type: ignore[method-assign]
    kinds = [relay_messages.Kind.ANSWER, relay_messages.Kind.SERVES, relay_messages.Kind.OVER]
    other = ipaddress.ip_address("10.244.0.77")
    for number, kind in enumerate(kinds):
        assert made.hear(relay_messages.to_text(relay_messages.Message(kind, "other", other, number)))
    assert not made.over
    while made._jobs:
        made._jobs.popleft()(0.0)
    assert done == [kinds[1], kinds[0], kinds[2]]


def test_who_begins_to_serve_says_so_before_its_own_tunnel_goes() -> None:
    made = Relay(load(), MagicMock(), MagicMock(ports=ALL), MagicMock(), MagicMock(term=7))
    sides = MagicMock()
    made._hosting, made._leaving = sides.hosting, sides.leaving
    made._note_serves(3.0, True)
    assert sides.mock_calls == [call.hosting.serves(3.0, True, 7), call.leaving.serves(3.0, True)]


@pytest.mark.parametrize("known", [7, 8], ids=["not known yet", "known"])
def test_who_relays_through_it_learns_by_which_term_the_next_pod_serves(known: int) -> None:
    """Not by a later one: what the next pod says would be too old for them, and their packets would wait."""
    driver = MagicMock(term=7)
    made = Relay(load(), MagicMock(), MagicMock(ports=ALL), MagicMock(), driver)
    made.problem = ""
    sides = MagicMock()
    made._hosting, made._leaving = sides.hosting, sides.leaving
    sides.leaving.through = driver.successor_address
    made.prepare(Mock())
    while made._jobs:
        made._jobs.popleft()(2.0)
    driver.term = known
    sides.reset_mock()
    made._note_serves(3.0, False)
    assert sides.mock_calls == [
        call.hosting.serves(3.0, False, known),
        call.hosting.moved(3.0, driver.successor_address, 8),
        call.leaving.serves(3.0, False),
    ]


def test_a_move_waits_for_those_who_relay_through_the_pod() -> None:
    """Each says when it is ready, and is heard at once."""
    made = Relay(load(), MagicMock(), MagicMock(ports=ALL), MagicMock(), MagicMock())
    made._hosting = MagicMock(followed=False)
    assert not made._leaving._followed()
    made._hosting.followed = True
    assert made._leaving._followed()
    sides = MagicMock()
    made._hosting, made._leaving = sides.hosting, sides.leaving
    other = ipaddress.ip_address("10.244.0.77")
    said = relay_messages.Message(relay_messages.Kind.FOLLOWS, "other", other, holder=other, term=3)
    made._understand(2.0, said)
    assert sides.mock_calls == [call.hosting.follows(said), call.leaving.tick(2.0)]


def test_others_hear_that_it_serves_whatever_the_relays_thread_does() -> None:
    channel = MagicMock()
    made = Relay(load(), MagicMock(), MagicMock(ports=ALL), channel, MagicMock(term=7))
    made.problem = ""
    other = ipaddress.ip_address("10.244.0.77")
    made._hosting = MagicMock(guests=[other])
    made._post(Mock())
    made.serves(True)
    ((to, text),) = (one.args for one in channel.tell.mock_calls)
    message = relay_messages.from_text(text)
    assert (to, message.kind, message.term) == (str(other), relay_messages.Kind.SERVES, 7)


def test_whether_it_serves_is_heard_in_turn() -> None:
    """The address came and went while the relay's thread was busy."""
    made = Relay(load(), MagicMock(), MagicMock(ports=ALL), MagicMock(), MagicMock(term=7))
    made.problem = ""
    made._hosting, made._leaving = MagicMock(guests=[]), MagicMock(through=None)
    made.serves(True)
    made.serves(False)
    while made._jobs:
        made._jobs.popleft()(2.0)
    assert made._leaving.serves.mock_calls == [call(2.0, True), call(2.0, False)]


@pytest.mark.parametrize("ends", [True, False])
def test_what_waits_passes_before_the_address_is_given_up(ends: bool) -> None:
    """The kernel changes one thing of the network at a time."""
    parts = MagicMock()
    parts.fence.serves, parts.relay.over = True, True
    made = agent_of(parts)
    done: list[str] = []
    parts.relay.serves.side_effect = lambda serves: done.append(f"serves {serves}")
    parts.relay.passed.wait.side_effect = lambda seconds: done.append(f"waits {seconds}")
    parts.address.hand_over.side_effect = parts.address.end.side_effect = lambda: done.append("gives up")

    def drop() -> None:
        made._before_drop()
        parts.fence.serves = False

    def prepare(prepared: Any) -> None:
        prepared(True, "")
        made._then.pop()()

    parts.relay.prepare.side_effect = prepare
    parts.driver.end.side_effect = drop
    made._end() if ends else made._leave(drop)
    assert done[:3] == ["serves False", f"waits {agent.PASS_SECONDS}", "gives up"]


def test_a_pod_that_ends_prepares_one_move() -> None:
    """Somebody asks for one meanwhile, which would be prepared instead."""
    parts = MagicMock()
    parts.fence.serves, parts.relay.over = False, True
    made = agent_of(parts)
    parts.driver.leave = made._leave

    def prepare(prepared: Any) -> None:
        if parts.relay.prepare.call_count == 1:
            parts.driver.leave(lambda: None)
        prepared(True, "")
        made._then.pop()()

    parts.relay.prepare.side_effect = prepare
    made._end()
    assert parts.relay.prepare.call_count == 1
    parts.publisher.withdraw.assert_called_once_with(agent.RELEASE_TIMEOUT, agent.HEIR_SECONDS)


@pytest.mark.parametrize("comes", [True, False])
def test_a_pod_that_ends_leaves_its_place_to_its_heir(comes: bool) -> None:
    slices = {"metadata": {"resourceVersion": "7"}, "endpoints": [{"targetRef": {"name": "pod"}}]}
    other = {"metadata": {"resourceVersion": "8"}, "endpoints": [{"targetRef": {"name": "heir"}}]}
    kube = Mock()
    kube.endpoint_slice.side_effect = [slices, slices, *([other] * 2 if comes else [slices] * 100)]
    kube.patch_endpoint_slice.return_value = slices
    publisher = Publisher(load(), kube, lambda: False)
    publisher.publish({4: {"endpoints": ["me"]}})
    began = time.monotonic()
    publisher.withdraw((1.0, 1.0), 10.0 if comes else 0.3)
    assert kube.patch_endpoint_slice.call_count == (not comes)
    seconds = time.monotonic() - began
    assert seconds < 5 if comes else seconds >= 0.3


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
