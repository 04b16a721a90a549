# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table as the kernel lists it: what is in it, and what changes meanwhile."""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from egress_router.config import Address, Config
from egress_router.kernel import elements
from egress_router.kernel.fence import Fence
from egress_router.kernel.firewall import Firewall
from egress_router.kernel.nft import Nft

from ansible_collections.egress.router.plugins.module_utils._contract.rules import RULES_LIMIT, parse
from ansible_collections.egress.router.tests.support import namespaces

T = TypeVar("T")
ADDRESSES = ("198.51.100.50/24", "198.51.100.51/24", "2001:db8:51::50/64", "2001:db8:51::51/64")
CONFIG = Config(
    router="billing-db",
    namespace="payments",
    pod="pod",
    node="node",
    pod_uid="uid",
    pod_ips=(ipaddress.ip_address("10.244.0.11"), ipaddress.ip_address("2001:db8:244::11")),
    addresses=tuple(Address(ipaddress.ip_interface(a)) for a in ADDRESSES),
    mac="02:e6:c6:33:64:32",
)
EVERYTHING = """\
80 TCP 203.0.113.10
5432 TCP 203.0.113.10 15432 source=198.51.100.51 name=database
53 UDP 203.0.113.12 name=names
2905 SCTP 203.0.113.13
80 TCP 2001:db8:113::10 name=web
443 TCP 2001:db8:113::1:0:0 8443 source=2001:db8:51::51
fallback 203.0.113.99
"""
MANY = parse("".join(f"{port} TCP 203.0.113.10 name=rule-{port}\n" for port in range(1, 1 + RULES_LIMIT)))

Inside = Callable[[Callable[[], T]], T]


def nft(text: str) -> str:
    return namespaces.run(f"ip netns exec @kernel nft {text}")


def loaded(rules: Any, config: Config = CONFIG, fence: Fence | None = None) -> Firewall:
    firewall = Firewall(config, fence)
    firewall.adopt()
    firewall.apply(rules)
    return firewall


def by_nft(listed: list[dict[str, Any]]) -> dict[tuple[str, Any], tuple[Any, str, Any]]:
    """Value, comment and counts of all elements of our maps and sets in what `nft -j` lists."""

    def plain(value: Any) -> Any:
        return tuple(value["concat"]) if isinstance(value, dict) else value

    found = {}
    for thing in listed:
        kind, body = next(iter(thing.items()))
        if kind not in ("map", "set") or body["name"] == "permits":
            continue
        for listed_element in body.get("elem", []):
            key, value = listed_element if kind == "map" else (listed_element, None)
            details = key["elem"] if isinstance(key, dict) and "elem" in key else {"val": key}
            counter = details.get("counter")
            found[body["name"], plain(details["val"])] = (
                plain(value),
                details.get("comment", ""),
                (counter["packets"], counter["bytes"]) if counter else None,
            )
    return found


def test_elements_are_those_that_nft_lists(inside: Inside) -> None:
    def body() -> None:
        firewall = loaded(parse(EVERYTHING))
        nft("delete element inet egress_router marks4 { 6 . 5432 }")
        nft("add element inet egress_router marks4 { 6 . 5432 counter packets 7 bytes 70000000000 : 0xe6c11538 }")
        listing = firewall.listing()
        wanted = by_nft(json.loads(nft("-j -p list table inet egress_router"))["nftables"])
        assert {key: (*content, listing.counts.get(key)) for key, content in listing.contents.items()} == wanted
        assert len(wanted) > 20 and {name for name, _key in wanted} == set(elements.NAMES) - {"fallback6", "fallmarks6"}
        assert listing.counts["marks4", (6, 5432)] == (7, 70000000000)
        assert listing.contents["redirect4", (6, 5432)] == (("203.0.113.10", 15432), "database")

    inside(body)


def test_a_table_that_is_gone(inside: Inside) -> None:
    def body() -> None:
        firewall = loaded(parse(EVERYTHING))
        nft("delete table inet egress_router")
        assert firewall.listing().contents == {} and firewall.listing().skeleton == []
        assert firewall.repair() is True and firewall.listing().rules() == parse(EVERYTHING)

    inside(body)


def test_thousands_of_rules_are_listed_while_the_fence_changes_all_the_time(
    inside: Inside, record_property: Callable[[str, object], None]
) -> None:
    """What libnftables lists it begins again with each change: on a busy machine the rules of a pair were never read back."""
    ended = threading.Event()

    def commit(fence: Fence) -> None:
        while not ended.is_set():
            number = fence.permit(1.0)
            fence.grant(number, number)

    def body() -> None:
        fence = Fence()
        firewall = loaded(parse(""), replace(CONFIG, replicas=2), fence)
        # Otherwise, libnftables would keep this test for ever.
        late = threading.Timer(30.0, ended.set)
        late.start()
        thread = threading.Thread(target=namespaces.inside, args=("kernel", lambda: commit(fence)))
        thread.start()
        try:
            before = fence.commits
            firewall.apply(MANY)
            assert firewall.listing().rules() == MANY and firewall.repair() is False
            assert not ended.is_set(), "it was read when nothing changed any more"
            record_property(
                "figure",
                f"{RULES_LIMIT} rules: loaded and listed while the fence changed {fence.commits - before} times",
            )
        finally:
            ended.set()
            late.cancel()
            thread.join()
        assert fence.commits > before + 10

    namespaces.ip("-n @kernel link add eth0 mtu 1450 type veth peer name other")
    inside(body)


@pytest.mark.parametrize(
    "types", ["ipv4_addr : verdict", "mark : mark", "inet_service : ipv4_addr", "ether_addr : mark"]
)
def test_a_map_of_other_types(inside: Inside, types: str) -> None:
    elements_of = {
        "ipv4_addr : verdict": "203.0.113.10 : drop",
        "mark : mark": "7 : 8",
        "inet_service : ipv4_addr": "80 : 203.0.113.10",
        "ether_addr : mark": "02:e6:c6:33:64:32 : 7",
    }

    def body() -> None:
        firewall = loaded(parse(EVERYTHING))
        nft("delete table inet egress_router")
        nft("add table inet egress_router")
        for name in ("redirect4", "redirect6", "marks4", "fallback6", "sources4"):
            nft(f"add map inet egress_router {name} {{ type {types}; elements = {{ {elements_of[types]} }}; }}")
        assert firewall.listing().rules() == parse("")
        assert firewall.repair() is True and firewall.listing().rules() == parse(EVERYTHING)

    inside(body)


class Meddler:
    """Changes the table when the first of its maps has been listed, so often."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.listings = 0
        whole = Nft._elements

        def meddle(kernel: Nft, table_name: str, name: str) -> Iterator[elements.Element]:
            yield from whole(kernel, table_name, name)
            if name == "redirect4":
                self.listings += 1
                if self.listings <= times:
                    nft(f"add element inet egress_router redirect4 {{ 6 . {self.listings} : 203.0.113.66 . 1 }}")

        monkeypatch.setattr(Nft, "_elements", meddle)


def test_what_others_change_meanwhile_is_listed_again(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def body() -> None:
        firewall = loaded(parse(EVERYTHING))
        meddler = Meddler(monkeypatch, 2)
        listing = firewall.listing()
        assert meddler.listings == 3 and {("redirect4", (6, 1)), ("redirect4", (6, 2))} < set(listing.contents)
        assert firewall.repair() is True and firewall.listing().rules() == parse(EVERYTHING)

    inside(body)


def test_who_changes_the_table_all_the_time_is_not_waited_for(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def body() -> None:
        firewall = loaded(parse(EVERYTHING))
        meddler = Meddler(monkeypatch, 1000)
        assert firewall.listing().rules() == parse(EVERYTHING)
        assert meddler.listings == 5

    inside(body)
