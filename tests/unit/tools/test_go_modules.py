# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's Go modules are built one after another, and Go compiles a package once only if its version is the same."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

GO = Path(__file__).resolve().parents[2] / "lab" / "go"
# kind shares a handful of small packages with the others.
FILES = [path for path in sorted(GO.glob("*/go.mod")) if path.parent.name != "kind"]


def versions(text: str) -> dict[str, str]:
    return dict(re.findall(r"^(?:require )?\s*(\S+) (v\S+)(?: // indirect)?$", text, re.MULTILINE))


def test_versions_are_read() -> None:
    text = (
        "module a\n\nrequire b.c/d v1.2.3\n\nrequire (\n\te.f/g v0.1.0 // indirect\n)\nreplace e.f/g => e.f/h v9.9.9\n"
    )
    assert versions(text) == {"b.c/d": "v1.2.3", "e.f/g": "v0.1.0"}


@pytest.mark.parametrize(
    ("one", "other"), list(itertools.combinations(FILES, 2)), ids=lambda path: str(path.parent.name)
)
def test_what_two_modules_share_has_one_version(one: Path, other: Path) -> None:
    here, there = versions(one.read_text()), versions(other.read_text())
    shared = {name for name in here.keys() & there.keys() if name.startswith(("k8s.io/", "golang.org/x/"))}
    assert {name: (here[name], there[name]) for name in shared if here[name] != there[name]} == {}
