"""Refuses a change of what users write that no changelog fragment tells: tools/interface.py [write]

The interface is every option, return value and playbook, with type, default and choices. changelogs/interface.json
has the one that was told last. ``write`` takes over the present one, at a release or when its changes are told.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
SNAPSHOT = "changelogs/interface.json"
# What a user may depend on; descriptions are free.
ATTRIBUTES = ("type", "elements", "required", "default", "choices", "aliases")

# By subject, such as "module probe": by the path of an option or return value, such as "targets.port": its attributes.
Interface = Mapping[str, Mapping[str, Any]]


def flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, option in options.items():
        path = f"{prefix}{name}"
        found[path] = {key: option[key] for key in ATTRIBUTES if option.get(key) not in (None, False, [])}
        if isinstance(found[path].get("choices"), Mapping):
            found[path]["choices"] = list(found[path]["choices"])
        for inner in ("suboptions", "options", "contains"):
            found.update(flat(option.get(inner) or {}, f"{path}."))
    return found


def interface(root: Path) -> dict[str, dict[str, Any]]:
    # Late: the tests of everything else need no Ansible.
    from ansible.plugins.loader import fragment_loader
    from ansible.utils.plugin_docs import get_docstring

    found: dict[str, dict[str, Any]] = {}
    python = (("module", "modules"), ("lookup", "lookup"))
    for kind, path in [
        (kind, path) for kind, folder in python for path in sorted((root / "plugins" / folder).glob("*.py"))
    ]:
        doc, _examples, returned, _metadata = get_docstring(
            str(path), fragment_loader, collection_name="egress.router", is_module=kind == "module"
        )
        found[f"{kind} {path.stem}"] = {**flat(doc["options"]), **flat(returned or {}, "returned ")}
    for path in sorted((root / "plugins/filter").glob("*.yml")):
        found[f"filter {path.stem}"] = flat(yaml.safe_load(path.read_text())["DOCUMENTATION"].get("options", {}))
    for path in sorted((root / "roles").glob("*/meta/argument_specs.yml")):
        specs = yaml.safe_load(path.read_text())["argument_specs"]
        found[f"role {path.parts[-3]}"] = {
            name: option for spec in specs.values() for name, option in flat(spec.get("options") or {}).items()
        }
    found.update({f"playbook {path.stem}": {} for path in sorted((root / "playbooks").glob("*.yml"))})
    return found


def texts(root: Path) -> list[str]:
    """What fragments say, and what the changelog says of the version that galaxy.yml names."""
    version = yaml.safe_load((root / "galaxy.yml").read_text())["version"]
    changelog = yaml.safe_load((root / "changelogs/changelog.yaml").read_text()) or {}
    release = (changelog.get("releases") or {}).get(version, {})
    parts = [yaml.safe_load(path.read_text()) or {} for path in sorted((root / "changelogs/fragments").glob("*.y*ml"))]
    return [line for part in [*parts, release.get("changes", {})] for line in lines(part)]


def lines(part: Any) -> Iterable[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, Mapping):
        for inner in part.values():
            yield from lines(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from lines(inner)


def untold(told: Interface, now: Interface, said: Iterable[str]) -> list[str]:
    """Changes that no text names, by the names of the plugin, role or playbook and of the option."""
    sentences = list(said)

    def is_said(*names: str) -> bool:
        return any(all(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in names) for text in sentences)

    found = []
    for subject in sorted({*told, *now}):
        kind, name = subject.split()
        if subject not in told:
            # The changelog lists new modules, filters and roles by itself.
            if kind == "playbook" and not is_said(name):
                found.append(f"{subject} is new")
        elif subject not in now:
            if not is_said(name):
                found.append(f"{subject} is gone")
        else:
            before, after = told[subject], now[subject]
            for path in sorted({*before, *after}):
                if before.get(path) != after.get(path) and not is_said(name, re.split("[. ]", path)[-1]):
                    found.append(f"{subject}: {path}: {shown(before.get(path))} -> {shown(after.get(path))}")
    return found


def shown(attributes: Any) -> str:
    return "nothing" if attributes is None else json.dumps(attributes)


def main(arguments: list[str]) -> int:
    path = ROOT / SNAPSHOT
    now = interface(ROOT)
    if not path.exists() and arguments != ["write"]:
        print(f"There is no {SNAPSHOT}: write it with `make interface`.")
        return 1
    if path.exists():
        found = untold(json.loads(path.read_text()), now, texts(ROOT))
        if found:
            print("These changes are in no changelog fragment:", *found, sep="\n  ")
            print("Write a fragment in changelogs/fragments that names the plugin, role or playbook and the option.")
            return 1
    if arguments == ["write"]:
        path.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    from ansible.plugins.loader import init_plugin_loader

    # Finds the fragments.
    init_plugin_loader()
    sys.exit(main(sys.argv[1:]))
