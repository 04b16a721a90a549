# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""YAML as people read it, in their own order, texts of several lines as such; and as they write it."""

from __future__ import annotations

from typing import Any

try:
    import yaml

    class _Dumper(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            """Lists below a key are indented."""
            super().increase_indent(flow, False)

        def ignore_aliases(self, data: Any) -> bool:
            """Nothing refers to something else."""
            return True

    def _text(dumper: _Dumper, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    _Dumper.add_representer(str, _text)
except ImportError:
    # Ansible and the Kubernetes client need it as well, and are asked for first.
    pass


def from_yaml(text: str) -> Any:
    """The value of a document; ValueError if the text is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def all_from_yaml(text: str) -> list[Any]:
    """The values of all documents; ValueError if the text is none."""
    try:
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def to_yaml(value: Any) -> str:
    """One document, without its separator."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
    return text
