# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Reads Kubernetes objects from files and texts: YAML or JSON, any number of documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from .._common.errors import InputError
from .._common.yaml_text import all_from_yaml
from .objects import flat, source_of
from .shape import misshapen

_SUFFIXES = (".yaml", ".yml", ".json")


def read_files(paths: Iterable[str], manifests: str) -> list[Mapping[str, Any]]:
    """The objects of files, of all files below directories, and of a text; InputError with all that cannot be read."""
    found: list[Mapping[str, Any]] = []
    problems: list[str] = []
    texts = [("manifests", manifests)] if manifests else []
    for path in chain.from_iterable(map(_files, paths)):
        try:
            texts.append((str(path), path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
            problems.append(f"cannot read {path}: {reason}")
    for name, content in texts:
        try:
            documents = [document for document in all_from_yaml(content) if document is not None]
        except ValueError as error:
            problems.append(f"{name} is not YAML: {' '.join(str(error).split())}")
            continue
        for number, document in enumerate(documents, start=1):
            if not isinstance(document, dict) or not document.get("kind"):
                problems.append(f"{name}: document {number} is not a Kubernetes object: it has no kind")
                continue
            inner, wrong = _objects(document)
            found += inner
            problems += [f"{name}: document {number}, {problem}" for problem in wrong]
    if problems:
        raise InputError("\n".join(problems))
    return found


def _objects(document: dict[str, Any]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The objects of a document, and what is wrong with their shape."""
    try:
        found = list(flat([document]))
    except TypeError:
        return [], [f"{document['kind']}: its items are not a list of objects"]
    return found, [f"{source_of(item)}, {problem}" for item in found for problem in misshapen(item)]


def _files(path: str) -> list[Path]:
    directory = Path(path)
    if not directory.is_dir():
        return [directory]
    return sorted(item for item in directory.rglob("*") if item.suffix in _SUFFIXES and item.is_file())
