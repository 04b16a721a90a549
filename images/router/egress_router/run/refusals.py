# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reasons why this router cannot serve rules that are well-formed."""

from __future__ import annotations

import ipaddress

from ansible_collections.egress.router.plugins.module_utils._contract.ports import OWN_PORTS
from ansible_collections.egress.router.plugins.module_utils._contract.rules import RuleSet, not_remote
from ansible_collections.egress.router.plugins.module_utils._contract.sources import refusal

from ..config import Config


def refusals(config: Config, rules: RuleSet) -> list[str]:
    """One sentence for each reason to refuse `rules` as a whole; empty if they can be loaded."""
    problems = []
    own = [str(address.ip) for address in config.addresses]
    for rule in rules.rules:
        where = f"rule {rule.port}/{rule.protocol} of router {config.router}"
        problems += _destination(config, where, rule.destination_ip)
        if (rule.port, rule.protocol) in OWN_PORTS:
            problems.append(f"{where}: the agent itself uses this port; choose another one")
        reason = refusal(rule.source_ip, rule.family, own, config.source)
        if reason:
            problems.append(f"{where}: source_ip '{rule.source_ip}' {reason}")
    if rules.fallback_ip:
        problems += _destination(config, f"fallback of router {config.router}", rules.fallback_ip)
    return problems


def _destination(config: Config, where: str, destination: str) -> list[str]:
    ip = ipaddress.ip_address(destination)
    kind = f"IPv{ip.version}"
    addresses = config.addresses_of(ip.version)
    if not addresses:
        return [
            f"{where}: destination '{destination}' is {kind} and the router has no {kind} address: add one to addresses"
        ]
    if config.pod_ip(ip.version) is None:
        return [
            f"{where}: destination '{destination}' is {kind} and the pod has no {kind} address for clients to connect to"
        ]
    if ip in config.pod_ips:
        return [f"{where}: destination '{destination}' is the router's own pod: set the address of the server"]
    route = next((str(route.gateway) for route in config.routes if ip in route.network), "")
    reasons = (not_remote(destination, str(own.interface), str(own.gateway or route)) for own in addresses)
    reason = next(filter(None, reasons), "")
    return [f"{where}: destination '{destination}' {reason}"] if reason else []
