# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the tree that no other check knows. Each rule names the file that breaks it and says what to do."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from ansible_collections.egress.router.plugins.module_utils._contract.version import VERSION
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


def graph_tool() -> ModuleType:
    """tools/graph.py, which is no package."""
    spec = importlib.util.spec_from_file_location("egress_router_tools_graph", ROOT / "tools/graph.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


GRAPH = graph_tool()
OF_PLUGINS = GRAPH.plugins()
OF_IMAGE = GRAPH.image()


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
    """It finds kubeconfigs beside the playbook and passes them on, as for the neighbours' modules."""
    theirs = importlib.import_module("ansible_collections.kubernetes.core.plugins.action.k8s_info").ActionModule
    plugins = {path.stem for path in (PLUGINS / "action").glob("*.py")}
    assert plugins <= set(MODULES), "an action plugin is called like its module"
    for module in MODULES:
        if group_of(module) == "kubernetes":
            assert module in plugins, f"write plugins/action/{module}.py, as its neighbours are"
            ours = importlib.import_module(f"{GRAPH.OWN}plugins.action.{module}").ActionModule
            assert issubclass(ours, theirs), f"plugins/action/{module}.py is no subclass of kubernetes.core's"


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


@pytest.mark.parametrize("graph", [OF_PLUGINS, OF_IMAGE], ids=["plugins", "image"])
def test_imports_go_down(graph: Any) -> None:
    print(graph.text("the floors"))
    assert not graph.homeless(), "declare these packages in tools/graph.py, on the floor where they belong"
    assert not graph.upward(), "a package imports only from floors below its own: see tools/graph.py"


@pytest.mark.parametrize("graph", [OF_PLUGINS, OF_IMAGE], ids=["plugins", "image"])
def test_no_files_import_each_other(graph: Any) -> None:
    assert not graph.cycles(), "these files import each other, directly or through others"


def write(root: Path, files: dict[str, str]) -> Any:
    for name, text in files.items():
        (root / "plugins" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "plugins" / name).write_text(text)
    return GRAPH.plugins(root)


@pytest.mark.parametrize(
    ("text", "upward"),
    [
        ("from .._router.fields import Fields", ["_common -> _router"]),
        ("from .._router import fields", ["_common -> _router"]),
        ("def late():\n    from .._router import fields", ["_common -> _router"]),
        ("import ansible_collections.egress.router.plugins.module_utils._router.fields", ["_common -> _router"]),
        # On the same floor there is no below.
        ("from .._contract.names import NAME", ["_common -> _contract"]),
        ("from .other import x", []),
    ],
)
def test_the_graph_sees_an_arrow_upwards(tmp_path: Path, text: str, upward: list[str]) -> None:
    others = {f"module_utils/{name}.py": "" for name in ("_router/fields", "_contract/names", "_common/other")}
    graph = write(tmp_path, {"module_utils/_common/plan.py": text, **others})
    assert [arrow.partition(":")[0] for arrow in graph.upward()] == upward


def test_the_graph_sees_cycles_and_undeclared_packages(tmp_path: Path) -> None:
    names = ("_router/a", "_router/b", "_router/c", "_router/d", "_news/x")
    texts = ("from .b import x", "from .c import x", "from .a import x", "from .a import x", "")
    graph = write(tmp_path, {f"module_utils/{name}.py": text for name, text in zip(names, texts, strict=True)})
    assert [module.rpartition(".")[2] for module in graph.cycles()] == ["a", "b", "c"]
    assert graph.homeless() == ["_news"]


def allowed(module: str) -> tuple[str, ...]:
    """What a file of plugins/ may import besides the standard library and the collection."""
    name = module.removeprefix(f"{GRAPH.OWN}plugins.").replace(".", "/")
    return GRAPH.SEAMS.get(name.removeprefix("module_utils/") + ".py") or GRAPH.CONTROLLER.get(name.split("/")[0], ())


@pytest.mark.parametrize("module", sorted(OF_PLUGINS.imports))
def test_only_seams_import_libraries(module: str) -> None:
    strangers = [
        name
        for name in OF_PLUGINS.strangers(module)
        if not any(f"{name}.".startswith(f"{a}.") for a in allowed(module))
    ]
    assert not strangers, f"{module} imports {strangers}: only the files of SEAMS in tools/graph.py may"


def test_the_oldest_ansible_core_runs_the_tests_of_all_that_imports_it() -> None:
    command = subprocess.run(
        ["make", "-n", "units-oldest"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    rooms = {f"plugins/{room}" for room in (*GRAPH.CONTROLLER, "modules")}
    seams = [file for file, names in GRAPH.SEAMS.items() if any(name.startswith("ansible") for name in names)]
    rooms |= {f"plugins/module_utils/{file.split('/')[0]}" for file in seams} | {"extensions"}
    assert set(re.findall(r"tests/unit/(\S+)", command)) == rooms


def test_what_reaches_no_seam_needs_nothing_but_python(tmp_path: Path) -> None:
    with_libraries = {module for module in OF_PLUGINS.imports if OF_PLUGINS.strangers(module)}
    pure = sorted(module for module in OF_PLUGINS.imports if not OF_PLUGINS.reached(module) & with_libraries)
    rooms = {OF_PLUGINS.rooms[module] for module in pure}
    assert {"_contract", "_router", "_openstack", "_vsphere", "_preflight"} <= rooms
    namespace = tmp_path / "ansible_collections/egress"
    namespace.mkdir(parents=True)
    (namespace / "router").symlink_to(ROOT)
    # -S: without site-packages, so without ansible, kubernetes and yaml.
    process = subprocess.run(
        [sys.executable, "-S", "-c", "\n".join(f"import {name}" for name in pure)],
        env={"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
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


def test_the_version_is_said_alike() -> None:
    assert load(ROOT / "galaxy.yml")["version"] == VERSION, "make galaxy.yml and _contract/version.py agree"
    image = (ROOT / "images/router/egress_router/__init__.py").read_text()
    said = re.findall(r'^__version__ = "(.+)"$', image, flags=re.MULTILINE)
    assert said in ([], [VERSION]), "let the image take its version from _contract/version.py"
    (wanted,) = load(ROOT / "execution-environment/requirements.yml")["collections"]
    assert wanted["version"] == VERSION, "make execution-environment/requirements.yml ask for the version"
    below = load(ROOT / "decision-environment/decision-environment.yml")["images"]["base_image"]["name"]
    assert below.endswith(f":{VERSION}"), "build decision-environment/decision-environment.yml on the version"


def test_the_oldest_tested_core_is_the_oldest_allowed() -> None:
    allowed = load(ROOT / "meta/runtime.yml")["requires_ansible"]
    pinned = re.findall(r"^ansible-core==(\d+\.\d+)\.", (ROOT / "requirements-oldest.txt").read_text(), re.MULTILINE)
    assert [f">={version}.0" for version in pinned] == [allowed], (
        "make requirements-oldest.txt and meta/runtime.yml agree"
    )


def requirements(path: str) -> dict[str, str]:
    """Packages, as pip normalises their names, and what is said of their versions."""
    lines = [line for line in (ROOT / path).read_text().splitlines() if line and not line.startswith("#")]
    parts = [re.split(r"(?=[=<>])", line, maxsplit=1) for line in lines]
    return {re.sub(r"[-_.]+", "-", name).lower(): (rest or [""])[0] for name, *rest in parts}


def test_the_tests_use_what_an_execution_environment_gets() -> None:
    numbers = re.compile(r"\d+")
    pinned = requirements("requirements.txt")
    for package, minimum in requirements("meta/ee-requirements.txt").items():
        assert package in pinned, f"pin {package} of meta/ee-requirements.txt in requirements.txt"
        tested, wanted = ([int(number) for number in numbers.findall(text)] for text in (pinned[package], minimum))
        assert tested >= wanted, f"{package}: meta/ee-requirements.txt asks for more than requirements.txt has"


def test_the_options_of_vsphere_modules_are_those_of_community_vmware() -> None:
    spec = pytest.importorskip("ansible_collections.community.vmware.plugins.module_utils._argument_spec")
    ours = importlib.import_module(f"{GRAPH.OWN}plugins.module_utils._vsphere.vcenter").AUTH_SPEC
    unset = {"required": False, "default": None}

    def plain(options: dict[str, Any]) -> dict[str, Any]:
        return {
            name: {
                key: sorted(value) if key == "aliases" else value
                for key, value in option.items()
                if unset.get(key, "set") != value
            }
            for name, option in options.items()
        }

    assert plain(ours) == plain(spec.base_argument_spec()), "take over what has changed in community.vmware"


PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_readme_lists_every_playbook() -> None:
    listed = re.findall(r"^\| `egress\.router\.(\w+)` \|", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert sorted(set(listed)) == PLAYBOOKS, "README.md has one row of a table for each playbook"


def test_awx_gets_every_playbook_that_needs_a_cluster() -> None:
    listed = re.findall(r"import_playbook: egress\.router\.(\w+)", (ROOT / "docs/awx.md").read_text())
    # The result of these is files.
    assert set(PLAYBOOKS) - set(listed) <= {"migrate", "render"}, (
        "docs/awx.md has a job template's playbook for each of ours"
    )
    assert set(listed) <= set(PLAYBOOKS)


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_links_of_pages_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", path.read_text())
    missing = [target for target in targets if not (path.parent / target).exists()]
    assert not missing, f"{relative(path)} links to files that do not exist: {missing}"


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_pages_name_what_is_there(path: Path) -> None:
    """Names of our own plugins, roles, playbooks and groups."""
    known = {*MODULES, *ROLES, *PLAYBOOKS, *load(ROOT / "meta/runtime.yml")["action_groups"]}
    known |= {path.stem for path in (PLUGINS / "filter").glob("*.yml")}
    eda = ROOT / "extensions/eda"
    known |= {path.stem for path in (*eda.glob("rulebooks/*.yml"), *eda.glob("plugins/event_*/*.py"))}
    named = set(re.findall(r"\begress\.router\.([a-z][a-z0-9_]*)\b(?!/)", path.read_text()))
    assert not named - known, f"{relative(path)} names what is not there: {sorted(named - known)}"


def test_build_ignore_has_whatever_is_for_developers() -> None:
    """A user's copy holds what Ansible reads and what people read."""
    ignored = {pattern.partition("/")[0] for pattern in load(ROOT / "galaxy.yml")["build_ignore"]}
    for_users = {"CHANGELOG.rst", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSE", "README.md", "changelogs", "docs"}
    for_users |= {
        "decision-environment",
        "examples",
        "execution-environment",
        "extensions",
        "galaxy.yml",
        "images",
        "meta",
        "monitoring",
        "playbooks",
        "plugins",
        "roles",
    }
    there = {path.relative_to(ROOT).parts[0] for path in tracked_files()}
    assert there - ignored - {"changelogs"} == for_users - {"changelogs"}, "add it to build_ignore of galaxy.yml"


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
