# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Doing one thing for many, and waiting with a deadline."""

from __future__ import annotations

import threading
import time

import pytest

from ansible_collections.egress.router.plugins.module_utils._common.concurrent import each, wait_until
from ansible_collections.egress.router.plugins.module_utils._common.errors import Unreachable


def test_each_does_them_at_the_same_time_and_keeps_their_order() -> None:
    # Passes only if all five are under way together.
    together = threading.Barrier(5, timeout=5)

    def slow(number: int) -> int:
        together.wait()
        return number * 10

    assert each(slow, range(5)) == [0, 10, 20, 30, 40]
    assert each(lambda number: number, []) == []


def test_each_raises_what_was_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        each(lambda number: 1 // number, [1, 0, 2])


def test_wait_until_returns_what_came_or_nothing_at_the_deadline() -> None:
    answers = [None, None, "there"]
    assert wait_until(lambda: answers.pop(0), seconds=5, interval=0.01) == "there"
    started = time.monotonic()
    assert wait_until(lambda: None, seconds=0.2, interval=0.01) is None
    assert 0.2 <= time.monotonic() - started < 2
    # An empty answer is an answer.
    assert wait_until(lambda: "", seconds=0) == ""


def test_wait_until_bears_an_api_server_that_is_away_but_not_to_the_end() -> None:
    away = [True, True, False]

    def ask() -> str:
        if away.pop(0):
            raise Unreachable("cannot reach the API server")
        return "there"

    assert wait_until(ask, seconds=5, interval=0.01) == "there"
    away = [True]
    with pytest.raises(Unreachable):
        wait_until(ask, seconds=0)
