# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel as the fence: what it forwards and answers while a permit lasts, and that it stops by itself."""

from __future__ import annotations

import ipaddress
import itertools
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from egress_router.config import Address, Config
from egress_router.kernel.fence import RESTORE_SECONDS, Fence, Spare
from egress_router.kernel.firewall import Firewall
from egress_router.segment import conflict

from ansible_collections.egress.router.plugins.module_utils._contract.rules import parse
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.fake_agent_api import FakeApi
from ansible_collections.egress.router.tests.support.router_pod import (
    EGRESS4,
    EGRESS6,
    GATEWAY4,
    GATEWAY6,
    MAC,
    Router,
    Stream,
    ask,
)
from ansible_collections.egress.router.tests.support.switch_ports import ADDRESSES, ASKING_MAC, Asker, Recorder
from ansible_collections.egress.router.tests.support.waiting import always, until

RULES = "5432 TCP 203.0.113.10\n"
_numbers = itertools.count()
CONFIG = Config(
    router="billing-db",
    namespace="payments",
    pod="fenced",
    node="node1",
    pod_uid="uid",
    pod_ips=(ipaddress.ip_address("10.244.0.9"),),
    addresses=tuple(Address(ipaddress.ip_interface(a)) for a in (f"{EGRESS4}/24", f"{EGRESS6}/64")),
    mac=MAC,
)


class Kernel:
    """A pod's kernel with the agent's tables and the egress addresses, and no agent."""

    def __init__(self, pod: str) -> None:
        self.pod = pod
        self.fence = Fence()
        self.firewall = Firewall(CONFIG, self.fence)
        self.firewall.adopt()
        self.firewall.apply(parse(RULES))

    def grant(self, seconds: float | None) -> int:
        number = self.fence.permit(seconds)
        assert self.fence.grant(number, number)
        return number

    def nft(self, text: str) -> str:
        return namespaces.run(f"ip netns exec @{self.pod} nft {text}")


@pytest.fixture
def kernel(network: None) -> Iterator[Kernel]:
    # What the namespace of an earlier one has may go some time later.
    pod = f"fenced{next(_numbers)}"
    namespaces.add_pod(pod, "node1", 9)
    for address in (f"{EGRESS4}/24", f"{EGRESS6}/64 nodad"):
        namespaces.ip(f"-n @{pod} addr add {address} dev net1")
    yield namespaces.inside(pod, lambda: Kernel(pod))
    namespaces.remove(pod)


def answered(seconds: float = 0.3) -> set[str]:
    """For which of the addresses somebody on the segment answers."""
    stop = threading.Event()
    found = namespaces.inside("outside", lambda: conflict.probe("seg0", ASKING_MAC, ADDRESSES, seconds, stop))
    return {str(ip) for ip in found}


def test_without_a_permit_it_is_silent(kernel: Kernel) -> None:
    assert answered() == set()
    kernel.fence.permit(None)
    assert answered() == set(), "a permit that was not granted is none"
    kernel.grant(None)
    assert answered() == {EGRESS4, EGRESS6}
    kernel.fence.drop()
    assert answered() == set()


def test_the_right_ends_by_itself(kernel: Kernel) -> None:
    kernel.grant(1.0)
    began = time.monotonic()
    assert answered() == {EGRESS4, EGRESS6}
    # Nobody does anything any more.
    until(lambda: not answered(0.1), "it is silent", 5)
    assert time.monotonic() - began >= 1.0
    always(lambda: not answered(0.1), "for good", 0.5)


def test_a_permits_time_begins_when_it_is_made(kernel: Kernel) -> None:
    kernel.grant(0.3)
    number = kernel.fence.permit(4)
    until(lambda: not answered(0.5), "the first is over", 5)
    # As an agent that was frozen between the answer and this.
    assert kernel.fence.grant(number, number)
    until(lambda: not answered(0.5), "the second is over", 10)
    assert kernel.fence.grant(number, number)
    assert answered(0.5) == set(), "granting it again gives it no new time"


def test_a_guard_that_has_run_out(kernel: Kernel) -> None:
    """Nothing changes then: not what is granted, and the permit is not."""
    kernel.grant(None)
    guard, number = kernel.fence.permit(0.2), kernel.fence.permit(None)
    until(lambda: "expires" not in kernel.nft("list set inet egress_router permits"), "the guard has run out", 5)
    before = kernel.nft("list chain inet egress_router granted"), kernel.nft("list chain arp egress_router granted")
    assert not kernel.fence.grant(number, guard)
    assert (
        kernel.nft("list chain inet egress_router granted"),
        kernel.nft("list chain arp egress_router granted"),
    ) == before


def test_a_right_without_end_needs_a_guard_too(kernel: Kernel) -> None:
    guard = kernel.fence.permit(0.2)
    until(lambda: "expires" not in kernel.nft("list set inet egress_router permits"), "the guard has run out", 5)
    number = kernel.fence.permit(None)
    assert not kernel.fence.grant(number, guard)
    assert answered() == set()
    kernel.fence.revoke(number)
    assert "elements" not in kernel.nft("list set inet egress_router permits"), "nothing is left of it"


def test_each_grant_takes_its_guard_away(kernel: Kernel) -> None:
    granted = kernel.grant(60)
    for _number in range(20):
        number = kernel.fence.permit(60)
        assert kernel.fence.grant(number, granted)
        granted = number
    assert kernel.nft("list set inet egress_router permits").count("expires") == 1
    assert kernel.nft("list set arp egress_router permits").count("expires") == 1
    assert answered() == {EGRESS4, EGRESS6}


def test_with_one_replica_there_is_no_end(kernel: Kernel) -> None:
    guard = kernel.fence.permit(0.5)
    assert kernel.fence.grant(kernel.fence.permit(None), guard)
    assert answered() == {EGRESS4, EGRESS6} and kernel.fence.until == float("inf")
    until(lambda: "expires" not in kernel.nft("list set inet egress_router permits"), "nothing else is left", 5)
    assert answered() == {EGRESS4, EGRESS6}


def with_spare(kernel: Kernel, seconds: float = 20.0, wait: float = 5.0) -> int:
    """The number of a permit that was made ahead, with a grant."""
    number = kernel.fence.permit(60)
    assert kernel.fence.grant(number, number, Spare(wait, seconds))
    return number + 1


def expires(kernel: Kernel, number: int) -> float:
    """When a permit ends, by the kernel's word, which is in milliseconds."""
    (listed,) = [
        thing["set"] for thing in json.loads(kernel.nft("-j list set inet egress_router permits"))["nftables"][1:]
    ]
    now = time.monotonic()
    (element,) = [one["elem"] for one in listed["elem"] if one["elem"]["val"] == number]
    return now + float(element["expires"])


def test_a_permit_that_was_made_with_the_grant_before(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs no change of the kernel, and ends no later than one that is made now."""
    ahead = with_spare(kernel, 2.0, 0.5)
    time_of_grant = time.monotonic()
    until(lambda: time.monotonic() > time_of_grant + 0.5, "it is time", 5, 0.01)
    before = kernel.fence.commits
    now = time.monotonic()
    assert kernel.fence.permit(2.0) == ahead and kernel.fence.commits == before
    # nft says whole seconds.
    assert expires(kernel, ahead) <= now + 2.0 + 1.0
    assert kernel.fence._until[ahead] <= now + 2.0
    assert kernel.fence.grant(ahead, ahead) and answered(0.2) == {EGRESS4, EGRESS6}
    until(lambda: not answered(0.1), "it ends", 5)
    assert time.monotonic() < now + 2.0 + 0.5, "within the time of asking"


@pytest.mark.parametrize(
    ("passed", "seconds"),
    [(4.9, 20.0), (10.1, 20.0), (7.0, 19.0), (7.0, None)],
    ids=["too early", "too late", "shorter", "without end"],
)
def test_a_spare_permit_that_does_not_fit(kernel: Kernel, passed: float, seconds: float | None) -> None:
    ahead = with_spare(kernel)
    whole = kernel.fence._clock
    kernel.fence._clock = lambda: whole() + passed
    number = kernel.fence.permit(seconds)
    assert number > ahead
    kernel.fence._clock = lambda: whole() + 7.0
    assert kernel.fence.permit(20.0) > number, "nor is it used later"


def test_a_spare_permit_is_used_once(kernel: Kernel) -> None:
    ahead = with_spare(kernel)
    whole = kernel.fence._clock
    kernel.fence._clock = lambda: whole() + 7.0
    assert kernel.fence.permit(20.0) == ahead
    assert kernel.fence.permit(20.0) > ahead


def test_who_stops_leaves_no_spare_permit(kernel: Kernel) -> None:
    ahead = with_spare(kernel)
    whole = kernel.fence._clock
    kernel.fence._clock = lambda: whole() + 7.0
    kernel.fence.drop()
    assert "elements" not in kernel.nft("list set inet egress_router permits")
    number = kernel.fence.permit(20.0)
    assert number > ahead and kernel.fence.grant(number, number)


def test_a_grant_that_is_refused_makes_no_spare_permit(kernel: Kernel) -> None:
    before = with_spare(kernel)
    assert not kernel.fence.grant(before, before + 1000, Spare(5.0, 20.0)), "there is no such guard"
    whole = kernel.fence._clock
    kernel.fence._clock = lambda: whole() + 7.0
    assert kernel.fence.permit(20.0) == before, "the one of before is there"


def test_the_fences_own_changes_are_no_drift(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times a second, a table of thousands of rules cannot be listed."""
    kernel.firewall.repair()
    monkeypatch.setattr(kernel.firewall._nft, "listing", lambda: pytest.fail("it was listed"))
    granted = kernel.grant(60)
    assert not kernel.firewall.repair()
    assert kernel.fence.grant(kernel.fence.permit(60), granted)
    assert not kernel.fence.grant(granted, granted + 1000), "there is no such guard"
    assert not kernel.firewall.repair()


def test_a_change_by_others_is_noticed_among_the_fences_own(kernel: Kernel) -> None:
    kernel.firewall.repair()
    kernel.grant(60)
    kernel.nft("delete element inet egress_router redirect4 { 6 . 5432 }")
    kernel.grant(60)
    assert kernel.firewall.repair()


@pytest.mark.parametrize("family", ["inet", "arp"])
def test_a_removed_table_comes_back_with_what_is_left(kernel: Kernel, family: str) -> None:
    kernel.grant(30)
    kernel.nft(f"delete table {family} egress_router")
    assert kernel.firewall.repair()
    assert answered() == {EGRESS4, EGRESS6}
    (listed,) = [
        thing["set"] for thing in json.loads(kernel.nft("-j list set arp egress_router permits"))["nftables"][1:]
    ]
    (permit,) = listed["elem"]
    assert 10 < permit["elem"]["timeout"] < 30


def test_a_right_with_permits_of_the_moment_comes_back(kernel: Kernel) -> None:
    """Beats are on their way while somebody removes the table, and one of them is granted afterwards."""
    granted = kernel.grant(30)
    waiting = kernel.fence.permit(20)
    kernel.nft("flush ruleset")
    # It cannot be made now, and comes back too.
    late = kernel.fence.permit(20)
    assert kernel.firewall.repair()
    for number in (waiting, late):
        assert kernel.fence.grant(number, granted)
        granted = number
        assert answered() == {EGRESS4, EGRESS6}


@pytest.mark.parametrize("frozen", [1, 2])
def test_what_comes_back_ends_when_it_should(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, frozen: int) -> None:
    """Whoever is frozen between reading the clock and changing the kernel does not give its permit time that is another pod's."""
    clock, freezes = time.monotonic, iter(range(frozen))
    kernel.grant(1.0)
    end = kernel.fence.until
    kernel.firewall.repair()
    kernel.nft("flush set inet egress_router permits")

    def frozen_afterwards() -> float:
        now = clock()
        if kernel.fence.lock.locked() and next(freezes, None) is not None:
            until(lambda: clock() > now + 0.4, "it is thawed", 5)
        return now

    monkeypatch.setattr(kernel.fence, "_clock", frozen_afterwards)
    kernel.firewall.repair()
    assert kernel.fence.restored
    assert next(freezes, None) is None
    until(lambda: clock() > end, "its time is over", 5)
    assert answered(0.1) == set()


def test_a_right_that_could_not_come_back_at_once(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process was frozen too often: it tries again."""
    kernel.grant(30)
    clock = time.monotonic

    def frozen_afterwards() -> float:
        now = clock()
        if kernel.fence.lock.locked():
            until(lambda: clock() > now + 2 * RESTORE_SECONDS, "it is thawed", 5)
        return now

    kernel.nft("flush ruleset")
    with monkeypatch.context() as patch:
        patch.setattr(kernel.fence, "_clock", frozen_afterwards)
        assert kernel.firewall.repair() and answered(0.1) == set()
    kernel.firewall.repair()
    assert answered() == {EGRESS4, EGRESS6}


@pytest.mark.parametrize(("seconds", "endless"), [(None, True), (60.0, False)])
def test_what_an_earlier_process_granted_is_known(kernel: Kernel, seconds: float | None, endless: bool) -> None:
    number = kernel.grant(seconds)
    fence = namespaces.inside(kernel.pod, Fence)
    assert not fence.serves
    assert fence.adopt() == (number if endless else 0)
    assert fence.serves and (fence.until == float("inf")) == endless
    if not endless:
        assert time.monotonic() + 50 < fence.until < time.monotonic() + 60
    fence.drop()
    assert not fence.serves and answered() == set()


def test_nothing_was_granted(kernel: Kernel) -> None:
    kernel.fence.permit(60)
    fence = namespaces.inside(kernel.pod, Fence)
    assert fence.adopt() == 0 and not fence.serves


@pytest.mark.parametrize("what", ["chain inet egress_router granted", "set arp egress_router permits"])
def test_a_right_that_somebody_removed(kernel: Kernel, what: str) -> None:
    kernel.grant(None)
    kernel.firewall.repair()
    kernel.nft(f"flush {what}")
    assert answered() != {EGRESS4, EGRESS6}
    kernel.firewall.repair()
    assert answered() == {EGRESS4, EGRESS6}


def test_what_it_costs(kernel: Kernel, record_property: Callable[[str, object], None]) -> None:
    """A permit and a grant, ten times a second."""
    granted, count = kernel.grant(60), 300
    wall, cpu = time.perf_counter(), time.process_time()
    for _number in range(count):
        number = kernel.fence.permit(60)
        assert kernel.fence.grant(number, granted)
        granted = number
    wall, cpu = (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count
    record_property("figure", f"a permit and its grant: {1000 * wall:.2f} ms, {1000 * cpu:.2f} ms of it computing")
    # Ten in a second are less than a hundredth of a core, on a busy machine too: half of what libnftables takes on an idle one.
    assert cpu < 0.0005


def test_what_is_refused_is_known_at_once(kernel: Kernel) -> None:
    """Several changes of one transaction may be refused, each with an answer of its own, and the next one counts for itself."""
    granted = kernel.grant(60)
    began = time.monotonic()
    for _number in range(20):
        assert not kernel.fence.grant(granted, granted + 1000), "there is no such guard"
        assert kernel.fence.grant(granted, granted)
    assert time.monotonic() - began < 3
    kernel.nft("flush ruleset")
    assert not kernel.fence.grant(granted, granted)
    assert kernel.firewall.repair() and answered() == {EGRESS4, EGRESS6}


def test_without_a_permit_nothing_leaves(kernel: Kernel) -> None:
    """Nor does the kernel ask for others, which would show switches the router's MAC address."""
    (link,) = json.loads(namespaces.ip(f"-n @{kernel.pod} -j link show net1"))
    for granted in (False, True):
        if granted:
            kernel.grant(None)
        recorder = Recorder("node1", link["address"])
        for gateway in (GATEWAY4, GATEWAY6):
            namespaces.run(f"ip netns exec @{kernel.pod} ping -c 1 -W 1 -I net1 {gateway}", check=False)
        assert bool(recorder.stop()) == granted


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_an_agent_that_is_gone_leaves_no_second_owner(make_pod, api: FakeApi, how: signal.Signals) -> None:
    """Its kernel stops before another pod serves, and both switch ports show it."""
    first, second = make_pod("node1"), make_pod("node2")
    for pod in (first, second):
        pod.replicas = 2
    first.put_rules(RULES)
    first.serve()
    second.start()
    until(lambda: "event=rules-applied" in second.log(), "the second has its rules")
    ports = [Recorder("node1"), Recorder("node2")]
    asker = Asker()
    try:
        until(lambda: ports[0].times, "the first is heard")
        assert first.process is not None
        first.process.send_signal(how)
        until(lambda: second.status().serving and second.holder() == second.pod, "the second serves", 30)
        assert ask(second.ip4, 5432)["source_ip"] == EGRESS4
    finally:
        asker.stop()
        old, new = (port.stop() for port in ports)
    assert "state=conflict" not in second.log()
    assert new and old[-1] < new[0], "the MAC address was seen at both ports at once"
    assert first.mac() == MAC and EGRESS4 in first.addresses_on_net1(), "nobody has tidied up there: it was the fence"


def test_an_agent_of_one_replica_may_stand_still(make_pod) -> None:
    pod: Router = make_pod()
    pod.put_rules(RULES)
    pod.serve()
    stream = Stream(pod.ip4, 5432)
    assert pod.process is not None
    pod.process.send_signal(signal.SIGSTOP)
    try:
        always(lambda: stream.echoes() and EGRESS4 in answered(0.5), "it goes on", 3.5 * pod.lease_seconds)
    finally:
        pod.process.send_signal(signal.SIGCONT)
