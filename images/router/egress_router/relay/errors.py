# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a relay."""

from __future__ import annotations


class RelayError(Exception):
    """Relaying failed; the message says what was tried, and what the kernel answered."""
