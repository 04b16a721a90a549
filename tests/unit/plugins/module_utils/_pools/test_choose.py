# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocations: which address a router gets, why it gets none, and objects that somebody has edited."""

from __future__ import annotations

import copy
import ipaddress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._common.errors import InputError
from ansible_collections.egress.router.plugins.module_utils._contract.rules import IPAddress
from ansible_collections.egress.router.plugins.module_utils._pools.allocation import (
    Allocation,
    object_name,
    read_allocation,
)
from ansible_collections.egress.router.plugins.module_utils._pools.choose import (
    Situation,
    Taken,
    choose,
    kept,
    renumbered,
    unused,
)
from ansible_collections.egress.router.plugins.module_utils._pools.pool import read_pools
from ansible_collections.egress.router.plugins.module_utils._pools.request import Request

NOW = datetime(2026, 11, 26, 9, 30, tzinfo=timezone.utc)
POOL = {"name": "partners", "ranges": ["198.51.100.64-198.51.100.67"], "prefix_length": 24, "quarantine_seconds": 600}


def ip(host: int) -> IPAddress:
    return ipaddress.ip_address(f"198.51.100.{host}")


def has(name: str, host: int, released: float | None = None, pool: str = "partners", number: int = 1) -> Allocation:
    """`released`: seconds ago."""
    at = None if released is None else NOW - timedelta(seconds=released)
    return Allocation(ip(host), pool, "payments", name, NOW - timedelta(days=1), at, number=number)


def asks(name: str, host: int | None = None, pool: str = "partners", number: int = 1) -> Request:
    return Request("payments", name, number - 1, pool, ip(host) if host else None, number)


def situation(*allocations: Allocation, taken: dict[int, Taken] | None = None, **changes: Any) -> Situation:
    pools, problems = read_pools([{**POOL, **changes}])
    assert problems == []
    found = Situation(pools, NOW, {one.ip: one for one in allocations})
    found.look_at({ip(host): why for host, why in (taken or {}).items()})
    return found


def chosen(found: Situation, *requests: Request) -> list[int]:
    return [int(str(one).rpartition(".")[2]) for one in choose(list(requests), found).values()]


def refused(call: Any, *args: Any) -> str:
    with pytest.raises(InputError) as told:
        call(*args)
    return str(told.value)


def test_the_lowest_that_is_free() -> None:
    used = {65: Taken("is an address of node worker-1")}
    assert chosen(situation(has("x", 64), taken=used), asks("a"), asks("b")) == [66, 67]


def test_those_who_want_a_certain_one_come_first() -> None:
    assert chosen(situation(), asks("a"), asks("b", 64)) == [65, 64]


def test_what_others_released_rests_for_some_time() -> None:
    assert chosen(situation(has("x", 64, released=599)), asks("a")) == [65]
    assert chosen(situation(has("x", 64, released=600)), asks("a")) == [64]
    assert chosen(situation(has("x", 64, released=0), quarantine_seconds=0), asks("a")) == [64]


def test_a_router_that_comes_back_gets_its_own_address() -> None:
    assert chosen(situation(has("a", 66, released=1)), asks("a")) == [66]


def test_a_deployed_router_keeps_its_address() -> None:
    own = {66: Taken("is the address of egress router payments/a", ("payments", "a"))}
    found = situation(taken=own)
    assert chosen(found, asks("b"), asks("a")) == [64, 66]
    assert chosen(found, asks("a", 65)) == [65], "the list asks for another one"
    said = refused(choose, [asks("a")], situation(has("x", 66), taken=own))
    assert said == (
        "router payments/a, addresses[0].pool: the router is deployed with 198.51.100.66 of pool partners, which is allocated to "
        "router payments/x: set ip to the address that it shall have"
    )


@pytest.mark.parametrize(
    ("there", "why"),
    [
        ({"allocation": has("x", 65)}, "is allocated to router payments/x"),
        ({"allocation": has("x", 65, released=60)}, "was released by router payments/x and rests until 2026-11-26T09:39:00Z"),
        ({"taken": Taken("is in use by 02:00:5e:00:53:01")}, "is in use by 02:00:5e:00:53:01"),
        ({"taken": Taken("is the address of egress router payments/x", ("payments", "x"))}, "is the address of egress"),
    ],
)  # fmt: skip
def test_an_address_that_is_asked_for_is_not_replaced_by_another_one(there: dict[str, Any], why: str) -> None:
    allocations = [there["allocation"]] if "allocation" in there else []
    found = situation(*allocations, taken={65: there["taken"]} if "taken" in there else {})
    said = refused(choose, [asks("a", 65)], found)
    assert said.startswith(f"router payments/a, addresses[0].ip: '198.51.100.65' of pool partners {why}"), said


def test_a_full_pool_says_who_has_what() -> None:
    found = situation(
        has("x", 64), has("y", 65), has("z", 66, released=60), taken={67: Taken("is an address of node worker-1")}
    )
    assert refused(choose, [asks("a")], found) == (
        "router payments/a, addresses[0].pool: pool partners (198.51.100.64-198.51.100.67) is full. Allocated: 198.51.100.64 "
        "payments/x, 198.51.100.65 payments/y. Not available: 198.51.100.66 was released by router payments/z and "
        "rests until 2026-11-26T09:39:00Z, 198.51.100.67 is an address of node worker-1. Add a range, or remove a router"
    )
    found = situation(*(has(f"r{host}", host) for host in range(64, 80)), ranges=["198.51.100.64/28"])
    assert " and 6 more (module address_pool_info lists them)" in refused(choose, [asks("a")], found)
    said = refused(choose, [asks("a"), asks("b")], found)
    assert [line.split(",")[0] for line in said.splitlines()] == ["router payments/a", "router payments/b"]


def test_the_last_address_is_for_one() -> None:
    found = situation(has("x", 64), has("y", 65), has("z", 66))
    assert refused(choose, [asks("a"), asks("b")], found).startswith(
        "router payments/b, addresses[0].pool: pool partners"
    )


def test_what_is_allocated_stays() -> None:
    first, second = has("b", 64), has("a", 67)
    requests = [asks("a"), asks("b"), asks("c")]
    assert kept(requests, situation(first, second)) == {requests[0]: second, requests[1]: first}
    assert kept([asks("a", 67)], situation(second)) == {asks("a", 67): second}
    assert kept([asks("a")], situation(has("a", 67, released=1))) == {}


def test_a_pool_with_another_name_keeps_what_it_has() -> None:
    former = has("a", 67, pool="former")
    assert kept([asks("a")], situation(former)) == {asks("a"): former}


def test_another_address_than_the_router_has() -> None:
    said = refused(kept, [asks("a", 65)], situation(has("a", 67)))
    assert said == (
        "router payments/a, addresses[0].ip: '198.51.100.65' is asked for, but the router has 198.51.100.67 of the same pool: leave "
        "ip out to keep that, or remove the router first"
    )


def test_a_pool_that_was_made_smaller() -> None:
    for changes in ({"ranges": ["198.51.100.64"]}, {"exclude": ["198.51.100.67"]}):
        said = refused(kept, [], situation(has("a", 67), **changes))
        assert "does not have 198.51.100.67 any more, which is allocated to router payments/a" in said
        assert kept([], situation(has("a", 67, released=1), **changes)) == {}


def test_two_addresses_for_one_request() -> None:
    said = refused(kept, [asks("a")], situation(has("a", 64), has("a", 67)))
    assert said.startswith(
        "router payments/a, addresses[0].pool: 198.51.100.64 and 198.51.100.67 of pool partners are allocated to it: delete"
    )


def several(*hosts: int | None) -> list[Request]:
    """Requests of router a."""
    return [asks("a", host, number=number) for number, host in enumerate(hosts, 1)]


def of(found: dict[Request, Allocation]) -> dict[int, int]:
    return {request.number: int(str(one.ip).rpartition(".")[2]) for request, one in found.items()}


def test_several_addresses_stay_in_their_order() -> None:
    found = situation(has("a", 66), has("a", 64, number=2), has("b", 65))
    assert of(kept(several(None, None), found)) == {1: 66, 2: 64}
    assert of(kept(several(None, None, None), found)) == {1: 66, 2: 64}, "the third is to be chosen"
    assert chosen(found, asks("a", number=3)) == [67], "not one that the router has"
    assert of(kept(several(None), found)) == {1: 66}
    assert of(kept(several(64), found)) == {1: 64}
    assert of(kept(several(64, None), found)) == {1: 64, 2: 66}


def test_a_further_address_is_put_before_the_others() -> None:
    found = situation(has("a", 66))
    new = several(65, None)
    assert of(kept(new, found)) == {2: 66} and chosen(found, new[0]) == [65]


def test_another_address_although_one_is_left() -> None:
    found = situation(has("a", 66), has("a", 64, number=2))
    assert "'198.51.100.65' is asked for, but the router has 198.51.100.66 of" in refused(
        kept, several(65, None), found
    )


def test_two_runs_found_an_address_for_one_of_several_requests() -> None:
    found = situation(has("a", 64), has("a", 66, number=2), has("a", 67, number=2))
    said = refused(kept, several(None, None), found)
    assert said.startswith(
        "router payments/a, addresses[1].pool: 198.51.100.66 and 198.51.100.67 of pool partners are"
    ), said
    assert of(kept(several(None, 66), found)) == {1: 64, 2: 66}, "the list says which"


def test_a_deployed_router_keeps_its_addresses_in_their_order() -> None:
    own = {host: Taken("is the address of egress router payments/a", ("payments", "a")) for host in (66, 64)}
    assert chosen(situation(taken=own), *several(None, None)) == [66, 64]
    assert chosen(situation(taken=own), *several(None, 66)) == [64, 66]
    assert chosen(situation(taken=own), *several(None, None, None)) == [66, 64, 65]
    # Somebody has deleted the object of one.
    found = situation(has("a", 64, number=2), taken=own)
    assert of(kept(several(None, None), found)) == {2: 64} and chosen(found, asks("a")) == [66]


def test_a_router_that_comes_back_gets_its_addresses_in_their_order() -> None:
    found = situation(has("a", 64, released=1, number=2), has("a", 66, released=1))
    assert chosen(found, *several(None, None)) == [66, 64]
    assert chosen(found, *several(None)) == [66]


def test_numbers_follow_the_list() -> None:
    def of_hosts(found: Situation, *hosts: int | None) -> dict[int, int]:
        return {int(str(one.ip).rpartition(".")[2]): after.number for one, after in renumbered(several(*hosts), found)}

    found = situation(has("a", 66), has("a", 64, number=2))
    assert of_hosts(found, None, None) == of_hosts(found, None) == of_hosts(found, None, None, None) == {}
    assert of_hosts(found, 64, None) == {64: 1, 66: 2}
    assert of_hosts(found, 64) == {64: 1, 66: 3}, "what is not asked for comes last"
    assert of_hosts(situation(has("a", 64, number=2)), None) == {64: 1}
    ((_before, after),) = renumbered(several(None), situation(has("a", 64, pool="former")))
    assert (after.pool, after.number) == ("partners", 1)


def test_fewer_addresses_leave_the_last_ones_over() -> None:
    found = situation(has("a", 66), has("a", 64, number=2))
    router = [("payments", "a")]
    assert [one.ip for one in unused(several(None), router, found)] == [ip(64)]
    assert [one.ip for one in unused(several(64), router, found)] == [ip(66)]
    assert unused(several(None, None), router, found) == []


def test_what_the_routers_of_the_list_do_not_ask_for() -> None:
    found = situation(has("a", 67), has("b", 65), has("c", 66), has("d", 64, released=1), has("a", 9, pool="gone"))
    routers = [("payments", name) for name in "abd"]
    assert [one.ip for one in unused([asks("a")], routers, found)] == [ip(9), ip(65)]


def stored(allocation: Allocation) -> dict[str, Any]:
    """As an API server has it."""
    body = copy.deepcopy(allocation.body())
    body["metadata"].update(namespace="pools", resourceVersion="7", uid="u")
    return body


def test_an_object_is_read_as_it_was_written() -> None:
    for one in (has("a", 64), has("a", 64, released=60), has("a", 64, number=12)):
        assert replace(read_allocation(stored(one)), live=None) == one


def test_what_others_have_added_to_an_object_stays() -> None:
    body = stored(has("a", 64, released=60, number=2))
    body["metadata"]["annotations"]["example.com/ticket"] = "17"
    body["metadata"]["finalizers"] = ["example.com/x"]
    body["data"] = {"note": "of a colleague"}
    after = read_allocation(body).given_to("shop", "b", "others", 1, NOW).body()
    assert (after["data"], after["metadata"]["finalizers"]) == (body["data"], ["example.com/x"])
    assert after["metadata"]["resourceVersion"] == "7"
    assert after["metadata"]["annotations"] == {
        "example.com/ticket": "17",
        "egress.router/address": "198.51.100.64",
        "egress.router/allocated-at": "2026-11-26T09:30:00Z",
    }
    assert read_allocation(after).router_id == "shop/b"


def test_the_names_of_objects() -> None:
    assert object_name(ip(64)) == "egress-address-198.51.100.64"
    assert object_name(ipaddress.ip_address("2001:db8:0:0:1::")) == (
        "egress-address-2001-0db8-0000-0000-0001-0000-0000-0000"
    )


def label(key: str, value: str | None) -> Any:
    return lambda metadata: change(metadata["labels"], key, value)


def annotation(key: str, value: str | None) -> Any:
    return lambda metadata: change(metadata["annotations"], key, value)


def change(values: dict[str, str], key: str, value: str | None) -> None:
    values.pop(key)
    if value is not None:
        values[key] = value


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (label("app.kubernetes.io/name", None), "lacks the labels"),
        (label("app.kubernetes.io/managed-by", "jane"), "lacks the labels"),
        (label("egress.router/pool", None), "lacks the label egress.router/pool"),
        (label("egress.router/router", ""), "lacks the label egress.router/router"),
        (label("egress.router/router-namespace", None), "lacks the label egress.router/router-namespace"),
        (annotation("egress.router/address", None), "has no address in the annotation egress.router/address"),
        (annotation("egress.router/address", "198.51.100.65"), "whose object is egress-address-198.51.100.65"),
        (annotation("egress.router/allocated-at", None), "has no time in the annotation egress.router/allocated-at"),
        (annotation("egress.router/allocated-at", "noon"), "has 'noon' in the annotation egress.router/allocated-at"),
        (annotation("egress.router/released-at", "1"), "has '1' in the annotation egress.router/released-at"),
        (annotation("egress.router/number", "0"), "has '0' in the annotation egress.router/number, which is no number"),
        (annotation("egress.router/number", "x"), "has 'x' in the annotation egress.router/number"),
    ],
)
def test_an_object_that_somebody_has_edited(edit: Any, said: str) -> None:
    body = stored(has("a", 64, released=60, number=2))
    edit(body["metadata"])
    told = refused(read_allocation, body)
    assert told.startswith("ConfigMap pools/egress-address-198.51.100.64 ") and said in told, told
    assert "somebody has edited it" in told


def test_an_object_without_any_labels() -> None:
    body = stored(has("a", 64))
    del body["metadata"]["labels"], body["metadata"]["annotations"]
    assert "somebody has edited it" in refused(read_allocation, body)
