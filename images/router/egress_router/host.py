# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the router needs of a node's kernel: nftables, conntrack, settings, CNI plugins. Nothing is changed."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import nftables

from . import table
from .config import Address, Config

Json = dict[str, Any]

SYSCTLS = (
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.default.rp_filter",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.all.forwarding",
)
_NAME = "egress_router_inspect"
# Any router with both families; the addresses are documentation's.
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


def sysctl(name: str) -> str | None:
    """A kernel setting; None if the kernel does not have it."""
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError:
        return None


def sysctls() -> dict[str, str | None]:
    """The settings that a router's pod takes over from its node, or that its packets meet there."""
    return {name: sysctl(name) for name in SYSCTLS}


def conntrack() -> dict[str, int | None]:
    """The limit of tracked connections, and how many the node itself tracks now."""
    found = {key: sysctl(f"net.netfilter.nf_conntrack_{key}") for key in ("max", "count")}
    return {key: None if text is None else int(text) for key, text in found.items()}


def plugins(directory: str) -> list[str] | None:
    """The CNI plugins of a directory; None if it is not there."""
    try:
        return sorted(path.name for path in Path(directory).iterdir() if path.is_file())
    except OSError:
        return None


def nft() -> Json:
    """Whether the kernel would take the router's table.

    The kernel checks a transaction as a whole and then gives it up, as `nft --check` makes it do. The table is dormant: the
    kernel hooks chains in before it gives them up, and the forward chain drops. None is what was not tried: all of it
    without NET_ADMIN, the rest after a refusal, and `rules` on a node that tracks no connections, because they would turn
    tracking on for that moment.
    """
    found: Json = {"usable": None, "concat_maps": None, "rules": None, "error": ""}
    if not _net_admin():
        # Asked without it, the library writes to standard error, which a pod's log mixes with the answer.
        return {**found, "error": "not asked, for want of the capability NET_ADMIN"}
    steps = [
        ("usable", f"table {table.FAMILY} {_NAME} {{ flags dormant; }}"),
        ("concat_maps", table.maps(_NAME)),
    ]
    if conntrack()["count"]:
        steps.append(("rules", table.skeleton(_ROUTER, _NAME, "flags dormant;")))
    checker = nftables.Nftables()
    checker.set_dry_run(True)
    for step, commands in steps:
        code, _output, error = checker.cmd(commands)
        found[step] = code == 0
        if code != 0:
            found["error"] = (str(error).strip() or f"nft ended with {code}").splitlines()[0]
            break
    return found


def _net_admin() -> bool:
    """linux/capability.h: CAP_NET_ADMIN is 12."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return bool(int(status["CapEff"], 16) & 1 << 12)
