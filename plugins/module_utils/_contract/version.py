# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The collection's version, for the label `app.kubernetes.io/version`. A test compares it with galaxy.yml."""

from __future__ import annotations

VERSION = "0.1.0"
