# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The README has every variable, as the roles specify it."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text()


@pytest.fixture
def variables() -> Any:
    spec = importlib.util.spec_from_file_location("variables", ROOT / "tools/variables.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["variables"] = module
    spec.loader.exec_module(module)
    return module


def test_the_table_of_the_readme_is_that_of_the_roles(variables: Any) -> None:
    assert variables.updated(README) == README, "run tools/run python tools/variables.py"
    assert len(list(variables.lines())) > 20


def test_every_variable_of_a_playbook_is_in_the_readme() -> None:
    for path in (ROOT / "playbooks").glob("*.yml"):
        for name in re.findall(r"(?<![.\w])(\w+) \| default\(", path.read_text()):
            assert f"`{name}`" in README, f"{path.name} reads {name}: describe it in README.md"


def test_roles_leave_the_list_to_our_own_reader(variables: Any) -> None:
    # With `elements`, Ansible refuses an item that is no dictionary in its own words, and nothing else is reported.
    _option, roles = variables.options()["egress_routers"]
    assert len(roles) > 5
    for role in roles:
        specs = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"]
        found = [spec["options"]["egress_routers"] for spec in specs.values() if "egress_routers" in spec["options"]]
        assert found and all(set(option) == {"description", "type", "required"} for option in found), role
