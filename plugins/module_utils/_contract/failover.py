# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""How the pods of a router stand by for each other: periods that may be chosen, and where their key is."""

from __future__ import annotations

from dataclasses import dataclass

# UDP, on the pods' cluster addresses. Never redirected, as the agent's other port.
BEAT_PORT = 29798
# Likewise, between a pod that serves and one that served before and still has connections.
RELAY_PORT = 29799
# Where a pod finds the key that its messages are proved with, and the one before it while it is being replaced.
KEYS_DIRECTORY = "/etc/egress-router/peers"
KEY = "key"
PREVIOUS_KEY = "previous"
# Of a random key, as RFC 2104 advises for SHA-256.
KEY_BYTES = 32

# What a router of one replica does without the API server, for `without_api`.
SERVE = "serve"
STOP = "stop"


@dataclass(frozen=True)
class Failover:
    """`beat_ms`: how often the holder asks its successor whether it may go on. `promise_ms`: how long a yes lasts.

    `lease_seconds`: how long the Lease lasts without renewal. `relay_seconds`: for how long a pod that gave up the address at
    a planned move relays the connections that are still open; 0: it resets them. `without_api`: SERVE or STOP.
    """

    beat_ms: int = 100
    promise_ms: int = 600
    lease_seconds: int = 15
    relay_seconds: int = 60
    without_api: str = SERVE


# The whole numbers of them, which are checked together.
PERIODS = ("beat_ms", "promise_ms", "lease_seconds", "relay_seconds")


def problems(beat_ms: int, promise_ms: int, lease_seconds: int, relay_seconds: int) -> list[str]:
    """Why these periods cannot be used; empty if they can."""
    found = []
    if not 20 <= beat_ms <= 1000:
        found.append(f"beat_ms {beat_ms} is not between 20 and 1000")
    if not 5 * beat_ms <= promise_ms:
        found.append(
            f"promise_ms {promise_ms} is less than five times beat_ms ({beat_ms}): a few lost beats would end the router's service"
        )
    if not 3 <= lease_seconds <= 300:
        found.append(f"lease_seconds {lease_seconds} is not between 3 and 300")
    if not 5 * promise_ms <= 1000 * lease_seconds:
        found.append(
            f"promise_ms {promise_ms} is more than a fifth of lease_seconds ({lease_seconds}): the lease is what counts "
            "when promises fail, so it has to last longer"
        )
    if not 0 <= relay_seconds <= 3600:
        found.append(
            f"relay_seconds {relay_seconds} is not between 0 and 3600: pods that end, and drains, may wait for that long"
        )
    return found
