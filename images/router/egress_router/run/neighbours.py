# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the segment says while the pod runs: whether the router's gateways answer, and who claims its addresses."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable

from ansible_collections.egress.router.plugins.module_utils._contract import names

from ..config import Config
from ..net import IP
from ..segment import frames
from ..segment.watch import Watch

# How often gateways are asked.
ASK_SECONDS = 0.25
# Silence is that of so many questions at least: who was not asked, because this process had no processor, is not silent.
QUESTIONS = 3
# A gateway that was silent while the pod served counts as silent for so long, if the pod cannot find out more afterwards.
DOUBT_SECONDS = 60.0


class Neighbours:
    """Asks the gateways and hears the segment, from the router's addresses while the pod serves, otherwise from its own MAC address.

    For one thread. `gateways` is for any.
    """

    def __init__(self, config: Config, may_serve: Callable[[], bool]) -> None:
        self._config = config
        self._may_serve = may_serve
        self._ips = [address.ip for address in config.addresses]
        # Asked from the first address of the family.
        firsts = [config.addresses_of(family)[0] for family in config.families]
        own = {address.family: address.ip for address in firsts}
        gateways = [address.gateway for address in firsts if address.gateway is not None]
        # Without these the router does not serve; those of its routes are asked too.
        self.required = set(gateways)
        others = (route.gateway for route in config.routes)
        self._gateways = {gateway: own[gateway.version] for gateway in (*gateways, *others)}
        self._macs: dict[IP, str] = {}
        self._heard: dict[IP, float] = {}
        # How often each was asked since.
        self._asked: Counter[IP] = Counter()
        # Gateways that answer a pod that does not serve, and until when the others count as silent.
        self._answering: set[IP] = set()
        self._doubted_until: dict[IP, float] = {}
        self._ask_at = 0.0
        self._watch: Watch | None = None
        self._mac = ""
        self._serving = False

    def serve(self, *, answered: bool) -> None:
        """From now on as the router; `answered`: it serves already, so the gateways did."""
        self._begin(self._config.mac, serving=True)
        self._macs = dict.fromkeys(self._gateways, "") if answered else {}

    def stand_by(self, mac: str) -> None:
        """From now on as a pod that serves nobody, with a MAC address of its own."""
        if not self._serving and mac == self._mac:
            return
        now = time.monotonic()
        silent = {ip: self._heard[ip] for ip, answers in self.gateways(1.0).items() if not answers and self._serving}
        self._doubted_until.update(dict.fromkeys(silent, now + DOUBT_SECONDS))
        self._begin(mac, serving=False)
        # Still, for the pod that serves now, and sees the same.
        self._heard.update(silent)
        self._asked.update(dict.fromkeys(silent, QUESTIONS))
        self._macs = {}

    def close(self) -> None:
        """Hear nothing, and know nothing, until the next call."""
        self._mac = ""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    @property
    def all_known(self) -> bool:
        """Whether each gateway has answered that the router needs to serve."""
        return self.required <= self._macs.keys()

    def gateways(self, seconds: float) -> dict[IP, bool]:
        """Each gateway, and whether it answered in the last `seconds`.

        A standby's question may be dropped on its way, so without any answer so far nothing is known.
        """
        now = time.monotonic()
        known = {
            ip
            for ip in self._gateways
            if self._serving or ip in self._answering or now < self._doubted_until.get(ip, 0)
        }
        return {
            ip: at > now - seconds or self._asked[ip] < QUESTIONS or ip not in known
            for ip, at in self._heard.copy().items()
        }

    def listen(self) -> dict[IP, str]:
        """Ask the gateways if it is time, and hear; returns who claims the router's addresses. Raises OSError."""
        if self._watch is None:
            addresses = [*self._ips, *self._gateways]
            self._watch = Watch(names.EGRESS_INTERFACE, self._mac, addresses, direct=not self._serving)
        claims = {}
        for ip, mac in self._watch.heard():
            if ip in self._gateways:
                self._heard[ip], self._macs[ip] = time.monotonic(), mac
                self._asked[ip] = 0
                self._doubted_until.pop(ip, None)
                if not self._serving:
                    self._answering.add(ip)
            elif self._serving:
                claims[ip] = mac
        if time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + ASK_SECONDS
            for gateway in self._gateways:
                self._ask(self._watch, gateway)
        return claims

    def _begin(self, mac: str, *, serving: bool) -> None:
        self.close()
        self._mac, self._serving = mac, serving
        self._ask_at = 0.0
        self._asked.clear()
        self._heard = dict.fromkeys(self._gateways, time.monotonic())

    def _ask(self, watch: Watch, gateway: IP) -> None:
        source: IP | None = self._gateways[gateway]
        if self._serving and not self._may_serve():
            # The kernel's fence does not see these frames.
            return
        if not self._serving:
            # Nobody shall learn another MAC address for the router's.
            source = None if gateway.version == 4 else frames.link_local(frames.mac_bytes(self._mac))
        # Everybody is asked if the known MAC address did not answer lately.
        lately = time.monotonic() - self._heard[gateway] < 1.5 * ASK_SECONDS
        self._asked[gateway] += 1
        with contextlib.suppress(OSError):
            watch.ask(gateway, source, self._macs.get(gateway, "") if lately else "")
