# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of automation controller in examples/awx: what the modules of awx.awx take, and what a controller refuses."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROOT = Path(__file__).parents[3]
FILES = {
    path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "examples/awx/controller").glob("*.yml"))
}
(PLAY,) = yaml.safe_load((ROOT / "examples/awx/apply.yml").read_text())
SURVEYS = FILES.pop("surveys")
VARIABLES = {name: entries for given in FILES.values() for name, entries in given.items()}
# As Ansible fills them in.
for _entry in (*VARIABLES["controller_templates"], *VARIABLES["controller_workflows"]):
    if "survey_spec" in _entry:
        _entry["survey_spec"] = SURVEYS[re.fullmatch(r"\{\{ (\w+) \}\}", _entry["survey_spec"])[1]]  # type: ignore[index]
MODULES = {
    "controller_projects": "project",
    "controller_execution_environments": "execution_environment",
    "controller_credentials": "credential",
    "controller_notifications": "notification_template",
    "controller_inventories": "inventory",
    "controller_inventory_sources": "inventory_source",
    "controller_templates": "job_template",
    "controller_workflows": "workflow_job_template",
    "controller_schedules": "schedule",
}
TEMPLATES = VARIABLES["controller_templates"]
ANSWERS = {"text": str, "textarea": str, "password": str, "multiplechoice": str, "integer": int, "float": float}


def options_of(module: str) -> dict[str, Any]:
    found = importlib.util.find_spec("ansible_collections.awx.awx")
    if found is None or not found.submodule_search_locations:
        pytest.skip("awx.awx is not here: the package ansible has it up to version 13")
    source = (Path(found.submodule_search_locations[0]) / f"plugins/modules/{module}.py").read_text()
    text = re.search(r"DOCUMENTATION = r?(\"\"\"|''')(.*?)\1", source, re.S)
    assert text is not None
    options: dict[str, Any] = yaml.safe_load(text[2])["options"]
    return options


def specification(options: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name, option in options.items():
        one = {key: option[key] for key in ("type", "elements", "choices", "required", "aliases") if key in option}
        if "suboptions" in option:
            one["options"] = specification(option["suboptions"])
        found[name] = one
    return found


@pytest.mark.parametrize("variable", MODULES)
def test_the_modules_take_every_entry(variable: str) -> None:
    validator = ArgumentSpecValidator(specification(options_of(MODULES[variable])))
    for entry in VARIABLES[variable]:
        errors = validator.validate(entry).error_messages
        assert not errors, f"{entry['name']}: {errors}"


def test_a_wrong_entry_is_noticed() -> None:
    validator = ArgumentSpecValidator(specification(options_of("job_template")))
    for wrong in ({"playbok": "verify.yml"}, {"job_type": "verify"}, {"diff_mode": "perhaps"}):
        assert validator.validate({**TEMPLATES[0], **wrong}).error_messages, wrong
    assert validator.validate({"playbook": "verify.yml"}).error_messages, "without a name"


def test_the_playbook_passes_on_every_key() -> None:
    assert set(VARIABLES) == set(MODULES)
    tasks = {str(task["loop"]): task for task in PLAY["tasks"] if "loop" in task}
    for variable, module in MODULES.items():
        given = tasks[f"{{{{ {variable} }}}}"][f"awx.awx.{module}"]
        keys = {key for entry in VARIABLES[variable] for key in entry}
        assert keys == set(given), f"{variable}: apply.yml and the file differ"
        for key, value in given.items():
            assert value in (f"{{{{ item.{key} }}}}", f"{{{{ item.{key} | default(omit) }}}}")
            # What only some entries have can be left out.
            assert "default" in value or all(key in entry for entry in VARIABLES[variable]), key


def test_every_playbook_has_its_template_in_the_documented_project() -> None:
    page = (ROOT / "docs/awx.md").read_text()
    in_project = set(re.findall(r"^(\w+\.yml) +- import_playbook", page, re.M))
    used = {template["playbook"] for template in TEMPLATES}
    assert used <= in_project
    # A cut-over is done once, by somebody who is there.
    assert in_project - used == {"cutover.yml"}


def names(variable: str) -> list[str]:
    return [entry["name"] for entry in VARIABLES[variable]]


def test_what_is_named_is_there() -> None:
    for variable in MODULES:
        assert len(set(names(variable))) == len(VARIABLES[variable]), f"{variable}: a name is there twice"
    for template in TEMPLATES:
        assert template["project"] in names("controller_projects")
        assert template["inventory"] in names("controller_inventories")
        assert template["execution_environment"] in names("controller_execution_environments")
        assert set(template["credentials"]) <= set(names("controller_credentials"))
    for workflow in VARIABLES["controller_workflows"]:
        assert set(workflow["notification_templates_error"]) <= set(names("controller_notifications"))
    for one in VARIABLES["controller_inventory_sources"]:
        assert one["inventory"] in names("controller_inventories")
        assert one["source_project"] in names("controller_projects")
        assert f"\n{one['source_path']} " in (ROOT / "docs/awx.md").read_text()
    for schedule in VARIABLES["controller_schedules"]:
        assert schedule["unified_job_template"] in names("controller_templates")


LINKS = ("success_nodes", "failure_nodes", "always_nodes")


def nodes() -> Iterator[list[dict[str, Any]]]:
    for workflow in VARIABLES["controller_workflows"]:
        yield workflow["workflow_nodes"]


def test_the_nodes_of_workflows_lead_to_one_another() -> None:
    for found in nodes():
        known = [node["identifier"] for node in found]
        assert len(set(known)) == len(known)
        reached = [
            link["identifier"] for node in found for links in (node.get("related") or {}).values() for link in links
        ]
        assert sorted(reached) == sorted(known[1:]), "each but the first is reached once"
        for node in found:
            related = node.get("related") or {}
            assert set(related) <= set(LINKS)
            # A controller refuses one that is reached both ways: always_nodes is for that.
            targets = [link["identifier"] for links in related.values() for link in links]
            assert len(set(targets)) == len(targets)
            of = node["unified_job_template"]
            assert of["type"] in ("job_template", "workflow_approval")
            assert of["type"] == "workflow_approval" or of["name"] in names("controller_templates")


def test_nothing_is_changed_before_somebody_has_approved() -> None:
    by_name = {template["name"]: template for template in TEMPLATES}
    harmless = ("preflight.yml", "verify.yml")
    for found in nodes():
        before = found[: [node["unified_job_template"]["type"] for node in found].index("workflow_approval")]
        for node in before:
            template = by_name[node["unified_job_template"]["name"]]
            assert template["job_type"] == "check" or template["playbook"] in harmless, node["identifier"]
        assert [node["related"] for node in found[:-1]] == [
            {"success_nodes": [{"identifier": following["identifier"]}]} for following in found[1:]
        ], "each needs the success of the one before"


ASKING = [one for one in (*TEMPLATES, *VARIABLES["controller_workflows"]) if "survey_spec" in one]


def test_every_survey_is_asked() -> None:
    used = [one["survey_spec"] for one in ASKING]
    assert all(survey in used for survey in SURVEYS.values())
    assert all(one.get("survey_enabled") is True for one in ASKING)


@pytest.mark.parametrize("survey", SURVEYS.values(), ids=SURVEYS)
def test_surveys_are_what_a_controller_takes(survey: dict[str, Any]) -> None:
    assert set(survey) == {"name", "description", "spec"} and survey["spec"]
    variables = [question["variable"] for question in survey["spec"]]
    assert len(set(variables)) == len(variables)
    documented = (ROOT / "README.md").read_text()
    for question in survey["spec"]:
        # A controller takes a variable with a blank in it, and no role does.
        assert re.fullmatch(r"[a-z_]+", question["variable"]) and f"| `{question['variable']}` |" in documented
        assert question["question_name"] and isinstance(question["required"], bool)
        assert isinstance(question["default"], ANSWERS[question["type"]])
        if question["type"] == "multiplechoice":
            assert question["default"] in question["choices"]
            continue
        size = len(question["default"]) if isinstance(question["default"], str) else question["default"]
        assert question["min"] <= size <= question["max"]


def test_there_is_neither_a_secret_nor_an_anchor_in_the_files() -> None:
    for path in (ROOT / "examples/awx").rglob("*.yml"):
        text = path.read_text()
        assert not re.search(r"password|api_key|(?<!update_)secret|BEGIN ", text), path
        # Some roles that read such files merge them, and controllers keep no anchors.
        assert not re.search(r"<<:|[:-] [&*]\w", text), path
