# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The side of a pod that served before and still has connections."""

from __future__ import annotations

import time

from ..config import Config
from ..kernel import conntrack, reset
from ..kernel.fence import Fence
from ..kernel.marks import PROVOKING
from ..kernel.table import RELAY
from ..net import IP
from . import rules
from .flows import Flows, Server
from .guard import Guard
from .tunnel import Tunnels

# How long both ends of the connections have to answer, before they are forgotten: a server may be on another continent.
ANSWER_SECONDS = 1.0


class Former:
    """Its tunnel leads to the pod that serves. Methods raise RelayError, see guard.py; for one thread at a time."""

    def __init__(self, config: Config, fence: Fence) -> None:
        self._config = config
        self._tunnels = Tunnels(config)
        self._guard = Guard(fence, self._tunnels)

    @property
    def holder(self) -> IP | None:
        """Through which pod this one relays; None if it does not. Known to the kernel, so after a restart too."""
        with self._guard.translated("look for the tunnel"):
            return next((tunnel.peer for tunnel in self._tunnels.present() if tunnel.name == RELAY), None)

    @property
    def refused(self) -> int:
        """Packets to the tunnels' port that no peer sent, since the tunnel was opened."""
        return self._guard.refused()

    def open(self, holder: IP, waiting: bool = False) -> None:
        """Have connections of this pod take the tunnel when net1 is given up. While this pod serves, nothing changes.

        With `waiting`, packets wait in it until let_through().
        """
        with self._guard.translated(f"open a tunnel to {holder}"):
            before = self.holder
            self._guard.admit(holder)
            try:
                self._tunnels.open_near(holder, waiting)
            except Exception:
                self.close()
                self._guard.exclude(holder)
                raise
            self._guard.exclude(before)

    def let_through(self) -> None:
        """The other pod serves: send what waits."""
        with self._guard.translated("let packets into the tunnel"):
            self._tunnels.let_through()

    def flows(self, half_open: bool = True) -> Flows:
        """The redirected connections that this pod has and that have not ended. May be more than are relayed, see `limited`.

        Without `half_open`: but for those of TCP that only one end has opened.
        """
        with self._guard.translated("list the connections"):
            # From two addresses of the router, two connections to one server may have the same source port.
            return {Server(*server): list(dict.fromkeys(p)) for server, p in conntrack.open_ports(half_open).items()}

    def accept(self, seconds: float) -> None:
        """For so long, new connections take the tunnel too, and are named afterwards; 0: they are refused."""
        with self._guard.translated("let new connections into the tunnel"):
            self._guard.run(rules.accept(seconds))

    def reset(self, seconds: float) -> int:
        """End what is left: both ends of TCP connections are provoked for so long and told; returns how many ends.

        It takes ANSWER_SECONDS more, in which whatever an end says is answered with a reset. Connections are forgotten
        afterwards, UDP too. Without a tunnel nobody can be told.
        """
        with self._guard.translated("reset relayed connections"):
            if self.holder is None:
                conntrack.cut_all()
                return 0
            self._guard.run(rules.reset())
            provoked = reset.provoke(PROVOKING, time.monotonic() + seconds)
            if provoked:
                time.sleep(ANSWER_SECONDS)
            conntrack.cut_all()
            return provoked

    def close(self) -> None:
        """Relay no more. What is not there need not be removed."""
        with self._guard.translated("close the tunnel"):
            holder = self.holder
            self._tunnels.close(RELAY)
            if self._tunnels.present():
                # The table stays for the tunnels of others.
                self._guard.run(rules.end_reset())
            self._guard.exclude(holder)
