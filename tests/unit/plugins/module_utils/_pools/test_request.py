# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What routers ask of pools: read from the users' list, refused with all of its other problems, and filled in."""

from __future__ import annotations

import copy
import ipaddress
import json
from typing import Any

import pytest
import yaml

from ansible_collections.egress.router.plugins.doc_fragments._pools import ModuleDocFragment
from ansible_collections.egress.router.plugins.module_utils._common.errors import InputError
from ansible_collections.egress.router.plugins.module_utils._pools import option
from ansible_collections.egress.router.plugins.module_utils._pools.request import Request, by_request, filled
from ansible_collections.egress.router.plugins.module_utils._router import checked
from ansible_collections.egress.router.plugins.module_utils._router.routers import load

DEFAULTS = {"namespace": "payments", "image": "img:1"}
PARTNERS = {
    "name": "partners",
    "ranges": ["198.51.100.64-198.51.100.66"],
    "prefix_length": 24,
    "gateway": "198.51.100.1",
}
V6 = {"name": "six", "ranges": ["2001:db8::50-2001:db8::5f"], "prefix_length": 64, "gateway": "fe80::1"}


def read_text(data: Any, defaults: Any, absent: bool) -> tuple[str, list[Any]]:
    routers, problems = load(data, defaults, absent)
    return checked.dump(routers), problems


def router(name: str, *addresses: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "addresses": list(addresses) or [{"pool": "partners"}], **more}


def asked(*routers: Any, **args: Any) -> option.Wanted:
    given = {"routers": list(routers), "defaults": DEFAULTS, "pools": [PARTNERS, V6], "namespace": "pools", **args}
    before = copy.deepcopy(given)
    found = option.arguments(given, read_text)
    assert given == before, "the users' own arguments are left alone"
    assert (found["routers"], found["defaults"], found["pools"]) == ([], {}, given["pools"])
    return option.read(found)


def refused(*routers: Any, **args: Any) -> list[str]:
    with pytest.raises(InputError) as told:
        asked(*routers, **args)
    return str(told.value).splitlines()


def test_the_requests_of_present_routers() -> None:
    wanted = asked(
        router("a"),
        router("b", {"pool": "partners", "ip": "198.51.100.66"}, {"pool": "six", "ip": "2001:db8::0050/64"}),
        router("c", {"ip": "198.51.100.9/24"}),
        router("d", state="absent"),
        router("e", {"pool": "six"}, {"pool": "partners"}, {"pool": "six"}),
    )
    assert [request.as_list() for request in wanted.requests] == [
        ["payments", "a", 0, "partners", "", 1],
        ["payments", "b", 0, "partners", "198.51.100.66", 1],
        ["payments", "b", 1, "six", "2001:db8::50", 1],
        ["payments", "e", 0, "six", "", 1],
        ["payments", "e", 1, "partners", "", 1],
        ["payments", "e", 2, "six", "", 2],
    ]
    assert [one.id for one in wanted.routers] == [f"payments/{name}" for name in "abcde"]
    assert [Request.from_list(one.as_list()) for one in wanted.requests] == wanted.requests


def test_absent_routers_ask_for_nothing() -> None:
    wanted = asked(router("a", {"pool": "nowhere"}), router("b"), state="absent")
    assert wanted.requests == [] and not any(one.present for one in wanted.routers)


def test_servers_in_a_pool_are_told() -> None:
    rules = [{"port": 1, "destination_ip": "198.51.100.65"}, {"port": 2, "destination_ip": "203.0.113.1"}]
    wanted = asked(router("a", redirect_rules=rules, fallback_ip="198.51.100.66"))
    assert wanted.used == {
        ipaddress.ip_address(f"198.51.100.{host}"): "is a destination of router payments/a" for host in (65, 66)
    }


def test_gateways_of_routes_in_a_pool_are_told() -> None:
    routes = [{"destination": "192.0.2.0/24", "gateway": "198.51.100.65"}]
    wanted = asked(router("a", {"ip": "198.51.100.9/24"}, routes=routes))
    assert wanted.used == {ipaddress.ip_address("198.51.100.65"): "is the gateway of a route of router payments/a"}


@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        ([{"pool": "partner"}], "addresses[0].pool: there is no pool 'partner': did you mean partners?"),
        ([{"pool": "x9"}], "addresses[0].pool: there is no pool 'x9': there is partners, six in egress_router_pools"),
        ([{"pool": "partners", "gateway": "198.51.100.1"}], "addresses[0].gateway: is that of pool partners: remove it"),
        ([{"pool": "partners", "ip": "198.51.100.9"}], "addresses[0].ip: '198.51.100.9' cannot be allocated from pool partners ("),
        ([{"pool": "partners", "ip": "2001:db8::50"}], "addresses[0].ip: '2001:db8::50' cannot be allocated from pool"),
        ([{"pool": "partners", "ip": "198.51.100.64/25"}], "has another prefix length than pool partners"),
        ([{"pool": "partners", "ip": "any"}], "addresses[0].ip: 'any' is not an IP address"),
        ([{"pool": ["partners"]}], "addresses[0].pool: expected a string, got a list"),
        ([{"pool": "partners", "prefix": 24}], "addresses[0].prefix: is not a valid key"),
        ([{"ip": "198.51.100.65/24"}], "addresses[0].ip: '198.51.100.65' is in pool partners (198.51.100.64-198.51.100.66), which may "),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(addresses: list[Any], said: str) -> None:
    (sentence,) = refused(router("a", *addresses))
    assert sentence.startswith("router payments/a, addresses[") and said in sentence, sentence


def test_an_address_of_a_pool_is_let_alone_if_it_is_excluded_or_goes() -> None:
    fixed = router("a", {"ip": "198.51.100.65/24"})
    asked({**fixed, "state": "absent"})
    asked(fixed, pools=[{**PARTNERS, "exclude": ["198.51.100.65"]}])


def test_two_routers_that_ask_for_one_address() -> None:
    want = {"pool": "partners", "ip": "198.51.100.65"}
    (sentence,) = refused(router("a", want), router("b", want))
    assert sentence == (
        "router payments/b, addresses[0].ip: '198.51.100.65' is also asked for by router payments/a: each router needs its own"
    )


def test_more_routers_than_addresses() -> None:
    (sentence,) = refused(*map(router, "abcd"))
    assert sentence == (
        "egress_router_pools: pool partners (198.51.100.64-198.51.100.66) has 3 addresses, and the list asks for 4"
    )
    one = [{"pool": "partners"}]
    asked(router("a", *one, *one, *one))
    assert refused(router("a", *one, *one), router("b", *one, *one)) == [sentence]


def test_the_addresses_of_one_router_are_different() -> None:
    want = {"pool": "partners", "ip": "198.51.100.65"}
    (sentence,) = refused(router("a", want, want))
    assert sentence.startswith(
        "router payments/a, addresses[1].ip: '198.51.100.65' is also asked for by router payments/a"
    )


def test_more_addresses_than_a_router_can_have() -> None:
    wide = {**PARTNERS, "ranges": ["198.51.100.64/26"]}
    asked(router("a", *[{"pool": "partners"}] * 16), pools=[wide])
    (sentence,) = refused(router("a", *[{"pool": "partners"}] * 17), pools=[wide])
    assert sentence.startswith("router payments/a, addresses") and "16" in sentence, sentence


def test_all_problems_of_list_and_pools_at_once() -> None:
    said = refused(router("a", replicas=0), router("b", {"pool": "x"}, mtu=1), router("c", {"ip": "x"}))
    assert len(said) == 4, said
    said = refused(router("a", replicas=0), router("c", {"ip": "x"}), pools=[{**PARTNERS, "gateway": "x"}])
    assert [line.split(":")[0] for line in said] == [
        "egress_router_pools[0].gateway", "router payments/a, replicas", "router payments/c, addresses[0].ip",
    ]  # fmt: skip


def test_destinations_are_compared_with_the_families_that_the_pools_give() -> None:
    (sentence,) = refused(router("a", fallback_ip="2001:db8:1::1"))
    assert "the router has no IPv6 address" in sentence
    asked(router("a", {"pool": "six"}, fallback_ip="2001:db8:1::1"))


def test_checked_is_not_for_users() -> None:
    with pytest.raises(InputError, match="remove it"):
        option.arguments({"routers": [], "pools": [], "checked": "x"}, read_text)
    assert option.arguments({"pools": []}, read_text) == {"pools": []}, "what is required is the module's to say"
    with pytest.raises(InputError, match="action plugin"):
        option.read({"checked": None})


def test_the_list_is_filled_in_by_router_and_pool() -> None:
    routers = [
        router("a", {"ip": "198.51.100.9/24"}, {"pool": "six"}),
        router("b", mtu=1400),
        "nonsense",
        router("b", namespace="shop"),
        {"name": "c", "addresses": None},
        router("b", {"pool": "others", "ip": "198.51.100.70"}),
    ]
    before = copy.deepcopy(routers)
    addresses = [
        has("a", "2001:db8::50/64", pool="six"),
        has("b", "198.51.100.64/24", gateway="198.51.100.1"),
        has("x", "198.51.100.65/24", namespace="shop"),
    ]
    assert filled(routers, DEFAULTS, by_request(addresses)) == [
        router("a", {"ip": "198.51.100.9/24"}, {"ip": "2001:db8::50/64"}),
        router("b", {"ip": "198.51.100.64/24", "gateway": "198.51.100.1"}, mtu=1400),
        *routers[2:],
    ]
    assert routers == before


def has(name: str, ip: str, number: int = 1, **more: str) -> dict[str, Any]:
    """As the module's result has it."""
    return {
        "namespace": "payments", "name": name, "pool": "partners", "number": number, "ip": ip, "gateway": "", **more,
    }  # fmt: skip


def test_several_addresses_of_one_pool_are_filled_in_in_their_order() -> None:
    fixed, any_one, named = {"ip": "198.51.100.9/24"}, {"pool": "partners"}, {"pool": "partners", "ip": "198.51.100.64"}
    addresses = by_request(
        [has("a", "198.51.100.64/24", 2), has("a", "198.51.100.66/24"), has("a", "198.51.100.65/24", 3)]
    )

    def of(*asked: Any) -> list[int]:
        (found,) = filled([router("a", *asked)], DEFAULTS, addresses)
        return [int(one["ip"].partition("/")[0].rpartition(".")[2]) for one in found["addresses"] if "pool" not in one]

    assert of(any_one, fixed, any_one, any_one) == [66, 9, 64, 65]
    assert of(any_one) == [66], "the first, although another is lower"
    assert of(any_one, any_one) == [66, 64]
    assert of(named, any_one) == [64, 66] and of(any_one, named) == [66, 64]
    assert of(*[any_one] * 4) == [66, 64, 65], "the fourth has none"


@pytest.mark.parametrize("data", [None, "text", 5, {"name": "a"}, []])
def test_what_is_no_list_is_left_to_the_reader(data: Any) -> None:
    assert filled(data, None, by_request([has("a", "198.51.100.64/24")])) == data


def test_the_result_has_the_list_of_the_task() -> None:
    result = option.with_addresses(
        {"addresses": [has("a", "198.51.100.64/24")]}, {"routers": [router("a")], "defaults": DEFAULTS}
    )
    assert result["routers"] == [router("a", {"ip": "198.51.100.64/24"})]
    assert option.with_addresses({"failed": True}, {"routers": []}) == {"failed": True}


def test_a_request_that_nobody_has_filled_in() -> None:
    (problem,) = load([router("a")], DEFAULTS)[1]
    assert str(problem).startswith("router payments/a, addresses[0].pool: no address of pool 'partners' is allocated")
    assert load([router("a", state="absent")], DEFAULTS)[1] == []
    assert load([router("a")], DEFAULTS, True)[0][0].addresses == ()


def test_the_document_is_json() -> None:
    json.dumps(option.arguments({"routers": [router("a")], "defaults": DEFAULTS, "pools": [PARTNERS]}, read_text))


def test_the_documentation_is_the_specification() -> None:
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    found = {
        name: {
            **{key: value for key, value in one.items() if key not in ("description", "suboptions")},
            **({"options": {key: without_text(value) for key, value in one["suboptions"].items()}} if "suboptions" in one else {}),
        }
        for name, one in documented.items()
    }  # fmt: skip
    assert found == option.POOLS


def without_text(documented: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in documented.items() if key != "description"}


def test_the_reader_knows_the_keys_of_the_specification() -> None:
    (sentence,) = refused(pools=[{**PARTNERS, "#": 1}])
    assert sentence.split("valid keys are ")[1].split(", ") == sorted(option.POOLS["pools"]["options"])
