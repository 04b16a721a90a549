# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus metrics; the rules' counters come from the kernel."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ansible_collections.egress.router.plugins.module_utils._contract.status import (
    CONFLICT,
    FAILED,
    ON_HOLD,
    SERVING,
    STARTING,
    STOPPED,
)
from ansible_collections.egress.router.plugins.module_utils._contract.version import VERSION

from ..kernel import conntrack, network
from ..kernel.firewall import Firewall
from ..kernel.marks import fallback_mark, rule_mark
from ..kernel.table import Counters, Listing
from .address import STANDBY, EgressAddress
from .driver import Driver
from .publisher import Publisher
from .relay import Relay
from .rules import Rules
from .take_over import TakeOvers

_STATES = (SERVING, STARTING, ON_HOLD, CONFLICT, FAILED, STOPPED, STANDBY)
_STATISTICS = {
    "insert_failed": "Connections that were dropped, mostly because no source port was free for their server",
    "drop": "Connections that were dropped because the connection table was full",
    "early_drop": "Connections that were forgotten because the connection table was nearly full",
}
_LABELS = ("port", "protocol", "destination", "name")


class Metrics:
    """The metrics of one agent."""

    def __init__(
        self,
        firewall: Firewall,
        rules: Rules,
        address: EgressAddress,
        driver: Driver,
        take_overs: TakeOvers,
        publisher: Publisher,
        relay: Relay,
    ) -> None:
        self._listing = Listing()
        self._firewall = firewall
        self._rules = rules
        self._address = address
        self._driver = driver
        self._take_overs = take_overs
        self._publisher = publisher
        self._relay = relay
        self._registry = CollectorRegistry()
        self._registry.register(self)
        apply_seconds = Histogram(
            "egress_router_apply_seconds",
            "Seconds from reading the rules to having read them back from the kernel",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
            registry=self._registry,
        )
        rules.on_applied = apply_seconds.observe

    def text(self, listing: Listing) -> bytes:
        """All metrics in Prometheus' text format, those of the rules from `listing`. For one thread at a time."""
        self._listing = listing
        try:
            return bytes(generate_latest(self._registry))
        finally:
            self._listing = Listing()

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask the kernel."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client for each scrape."""
        state = GaugeMetricFamily("egress_router_state", "1 for the state the router's pod is in", labels=["state"])
        for name in _STATES:
            state.add_metric([name], float(self._address.state == name))
        yield state
        yield from self._rule_metrics()
        refused = GaugeMetricFamily("egress_router_rules_refused", "1 while the ConfigMap's rules are refused")
        refused.add_metric([], float(bool(self._rules.error)))
        yield refused
        repairs = CounterMetricFamily(
            "egress_router_drift_repairs", "Changes by others that the agent undid", labels=["kind"]
        )
        repairs.add_metric(["rules"], self._rules.repairs)
        for kind in network.REPAIRS:
            repairs.add_metric([kind], self._address.repairs[kind])
        yield repairs
        claims = "Times that another host claimed the router's address while it served"
        yield CounterMetricFamily("egress_router_address_claims", claims, self._address.claims)
        gateways = GaugeMetricFamily(
            "egress_router_gateway_answers",
            "1 while the gateway of an address or route answers the serving router",
            labels=["gateway"],
        )
        for gateway, answers in self._address.gateways.items():
            gateways.add_metric([str(gateway)], float(answers))
        yield gateways
        count, limit = conntrack.usage()
        yield GaugeMetricFamily("egress_router_conntrack_entries", "Connections that the kernel tracks", count or 0)
        yield GaugeMetricFamily("egress_router_conntrack_max", "Connections that the kernel can track", limit or 0)
        for name, value in conntrack.statistics().items():
            yield CounterMetricFamily(f"egress_router_conntrack_{name}", _STATISTICS[name], value)
        yield CounterMetricFamily(
            "egress_router_lease_transitions", "How often the lease went to another pod", self._driver.term
        )
        yield from self._failover_metrics()
        yield from self._relay_metrics()
        failing = GaugeMetricFamily(
            "egress_router_api_failing", "1 while the last request of this kind failed", labels=["request"]
        )
        failing.add_metric(["rules"], float(bool(self._rules.watch_error)))
        failing.add_metric(["lease"], float(bool(self._driver.lease_error)))
        failing.add_metric(["endpoints"], float(bool(self._publisher.error)))
        yield failing
        build = GaugeMetricFamily("egress_router_build_info", "Version of the agent", labels=["version"])
        build.add_metric([VERSION], 1)
        yield build

    def _failover_metrics(self) -> Iterator[Metric]:
        driver, taken = self._driver, self._take_overs
        for name, text, value in (
            ("holder", "1 while the Lease is this pod's", driver.holding),
            (
                "successor",
                "1 while this pod is the holder and another one is named as its successor",
                bool(driver.successor),
            ),
            ("successor_able", "1 while there is a successor that could serve", driver.successor_able),
            ("beats_key", "1 while the pod has a key to talk to the router's other pods", driver.has_key),
            ("take_over_seconds", "For how long nobody had served when this pod last took over", taken.seconds),
        ):
            yield GaugeMetricFamily(f"egress_router_{name}", text, float(value))
        take_overs = CounterMetricFamily("egress_router_take_overs", "Times that this pod took over", labels=["cause"])
        for cause, count in taken.by_cause.items():
            take_overs.add_metric([cause], count)
        yield take_overs
        yield CounterMetricFamily(
            "egress_router_beats_sent", "Beats that this pod sent as the holder", driver.beats_sent
        )
        lost = "Beats that the successor did not answer in time"
        yield CounterMetricFamily("egress_router_beats_lost", lost, driver.all_beats_lost)
        refused = CounterMetricFamily(
            "egress_router_beats_refused",
            "Datagrams on the beats' port that no pod of the router sent",
            labels=["reason"],
        )
        for reason, count in driver.refused.items():
            refused.add_metric([reason], count)
        yield refused
        expired = "Times that the right to serve ran out because neither a successor nor the API server answered"
        yield CounterMetricFamily("egress_router_fence_expired", expired, driver.expired)

    def _relay_metrics(self) -> Iterator[Metric]:
        relay = self._relay
        for name, text, value in (
            (
                "possible",
                "1 if connections of this pod would go on at a planned move of the address",
                not relay.problem,
            ),
            ("connections", "Connections of this pod that go through the pod that serves now", relay.count),
            ("left_out", "Connections of this pod that stand still, because more are not relayed", relay.left_out),
            ("pods", "Pods that served before and whose connections go through this one", relay.guests),
        ):
            yield GaugeMetricFamily(f"egress_router_relay_{name}", text, float(value))
        for name, text, value in (
            (
                "resets",
                "Connections that were reset because their time was over or no pod relayed them",
                relay.reset_count,
            ),
            (
                "refused",
                "Connections of other pods that were not relayed, because this pod had one with the same source port to the server",
                relay.refused,
            ),
            ("strangers", "Packets to the port of relays that no pod of the router sent", relay.strangers),
        ):
            yield CounterMetricFamily(f"egress_router_relay_{name}", text, value)

    def _rule_metrics(self) -> Iterator[Metric]:
        listing = self._listing
        rules = listing.rules()
        yield GaugeMetricFamily("egress_router_rules", "Rules in the kernel, without the fallback", len(rules.rules))
        connections = CounterMetricFamily("egress_router_rule_connections", "New connections of a rule", labels=_LABELS)
        packets = CounterMetricFamily("egress_router_rule_packets", "Packets of a rule, both ways", labels=_LABELS)
        size = CounterMetricFamily("egress_router_rule_bytes", "Bytes of a rule, both ways", labels=_LABELS)

        ports = GaugeMetricFamily(
            "egress_router_rule_source_ports",
            "Source ports that a rule's connections use; 64512 to one server and port is the limit for each address",
            labels=_LABELS,
        )
        used = conntrack.used()

        def add(labels: list[str], counters: Counters, mark: int) -> None:
            ports.add_metric(labels, used[mark])
            connections.add_metric(labels, counters.connections)
            packets.add_metric(labels, counters.packets)
            size.add_metric(labels, counters.bytes)

        for rule in rules.rules:
            target = f"[{rule.destination_ip}]" if rule.family == 6 else rule.destination_ip
            labels = [str(rule.port), rule.protocol, f"{target}:{rule.target_port}", rule.name]
            add(labels, listing.rule_counters(rule), rule_mark(rule.family, rule.protocol, rule.port))
        if rules.fallback_ip:
            mark = fallback_mark(6 if ":" in rules.fallback_ip else 4)
            add(["fallback", "", rules.fallback_ip, ""], listing.fallback_counters(rules.fallback_ip), mark)
        yield from (connections, packets, size, ports)
        first, last = self._firewall.ports
        yield GaugeMetricFamily(
            "egress_router_source_ports",
            "Source ports for connections to one address and port of a server",
            last + 1 - first,
        )
