# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The users' list on the controller: read and checked once in a run, however many roles need it.

Each task of Ansible runs in its own process, so what was read is kept as a file in the directory that Ansible creates for each
run and removes at its end. The file's name is the digest of the list: another list is read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.utils.display import Display

from ..module_utils._router import checked
from ..module_utils._router.problems import Problem
from ..module_utils._router.router import Router
from ..module_utils._router.routers import load

display = Display()


def read(data: Any, defaults: Any = None, absent: bool = False) -> tuple[list[Router], list[Problem]]:
    """The routers of `egress_routers`, and every problem of the whole list, as `_router.routers.load` has them."""
    text, problems = read_text(data, defaults, absent)
    return ([] if problems else checked.load(text)), problems


def read_text(data: Any, defaults: Any = None, absent: bool = False) -> tuple[str, list[Problem]]:
    """The same, the routers as `_router.checked` writes them."""
    started = time.process_time()
    written = _as_json(data, defaults, absent)
    kept = _file(written) if written else None
    if kept is not None and kept.is_file():
        text = kept.read_text(encoding="utf-8")
        display.vv(f"egress.router: took the routers from {kept.name} in {time.process_time() - started:.2f} s")
        return text, []
    if written:
        # Plain values: those of Ansible are templated each time that they are looked at.
        data, defaults, absent = json.loads(written)
    routers, problems = load(data, defaults, absent)
    text = "" if problems else checked.dump(routers)
    seconds = f"{time.process_time() - started:.2f} s"
    display.vv(f"egress.router: read the list in {seconds}: routers: {len(routers)}, problems: {len(problems)}")
    if text and kept is not None:
        _keep(kept, text)
    return text, problems


def _as_json(data: Any, defaults: Any, absent: bool) -> str:
    """The list as it was written; empty if it has values that JSON does not know."""
    try:
        # No defaults and empty ones are the same.
        return json.dumps([data, {} if defaults is None else defaults, absent])
    except (TypeError, ValueError):
        return ""


def _file(written: str) -> Path:
    """Where the routers of a list are kept."""
    digest = hashlib.sha256(written.encode()).hexdigest()
    return Path(constants.DEFAULT_LOCAL_TMP) / f"egress_router_{digest[:32]}.json"


def _keep(path: Path, text: str) -> None:
    """Writes the file as a whole: tasks of several hosts may do so at the same time."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).replace(path)
