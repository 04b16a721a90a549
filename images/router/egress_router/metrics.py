# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus metrics, collected when they are asked for; the rules' counters come from the kernel at that moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ansible_collections.egress.router.plugins.module_utils._contract.status import (
    CONFLICT,
    FAILED,
    SERVING,
    STARTING,
    STOPPED,
)

from . import __version__, conntrack
from .table import Counters

if TYPE_CHECKING:
    from .agent import Agent

_STATES = (SERVING, STARTING, CONFLICT, FAILED, STOPPED, "standby")
_LABELS = ("port", "protocol", "destination", "name")


class Metrics:
    """The metrics of one agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._apply_seconds = Histogram(
            "egress_router_apply_seconds",
            "Seconds from reading the rules to having read them back from the kernel",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
            registry=self._registry,
        )
        agent.on_applied.append(self._apply_seconds.observe)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return bytes(generate_latest(self._registry))

    def describe(self) -> list[Metric]:
        """Nothing: asking for the names must not ask the kernel."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client for each scrape."""
        agent = self._agent
        state = GaugeMetricFamily("egress_router_state", "1 for the state the router's pod is in", labels=["state"])
        for name in _STATES:
            state.add_metric([name], float(agent.state == name))
        yield state
        yield from self._rules()
        refused = GaugeMetricFamily("egress_router_rules_refused", "1 while the ConfigMap's rules are refused")
        refused.add_metric([], float(bool(agent.rules_error)))
        yield refused
        repairs = CounterMetricFamily(
            "egress_router_drift_repairs", "What somebody else changed and the agent put back", labels=["kind"]
        )
        for kind in ("rules", "link", "mac", "address", "route", "rule"):
            repairs.add_metric([kind], agent.repairs[kind])
        yield repairs
        count, limit = conntrack.usage()
        yield GaugeMetricFamily("egress_router_conntrack_entries", "Connections that the kernel tracks", count)
        yield GaugeMetricFamily("egress_router_conntrack_max", "Connections that the kernel could track", limit)
        yield CounterMetricFamily(
            "egress_router_lease_transitions", "How often the lease went to another pod", agent.elector.transitions
        )
        build = GaugeMetricFamily("egress_router_build_info", "Version of the agent", labels=["version"])
        build.add_metric([__version__], 1)
        yield build

    def _rules(self) -> Iterator[Metric]:
        listing = self._agent.firewall.listing()
        rules = listing.rules()
        yield GaugeMetricFamily("egress_router_rules", "Rules in the kernel, without the fallback", len(rules.rules))
        connections = CounterMetricFamily("egress_router_rule_connections", "New connections of a rule", labels=_LABELS)
        packets = CounterMetricFamily("egress_router_rule_packets", "Packets of a rule, both ways", labels=_LABELS)
        size = CounterMetricFamily("egress_router_rule_bytes", "Bytes of a rule, both ways", labels=_LABELS)

        def add(labels: list[str], counters: Counters) -> None:
            connections.add_metric(labels, counters.connections)
            packets.add_metric(labels, counters.packets)
            size.add_metric(labels, counters.bytes)

        for rule in rules.rules:
            target = f"[{rule.destination_ip}]" if rule.family == 6 else rule.destination_ip
            labels = [str(rule.port), rule.protocol, f"{target}:{rule.target_port}", rule.name]
            add(labels, listing.rule_counters(rule))
        if rules.fallback_ip:
            add(["fallback", "", rules.fallback_ip, ""], listing.fallback_counters(rules.fallback_ip))
        yield from (connections, packets, size)
