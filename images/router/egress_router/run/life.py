# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the agent's threads live. One that fails ends the process: the kernel goes on, and the next process adopts it.

An agent that has lost a thread would look alive and do only a part of its work, for ever.
"""

from __future__ import annotations

import os
import threading
import time
import traceback

from ..log import event

_alive_until: dict[str, float] = {}


def beat(seconds: float) -> None:
    """The calling thread lives, and says so again within `seconds` at the latest."""
    _alive_until[threading.current_thread().name] = time.monotonic() + seconds


def silent() -> list[str]:
    """The names of threads that should have said so again, and did not."""
    now = time.monotonic()
    return sorted(name for name, until in _alive_until.copy().items() if until < now)


def end_with_any_thread() -> None:
    """From now on, an unexpected exception in any thread ends the process."""
    threading.excepthook = lambda failed: crash(failed.thread.name if failed.thread else "unknown", failed.exc_value)


def crash(thread: str, error: BaseException | None) -> None:
    """Log an unexpected exception of a thread and end the process, whatever hangs."""
    lines = "".join(traceback.format_exception(error)) if error else ""
    event("crashed", thread=thread, error=repr(error), traceback=lines)
    os._exit(1)
