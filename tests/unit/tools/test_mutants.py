# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether each mistake can still be made; that a test notices it is for `make mutants`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
MISTAKES: list[dict[str, Any]] = yaml.safe_load((ROOT / "tools/mutants.yml").read_text())


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["mistake"])
def test_a_mistake_has_its_place_and_its_tests(mistake: dict[str, Any]) -> None:
    assert (ROOT / mistake["file"]).read_text().count(mistake["before"]) == 1, "put tools/mutants.yml right"
    assert [path for path in mistake["tests"] if not (ROOT / "tests/unit" / path).exists()] == []
