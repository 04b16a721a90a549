# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the serving pod writes into the EndpointSlices of the router's Service: itself, and its ports."""

from __future__ import annotations

from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract.names import (
    AGENT_PORT,
    AGENT_PORT_NAME,
    port_name,
)
from ansible_collections.egress.router.plugins.module_utils._contract.rules import RuleSet

from ..config import Config

Json = dict[str, Any]

# Merge patch that removes the pod.
NOBODY: Json = {"endpoints": []}


def patches(config: Config, rules: RuleSet) -> dict[int, Json]:
    """Merge patches by family (4, 6), for each family of the router's addresses that the pod has an address of."""
    found: dict[int, Json] = {}
    for family in config.families:
        pod_ip = config.pod_ip(family)
        if pod_ip is not None:
            endpoint = {
                "addresses": [str(pod_ip)],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "nodeName": config.node,
                "targetRef": {"kind": "Pod", "namespace": config.namespace, "name": config.pod, "uid": config.pod_uid},
            }
            found[family] = {"endpoints": [endpoint], "ports": _ports(config, rules, family)}
    return found


def _ports(config: Config, rules: RuleSet, family: int) -> list[Json]:
    ports = {(AGENT_PORT, "TCP"): AGENT_PORT_NAME}
    if not config.headless:
        wanted = [(rule.port, rule.protocol) for rule in rules.rules if rule.family == family]
        for port, protocol in [*wanted, *config.extra_ports]:
            ports.setdefault((port, protocol), port_name(protocol, port))
    return [{"name": name, "port": port, "protocol": protocol} for (port, protocol), name in ports.items()]
