# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every form of an old router: the list that it becomes, which the collection's own reader accepts, and the report.

`EGRESS_WRITE_MIGRATIONS=1 tools/run pytest tests/unit/plugins/module_utils/_migrate` writes the golden files and the examples of the
page anew. Read the difference: it is what users get.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.egress.router.plugins.module_utils._migrate.files import read_files
from ansible_collections.egress.router.plugins.module_utils._migrate.objects import KINDS, Objects
from ansible_collections.egress.router.plugins.module_utils._migrate.routers import migrate
from ansible_collections.egress.router.plugins.module_utils._migrate.run import read_networks
from ansible_collections.egress.router.plugins.module_utils._router.routers import load

HERE = Path(__file__).parent
FORMS = sorted(path.stem for path in (HERE / "forms").glob("*.manifests"))
# Of two networks that contain an address, the smaller one counts.
NETWORKS = {"sdn_config_map": ["192.168.0.0/16", "192.168.12.0/24", "203.0.113.0/24"]}
PAGE = next(parent for parent in HERE.parents if (parent / "galaxy.yml").is_file()) / "docs/migration.md"


def migrated(text: str, networks: list[str]) -> dict[str, Any]:
    return migrate(Objects(read_files([], text)), read_networks(networks))


def shown(result: dict[str, Any]) -> str:
    return "".join(f"{line}\n" for line in [*result["report"]["table"], result["report"]["summary"]])


def accepted(text: str) -> None:
    """By what reads the list for provision."""
    routers, problems = load(yaml.safe_load(text)["egress_routers"], {"image": "registry.example.com/egress-router:1"})
    assert not problems, "\n".join(map(str, problems))
    assert len({router.id for router in routers}) == len(routers)


@pytest.mark.parametrize("form", FORMS)
def test_golden_lists_and_reports(form: str) -> None:
    result = migrated((HERE / "forms" / f"{form}.manifests").read_text(), NETWORKS.get(form, []))
    for kind, text in (("list", result["text"]), ("report", shown(result))):
        path = HERE / "forms" / f"{form}.{kind}.golden"
        if os.environ.get("EGRESS_WRITE_MIGRATIONS"):
            path.write_text(text)
        assert text == path.read_text(), "see the top of this file"
    accepted(result["text"])
    assert yaml.safe_load(result["text"])["egress_routers"] == result["routers"]


def test_every_golden_file_has_its_form() -> None:
    golden = {path.name.partition(".")[0] for path in (HERE / "forms").glob("*.golden")}
    assert sorted(golden) == FORMS and FORMS


@pytest.mark.parametrize("form", FORMS)
def test_every_item_says_where_why_and_what(form: str) -> None:
    report = migrated((HERE / "forms" / f"{form}.manifests").read_text(), [])["report"]
    for item in report["findings"]:
        assert item["object"] and item["message"], item
        if item["level"] in ("lost", "question", "error") and item["message"] != "is required":
            assert ": " in item["message"], item
    wrong = [item for item in report["findings"] if item["level"] in ("question", "error")]
    assert len(report["problems"]) == len(wrong) and report["ok"] == (not wrong)


# An example of the page: its title, what was there, the list, and the report.
EXAMPLE = re.compile(
    r"^### (?P<title>[^\n]+)\n.+?```yaml\n(?P<old>.+?)^```\n\nbecomes\n\n```yaml\n(?P<new>.*?)^```\n\n"
    r"with this report:\n\n```text\n(?P<report>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
EXAMPLES = {found["title"]: found for found in EXAMPLE.finditer(PAGE.read_text())}


def of_example(found: re.Match[str]) -> tuple[str, str]:
    """The list and the report that come out. The page does not repeat the head of the file."""
    result = migrated(found["old"], ["192.168.12.0/24"])
    lines = [f"{line}\n" for line in result["text"].splitlines() if not line.startswith(("#", "---"))]
    return "".join(lines), shown(result)


@pytest.mark.parametrize("title", EXAMPLES)
def test_the_examples_of_the_page_are_true(title: str) -> None:
    new, report = of_example(EXAMPLES[title])
    if os.environ.get("EGRESS_WRITE_MIGRATIONS"):
        write_example(title)
    assert (new, report) == (EXAMPLES[title]["new"], EXAMPLES[title]["report"]), "see the top of this file"
    accepted(new)


def write_example(title: str) -> None:
    page = PAGE.read_text()
    found = next(one for one in EXAMPLE.finditer(page) if one["title"] == title)
    new, report = of_example(found)
    PAGE.write_text(
        page[: found.start("new")]
        + new
        + page[found.end("new") : found.start("report")]
        + report
        + page[found.end("report") :]
    )


def test_the_page_has_an_example_of_each_origin() -> None:
    section = re.search(r"^## Examples\n(.+?)(?=^## )", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert section and re.findall(r"^### (.+)$", section[1], re.MULTILINE) == list(EXAMPLES)
    kinds = {item["kind"] for found in EXAMPLES.values() for item in yaml.safe_load_all(found["old"])}
    # A ReplicaSet is made by a Deployment.
    assert kinds == {*KINDS, "ConfigMap"} - {"ReplicaSet"}
    for form in (
        "EGRESS_DESTINATION, value",
        "configMapKeyRef",
        "EGRESS_DNS_PROXY_DESTINATION",
        "EGRESS_HTTP_PROXY_DESTINATION",
    ):
        assert any(form in found["old"] for found in EXAMPLES.values()), form


def test_the_page_has_the_permissions() -> None:
    (text,) = re.findall(r"^```yaml\n(apiVersion: rbac.+?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    rules = yaml.safe_load(text)["rules"]
    granted = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    plurals = {kind.lower() + "s" for kind in KINDS} - {"networkattachmentdefinitions"}
    assert granted == {(plural, "list") for plural in (*plurals, "network-attachment-definitions")} | {
        ("configmaps", "get")
    }


def test_namespaces() -> None:
    objects = Objects(read_files([str(HERE / "forms" / "sdn_wrong.manifests")], ""), ["b"])
    assert migrate(objects, [])["report"]["summary"] == "no old egress routers were found"
    assert migrate(objects, [])["text"].endswith("egress_routers: []\n")


def test_own_routers_are_none_of_before() -> None:
    text = (HERE / "forms" / "egress_router.manifests").read_text()
    labels = "labels: {app.kubernetes.io/managed-by: egress.router}"
    deployment = "---\nkind: Deployment\nmetadata: {name: egress-router-redirect, namespace: payments, LABELS}\n"
    ours = migrated(text + deployment.replace("LABELS", labels), [])
    assert ours["routers"][0]["name"] == "egress-router-redirect"
    theirs = migrated(text + deployment.replace("LABELS", "labels: {}"), [])
    assert theirs["routers"][0]["name"] == "egress-router-redirect-router"


def test_what_could_not_be_read_is_no_success() -> None:
    report = migrate(Objects(()), [], ["jane may not list pods"])["report"]
    assert not report["ok"] and report["table"] == ["not read: jane may not list pods"]
