# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Reads typed values from a dictionary that a user wrote, and notes what is wrong with it.

Each accessor names its key, so the known keys are those that were asked for; `finish` reports the others.
A key that is null, empty or omitted has no value. The text of AWX surveys is accepted where a number or boolean is expected.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .problems import Problems

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
# What ansible-core leaves of `omit` inside a list: 2.18 a text that begins so, newer ones an object that is shown so.
_OMITTED = ("__omit_place_holder__", "<<Omit>>")


class Fields:
    """The values of one dictionary; `path` is its place in the router, such as `service` or `addresses[0]`."""

    def __init__(self, data: object, problems: Problems, path: str = "") -> None:
        self.problems = problems
        self.path = path
        self._known: list[str] = []
        self._data: Mapping[str, Any] = {}
        if isinstance(data, Mapping):
            self._data = {str(key): value for key, value in data.items() if not is_omitted(value)}
        elif data is not None:
            problems.add(path, expected("a dictionary", data))

    def at(self, key: str) -> str:
        """The path of `key` for people."""
        return f"{self.path}.{key}" if self.path else key

    def problem(self, key: str, message: str) -> None:
        """Notes a problem of `key`."""
        self.problems.add(self.at(key), message)

    def raw(self, key: str) -> Any:
        """The value, text without whitespace around it; None if it is absent or empty (a blank field of a survey)."""
        self._known.append(key)
        value = self._data.get(key)
        return (value.strip() or None) if isinstance(value, str) else value

    def required(self, key: str) -> bool:
        """Whether `key` has a value; a problem if not."""
        if self.raw(key) is not None:
            return True
        self.problem(key, "is required")
        return False

    def text(self, key: str, default: str = "") -> str:
        """A text; numbers are taken as they were written."""
        value = self.raw(key)
        if value is None:
            return default
        if isinstance(value, (Mapping, bool)) or is_list(value):
            self.problem(key, expected("a string", value))
            return default
        return str(value)

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        """One of `choices`."""
        value = self.text(key, default)
        if value in choices or value == default:
            return value
        self.problem(key, not_one_of(value, choices))
        return default

    def number(self, key: str, low: int, high: int, default: int | None) -> int | None:
        """A whole number from `low` to `high`."""
        value = self.raw(key)
        if value is None:
            return default
        found = whole_number(value)
        if found is None or not low <= found <= high:
            self.problem(key, f"{shown(value)} is not a whole number from {low} to {high}")
            return default
        return found

    def decimal(self, key: str) -> float | None:
        """A number that is not negative."""
        value = self.raw(key)
        try:
            found = -1.0 if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            found = -1.0
        # Neither "nan" nor "inf", which Python reads too.
        if not 0 <= found < float("inf"):
            self.problem(key, f"{shown(value)} is not a number such as 0.5")
            return None
        return found

    def boolean(self, key: str, default: bool = False) -> bool:
        """true or false."""
        value = self.raw(key)
        if value is None:
            return default
        if str(value).lower() in _TRUE + _FALSE:
            return str(value).lower() in _TRUE
        self.problem(key, f"{shown(value)} is not a boolean: write true or false")
        return default

    def items(self, key: str) -> list[tuple[int, Any]]:
        """The items of a list, each with its place."""
        value = self.raw(key)
        if value is None:
            return []
        if is_list(value):
            return [(place, item) for place, item in enumerate(value) if not is_omitted(item)]
        self.problem(key, f"{expected('a list', value)}: start each item on a line of its own with '- '")
        return []

    def section(self, key: str) -> Fields:
        """A dictionary, to be read in the same way."""
        return Fields(self.raw(key), self.problems, self.at(key))

    def item(self, key: str, place: int, value: object) -> Fields:
        """One item of the list `key`, a dictionary to be read in the same way."""
        return Fields(value, self.problems, f"{self.at(key)}[{place}]")

    def sections(self, key: str) -> list[Fields]:
        """A list of dictionaries."""
        return [self.item(key, place, value) for place, value in self.items(key)]

    def mapping(self, key: str) -> dict[str, Any] | None:
        """A dictionary that is passed on as it is; None if absent."""
        value = self.raw(key)
        if value is None or isinstance(value, Mapping):
            return None if value is None else plain(value)
        self.problem(key, expected("a dictionary", value))
        return None

    def texts(self, key: str) -> dict[str, str]:
        """A dictionary of texts, such as labels. YAML's booleans and numbers become the text they look like."""
        found = {}
        for name, value in (self.mapping(key) or {}).items():
            if isinstance(value, (dict, list)) or value is None:
                self.problem(f"{key}.{name}", expected("a string", value))
            else:
                found[name] = str(value).lower() if isinstance(value, bool) else str(value)
        return found

    def finish(self) -> None:
        """Notes every key that nobody asked for."""
        for key in self._data:
            if key not in self._known:
                self.problem(key, unknown_key(key, self._known))


def whole_number(value: object) -> int | None:
    """The number that `value` is or spells; None for anything else. YAML's yes and no are not numbers."""
    return int(str(value)) if re.fullmatch(r"[0-9]{1,9}", str(value)) else None


def is_omitted(value: object) -> bool:
    """Whether a value is Ansible's `omit`."""
    return not isinstance(value, (Mapping, list, int)) and str(value).startswith(_OMITTED)


def expected(what: str, value: object) -> str:
    """`expected a dictionary, got the number 5`."""
    hint = ": quote it" if what == "a string" and isinstance(value, bool) else ""
    return f"expected {what}, got {described(value)}{hint}"


def unknown_key(key: str, known: Sequence[str]) -> str:
    """What to say of a key that is none of `known`."""
    return "is not a valid key" + (did_you_mean(key, known) or f": valid keys are {', '.join(sorted(set(known)))}")


def not_one_of(value: str, choices: Sequence[str]) -> str:
    """What to say of a value that is none of `choices`."""
    return f"'{value}' is not one of {', '.join(choices)}{did_you_mean(value, choices)}"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`: did you mean X?`, or nothing if no known word is near."""
    lowered = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), list(lowered), n=1)
    return f": did you mean {lowered[near[0]]}?" if near else ""


def shown(value: object) -> str:
    """A value for a message: text and numbers in quotes, anything else by its kind."""
    return f"'{value}'" if isinstance(value, (str, int, float)) and not isinstance(value, bool) else described(value)


def described(value: object) -> str:
    """What kind of thing a value is, for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, Mapping):
        return "a dictionary"
    if is_list(value):
        return "a list"
    return f"the number {value}" if isinstance(value, (int, float)) else f"the string '{value}'"


def plain(value: Any) -> Any:
    """A copy in Python's own types, fit for JSON and YAML; Ansible's values are subclasses that carry tags."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items() if not is_omitted(item)}
    if is_list(value):
        return [plain(item) for item in value if not is_omitted(item)]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value if value is None else str(value)


def is_list(value: object) -> bool:
    """Whether a value is a list to people."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))
