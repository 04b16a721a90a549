# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The ports of a router's Service that follow its rules. They have a field manager of their own."""

from __future__ import annotations

from typing import Any

from .._contract import names
from .._contract.rules import RuleSet
from .._router.manifests import service_port
from .._router.redirects import PortKey
from .cluster import Cluster
from .managed_fields import owned_keys


class Ports:
    """Those whose fields the module redirect_rules manages. `service`: None if there is none."""

    def __init__(self, service: dict[str, Any] | None) -> None:
        self._service = service
        self.known = service is not None
        # Headless Services have no ports for rules: clients get the pod's address itself.
        self.managed = service is not None and service["spec"].get("clusterIP") != "None"
        owned = owned_keys(service, names.FIELD_MANAGER_RULES, ("spec", "ports")) if service else []
        self.present = frozenset((key["port"], key["protocol"]) for key in owned)

    def wanted(self, rules: RuleSet) -> frozenset[PortKey]:
        """The ports that `rules` need."""
        return frozenset((rule.port, rule.protocol) for rule in rules.rules) if self.managed else self.present

    def set(self, cluster: Cluster, ports: frozenset[PortKey]) -> bool:
        """Makes these the ports, and leaves the Service's other ports alone. Returns whether anything was written."""
        if ports == self.present or self._service is None:
            return False
        metadata = self._service["metadata"]
        items = [service_port(port, protocol) for port, protocol in sorted(ports)]
        cluster.apply(
            "Service", metadata["namespace"], metadata["name"], {"spec": {"ports": items}}, names.FIELD_MANAGER_RULES
        )
        self.present = ports
        return True
