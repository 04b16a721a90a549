# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A changed option without a changelog fragment is found, and one with a fragment is not."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("egress_router_tools_interface", ROOT / "tools/interface.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOLD: dict[str, dict[str, Any]] = {"module probe": {"targets.port": {"type": "int"}}, "playbook verify": {}}


@pytest.mark.parametrize(
    ("now", "said", "expected"),
    [
        (TOLD, [], []),
        (
            {**TOLD, "module probe": {"targets.port": {"type": "str"}}},
            [],
            ['module probe: targets.port: {"type": "int"} -> {"type": "str"}'],
        ),
        ({**TOLD, "module probe": {"targets.port": {"type": "str"}}}, ["probe - ``port`` may be a name."], []),
        # Both have to be named, in one sentence, and as words.
        (
            {**TOLD, "module probe": {}},
            ["probe_info - ``ports`` is new.", "verify - ``port`` is gone."],
            ['module probe: targets.port: {"type": "int"} -> nothing'],
        ),
        (
            {**TOLD, "module probe": {**TOLD["module probe"], "timeout": {}}},
            [],
            ["module probe: timeout: nothing -> {}"],
        ),
        # The changelog lists new modules by itself, but no playbooks, and nothing that is gone.
        ({**TOLD, "module other": {}}, [], []),
        ({**TOLD, "playbook render": {}}, [], ["playbook render is new"]),
        ({"playbook verify": {}}, [], ["module probe is gone"]),
        ({"playbook verify": {}}, ["probe - removed."], []),
    ],
)
def test_untold_changes(tool: ModuleType, now: dict[str, Any], said: list[str], expected: list[str]) -> None:
    assert tool.untold(TOLD, now, said) == expected


def test_the_whole_tree(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("changelogs", "plugins", "roles", "playbooks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "galaxy.yml", tmp_path)
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    snapshot = tmp_path / tool.SNAPSHOT
    snapshot.unlink(missing_ok=True)
    assert tool.main(["write"]) == 0
    before = json.loads(snapshot.read_text())
    assert before["module probe"]["kubeconfig"]["type"] == "raw", "options of fragments belong to it"
    assert before["role deploy"]["egress_routers"]["type"] == "list"
    assert before["playbook provision"] == {}

    module = tmp_path / "plugins/modules/probe.py"
    module.write_text(module.read_text().replace("\noptions:\n", "\noptions:\n  haste:\n    type: bool\n", 1))
    assert tool.main([]) == tool.main(["write"]) == 1
    assert json.loads(snapshot.read_text()) == before
    fragment = tmp_path / "changelogs/fragments/1-haste.yml"
    fragment.write_text('minor_changes:\n  - "probe - new option ``haste``."\n')
    assert tool.main([]) == tool.main(["write"]) == 0
    assert json.loads(snapshot.read_text())["module probe"]["haste"] == {"type": "bool"}
