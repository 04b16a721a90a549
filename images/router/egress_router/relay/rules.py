# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nftables of relays: their text for nft. Pure: no kernel here.

    inet egress_router_relay           both pods: who may send to the tunnels' port
    netdev egress_router_relay_NUMBER  the pod that serves, for each other one: what goes into its tunnel, and what comes out

Packets of relayed connections pass no connection tracking in the pod that serves: it is the other one's, and so is the
translation. What comes out of a tunnel is forwarded by the agent's own table, and so only while this pod may serve.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from ansible_collections.egress.router.plugins.module_utils._contract.failover import RELAY_PORT
from ansible_collections.egress.router.plugins.module_utils._contract.names import CLUSTER_INTERFACE, EGRESS_INTERFACE

from ..config import Address, Config
from ..kernel.marks import BASE, MASK, PROVOKING
from ..kernel.table import RELAY
from ..net import IP
from .flows import Flows

GUARD = "egress_router_relay"
# Flows that one command adds: the kernel's other changes wait for so long.
_AT_ONCE = 1000
_ERRORS = {
    4: "icmp type { destination-unreachable, time-exceeded, parameter-problem }",
    6: "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }",
}
# Any fragment, and those without ports: IPv6 ones are told apart by nothing at a fixed place.
_FRAGMENT = {4: "ip frag-off & 0x3fff != 0", 6: "ip6 nexthdr 44"}
_LATER_FRAGMENT = {4: "ip frag-off & 0x1fff != 0", 6: "ip6 nexthdr 44"}
# A flood of errors or fragments is not doubled in the cluster's network.
_LIMIT = "limit rate 2000/second burst 200 packets"


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
  # Before the agent's own table; see `reset`.
  chain forward {{ type filter hook forward priority filter - 1; policy accept; }}
}}
"""


def peer(verb: str, address: IP) -> str:
    """Commands that `add` or `delete` a pod that may send."""
    return f"{verb} element inet {GUARD} peers{address.version} {{ {address} }}\n"


def reset() -> str:
    """Commands that reset relayed TCP connections when somebody says something."""
    return f"""\
flush chain inet {GUARD} forward
add rule inet {GUARD} forward meta l4proto tcp ct mark & {MASK:#x} == {BASE:#x} reject with tcp reset
"""


def table_name(number: int) -> str:
    """The table of one tunnel at the pod that serves."""
    return f"{GUARD}_{number}"


def relay(config: Config, number: int, tunnel: str, seconds: int) -> str:
    """Commands that make the table of one tunnel. Its flows are forgotten after `seconds`, whatever becomes of the agent."""
    name = table_name(number)
    sets = "\n".join(
        f"  set flows{address.family} {{ type inet_proto . ipv{address.family}_addr . inet_service . inet_service; "
        f"size 65535; flags timeout; timeout {seconds}s; }}"
        for address in config.addresses
    )
    into = "\n".join(line for address in config.addresses for line in _into(address, tunnel))
    out = "\n".join(line for address in config.addresses for line in _out(address))
    return f"""\
table netdev {name} {{ }}
delete table netdev {name}
table netdev {name} {{
{sets}
  chain segment {{
    type filter hook ingress device "{EGRESS_INTERFACE}" priority filter; policy accept;
{into}
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


def flows(number: int, found: Flows) -> Iterator[str]:
    """Commands that add flows to a tunnel's table, each a transaction."""
    texts: dict[int, list[str]] = {4: [], 6: []}
    for server, ports in found.items():
        address = ipaddress.ip_address(server.address)
        head = f"{server.protocol} . {address} . {server.port} . "
        texts[address.version] += [f"{head}{port}" for port in ports]
    for family, elements in texts.items():
        for at in range(0, len(elements), _AT_ONCE):
            some = ", ".join(elements[at : at + _AT_ONCE])
            yield f"add element netdev {table_name(number)} flows{family} {{ {some} }}\n"


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
  chain segment {{
    type filter hook ingress device "lo" priority filter; policy accept;
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
