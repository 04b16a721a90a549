# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The ports of a router's pods that are the agent's own, which no rule may use."""

from __future__ import annotations

from .failover import BEAT_PORT, RELAY_PORT
from .names import AGENT_PORT

# What each port is for, with its protocol.
OWN_PORTS: dict[tuple[int, str], str] = {
    (AGENT_PORT, "TCP"): "probes and metrics",
    (BEAT_PORT, "UDP"): "messages between its pods",
    (RELAY_PORT, "UDP"): "connections that its pods relay to one another",
}
