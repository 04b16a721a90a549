# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``make test`` counts, and that it never counts a failure as a success."""

from __future__ import annotations

import importlib.util
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
    module.LOGS.mkdir()
    # make STAGE becomes a target of a Makefile made here.
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def outcome(runner: ModuleType, recipe: str, counts_tests: bool) -> tuple[int, int]:
    (runner.ROOT / "Makefile").write_text(f"stage:\n\t@{recipe}\n")
    done = runner.run(runner.Stage("stage", "no time", counts_tests=counts_tests))
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


def test_an_interrupted_stage_is_ended_with_its_children(runner: ModuleType) -> None:
    (runner.ROOT / "Makefile").write_text("stage:\n\t@sleep 20\n")
    began = time.monotonic()
    running = runner.Running(runner.Stage("stage", "no time"))
    running.stop()
    assert running.process.returncode != 0
    assert time.monotonic() - began < 10
