# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The egress address: net1 while the kernel may serve, ready to take it while another pod does, and what the segment is told."""

from __future__ import annotations

import contextlib
import enum
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping

from pyroute2.netlink.exceptions import NetlinkError

from ansible_collections.egress.router.plugins.module_utils._contract import names, status

from ..config import Config
from ..kernel import reset
from ..kernel.fence import Fence
from ..kernel.marks import PROVOKING
from ..kernel.network import MacInUseError, Network, NetworkError
from ..kernel.nft import FirewallError
from ..log import event, now
from ..net import IP
from ..segment import conflict
from . import endpoints
from .driver import Driver
from .neighbours import Neighbours
from .publisher import Publisher
from .question import Question
from .rules import Rules
from .take_over import TakeOvers

# The pod could serve, and another one does.
STANDBY = "standby"

# How often the settings are looked at, and how often everything is; at once when the kernel says that something has changed.
NETWORK_CHECK_SECONDS = 2.0
EVERYTHING_SECONDS = 30.0
# A standby looks at everything so much later: what has just changed is often the tunnel of a pod that is about to hand over, or its
# own net1, and an update of the image has the holder hand over a second after the new pod could serve.
SETTLE_SECONDS = 3.0
# At least, and at most half as much again: two pods that ask for the same address shall not do so in step for ever.
RETRY_SECONDS = 2.0
# Another pod of the node that hands over gives up the MAC address in a moment: how often that is tried, and for how long.
RETRY_SOON_SECONDS = 0.05
SOON_SECONDS = 3.0
# How long the segment is asked for the addresses after somebody else had them, and for how long an answer counts.
ASK_SECONDS = 0.9
FRESH_SECONDS = 8.0
# RFC 5227, 2.4: whoever claims the address once is told whose it is; a claim within this time after that is a conflict.
DEFEND_SECONDS = 10.0
# How often an answer of the gateway is looked for, when nothing else is missing for the pod to serve.
ANSWER_SOON_SECONDS = 0.02
# When a silent gateway makes another pod that reaches it the better one, and when it counts as gone.
GATEWAY_DOUBT_SECONDS = 1.0
GATEWAY_SILENT_SECONDS = 3.0
# On the way out: how long connections are provoked, and their ends may take to answer. The end takes less than a second.
PROVOKE_SECONDS = 0.3
ANSWER_SECONDS = 0.3
# Seconds after the address was taken: switches and neighbours may miss one announcement.
ANNOUNCE_AT = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


NO_CARRIER = (
    f"{names.EGRESS_INTERFACE} has no carrier: the node's interface below it, or the switch port of that, is down"
)


class Phase(enum.Enum):
    """How much of the router is on net1."""

    NOTHING = enum.auto()
    # Addresses and routes: the endpoints are being published.
    ADDRESSES = enum.auto()
    # And the endpoints lead here.
    PUBLISHED = enum.auto()


class EgressAddress:
    """The address of one router. `state` and `error`: see status.Status; the state of a pod that could serve is STANDBY.

    `unable`: why this pod could not serve, as far as net1 and its segment go; empty if it could. `taken`: called as soon as the address
    is here, before what nobody waits for. All methods are one thread's.
    """

    def __init__(
        self,
        config: Config,
        network: Network,
        fence: Fence,
        driver: Driver,
        question: Question,
        take_overs: TakeOvers,
        publisher: Publisher,
        rules: Rules,
    ) -> None:
        self._config = config
        self._network = network
        self._fence = fence
        self._driver = driver
        self._question = question
        self._take_overs = take_overs
        self._publisher = publisher
        self._rules = rules
        self._neighbours = Neighbours(config, self._may_serve)
        self._announcer = conflict.Announcer(names.EGRESS_INTERFACE)
        self._ips = [address.ip for address in config.addresses]
        self._phase = Phase.NOTHING
        self._ended = False
        # Somebody else may have the address although the kernel may serve: the router was on hold, or there was a conflict.
        self._ask_first = False
        self._retry_at = 0.0
        self._soon_until = 0.0
        self._check_at = self._everything_at = 0.0
        self._announce_at: list[float] = []
        self._conflict_since = ""
        self._defended_until = 0.0
        self._blocked = ""
        self._impaired = False
        self.taken: Callable[[], None] = lambda: None
        self.claims = 0
        self.state = STANDBY
        self.error = ""
        self.unable = ""
        self.repairs: Counter[str] = Counter()

    @property
    def present(self) -> bool:
        """Whether the addresses are on net1."""
        return self._phase is not Phase.NOTHING

    @property
    def gateways(self) -> dict[IP, bool]:
        """Each gateway, and whether it answers; empty while not serving."""
        return self._neighbours.gateways(GATEWAY_SILENT_SECONDS) if self.present else {}

    @property
    def routes_error(self) -> str:
        """Which gateways of its routes do not answer, and what is not reached; empty if all do. The others are served."""
        gateways = self.gateways
        silent = [route for route in self._config.routes if not gateways.get(route.gateway, True)]
        return "; ".join(
            f"gateway {route.gateway} of the route to {route.network} does not answer on {names.EGRESS_INTERFACE}"
            for route in silent
        )

    @property
    def due(self) -> float:
        """When tick() has something to do at the latest (monotonic seconds)."""
        if self.present and (self.state, self.error) == (status.STARTING, ""):
            # An answer of the gateway is all that is missing.
            return time.monotonic() + ANSWER_SOON_SECONDS
        retry = self._retry_at if self._may_serve() and not self.present else float("inf")
        return min(retry, self._announce_at[0] if self._announce_at else float("inf"))

    def prepare(self) -> None:
        """Before anything else: forwarded traffic that has no way yet is refused."""
        self._network.prepare()

    def secure(self) -> None:
        """After the table is loaded: let the kernel forward, with settings that are ours instead of the node's."""
        try:
            self._network.secure()
        except (NetworkError, NetlinkError) as error:
            # Tried again all the time.
            event("settings-failed", error=error)

    def adopt(self) -> bool:
        """Go on with what an earlier process of this pod left on net1; returns whether it is complete."""
        if self._network.problem() or not self._network.taken():
            return False
        self._phase = Phase.PUBLISHED
        self._neighbours.serve(answered=True)
        self.state = status.SERVING
        self.publish()
        return True

    def tick(self) -> None:
        """One step towards serving, or away from it."""
        if self._ended:
            return
        try:
            if not self._may_serve():
                self._step_down()
                self._stand_by()
            elif self.present:
                self._maintain()
            elif time.monotonic() >= self._retry_at:
                self._take()
        except MacInUseError as error:
            self._soon_until = self._soon_until or time.monotonic() + SOON_SECONDS
            self._fail(status.FAILED, str(error), soon=time.monotonic() < self._soon_until)
        except (NetworkError, NetlinkError, OSError) as error:
            self._fail(status.FAILED, str(error))

    def publish(self) -> None:
        """Publish the pod with the ports of the loaded rules, if the addresses are here. For any thread."""
        if self.present:
            self._publisher.publish(endpoints.patches(self._config, self._rules.loaded))

    def release(self) -> None:
        """Remove everything from net1."""
        self._phase = Phase.NOTHING
        self._announce_at = []
        self._neighbours.close()
        # What cannot be removed now is looked at again before serving.
        with contextlib.suppress(NetworkError, NetlinkError):
            self._network.release()

    def divert(self) -> None:
        """Packets take a relay's way from now on, if there is one. For any thread."""
        # What the kernel does not do is left to release().
        with contextlib.suppress(NetworkError, NetlinkError):
            self._network.divert()

    def hand_over(self) -> None:
        """Another pod is to serve; if nothing comes of it, the address is taken again."""
        self._publisher.forget()
        self.release()

    def end(self) -> None:
        """The pod ends: nothing is done by tick() any more."""
        self._ended = True
        self.release()
        self._set(status.STOPPED)

    def reset_connections(self) -> None:
        """Tell both ends of all connections that they are over; otherwise they would wait for minutes. While the kernel serves."""
        if not self.present:
            return
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
        return self._fence.serves and not self._driver.on_hold

    def _step_down(self) -> None:
        """The right is another pod's, or may be soon; or the router is on hold."""
        if self._driver.on_hold and self._fence.serves:
            self._ask_first = True
        if self.present:
            if self._driver.on_hold and self._fence.serves:
                # The slices are still this pod's, and nobody else will withdraw it.
                self._withdraw()
                self.reset_connections()
                self._rules.end_reset()
            else:
                self._publisher.forget()
            self.release()
            event("address-released", on_hold=self._driver.on_hold)
        self._retry_at = self._soon_until = 0.0

    def _stand_by(self) -> None:
        """Be ready to take the address in one step, and know whether that could be."""
        due, everything = self._check_due(SETTLE_SECONDS)
        if self._blocked:
            # Looked at all the time, and then at everything.
            due = everything = True
        if due:
            self._blocked = self._network.problem()
        if due and not self._blocked:
            self._question.tidy()
            if everything:
                self._network.set_up()
            self._network.secure(settings_only=not everything)
        if not self._blocked and not self._network.carrier():
            self._blocked = NO_CARRIER
        self.unable = self._blocked or self._unreachable()
        self._set(*self._waiting())

    def _unreachable(self) -> str:
        """Which gateways answered a standby before, and do not any more; a little later than the one that serves would say so."""
        own = self._network.own_mac()
        if self._network.mac() != own:
            # The segment is being asked for the router's addresses.
            self._neighbours.close()
            return ""
        self._neighbours.stand_by(own)
        with contextlib.suppress(OSError):
            self._neighbours.listen()
        return self._silent(1.5 * GATEWAY_DOUBT_SECONDS)

    def _waiting(self) -> tuple[str, str]:
        """State and error of a pod that does not serve."""
        question, holding = self._question, self._driver.holding
        if holding and self._driver.on_hold:
            return status.ON_HOLD, ""
        if self.unable:
            return status.FAILED, self.unable
        if time.monotonic() < question.at + FRESH_SECONDS:
            if question.in_use:
                return status.CONFLICT, self._conflict(question.in_use)
            if question.error:
                return status.FAILED, question.error
        return (status.STARTING, "") if holding else (STANDBY, "")

    def _withdraw(self) -> None:
        self._publisher.publish(dict.fromkeys(self._config.families, endpoints.NOBODY))

    def _take(self) -> None:
        if self._retry_at:
            # At the first attempt that was seen a moment ago.
            self._blocked = self._network.problem() or ("" if self._network.carrier() else NO_CARRIER)
            self.unable = self._blocked
        if self._blocked:
            self._fail(status.FAILED, self._blocked)
            return
        if self._ask_first:
            if not self._question.silent(ASK_SECONDS):
                in_use = self._question.in_use
                self._fail(
                    *(status.CONFLICT, self._conflict(in_use)) if in_use else (status.FAILED, self._question.error)
                )
                return
            self._ask_first = False
        began = time.monotonic()
        if not self._network.take(self._may_serve):
            return
        self._phase = Phase.ADDRESSES
        self._schedule_announcements()
        self._announce()
        self.taken()
        seconds = time.monotonic() - began
        self.publish()
        self._neighbours.serve(answered=False)
        self._conflict_since = ""
        # The rest of what may be wrong on net1: now that clients are served.
        self._check_at = self._everything_at = 0.0
        addresses = ",".join(map(str, self._ips))
        event("address-taken", addresses=addresses, mac=self._config.mac, seconds=f"{seconds:.3f}")
        self._take_overs.end()
        self._set(status.STARTING)

    def _conflict(self, in_use: Mapping[IP, str]) -> str:
        """Who has the addresses, since when, and what to do."""
        self._conflict_since = self._conflict_since or now()
        holders = " and ".join(f"{ip} is in use by {mac}" for ip, mac in in_use.items())
        found = f"{holders}, since {self._conflict_since} at least: "
        if self._config.mac not in in_use.values():
            return found + "free it or choose another address"
        last = self._driver.predecessor
        earlier = f"pod {last.pod} on node {last.node}, which had the lease before" if last.pod else "an earlier pod"
        return (
            f"{found}that is the router's own MAC address, so it is {earlier}, or a router with the same address in another "
            "cluster. It has to end; its node may be cut off from the API server. The address is taken when nobody answers"
        )

    def _maintain(self) -> None:
        due, everything = self._check_due()
        if due:
            self._blocked = self._network.problem()
            if self._blocked:
                self.unable = self._blocked
                raise NetworkError(self._blocked)
            fresh = self._phase is Phase.ADDRESSES
            for kind in self._network.repair(self._may_serve, settings_only=not everything):
                if not fresh:
                    self.repairs[kind] += 1
                    event("repaired", kind=kind)
                    self._schedule_announcements()
        self._announce()
        claims = self._neighbours.listen()
        if claims and not self._defend(claims):
            self._ask_first = True
            self._fail(status.CONFLICT, self._conflict(claims))
            return
        carrier = "" if self._network.carrier() else NO_CARRIER
        self.unable = carrier or self._silent(GATEWAY_DOUBT_SECONDS)
        impairment = carrier or self._silent(GATEWAY_SILENT_SECONDS)
        if self._impaired and not impairment:
            # What switches and neighbours learned may be out of date.
            self._schedule_announcements()
        self._impaired = bool(impairment)
        if self._publisher.published:
            self._phase = Phase.PUBLISHED
        if impairment:
            # The addresses stay: nothing is won without them.
            self._set(status.FAILED, impairment)
        elif self._phase is Phase.PUBLISHED and self._neighbours.all_known:
            self._set(status.SERVING)
        else:
            self._set(status.STARTING, self._publisher.error)

    def _check_due(self, settle: float = 0.0) -> tuple[bool, bool]:
        """Whether it is time to look at the network's settings, and whether at everything: `settle` seconds after a change."""
        now = time.monotonic()
        if self._network.changed():
            self._check_at = 0.0
            self._everything_at = min(self._everything_at, now + settle)
        due = now >= self._check_at
        everything = due and now >= self._everything_at
        if due:
            self._check_at = now + NETWORK_CHECK_SECONDS
        if everything:
            self._everything_at = now + EVERYTHING_SECONDS
        return due, everything

    def _silent(self, seconds: float) -> str:
        """Which gateways of its addresses did not answer for so long, and what to look at; empty if all did."""
        required, answers = self._neighbours.required, self._neighbours.gateways(seconds)
        silent = " and ".join(str(ip) for ip in answers if ip in required and not answers[ip])
        if not silent:
            return ""
        return (
            f"gateway {silent} of router {self._config.router} does not answer on {names.EGRESS_INTERFACE}: check the "
            "gateway, the VLAN, and whether the hypervisor lets the router's MAC address through"
        )

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

    def _schedule_announcements(self) -> None:
        start = time.monotonic()
        self._announce_at = [start + seconds for seconds in ANNOUNCE_AT]

    def _announce(self) -> None:
        """Tell the segment, if it is time."""
        if not self._announce_at or time.monotonic() < self._announce_at[0]:
            return
        self._announce_at.pop(0)
        if not self._may_serve():
            # The kernel's fence does not see these frames.
            return
        try:
            self._announcer.announce(self._config.mac, self._ips)
        except OSError as error:
            # The next check of the interface finds the reason, or repairs it.
            event("announce-failed", error=error)

    def _fail(self, state: str, error: str, *, soon: bool = False) -> None:
        """Not serving for a reason of this pod; tried again soon."""
        if self.present:
            self.release()
            self._withdraw()
        wait = RETRY_SOON_SECONDS if soon else RETRY_SECONDS * (1 + secrets.randbelow(1000) / 2000)
        self._retry_at = time.monotonic() + wait
        # Whatever it is, it may be over before the kernel says so.
        self._everything_at = 0.0
        self._set(state, error)

    def _set(self, state: str, error: str = "") -> None:
        if (state, error) != (self.state, self.error):
            self.state, self.error = state, error
            event("state", state=state, **({"error": error} if error else {}))
