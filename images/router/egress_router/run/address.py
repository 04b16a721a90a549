# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The egress address: net1 while this pod has the lease, and what the segment and the endpoints are told of it."""

from __future__ import annotations

import contextlib
import enum
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping

from pyroute2.netlink.exceptions import NetlinkError

from ansible_collections.egress.router.plugins.module_utils._contract import names, status

from ..config import Config
from ..kernel import reset
from ..kernel.marks import PROVOKING
from ..kernel.network import Network, NetworkError
from ..kernel.nft import FirewallError
from ..log import event, now
from ..net import IP
from ..segment import conflict
from ..segment.watch import Watch
from . import endpoints
from .lease import Elector
from .reporter import Reporter
from .rules import Rules

# The pod is ready to serve, and another one does.
STANDBY = "standby"

NETWORK_CHECK_SECONDS = 2.0
# At least, and at most half as much again: two pods that ask for the same address shall not do so in step for ever.
RETRY_SECONDS = 2.0
# How long the segment is asked for the addresses: first from the pod's own MAC address, so that another holder of the
# router's can answer; then from the router's, because a hypervisor may let only that one through.
PROBE_SECONDS = 0.6
PROBE_AGAIN_SECONDS = 0.4
# RFC 5227, 2.4: whoever claims the address once is told whose it is; a claim within this time after that is a conflict.
DEFEND_SECONDS = 10.0
# How often gateways are asked, and when one counts as silent.
GATEWAY_ASK_SECONDS = 1.0
GATEWAY_SILENT_SECONDS = 3.0
# On the way out: how long connections are provoked, and their ends may take to answer. The end takes less than a second.
PROVOKE_SECONDS = 0.3
ANSWER_SECONDS = 0.1
# Seconds after the address was taken: switches and neighbours may miss one announcement.
ANNOUNCE_AT = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


NO_CARRIER = (
    f"{names.EGRESS_INTERFACE} has no carrier: the node's interface below it, or the switch port of that, is down"
)


class Phase(enum.Enum):
    """How much of the router is on net1."""

    NOTHING = enum.auto()
    # The MAC address, or nothing any more: the segment is being asked for the addresses, or will be again.
    MAC = enum.auto()
    # Addresses and routes too: the endpoints are being published.
    ADDRESSES = enum.auto()
    # And the endpoints lead here.
    PUBLISHED = enum.auto()


class EgressAddress:
    """The address of one router. `state` and `error`: see status.Status; the state of a pod without the lease is STANDBY.

    All methods but fall() are the main thread's.
    """

    def __init__(
        self,
        config: Config,
        network: Network,
        elector: Elector,
        reporter: Reporter,
        rules: Rules,
        stop: threading.Event,
    ) -> None:
        self._config = config
        self._network = network
        self._elector = elector
        self._reporter = reporter
        self._rules = rules
        self._stop = stop
        self._ips = [address.ip for address in config.addresses]
        self._phase = Phase.NOTHING
        self._fallen = threading.Event()
        self._retry_at = 0.0
        self._check_at = 0.0
        self._announce_at: list[float] = []
        self._conflict_since = ""
        self._defended_until = 0.0
        self._watch: Watch | None = None
        self._gateways = {address.gateway: address.ip for address in config.addresses if address.gateway is not None}
        self._gateway_macs: dict[IP, str] = {}
        self._gateway_heard: dict[IP, float] = {}
        self._ask_at = 0.0
        self._impaired = False
        self.claims = 0
        self.state = STANDBY
        self.error = ""
        self.repairs: Counter[str] = Counter()

    @property
    def present(self) -> bool:
        """Whether the addresses are on net1."""
        return self._phase in (Phase.ADDRESSES, Phase.PUBLISHED)

    @property
    def gateways(self) -> dict[IP, bool]:
        """Each gateway, and whether it answers; empty while not serving."""
        silent = time.monotonic() - GATEWAY_SILENT_SECONDS
        return {ip: heard > silent for ip, heard in self._gateway_heard.items()} if self.present else {}

    @property
    def due(self) -> float:
        """When tick() has something to do at the latest (monotonic seconds)."""
        return self._announce_at[0] if self._announce_at else float("inf")

    def prepare(self) -> None:
        """Before anything else: forwarded traffic that has no way yet is refused."""
        self._network.prepare()

    def secure(self) -> None:
        """After the table is loaded: let the kernel forward, with settings that are ours instead of the node's."""
        try:
            self._network.secure()
        except (NetworkError, NetlinkError) as error:
            # Tried again before serving.
            event("settings-failed", error=error)

    def adopt(self) -> bool:
        """Go on with what an earlier process of this pod left on net1; returns whether it is complete."""
        if self._network.problem() or not self._network.taken():
            return False
        self._phase = Phase.PUBLISHED
        self._expect_gateways(answered=True)
        self.state = status.SERVING
        self.publish()
        return True

    def tick(self) -> None:
        """One step towards serving, or away from it."""
        try:
            if self._fallen.is_set() or not self._may_serve():
                self._step_down()
            elif self.present:
                self._maintain()
            elif time.monotonic() >= self._retry_at:
                self._take()
        except (NetworkError, NetlinkError, OSError) as error:
            self._fail(status.FAILED, str(error))

    def publish(self) -> None:
        """Publish the pod with the ports of the loaded rules, if the addresses are here."""
        if self.present:
            self._reporter.publish(endpoints.patches(self._config, self._rules.loaded))

    def fall(self) -> None:
        """Give everything up at once. Called by the fence's thread while the main thread may be anywhere."""
        with contextlib.suppress(NetworkError, NetlinkError):
            self._network.release()
        self._fallen.set()
        event("fenced", why="the lease was not renewed in time")

    def release(self) -> None:
        """Remove everything from net1."""
        self._phase = Phase.MAC if self._phase is not Phase.NOTHING else Phase.NOTHING
        self._announce_at = []
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        # What cannot be removed now is looked at again before serving.
        with contextlib.suppress(NetworkError, NetlinkError):
            self._network.release()

    def end(self) -> None:
        """The pod ends."""
        try:
            if self.present:
                self._reset_connections()
        finally:
            self.release()
            self._set(status.STOPPED)

    def _reset_connections(self) -> None:
        """Tell both ends of all connections that they are over; otherwise they would wait for minutes."""
        try:
            self._rules.reset_connections()
            provoked = reset.provoke(PROVOKING, time.monotonic() + PROVOKE_SECONDS)
        except (FirewallError, NetlinkError, OSError) as error:
            event("reset-failed", error=error)
            return
        if provoked:
            # Each answer is reset when it comes by.
            time.sleep(ANSWER_SECONDS)
        event("connections-reset", provoked=provoked)

    def _may_serve(self) -> bool:
        return self._elector.serves() and not self._elector.on_hold and not self._stop.is_set()

    def _step_down(self) -> None:
        """The lease is another pod's, or may be soon; or the router is on hold."""
        self._fallen.clear()
        on_hold = self._elector.serves() and self._elector.on_hold
        if self._phase is not Phase.NOTHING:
            if on_hold:
                # The slices are still this pod's, and nobody else will withdraw it.
                self._withdraw()
                if self.present:
                    self._reset_connections()
            else:
                self._reporter.forget()
            self.release()
            self._phase = Phase.NOTHING
            self._retry_at = 0.0
        self._set(status.ON_HOLD if on_hold else STANDBY)

    def _withdraw(self) -> None:
        self._reporter.publish({address.family: endpoints.NOBODY for address in self._config.addresses})

    def _take(self) -> None:
        self._set(status.STARTING, self.error)
        problem = self._network.problem()
        if problem:
            self._fail(status.FAILED, problem)
            return
        self._network.set_up()
        if not self._network.carrier():
            self._fail(status.FAILED, NO_CARRIER)
            return
        in_use = self._ask(self._network.mac(), PROBE_SECONDS)
        if not in_use and self._may_serve():
            self._phase = Phase.MAC
            self._network.claim()
            in_use = self._ask(self._config.mac, PROBE_AGAIN_SECONDS)
        if in_use:
            self.release()
            self._fail(status.CONFLICT, self._conflict(in_use))
            return
        self._conflict_since = ""
        if not self._network.take(self._may_serve):
            return
        self._phase = Phase.ADDRESSES
        self._expect_gateways(answered=False)
        self._check_at = time.monotonic() + NETWORK_CHECK_SECONDS
        self._schedule_announcements()
        self._announce()
        event("address-taken", addresses=",".join(map(str, self._ips)), mac=self._config.mac)
        self.publish()
        self._set(status.STARTING)

    def _ask(self, mac: str, seconds: float) -> dict[IP, str]:
        return conflict.probe(names.EGRESS_INTERFACE, mac, self._ips, seconds, self._stop)

    def _conflict(self, in_use: Mapping[IP, str]) -> str:
        """Who has the addresses, since when, and what to do."""
        self._conflict_since = self._conflict_since or now()
        holders = " and ".join(f"{ip} is in use by {mac}" for ip, mac in in_use.items())
        found = f"{holders}, since {self._conflict_since} at least: "
        if self._config.mac not in in_use.values():
            return found + "free it or choose another address"
        last = self._elector.predecessor
        earlier = f"pod {last.pod} on node {last.node}, which had the lease before" if last.pod else "an earlier pod"
        return (
            f"{found}that is the router's own MAC address, so it is {earlier}, or a router with the same address in another "
            "cluster. It has to end; its node may be cut off from the API server. The address is taken when nobody answers"
        )

    def _maintain(self) -> None:
        if time.monotonic() >= self._check_at:
            problem = self._network.problem()
            if problem:
                raise NetworkError(problem)
            repaired = self._network.repair(self._may_serve)
            for kind in repaired:
                self.repairs[kind] += 1
                event("repaired", kind=kind)
            if repaired:
                self._schedule_announcements()
            self._check_at = time.monotonic() + NETWORK_CHECK_SECONDS
        self._announce()
        claims = self._listen()
        if claims and not self._defend(claims):
            self._fail(status.CONFLICT, self._conflict(claims))
            return
        impairment = self._impairment()
        if self._impaired and not impairment:
            # What switches and neighbours learned may be out of date.
            self._schedule_announcements()
        self._impaired = bool(impairment)
        if self._phase is Phase.PUBLISHED or self._reporter.published:
            self._phase = Phase.PUBLISHED
        if impairment:
            # The addresses stay: nothing is won without them.
            self._set(status.FAILED, impairment)
        elif self._phase is Phase.PUBLISHED and self._gateways.keys() <= self._gateway_macs.keys():
            self._set(status.SERVING)
        else:
            self._set(status.STARTING, self._reporter.publish_error)

    def _expect_gateways(self, *, answered: bool) -> None:
        """Begin to ask the gateways; `answered`: the router is serving already, so they did."""
        self._ask_at = 0.0
        self._gateway_heard = dict.fromkeys(self._gateways, time.monotonic())
        self._gateway_macs = dict.fromkeys(self._gateways, "") if answered else {}

    def _listen(self) -> dict[IP, str]:
        """Ask the gateways if it is time, and hear what the segment says; returns who claims the router's addresses."""
        if self._watch is None:
            self._watch = Watch(names.EGRESS_INTERFACE, self._config.mac, [*self._ips, *self._gateways])
        claims = {}
        for ip, mac in self._watch.heard():
            if ip in self._gateways:
                self._gateway_heard[ip], self._gateway_macs[ip] = time.monotonic(), mac
            else:
                claims[ip] = mac
        if time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + GATEWAY_ASK_SECONDS
            for gateway, source in self._gateways.items():
                # Everybody is asked if the known MAC address did not answer lately.
                lately = time.monotonic() - self._gateway_heard[gateway] < 1.5 * GATEWAY_ASK_SECONDS
                with contextlib.suppress(OSError):
                    self._watch.ask(gateway, source, self._gateway_macs.get(gateway, "") if lately else "")
        return claims

    def _defend(self, claims: Mapping[IP, str]) -> bool:
        """Somebody claims an address that the router has: say once whose it is; False if that was done already."""
        self.claims += 1
        holders = ",".join(f"{ip} by {mac}" for ip, mac in claims.items())
        event("address-claimed", addresses=holders, defended=time.monotonic() >= self._defended_until)
        if time.monotonic() < self._defended_until:
            return False
        self._defended_until = time.monotonic() + DEFEND_SECONDS
        self._announce_at.insert(0, 0.0)
        self._announce()
        return True

    def _impairment(self) -> str:
        """Why servers cannot be reached although the addresses are here; empty if they can."""
        if not self._network.carrier():
            return NO_CARRIER
        silent = " and ".join(str(ip) for ip, answers in self.gateways.items() if not answers)
        if silent:
            return (
                f"gateway {silent} of router {self._config.router} does not answer on {names.EGRESS_INTERFACE}: check the "
                "gateway, the VLAN, and whether the hypervisor lets the router's MAC address through"
            )
        return ""

    def _schedule_announcements(self) -> None:
        start = time.monotonic()
        self._announce_at = [start + seconds for seconds in ANNOUNCE_AT]

    def _announce(self) -> None:
        """Tell the segment, if it is time."""
        if time.monotonic() < self.due:
            return
        self._announce_at.pop(0)
        try:
            conflict.announce(names.EGRESS_INTERFACE, self._config.mac, self._ips)
        except OSError as error:
            # The next check of the interface finds the reason, or repairs it.
            event("announce-failed", error=error)

    def _fail(self, state: str, error: str) -> None:
        """Not serving for a reason of this pod; tried again soon."""
        if self.present:
            self.release()
            self._withdraw()
        self._retry_at = time.monotonic() + RETRY_SECONDS * (1 + secrets.randbelow(1000) / 2000)
        self._set(state, error)

    def _set(self, state: str, error: str = "") -> None:
        if (state, error) != (self.state, self.error):
            self.state, self.error = state, error
            event("state", state=state, **({"error": error} if error else {}))
