# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nftables table `inet egress_router`: its text for nft, and what its JSON listing says. Pure: no kernel here.

Chains and their rules depend on the pod alone. Redirect rules are elements of maps, so that a new connection costs the
same few look-ups whatever their number, and a change touches only the elements that differ:

    redirect4, redirect6    protocol . port : destination . port      where to, comment = the rule's name
    marks4, marks6          protocol . port : mark, counter           which rule; counts new connections
    fallback4, fallback6    protocol : destination                    every other port
    fallmarks4, fallmarks6  protocol : mark, counter
    sources4, sources6      mark : source                             rules that leave from an address of their own
    live                    set of marks, counter                     what may be forwarded; counts packets, both ways

Whether the pod serves at all is decided before, in the chains `fence`, of which one is in a table `arp egress_router`: only
while the permit that the chain `granted` names is in the set `permits`, whose elements have timeouts; see fence.py.

A pod that does not serve any more may still have connections, which it relays (see the package relay): what leaves by the tunnel
`relay` needs no permit, as nothing of it reaches the segment from here. What other pods relay arrives by tunnels `relay-*`.

Commands are text, which costs nft a third less time and memory than the same as JSON, and which people can read. Protocols
are numbers: their names need /etc/protocols, which a slim image does not have.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract.names import (
    CLUSTER_INTERFACE,
    EGRESS_INTERFACE,
    FAMILIES,
)
from ansible_collections.egress.router.plugins.module_utils._contract.ports import OWN_PORTS
from ansible_collections.egress.router.plugins.module_utils._contract.rules import Rule, RuleSet
from ansible_collections.egress.router.plugins.module_utils._contract.sources import SPREAD

from ..config import Config
from ..net import IP
from .marks import BASE, MASK, NEWCOMER, PROVOKING, fallback_mark, rule_mark
from .ports import ALL, Ports

FAMILY = "inet"
# The interface by which a pod's connections leave that does not serve any more.
RELAY = "relay"
ARP_FAMILY = "arp"
NAME = "egress_router"

Json = dict[str, Any]
# Map or set, and key in it; the key is a mark, a protocol number, or (protocol number, port).
ElementKey = tuple[str, "int | tuple[int, int]"]
# A relay's tunnel takes so much of each packet on the cluster's network: IP, UDP, VXLAN and Ethernet.
TUNNEL_OVERHEAD = {4: 50, 6: 70}
_TCP_OVERHEAD = {4: 40, 6: 60}
# The fence's set, which has no rules in it, and its chain, whose only rule is another one each time.
PERMITS = "permits"
GRANTED = "granted"

# What `granted` reads: of one family, because both are changed together.
LIST_GRANTED = (f"list chain {FAMILY} {NAME} {GRANTED}", f"list set {FAMILY} {NAME} {PERMITS}")

# Destination (str), destination and port, mark, or None (elements of a set); and the comment.
Content = tuple[Any, str]

# With source spread: the same client and port leave from the same address, of whichever pod, and after every restart.
_SEED = 0xE6C

_NUMBERS = {"TCP": 6, "UDP": 17, "SCTP": 132}
_PROTOCOLS = {number: name for name, number in _NUMBERS.items()}


@dataclass(frozen=True)
class Counters:
    """What one rule has done since it was loaded: new connections, and packets and bytes in both directions."""

    connections: int = 0
    packets: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Shape:
    """What else the chains depend on. `ports`: the source ports of new connections.

    `mtu`: of a relay's tunnel, which connections have to fit through one day; None for a router of one replica.
    """

    ports: Ports = ALL
    mtu: int | None = None


_PLAIN = Shape()


@dataclass
class Listing:
    """The table as the kernel has it. `skeleton`: all but elements; `counts`: packets and bytes by element."""

    skeleton: list[Json] = field(default_factory=list)
    contents: dict[ElementKey, Content] = field(default_factory=dict)
    counts: dict[ElementKey, tuple[int, int]] = field(default_factory=dict)

    def ports(self) -> Ports | None:
        """The source ports of new connections; None if nothing is translated."""
        for thing in self.skeleton:
            if thing.get("rule", {}).get("chain") == "postrouting":
                for statement in thing["rule"]["expr"]:
                    if "snat" in statement:
                        first, last = statement["snat"].get("port", {}).get("range", ALL)
                        return first, last
        return None

    def rules(self) -> RuleSet:
        """The redirect rules all of whose elements are there: an incomplete one does not redirect."""
        rules = []
        fallback = ""
        for (name, key), (value, comment) in self.contents.items():
            family = 6 if name.endswith("6") else 4
            if name.startswith("redirect") and isinstance(key, tuple):
                protocol = _PROTOCOLS.get(key[0], str(key[0]))
                source = self.contents.get((f"sources{family}", self._mark(family, key)), ("", ""))[0]
                rule = Rule(key[1], protocol, family, value[0], value[1], comment, source)
                if self._complete(_rule_contents(rule)):
                    rules.append(rule)
            elif name.startswith("fallback") and self._complete(_fallback_contents(value)):
                fallback = value
        return RuleSet(tuple(sorted(rules)), fallback)

    def rule_counters(self, rule: Rule) -> Counters:
        """The counters of one loaded rule."""
        mark = rule_mark(rule.family, rule.protocol, rule.port)
        connections = self.counts.get((f"marks{rule.family}", (_NUMBERS[rule.protocol], rule.port)), (0, 0))[0]
        return Counters(connections, *self.counts.get(("live", mark), (0, 0)))

    def fallback_counters(self, fallback_ip: str) -> Counters:
        """The counters of the loaded fallback."""
        family = ipaddress.ip_address(fallback_ip).version
        connections = sum(self.counts.get((f"fallmarks{family}", number), (0, 0))[0] for number in _PROTOCOLS)
        return Counters(connections, *self.counts.get(("live", fallback_mark(family)), (0, 0)))

    def _mark(self, family: int, key: tuple[int, int]) -> int:
        mark = self.contents.get((f"marks{family}", key), (0, ""))[0]
        return int(mark)

    def _complete(self, contents: Mapping[ElementKey, Content]) -> bool:
        # Comments do not count.
        return all(
            element in self.contents and self.contents[element][0] == wanted
            for element, (wanted, _comment) in contents.items()
        )


def contents(rules: RuleSet) -> dict[ElementKey, Content]:
    """All elements of all maps and sets for `rules`."""
    found: dict[ElementKey, Content] = {}
    for rule in rules.rules:
        found.update(_rule_contents(rule))
    if rules.fallback_ip:
        found.update(_fallback_contents(rules.fallback_ip))
    return found


def revoked(before: RuleSet, after: RuleSet) -> set[int]:
    """Marks of the rules that were removed or have another destination now: their connections must end."""
    left = after.by_key()
    marks = {
        rule_mark(rule.family, rule.protocol, rule.port)
        for key, rule in before.by_key().items()
        if key not in left or left[key].line(with_name=False) != rule.line(with_name=False)
    }
    if before.fallback_ip and before.fallback_ip != after.fallback_ip:
        marks.add(fallback_mark(ipaddress.ip_address(before.fallback_ip).version))
    return marks


def delta(now: Mapping[ElementKey, Content], wanted: Mapping[ElementKey, Content], renew: set[int]) -> str:
    """Commands that turn the elements `now` into `wanted`; no other element is touched, so its counters go on.

    Elements that belong to a mark of `renew` are replaced even if they are equal, so that a rule with a new destination
    counts from zero. Empty if nothing differs.
    """
    renewed = {element for element, (value, _comment) in wanted.items() if value in renew and "marks" in element[0]}
    renewed |= {("live", mark) for mark in renew}
    changed = {
        element for element in wanted if element in now and (now[element] != wanted[element] or element in renewed)
    }
    gone = [element for element in now if element not in wanted or element in changed]
    new = [element for element in wanted if element not in now or element in changed]
    return _commands("delete", ((name, _text(key)) for name, key in gone)) + _commands(
        "add", ((element[0], _element_text(element, wanted[element])) for element in new)
    )


def rebuild(config: Config, shape: Shape, rules: RuleSet) -> str:
    """Commands that replace the table, whatever is in it now, with one that has `rules`."""
    return skeleton(config, shape) + delta({}, contents(rules), set())


def skeleton(config: Config, shape: Shape, name: str = NAME, flags: str = "") -> str:
    """Commands that replace table `name` with one that has no rules."""
    # Adding first makes the deletion right whether the table is there or not.
    begin = f"add table {FAMILY} {name}\nadd table {ARP_FAMILY} {name}\n"
    return f"{begin}{delete(name)}{without_rules(config, name, flags, shape)}"


def change_ports(config: Config, ports: Ports) -> str:
    """Commands that have new connections use other source ports; those that are there do not pass this chain any more."""
    rules = "".join(f"add rule {FAMILY} {NAME} postrouting {rule}\n" for rule in _source_rules(config, ports))
    return f"flush chain {FAMILY} {NAME} postrouting\n{rules}"


def without_rules(config: Config, name: str, flags: str, shape: Shape = _PLAIN) -> str:
    """Commands that add table `name`."""
    return f"""\
table {ARP_FAMILY} {name} {{
  {flags}
{_fence()}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "{EGRESS_INTERFACE}" jump fence
  }}
  chain output {{
    type filter hook output priority filter; policy accept;
    oifname "{EGRESS_INTERFACE}" jump fence
  }}
}}
table {FAMILY} {name} {{
  {flags}
{_maps()}
  set live {{ type mark; counter; }}
{_fence()}
  # A nat chain sees only the first packet of a connection.
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    iifname != "{CLUSTER_INTERFACE}" return
{_own_sources(config)}
{_redirects(config)}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
{_source(config, shape.ports)}
  }}
  # Drops what was not redirected, in both directions.
  chain forward {{
    type filter hook forward priority filter; policy drop;
    # No segment is larger than either way allows, so that nothing depends on ICMP errors that somebody drops.
    tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
{_segments(shape)}
    # First, because it is what costs: both ways of what is redirected.
    iifname "{CLUSTER_INTERFACE}" oifname "{EGRESS_INTERFACE}" goto redirected
    iifname "{EGRESS_INTERFACE}" oifname "{CLUSTER_INTERFACE}" goto redirected
{_relayed(shape)}
  }}
  chain redirected {{
    jump fence
    ct mark @live accept
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    # An invalid packet of a redirected connection is not translated; a reply from the pod would reset the connection.
    ct state invalid drop
    # Whatever a peer sends through a tunnel, none of it is for the pod itself.
    iifname "{RELAY}*" drop
    iifname != "{EGRESS_INTERFACE}" accept
    jump fence
    # Routes and addresses of net1 are the agent's alone, whatever somebody on the segment offers.
    icmp type redirect drop
    icmpv6 type {{ nd-router-advert, nd-redirect }} drop
    ct state established,related accept
{_answers(config)}
    # Preflight asks who has a MAC address: an echo to all nodes, in a frame to that address.
    ip6 daddr ff02::1 icmpv6 type echo-request accept
    icmpv6 type {{ mld-listener-query, nd-neighbor-solicit, nd-neighbor-advert }} accept
    drop
  }}
  # What the pod itself sends.
  chain output {{
    type route hook output priority mangle; policy accept;
    icmp type redirect drop
    icmpv6 type nd-redirect drop
    # Errors and resets for the server of a redirected connection leave by net1, as the connection does.
    ct state related ct direction original ct mark & {MASK:#x} == {BASE:#x} meta mark set {BASE:#x}
  }}
  # Nor anything else from a pod that does not serve, neighbour advertisements first of all; it has been routed already.
  chain leaving {{
    type filter hook output priority filter; policy accept;
    oifname "{EGRESS_INTERFACE}" jump fence
  }}
}}
"""


def reset() -> str:
    """Commands for a pod that ends: redirected TCP connections are reset, and connection tracking ignores our provocation."""
    return f"""\
add chain {FAMILY} {NAME} ending {{ type filter hook output priority raw; policy accept; }}
add rule {FAMILY} {NAME} ending meta mark {PROVOKING:#x} notrack
insert rule {FAMILY} {NAME} forward meta l4proto tcp ct mark & {MASK:#x} == {BASE:#x} reject with tcp reset
"""


def delete(name: str) -> str:
    """Commands that remove a table that `skeleton` made."""
    return f"delete table {FAMILY} {name}\ndelete table {ARP_FAMILY} {name}\n"


def granted(listed_chain: Iterable[Json], listed_set: Iterable[Json]) -> tuple[int, float]:
    """The permit that is granted, and the seconds that it lasts at least (infinite without an end); zeros if there is none."""
    rules = [thing["rule"] for thing in listed_chain if "rule" in thing]
    numbers = {one["mangle"]["value"] for rule in rules for one in rule["expr"] if "mangle" in one}
    permits: dict[int, float] = {}
    for thing in listed_set:
        for element in thing.get("set", {}).get("elem", []):
            details = element["elem"] if isinstance(element, dict) else {"val": element}
            permits[details["val"]] = float(details.get("expires", "inf"))
    left = {number: permits[number] for number in numbers if number in permits}
    return next(iter(left.items())) if len(left) == 1 else (0, 0.0)


def _fence() -> str:
    # A rule with a number instead of a look-up in a map: each packet that is forwarded goes this way.
    return """\
  set permits { type mark; flags timeout; }
  chain granted { }
  chain fence {
    # Without a rule there the mark stays 0, and no permit has that number.
    jump granted
    meta mark != @permits drop
    meta mark set 0
  }"""


def maps(name: str) -> str:
    """Commands that add table `name` with the maps alone, which no packet passes."""
    return f"table {FAMILY} {name} {{\n  flags dormant;\n{_maps()}\n}}\n"


def _maps() -> str:
    return "\n".join(
        f"""\
  map redirect{family} {{ type inet_proto . inet_service : ipv{family}_addr . inet_service; }}
  map marks{family} {{ type inet_proto . inet_service : mark; counter; }}
  map fallback{family} {{ type inet_proto : ipv{family}_addr; }}
  map fallmarks{family} {{ type inet_proto : mark; counter; }}
  map sources{family} {{ type mark : ipv{family}_addr; }}"""
        for family in FAMILIES
    )


def _own_sources(config: Config) -> str:
    # See settings.UNCHECKED.
    own = [*config.pod_ips, *(address.ip for address in config.addresses)]
    return "\n".join(f"    {_ip(ip.version)} saddr {ip} drop" for ip in own)


def _redirects(config: Config) -> str:
    # Protocols without ports find nothing: the maps have TCP, UDP and SCTP only.
    return "\n".join(
        f"""\
    {_ip(ip.version)} daddr {ip} ct mark set meta l4proto . th dport map @marks{ip.version}
    {_ip(ip.version)} daddr {ip} dnat {_ip(ip.version)} to meta l4proto . th dport map @redirect{ip.version}
{_own_ports(ip)}
    {_ip(ip.version)} daddr {ip} ct mark set meta l4proto map @fallmarks{ip.version}
    {_ip(ip.version)} daddr {ip} dnat {_ip(ip.version)} to meta l4proto map @fallback{ip.version}"""
        for ip in config.pod_ips
        if config.address(ip.version)
    )


def _own_ports(ip: IP) -> str:
    return "\n".join(
        f"    {_ip(ip.version)} daddr {ip} {protocol.lower()} dport {port} return" for port, protocol in OWN_PORTS
    )


def _source(config: Config, ports: Ports) -> str:
    return "\n".join(f"    {rule}" for rule in _source_rules(config, ports))


def _source_rules(config: Config, ports: Ports) -> Iterator[str]:
    """Rules of a chain that gives redirected connections an egress address and one of these source ports.

    By whichever interface they leave: new ones that a pod still gets after it has handed over take the tunnel `relay`.
    """
    # All ports: the kernel's own choice, which keeps those of privileged clients below 1024.
    protocols, only = ("", "") if ports == ALL else ("meta l4proto { 6, 17, 132 } ", f":{ports[0]}-{ports[1]}")
    for family in config.families:
        for source in _sources(config, family, bracketed=bool(only)):
            yield (
                f'meta nfproto ipv{family} oifname {{ "{EGRESS_INTERFACE}", "{RELAY}" }} ct mark & {MASK:#x} == {BASE:#x} '
                f"{protocols}snat {_ip(family)} to {source}{only}"
            )


def _sources(config: Config, family: int, bracketed: bool) -> Iterator[str]:
    """Where the egress address of a new connection comes from: the first of these that has one."""
    ips = [address.ip for address in config.addresses_of(family)]
    if len(ips) > 1:
        yield f"ct mark map @sources{family}"
    if len(ips) > 1 and config.source == SPREAD:
        elements = ", ".join(f"{number} : {ip}" for number, ip in enumerate(ips))
        yield f"jhash {_ip(family)} saddr . th sport mod {len(ips)} seed {_SEED:#x} map {{ {elements} }}"
    else:
        yield f"[{ips[0]}]" if bracketed and family == 6 else str(ips[0])


def spread(name: str) -> str:
    """Commands that add table `name` with what spreading takes of the kernel, which no packet passes."""
    hashed = f"meta mark set jhash ip saddr . th sport mod 2 seed {_SEED:#x}"
    return f"table {FAMILY} {name} {{\n  flags dormant;\n  chain spread {{ {hashed}; }}\n}}\n"


def _relayed(shape: Shape) -> str:
    if shape.mtu is None:
        return ""
    return f"""\
    # Nothing new, but what the relay's own table lets through: the first packet of a connection is confirmed when it has left.
    iifname "{CLUSTER_INTERFACE}" oifname "{RELAY}" meta mark {NEWCOMER:#x} ct mark @live accept
    iifname "{CLUSTER_INTERFACE}" oifname "{RELAY}" ct status confirmed ct mark @live accept
    iifname "{RELAY}" oifname "{CLUSTER_INTERFACE}" ct status confirmed ct direction reply ct mark @live accept
    jump fence
    iifname "{RELAY}-*" oifname "{EGRESS_INTERFACE}" ct state untracked accept"""


def _segments(shape: Shape) -> str:
    if shape.mtu is None:
        return ""
    return "\n".join(
        f"    meta nfproto ipv{family} tcp flags & (syn | rst) == syn "
        f"tcp option maxseg size set {shape.mtu - _TCP_OVERHEAD[family]}"
        for family in FAMILIES
    )


def _answers(config: Config) -> str:
    echo = {4: "icmp", 6: "icmpv6"}
    return "\n".join(
        f"    {_ip(address.family)} daddr {address.ip} {echo[address.family]} type echo-request accept"
        for address in config.addresses
    )


def skeleton_of(listed: Iterable[Json]) -> list[Json]:
    """What `list` gave (the value of its key `nftables`, see libnftables-json(5)), without what changes while the pod runs."""
    found = []
    for thing in listed:
        kind, body = next(iter(thing.items()))
        if kind in ("metainfo", "table") or (kind == "rule" and body["chain"] == GRANTED):
            continue
        found.append({kind: {key: value for key, value in body.items() if key not in ("handle", "elem", "table")}})
    return found


def _rule_contents(rule: Rule) -> dict[ElementKey, Content]:
    key = (_NUMBERS[rule.protocol], rule.port)
    mark = rule_mark(rule.family, rule.protocol, rule.port)
    found: dict[ElementKey, Content] = {
        (f"redirect{rule.family}", key): ((rule.destination_ip, rule.target_port), rule.name),
        (f"marks{rule.family}", key): (mark, ""),
        ("live", mark): (None, ""),
    }
    if rule.source_ip:
        found[(f"sources{rule.family}", mark)] = (rule.source_ip, "")
    return found


def _fallback_contents(fallback_ip: str) -> dict[ElementKey, Content]:
    family = ipaddress.ip_address(fallback_ip).version
    mark = fallback_mark(family)
    found: dict[ElementKey, Content] = {("live", mark): (None, "")}
    for number in _PROTOCOLS:
        found[(f"fallback{family}", number)] = (fallback_ip, "")
        found[(f"fallmarks{family}", number)] = (mark, "")
    return found


def _commands(verb: str, elements: Iterable[tuple[str, str]]) -> str:
    by_set: dict[str, list[str]] = {}
    for name, text in elements:
        by_set.setdefault(name, []).append(text)
    head = f"{verb} element {FAMILY} {NAME}"
    return "".join(f"{head} {name} {{ {', '.join(texts)} }}\n" for name, texts in by_set.items())


def _element_text(element: ElementKey, content: Content) -> str:
    value, comment = content
    key = _text(element[1]) + (f' comment "{comment}"' if comment else "")
    return key if value is None else f"{key} : {_text(value)}"


def _text(value: object) -> str:
    return " . ".join(str(part) for part in value) if isinstance(value, tuple) else str(value)


def _ip(family: int) -> str:
    return "ip" if family == 4 else "ip6"
