# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel as the fence: the pod serves while a permit that was granted has not run out, whatever becomes of the agent.

A permit is an element with a timeout in the set `permits`; the map `granted` says which one counts, for each family. The table
forwards, and lets out what claims the addresses, only while the permit that `granted` names is in the set.

Granting takes a permit away, the guard: one that has run out is not there, and nft refuses the transaction as a whole. So a
process that was frozen before it granted, for however long, changes nothing afterwards.
"""

from __future__ import annotations

import threading

from ..config import Config
from . import table
from .firewall import FirewallError, Nft

# Permits are elements of 32 bits.
_NUMBERS = 1 << 32
