# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytecode is kept outside of the checkout by all that runs Python, also where the machine wants none to be written."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "command",
    [["bash", "-c", ". tools/env.sh; exec python3"], *([f"tests/{name}"] for name in ("lab/lab", "neutron/neutron", "vcsim/vcsim"))],
    ids=["tools/env.sh", "lab", "neutron", "vcsim"],
)  # fmt: skip
def test_python_keeps_bytecode_in_the_cache(command: list[str], tmp_path: Path) -> None:
    # Instead of Python: it is first in PATH, and where an environment comes before it, that is not there.
    stub = tmp_path / "python3"
    stub.write_text('#!/bin/sh\necho "${PYTHONDONTWRITEBYTECODE-unset} $PYTHONPYCACHEPREFIX"\n')
    stub.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "EGRESS_CACHE": str(tmp_path / "cache"), "HOME": "/"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["unset", str(tmp_path / "cache/bytecode")]
