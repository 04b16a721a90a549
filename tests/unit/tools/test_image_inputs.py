# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The image has the contract of the collection and nothing else of it, so a changed check or role does not rebuild it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_image_copies_the_contract_alone() -> None:
    lines = (ROOT / "images/router/Containerfile").read_text().replace("\\\n", " ").splitlines()
    sources = [word for line in lines if line.startswith(("COPY", "ADD")) for word in line.split()[1:-1]]
    assert sorted(sources) == [
        "images/router/bin/egress-router",
        "images/router/egress_router/",
        "plugins/module_utils/_contract/",
    ]


def test_the_image_imports_nothing_else_of_the_collection() -> None:
    collection = re.compile(r"ansible_collections\.egress\.router\.([a-z_.]+)")
    folders = (ROOT / "images/router", ROOT / "plugins/module_utils/_contract")
    found = {
        name for folder in folders for file in folder.rglob("*.py") for name in collection.findall(file.read_text())
    }
    assert found and all(name.startswith("plugins.module_utils._contract") for name in found)


def test_the_contract_imports_the_standard_library_alone() -> None:
    """It runs in the image without Ansible, and on the controller without the image's libraries."""
    upward = re.compile(r"^\s*(?:from \.\.|import ansible|from ansible)", re.M)
    for file in (ROOT / "plugins/module_utils/_contract").rglob("*.py"):
        assert not upward.search(file.read_text()), file
