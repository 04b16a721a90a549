# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernel settings, read only."""

from __future__ import annotations

from pathlib import Path


def read(name: str) -> str | None:
    """The value of a setting such as `net.ipv4.ip_forward`; None if the kernel does not have it."""
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError:
        return None
