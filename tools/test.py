"""Runs all checks and tests, each stage a make target, and ends with a table and a line ``N passed, N failed``.

The lab's first build takes minutes and needs nothing of the other stages, so it runs beside them. Outputs go to
``$EGRESS_CACHE/test/STAGE.log``; a stage that fails shows the end of its own.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOGS = Path(os.environ["EGRESS_CACHE"]) / "test"
TAIL_LINES = 80


@dataclass(frozen=True)
class Stage:
    """One make target. ``expected``: what it takes on 2 cores, cold and warm."""

    target: str
    expected: str
    counts_tests: bool = False  # its pytest summaries count test by test, otherwise the stage is one test


@dataclass(frozen=True)
class Outcome:
    stage: Stage
    seconds: float
    passed: int
    failed: int


LAB = Stage("image", "8 min cold, 5 s warm")
# Cheapest first, so that a slip shows early. ansible-test's units are the tests of "unit" once more: one test here.
BESIDE_THE_LAB = [
    Stage("lint", "20 s"),
    Stage("docs", "10 s"),
    Stage("unit", "30 s", counts_tests=True),
    Stage("agent-test", "1-3 min", counts_tests=True),
    Stage("neutron-test", "4 min cold, 2 min warm", counts_tests=True),
    Stage("vsphere-test", "1 min cold, 30 s warm", counts_tests=True),
    Stage("importer", "10 s"),
    Stage("sanity", "1 min cold, 30 s warm"),
    Stage("units-ansible-test", "30 s"),
]


def on_the_lab() -> list[Stage]:
    """One after another: they cut nodes off and take the API server away."""
    names = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    return [Stage("lab-test", "1 min", counts_tests=True), *(Stage(f"molecule-{name}", "2-5 min") for name in names)]


def log_of(stage: Stage) -> Path:
    return LOGS / f"{stage.target}.log"


class Running:
    """A stage's process, in a group of its own. A thread takes its ``seconds``: it may be waited for later."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.seconds = 0.0
        with log_of(stage).open("wb") as log:
            self.process = subprocess.Popen(
                ["make", "--no-print-directory", stage.target],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()

    def _watch(self) -> None:
        began = time.monotonic()
        self.process.wait()
        self.seconds = time.monotonic() - began

    def wait(self) -> int:
        self._watcher.join()
        return self.process.returncode

    def stop(self) -> None:
        """Ends a stage that is still running, with all it started: the run was interrupted."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.wait()


def pytest_counts(text: str) -> tuple[int, int]:
    """Passed and failed of all of pytest's summary lines, such as ``=== 1 failed, 30 passed, 2 errors in 0.5s ===``."""
    summaries = [line for line in text.splitlines() if re.search(r"\d+ (passed|failed|errors?)\b.* in [\d.]+s", line)]

    def total(word: str) -> int:
        return sum(int(number) for line in summaries for number in re.findall(rf"(\d+) {word}\b", line))

    return total("passed"), total("failed") + total("errors?")


def finish(running: Running) -> Outcome:
    stage = running.stage
    status = running.wait()
    seconds = running.seconds
    text = log_of(stage).read_text(errors="replace")
    passed, failed = pytest_counts(text) if stage.counts_tests else (0, 0)
    if status != 0:
        # A crash outside of the tests, or no test at all, is a failure of its own.
        failed = max(failed, 1)
        print(f"--- {stage.target} failed with status {status}; the end of {log_of(stage)}:")
        print("\n".join(text.splitlines()[-TAIL_LINES:]))
        print(f"--- end of {stage.target}", flush=True)
    elif stage.counts_tests and passed == 0:
        failed = 1
        print(f"--- {stage.target} ran no test", flush=True)
    elif not stage.counts_tests:
        passed = 1
    print(f"{stage.target}: {'ok' if failed == 0 else 'FAILED'} after {seconds:.0f} s", flush=True)
    return Outcome(stage, seconds, passed, failed)


def run(stage: Stage) -> Outcome:
    print(f"{stage.target} ({stage.expected}) ...", flush=True)
    running = Running(stage)
    try:
        return finish(running)
    finally:
        running.stop()


def main() -> int:
    LOGS.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    print(f"lab and {LAB.target} in the background ({LAB.expected}): {log_of(LAB)}", flush=True)
    lab = Running(LAB)
    try:
        outcomes = [run(stage) for stage in BESIDE_THE_LAB]
        print("waiting for the lab ...", flush=True)
        outcomes.append(finish(lab))
    finally:
        lab.stop()
    if outcomes[-1].failed:
        print("no lab: the stages that need it count as failed", flush=True)
        outcomes += [Outcome(stage, 0, 0, 1) for stage in on_the_lab()]
    else:
        outcomes += [run(stage) for stage in on_the_lab()]

    passed = sum(outcome.passed for outcome in outcomes)
    failed = sum(outcome.failed for outcome in outcomes)
    print(f"\n{'stage':<24}{'passed':>8}{'failed':>8}{'seconds':>9}   expected")
    for outcome in outcomes:
        stage = outcome.stage
        print(f"{stage.target:<24}{outcome.passed:>8}{outcome.failed:>8}{outcome.seconds:>9.1f}   {stage.expected}")
    print(f"all stages: {time.monotonic() - began:.0f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(143))
    sys.exit(main())
