# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The side of the pod that serves: for each pod that served before and still has connections, a tunnel and its flows."""

from __future__ import annotations

import ipaddress
import itertools
import time
from collections.abc import Iterable, Iterator

from ..config import Config
from ..kernel import conntrack
from ..kernel.conntrack import Path
from ..kernel.fence import Fence
from ..kernel.ports import Ports, choose, overlap
from ..net import IP
from . import rules, tunnel
from .flows import Flows, Server, without
from .guard import Guard
from .tunnel import Tunnels


class Holder:
    """Its tunnels lead to pods that relay. Methods raise RelayError, see guard.py; for one thread at a time."""

    def __init__(self, config: Config, fence: Fence) -> None:
        self._config = config
        self._tunnels = Tunnels(config)
        self._guard = Guard(fence, self._tunnels)
        self._flows: dict[IP, dict[Server, list[int]]] = {}
        self._seconds = 0
        self._reserved: Ports | None = None
        # What new connections use soon, if not yet.
        self._chosen: Ports | None = None
        # What is relayed without a name, and until when.
        self._accepted: dict[IP, tuple[Ports, float]] = {}

    @property
    def peers(self) -> list[IP]:
        """The pods that relay through this one. Known to the kernel, so after a restart too."""
        with self._guard.translated("look for tunnels"):
            return [one.peer for one in self._tunnels.present() if one.name == tunnel.far_name(one.peer)]

    @property
    def refused(self) -> int:
        """Packets to the tunnels' port that no peer sent, since the first of the tunnels was opened."""
        return self._guard.refused()

    def adopt(self, seconds: int) -> list[IP]:
        """The tunnels that an earlier process of this pod left go on, and flows that are named again last for `seconds`."""
        self._seconds = seconds
        return self.peers

    def open(self, peer: IP, seconds: int) -> None:
        """Take packets of `peer` for servers, and have none for it yet. Its flows are forgotten `seconds` after they came."""
        with self._guard.translated(f"open a tunnel to {peer}"):
            self._guard.admit(peer)
            try:
                name = self._tunnels.open_far(peer)
                self._guard.run(rules.relay(self._config, tunnel.number(peer), name, seconds))
            except Exception:
                self.close(peer)
                raise
            self._flows[peer] = {}
            self._seconds = max(self._seconds, seconds)

    def add(self, peer: IP, flows: Flows) -> None:
        """From now on these are relayed to `peer`, for as long as open() said; those that are relayed already last as long."""
        with self._guard.translated(f"relay to {peer}"):
            new = without(flows, self._flows.get(peer, {}))
            for commands in rules.flows(tunnel.number(peer), new):
                self._guard.run(commands)
            for commands in rules.flows(tunnel.number(peer), without(flows, new), rules.RENEW):
                self._guard.run(commands)
            known = self._flows.setdefault(peer, {})
            for server, ports in new.items():
                known.setdefault(server, []).extend(ports)
            self._reserve(new)

    def accept(self, peer: IP, ports: Ports, seconds: float) -> bool:
        """For so long, relay to `peer` whatever has these source ports, as new connections that are not named yet have.

        Returns whether it does: not if connections of this pod have, or may get, such ports.
        """
        with self._guard.translated(f"relay new connections to {peer}"):
            first, last = ports
            own = (port for some in conntrack.open_ports().values() for port in some)
            if self._reserved is None or any(overlap(ports, one) for one in (self._reserved, self._chosen) if one):
                return False
            if any(first <= port <= last for port in own):
                return False
            self._accepted[peer] = ports, time.monotonic() + seconds
            self._guard.run(rules.accept_far(tunnel.number(peer), ports, seconds))
            return True

    def ports(self, current: Ports, others: Iterable[int] = (), coming: Iterable[tuple[Ports, float]] = ()) -> Ports:
        """The source ports for new connections of this pod, which none of the relayed ones use if that can be, nor `others`.

        What is relayed without a name is used by nobody else; nor is, if that can be, what will be: `coming`, each until a time.
        """
        relayed = (port for flows in self._flows.values() for ports in flows.values() for port in ports)
        now = time.monotonic()
        closed = [ports for ports, until in self._accepted.values() if until > now]
        soon = [(ports, until) for ports, until in coming if until > now]
        self._chosen = choose(self._config.replicas, current, itertools.chain(relayed, others), closed, soon)
        return self._chosen

    def reserve(self, ports: Ports) -> None:
        """Give none of the relayed ones of these `ports` to a new connection of this pod, which uses `ports`."""
        with self._guard.translated("reserve source ports"):
            if self._reserved is not None and any(
                True for flows in self._flows.values() for _one in self._paths(flows, *ports)
            ):
                # They would end before the connections that are named again and again.
                conntrack.free_reserved()
            self._reserved = ports
            for flows in self._flows.values():
                self._reserve(flows)

    def _reserve(self, flows: Flows) -> None:
        if self._reserved is not None:
            conntrack.reserve(self._paths(flows, *self._reserved), self._seconds)

    def _paths(self, flows: Flows, first: int, last: int) -> Iterator[Path]:
        for server, ports in flows.items():
            ip = ipaddress.ip_address(server.address)
            # It is not said which of the addresses they have.
            for address in self._config.addresses_of(ip.version):
                for port in ports:
                    if first <= port <= last:
                        yield Path(server.protocol, ip, server.port, address.ip, port)

    def close(self, peer: IP) -> None:
        """Relay nothing of `peer` any more. What is not there need not be removed."""
        with self._guard.translated(f"close the tunnel to {peer}"):
            self._flows.pop(peer, None)
            self._accepted.pop(peer, None)
            self._guard.run(rules.delete("netdev", rules.table_name(tunnel.number(peer))))
            self._tunnels.close(tunnel.far_name(peer))
            self._guard.exclude(peer)
            if not self._flows:
                # As long as there are any, what is reserved for others ends by itself.
                conntrack.free_reserved()

    def close_all(self) -> None:
        """This pod does not serve any more, or ends."""
        for peer in self.peers:
            self.close(peer)
        self._flows.clear()
        self._accepted.clear()
        self._reserved = self._chosen = None
