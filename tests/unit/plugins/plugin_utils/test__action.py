# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugins read the list as it was written, tell all of its problems, and show the user's own arguments."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._router import checked
from ansible_collections.egress.router.plugins.plugin_utils import _action, _routers
from ansible_collections.egress.router.tests.unit.plugins.modules.conftest import ARGUMENTS

ROUTERS = [{"name": "db", "addresses": [{"ip": "198.51.100.50/24"}], "replicas": "2"}]
DEFAULTS = {"namespace": "payments", "image": "x:1"}


@pytest.fixture(autouse=True)
def own_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_routers.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """run(args) gives the plugin's result; the module itself is made up, and gives back what it got."""
    seen: list[dict[str, Any]] = []

    def module(plugin: Any, _tmp: Any, _task_vars: Any) -> dict[str, Any]:
        seen.append(plugin._task.args)
        return {"changed": False, "invocation": {"module_args": {**plugin._task.args, "api_key": "********"}}}

    monkeypatch.setattr(_action.ActionModule, "run", module)

    def run_plugin(
        args: dict[str, Any], plugin: Any = _action.RoutersAction
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        plugin = plugin.__new__(plugin)
        plugin._task = SimpleNamespace(args=args)
        result = plugin.run(None, {})
        assert plugin._task.args is args, "a task that is repeated begins with the user's arguments"
        return result, seen

    return run_plugin


def test_the_module_gets_the_checked_list_and_the_result_shows_the_users(run: Any) -> None:
    given = {"routers": ROUTERS, "defaults": DEFAULTS, "wait": False, "api_key": "secret"}
    result, seen = run(given)
    (got,) = seen
    (router,) = checked.load(got.pop("checked"))
    assert (router.id, router.replicas, router.image) == ("payments/db", 2, "x:1")
    assert got == {"routers": [], "defaults": {}, "wait": False, "api_key": "secret"}
    assert result["invocation"]["module_args"] == {**given, "api_key": "********"}


def test_state_absent_makes_every_router_absent(run: Any) -> None:
    _result, seen = run({"routers": [{"name": "db", "namespace": "payments"}], "state": "absent"})
    assert not checked.load(seen[0]["checked"])[0].present


def test_all_problems_are_told_before_the_module_runs(run: Any) -> None:
    result, seen = run({"routers": [5, {"name": "db", "namespace": "payments", "mtu": "x"}], "defaults": {"imag": "x"}})
    assert result["failed"] and seen == []
    assert len(result["msg"].splitlines()) == 5, result["msg"]


def test_what_the_module_says_itself_is_left_to_it(run: Any) -> None:
    _result, seen = run({"wait": False})
    assert seen == [{"wait": False}], "required options are the module's"


def test_checked_is_not_for_users(run: Any) -> None:
    result, seen = run({"routers": [], "checked": "[]"})
    assert result["msg"] == "checked: is set by the collection itself: remove it" and seen == []


def test_the_rules_of_the_list_are_passed_as_text_and_shown_as_the_user_wrote_them(run: Any) -> None:
    given = {
        "routers": [{**ROUTERS[0], "redirect_rules": [{"port": 1, "destination_ip": "198.51.100.9"}]}],
        "defaults": DEFAULTS,
    }
    result, seen = run(given, _action.RulesAction)
    (got,) = seen
    (rules,) = got["routers"]
    assert (rules["namespace"], rules["name"]) == ("payments", "db")
    assert rules["text"].splitlines()[1:] == ["1 TCP 198.51.100.9"]
    assert result["invocation"]["module_args"] == {**given, "api_key": "********"}


def test_rules_without_defaults_are_the_modules_own(run: Any) -> None:
    given = {"routers": [{"name": "db", "namespace": "payments", "redirect_rules": []}]}
    _result, seen = run(given, _action.RulesAction)
    assert seen == [given]


def test_the_tests_of_modules_do_what_the_action_plugins_do() -> None:
    plugins = {path.stem for path in (Path(__file__).parents[4] / "plugins/action").glob("*.py")}
    actions = {
        name: importlib.import_module(f"ansible_collections.egress.router.plugins.action.{name}").ActionModule
        for name in plugins
    }
    readers = {name: action for name, action in actions.items() if issubclass(action, _action.RoutersAction)}
    assert {name: action.module_arguments for name, action in readers.items()} == ARGUMENTS
