# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nftables through libnftables: run commands, read the agent's tables back, see that somebody changed something."""

from __future__ import annotations

import json

import nftables
from pyroute2.netlink.nfnetlink.nftsocket import NFT_MSG_GETGEN, NFTSocket, nft_gen_msg

from . import table
from .table import Listing


class FirewallError(Exception):
    """The kernel refused; the message is nft's own."""


class Nft:
    """One context of libnftables. Each is for one thread at a time."""

    def __init__(self) -> None:
        self._nft = nftables.Nftables()
        self._nft.set_json_output(True)
        self._nft.set_numeric_proto_output(True)
        self._netlink = NFTSocket()

    def run(self, commands: str) -> str:
        """Run `commands` as one transaction; returns the output. Raises FirewallError."""
        code, output, error = self._nft.cmd(commands)
        if code != 0:
            text = str(error).strip() or f"nft ended with {code}"
            raise FirewallError(text.splitlines()[0])
        return str(output)

    def generation(self) -> int:
        """The number of the kernel's last nftables transaction. Packets and counters do not change it."""
        (answer,) = self._netlink.request_get(nft_gen_msg(), NFT_MSG_GETGEN)
        return int(answer.get_attr("NFTA_GEN_ID"))

    def listing(self) -> Listing | None:
        """The agent's table as the kernel has it now; None if it is gone."""
        try:
            return self.read(table.NAME)
        except FirewallError:
            return None

    def read(self, name: str) -> Listing:
        """A table like the agent's, as the kernel has it now. Raises FirewallError if it is not there."""
        families = (table.FAMILY, table.ARP_FAMILY)
        return table.parse(
            thing for family in families for thing in json.loads(self.run(f"list table {family} {name}"))["nftables"]
        )
