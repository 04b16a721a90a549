# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Reads `redirect_rules` and `fallback_ip` as users write them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from .._contract.ports import OWN_PORTS
from .._contract.rules import PROTOCOLS, FieldsError, Rule, RulesError, RuleSet, make_fallback, make_rule, rule_set
from .fields import Fields, not_one_of, shown, whole_number
from .problems import Problems

# A rule by what clients connect to; both families.
PortKey: TypeAlias = "tuple[int, str]"

RESERVED: frozenset[PortKey] = frozenset(OWN_PORTS)

# A line of a text of rules, such as the value of EGRESS_DESTINATION: a rule, or a fallback with or without its word.
_LINE = re.compile(
    r"(?:[0-9]{1,5}\s+(?:tcp|udp|sctp)\s|fallback\s|[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?:\s+#.*)?\Z)", re.IGNORECASE
)
_MIGRATION = (
    "these are lines of text, as the ConfigMap has them and the EGRESS_DESTINATION of OpenShift's redirect image: write each as a "
    "dictionary, such as {port: 80, protocol: TCP, destination_ip: 203.0.113.11}, and the fallback as fallback_ip"
)
_KEYS = frozenset(("port", "protocol", "destination_ip", "target_port", "name", "source_ip"))


def read_rule_set(fields: Fields, reserved: Collection[PortKey] = RESERVED) -> RuleSet:
    """The rules and the fallback of one router. `reserved`: ports that are the router's own."""
    rules = []
    if _is_text(fields.raw("redirect_rules")):
        fields.problem("redirect_rules", _MIGRATION)
        return RuleSet()
    for place, item in fields.items("redirect_rules"):
        rule = _faultless(item, reserved) or _read_rule(fields.item("redirect_rules", place, item), reserved)
        if rule is not None:
            rules.append(rule)
    fallback = _read_fallback(fields)
    try:
        return rule_set(rules, fallback)
    except RulesError as error:
        for message in error.problems:
            fields.problem("redirect_rules", message)
        return RuleSet(tuple(sorted({rule.key: rule for rule in rules}.values())), fallback)


def read_port_keys(fields: Fields, reserved: Collection[PortKey] = RESERVED) -> tuple[set[PortKey], str]:
    """What to remove: ports with their protocols, and the fallback if it is named too."""
    keys = set()
    for section in fields.sections("redirect_rules"):
        # The rest of a rule may stay when a list is copied from what was deployed.
        for known in ("destination_ip", "target_port", "name", "source_ip"):
            section.raw(known)
        key = read_port(section, reserved)
        section.finish()
        if key is not None:
            keys.add(key)
    return keys, _read_fallback(fields)


def read_port(fields: Fields, reserved: Collection[PortKey] = RESERVED) -> PortKey | None:
    """`port` and `protocol` (default TCP) of one dictionary."""
    protocol = fields.text("protocol", "TCP").upper()
    value = fields.raw("port") if fields.required("port") else None
    port = whole_number(value)
    if protocol not in PROTOCOLS:
        fields.problem("protocol", not_one_of(protocol, PROTOCOLS))
    if value is not None and (port is None or not 1 <= port <= 65535):
        fields.problem("port", f"{shown(value)} is not a whole number from 1 to 65535{_meant(value)}")
        port = None
    key = (port, protocol) if port is not None and protocol in PROTOCOLS else None
    if key is not None and key in reserved:
        fields.problem("port", _taken(key))
        return None
    return key


def _taken(key: PortKey) -> str:
    return f"{key[0]}/{key[1]} is the router's own port for {OWN_PORTS[key]}: choose another port"


def _meant(value: object) -> str:
    """What somebody may have meant who wrote a pair of ports."""
    pair = re.fullmatch(r"([0-9]{1,5}):([0-9]{1,5})", str(value))
    if pair:
        return f": write port: {pair[1]} and target_port: {pair[2]}"
    number = whole_number(value)
    if isinstance(value, int) and number is not None and number > 99_999:
        first, last = divmod(number, 60)
        return f" (of an unquoted pair such as {first}:{last:02}, YAML makes this number: write port and target_port)"
    return ""


def refuse_reserved(rules: RuleSet, reserved: Collection[PortKey], problems: Problems) -> None:
    """Notes a rule for a port of the router's own."""
    for key in sorted({(rule.port, rule.protocol) for rule in rules.rules} & set(reserved)):
        problems.add("text", _taken(key))


def _is_text(value: object) -> bool:
    """Whether these are lines of a text of rules."""
    lines = value.splitlines() if isinstance(value, str) else value
    return isinstance(lines, Sequence) and any(
        isinstance(line, str) and _LINE.match(line.strip()) is not None for line in lines
    )


def _faultless(item: object, reserved: Collection[PortKey]) -> Rule | None:
    """The rule of an item with which nothing is wrong; None leaves it to `_read_rule`, which says what is.

    Lists have thousands of rules, nearly all of them faultless: this takes a fraction of the time.
    """
    if not isinstance(item, Mapping) or not item.keys() <= _KEYS:
        return None
    try:
        rule = make_rule(
            item["port"],
            item.get("protocol", "TCP"),
            item["destination_ip"],
            item.get("target_port"),
            item.get("name"),
            item.get("source_ip"),
        )
    except (KeyError, RulesError):
        return None
    return None if (rule.port, rule.protocol) in reserved else rule


def _read_rule(fields: Fields, reserved: Collection[PortKey]) -> Rule | None:
    key = read_port(fields, reserved)
    destination_ip = fields.text("destination_ip") if fields.required("destination_ip") else ""
    target_port, name, source_ip = fields.raw("target_port"), fields.text("name"), fields.text("source_ip")
    meant = _meant(target_port)
    if meant:
        fields.problem("target_port", f"{shown(target_port)} is not a whole number from 1 to 65535{meant}")
        target_port = None
    fields.finish()
    if not destination_ip:
        return None
    # What is wrong with the port has been told; the rest is looked at all the same.
    port, protocol = key or (1, "TCP")
    try:
        rule = make_rule(port, protocol, destination_ip, target_port, name, source_ip)
    except FieldsError as error:
        for field, message in error.fields:
            fields.problem(field, message)
        return None
    return rule if key else None


def _read_fallback(fields: Fields) -> str:
    written = fields.text("fallback_ip")
    if not written:
        return ""
    try:
        return make_fallback(written)
    except FieldsError as error:
        for field, message in error.fields:
            fields.problem(field, message)
        return ""
