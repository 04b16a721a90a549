# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list of routers is read once in a run, and only that list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.plugin_utils import _routers

ROUTER = {
    "name": "db",
    "namespace": "payments",
    "addresses": [{"ip": "198.51.100.50/24"}],
    "image": "x:1",
}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """The lists that were really read."""
    found: list[Any] = []
    real = _routers.load

    def load(data: Any, *rest: Any) -> Any:
        found.append(data)
        return real(data, *rest)

    monkeypatch.setattr(_routers, "load", load)
    monkeypatch.setattr(_routers.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    return found


def test_the_same_list_is_read_once(reads: list[Any]) -> None:
    first = _routers.read([ROUTER], {"replicas": 2})
    assert _routers.read([dict(ROUTER)], {"replicas": 2}) == first
    assert first[0][0].replicas == 2
    assert len(reads) == 1


def test_no_defaults_and_empty_ones_are_the_same(reads: list[Any]) -> None:
    assert _routers.read([ROUTER]) == _routers.read([ROUTER], {})
    assert len(reads) == 1


def test_another_list_other_defaults_or_another_state_are_read_anew(reads: list[Any]) -> None:
    _routers.read([ROUTER])
    assert _routers.read([{**ROUTER, "name": "other"}])[0][0].name == "other"
    assert _routers.read([ROUTER], {"replicas": 3})[0][0].replicas == 3
    assert not _routers.read([ROUTER], absent=True)[0][0].present
    assert len(reads) == 4


def test_a_list_with_problems_is_not_kept(reads: list[Any], tmp_path: Path) -> None:
    for _time in range(2):
        assert str(_routers.read([{"name": "db"}])[1][0]) == "router db, namespace: is required"
    assert len(reads) == 2
    assert list(tmp_path.iterdir()) == []
    assert _routers.read([{1, 2}])[1], "what JSON does not know is a problem like any other"
