# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup routers, which the roles read the list by."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError

from ansible_collections.egress.router.plugins.lookup.routers import LookupModule

ROOT = Path(__file__).resolve().parents[4]
ROUTERS = [{"name": "a", "addresses": [{"pool": "partners"}]}]
ADDRESS = {
    "namespace": "payments",
    "name": "a",
    "pool": "partners",
    "number": 1,
    "ip": "198.51.100.64/24",
    "gateway": "198.51.100.1",
    "new": True,
}
DEFAULTS = {"namespace": "payments"}


def look_up(filled: Any = True, **variables: Any) -> Any:
    lookup = LookupModule.__new__(LookupModule)
    lookup._templar = SimpleNamespace(template=lambda given: given)
    (found,) = lookup.run([], variables, filled=filled)
    return found


def test_the_list_as_it_is() -> None:
    assert look_up(egress_routers=ROUTERS) is ROUTERS
    # A task that was skipped registers this.
    assert look_up(egress_routers=ROUTERS, __addresses={"skipped": True}) is ROUTERS
    assert look_up(egress_routers="{{ x }}", __addresses={"addresses": [ADDRESS]}) == "{{ x }}"


def test_the_list_with_addresses() -> None:
    found = look_up(egress_routers=ROUTERS, egress_router_defaults=DEFAULTS, __addresses={"addresses": [ADDRESS]})
    assert found == [{"name": "a", "addresses": [{"ip": "198.51.100.64/24", "gateway": "198.51.100.1"}]}]


def test_another_list_gets_nothing_of_it() -> None:
    other = [{"name": "b", "addresses": [{"pool": "partners"}]}, {"name": "a", "addresses": [{"pool": "others"}]}]
    found = look_up(egress_routers=other, egress_router_defaults=DEFAULTS, __addresses={"addresses": [ADDRESS]})
    assert found == other


@pytest.mark.parametrize("filled", [False, "false", "no"])
def test_requests_for_addresses(filled: Any) -> None:
    found = look_up(
        filled, egress_routers=ROUTERS, egress_router_defaults=DEFAULTS, __addresses={"addresses": [ADDRESS]}
    )
    assert found is ROUTERS


def test_the_list_that_is_kept_on_the_cluster() -> None:
    whole = [{"name": "fixed"}, *ROUTERS]
    variables = {"egress_routers": [{"name": "fixed"}], "egress_router_defaults": DEFAULTS}
    assert look_up(**variables, __router_list={"skipped": True}) == [{"name": "fixed"}]
    assert look_up(**variables, __router_list={"routers": whole}) == whole
    found = look_up(**variables, __router_list={"routers": whole}, __addresses={"addresses": [ADDRESS]})
    assert found[1]["addresses"] == [{"ip": "198.51.100.64/24", "gateway": "198.51.100.1"}]
    assert look_up(egress_routers=ROUTERS, __router_list={"routers": []}) == [], "a list may be empty"


def test_no_list() -> None:
    with pytest.raises(AnsibleError, match="egress_routers is not defined"):
        look_up()


def test_every_role_reads_the_list_by_the_lookup() -> None:
    for path in [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/vars/*.yml")]:
        # This one finds out what the list is.
        if "router_list" not in path.parts:
            assert not re.search(r"\begress_routers\b", path.read_text()), (
                f"{path.relative_to(ROOT)}: read the list with lookup('egress.router.routers')"
            )
