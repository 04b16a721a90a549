# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter drift: what a run in check mode would change."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.egress.router.plugins.filter.drift import FilterModule

drift = FilterModule().filters()["drift"]


def changed(name: str, before: str, after: str) -> dict[str, Any]:
    return {"before_header": name, "after_header": name, "before": before, "after": after}


def test_the_objects_that_differ() -> None:
    deployed = {
        "changed": True,
        "diff": [changed("Deployment a", "x: 1\ny: 2\n", "x: 1\ny: 3\n"), changed("Service a", "", "z\n")],
    }
    rules = {"changed": True, "diff": changed("ConfigMap a", "80\n", "")}
    assert drift([deployed, rules]) == [
        {"object": "Deployment a", "difference": "--- before\n+++ after\n@@ -1,2 +1,2 @@\n x: 1\n-y: 2\n+y: 3"},
        {"object": "Service a", "difference": "--- before\n+++ after\n@@ -0,0 +1 @@\n+z"},
        {"object": "ConfigMap a", "difference": "--- before\n+++ after\n@@ -1 +0,0 @@\n-80"},
    ]


@pytest.mark.parametrize("result", ["", None, {}, {"skipped": True, "changed": False}, {"changed": False, "diff": []}])
def test_tasks_that_change_nothing(result: Any) -> None:
    assert drift([result]) == []


def test_without_differences_nothing_could_be_told() -> None:
    with pytest.raises(AnsibleFilterError, match="--diff"):
        drift([{"changed": True}])
