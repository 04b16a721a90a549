# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must not end halfway: a Ctrl-C is heeded at the end. And what is undone whichever signal ends the process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from ansible_collections.egress.router.plugins.module_utils._common.signals import uninterrupted, unwound


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """What a shell starts in the background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_waits_until_the_end() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
        done.append("everything")
    assert done == ["everything"]


def test_an_error_is_told_and_signals_work_again() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="x"), uninterrupted():
        raise ValueError("x")
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_undoes_what_was_done(number: signal.Signals) -> None:
    before, done = signal.getsignal(number), []
    with pytest.raises(SystemExit) as left, unwound():
        try:
            with uninterrupted():
                os.kill(os.getpid(), number)
                done.append("to the end")
        finally:
            done.append("undone")
    assert done == ["to the end", "undone"] and left.value.code == 128 + number
    assert signal.getsignal(number) is before


def test_other_threads_get_no_signals() -> None:
    done = []

    def body() -> None:
        with uninterrupted(), unwound():
            done.append(True)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert done == [True]
