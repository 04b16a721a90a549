# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nftables: run commands through libnftables, commit prepared changes, read the tables back, see that somebody changed something."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import nftables

from . import elements, netfilter, permits, table
from .table import Json, Listing

_ANSWER_BYTES = 1 << 14
# The kernel makes parts of a list as large as they may be, up to 32 KiB.
_LIST_BYTES = 1 << 17


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
        """A table like the agent's, as the kernel has it now. Raises FirewallError if it is not there.

        What others change meanwhile may be in the listing or not; whoever cares compares generation() before and after.
        """
        found = Listing()
        for kind in elements.NAMES:
            for element in self._elements(name, kind):
                found.contents[element.key] = element.content
                if element.counts:
                    found.counts[element.key] = element.counts
        found.skeleton = self._skeleton(name)
        return found

    def _skeleton(self, name: str) -> list[Json]:
        # Without elements it is small, and libnftables lists it between two changes of the fence.
        self._nft.set_terse_output(True)
        try:
            listed = [self.run(f"list table {family} {name}") for family in (table.FAMILY, table.ARP_FAMILY)]
        finally:
            self._nft.set_terse_output(False)
        return table.skeleton_of(thing for one in listed for thing in json.loads(one)["nftables"])

    def _elements(self, table_name: str, name: str) -> Iterator[elements.Element]:
        try:
            self._netlink.send(elements.ask(table_name, name))
            while True:
                for kind, message in netfilter.read(self._netlink.recv(_LIST_BYTES)):
                    if kind == netfilter.DONE:
                        return
                    if kind == netfilter.ERROR:
                        netfilter.check(message)
                    elif kind == elements.ELEMENTS:
                        yield from elements.read(name, message)
        except OSError as error:
            self._discard_answers()
            raise FirewallError(str(error)) from error
