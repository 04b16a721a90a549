# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connection marks: one number for each rule, the same after every reload and restart.

A mark is a pure function of family, protocol and port, because connections outlive a reload and even the agent: a
connection whose mark no rule has any more would stall.

bits 31-20: 0xe6c, identifies our marks   bit 19: fallback   bit 18: IPv6   bits 17-16: protocol   bits 15-0: port
"""

from __future__ import annotations

BASE = 0xE6C00000
# In all our marks, these bits equal those of BASE.
MASK = 0xFFF00000
# A packet's mark, none of a connection: see kernel/reset.py.
PROVOKING = 0xE6B00000
# Of a packet too, the first one of a connection that begins at a pod that relays: see relay/rules.py.
NEWCOMER = 0xE6B20000
# Of entries that only keep a source port for another pod of the router.
RESERVED = 0xE6B10000

_FALLBACK = 1 << 19
_IPV6 = 1 << 18
_PROTOCOLS = {"TCP": 1, "UDP": 2, "SCTP": 3}


def rule_mark(family: int, protocol: str, port: int) -> int:
    """The mark of connections that a rule redirects."""
    return BASE | (_IPV6 if family == 6 else 0) | _PROTOCOLS[protocol] << 16 | port


def fallback_mark(family: int) -> int:
    """The mark of connections that the fallback redirects."""
    return BASE | _FALLBACK | (_IPV6 if family == 6 else 0)
