# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""From which of a router's addresses connections leave: what the list of routers, the rules and the agent have to agree on.

Connections of a rule with `source_ip` leave from that address. All others leave from the first address of the family, or with
SPREAD from any of them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

FIRST = "first"
SPREAD = "spread"
SOURCES = (FIRST, SPREAD)

# Of one router. While its pods take turns, each address is asked for, announced and watched one by one, and each is one more
# set of nftables rules, address of net1 and allowed address pair. A partner's /28 has 14.
ADDRESSES_LIMIT = 16


def too_many(count: int) -> str:
    """The problem of more addresses than a router has; empty if there is none."""
    if count <= ADDRESSES_LIMIT:
        return ""
    return (
        f"{count} addresses are more than the {ADDRESSES_LIMIT} of one router, which are asked for, announced and watched one by "
        "one whenever a pod takes over: spread them over several routers"
    )


def several(address: str, gateway: str, first: str, gateway_of_first: str) -> tuple[str, str]:
    """Why a router cannot have `address` beside the `first` one of its family, both with prefix length; empty if it can.

    The field that is wrong, and the continuation of "'ADDRESS' ".
    """
    one, other = ipaddress.ip_interface(address), ipaddress.ip_interface(first)
    family = f"IPv{one.version}"
    if one.ip == other.ip:
        return "ip", f"is the address '{first}' again: remove one of the two"
    if one.network != other.network:
        return (
            "ip",
            f"is not in {other.network} as '{first}' is: choose one of that subnet, of which all {family} addresses are",
        )
    if str(one.ip) == gateway_of_first:
        return "ip", f"is the gateway of '{first}': choose another address"
    if gateway != gateway_of_first:
        return "gateway", f"has another gateway than '{first}': give both the same, a router has one for {family}"
    return "", ""


def refusal(source_ip: str, family: int, addresses: Sequence[str], source: str) -> str:
    """Why a rule of `family` cannot leave from `source_ip`; empty if it can, or if it names none.

    `addresses`: the router's, without prefix length. The continuation of "source_ip '...' ".
    """
    if not source_ip:
        return ""
    if source_ip not in addresses:
        of_family = [one for one in addresses if (":" in one) == (family == 6)]
        known = f"one of {', '.join(of_family)}" if of_family else f"an IPv{family} address"
        return f"is not an address of the router: choose {known}, or add it to addresses first"
    if source == SPREAD:
        return f"cannot be used with source '{SPREAD}', which uses all addresses: remove one of the two"
    return ""
