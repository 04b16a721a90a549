"""Servers as processes: started in the background, found again by process id, stopped by it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class ServerError(Exception):
    """The servers cannot be had; the text says why."""


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def start(state: Path, name: str, command: list[str], environment: dict[str, str]) -> None:
    """Starts a server; its output goes to STATE/NAME.log, its process id to STATE/NAME.pid, and its command is kept."""
    (state / f"{name}.command").write_text(json.dumps([command, environment]))
    with (state / f"{name}.log").open("ab") as log:
        server = subprocess.Popen(
            command,
            cwd=state,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (state / f"{name}.pid").write_text(f"{server.pid} {_born(server.pid)}")


def start_again(state: Path, name: str) -> None:
    """Starts a server that was stopped in the same way."""
    start(state, name, *json.loads((state / f"{name}.command").read_text()))


def stop(state: Path, name: str) -> None:
    """Stops one server, as whoever administers it does."""
    file = state / f"{name}.pid"
    pid, born = file.read_text().split()
    _stop(int(pid), born, (signal.SIGTERM, signal.SIGKILL))
    file.unlink()


def stop_all(state: Path, keep: bool = False) -> None:
    """Stops every server of a directory, including those of a killed run.

    `keep`: its files are needed any longer, so the servers have to close them: the youngest first.
    """
    files = sorted(state.glob("*.pid"), key=lambda path: path.stat().st_mtime, reverse=True)
    for file in files:
        pid, born = [*file.read_text().split(), "", ""][:2]
        # Somebody else may have the process id by now: only the process that was started then is ours.
        if pid and born and _born(int(pid)) == born:
            _stop(int(pid), born, (signal.SIGTERM, signal.SIGKILL) if keep else (signal.SIGKILL,))
        file.unlink()


def pause(state: Path, name: str) -> None:
    """The server does nothing until `resume`, and does not know that time passes."""
    _signal(state, name, signal.SIGSTOP)
    pid = (state / f"{name}.pid").read_text().split()[0]
    deadline = time.monotonic() + 10
    while not re.search(r"\) T ", Path(f"/proc/{pid}/stat").read_text()):
        if time.monotonic() > deadline:
            raise ServerError(f"process {pid} does not pause")
        time.sleep(0.02)


def resume(state: Path, name: str) -> None:
    """The server goes on, if it was paused."""
    _signal(state, name, signal.SIGCONT)


def alive(state: Path, name: str) -> bool:
    pid, born = (state / f"{name}.pid").read_text().split()
    return _born(int(pid)) == born


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Runs a command to its end; ServerError with the end of its output if it fails."""
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ServerError(f"{' '.join(command)} failed: {(done.stdout + done.stderr)[-3000:]}")


def wait_for(what: str, state: Path, name: str, condition: Callable[[], bool], seconds: float = 240) -> None:
    """Waits until `condition` holds; ServerError with the end of the server's log if it ends or time does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if not alive(state, name) or time.monotonic() > deadline:
            log = (state / f"{name}.log").read_text(errors="replace")[-3000:]
            raise ServerError(f"{what} did not begin to answer within {seconds:.0f} s:\n{log}")
        time.sleep(0.05)


def _signal(state: Path, name: str, number: signal.Signals) -> None:
    if not alive(state, name):
        raise ServerError(
            f"{name} does not run any more: {(state / f'{name}.log').read_text(errors='replace')[-3000:]}"
        )
    os.killpg(int((state / f"{name}.pid").read_text().split()[0]), number)


def _stop(pid: int, born: str, signals: tuple[signal.Signals, ...], seconds: float = 10.0) -> None:
    for number in signals:
        # The whole session: servers have workers.
        with suppress(ProcessLookupError):
            os.killpg(pid, number)
        deadline = time.monotonic() + seconds
        while _born(pid) == born:
            if time.monotonic() > deadline:
                break
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.02)
        else:
            return
    raise ServerError(f"process {pid} does not end")


def _born(pid: int) -> str:
    """When a process was started, in the kernel's ticks (proc(5), stat, field 22); empty if it is not there."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
