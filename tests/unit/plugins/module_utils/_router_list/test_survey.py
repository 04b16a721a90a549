# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers of a survey: texts, with whatever people and browsers put into them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._router_list.survey import read_answers

RULES = [
    {"port": 53, "protocol": "UDP", "destination_ip": "203.0.113.12", "target_port": 53},
    {"port": 8080, "protocol": "TCP", "destination_ip": "203.0.113.11", "target_port": 80, "name": "invoices"},
]


def read(**answers: Any) -> dict[str, Any]:
    found, problems = read_answers({"name": "a", "namespace": "payments", **answers})
    assert problems == [] and found is not None
    assert (found.pop("name"), found.pop("namespace")) == ("a", "payments")
    return found


def refused(**answers: Any) -> list[str]:
    _found, problems = read_answers({"name": "a", "namespace": "payments", **answers})
    return list(map(str, problems))


def test_what_is_not_answered_is_not_changed() -> None:
    assert read() == {"state": None}
    assert read(address="", pool=" ", gateway=None, rules="\r\n", state="") == {"state": None}
    assert read(name=" a\t", namespace=" payments ") == {"state": None}, "blanks around it"
    assert read_answers({}) == read_answers({"name": " ", "state": "present"}) == (None, [])
    assert read_answers({"name": "a"})[0] == {"name": "a", "state": None}, "the namespace may be that of the defaults"


def test_answers_without_a_router() -> None:
    _found, problems = read_answers({"namespace": "payments", "rules": "x", "pool": "y"})
    assert [str(one) for one in problems] == [
        "survey.pool: is answered, and survey.name is not: name the router",
        "survey.rules: is answered, and survey.name is not: name the router",
    ]


def test_state() -> None:
    assert read(state="absent") == {"state": "absent"}
    assert read(state="present") == {"state": None}
    assert refused(state="gone") == ["router payments/a, survey.state: 'gone' is not one of present, absent"]


@pytest.mark.parametrize(
    ("answers", "addresses"),
    [
        ({"address": "198.51.100.50/24"}, [{"ip": "198.51.100.50/24"}]),
        (
            {"address": "198.51.100.50/24", "gateway": "198.51.100.1"},
            [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}],
        ),
        (
            {"address": "2001:db8:51::50/64, 198.51.100.50/24", "gateway": "198.51.100.1 fe80::1"},
            [{"ip": "2001:db8:51::50/64", "gateway": "fe80::1"}, {"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}],
        ),
        (
            {"address": "198.51.100.50/24\r\n198.51.100.51/24", "gateway": "198.51.100.1"},
            [{"ip": f"198.51.100.{host}/24", "gateway": "198.51.100.1"} for host in (50, 51)],
        ),
        ({"pool": "partners"}, [{"pool": "partners"}]),
        ({"pool": "partners", "address": "198.51.100.64"}, [{"pool": "partners", "ip": "198.51.100.64"}]),
        # What is no address is told by the reader of the list, with all else that is wrong with it.
        ({"address": "{{ 1 }}"}, [{"ip": "{{"}, {"ip": "1"}, {"ip": "}}"}]),
    ],
)  # fmt: skip
def test_addresses(answers: dict[str, str], addresses: list[dict[str, str]]) -> None:
    assert read(**answers) == {"state": None, "addresses": addresses}


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"gateway": "198.51.100.1"}, "survey.gateway: is answered, and survey.address is not"),
        ({"pool": "partners", "gateway": "198.51.100.1"}, "survey.gateway: is that of pool partners: leave it empty"),
        ({"address": "2001:db8:51::50/64", "gateway": "198.51.100.1"}, "'198.51.100.1' is of another family"),
    ],
)
def test_gateways_of_nothing(answers: dict[str, str], said: str) -> None:
    (sentence,) = refused(**answers)
    assert sentence.startswith("router payments/a, survey.gateway") and said in sentence


@pytest.mark.parametrize(
    "rules",
    [
        "53 UDP 203.0.113.12\n8080 TCP 203.0.113.11 80 name=invoices",
        "\ufeff53\tudp  203.0.113.12\r\n\r\n  8080 tcp 203.0.113.11 80 name=invoices \r\n",
        "# invoices\n8080 TCP 203.0.113.11 80 name=invoices # since May\n53 UDP 203.0.113.12",
    ],
    ids=["plain", "tabs, CRLF, blanks", "comments, another order"],
)
def test_rules(rules: str) -> None:
    assert read(rules=rules) == {"state": None, "redirect_rules": RULES, "fallback_ip": None}


def test_a_fallback() -> None:
    assert read(rules="fallback 203.0.113.99") == {"state": None, "redirect_rules": [], "fallback_ip": "203.0.113.99"}


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("53 UDP", "line 1 '53 UDP': a rule is PORT PROTOCOL DESTINATION_IP"),
        ("'53' UDP 203.0.113.12", "line 1 ''53' UDP 203.0.113.12': port"),
        ("{{ lookup('env', 'HOME') }}", "line 1 '{{ lookup("),
        ("53 UDP 203.0.113.12\n53 UDP 203.0.113.13", "line 2 '53 UDP 203.0.113.13': port 53/UDP is redirected on line 1"),
        ("\n".join(f"{port} TCP 203.0.113.1" for port in range(1, 10_001)), "10000 rules are more than the 5000"),
    ],
)  # fmt: skip
def test_rules_that_are_none(rules: str, said: str) -> None:
    (sentence, *_more) = refused(rules=rules)
    assert sentence.startswith("router payments/a, survey.rules: ") and said in sentence, sentence
