# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``make test`` counts, and that it never counts a failure as a success."""

from __future__ import annotations

import importlib.util
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).resolve().parents[3] / "tools/test.py"


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("EGRESS_CACHE", str(tmp_path))
    spec = importlib.util.spec_from_file_location("egress_router_tools_test", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    module.LOGS.mkdir(exist_ok=True)
    # make STAGE becomes a target of a Makefile made here.
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def outcome(runner: ModuleType, recipe: str, counts_tests: bool) -> tuple[int, int]:
    (runner.ROOT / "Makefile").write_text(f"stage:\n\t@{recipe}\n")
    done = runner.Run().stage(runner.Stage("stage", "no time", counts_tests=counts_tests))
    assert 0 <= done.seconds < 60
    return done.passed, done.failed


@pytest.mark.parametrize(
    ("recipe", "counts_tests", "expected"),
    [
        ("true", False, (1, 0)),
        ("false", False, (0, 1)),
        ("echo '== 5 passed, 1 warning in 0.31s =='", True, (5, 0)),
        ("echo '5 passed in 0.31s'; echo '2 passed, 1 skipped in 61.02s (0:01:01)'", True, (7, 0)),
        ("echo '== 1 failed, 30 passed, 2 errors in 0.50s =='; false", True, (30, 3)),
        # A crash after the tests, and a run without any test, are failures.
        ("echo '== 5 passed in 0.31s =='; false", True, (5, 1)),
        ("echo 'no tests ran in 0.01s'", True, (0, 1)),
        # A summary within another kind of stage is not counted.
        ("echo '== 5 passed in 0.31s =='", False, (1, 0)),
        # Words in a log are no summary.
        ("echo '9 failed attempts'; echo '3 passed in 0.10s'", True, (3, 0)),
    ],
)
def test_outcome_of_a_stage(runner: ModuleType, recipe: str, counts_tests: bool, expected: tuple[int, int]) -> None:
    assert outcome(runner, recipe, counts_tests) == expected


def test_a_failing_stage_shows_its_end(runner: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    outcome(runner, "echo the reason; false", False)
    assert "the reason" in capsys.readouterr().out


def run_of(runner: ModuleType, monkeypatch: pytest.MonkeyPatch, makefile: str, *lanes: object) -> int:
    (runner.ROOT / "Makefile").write_text(makefile)
    monkeypatch.setattr(runner, "lanes", lambda: list(lanes))
    return runner.main()


def stages(runner: ModuleType, *targets: str) -> list[object]:
    return [runner.Stage(target, "no time") for target in targets]


def test_the_table_has_every_stage_of_every_lane(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (runner.Lane(name, stages(runner, *targets)) for name, targets in (("a", "xy"), ("b", "z")))
    assert run_of(runner, monkeypatch, "x z:\n\t@true\ny:\n\t@echo a reason; false\n", first, second) == 1
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split()[:3] for line in lines[lines.index("") + 2 :][:3]]
    assert rows == [["x", "1", "0"], ["y", "0", "1"], ["z", "1", "0"]]
    assert lines[-1] == "2 passed, 1 failed"
    assert "a reason" in lines


def test_lanes_run_beside_each_other(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Each waits for the other.
    os.mkfifo(runner.ROOT / "fifo")
    lanes = [runner.Lane(target, stages(runner, target)) for target in ("reads", "writes")]
    assert run_of(runner, monkeypatch, "reads:\n\t@cat fifo\nwrites:\n\t@echo >fifo\n", *lanes) == 0
    assert capsys.readouterr().out.endswith("2 passed, 0 failed\n")


def test_outputs_of_lanes_do_not_mix(runner: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines were seen with the end of another one between them and their own end."""
    writes: list[str] = []

    class Output(io.StringIO):
        def write(self, text: str) -> int:
            if text:
                writes.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stdout", Output())
    runner.Run().say("failed\n--- the end of it")
    assert len(writes) == 1 and writes[0].endswith(" failed\n--- the end of it\n")


def test_without_the_lab_its_scenarios_fail_and_are_not_started(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lane = runner.Lane("lab", stages(runner, "image", "scenario"), all_need_the_first=True)
    assert run_of(runner, monkeypatch, "image:\n\t@false\nscenario:\n\t@touch started\n", lane) == 1
    assert not (runner.ROOT / "started").exists()
    assert capsys.readouterr().out.endswith("0 passed, 2 failed\n")


def test_an_interrupted_run_ends_its_stages_and_starts_no_more(runner: ModuleType) -> None:
    (runner.ROOT / "Makefile").write_text(
        "first:\n\t@trap 'touch ended; exit 1' TERM; touch begun; sleep 30 & wait\nsecond:\n\t@touch started\n"
    )
    program = f"""
import sys
sys.path.insert(0, {str(PROGRAM.parent)!r})
import test
test.ROOT = test.Path({str(runner.ROOT)!r})
test.lanes = lambda: [test.Lane("a", [test.Stage("first", ""), test.Stage("second", "")])]
sys.exit(test.main())
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL)
    began = time.monotonic()
    while not (runner.ROOT / "begun").exists():
        assert time.monotonic() - began < 30 and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 130
    assert (runner.ROOT / "ended").exists()
    assert not (runner.ROOT / "started").exists()


def test_no_stage_runs_twice(runner: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of one name would write one log, and count each other's tests."""
    monkeypatch.setattr(runner, "ROOT", PROGRAM.parents[1])
    targets = [stage.target for lane in runner.lanes() for stage in lane.stages]
    assert len(targets) > 10
    assert sorted(targets) == sorted(set(targets))
