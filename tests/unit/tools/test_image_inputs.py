# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The image has the contract of the collection and nothing else of it, so a changed check or role does not rebuild it.

What it says of itself, and what the tests read of its definition.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CONTAINERFILE = (ROOT / "images/router/Containerfile").read_text()


def test_the_image_copies_the_contract_alone() -> None:
    lines = CONTAINERFILE.replace("\\\n", " ").splitlines()
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


def test_the_labels_agree_with_galaxy() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="(.*?)"', CONTAINERFILE))
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    assert labels["version"] == galaxy["version"], "make images/router/Containerfile and galaxy.yml agree"
    assert labels["source"] == galaxy["repository"]
    assert [labels["licenses"]] == galaxy["license"]
    assert labels["base.name"] == "${BASE}" and labels["revision"] == "${REVISION}"
    assert labels["title"] and labels["description"]


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tests/lab")
    return importlib.import_module("egress_lab.debian")


def test_the_packages_of_the_image_are_those_that_it_installs(debian: ModuleType) -> None:
    text = (
        "ARG BASE=docker.io/library/debian:trixie-20261005-slim\nFROM ${BASE}\n"
        "RUN apt-get update \\\n && apt-get install -y --no-install-recommends \\\n      one libtwo++ \\\n      python3.13 \\\n"
        " && rm -rf /var/lib/apt/lists/*\nRUN true\n"
    )
    assert debian.image_packages(text) == ["one", "libtwo++", "python3.13"]
    assert debian.image_packages("RUN apt-get install -y one two\nRUN true\n") == ["one", "two"]
    assert debian.image_suite(text) == "trixie"
    with pytest.raises(debian.LabError, match="mend it"):
        debian.image_packages("FROM scratch\n")


def test_the_image_has_the_agents_libraries(debian: ModuleType) -> None:
    packages = set(debian.image_packages(CONTAINERFILE))
    assert packages > {
        "python3",
        "python3-nftables",
        "python3-prometheus-client",
        "python3-pyroute2",
        "python3-urllib3",
    }
    assert not packages & set(debian.TEST_PACKAGES)
