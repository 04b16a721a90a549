# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nftables of relays: their text for nft. Pure: no kernel here.

    inet egress_router_relay           both pods: who may send to the tunnels' port; and new connections of the one that relays
    netdev egress_router_relay_NUMBER  the pod that serves, for each other one: what goes into its tunnel, and what comes out

Packets of relayed connections pass no connection tracking in the pod that serves: it is the other one's, and so is the
translation. What comes out of a tunnel is forwarded by the agent's own table, and so only while this pod may serve.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from ansible_collections.egress.router.plugins.module_utils._contract.failover import RELAY_PORT
from ansible_collections.egress.router.plugins.module_utils._contract.names import CLUSTER_INTERFACE, EGRESS_INTERFACE

from ..config import Address, Config
from ..kernel.marks import BASE, MASK, NEWCOMER, PROVOKING
from ..kernel.ports import Ports
from ..kernel.table import RELAY
from ..net import IP
from .flows import Flows

GUARD = "egress_router_relay"
_ENDING = "ending"
# Flows that one command adds: the kernel's other changes wait for so long.
_AT_ONCE = 1000
# Adding what is there does not prolong it.
RENEW = ("add", "delete", "add")
_ERRORS = {
    4: "icmp type { destination-unreachable, time-exceeded, parameter-problem }",
    6: "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }",
}
# Any fragment, and those without ports: IPv6 ones are told apart by nothing at a fixed place.
_FRAGMENT = {4: "ip frag-off & 0x3fff != 0", 6: "ip6 nexthdr 44"}
_LATER_FRAGMENT = {4: "ip frag-off & 0x1fff != 0", 6: "ip6 nexthdr 44"}
# A flood of errors or fragments is not doubled in the cluster's network.
_LIMIT = "limit rate 2000/second burst 200 packets"
# What has ports.
_PORTS = "meta l4proto { 6, 17, 132 }"


def guard() -> str:
    """Commands that make the table of both sides, if it is not there."""
    return f"""\
table inet {GUARD} {{
  set peers4 {{ type ipv4_addr; }}
  set peers6 {{ type ipv6_addr; }}
  counter refused {{ }}
}}
delete table inet {GUARD}
table inet {GUARD} {{
  set peers4 {{ type ipv4_addr; }}
  set peers6 {{ type ipv6_addr; }}
  set newcomers {{ type mark; flags timeout; }}
  counter refused {{ }}
  chain prerouting {{
    type filter hook prerouting priority raw; policy accept;
    iifname "{RELAY}-*" notrack
    iifname "{CLUSTER_INTERFACE}" udp dport {RELAY_PORT} ip saddr @peers4 notrack accept
    iifname "{CLUSTER_INTERFACE}" udp dport {RELAY_PORT} ip6 saddr @peers6 notrack accept
    iifname "{CLUSTER_INTERFACE}" udp dport {RELAY_PORT} counter name refused drop
  }}
  chain output {{
    type filter hook output priority raw; policy accept;
    oifname "{CLUSTER_INTERFACE}" udp dport {RELAY_PORT} notrack
    meta mark {PROVOKING:#x} notrack
  }}
  # The tunnel's own packets would have the mark too, by which errors and resets for servers were led into it.
  chain postrouting {{ type filter hook postrouting priority mangle; policy accept; oifname "{RELAY}" meta mark set 0; }}
  # Before the agent's own table.
  chain forward {{
    type filter hook forward priority filter - 1; policy accept;
    iifname "{CLUSTER_INTERFACE}" oifname "{RELAY}" ct state new jump newcomers
  }}
  # Later than that, clients are told at once that nobody serves here.
  chain newcomers {{
    meta mark set {NEWCOMER:#x}
    meta mark @newcomers return
    meta mark set 0
    meta l4proto 6 reject with tcp reset
    reject
  }}
}}
"""


def peer(verb: str, address: IP) -> str:
    """Commands that `add` or `delete` a pod that may send."""
    return f"{verb} element inet {GUARD} peers{address.version} {{ {address} }}\n"


def reset() -> str:
    """Commands that reset relayed TCP connections when somebody says something, until end_reset()."""
    # A chain of its own, because the table may outlive the tunnel.
    rules = "".join(
        f'add rule inet {GUARD} {_ENDING} {way} "{RELAY}" meta l4proto tcp ct mark & {MASK:#x} == {BASE:#x} reject with tcp reset\n'
        for way in ("iifname", "oifname")
    )
    return f"{_add_ending()}flush chain inet {GUARD} {_ENDING}\n{rules}"


def end_reset() -> str:
    """Commands that undo reset(), whether it was done or not."""
    return f"{_add_ending()}delete chain inet {GUARD} {_ENDING}\n"


def _add_ending() -> str:
    return f"add chain inet {GUARD} {_ENDING} {{ type filter hook forward priority filter - 2; policy accept; }}\n"


def accept(seconds: float) -> str:
    """Commands that let new connections into the tunnel for so long."""
    element = f"add element inet {GUARD} newcomers {{ {NEWCOMER:#x} timeout {_milliseconds(seconds)} }}\n"
    return f"flush set inet {GUARD} newcomers\n{element if seconds > 0 else ''}"


def accept_far(number: int, ports: Ports, seconds: float) -> str:
    """Commands that have one tunnel's new connections relayed for so long, which have these source ports."""
    name = table_name(number)
    element = f"{{ {ports[0]}-{ports[1]} timeout {_milliseconds(seconds)} }}"
    return f"flush set netdev {name} newcomers\nadd element netdev {name} newcomers {element}\n"


def _milliseconds(seconds: float) -> str:
    return f"{max(1, int(seconds * 1000))}ms"


def table_name(number: int) -> str:
    """The table of one tunnel at the pod that serves."""
    return f"{GUARD}_{number}"


def relay(config: Config, number: int, tunnel: str, seconds: int) -> str:
    """Commands that make the table of one tunnel. Its flows are forgotten after `seconds`, whatever becomes of the agent."""
    name = table_name(number)
    sets = "\n".join(
        f"  set flows{family} {{ type inet_proto . ipv{family}_addr . inet_service . inet_service; "
        f"size 65535; flags timeout; timeout {seconds}s; }}"
        for family in config.families
    )
    into = "\n".join(line for address in config.addresses for line in _into(address, tunnel))
    out = "\n".join(line for address in config.addresses for line in _out(address))
    newcomers = "\n".join(
        f'    {_ip(address.family)} daddr {address.ip} {_PORTS} th dport @newcomers counter fwd to "{tunnel}"'
        for address in config.addresses
    )
    return f"""\
table netdev {name} {{ }}
delete table netdev {name}
table netdev {name} {{
{sets}
  set newcomers {{ type inet_service; flags interval, timeout; }}
  chain segment {{
    type filter hook ingress device "{EGRESS_INTERFACE}" priority filter; policy accept;
{into}
  }}
  # After the connections of all tunnels: what is nobody's by name.
  chain newcomers {{
    type filter hook ingress device "{EGRESS_INTERFACE}" priority filter + 1; policy accept;
{newcomers}
  }}
  chain tunnel {{
    type filter hook ingress device "{tunnel}" priority filter; policy drop;
{out}
  }}
}}
"""


def _into(address: Address, tunnel: str) -> Iterator[str]:
    ip = _ip(address.family)
    # Whose these are stands in another packet or further within: both pods get them, and one knows what they belong to.
    yield f'    {ip} daddr {address.ip} {_FRAGMENT[address.family]} {_LIMIT} dup to "{tunnel}" accept'
    yield f'    {ip} daddr {address.ip} {_ERRORS[address.family]} {_LIMIT} dup to "{tunnel}" accept'
    yield (
        f"    {ip} daddr {address.ip} meta l4proto . {ip} saddr . th sport . th dport @flows{address.family} "
        f'counter fwd to "{tunnel}"'
    )


def _out(address: Address) -> Iterator[str]:
    ip = _ip(address.family)
    yield f"    {ip} saddr {address.ip} {_LATER_FRAGMENT[address.family]} accept"
    yield f"    {ip} saddr {address.ip} {_ERRORS[address.family]} accept"
    yield (
        f"    {ip} saddr {address.ip} meta l4proto . {ip} daddr . th dport . th sport @flows{address.family} counter accept"
    )
    yield f"    {ip} saddr {address.ip} {_PORTS} th sport @newcomers counter accept"


def flows(number: int, found: Flows, verbs: Sequence[str] = ("add",)) -> Iterator[str]:
    """Commands that add flows to a tunnel's table, each a transaction; with RENEW, those that are there last as long as new ones."""
    texts: dict[int, list[str]] = {4: [], 6: []}
    for server, ports in found.items():
        address = ipaddress.ip_address(server.address)
        head = f"{server.protocol} . {address} . {server.port} . "
        texts[address.version] += [f"{head}{port}" for port in ports]
    for family, elements in texts.items():
        for at in range(0, len(elements), _AT_ONCE):
            some = ", ".join(elements[at : at + _AT_ONCE])
            where = f"element netdev {table_name(number)} flows{family} {{ {some} }}\n"
            yield "".join(f"{verb} {where}" for verb in verbs)


def delete(family: str, name: str) -> str:
    """Commands that remove a table, whether it is there or not."""
    return f"table {family} {name} {{ }}\ndelete table {family} {name}\n"


def trial() -> str:
    """Commands that a kernel understands which can relay; for a dry run."""
    name = f"{GUARD}_trial"
    return f"""\
table netdev {name} {{
  flags dormant;
  set flows4 {{ type inet_proto . ipv4_addr . inet_service . inet_service; flags timeout; timeout 1s; }}
  set newcomers {{ type inet_service; flags interval, timeout; }}
  chain segment {{
    type filter hook ingress device "lo" priority filter; policy accept;
    th dport @newcomers fwd to "lo"
    ip frag-off & 0x3fff != 0 dup to "lo"
    meta l4proto . ip saddr . th sport . th dport @flows4 fwd to "lo"
  }}
}}
table inet {name} {{
  flags dormant;
  chain prerouting {{ type filter hook prerouting priority raw; policy accept; udp dport {RELAY_PORT} notrack; }}
}}
"""


def _ip(family: int) -> str:
    return "ip" if family == 4 else "ip6"
