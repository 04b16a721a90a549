# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._kubernetes.pods import STUCK_MOUNTS, pod_problem

POD: dict[str, Any] = {"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"phase": "Pending"}}
SANDBOX = {"reason": "FailedCreatePodSandBox", "message": "no interface eth99", "count": 3}


def mount(count: int | None) -> dict[str, Any]:
    return {"reason": "FailedMount", "message": "no such Secret", "count": count}


@pytest.mark.parametrize("events", [[mount(9), SANDBOX], [SANDBOX, mount(9)], [mount(1), SANDBOX]])
def test_the_sandbox_comes_after_the_volumes(events: list[dict[str, Any]]) -> None:
    assert pod_problem(POD, events) == "pod p cannot be set up on node n: no interface eth99"


@pytest.mark.parametrize("count", [None, 1, STUCK_MOUNTS - 1])
def test_a_volume_that_was_late_is_no_reason(count: int | None) -> None:
    assert pod_problem(POD, [mount(count)]) == ""


def test_a_volume_that_never_comes_is_one() -> None:
    assert pod_problem(POD, [mount(STUCK_MOUNTS)]) == "pod p cannot be set up on node n: no such Secret"
