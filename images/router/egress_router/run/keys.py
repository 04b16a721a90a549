# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys that prove the messages between the pods of a router: files of a Secret, which somebody may replace any time."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from ansible_collections.egress.router.plugins.module_utils._contract.failover import (
    KEY,
    KEY_BYTES,
    KEYS_DIRECTORY,
    PREVIOUS_KEY,
)

DIRECTORY = Path(KEYS_DIRECTORY)
# The kubelet itself takes a minute to bring a change.
LOOK_SECONDS = 1.0


class Keys:
    """Calling it gives the keys of the moment, the newest first. `problem`: why there is none; empty if there is.

    For any thread. The files are read again when they have changed, which is looked at once in a while.
    """

    def __init__(self) -> None:
        self._look_at = 0.0
        self.problem = ""
        self._keys: list[bytes] = []
        self._lock = threading.Lock()
        self._seen: object = None

    def __call__(self) -> list[bytes]:
        with self._lock:
            now = time.monotonic()
            if now < self._look_at:
                return self._keys
            self._look_at = now + LOOK_SECONDS
            seen = [_identity(DIRECTORY / name) for name in (KEY, PREVIOUS_KEY)]
            if seen != self._seen:
                self._seen = seen
                self._read()
            return self._keys

    def check(self) -> str:
        """Read what has changed; returns `problem`."""
        self()
        return self.problem

    def _read(self) -> None:
        self.problem = ""
        self._keys = []
        for name in (KEY, PREVIOUS_KEY):
            path = DIRECTORY / name
            try:
                key = path.read_bytes()
                problem = "" if len(key) >= KEY_BYTES else f"{path} has {len(key)} bytes, and a key has {KEY_BYTES}"
            except OSError as error:
                key, problem = b"", f"{path} cannot be read: {error.strerror}"
            if not problem:
                self._keys.append(key)
            elif name == KEY:
                self.problem = f"{problem}; the router is as fast as its Lease until it is deployed again, with replicas set to the number of its pods"
        if self._keys:
            self.problem = ""


def _identity(path: Path) -> object:
    """What is different when a file was replaced."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
