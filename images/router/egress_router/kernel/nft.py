# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nftables: run commands through libnftables, commit prepared changes, read the tables back, see that somebody changed something."""

from __future__ import annotations

import contextlib
import json

import nftables

from . import netfilter, permits, table
from .table import Listing

_ANSWER_BYTES = 1 << 14


class FirewallError(Exception):
    """The kernel refused; the message is nft's own."""


class Nft:
    """One context of libnftables. Each is for one thread at a time."""

    def __init__(self) -> None:
        self._nft = nftables.Nftables()
        self._nft.set_json_output(True)
        self._nft.set_numeric_proto_output(True)
        self._netlink = netfilter.connect()
        # When the kernel has taken a message, it has answered.
        self._netlink.setblocking(False)
        self._sequence = 0

    def run(self, commands: str) -> str:
        """Run `commands` as one transaction; returns the output. Raises FirewallError."""
        code, output, error = self._nft.cmd(commands)
        if code != 0:
            text = str(error).strip() or f"nft ended with {code}"
            raise FirewallError(text.splitlines()[0])
        return str(output)

    def commit(self, changes: list[bytes]) -> None:
        """Make changes of `permits` as one transaction. Raises FirewallError."""
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        try:
            self._netlink.send(permits.transaction(changes, self._sequence))
            # Each answer is a message of its own; what the kernel refuses comes before what it was asked to confirm.
            while not netfilter.confirms(self._netlink.recv(_ANSWER_BYTES), self._sequence):
                pass
        except OSError as error:
            self._discard_answers()
            raise FirewallError(str(error)) from error

    def generation(self) -> int:
        """The number of the kernel's last nftables transaction. Packets and counters do not change it. Raises OSError."""
        self._netlink.send(permits.GET_GENERATION)
        return permits.generation(self._netlink.recv(_ANSWER_BYTES))

    def _discard_answers(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._netlink.recv(_ANSWER_BYTES)

    def listing(self) -> Listing | None:
        """The agent's table as the kernel has it now; None if it is gone."""
        try:
            return self.read(table.NAME)
        except FirewallError:
            return None

    def read(self, name: str) -> Listing:
        """A table like the agent's, as the kernel has it now. Raises FirewallError if it is not there."""
        # As a whole: with as many rules as a router takes, and /metrics and /rules asked all the time, the agent needs at most
        # 131 MiB of the pod's 256 (test_limit.py), so listing the table in parts would save nothing that anybody lacks.
        families = (table.FAMILY, table.ARP_FAMILY)
        return table.parse(
            thing for family in families for thing in json.loads(self.run(f"list table {family} {name}"))["nftables"]
        )
