"""The network namespace of the traffic tier: a small hypervisor with an own loopback, which its servers listen on.

Its only way out is `phys0`, which somebody else connects to a network.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from egress_support import process

NAME = "egress-neutron"
PHYSICAL = "phys0"
_CLONE_NEWNET = 0x40000000


def make() -> None:
    ip("netns", "add", NAME)
    ip("-n", NAME, "link", "set", "lo", "up")


def remove() -> None:
    """With every process in it: a killed agent leaves its privileged helpers behind."""
    if exists():
        for pid in ip("netns", "pids", NAME).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        ip("netns", "del", NAME)


def exists() -> bool:
    return _path(NAME).exists()


@contextmanager
def inside() -> Iterator[None]:
    """This process, and what it starts, in the namespace while the block runs."""
    with Path("/proc/self/ns/net").open() as before:
        enter()
        try:
            yield
        finally:
            _set(before.fileno())


def enter() -> None:
    """Only this thread and what it starts; sockets that are open stay where they are."""
    with _path(NAME).open() as handle:
        _set(handle.fileno())


def links() -> list[dict[str, Any]]:
    """The namespace's interfaces as ip(8) describes them."""
    found: list[dict[str, Any]] = json.loads(ip("-n", NAME, "-json", "-details", "link", "show"))
    return found


def ip(*arguments: str) -> str:
    command = ["ip", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise process.ServerError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout


def _path(name: str) -> Path:
    return Path("/run/netns") / name


def _set(descriptor: int) -> None:
    # os.setns comes with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
