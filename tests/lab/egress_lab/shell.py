"""Running programs, and telling a person what takes long."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence


class LabError(Exception):
    """One sentence for the person at the terminal: what, where, why, what to do."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(what: str, estimate: str = "") -> Iterator[None]:
    """Announce a step with its usual duration, and say how long it took."""
    say(f"lab: {what}" + (f" (usually {estimate})" if estimate else "") + " ...")
    begin = time.monotonic()
    yield
    say(f"lab: {what}: {time.monotonic() - begin:.1f} s")


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str | bytes | None = None,
    check: bool = True,
    timeout: float | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program, captured; a failure carries the end of what it printed. `env` is added to ours."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        done = subprocess.run(
            list(command),
            env={**os.environ, **(env or {})},
            cwd=cwd,
            timeout=timeout,
            check=False,
            capture_output=True,
            **({"input": data} if data is not None else {"stdin": subprocess.DEVNULL}),
        )
    except FileNotFoundError as error:
        raise LabError(f"The program {command[0]} is not installed.") from error
    except subprocess.TimeoutExpired as error:
        if check:
            raise LabError(f"`{' '.join(command)}` did not end within {timeout:.0f} s.") from error
        return subprocess.CompletedProcess(list(command), 124, "", "timed out")
    result = subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
    if check and result.returncode:
        tail = "\n".join((result.stdout + result.stderr).strip().splitlines()[-25:])
        raise LabError(f"`{' '.join(command)}` failed with exit status {result.returncode}:\n{tail}")
    return result


def output(command: Sequence[str], **options) -> str:
    return run(command, **options).stdout.strip()
