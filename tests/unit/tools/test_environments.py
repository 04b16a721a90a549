# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into the execution environment and the decision environment."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("egress_router_tools_environments", ROOT / "tools/environments.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_change_of_any_file_is_another_image(tool: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/b").write_text("2")
    first = tool.digest_of(tmp_path, "base")
    assert tool.digest_of(tmp_path, "base") == first != tool.digest_of(tmp_path, "another base")
    (tmp_path / "folder/b").write_text("3")
    second = tool.digest_of(tmp_path, "base")
    (tmp_path / "folder/b").rename(tmp_path / "folder/c")
    assert len({first, second, tool.digest_of(tmp_path, "base")}) == 3


def test_what_is_published(tool: ModuleType) -> None:
    files = [
        "galaxy.yml",
        "plugins/modules/a.py",
        "tests/unit/a.py",
        "a-1.tar.gz",
        ".ci/run",
        "changelogs/.plugin-cache.yaml",
    ]
    ignored = yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"]
    assert tool.published(files, ignored) == ["galaxy.yml", "plugins/modules/a.py"]


def test_collections_come_with_what_they_depend_on(tool: ModuleType) -> None:
    known = {"community.vmware": ["vmware.vmware"], "vmware.vmware": ["community.vmware"], "kubernetes.core": []}
    assert tool.closure(["kubernetes.core", "community.vmware"], known.__getitem__) == [
        "community.vmware", "kubernetes.core", "vmware.vmware",
    ]  # fmt: skip
    assert tool.requirements(["kubernetes.core"], "/build/collections") == {
        "collections": [{"type": "dir", "source": "/build/collections/kubernetes/core"}]
    }


def test_the_settings_of_pip(tool: ModuleType) -> None:
    given = "[global]\nindex-url = https://pypi.example.com/simple\ncert = /etc/ssl/one.pem\nfind-links = /opt/wheels\ntimeout = 9\n"
    text, mounts = tool.pip_settings(given)
    assert text == "[global]\nindex-url = https://pypi.example.com/simple\ncert = /run/egress/cert.pem\ntimeout = 9\n"
    assert mounts == {"/etc/ssl/one.pem": "/run/egress/cert.pem"}
    assert tool.pip_settings("[global]\n") == ("[global]\n", {})


def test_what_is_shown(tool: ModuleType) -> None:
    printed = (
        '242\t.\n11\t/usr/share/ansible/collections\n194\t/usr/lib/jvm/java\nPython 3.13.5\nopenjdk version "21" 2026\n'
    )
    printed += "kubernetes 37.0.2\nidna 3.10\negress.router 0.1.0\n"
    assert tool.contents(printed) == [
        "Python packages 242 MB, collections 11 MB, Java 194 MB",
        "Python 3.13.5, openjdk 21 2026, kubernetes 37.0.2, egress.router 0.1.0",
    ]


def test_the_definitions_are_what_ansible_builder_takes(tool: ModuleType, tmp_path: Path) -> None:
    for environment in tool.ENVIRONMENTS.values():
        made = tool.create(ROOT / environment.definition, tmp_path / environment.definition.replace("/", "-"))
        steps = (made / "Containerfile").read_text()
        assert "apt-get update" in steps and "USER 1000" in steps


def test_a_definition_that_is_wrong_is_refused(tool: ModuleType, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("version: 3\nimages: {base: debian}\n")
    with pytest.raises(tool.shell.LabError, match=r"(?s)ansible-builder.*base"):
        tool.create(wrong, tmp_path / "context")
