"""Makes each mistake of tools/mutants.yml in a copy of the tree and says whether a unit test fails: ``make mutants``

A mistake that no test notices is alive: that is the failure. Arguments choose by words of the mistake or the file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]


def copy(target: Path) -> None:
    """What git tracks, where Ansible finds it."""
    target.parent.mkdir(parents=True)
    subprocess.run([ROOT / "tools/copy", target], check=True)


def run_tests(tree: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Stops at the first failure. Python must not take compiled files of the unbroken code for current ones."""
    path = str(tree.parents[2])
    environment = {"ANSIBLE_COLLECTIONS_PATH": path, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *(f"tests/unit/{test}" for test in tests)],
        cwd=tree,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
    )


def outcome(mutant: Mapping[str, Any], work: Path) -> str:
    """Empty: killed. Else what is wrong."""
    tree = work / "ansible_collections/egress/router"
    copy(tree)
    path = tree / mutant["file"]
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if text.count(mutant["before"]) != 1:
        return f"`before` occurs {text.count(mutant['before'])} times in {mutant['file']}: put tools/mutants.yml right"
    path.write_text(text.replace(mutant["before"], mutant["after"]), encoding="utf-8")
    try:
        compile(path.read_text(encoding="utf-8"), path, "exec")
    except SyntaxError as error:
        return f"the mistake is no Python: {error}"
    done = run_tests(tree, mutant["tests"])
    # 1: a test failed. Anything else, such as a file of tests that is not there, proves nothing.
    if done.returncode == 1:
        return ""
    return (
        "ALIVE: no test fails" if done.returncode == 0 else f"pytest ended with {done.returncode}: {done.stdout[-300:]}"
    )


def main(words: list[str]) -> int:
    everything = yaml.safe_load((ROOT / "tools/mutants.yml").read_text(encoding="utf-8"))
    mutants = [one for one in everything if all(word in f"{one['mistake']} {one['file']}" for word in words)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor(os.cpu_count()) as pool:
        sound = Path(work, "sound/ansible_collections/egress/router")
        copy(sound)
        done = run_tests(sound, sorted({test for mutant in mutants for test in mutant["tests"]}))
        if done.returncode != 0:
            print(done.stdout[-3000:], "the tests fail without any mistake", sep="\n")
            return 1
        folders = [Path(work, str(number)) for number in range(len(mutants))]
        outcomes = list(pool.map(outcome, mutants, folders))
    for mutant, problem in zip(mutants, outcomes, strict=True):
        print(f"{problem or 'killed':<8} {mutant['mistake']}")
    alive = sum(1 for problem in outcomes if problem)
    print(f"{len(mutants) - alive} killed, {alive} not, {time.monotonic() - began:.0f} s")
    return 1 if alive or not mutants else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
