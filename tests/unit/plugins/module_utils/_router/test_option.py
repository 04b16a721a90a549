# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of a router stands in the documentation, in the modules' specification and in the reader: they agree."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import yaml

from ansible_collections.egress.router.plugins.doc_fragments._routers import ModuleDocFragment
from ansible_collections.egress.router.plugins.module_utils._common.errors import InputError
from ansible_collections.egress.router.plugins.module_utils._router import checked
from ansible_collections.egress.router.plugins.module_utils._router.option import SPEC, read
from ansible_collections.egress.router.plugins.module_utils._router.routers import DEFAULT_KEYS, load

DOCUMENTED: dict[str, Any] = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
KEYS: dict[str, Any] = SPEC["routers"]["options"]
# Every dictionary of a router, by its path, with a place for a key.
SECTIONS = {
    "": (KEYS, lambda extra: extra),
    "addresses[0]": (KEYS["addresses"]["options"], lambda extra: {"addresses": [extra]}),
    "redirect_rules[0]": (KEYS["redirect_rules"]["options"], lambda extra: {"redirect_rules": [extra]}),
    "tolerations[0]": (KEYS["tolerations"]["options"], lambda extra: {"tolerations": [extra]}),
    "failover": (KEYS["failover"]["options"], lambda extra: {"failover": extra}),
    "service": (KEYS["service"]["options"], lambda extra: {"service": extra}),
    "service.extra_ports[0]": (
        KEYS["service"]["options"]["extra_ports"]["options"],
        lambda extra: {"service": {"extra_ports": [extra]}},
    ),
}


def as_specification(documented: dict[str, Any]) -> dict[str, Any]:
    """What the documentation says, without its texts."""
    found = {}
    for name, option in documented.items():
        found[name] = {key: value for key, value in option.items() if key not in ("description", "suboptions")}
        if "suboptions" in option:
            found[name]["options"] = as_specification(option["suboptions"])
    return found


def sentences(**router: Any) -> list[str]:
    return [str(problem) for problem in load([{"name": "db", "namespace": "payments", "state": "absent", **router}])[1]]


def test_the_documentation_is_the_specification() -> None:
    specification = copy.deepcopy(SPEC)
    options = specification["routers"]["options"]
    del options["tolerations"]["options"]["key"]["no_log"], options["image_pull_secrets"]["no_log"]
    assert as_specification(DOCUMENTED) == specification


@pytest.mark.parametrize("path", SECTIONS)
def test_the_reader_knows_the_keys_of_the_specification(path: str) -> None:
    options, place = SECTIONS[path]
    (problem,) = [line for line in sentences(**place({"#": 1})) if "is not a valid key" in line]
    assert problem.startswith(f"router payments/db, {path}.#:" if path else "router payments/db, #:")
    assert problem.split("valid keys are ")[1].split(", ") == sorted(options)


@pytest.mark.parametrize("path", SECTIONS)
def test_the_reader_takes_the_choices_of_the_specification(path: str) -> None:
    options, place = SECTIONS[path]
    for key, option in options.items():
        if "choices" in option:
            (problem,) = [line for line in sentences(**place({key: "#"})) if f"{key}: " in line and "'#'" in line]
            assert problem.split("is not one of ")[1].split(", ") == option["choices"]


def test_the_reader_has_the_defaults_of_the_specification() -> None:
    (router,), problems = load(
        [{"name": "db", "namespace": "payments", "addresses": [{"ip": "192.0.2.1/24"}], "image": "x"}]
    )
    assert not problems
    values = {
        **vars(router),
        "redirect_rules": list(router.rules.rules),
        "routes": list(router.routes),
        "service": {},
        "failover": {},
    }
    for key, option in KEYS.items():
        if "default" in option and key != "addresses":
            assert values[key] == option["default"], key
    of_failover = KEYS["failover"]["options"].items()
    assert vars(router.failover) == {key: option["default"] for key, option in of_failover}
    service = vars(router.service)
    for key, option in KEYS["service"]["options"].items():
        if "default" in option:
            found = list(service[key]) if isinstance(service[key], tuple) else service[key]
            assert found == option["default"], key


def test_the_documentation_names_the_keys_of_defaults() -> None:
    named = re.findall(r"O\(routers\[\]\.(\w+)\)", DOCUMENTED["defaults"]["description"][1])
    assert tuple(named) == DEFAULT_KEYS


def test_a_module_takes_the_checked_list_alone() -> None:
    routers, _problems = load([{"name": "db", "namespace": "payments", "state": "absent"}])
    assert read({"routers": [], "defaults": {}, "checked": checked.dump(routers)}) == routers
    with pytest.raises(InputError, match="action plugin"):
        read({"routers": [{"name": "db"}], "defaults": {}, "checked": None})
