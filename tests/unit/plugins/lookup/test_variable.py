# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every public variable of every role: typed, as a text, as JSON, as a lone value, blank, and as nonsense."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.egress.router.plugins.lookup.variable import LookupModule
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.plugins.module_utils._router.variables import ELEMENTS, OF_PLAYBOOKS

ROOT = Path(__file__).resolve().parents[4]
HERE = Path.cwd()
# They are read by routers.load, whoever needs them.
LIST = ("egress_routers", "egress_router_defaults")
OF_ROLES: dict[str, dict[str, Any]] = {
    name: option
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))
    for spec in yaml.safe_load(path.read_text())["argument_specs"].values()
    for name, option in spec["options"].items()
    if name not in LIST
}
OPTIONS = {
    name: {"elements": ELEMENTS[name], **option} if name in ELEMENTS else option for name, option in OF_ROLES.items()
} | OF_PLAYBOOKS
# By type, or type and elements: values, each with other ways to write it.
FORMS: dict[str, list[tuple[Any, list[Any]]]] = {
    "bool": [(True, ["true", "yes", "1", 1, " True "]), (False, ["false", "no", "off", "0", 0])],
    "int": [(0, ["0"]), (9999, ["9999", " 9999 "])],
    "float": [(0.2, ["0.2", " .2 "]), (1.0, ["1", 1]), (0.0, ["0"])],
    "str": [("text", [" text "]), ("1200", [1200])],
    "path": [("/a b", ["/a b "]), (str(HERE / "a"), ["a", "./a"]), (str(Path.home() / "a"), ["~/a"])],
    "dict": [({}, ["{}"]), ({"a": "1", "b": "true"}, ['{"a": 1, "b": true}', "a: 1\nb: true", {"a": 1, "b": True}])],
    "list of str": [([], ["[]"]), (["a"], ["a", '["a"]', "- a"]), (["a", "b"], ["a,b", "a, b", '["a", "b"]', "- a\n- b"])],
    "list of path": [(["/a", str(HERE / "b")], ["/a,b", ["/a", "b"]])],
    "list of int": [([], ["[]"]), ([80], ["80", 80, "[80]", ["80"], "- 80"]), ([80, 443], ["80,443", "[80, 443]", ["80", 443]])],
    "list of dict": [([], ["[]"]), ([{"a": 1}], ['[{"a": 1}]', "- a: 1", '{"a": 1}', {"a": 1}, [{"a": 1}]])],
}  # fmt: skip
# Ansible refuses these before a role begins: the text of a dictionary in YAML, and one dictionary for a list.
ONLY_OURS = ["a: 1\nb: true", {"a": 1}]
NONSENSE: dict[str, list[Any]] = {
    "bool": ["maybe", 2, [], {"a": 1}],
    "int": ["many", "1.5", "-1", True, [1], {"a": 1}, "10 s"],
    "float": ["fast", "1 s", "nan", "inf", "-1", True, [1], {"a": 1}],
    "str": [["a"], {"a": 1}, True],
    "path": [["a"], {"a": 1}, False],
    "dict": ["text", 5, ["a"], "[1]", "{", "a: b: c", {"a": [1]}, {"a": None}, '{"a": {"b": 1}}'],
    "list of str": [[["a"]], [{"a": 1}], "[a", [True], "[[1]]"],
    "list of path": [[["a"]], "[a"],
    "list of int": ["http", ["http"], "80,http", "[80", [[80]], True, {"a": 1}, "{}"],
    "list of dict": ["text", 5, [5], "[5]", "[", ["a"]],
}


def kind(option: dict[str, Any]) -> str:
    return f"list of {option.get('elements', 'str')}" if option["type"] == "list" else option["type"]


def look_up(name: str, *value: Any) -> Any:
    """As a role does."""
    lookup = LookupModule.__new__(LookupModule)
    lookup._templar = SimpleNamespace(template=lambda given: given)
    (found,) = lookup.run([name], dict.fromkeys([name][: len(value)], *value))
    return found


def same(found: Any, wanted: Any) -> bool:
    return json.dumps(found) == json.dumps(wanted)


@pytest.mark.parametrize("name", OPTIONS)
def test_each_form_of_a_value_is_the_typed_one(name: str) -> None:
    option = OPTIONS[name]
    forms = [(choice, [f" {choice} "]) for choice in option["choices"]] if "choices" in option else FORMS[kind(option)]
    for typed, others in forms:
        for value in (typed, *others, *([] if isinstance(typed, str) else [json.dumps(typed)])):
            assert same(look_up(name, value), typed), f"{value!r} should be {typed!r}"


@pytest.mark.parametrize("name", OF_ROLES)
def test_ansible_lets_a_role_read_each_form(name: str) -> None:
    """It holds a role's variables against the argument specification before the role's first task."""
    option = OF_ROLES[name]
    forms = [(choice, []) for choice in option["choices"]] if "choices" in option else FORMS[kind(OPTIONS[name])]
    checks = {key: option[key] for key in ("type", "elements", "choices") if key in option}
    for typed, others in forms:
        for value in (typed, *others, json.dumps(typed) if isinstance(typed, (list, dict)) else typed):
            if value not in ONLY_OURS:
                found = ArgumentSpecValidator({name: checks}).validate({name: value})
                assert not found.error_messages, f"{value!r}: {found.error_messages}"


def test_lists_of_something_else_than_texts_are_read_by_us() -> None:
    assert not [name for name, option in OF_ROLES.items() if option.get("elements", "str") not in ("str", "path")]
    assert set(ELEMENTS) <= set(OF_ROLES)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_blank_value_is_the_default(name: str) -> None:
    option = OPTIONS[name]
    default = option.get("default", "" if option["type"] in ("str", "path") else None)
    for value in ([""], [" "], [None], []):
        assert same(look_up(name, *value), default)


@pytest.mark.parametrize("name", OPTIONS)
def test_nonsense_is_one_sentence_that_names_the_variable(name: str) -> None:
    option = OPTIONS[name]
    for value in ["#", *NONSENSE["str"]] if "choices" in option else NONSENSE[kind(option)]:
        with pytest.raises(AnsibleError) as told:
            look_up(name, value)
        said = str(told.value)
        assert name in said and "\n" not in said and "Traceback" not in said, said


def test_a_name_that_is_none() -> None:
    with pytest.raises(AnsibleError, match="verify_http_port is not a variable of the collection's roles"):
        look_up("verify_http_port", "80")
    with pytest.raises(AnsibleError, match="is not a variable"):
        look_up("http_ports", "80")


@pytest.mark.parametrize(
    "value", ["text", "[]", "{}", "- name: db", 5, True, {"name": "db"}, [5], ["db"], [["db"]], "", {}]
)
def test_the_list_and_its_defaults_are_read_or_refused(value: Any) -> None:
    for arguments in ((value,), ([], value)):
        for problem in load(*arguments)[1]:
            assert "\n" not in str(problem)


@pytest.mark.parametrize("path", sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/vars/*.yml"),
                                         *ROOT.glob("playbooks/*.yml")]), ids=lambda path: str(path.relative_to(ROOT)))  # fmt: skip
def test_roles_and_playbooks_read_variables_by_the_lookup(path: Path) -> None:
    read = re.compile(r"lookup\('egress\.router\.variable', '(\w+)'\)")
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if re.match(r"\s*(#|- name:)", line):
            continue
        assert set(read.findall(line)) <= set(OPTIONS)
        rest = re.sub(r"\{'\w+'|^\s*\w+:", "", read.sub("", line))
        used = [name for name in OPTIONS if re.search(rf"\b{name}\b", rest)]
        assert not used, f"line {number}: read {used[0]} with the lookup egress.router.variable"
