# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking the segment for the router's addresses: whether another host has them, or is about to."""

from __future__ import annotations

import threading
import time

from pyroute2.netlink.exceptions import NetlinkError

from ansible_collections.egress.router.plugins.module_utils._contract import names

from ..config import Config
from ..kernel.fence import Fence
from ..kernel.network import Network, NetworkError
from ..net import IP
from ..segment import conflict

# Of the time: from the pod's own MAC address, so that another holder of the router's can answer; the rest from the router's,
# because a hypervisor may let only that one through.
OWN = 2 / 3
# What was claimed is used within this, or not at all.
TIDY_SECONDS = 2.0


class Question:
    """Asks. `in_use`: what was answered last, by address the MAC address that has it; `error`: why it could not be asked.

    `at`: when that was (monotonic seconds). For any thread; one asks at a time.
    """

    def __init__(self, config: Config, network: Network, fence: Fence, stop: threading.Event) -> None:
        self._config = config
        self._network = network
        self._fence = fence
        self._stop = stop
        self._lock = threading.Lock()
        self._ips = [address.ip for address in config.addresses]
        self.in_use: dict[IP, str] = {}
        self.error = ""
        self.at = 0.0

    def silent(self, seconds: float) -> bool:
        """Ask for `seconds`; returns whether nobody answered. Then net1 has the router's MAC address, which is to be used soon."""
        with self._lock:
            error = ""
            in_use: dict[IP, str] = {}
            try:
                in_use = self._ask(seconds)
            except (NetworkError, NetlinkError, OSError) as reason:
                error = str(reason)
            self.in_use, self.error, self.at = in_use, error, time.monotonic()
            if in_use or error:
                self.give_up()
            return not (in_use or error or self._stop.is_set())

    def tidy(self) -> None:
        """Give net1 its own MAC address if it was claimed a while ago, and not used."""
        if self._lock.acquire(blocking=False):
            try:
                if time.monotonic() > self.at + TIDY_SECONDS and self._network.mac() == self._config.mac:
                    self.give_up()
            finally:
                self._lock.release()

    def give_up(self) -> None:
        """Give net1 its own MAC address again, unless the pod serves."""
        try:
            self._network.release(unless=lambda: self._fence.serves)
        except (NetworkError, NetlinkError) as error:
            self.error = self.error or str(error)

    def _ask(self, seconds: float) -> dict[IP, str]:
        self._network.set_up()
        own = self._network.own_mac()
        if self._network.mac() == self._config.mac:
            # An earlier process of this pod left it so, and the kernel may serve.
            return self._probe(self._config.mac, own, seconds)
        in_use = self._probe(own, own, seconds * OWN)
        if not in_use and not self._stop.is_set() and not self._fence.serves:
            self._network.claim()
            in_use = self._probe(self._config.mac, own, seconds * (1 - OWN))
        return in_use

    def _probe(self, mac: str, own: str, seconds: float) -> dict[IP, str]:
        return conflict.probe(
            names.EGRESS_INTERFACE, mac, self._ips, seconds, self._stop, own=own, router=self._config.mac
        )
