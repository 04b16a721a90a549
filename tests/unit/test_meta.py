# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the tree that no other check knows. Each rule names the file that breaks it and says what to do."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubernetes.core.plugins.action import k8s_info

from ansible_collections.egress.router.plugins.module_utils._preflight.checks.all import IDS

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py") if path.stem != "__init__")
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
PYTHON_OF_PLUGINS = sorted(path for path in PLUGINS.rglob("*.py") if path.name != "__init__.py")
MAX_MODULE_STATEMENTS = 60

HEADER = [
    "# Copyright (c) 2026, egress.router maintainers",
    "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "# SPDX-License-Identifier: GPL-3.0-or-later",
]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked_files() -> list[Path]:
    """Files that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def imports(tree: ast.AST) -> Iterator[str]:
    """Absolute names of everything a file imports, at its top or inside a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def group_of(module: str) -> str:
    """The action group of a module's kind of connection: its first word names the cloud, else it is Kubernetes'."""
    first = module.split("_")[0]
    return first if first in ("openstack", "vsphere") else "kubernetes"


def statement_lines(source: str) -> int:
    """Lines on which a statement begins, without docstrings and the documentation strings of a module."""
    lines = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Assign(value=ast.Constant(value=str())) | ast.Expr(value=ast.Constant()):
                continue
            case ast.stmt():
                lines.add(node.lineno)
    return len(lines)


def test_the_tree_has_what_is_checked_here() -> None:
    assert MODULES, "no module was found in plugins/modules"
    assert ROLES, "no role was found in roles"
    assert len(PYTHON_OF_PLUGINS) > len(MODULES)
    assert (PLUGINS / "module_utils/_contract").is_dir()


def test_action_groups_list_every_module() -> None:
    groups = load(ROOT / "meta/runtime.yml")["action_groups"]
    neighbours = {
        "kubernetes": "kubernetes.core.k8s",
        "openstack": "openstack.cloud.openstack",
        "vsphere": "community.vmware.vmware",
    }
    assert list(groups) == list(neighbours)
    for name, neighbour in neighbours.items():
        listed = [entry for entry in groups[name] if isinstance(entry, str)]
        assert listed == [module for module in MODULES if group_of(module) == name], (
            f"list the modules, sorted, in action_groups.{name} of meta/runtime.yml"
        )
        assert {"metadata": {"extend_group": [neighbour]}} in groups[name]


def test_every_module_on_kubernetes_has_the_action_plugin_of_kubernetes_core() -> None:
    sources = {path.stem: path.read_text() for path in (PLUGINS / "action").glob("*.py")}
    expected = [module for module in MODULES if group_of(module) == "kubernetes"]
    assert sorted(sources) == expected, "copy plugins/action/router_info.py for every module that talks to Kubernetes"
    for name in sources:
        plugin = importlib.import_module(f"ansible_collections.egress.router.plugins.action.{name}")
        assert issubclass(plugin.ActionModule, k8s_info.ActionModule), f"plugins/action/{name}.py"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_unit_tests(module: str) -> None:
    path = ROOT / "tests/unit/plugins/modules" / f"test_{module}.py"
    assert path.is_file(), f"write {relative(path)}"
    functions = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    assert any(name.startswith("test_") for name in functions), f"{relative(path)} has no test"


@pytest.mark.parametrize("module", MODULES)
def test_module_is_a_table_of_contents(module: str) -> None:
    count = statement_lines((PLUGINS / "modules" / f"{module}.py").read_text())
    assert count <= MAX_MODULE_STATEMENTS, f"{module} has {count} lines of code: move logic to plugins/module_utils"


@pytest.mark.parametrize("path", PYTHON_OF_PLUGINS, ids=relative)
def test_licence_header(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("#!", "# -*-"))]
    assert lines[:3] == HEADER, f"begin {relative(path)} with the licence header"
    assert "from __future__ import annotations" in lines, f"{relative(path)} lacks the __future__ import"


@pytest.mark.parametrize("path", PYTHON_OF_PLUGINS, ids=relative)
@pytest.mark.parametrize(
    ("world", "seam"),
    [
        ("kubernetes", "_kubernetes/cluster.py"),
        ("openstack|keystoneauth1", "_openstack/cloud.py"),
        ("community.vmware|vmware.vmware|pyVim|pyVmomi", "_vsphere/vcenter.py"),
    ],
    ids=["kubernetes", "openstack", "vsphere"],
)
def test_one_file_talks_to_each_world(path: Path, world: str, seam: str) -> None:
    if path == PLUGINS / "module_utils" / seam or path.parent in (PLUGINS / "action", PLUGINS / "plugin_utils"):
        return
    foreign = re.compile(rf"(ansible_collections\.)?({world})(\.|$)")
    used = [name for name in imports(ast.parse(path.read_text())) if foreign.match(name)]
    assert not used, f"{relative(path)} imports {used}: only plugins/module_utils/{seam} may"


def test_the_model_needs_nothing_but_python(tmp_path: Path) -> None:
    names = [
        ".".join(["ansible_collections.egress.router", *path.relative_to(ROOT).with_suffix("").parts])
        for path in sorted(p for d in ("_contract", "_router") for p in (PLUGINS / "module_utils" / d).rglob("*.py"))
        if path.name != "__init__.py"
    ]
    assert names
    namespace = tmp_path / "ansible_collections/egress"
    namespace.mkdir(parents=True)
    (namespace / "router").symlink_to(ROOT)
    # -S: without site-packages, so without ansible, kubernetes and yaml.
    process = subprocess.run(
        [sys.executable, "-S", "-c", "\n".join(f"import {name}" for name in names)],
        env={"PYTHONPATH": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("role", ROLES)
def test_role_has_its_papers(role: str) -> None:
    for name in ("README.md", "meta/argument_specs.yml", "meta/main.yml"):
        assert (ROOT / "roles" / role / name).is_file(), f"write roles/{role}/{name}"


@pytest.mark.parametrize("role", ROLES)
def test_role_defaults_are_those_of_its_specification(role: str) -> None:
    path = ROOT / "roles" / role
    specs = load(path / "meta/argument_specs.yml")["argument_specs"]
    specified = {
        name: option["default"]
        for spec in specs.values()
        for name, option in spec.get("options", {}).items()
        if "default" in option
    }
    defaults_file = path / "defaults/main.yml"
    defaults = (load(defaults_file) if defaults_file.is_file() else None) or {}
    assert defaults == specified, f"make roles/{role}/defaults/main.yml and its meta/argument_specs.yml agree"


def test_every_check_of_preflight_is_explained() -> None:
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs/preflight.md").read_text(), flags=re.MULTILINE)
    assert headings == list(IDS), "docs/preflight.md explains each check under its id, in the order of the report"


def test_no_path_of_a_machine() -> None:
    machine_path = re.compile(r"(^|[^a-z])/(?:work|farm|root)/")
    found = []
    for path in tracked_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{relative(path)}:{number}" for number, line in enumerate(lines, 1) if machine_path.search(line)]
    assert not found, f"paths of a machine: {found}"
