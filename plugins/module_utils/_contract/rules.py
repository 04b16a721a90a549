# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Redirect rules: the value, its text in the ConfigMap, and its hash.

The text has one rule a line; blank lines and what follows a `#` are skipped::

    PORT PROTOCOL DESTINATION_IP [TARGET_PORT] [source=SOURCE_IP] [name=NAME]
    fallback DESTINATION_IP

    5432 TCP 203.0.113.10
    8080 TCP 203.0.113.11 80 name=web
    53 UDP 2001:db8::53
    1414 TCP 203.0.113.12 source=198.51.100.51
    fallback 203.0.113.99

The line form follows the `EGRESS_DESTINATION` of OpenShift's former redirect image, because people know it and because
it is short. As there, an address alone on the last line is the fallback. A router takes RULES_LIMIT rules, far less than a ConfigMap holds.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias

IPAddress: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
IPNetwork: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

# Of one router. What the agent needs for so many rules fits into the pod's default memory limit, whoever asks for metrics.
RULES_LIMIT = 5000
# How many problems are told, and how much of a text is quoted: a text may be a megabyte of anything.
_PROBLEMS_LIMIT = 20
_QUOTE_LIMIT = 100

PROTOCOLS = ("TCP", "UDP", "SCTP")
# RFC 1123 label, as for names of Kubernetes objects.
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")

# What no router can redirect to, and why.
_NO_SERVERS = [
    ([ipaddress.ip_network(text) for text in networks.split()], reason)
    for networks, reason in (
        ("127.0.0.0/8 ::1/128", "it is a loopback address"),
        ("0.0.0.0/8 240.0.0.0/4 ::/128", "it is in a reserved range"),
        ("224.0.0.0/4 ff00::/8", "it is a multicast address"),
        ("169.254.0.0/16 fe80::/10", "it is link-local"),
        # Mapped and compatible addresses (RFC 4291, 2.5.5) are never on the wire.
        ("::ffff:0:0/96 ::/96", "it is an IPv4 address in IPv6 form; write the IPv4 address"),
    )
]

# A comment ends a line. In a word, # means nothing.
_COMMENT = re.compile(r"(?:^|\s)#.*")

_HEADER = "# PORT PROTOCOL DESTINATION_IP [TARGET_PORT] [source=SOURCE_IP] [name=NAME], or: fallback DESTINATION_IP\n"


class RulesError(ValueError):
    """The rules cannot be used. `problems` has one sentence for each reason; of very many, the first and their number."""

    def __init__(self, problems: list[str]) -> None:
        if len(problems) > _PROBLEMS_LIMIT:
            problems = [*problems[:_PROBLEMS_LIMIT], f"and {len(problems) - _PROBLEMS_LIMIT} more problems"]
        super().__init__("; ".join(problems))
        self.problems = problems


class FieldsError(RulesError):
    """A rule or fallback cannot be used. `fields` has what is wrong, each time with the name of the field."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        super().__init__([f"{field} {message}" for field, message in fields])
        self.fields = fields


class Rule(NamedTuple):
    """One redirect: what reaches the router on `protocol`/`port` goes to `destination_ip`:`target_port`.

    `destination_ip` is in its canonical spelling, `protocol` upper case, `target_port` always set.
    `name` is for people: it appears in metrics and listings and changes nothing in the kernel. `source_ip`: the router's address
    that connections leave from, in its canonical spelling; empty leaves it to the router.
    """

    port: int
    protocol: str
    family: int
    destination_ip: str
    target_port: int
    name: str = ""
    source_ip: str = ""

    @property
    def key(self) -> tuple[int, str, int]:
        """What may occur once in a router: family, protocol, port."""
        return (self.family, self.protocol, self.port)

    def line(self, with_name: bool = True) -> str:
        """The rule as a line of the ConfigMap's text, without the line's end."""
        words = [str(self.port), self.protocol, self.destination_ip]
        if self.target_port != self.port:
            words.append(str(self.target_port))
        if self.source_ip:
            words.append(f"source={self.source_ip}")
        if self.name and with_name:
            words.append(f"name={self.name}")
        return " ".join(words)

    def as_dict(self) -> dict[str, object]:
        """The rule as users write it in `redirect_rules`."""
        fields: dict[str, object] = {
            "port": self.port,
            "protocol": self.protocol,
            "destination_ip": self.destination_ip,
            "target_port": self.target_port,
        }
        if self.source_ip:
            fields["source_ip"] = self.source_ip
        if self.name:
            fields["name"] = self.name
        return fields


@dataclass(frozen=True)
class RuleSet:
    """All rules of one router, sorted by port, and the destination of every other port (empty: none)."""

    rules: tuple[Rule, ...] = ()
    fallback_ip: str = ""

    def text(self) -> str:
        """The text for the ConfigMap. `parse(x.text()) == x`."""
        return _HEADER + "".join(f"{line}\n" for line in self.lines())

    def lines(self) -> list[str]:
        """One line a rule, the fallback last; also the form in which differences are shown."""
        lines = [rule.line() for rule in self.rules]
        if self.fallback_ip:
            lines.append(f"fallback {self.fallback_ip}")
        return lines

    def hash(self) -> str:
        """SHA-256 in hex of what the rules do to packets; names do not count."""
        canonical = "\n".join([rule.line(with_name=False) for rule in self.rules] + [f"fallback {self.fallback_ip}"])
        return hashlib.sha256(canonical.encode()).hexdigest()

    def by_key(self) -> dict[tuple[int, str, int], Rule]:
        """The rules by family, protocol and port."""
        return {rule.key: rule for rule in self.rules}

    def merged(self, other: RuleSet) -> RuleSet:
        """These rules with those of `other` added or, on the same family, protocol and port, put in their place."""
        rules = {**self.by_key(), **other.by_key()}
        return RuleSet(tuple(sorted(rules.values())), other.fallback_ip or self.fallback_ip)


def rule_set(rules: Iterable[Rule], fallback_ip: str = "") -> RuleSet:
    """A RuleSet of checked rules; raises RulesError if two have the same family, protocol and port, or if they are too many."""
    seen: dict[tuple[int, str, int], Rule] = {}
    rules = tuple(rules)
    problems = too_many(len(rules))
    for rule in rules:
        first = seen.setdefault(rule.key, rule)
        if first is not rule:
            where, other = _server_of(first), _server_of(rule)
            twice = f"twice to {where}" if where == other else f"twice, to {where} and to {other}"
            problems.append(f"port {rule.port}/{rule.protocol} is redirected {twice}: keep one of the two rules")
    if problems:
        raise RulesError(problems)
    return RuleSet(tuple(sorted(seen.values())), fallback_ip)


def too_many(count: int) -> list[str]:
    """The problem of more rules than a router takes, in a list; empty if there is none."""
    if count <= RULES_LIMIT:
        return []
    return [f"{count} rules are more than the {RULES_LIMIT} that a router takes: spread them over several routers"]


def make_rule(
    port: object,
    protocol: object,
    destination_ip: object,
    target_port: object = None,
    name: object = "",
    source_ip: object = "",
) -> Rule:
    """A Rule of what a user wrote; raises FieldsError with everything that is wrong with it."""
    problems: list[tuple[str, str]] = []
    number = _port(port, "port", problems)
    target = number if target_port in (None, "") else _port(target_port, "target_port", problems)
    upper = str(protocol).upper()
    if upper not in PROTOCOLS:
        problems.append(("protocol", f"'{_quoted(protocol)}' is not one of {', '.join(PROTOCOLS)}"))
    family, address = _destination(destination_ip, "destination_ip", problems)
    source = "" if source_ip in (None, "") else _source(source_ip, family, problems)
    label = "" if name is None else str(name)
    if label and not DNS_LABEL.match(label):
        problems.append(("name", f"'{_quoted(label)}' must be 1 to 63 lowercase letters, digits and inner hyphens"))
    if problems:
        raise FieldsError(problems)
    return Rule(number, upper, family, address, target, label, source)


def make_fallback(destination_ip: object) -> str:
    """The canonical spelling of a fallback address; raises FieldsError."""
    problems: list[tuple[str, str]] = []
    _family, address = _destination(destination_ip, "fallback_ip", problems)
    if problems:
        raise FieldsError(problems)
    return address


def parse(text: str) -> RuleSet:
    """The RuleSet of a ConfigMap's text; raises RulesError with every problem, each naming its line."""
    lines = _lines(text)
    last = lines[-1][0] if lines and _ip_address(lines[-1][1]) else 0
    # Nobody reads what is wrong with each of them.
    excess = too_many(len(lines) - (last > 0 or any(_is_fallback(line) for _number, line in lines)))
    if excess:
        raise RulesError(excess)
    rules: dict[tuple[int, str, int], tuple[int, Rule]] = {}
    fallback = ""
    problems: list[str] = []
    for number, line in lines:
        try:
            if number == last or _is_fallback(line):
                if fallback:
                    raise RulesError(["there is a fallback already: keep one of the two"])
                fallback = _parse_fallback(line)
            else:
                rule = _parse_rule(line.split())
                first = rules.setdefault(rule.key, (number, rule))
                if first[0] != number:
                    raise RulesError([_again(rule, *first)])
        except RulesError as error:
            problems += [f"line {number} '{_quoted(line)}': {problem}" for problem in error.problems]
    if problems:
        raise RulesError(problems)
    return RuleSet(tuple(sorted(rule for _number, rule in rules.values())), fallback)


def _lines(text: str) -> list[tuple[int, str]]:
    """What is on each line, with its number, without comments, blank lines and the byte-order marks that editors write."""
    lines = enumerate(text.replace("\ufeff", "").splitlines(), start=1)
    stripped = ((number, _COMMENT.sub("", line).strip()) for number, line in lines)
    return [(number, line) for number, line in stripped if line]


def _is_fallback(line: str) -> bool:
    return line.split(maxsplit=1)[0].lower() == "fallback"


def _again(rule: Rule, number: int, first: Rule) -> str:
    """What to say of a rule whose port a rule of another line has already."""
    if rule == first:
        return f"is the same rule as line {number}: remove one of the two"
    port = f"port {rule.port}/{rule.protocol}"
    return f"{port} is redirected on line {number} already, to {_server_of(first)}: keep one of the two"


def _server_of(rule: Rule) -> str:
    """The address, and the port if it is another one."""
    return rule.destination_ip + (f" port {rule.target_port}" if rule.target_port != rule.port else "")


def _parse_rule(words: list[str]) -> Rule:
    options = {"name": "", "source": ""}
    if len(words) == 1 and _ip_address(words[0]):
        raise RulesError([f"an address alone is the fallback, on the last line: write fallback {words[0]}"])
    for key in ("name", "source"):
        if words[-1].startswith(f"{key}="):
            options[key] = words.pop()[len(key) + 1 :]
    if len(words) not in (3, 4):
        raise RulesError(["a rule is PORT PROTOCOL DESTINATION_IP [TARGET_PORT] [source=SOURCE_IP] [name=NAME]"])
    target_port = words[3] if len(words) == 4 else None
    return make_rule(words[0], words[1], words[2], target_port, options["name"], options["source"])


def _parse_fallback(line: str) -> str:
    *word, address = line.split()
    if len(word) > 1 or (not word and _is_fallback(line)):
        raise RulesError(["a fallback is the word fallback and one IP address"])
    return make_fallback(address)


def _quoted(value: object) -> str:
    """What a message shows of somebody's text, with what cannot be seen written out."""
    text = str(value)
    shown = text if len(text) <= _QUOTE_LIMIT else f"{text[:_QUOTE_LIMIT]}..."
    if shown.isprintable():
        return shown
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in shown)


def _port(value: object, field: str, problems: list[tuple[str, str]]) -> int:
    # A bool is an int in Python and a yes in YAML, but never a port.
    digits = "" if isinstance(value, bool) else str(value)
    if digits.isascii() and digits.isdigit() and len(digits) <= 5 and 1 <= int(digits) <= 65535:
        return int(digits)
    problems.append((field, f"'{_quoted(value)}' is not a whole number from 1 to 65535"))
    return 0


def _destination(value: object, field: str, problems: list[tuple[str, str]]) -> tuple[int, str]:
    try:
        return _server(str(value))
    except ValueError as error:
        problems.append((field, f"'{_quoted(value)}' {error}"))
        return 0, ""


def _source(value: object, family: int, problems: list[tuple[str, str]]) -> str:
    """The canonical spelling of an address that connections leave from. `family`: that of the destination, 0 if it has none."""
    text = str(value)
    address = _ip_address(text)
    if address is None:
        reason = f"is not an IP address{_hint(text)}"
    elif address.is_link_local:
        reason = "is link-local, which no server beyond the segment can answer: set one of the router's addresses"
    elif family and address.version != family:
        reason = (
            f"is IPv{address.version} and the destination is IPv{family}: set an address of the destination's family"
        )
    else:
        return str(address)
    problems.append(("source_ip", f"'{_quoted(text)}' {reason}"))
    return ""


@lru_cache(maxsize=8192)
def _server(text: str) -> tuple[int, str]:
    """Family and canonical spelling of a server's address; ValueError says why it is none."""
    address = _ip_address(text)
    if address is None:
        raise ValueError(f"is not an IP address{_hint(text)}")
    for networks, reason in _NO_SERVERS:
        if any(address in network for network in networks):
            raise ValueError(f"is not the address of a remote server: {reason}")
    if "%" in text:
        raise ValueError(f"has a zone id, which means something on one host only: write it as {text.partition('%')[0]}")
    return address.version, str(address)


@lru_cache(maxsize=8192)
def not_remote(destination_ip: str, address: str, gateway: str) -> str:
    """Why a router with `address` (with prefix length) and `gateway` (empty: none) has no way to a server; empty if it has.

    Of the same family. The continuation of "destination '...' ".
    """
    destination, own = ipaddress.ip_address(destination_ip), ipaddress.ip_interface(address)
    network = own.network
    if destination == own.ip:
        return "is the router itself: set the address of the server"
    if destination not in network:
        return "" if gateway else f"is outside {network} and {address} has no gateway: add a gateway or a route"
    taken = no_host(destination, network)
    return f"is {taken} of the router's own segment {network}: set the address of the server" if taken else ""


def no_host(ip: IPAddress, network: IPNetwork) -> str:
    """Which address of a network `ip` is instead of a host's: "the address" or "the broadcast address"; empty if it can be one."""
    # RFC 3021 and RFC 6164: point-to-point links have neither.
    if network.max_prefixlen - network.prefixlen < 2:
        return ""
    if ip == network.network_address:
        return "the address"
    return "the broadcast address" if ip.version == 4 and ip == network.broadcast_address else ""


def no_servers(network: IPNetwork) -> str:
    """Why a whole network has no remote servers; empty if it may have some."""
    for networks, reason in _NO_SERVERS:
        if any(network.version == other.version and network.subnet_of(other) for other in networks):  # type: ignore[arg-type]
            return reason
    return ""


def _ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _hint(text: str) -> str:
    """How to write an address that has something around it."""
    host = text.rpartition(":")[0]
    for bare, advice in (
        (text.removesuffix("/32").removesuffix("/128"), ""),
        (text.removeprefix("[").removesuffix("]"), ""),
        (host.removeprefix("[").removesuffix("]"), ", and the port as target_port of a rule"),
    ):
        if _ip_address(bare):
            return f": write it as {bare}{advice}"
    return " (host names and networks are not supported)"
