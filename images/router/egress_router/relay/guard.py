# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may send to the tunnels' port: a table that is there while there are tunnels. And whether this kernel can relay."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import nftables
from pyroute2.netlink.exceptions import NetlinkError

from ..config import Config
from ..kernel.fence import Fence
from ..kernel.nft import FirewallError, Nft
from ..net import IP
from . import rules
from .errors import RelayError
from .tunnel import Tunnels

_TRIAL = "relay_trial"


class Guard:
    """The table of both sides. The kernel changes through the fence, which counts the agent's own changes."""

    def __init__(self, fence: Fence, tunnels: Tunnels) -> None:
        self._fence = fence
        self._tunnels = tunnels
        self._reader = Nft()

    def run(self, commands: str) -> None:
        """Run nft commands. Raises FirewallError."""
        self._fence.run(commands)

    def admit(self, peer: IP) -> None:
        """Let `peer` send to the port."""
        if not self._tunnels.present():
            self.run(rules.guard())
        self.run(rules.peer("add", peer))

    def exclude(self, peer: IP | None) -> None:
        """`peer` has no tunnel any more; without any, the table goes."""
        left = [tunnel.peer for tunnel in self._tunnels.present()]
        if not left:
            self.run(rules.delete("inet", rules.GUARD))
        elif peer is not None and peer not in left:
            # Adding first makes the deletion right whether it is there or not.
            self.run(rules.peer("add", peer) + rules.peer("delete", peer))

    def refused(self) -> int:
        """Packets that were dropped, 0 without the table."""
        try:
            listed = json.loads(self._reader.run(f"list counter inet {rules.GUARD} refused"))
        except FirewallError:
            return 0
        return next((int(one["counter"]["packets"]) for one in listed["nftables"] if "counter" in one), 0)

    @staticmethod
    @contextlib.contextmanager
    def translated(what: str) -> Iterator[None]:
        """Everything that the kernel refuses as a RelayError."""
        try:
            yield
        except (FirewallError, NetlinkError, OSError) as error:
            raise RelayError(f"cannot {what}: {error}") from error


def unsupported(config: Config) -> str:
    """Why this kernel cannot relay; empty if it can. Nothing is left of the question."""
    checker: Any = nftables.Nftables()
    checker.set_dry_run(True)
    code, _output, error = checker.cmd(rules.trial())
    if code != 0:
        reason = (str(error).strip() or f"nft ended with {code}").splitlines()[0]
        return f"the kernel does not forward between interfaces by nftables (nf_tables' fwd and dup of family netdev): {reason}"
    try:
        Tunnels(config).try_one(_TRIAL)
    except (NetlinkError, OSError) as failure:
        return f"the kernel makes no VXLAN interface: {failure}"
    return ""
