# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scripts of the former images accept and refuse, case by case as their own tests have it, and what else they were seen to do."""

from __future__ import annotations

import pytest

from ansible_collections.egress.router.plugins.module_utils._migrate.destinations import (
    Destinations,
    http_rules,
    proxied,
    redirects,
)

ANY = "10.1.2.3"
HTTP = "80 tcp 10.4.5.6"
PORTS = "8080 tcp 10.7.8.9 80"
COMMENTED = f"""
# a comment

{HTTP}
  # 90 tcp 10.1.1.1
   {PORTS}

{ANY}
# the end"""


def lines(found: Destinations) -> list[str]:
    return [rule.line() for _number, rule in found.rules] + (
        [f"fallback {found.fallback_ip}"] if found.fallback_ip else []
    )


@pytest.mark.parametrize(("text", "rules"), [
    (ANY, [f"fallback {ANY}"]),
    (f"{ANY}\n", [f"fallback {ANY}"]),
    (HTTP, ["80 TCP 10.4.5.6"]),
    (PORTS, ["8080 TCP 10.7.8.9 80"]),
    (f"{HTTP}\n{PORTS}", ["80 TCP 10.4.5.6", "8080 TCP 10.7.8.9 80"]),
    (f"{HTTP}\n{PORTS}\n{ANY}", ["80 TCP 10.4.5.6", "8080 TCP 10.7.8.9 80", f"fallback {ANY}"]),
    (COMMENTED, ["80 TCP 10.4.5.6", "8080 TCP 10.7.8.9 80", f"fallback {ANY}"]),
    ("80   tcp    10.4.5.6   8080", ["80 TCP 10.4.5.6 8080"]),
    ("53 udp 10.4.5.6  ", ["53 UDP 10.4.5.6"]),
    ("\t80 tcp 10.4.5.6\t", ["80 TCP 10.4.5.6"]),
    ("65535 tcp 10.4.5.6 1", ["65535 TCP 10.4.5.6 1"]),
    ("# only comments", []),
    ("\r\n# and an end of a line\n", []),
])  # fmt: skip
def test_what_the_redirect_image_accepts(text: str, rules: list[str]) -> None:
    found = redirects(text)
    assert lines(found) == rules
    assert not found.errors and not found.lost and not found.oddities


@pytest.mark.parametrize(("text", "line", "message"), [
    ("not an IP address", 1, "'not an IP address' is invalid: write PORT, tcp or udp, and an IPv4 address"),
    (f"{HTTP}\ninvalid\n{PORTS}", 2, "'invalid' is invalid: write PORT"),
    ("80 sctp 10.4.5.6", 1, "'80 sctp 10.4.5.6' is invalid: the image takes tcp and udp alone"),
    (f"{ANY}\n{HTTP}", 2, f"'{HTTP}' follows the fallback IP of line 1, which must be the last line"),
    (f"{ANY}\n10.4.5.6", 2, "'10.4.5.6' follows the fallback IP of line 1"),
    (f"{HTTP}\n{ANY}\n{PORTS}", 3, f"'{PORTS}' follows the fallback IP of line 2"),
    ("800000 tcp 10.4.5.6", 1, "port 800000 must be in the range 1 to 65535"),
    ("0 tcp 10.4.5.6", 1, "port 0 must be in the range 1 to 65535"),
    ("80 tcp 10.4.5.6 65536", 1, "port 65536 must be in the range 1 to 65535"),
    (f"{HTTP}\n80 tcp 10.7.8.9 90", 2, "port 80 is that of line 1 already"),
    (f"{HTTP}\n\n80 udp 10.4.5.6", 3, "port 80 is that of line 1 already, and the image takes a port once, whatever the protocol"),
    ("80\ttcp\t10.4.5.6", 1, "it has a tab: separate the words by spaces"),
    ("80 TCP 10.4.5.6", 1, "the protocol is written in lower case: write tcp"),
    ("80 tcp 10.4.5.0/24", 1, "networks are not supported"),
    ("10.4.5.0/24", 1, "networks are not supported"),
    ("80 tcp example.com", 1, "host names are not supported"),
    ("80-90 tcp 10.4.5.6", 1, "ranges of ports are not supported"),
    ("80 tcp 2001:db8::1", 1, "the image takes IPv4 alone"),
    ("80 tcp 10.4.5.6 # web", 1, "a comment needs a line of its own"),
    ("80 tcp 10.4.5.6\r", 1, "it ends with a carriage return"),
    ("80 10.4.5.6", 1, "write PORT, tcp or udp"),
    ("80 tcp 999.4.5.6", 1, "destination_ip '999.4.5.6' is not an IP address"),
    ("80 tcp 127.0.0.1", 1, "destination_ip '127.0.0.1' is not the address of a remote server"),
    ("10.1.2.300", 1, "'10.1.2.300' is not an IP address"),
    ("x" * 300, 1, f"'{'x' * 100}...' is invalid"),
])  # fmt: skip
def test_what_the_redirect_image_refuses(text: str, line: int, message: str) -> None:
    errors = redirects(text).errors
    assert [error.line for error in errors] == [line]
    assert message in errors[0].message and ": " in errors[0].message


def test_all_wrong_lines_are_told_and_the_right_ones_are_read() -> None:
    found = redirects(f"{HTTP}\n80 udp 10.4.5.6\nnonsense\n{ANY}\n{PORTS}\n0 tcp 10.4.5.6 70000")
    assert [error.line for error in found.errors] == [2, 3, 5, 6, 6]
    assert lines(found) == ["80 TCP 10.4.5.6", "8080 TCP 10.7.8.9 80", f"fallback {ANY}"]
    assert [number for number, _rule in found.rules] == [1, 5]


@pytest.mark.parametrize(("text", "port"), [("080", 80), ("010", 8), ("0100", 64), ("0089", 89)])
def test_a_leading_zero_is_read_as_nftables_reads_it(text: str, port: int) -> None:
    found = redirects(f"{text} tcp 10.4.5.6")
    assert found.rules[0][1].port == port and not found.errors
    assert [remark.message for remark in found.oddities] == [
        f"port {text} is {port}, as nftables reads a number with a leading zero"
    ]


@pytest.mark.parametrize(("text", "rules"), [
    ("80 11.12.13.14", ["80 TCP 11.12.13.14"]),
    ("80 11.12.13.14\n8080 21.22.23.24 100", ["80 TCP 11.12.13.14", "8080 TCP 21.22.23.24 100"]),
    ("# off\n\n80 11.12.13.14\n# 8080 foo.com 100", ["80 TCP 11.12.13.14"]),
    ("080 11.12.13.14", ["80 TCP 11.12.13.14"]),
])  # fmt: skip
def test_what_the_dns_proxy_accepts(text: str, rules: list[str]) -> None:
    found = proxied(text)
    assert lines(found) == rules and not found.errors and not found.lost


def test_host_names_of_the_dns_proxy_are_lost() -> None:
    found = proxied("80 example.com\n81 11.12.13.14\n8080 foo.example.com 100")
    assert lines(found) == ["81 TCP 11.12.13.14"] and not found.errors
    assert [remark.line for remark in found.lost] == [1, 3]
    assert "add {port: 8080, destination_ip: ADDRESS, target_port: 100} to redirect_rules" in found.lost[1].message


@pytest.mark.parametrize(("text", "line", "message"), [
    ("invalid", 1, "'invalid' is invalid: write PORT and an IPv4 address or a host name with a dot"),
    ("80 11.12.13.14\n8080 invalid", 2, "'8080 invalid' is invalid"),
    ("80 tcp 11.12.13.14", 1, "is invalid"),
    ("80 foo_bar.com", 1, "is invalid"),
    ("80 2001:db8::1", 1, "is invalid"),
    ("80\t11.12.13.14", 1, "is invalid"),
    ("99999 11.12.13.14", 1, "port 99999 must be in the range 1 to 65535"),
    ("80 11.12.13.14 88888", 1, "port 88888 must be in the range 1 to 65535"),
    ("80 example.com 88888", 1, "port 88888 must be in the range 1 to 65535"),
    ("80 11.12.13.14\n80 example.com", 2, "port 80 is that of line 1 already"),
    ("80 example.com\n80 11.12.13.14", 2, "port 80 is that of line 1 already"),
])  # fmt: skip
def test_what_the_dns_proxy_refuses(text: str, line: int, message: str) -> None:
    errors = proxied(text).errors
    assert [error.line for error in errors] == [line]
    assert message in errors[0].message


def test_rules_of_the_http_proxy_are_those_that_count() -> None:
    text = "\n# Ours\n!*.bad.example.com\n *.example.com\nfe80::/10\n*\n"
    assert http_rules(text) == ["!*.bad.example.com", "*.example.com", "fe80::/10", "*"]
