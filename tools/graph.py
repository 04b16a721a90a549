"""Draws who imports whom: ``make graph``. tests/unit/test_meta.py refuses cycles, arrows upwards and strangers.

A room is a package whose files share one subject. Rooms stand on floors; a room may import only from floors below.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# From the bottom to the top. doc_fragments hold text and import nothing.
PLUGINS = (
    ("_contract", "_common", "doc_fragments"),
    ("_events", "_router"),
    ("_egress_router_cr",),
    ("_kubernetes", "_openstack", "_vsphere"),
    ("_verify", "_preflight", "_migrate"),
    ("_drill", "_pools"),
    ("_router_list",),
    ("modules", "plugin_utils"),
    ("action", "filter", "lookup"),
)
# Files that lie beside the packages are the room "(top)".
IMAGE = (
    ("(top)",),
    ("failover", "kernel", "segment"),
    ("proof", "relay"),
    ("inspect", "run"),
    ("__main__",),
)

# What imports anything outside the standard library and the collection, and from where. Nothing else in module_utils
# may, so that everything else can be read, tested and imported with nothing but Python.
SEAMS = {
    "_common/failing.py": ("ansible.module_utils",),
    "_common/yaml_text.py": ("yaml",),
    "_kubernetes/cluster.py": ("ansible.module_utils", "ansible_collections.kubernetes.core", "kubernetes", "urllib3"),
    "_kubernetes/module.py": ("ansible.module_utils", "ansible_collections.kubernetes.core", "kubernetes", "urllib3"),
    "_openstack/cloud.py": ("ansible.module_utils", "keystoneauth1", "openstack"),
    "_vsphere/vcenter.py": ("ansible.module_utils", "ansible_collections.community.vmware", "pyVim", "pyVmomi"),
}
# These run on the controller, within Ansible.
CONTROLLER = {
    "action": ("ansible", "ansible_collections.kubernetes.core.plugins.action"),
    "filter": ("ansible",),
    "lookup": ("ansible",),
    "plugin_utils": ("ansible", "ansible_collections.kubernetes.core.plugins.action"),
}


@dataclass(frozen=True)
class Graph:
    """``imports`` has, for each file by its module's name, the full names of everything that it imports."""

    floors: tuple[tuple[str, ...], ...]
    rooms: Mapping[str, str]
    imports: Mapping[str, frozenset[str]]

    def files(self, module: str) -> set[str]:
        """Files of this tree that a file imports."""
        found = set()
        for name in self.imports[module]:
            # A name is a file, or something in a file.
            candidates = (name, name.rpartition(".")[0])
            found.update([candidate for candidate in candidates if candidate in self.imports][:1])
        return found - {module}

    def strangers(self, module: str) -> list[str]:
        """What a file imports from outside the standard library and this collection."""
        return sorted(
            name
            for name in self.imports[module]
            if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith(OWN)
        )

    def arrows(self) -> dict[tuple[str, str], list[str]]:
        """From room to room, with the files that make the arrow."""
        found: dict[tuple[str, str], list[str]] = {}
        for module in self.imports:
            for other in self.files(module):
                pair = (self.rooms[module], self.rooms[other])
                if pair[0] != pair[1]:
                    found.setdefault(pair, []).append(f"{module} -> {other}")
        return dict(sorted(found.items()))

    def floor(self, room: str) -> int:
        return next((number for number, rooms in enumerate(self.floors) if room in rooms), -1)

    def homeless(self) -> list[str]:
        return sorted({room for room in self.rooms.values() if self.floor(room) < 0})

    def upward(self) -> list[str]:
        """Arrows that do not go down."""
        return [
            f"{start} -> {end}: {files[0]}"
            for (start, end), files in self.arrows().items()
            if self.floor(start) <= self.floor(end)
        ]

    def reached(self, module: str) -> set[str]:
        """All files that importing one file imports, itself too."""
        done: set[str] = set()
        waiting = [module]
        while waiting:
            current = waiting.pop()
            if current not in done:
                done.add(current)
                waiting += self.files(current)
        return done

    def cycles(self) -> list[str]:
        """Files that import each other, however indirectly."""
        return sorted(
            module for module in self.imports if any(module in self.reached(other) for other in self.files(module))
        )

    def text(self, title: str) -> str:
        sizes = {room: sum(1 for other in self.rooms.values() if other == room) for room in self.rooms.values()}
        lines = [title]
        for number, floor in reversed(list(enumerate(self.floors, 1))):
            for room in floor:
                if room in sizes:
                    below = [end for start, end in self.arrows() if start == room]
                    lines.append(f"  {number}  {room:<14}{sizes[room]:>3} files  {' '.join(below)}".rstrip())
        used = sum(1 for floor in self.floors if any(room in sizes for room in floor))
        lines.append(f"  {len(sizes)} rooms, {used} floors, {len(self.arrows())} arrows")
        return "\n".join(lines)


OWN = "ansible_collections.egress.router."


def _names(tree: ast.AST, package: str) -> Iterator[str]:
    """Full names of everything a file imports, at its top, in a function or for types only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: 1 - node.level or None]) if node.level else ""
            origin = ".".join(part for part in (base, node.module) if part)
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def _graph(folder: Path, prefix: str, files: Iterable[Path], floors: tuple[tuple[str, ...], ...]) -> Graph:
    rooms, imports = {}, {}
    for path in sorted(files):
        parts = path.relative_to(folder).with_suffix("").parts
        package = prefix + ".".join(parts[:-1])
        module = package.rstrip(".") if parts[-1] == "__init__" else prefix + ".".join(parts)
        inner = parts[1:] if parts[0] == "module_utils" else parts
        rooms[module] = inner[0] if len(inner) > 1 or inner[0] == "__main__" else "(top)"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports[module] = frozenset(_names(tree, package.rstrip(".")))
    return Graph(floors, rooms, imports)


def plugins(root: Path = ROOT) -> Graph:
    folder = root / "plugins"
    files = [path for path in folder.rglob("*.py") if path.name != "__init__.py"]
    return _graph(folder, OWN + "plugins.", files, PLUGINS)


def image(root: Path = ROOT) -> Graph:
    folder = root / "images/router/egress_router"
    return _graph(folder, "egress_router.", folder.rglob("*.py"), IMAGE)


def main() -> None:
    print(plugins().text("plugins: floor, room, what it imports"), end="\n\n")
    print(image().text("images/router/egress_router"))


if __name__ == "__main__":
    main()
