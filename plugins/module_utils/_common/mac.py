# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""MAC addresses in one form, whatever the notation they come in."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"[0-9a-f]{12}\Z")


def normal_mac(text: str) -> str | None:
    """Lower case with colons, from any of the usual notations; None if it is not a MAC address."""
    digits = re.sub(r"[-:.]", "", text.lower())
    return ":".join(re.findall("..", digits)) if _DIGITS.match(digits) else None


def is_multicast(mac: str) -> bool:
    """Whether a normalised MAC address is a multicast or broadcast address."""
    return bool(int(mac[:2], 16) & 1)
