# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a change, and how it is shown."""

from __future__ import annotations

import pytest

from ansible_collections.egress.router.plugins.module_utils._common.plan import Plan


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ((), (), False),
        (("a", "b"), ("a", "b"), False),
        (("a",), ("b",), True),
        ((), ("a",), True),
        (("a",), (), True),
    ],
)
def test_a_plan_changes_what_differs(before: tuple[str, ...], after: tuple[str, ...], changed: bool) -> None:
    assert Plan("object", before, after).changed is changed


def test_the_difference_is_ansibles_own() -> None:
    assert Plan("object", ("a", "b"), ()).diff() == {
        "before_header": "object",
        "after_header": "object",
        "before": "a\nb\n",
        "after": "",
    }
