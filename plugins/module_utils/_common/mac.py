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


def unquoted(text: str) -> str:
    """What to say of a number instead of a MAC address: YAML 1.1 reads 52:54:00:12:34:56 as one to base 60. Else empty."""
    if not re.fullmatch(r"[0-9]{1,11}", text):
        return ""
    number = int(text)
    first, groups = number // 60**5, [number // 60**power % 60 for power in (4, 3, 2, 1, 0)]
    meant = f" as '{first}:{':'.join(f'{group:02}' for group in groups)}'" if 10 <= first <= 99 else ""
    return f"YAML reads an unquoted MAC address as the number {number}: quote it{meant}"


def is_multicast(mac: str) -> bool:
    """Whether a normalised MAC address is a multicast or broadcast address."""
    return bool(int(mac[:2], 16) & 1)
