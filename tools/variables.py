"""Writes the table of all variables into README.md, from the roles' argument specifications.

``tools/run python tools/variables.py`` after a role's meta/argument_specs.yml has changed. A unit test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- variables: made by tools/variables.py -->\n", "<!-- end of variables -->\n"


def options() -> dict[str, tuple[dict[str, Any], list[str]]]:
    """Each variable with its specification, and the roles that read it, in the order of the README."""
    found: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        for spec in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            for name, option in spec.get("options", {}).items():
                found.setdefault(name, (option, []))[1].append(path.parts[-3])
    # First what all roles share.
    return dict(sorted(found.items(), key=lambda item: (-len(item[1][1]), item[1][1], item[0])))


def lines() -> Iterator[str]:
    """The table."""
    yield "| variable | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, (option, _roles) in options().items():
        description = option["description"]
        sentence = description if isinstance(description, str) else description[0]
        yield f"| `{name}` | {option['type']} | {_default(option)} | {_markdown(sentence)} |"


def updated(text: str) -> str:
    """The README with the table of today."""
    before, _begin, rest = text.partition(BEGIN)
    _old, _end, after = rest.partition(END)
    table = "\n".join(lines())
    return f"{before}{BEGIN}{table}\n{END}{after}"


def _default(option: dict[str, Any]) -> str:
    if option.get("required"):
        return "required"
    value = option.get("default")
    if value is None or value == "":
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _markdown(text: str) -> str:
    """Ansible's semantic markup as Markdown."""
    text = re.sub(r"O\([\w.]+\.(\w+)#\w+:([^)]*)\)", r"`\2` of the module `\1`", text)
    return re.sub(r"[OVCEMP]\(([^)#]*)(?:#\w+)?\)", r"`\1`", text)


if __name__ == "__main__":
    README.write_text(updated(README.read_text(encoding="utf-8")), encoding="utf-8")
