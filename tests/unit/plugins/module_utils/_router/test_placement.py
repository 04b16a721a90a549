# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the scheduler may place a router's pod."""

from __future__ import annotations

import pytest

from ansible_collections.egress.router.plugins.module_utils._router.placement import may_run_on
from ansible_collections.egress.router.plugins.module_utils._router.router import Router, Service

LINUX = {"kubernetes.io/os": "linux"}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [({"zone": "a", "disk": "ssd", **LINUX}, True), ({"zone": "b", **LINUX}, False), (LINUX, False), (None, False)],
)
def test_labels_match_by_name_and_value(labels: dict[str, str] | None, expected: bool) -> None:
    router = Router("db", "payments", Service("db"), node_selector={"zone": "a"})
    assert may_run_on(router, {"metadata": {"labels": labels}, "spec": {}}) is expected


@pytest.mark.parametrize(("system", "expected"), [("linux", True), ("windows", False), ("", False)])
def test_only_linux_runs_a_router(system: str, expected: bool) -> None:
    labels = {"kubernetes.io/os": system} if system else {}
    assert may_run_on(Router("db", "payments", Service("db")), {"metadata": {"labels": labels}, "spec": {}}) is expected
