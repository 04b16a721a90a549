# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The destinations that the images of the former OpenShift SDN take, line by line, as their scripts read them.

`EGRESS_DESTINATION` of the redirect image::

    # blank lines and comments
    PORT tcp|udp IPV4 [TARGET_PORT]
    IPV4                                the fallback, last

`EGRESS_DNS_PROXY_DESTINATION` of the DNS proxy, which forwards TCP::

    PORT IPV4|HOST_NAME [TARGET_PORT]

The scripts stop at the first wrong line. Here all of them are told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .._contract.rules import FieldsError, Rule, make_fallback, make_rule

_IPV4 = r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+"
_RULE = re.compile(rf"([0-9]+) +(tcp|udp) +({_IPV4})(?: +([0-9]+))?\Z")
_FALLBACK = re.compile(rf"{_IPV4}\Z")
# A name has a dot in it and no underscore.
_PROXY = re.compile(rf"([0-9]+) +(?:({_IPV4})|([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+))(?: +([0-9]+))?\Z")
_QUOTE_LIMIT = 100


@dataclass(frozen=True)
class Remark:
    """Something to say of a line."""

    line: int
    message: str


@dataclass
class Destinations:
    """What the lines say. `rules` have the number of their line."""

    rules: list[tuple[int, Rule]] = field(default_factory=list)
    fallback_ip: str = ""
    # Lines for which the old router does not start.
    errors: list[Remark] = field(default_factory=list)
    # Lines that have no place in a list of routers.
    lost: list[Remark] = field(default_factory=list)
    # Lines that mean something else than what they look like.
    oddities: list[Remark] = field(default_factory=list)


def redirects(text: str) -> Destinations:
    """The rules and the fallback of `EGRESS_DESTINATION`."""
    found = Destinations()
    used: dict[int, int] = {}
    fallback_line, misplaced = 0, False
    for number, line in _effective(text):
        if fallback_line and not misplaced:
            misplaced = True
            message = f"'{_quoted(line)}' follows the fallback IP of line {fallback_line}, which must be the last line: move that to the end"
            found.errors.append(Remark(number, message))
        match = _RULE.match(line)
        if _FALLBACK.match(line):
            fallback_line = number
            _take_fallback(found, number, line)
        elif match is None:
            found.errors.append(Remark(number, f"'{_quoted(line)}' is invalid: {_why(line)}"))
        else:
            port, protocol, destination, target = match.groups()
            _take_rule(found, used, number, (_as_nft(port), protocol, destination, target and _as_nft(target)))
            found.oddities += [
                Remark(number, f"port {text} is {_as_nft(text)}, as nftables reads a number with a leading zero")
                for text in (port, target)
                if text and text.startswith("0")
            ]
    return found


def proxied(text: str) -> Destinations:
    """The rules of `EGRESS_DNS_PROXY_DESTINATION`. A host name is no destination of a rule."""
    found = Destinations()
    used: dict[int, int] = {}
    for number, line in _effective(text):
        match = _PROXY.match(line)
        if match is None:
            message = f"'{_quoted(line)}' is invalid: write PORT and an IPv4 address or a host name with a dot, then perhaps a target port"
            found.errors.append(Remark(number, message))
            continue
        port, destination, name, target = match.groups()
        # An address in place of a name: what else is wrong is told all the same.
        _take_rule(found, used, number, (int(port), "tcp", destination or "192.0.2.1", target and int(target)))
        if name and found.rules and found.rules[-1][0] == number:
            rule = found.rules.pop()[1]
            message = (
                f"'{_quoted(line)}' has a host name, and rules have IP addresses: look {name} up, and add "
                f"{{port: {rule.port}, destination_ip: ADDRESS{_target(rule)}}} to redirect_rules if its address does not change"
            )
            found.lost.append(Remark(number, message))
    return found


def http_rules(text: str) -> list[str]:
    """The lines of `EGRESS_HTTP_PROXY_DESTINATION` that are neither blank nor comments."""
    return [line for _number, line in _effective(text)]


def _effective(text: str) -> Iterator[tuple[int, str]]:
    """The lines that count, each with its number, as the shell's `read` leaves them."""
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip(" \t")
        if line.strip() and not line.startswith("#"):
            yield number, line


def _take_fallback(found: Destinations, number: int, line: str) -> None:
    try:
        found.fallback_ip = make_fallback(line)
    except FieldsError as error:
        found.errors += [Remark(number, f"{message}: correct the address") for _field, message in error.fields]


def _take_rule(
    found: Destinations, used: dict[int, int], number: int, words: tuple[int, str, str, int | str | None]
) -> None:
    port, protocol, destination, target = words
    ports = [port] if target in (None, "") else [port, target]
    wrong = [value for value in ports if not 1 <= int(value or 0) <= 65535]
    found.errors += [
        Remark(number, f"port {_quoted(value)} must be in the range 1 to 65535: correct it") for value in wrong
    ]
    if wrong:
        return
    if port in used:
        message = (
            f"port {port} is that of line {used[port]} already, and the image takes a port once, whatever the protocol: remove "
            "one of the two, or add it to the list afterwards if it is of the other protocol"
        )
        found.errors.append(Remark(number, message))
        return
    used[port] = number
    try:
        found.rules.append((number, make_rule(port, protocol, destination, target)))
    except FieldsError as error:
        found.errors += [Remark(number, f"{field} {message}: correct it") for field, message in error.fields]


def _as_nft(text: str) -> int:
    """A number as nftables reads it: octal after a zero, unless it has an 8 or 9."""
    return int(text, 8) if re.match(r"0[0-7]+\Z", text) else int(text)


def _target(rule: Rule) -> str:
    return f", target_port: {rule.target_port}" if rule.target_port != rule.port else ""


def _why(line: str) -> str:
    """What the script does not like about a line, and what to do about it."""
    words = line.split()
    protocol = words[1] if len(words) in (3, 4) and words[0][0].isdecimal() else ""
    destination = words[2] if protocol else line
    reasons = (
        ("\r" in line, "it ends with a carriage return: save the text with line feeds alone"),
        ("\t" in line, "it has a tab: separate the words by spaces"),
        ("#" in line, "a comment needs a line of its own: move it there"),
        (protocol.lower() == "sctp", "the image takes tcp and udp alone: remove the line, and add the rule to the list afterwards"),
        (protocol != protocol.lower(), f"the protocol is written in lower case: write {protocol.lower()}"),
        (bool(protocol) and re.match(r"[0-9]+[-:][0-9]+\Z", words[0]) is not None, "ranges of ports are not supported: write a line for each port"),
        ("/" in destination, "networks are not supported: write the address of one server"),
        (":" in destination, "the image takes IPv4 alone: remove the line, and add the rule to the list afterwards"),
        (bool(protocol) and re.search(r"[A-Za-z]", destination) is not None, "host names are not supported: write the server's address"),
    )  # fmt: skip
    usual = "write PORT, tcp or udp, and an IPv4 address, then perhaps a target port; or a lone IPv4 address as the fallback"
    return next((reason for applies, reason in reasons if applies), usual)


def _quoted(value: object) -> str:
    text = str(value)
    return text if len(text) <= _QUOTE_LIMIT else f"{text[:_QUOTE_LIMIT]}..."
