# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a router needs of a node's kernel: nftables, connection tracking, settings; and the CNI plugins. Read only."""

from __future__ import annotations

import errno
import ipaddress
from pathlib import Path
from typing import Any

import nftables
from pyroute2.iproute import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from ansible_collections.egress.router.plugins.module_utils._contract.inspect import Cni, Conntrack, Nft

from ..config import Address, Config
from ..kernel import sysctl, table
from ..kernel.conntrack import usage
from ..relay import rules

SYSCTLS = (
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.default.rp_filter",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.all.forwarding",
)
_NAME = "egress_router_inspect"
# Of an interface that is never made.
_INTERFACE = "egress_inspect"
_VXLAN = "vxlan"
# One more than the largest.
_NO_VXLAN_ID = 1 << 24
# Any router with both families, with documentation addresses.
_ROUTER = Config(
    router="inspect",
    namespace="",
    pod="",
    node="",
    pod_uid="",
    pod_ips=(ipaddress.ip_address("203.0.113.1"), ipaddress.ip_address("2001:db8::1")),
    addresses=tuple(Address(ipaddress.ip_interface(text)) for text in ("198.51.100.1/24", "2001:db8:1::1/64")),
    mac="",
)


def sysctls() -> dict[str, str | None]:
    """The settings that a router's pod inherits from its node, or that affect its packets there."""
    return {name: sysctl.read(name) for name in SYSCTLS}


def conntrack() -> Conntrack:
    """How full the node's connection tracking is."""
    count, limit = usage()
    return Conntrack(max=limit, count=count)


def cni(directory: str) -> Cni:
    """The CNI plugins in a directory."""
    try:
        return Cni(directory, tuple(sorted(path.name for path in Path(directory).iterdir() if path.is_file())))
    except OSError:
        return Cni(directory)


def nft() -> Nft:
    """Whether the kernel would accept the router's table.

    The kernel checks a transaction as a whole and then aborts it, as for `nft --check`. The table is dormant: the kernel
    registers the chains' hooks before it aborts, and the forward chain drops. Nothing is tried without NET_ADMIN, nothing
    more after a refusal, and no rules on a node that tracks no connections, because they would turn tracking on for that
    moment.
    """
    if not _net_admin():
        # Without it the library writes to standard error, which a pod's log mixes with the answer.
        return Nft(error="not asked: the capability NET_ADMIN is missing")
    steps = [
        ("usable", f"table {table.FAMILY} {_NAME} {{ flags dormant; }}"),
        ("concat_maps", table.maps(_NAME)),
    ]
    if usage()[0]:
        # Without a deletion: aborting that one shows the table for a moment.
        steps.append(("rules", table.without_rules(_ROUTER, _NAME, "flags dormant;")))
    steps.append(("spread", table.spread(_NAME)))
    accepted: dict[str, Any] = {}
    for step, commands in steps:
        refusal = _refusal(commands)
        accepted[step] = not refusal
        if refusal:
            return Nft(**accepted, error=refusal)
    return Nft(**accepted)


def relay_error() -> str | None:
    """Why the kernel could not relay connections between pods of a router; empty if it could, None if it was not asked.

    The agent makes an interface to find out. Here the kernel is asked for one whose number it refuses, which it looks at
    when it knows the kind.
    """
    if not _net_admin():
        return None
    refusal = _refusal(rules.trial())
    if refusal:
        return f"nftables does not forward between interfaces: {refusal}"
    try:
        with IPRoute() as netlink:
            netlink.link("add", ifname=_INTERFACE, kind=_VXLAN, vxlan_id=_NO_VXLAN_ID)
    except NetlinkError as error:
        if error.code != errno.ERANGE:
            return f"there are no VXLAN interfaces: {error}"
    return ""


def _refusal(commands: str) -> str:
    """Why the kernel would refuse commands of nft; empty if it would accept them."""
    checker = nftables.Nftables()
    checker.set_dry_run(True)
    code, _output, error = checker.cmd(commands)
    return "" if code == 0 else (str(error).strip() or f"nft ended with {code}").splitlines()[0]


def _net_admin() -> bool:
    """linux/capability.h: CAP_NET_ADMIN is 12."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return bool(int(status["CapEff"], 16) & 1 << 12)
