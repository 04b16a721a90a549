"""Runs all checks and tests, each stage a make target, and ends with a table and a line ``N passed, N failed``.

Stages run beside each other in lanes; those of one lane run one after another. Outputs go to
``$EGRESS_CACHE/test/STAGE.log``; a stage that fails shows the end of its own. The table is kept in ``table.txt`` beside them.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOGS = Path(os.environ["EGRESS_CACHE"]) / "test"
TAIL_LINES = 80


@dataclass(frozen=True)
class Stage:
    """One make target.

    ``expected``: what it takes on 2 cores, cold and warm, beside the others. ``nice``: what it computes gives way to
    stages with less, first of all to the lane that takes longest.
    """

    target: str
    expected: str
    counts_tests: bool = False  # its pytest summaries count test by test, otherwise the stage is one test
    nice: int = 0


@dataclass(frozen=True)
class Outcome:
    """``begin``: seconds after that of the run. ``cpu``: seconds of computing, containers and daemons left out."""

    stage: Stage
    begin: float
    seconds: float
    cpu: float
    passed: int
    failed: int


@dataclass(frozen=True)
class Lane:
    """Stages in their order."""

    name: str
    stages: Sequence[Stage]
    all_need_the_first: bool = False


def lanes() -> list[Lane]:
    scenarios = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    return [
        # There is one lab: scenarios cut nodes off, take the API server away and close ports of all nodes.
        Lane(
            "lab",
            [
                Stage("image", "20 min cold, 10 s warm"),
                Stage("lab-test", "1 min", counts_tests=True),
                *(Stage(f"molecule-{name}", "2-8 min") for name in scenarios),
            ],
            all_need_the_first=True,
        ),
        # These wait more than they compute: for leases, for servers, for connections that are to fail.
        Lane(
            "servers",
            [
                Stage("neutron-test", "16 min cold, 7 min warm", counts_tests=True, nice=10),
                Stage("vsphere-test", "5 min cold, 3 min warm", counts_tests=True, nice=5),
                # These two after those two: when their turn comes the lab has built their programs.
                Stage("api-server-test", "4 min", counts_tests=True, nice=5),
                Stage("openshift-test", "2 min", counts_tests=True, nice=5),
                # Not beside the cluster's start, and before all others: promises of its pods last for half a second.
                Stage("agent-test", "6 min", counts_tests=True, nice=-5),
            ],
        ),
        # Cheapest first, so that a slip shows early; the rest has the time of the scenarios.
        Lane(
            "computing",
            [
                Stage("unit", "90 s", counts_tests=True),
                Stage("lint-all", "11 min cold, 5 min warm", nice=19),
                Stage("docs", "1 min", nice=19),
                Stage("importer", "1 min", nice=19),
                Stage("sanity", "12 min cold, 4 min warm", nice=19),
                Stage("sanity-oldest", "3 min cold, 1 min warm", nice=19),
                Stage("units-oldest", "90 s", counts_tests=True, nice=19),
                # It needs the API server that the lab has built by now, and this lane has time left.
                Stage("events-test", "3 min cold, 2 min warm", counts_tests=True, nice=5),
            ],
        ),
    ]


def log_of(stage: Stage) -> Path:
    return LOGS / f"{stage.target}.log"


class Running:
    """A stage's process, in a group of its own."""

    def __init__(self, stage: Stage, made: str = "") -> None:
        self.stage = stage
        # Seconds each time, to find that nothing is to be done.
        done = ["--old-file", made] if made else []
        self.began = time.monotonic()
        with log_of(stage).open("wb") as log:
            self.process = subprocess.Popen(
                ["nice", "-n", str(stage.nice), "make", "--no-print-directory", *done, stage.target],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # Linux shares computing out between sessions first, where it has autogroups: `nice` counts within one alone.
        # No such file, or not so often: it only takes longer.
        with suppress(OSError):
            Path(f"/proc/{self.process.pid}/autogroup").write_text(str(stage.nice))

    def wait(self) -> tuple[int, float, float]:
        """Status, seconds, and seconds of computing by it and whatever it waited for."""
        _pid, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return self.process.returncode, time.monotonic() - self.began, usage.ru_utime + usage.ru_stime

    def stop(self) -> None:
        """Ends a stage that is still running, with all it started: the run was interrupted."""
        os.killpg(self.process.pid, signal.SIGTERM)


def pytest_counts(text: str) -> tuple[int, int]:
    """Passed and failed of all of pytest's summary lines, such as ``=== 1 failed, 30 passed, 2 errors in 0.5s ===``."""
    summaries = [line for line in text.splitlines() if re.search(r"\d+ (passed|failed|errors?)\b.* in [\d.]+s", line)]

    def total(word: str) -> int:
        return sum(int(number) for line in summaries for number in re.findall(rf"(\d+) {word}\b", line))

    return total("passed"), total("failed") + total("errors?")


@dataclass
class Run:
    """What is going on. An interrupted run starts nothing more and ends what runs."""

    began: float = field(default_factory=time.monotonic)
    running: set[Running] = field(default_factory=set)
    stopped: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def lane(self, lane: Lane) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for stage in lane.stages:
            if lane.all_need_the_first and outcomes and outcomes[0].failed:
                self.say(f"{stage.target}: counts as failed without {outcomes[0].stage.target}")
                outcomes.append(Outcome(stage, self.now(), 0, 0, 0, 1))
            else:
                made = outcomes[0].stage.target if lane.all_need_the_first and outcomes else ""
                outcomes.append(self.stage(stage, made))
        return outcomes

    def stage(self, stage: Stage, made: str = "") -> Outcome:
        """Runs a stage. `made`: a target that was made before, on which it depends."""
        with self.lock:
            if self.stopped:
                return Outcome(stage, self.now(), 0, 0, 0, 1)
            running = Running(stage, made)
            self.running.add(running)
        self.say(f"{stage.target} ({stage.expected}) ...")
        try:
            status, seconds, cpu = running.wait()
        finally:
            with self.lock:
                self.running.discard(running)
        text = log_of(stage).read_text(errors="replace")
        passed, failed = judge(stage, status, text)
        # One call, so that the lanes' outputs do not mix.
        end = f"\n--- the end of {log_of(stage)}:\n{tail(text)}\n--- end of {stage.target}" if failed else ""
        self.say(f"{stage.target}: {'FAILED' if failed else 'ok'} after {seconds:.0f} s{end}")
        return Outcome(stage, running.began - self.began, seconds, cpu, passed, failed)

    def stop(self) -> None:
        with self.lock:
            self.stopped = True
            for running in self.running:
                running.stop()

    def now(self) -> float:
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        # With the end of the line: `print` writes it afterwards, and another lane's text may come in between.
        print(f"{int(self.now()) // 60:3}:{int(self.now()) % 60:02} {text}\n", end="", flush=True)


def tail(text: str) -> str:
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def judge(stage: Stage, status: int, text: str) -> tuple[int, int]:
    """Passed and failed. A crash outside of the tests, or no test at all, is a failure of its own."""
    passed, failed = pytest_counts(text) if stage.counts_tests else (int(status == 0), 0)
    if status != 0 or passed == 0:
        failed = max(failed, 1)
    return passed, failed


def table(outcomes: Sequence[Outcome]) -> str:
    lines = [f"{'stage':<22}{'passed':>7}{'failed':>7}{'begin':>7}{'seconds':>9}{'cpu':>7}   expected"]
    for outcome in outcomes:
        stage = outcome.stage
        lines.append(
            f"{stage.target:<22}{outcome.passed:>7}{outcome.failed:>7}{outcome.begin:>7.0f}{outcome.seconds:>9.1f}"
            f"{outcome.cpu:>7.0f}   {stage.expected}"
        )
    return "\n".join(lines)


def main() -> int:
    LOGS.mkdir(parents=True, exist_ok=True)
    run = Run()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ThreadPoolExecutor() as pool:
        try:
            outcomes = [outcome for of_lane in pool.map(run.lane, lanes()) for outcome in of_lane]
        except KeyboardInterrupt:
            run.stop()
            return 130
    computing = sum(outcome.cpu for outcome in outcomes)
    summary = f"{table(outcomes)}\nall stages: {run.now():.0f} s, {computing:.0f} s of computing"
    print(f"\n{summary}")
    (LOGS / "table.txt").write_text(f"{summary}\n")
    passed, failed = (sum(getattr(outcome, name) for outcome in outcomes) for name in ("passed", "failed"))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
