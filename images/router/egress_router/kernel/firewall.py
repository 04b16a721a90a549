# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel's nftables: load rules, read them back, notice changes by others."""

from __future__ import annotations

import threading
from dataclasses import replace

from ansible_collections.egress.router.plugins.module_utils._contract.rules import RuleSet

from ..config import Config
from . import link, table
from .fence import Fence
from .nft import FirewallError, Nft
from .ports import ALL, Ports, parts
from .table import Json, Listing, Shape

_ATTEMPTS = 5


class Firewall:
    """The agent's own table. `rules` and `rules_hash` are what was last read back from the kernel.

    All methods but listing() and reset_connections() are the main thread's.
    """

    def __init__(self, config: Config, fence: Fence | None = None) -> None:
        self._config = config
        self._fence = fence or Fence()
        self._nft = Nft()
        # For others than the main thread, which never waits for them.
        self._reader = Nft()
        self._reading = threading.Lock()
        self._generation = -1
        every = parts(config.replicas)
        self._shape = Shape(every[0], None if len(every) == 1 else link.tunnel_mtu(config.pod_ips[0].version))
        self._skeleton = self._reference()
        self._wanted = RuleSet()
        self._last = Listing()
        self._set_rules(RuleSet())

    def adopt(self) -> bool:
        """Take over what an earlier process of this pod left in the kernel; otherwise load an empty table."""
        listing = self._list(self._nft)
        if listing is not None and listing.ports() in parts(self._config.replicas):
            self._reshape(listing.ports() or ALL)
        if listing is None or listing.skeleton != self._skeleton:
            self._load(None, RuleSet(), set())
            self._read_back(RuleSet())
            return False
        self._wanted = listing.rules()
        self._set_rules(self._wanted)
        # An incomplete rule is not adopted: the first repair removes what is left of it.
        self._generation = -1
        return True

    def apply(self, rules: RuleSet) -> set[int]:
        """Make `rules` the kernel's in one transaction and read them back; returns the marks of connections to cut.

        If what is read back differs, the rules before are loaded again. Raises FirewallError.
        """
        before = self._wanted
        renew = table.revoked(before, rules)
        # The last listing is still valid if nobody changed anything since; listing is the slow part.
        listing = self._last if self._changes() == self._generation else self._list(self._nft)
        self._load(listing, rules, renew)
        try:
            self._read_back(rules)
        except FirewallError:
            # As a whole: what the kernel has now is not known.
            self._wanted = before
            self._load(None, before, set())
            self._read_back(before)
            raise
        return renew

    def repair(self) -> bool:
        """Restore what others changed since the last call. Costs one small message if nobody did."""
        generation = self._changes()
        if generation == self._generation and self._fence.restored:
            return False
        self._fence.reassert()
        listing = self._list(self._nft)
        if not self._load(listing, self._wanted, set()):
            # A change to another table, or one that was undone.
            self._generation = generation
            self._last = listing or Listing()
            return False
        self._read_back(self._wanted)
        return True

    @property
    def ports(self) -> Ports:
        """The source ports of new connections."""
        return self._shape.ports

    def use_ports(self, ports: Ports) -> None:
        """Have new connections use these source ports; those that are there keep theirs. Raises FirewallError."""
        if ports == self.ports:
            return
        self._nft.run(table.change_ports(self._config, ports))
        self._reshape(ports)

    def reset_connections(self) -> None:
        """The pod leaves the address to another: reset what is redirected, until the next repair(). For any thread."""
        Nft().run(table.reset())

    def listing(self) -> Listing:
        """The table as the kernel has it now; empty if it is gone. For any thread."""
        with self._reading:
            return self._list(self._reader) or Listing()

    def _list(self, nft: Nft) -> Listing | None:
        """The table as it was at one moment, but for what the fence changes; None if it is gone.

        Somebody who changes tables all the time is not waited for: the next repair() sees what is wrong then.
        """
        listing = None
        for _attempt in range(_ATTEMPTS):
            before = self._changes(nft)
            listing = nft.listing()
            if self._changes(nft) == before:
                break
        return listing

    def _load(self, listing: Listing | None, rules: RuleSet, renew: set[int]) -> bool:
        """Turn the table, which is as in `listing`, into that of `rules`; returns whether anything differed."""
        if listing is None or listing.skeleton != self._skeleton:
            with self._fence.lock:
                self._nft.run(table.rebuild(self._config, self._shape, rules))
                self._fence.restore()
            return True
        commands = table.delta(listing.contents, table.contents(rules), renew)
        if commands:
            self._nft.run(commands)
        return bool(commands)

    def _changes(self, nft: Nft | None = None) -> int:
        """The number of the kernel's last nftables transaction, without the fence's own: they change no rule."""
        with self._fence.lock:
            return (nft or self._nft).generation() - self._fence.commits

    def _reshape(self, ports: Ports) -> None:
        if ports != self.ports:
            self._shape = replace(self._shape, ports=ports)
            self._skeleton = self._reference()
            self._generation = -1

    def _reference(self) -> list[Json]:
        """What nft lists of an unchanged table: created under another name, dormant (no hook runs), and removed again."""
        name = f"{table.NAME}_reference"
        self._nft.run(table.skeleton(self._config, self._shape, name, "flags dormant;"))
        listing = self._nft.read(name)
        self._nft.run(table.delete(name))
        return listing.skeleton

    def _read_back(self, wanted: RuleSet) -> None:
        self._wanted = wanted
        # Read before the listing, so that the next repair notices any later change.
        self._generation = self._changes()
        self._last = listing = self._list(self._nft) or Listing()
        self._set_rules(listing.rules())
        if self.rules != wanted or listing.skeleton != self._skeleton:
            self._generation = -1
            raise FirewallError(
                f"{len(wanted.rules)} rules were loaded, and those that were read back are not the same: "
                "another process may be changing the table"
            )

    def _set_rules(self, rules: RuleSet) -> None:
        self.rules = rules
        # Kept, because the agent needs it several times a second and it is slow for thousands of rules.
        self.rules_hash = rules.hash()
