# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table in a kernel, without an agent around it: what a change touches and what a restart takes over."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from egress_router.config import Address, Config
from egress_router.kernel import table
from egress_router.kernel.firewall import Firewall, FirewallError, Nft

from ansible_collections.egress.router.plugins.module_utils._contract.rules import Rule, RuleSet, parse
from ansible_collections.egress.router.tests.support import namespaces

T = TypeVar("T")
CONFIG = Config(
    router="billing-db",
    namespace="payments",
    pod="pod",
    node="node",
    pod_uid="uid",
    pod_ips=(ipaddress.ip_address("10.244.0.11"), ipaddress.ip_address("2001:db8:244::11")),
    addresses=tuple(Address(ipaddress.ip_interface(a)) for a in ("198.51.100.50/24", "2001:db8:51::50/64")),
    mac="02:e6:c6:33:64:32",
)
RULES = parse("5432 TCP 203.0.113.10\n53 UDP 2001:db8::53 name=dns\nfallback 203.0.113.99\n")
COUNTED = (
    "nft delete element inet egress_router marks4 { 6 . 5432 } ; "
    "add element inet egress_router marks4 { 6 . 5432 counter packets 7 bytes 70 : 0xe6c11538 }"
)

Inside = Callable[[Callable[[], T]], T]


def nft(text: str) -> str:
    return namespaces.run(f"ip netns exec @kernel {text}")


def connections(firewall: Firewall) -> int:
    return firewall.listing().rule_counters(RULES.rules[1]).connections


@pytest.mark.parametrize("looked", [True, False], ids=["after a look", "at once"])
def test_a_restart_takes_the_kernels_rules_and_counters_over(inside: Inside, looked: bool) -> None:
    def body() -> None:
        first = Firewall(CONFIG)
        assert first.adopt() is False
        first.apply(RULES)
        nft(COUNTED)
        second = Firewall(CONFIG)
        assert second.adopt() is True
        assert second.rules == RULES
        if looked:
            assert second.repair() is False
        assert second.apply(RULES) == set()
        assert connections(second) == 7

    inside(body)


def test_chains_that_were_changed_while_nobody_looked_are_not_adopted(inside: Inside) -> None:
    def body() -> None:
        first = Firewall(CONFIG)
        first.adopt()
        first.apply(RULES)
        nft("nft insert rule inet egress_router forward accept")
        assert Firewall(CONFIG).adopt() is False
        assert (
            "accept"
            not in nft("nft list chain inet egress_router forward").split("policy drop;")[1].split("iifname")[0]
        )

    inside(body)


def test_half_a_rule_is_not_adopted(inside: Inside) -> None:
    def body() -> None:
        first = Firewall(CONFIG)
        first.adopt()
        first.apply(RULES)
        nft("nft delete element inet egress_router live { 0xe6c11538 }")
        second = Firewall(CONFIG)
        assert second.adopt() is True
        assert [rule.port for rule in second.rules.rules] == [53]
        assert second.repair() is True
        assert "5432" not in nft("nft list ruleset")

    inside(body)


def test_a_failed_transaction_changes_nothing(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def body() -> None:
        firewall = Firewall(CONFIG)
        firewall.adopt()
        firewall.apply(RULES)
        before = nft("nft list ruleset")
        whole = table.delta
        monkeypatch.setattr(
            table, "delta", lambda *words: whole(*words) + "add element inet egress_router nothing { 1 }\n"
        )
        with pytest.raises(FirewallError, match="No such file or directory"):
            firewall.apply(parse("80 TCP 203.0.113.10\n"))
        monkeypatch.setattr(table, "delta", whole)
        assert firewall.rules == RULES and nft("nft list ruleset") == before
        assert firewall.repair() is False

    inside(body)


def test_the_flags_of_a_table_are_listed_as_they_are(inside: Inside) -> None:
    """nft 1.0.6 frees them twice, and what follows them may be missing: no image can be made with that."""

    def body() -> None:
        kernel = Nft()
        kernel.run("table inet flagged { flags dormant; set s { type mark; }; }")
        listed = [next(iter(thing.items())) for thing in json.loads(kernel.run("list table inet flagged"))["nftables"]]
        (described,) = [body for kind, body in listed if kind == "table"]
        assert described["flags"] == "dormant"
        assert [kind for kind, _body in listed] == ["metainfo", "table", "set"]

    inside(body)


SEVERAL = replace(CONFIG, replicas=2)


def several() -> None:
    """As in a pod: the size of packets is that of the cluster's network."""
    namespaces.ip("-n @kernel link add eth0 mtu 1450 type veth peer name other")


def test_source_ports_are_changed_repaired_and_adopted(inside: Inside) -> None:
    def body() -> None:
        first = Firewall(SEVERAL)
        assert first.adopt() is False and first.ports == (1024, 33279)
        first.apply(RULES)
        nft(COUNTED)
        assert "snat ip to 198.51.100.50:1024-33279" in nft("nft list chain inet egress_router postrouting")
        first.use_ports((33280, 65535))
        assert "snat ip6 to [2001:db8:51::50]:33280-65535" in nft("nft list chain inet egress_router postrouting")
        assert first.repair() is False and connections(first) == 7, "nothing else is touched"
        nft("nft flush chain inet egress_router postrouting")
        assert first.repair() is True
        assert "33280-65535" in nft("nft list chain inet egress_router postrouting")
        second = Firewall(SEVERAL)
        assert second.adopt() is True and second.ports == (33280, 65535)
        second.use_ports((1024, 33279))
        assert second.repair() is False and second.rules == RULES

    several()
    inside(body)


def test_source_ports_that_are_no_pods_are_not_adopted(inside: Inside) -> None:
    def body() -> None:
        first = Firewall(SEVERAL)
        first.adopt()
        first.use_ports((2000, 3000))
        second = Firewall(SEVERAL)
        assert second.adopt() is False and second.ports == (1024, 33279)
        assert "1024-33279" in nft("nft list chain inet egress_router postrouting")

    several()
    inside(body)


def test_a_router_of_one_replica_uses_all_ports_and_whole_segments(inside: Inside) -> None:
    def body() -> None:
        firewall = Firewall(CONFIG)
        firewall.adopt()
        assert firewall.ports == (1024, 65535)
        assert "snat ip to 198.51.100.50\n" in nft("nft list chain inet egress_router postrouting")
        assert "size set 1" not in nft("nft list chain inet egress_router forward")

    inside(body)


def test_segments_of_a_router_with_more_fit_through_a_tunnel(inside: Inside) -> None:
    def body() -> None:
        Firewall(SEVERAL).adopt()
        chain = nft("nft list chain inet egress_router forward")
        assert "nfproto ipv4" in chain and "size set 1360" in chain and "size set 1340" in chain

    several()
    inside(body)


def test_no_reference_table_is_left(inside: Inside) -> None:
    def body() -> None:
        Firewall(CONFIG).adopt()
        assert nft("nft list tables").splitlines() == ["table arp egress_router", "table inet egress_router"]

    inside(body)


def test_addresses_are_compared_and_not_their_spelling(inside: Inside) -> None:
    """nft prints ::1.2.3.4 and newer Pythons ::ffff:1.2.3.4, whatever was written."""

    def body() -> None:
        firewall = Firewall(CONFIG)
        firewall.adopt()
        for address in ("::102:304", "::ffff:102:304"):
            rules = RuleSet((Rule(80, "TCP", 6, str(ipaddress.ip_address(address)), 80),))
            firewall.apply(rules)
            assert firewall.rules == rules

    inside(body)


def test_rules_that_cannot_be_read_back_are_not_left_in_the_kernel(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def body() -> None:
        firewall = Firewall(CONFIG)
        firewall.adopt()
        firewall.apply(RULES)
        other = parse("5432 TCP 203.0.113.10\n9999 TCP 203.0.113.66\n")
        read = Nft.read

        def forgetful(kernel: Nft, name: str) -> table.Listing:
            found = read(kernel, name)
            return table.Listing(found.skeleton) if any(key == (6, 9999) for _map, key in found.contents) else found

        monkeypatch.setattr(Nft, "read", forgetful)
        with pytest.raises(FirewallError, match="are not the same"):
            firewall.apply(other)
        monkeypatch.undo()
        assert firewall.rules == RULES and firewall.repair() is False
        assert "9999" not in nft("nft list ruleset")

    inside(body)


def test_a_listing_for_others_does_not_hold_the_rules_up(inside: Inside) -> None:
    def body() -> None:
        firewall = Firewall(CONFIG)
        firewall.adopt()
        with firewall._reading:
            firewall.apply(RULES)
            assert firewall.repair() is False

    inside(body)


MORE = tuple(Address(ipaddress.ip_interface(a)) for a in ("198.51.100.51/24", "2001:db8:51::51/64"))
WITH_SOURCES = parse(
    "80 TCP 203.0.113.10 source=198.51.100.51\n81 TCP 203.0.113.10\n80 TCP 2001:db8::53 source=2001:db8:51::51\n"
)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("source", ["first", "spread"])
def test_several_addresses_are_adopted_and_repaired(inside: Inside, source: str, replicas: int) -> None:
    """As nft lists them, whatever else it makes of their rules."""
    config = replace(CONFIG, addresses=tuple(sorted((*CONFIG.addresses, *MORE), key=lambda a: a.family)))
    config = replace(config, source=source, replicas=replicas)
    wanted = WITH_SOURCES if source == "first" else RULES

    def body() -> None:
        first = Firewall(config)
        assert first.adopt() is False
        first.apply(wanted)
        second = Firewall(config)
        assert second.adopt() is True and second.rules == wanted and second.ports == first.ports
        assert second.repair() is False
        chain = nft("nft list chain inet egress_router postrouting")
        assert ("jhash ip saddr . th sport mod 2 seed 0xe6c map" in chain) is (source == "spread")
        assert ("jhash ip6 saddr . th sport" in chain) is (source == "spread")
        assert "snat ip to ct mark map @sources4" in chain
        if replicas > 1:
            second.use_ports((33280, 65535))
            assert second.repair() is False and chain.count(":1024-33279") == 4
            assert nft("nft list chain inet egress_router postrouting").count(":33280-65535") == 4

    several()
    inside(body)


def test_a_source_that_somebody_removed_comes_back(inside: Inside) -> None:
    config = replace(CONFIG, addresses=(*CONFIG.addresses, *MORE[:1]))

    def body() -> None:
        rules = parse("80 TCP 203.0.113.10 source=198.51.100.51\n")
        firewall = Firewall(config)
        firewall.adopt()
        firewall.apply(rules)
        nft("nft flush map inet egress_router sources4")
        assert firewall.listing().rules() != rules
        assert firewall.repair() is True
        assert firewall.listing().rules() == rules
        firewall.apply(parse("80 TCP 203.0.113.10\n"))
        assert "elements" not in nft("nft list map inet egress_router sources4")

    inside(body)
