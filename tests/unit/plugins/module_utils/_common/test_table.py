# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables as lines."""

from __future__ import annotations

from ansible_collections.egress.router.plugins.module_utils._common.table import aligned


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert aligned([("check", "ok", "some text"), ("a", "failed", "")]) == [
        "  check  ok      some text",
        "  a      failed",
    ]


def test_no_rows() -> None:
    assert aligned([]) == []
