# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules' text, value and hash; conformance with OpenShift's former redirect image where the grammar is shared."""

from __future__ import annotations

import hashlib
import random
import re

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.rules import (
    RULES_LIMIT,
    RulesError,
    make_rule,
    not_remote,
    parse,
    rule_set,
)

RULES = "80 TCP 10.4.5.6\n8080 TCP 10.7.8.9 80\nfallback 10.1.2.3\n"

# EGRESS_DESTINATION as egress/router/egress_router_test.go of openshift/images tests it: where the grammar is shared,
# the same lines mean the same. Differences: the fallback may have a word and then stand anywhere, a port may have a rule for
# each protocol, SCTP and IPv6 exist; upper case, tabs, comments behind a rule and line ends of Windows are read.
SHARED = [
    ("80 tcp 10.4.5.6", ["80 TCP 10.4.5.6"]),
    ("8080 tcp 10.7.8.9 80", ["8080 TCP 10.7.8.9 80"]),
    ("80 tcp 10.4.5.6\n8080 tcp 10.7.8.9 80", ["80 TCP 10.4.5.6", "8080 TCP 10.7.8.9 80"]),
    ("# a comment\n80 tcp 10.4.5.6\n\n#90 tcp 10.4.5.6\n  8080   tcp 10.7.8.9 80\n",
     ["80 TCP 10.4.5.6", "8080 TCP 10.7.8.9 80"]),
    ("80 tcp 10.4.5.6\n8080 tcp 10.7.8.9 80\n10.1.2.3\n\n# the end\n",
     ["80 TCP 10.4.5.6", "8080 TCP 10.7.8.9 80", "fallback 10.1.2.3"]),
    ("10.1.2.3", ["fallback 10.1.2.3"]),
    ("", []),
    ("# only a comment", []),
]  # fmt: skip
REFUSED = [
    ("not an IP address", "line 1 'not an IP address': port 'not' is not a whole number"),
    ("80 tcp 10.4.5.6\ninvalid\n8080 tcp 10.7.8.9", "line 2 'invalid'"),
    ("800000 tcp 10.4.5.6", "port '800000' is not a whole number from 1 to 65535"),
    (
        "80 tcp 10.4.5.6\n80 tcp 10.7.8.9",
        "line 2 '80 tcp 10.7.8.9': port 80/TCP is redirected on line 1 already, to 10.4.5.6: keep one of the two",
    ),
    (
        "10.1.2.3\n80 tcp 10.4.5.6",
        "line 1 '10.1.2.3': an address alone is the fallback, on the last line: write fallback 10.1.2.3",
    ),
    ("10.1.2.3\n10.1.2.4", "line 1 '10.1.2.3': an address alone is the fallback, on the last line"),
    ("80 tcp 10.4.5.6\n10.1.2.3\n8080 tcp 10.7.8.9 80", "line 2 '10.1.2.3': an address alone is the fallback"),
    ("80 tcp 10.4.5.0/24", "destination_ip '10.4.5.0/24' is not an IP address"),
    ("80-90 tcp 10.4.5.6", "port '80-90'"),
]
# Whatever people's editors, spreadsheets and web pages make of the same lines. Each is read as these two.
MEANT = ["80 TCP 10.4.5.6 name=web", "fallback 10.1.2.3"]
FORMS = {
    "a byte-order mark": "\ufeff80 TCP 10.4.5.6 name=web\nfallback 10.1.2.3\n",
    "files put together, each with its mark": "\ufeff# a\n\ufeff80 TCP 10.4.5.6 name=web\n\ufefffallback 10.1.2.3",
    "line ends of Windows": "# the web\r\n80 TCP 10.4.5.6 name=web\r\n\r\nfallback 10.1.2.3\r\n",
    "line ends of old Macs": "80 TCP 10.4.5.6 name=web\rfallback 10.1.2.3\r",
    "tabs": "\t80\tTCP\t\t10.4.5.6 \tname=web\t\nfallback\t10.1.2.3\n",
    "spaces of a web page": "80\u00a0TCP\u00a010.4.5.6\u00a0name=web\nfallback\u00a010.1.2.3",
    "a comment behind a rule": "80 TCP 10.4.5.6 name=web # the web\nfallback 10.1.2.3\t#the rest",
    "an empty comment": "80 TCP 10.4.5.6 name=web #\nfallback 10.1.2.3 # # #",
    "an address alone": "80 TCP 10.4.5.6 name=web\n10.1.2.3",
    "an address alone, and comments": "80 TCP 10.4.5.6 name=web\n10.1.2.3 # the rest\n# the end\n\n",
    "another case": "80 tcp 10.4.5.6 name=web\nFallback 10.1.2.3",
    "upper case": "80 Tcp 10.4.5.6 name=web\nFALLBACK 10.1.2.3",
    "the fallback first": "FALLBACK 10.1.2.3\n80 TCP 10.4.5.6 name=web",
}
# What has two meanings is not guessed: the line, what is wrong, what to write.
TOLD = {
    "the same line twice": (
        "53 UDP 10.4.5.6\n\n53 udp 10.4.5.6 53 # again",
        "line 3 '53 udp 10.4.5.6 53': is the same rule as line 1: remove one of the two"),
    "the same line three times": (
        "53 UDP 10.4.5.6\n53 UDP 10.4.5.6\n53 UDP 10.4.5.6",
        "line 2 '53 UDP 10.4.5.6': is the same rule as line 1: remove one of the two; "
        "line 3 '53 UDP 10.4.5.6': is the same rule as line 1: remove one of the two"),
    "another port of the same server": (
        "53 UDP 10.4.5.6\n53 UDP 10.4.5.6 5353",
        "line 2 '53 UDP 10.4.5.6 5353': port 53/UDP is redirected on line 1 already, to 10.4.5.6: keep one of the two"),
    "the port of the server that came first": (
        "53 UDP 10.4.5.6 5353\n53 UDP 10.4.5.6",
        "line 2 '53 UDP 10.4.5.6': port 53/UDP is redirected on line 1 already, to 10.4.5.6 port 5353: keep one of the two"),
    "another name": (
        "53 UDP 10.4.5.6\n53 UDP 10.4.5.6 name=dns",
        "line 2 '53 UDP 10.4.5.6 name=dns': port 53/UDP is redirected on line 1 already, to 10.4.5.6: keep one of the two"),
    "the fallback twice": (
        "Fallback 10.1.2.3\n10.1.2.4", "line 2 '10.1.2.4': there is a fallback already: keep one of the two"),
    "an address alone that is no server": (
        "127.0.0.1", "line 1 '127.0.0.1': fallback_ip '127.0.0.1' is not the address of a remote server: it is a loopback address"),
    "a fallback with a port": (
        "fallback 10.1.2.3 80", "line 1 'fallback 10.1.2.3 80': a fallback is the word fallback and one IP address"),
    "a number sign within a word": (
        "80 TCP 10.4.5.6#web", "line 1 '80 TCP 10.4.5.6#web': destination_ip '10.4.5.6#web' is not an IP address "
        "(host names and networks are not supported)"),
    "what cannot be seen": (
        "\u200b80 TCP 10.4.5.6", r"line 1 '\u200b80 TCP 10.4.5.6': port '\u200b80' is not a whole number from 1 to 65535"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "lines"), SHARED)
def test_lines_of_the_former_image(text: str, lines: list[str]) -> None:
    assert parse(text).lines() == lines


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_lines_that_it_refused_are_refused(text: str, said: str) -> None:
    with pytest.raises(RulesError, match=re.escape(said)):
        parse(text)


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_text(form: str) -> None:
    found = parse(FORMS[form])
    assert found.lines() == MEANT
    assert parse(found.text()) == found


@pytest.mark.parametrize("form", TOLD)
def test_what_is_not_guessed(form: str) -> None:
    text, said = TOLD[form]
    assert _problems(text) == said


def test_a_list_of_rules_says_it_without_lines() -> None:
    for second, said in (
        (make_rule(53, "UDP", "10.4.5.6"), "port 53/UDP is redirected twice to 10.4.5.6: keep one of the two rules"),
        (make_rule(53, "UDP", "10.4.5.6", 5353),
         "port 53/UDP is redirected twice, to 10.4.5.6 and to 10.4.5.6 port 5353: keep one of the two rules"),
    ):  # fmt: skip
        with pytest.raises(RulesError, match=f"^{re.escape(said)}$"):
            rule_set([make_rule(53, "UDP", "10.4.5.6"), second])


def test_fallback() -> None:
    assert parse("fallback 10.1.2.3\n80 TCP 10.4.5.6").lines() == ["80 TCP 10.4.5.6", "fallback 10.1.2.3"]
    with pytest.raises(RulesError, match=r"line 2 'fallback 10\.1\.2\.4': there is a fallback already"):
        parse("fallback 10.1.2.3\nfallback 10.1.2.4")
    with pytest.raises(RulesError, match="a fallback is the word fallback and one IP address"):
        parse("fallback")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "reserved"),
        ("0.1.2.3", "reserved"),
        ("::", "reserved"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("::ffff:203.0.113.11", "write the IPv4 address"),
        ("::ffff:cb00:710b", "write the IPv4 address"),
        ("::1.2.3.4", "write the IPv4 address"),
        ("2001:db8::1%net1", "write it as 2001:db8::1"),
        ("fe80::1%net1", "link-local"),
    ],
)
def test_what_is_no_remote_server_is_refused(address: str, reason: str) -> None:
    for line in (f"80 TCP {address}", f"fallback {address}"):
        with pytest.raises(RulesError, match=re.escape(reason)):
            parse(line)


@pytest.mark.parametrize("address", ["1.0.0.1", "10.1.2.3", "223.255.255.255", "64:ff9b::203.0.113.11", "fd00::1"])
def test_other_addresses_are_servers(address: str) -> None:
    assert parse(f"80 TCP {address}").rules


@pytest.mark.parametrize(
    ("destination", "address", "gateway", "reason"),
    [
        ("198.51.100.50", "198.51.100.50/24", "198.51.100.1", "is the router itself"),
        ("198.51.100.0", "198.51.100.50/24", "198.51.100.1", "is the address of the router's own segment"),
        ("198.51.100.255", "198.51.100.50/24", "198.51.100.1", "is the broadcast address of the router's own segment"),
        ("2001:db8:51::", "2001:db8:51::50/64", "", "is the address of the router's own segment"),
        ("2001:db8:51:0:ffff:ffff:ffff:ffff", "2001:db8:51::50/64", "", ""),
        ("198.51.100.51", "198.51.100.50/31", "", ""),
        ("198.51.101.0", "198.51.100.50/24", "198.51.100.1", ""),
        ("198.51.101.1", "198.51.100.50/24", "", "is outside 198.51.100.0/24"),
        ("198.51.100.51", "198.51.100.50/24", "", ""),
    ],
)
def test_what_the_routers_own_segment_does_not_lead_to(
    destination: str, address: str, gateway: str, reason: str
) -> None:
    found = not_remote(destination, address, gateway)
    assert found.startswith(reason) and bool(found) == bool(reason)


def test_more_rules_than_a_router_takes() -> None:
    text = "".join(f"{port} TCP 203.0.113.10\n" for port in range(1, RULES_LIMIT + 1)) + "fallback 203.0.113.99\n"
    assert len(parse(text).rules) == RULES_LIMIT
    assert len(parse(text.replace("fallback ", "")).rules) == RULES_LIMIT
    with pytest.raises(RulesError, match=r"^5001 rules are more than the 5000 that a router takes: spread them over"):
        parse(text + "9999 UDP 203.0.113.10\n")


def test_a_megabyte_of_anything_has_a_few_short_problems() -> None:
    for text in ("x" * 2**20, "x\n" * RULES_LIMIT, ("x" * 200 + "\n") * RULES_LIMIT, "x\n" * 2**19):
        with pytest.raises(RulesError) as error:
            parse(text)
        assert len(error.value.problems) <= 21 and len(str(error.value)) < 10_000
    assert "and 4980 more problems" in _problems("x\n" * RULES_LIMIT)


def _problems(text: str) -> str:
    with pytest.raises(RulesError) as error:
        parse(text)
    return str(error.value)


def test_every_problem_with_its_line() -> None:
    with pytest.raises(RulesError) as error:
        parse("0 TCP x\n80 TCP 10.4.5.6\n80 TCP 10.4.5.6\nfallback y")
    assert [problem.split(":")[0] for problem in error.value.problems] == [
        "line 1 '0 TCP x'",
        "line 1 '0 TCP x'",
        "line 3 '80 TCP 10.4.5.6'",
        "line 4 'fallback y'",
    ]


def test_text_and_value_are_the_same_thing() -> None:
    chance = random.Random(1)
    for _round in range(200):
        rules = {
            rule.key: rule
            for rule in (
                make_rule(
                    chance.randint(1, 65535), chance.choice(["tcp", "UDP", "SCTP"]),
                    chance.choice(["203.0.113.7", "2001:DB8::7"]), chance.choice([None, 80, "443"]),
                    chance.choice(["", "web", "a-1"]),
                )
                for _rule in range(20)
            )
        }  # fmt: skip
        rules_and_fallback = rule_set(rules.values(), chance.choice(["", "203.0.113.99"]))
        assert parse(rules_and_fallback.text()) == rules_and_fallback


def test_the_hash_is_of_what_the_kernel_does() -> None:
    found = parse(RULES).hash()
    assert parse("fallback 10.1.2.3\n8080 TCP 10.7.8.9 80 name=web\n80 TCP 10.4.5.6 80\n").hash() == found
    assert parse(RULES.replace("10.7.8.9", "10.7.8.8")).hash() != found
    assert parse(RULES.replace("fallback 10.1.2.3\n", "")).hash() != found


def test_merged() -> None:
    rules = parse(RULES)
    assert rules.merged(parse("80 TCP 10.9.9.9\n53 UDP 10.4.5.6")).lines() == [
        "53 UDP 10.4.5.6", "80 TCP 10.9.9.9", "8080 TCP 10.7.8.9 80", "fallback 10.1.2.3",
    ]  # fmt: skip


def test_the_hash_tells_target_ports_apart() -> None:
    text = "5432 TCP 203.0.113.10 {}\n"
    assert len({parse(text.format(port)).hash() for port in ("", 5433, 5434)}) == 3


def test_a_rule_that_leaves_from_an_address_of_its_own() -> None:
    found = parse("80 tcp 203.0.113.10 8080 source=198.51.100.51 name=web\n53 UDP 2001:db8::53 source=2001:db8:0::51\n")
    assert found.lines() == [
        "53 UDP 2001:db8::53 source=2001:db8::51",
        "80 TCP 203.0.113.10 8080 source=198.51.100.51 name=web",
    ]
    assert parse(found.text()) == found
    assert found.rules[1].as_dict()["source_ip"] == "198.51.100.51"
    # What leaves from elsewhere is another rule to the kernel, and without a source it is what it always was.
    plain = parse("80 TCP 203.0.113.10")
    assert "source_ip" not in plain.rules[0].as_dict()
    assert plain.hash() == hashlib.sha256(b"80 TCP 203.0.113.10\nfallback ").hexdigest()
    assert (
        len(
            {
                parse(f"80 TCP 203.0.113.10{source}").hash()
                for source in ("", " source=198.51.100.50", " source=198.51.100.51")
            }
        )
        == 3
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("80 TCP 203.0.113.10 source=", ""),
        ("80 TCP 203.0.113.10 source=here", "source_ip 'here' is not an IP address (host names and networks are not supported)"),
        ("80 TCP 203.0.113.10 source=169.254.1.1", "source_ip '169.254.1.1' is link-local, which no server beyond the segment"),
        ("80 TCP 203.0.113.10 source=2001:db8::1", "source_ip '2001:db8::1' is IPv6 and the destination is IPv4: set an address"),
        ("80 TCP 203.0.113.10 80 name=a source=198.51.100.51", "a rule is PORT PROTOCOL DESTINATION_IP [TARGET_PORT] [source=SOURCE_IP]"),
    ],
)  # fmt: skip
def test_sources_that_are_none(line: str, said: str) -> None:
    if said:
        assert said in _problems(line)
    else:
        assert parse(line).lines() == ["80 TCP 203.0.113.10"]
