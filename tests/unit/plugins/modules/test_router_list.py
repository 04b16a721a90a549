# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module router_list: one router is added, changed and removed, and no other one is touched or lost."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._router_list.entry import Entry
from ansible_collections.egress.router.tests.support.fake_api_server import FakeCluster

from .conftest import Run

SPACE = "egress-routers"
DEFAULTS = {"image": "img:1", "master": "eth1"}
POOL = {"name": "partners", "ranges": ["198.51.100.64-198.51.100.67"], "prefix_length": 24}
RULES = "8080 TCP 203.0.113.11 80"


@pytest.fixture(autouse=True)
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(EgressModule, "warn", lambda _module, text: found.append(text))
    return found


def router(name: str, host: int, **more: Any) -> dict[str, Any]:
    address = {"ip": f"198.51.100.{host}/24", "gateway": "198.51.100.1"}
    return {"name": name, "namespace": "payments", "addresses": [address], **more}


@pytest.fixture(autouse=True)
def there(cluster: FakeCluster) -> None:
    """Two routers, of which `a` has more keys than any survey asks for."""
    add(cluster, router("a", 50, replicas=2, fallback_ip="203.0.113.99"))
    add(cluster, router("b", 51, state="absent"))


def add(cluster: FakeCluster, item: dict[str, Any]) -> None:
    manifest = Entry(item).manifest()
    name = manifest["metadata"].pop("name")
    cluster.add("configmaps", SPACE, name, metadata=manifest["metadata"], data=manifest["data"])


def listed(run: Run, **options: Any) -> dict[str, Any]:
    return run("router_list", **{"namespace": SPACE, "defaults": DEFAULTS, **options})


def survey(run: Run, check: bool = False, **answers: Any) -> dict[str, Any]:
    return listed(run, check=check, survey={"namespace": "payments", **answers})


def by_name(result: dict[str, Any]) -> dict[str, Any]:
    assert not result.get("failed"), result["msg"]
    return {one["name"]: one for one in result["routers"]}


def objects(cluster: FakeCluster) -> dict[str, Any]:
    return {key[2]: item for key, item in cluster.objects.items() if key[:2] == ("configmaps", SPACE)}


def test_reading_changes_nothing(run: Run, cluster: FakeCluster) -> None:
    for check in (True, False):
        result = listed(run, check=check)
        assert (list(by_name(result)), result["changed"], result["diff"]) == (["a", "b"], False, [])
        assert result["absent"] == [{"name": "b", "namespace": "payments"}]
        assert result["requests"] == 1
    assert cluster.writes == []


def test_a_router_is_added(run: Run, cluster: FakeCluster) -> None:
    answers = {"name": "c", "address": "198.51.100.52/24", "gateway": "198.51.100.1", "rules": RULES}
    before = objects(cluster)
    for check in (True, False):
        result = survey(run, check, **answers)
        assert result["changed"] and list(by_name(result)) == ["a", "b", "c"]
        assert by_name(result)["c"] == {
            "name": "c",
            "namespace": "payments",
            "addresses": [{"ip": "198.51.100.52/24", "gateway": "198.51.100.1"}],
            "redirect_rules": [{"port": 8080, "protocol": "TCP", "destination_ip": "203.0.113.11", "target_port": 80}],
        }
        (diff,) = result["diff"]
        assert (diff["before"], diff["after_header"]) == ("", f"ConfigMap {SPACE}/egress-router.payments.c")
        assert ("egress-router.payments.c" in objects(cluster)) is not check
    assert {name: item for name, item in objects(cluster).items() if name in before} == before
    for check in (True, False):
        again = survey(run, check, **answers)
        assert (again["changed"], again["diff"]) == (False, [])


def test_a_router_is_changed_and_keeps_what_was_not_asked_for(run: Run, cluster: FakeCluster) -> None:
    other = objects(cluster)["egress-router.payments.b"]
    for check in (True, False):
        result = survey(run, check, name="a", rules=RULES)
        rules = [{"port": 8080, "protocol": "TCP", "destination_ip": "203.0.113.11", "target_port": 80}]
        assert by_name(result)["a"] == router("a", 50, replicas=2, redirect_rules=rules)
        assert result["changed"] and "fallback_ip: 203.0.113.99" in result["diff"][0]["before"]
    assert not survey(run, name="a", rules=RULES)["changed"]
    assert by_name(listed(run))["a"]["replicas"] == 2
    assert objects(cluster)["egress-router.payments.b"] == other


def test_a_router_is_removed_in_two_steps(run: Run, cluster: FakeCluster, warned: list[str]) -> None:
    for check in (True, False):
        result = survey(run, check, name="a", state="absent")
        assert result["changed"] and by_name(result)["a"]["state"] == "absent"
        assert [one["name"] for one in result["absent"]] == ["a", "b"]
    assert not survey(run, name="a", state="absent")["changed"]
    out = [{"name": "a", "namespace": "payments"}]
    for check in (True, False):
        result = listed(run, check=check, state="absent", routers=out)
        assert result["changed"] and list(by_name(result)) == ["b"]
        (diff,) = result["diff"]
        assert (diff["after"], diff["before_header"]) == ("", f"ConfigMap {SPACE}/egress-router.payments.a")
        assert ("egress-router.payments.a" in objects(cluster)) is check
    assert not listed(run, state="absent", routers=out)["changed"] and warned == []


def test_a_router_that_is_wanted_again_is_not_taken_out(run: Run, cluster: FakeCluster, warned: list[str]) -> None:
    survey(run, name="b")
    result = listed(run, state="absent", routers=[{"name": "b", "namespace": "payments"}])
    assert not result["changed"] and list(by_name(result)) == ["a", "b"]
    assert warned == ["router payments/b stays in the list: it is not absent there"]


def test_several_at_once_as_yaml(run: Run) -> None:
    result = listed(
        run, routers=[{"name": "a", "namespace": "payments", "replicas": None, "mtu": 1400}, router("c", 52)]
    )
    assert by_name(result)["a"] == router("a", 50, fallback_ip="203.0.113.99", mtu=1400)
    assert list(by_name(result)) == ["a", "b", "c"]


def test_the_namespace_of_the_defaults(run: Run) -> None:
    defaults = {**DEFAULTS, "namespace": "payments"}
    result = listed(run, defaults=defaults, survey={"name": "a", "rules": RULES})
    assert result["changed"] and list(by_name(result)) == ["a", "b"]
    assert "has no name, or no namespace" in listed(run, survey={"name": "a"})["msg"]


def test_routers_of_the_inventory(run: Run, cluster: FakeCluster) -> None:
    fixed = [router("f", 60)]
    assert list(by_name(listed(run, fixed_routers=fixed))) == ["f", "a", "b"]
    said = listed(run, fixed_routers=fixed, survey={"name": "f", "namespace": "payments", "rules": RULES})["msg"]
    assert said == "router payments/f: is in egress_routers of the inventory: change it there, or remove it there first"
    said = listed(run, fixed_routers=[router("f", 60)], routers=[router("c", 60)])["msg"]
    assert "router payments/c, addresses: '198.51.100.60' is also that of router payments/f" in said
    assert listed(run, fixed_routers="[")["msg"].startswith("egress_routers: expected a list of routers")
    assert cluster.writes == []


def test_pools(run: Run) -> None:
    result = listed(run, pools=[POOL], survey={"name": "c", "namespace": "payments", "pool": "partners"})
    assert by_name(result)["c"]["addresses"] == [{"pool": "partners"}]
    said = listed(run, pools=[POOL], survey={"name": "d", "namespace": "payments", "pool": "partner"})["msg"]
    assert said.endswith("there is no pool 'partner': did you mean partners?")


def test_the_whole_list_is_checked_before_anything_is_written(run: Run, cluster: FakeCluster) -> None:
    result = listed(run, routers=[router("c", 52), router("d", 50, replicaz=2)])
    assert [line.split(":")[0] for line in result["msg"].splitlines()] == [
        "router payments/d, replicaz", "router payments/d, addresses", "router payments/d, mac",
    ]  # fmt: skip
    assert cluster.writes == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"routers": "text"}, "routers: expected a list of routers, got"),
        ({"routers": ["text"]}, "routers[0]: expected a dictionary, got"),
        (
            {"routers": [{"namespace": "payments"}]},
            "routers: one without a name has no name, or no namespace",
        ),
        ({"defaults": "text"}, "egress_router_defaults: expected a dictionary"),
        ({"survey": {"rules": RULES}}, "survey.rules: is answered, and survey.name is not"),
    ],
)
def test_what_cannot_be_meant(run: Run, cluster: FakeCluster, options: dict[str, Any], said: str) -> None:
    assert listed(run, **options)["msg"].startswith(said)
    assert cluster.requests == []


def test_edited_by_hand(run: Run, cluster: FakeCluster) -> None:
    objects(cluster)["egress-router.payments.a"]["data"]["router.yml"] = "name: ["
    assert "egress-router.payments.a: router.yml is not YAML" in listed(run)["msg"]


@pytest.mark.parametrize("create", [True, False])
def test_no_namespace_yet(run: Run, cluster: FakeCluster, create: bool) -> None:
    cluster.objects.clear()
    cluster.missing_namespaces.add(SPACE)
    assert listed(run)["routers"] == [], "reading is no reason for one"
    for check in (True, False):
        result = listed(run, check=check, create_namespace=create, routers=[router("a", 50)])
        if create:
            assert result["changed"] and result["diff"][0]["after_header"] == f"Namespace {SPACE}"
        else:
            assert f"namespace {SPACE} does not exist" in result["msg"]
    assert len(objects(cluster)) == create


# Others at the same time


def at_once(cluster: FakeCluster, change: Any, times: int = 1) -> None:
    """Somebody else writes just before."""
    left = [times]

    def look(method: str, path: str) -> None:
        if method in ("PUT", "POST", "DELETE") and "/configmaps" in path and left[0]:
            left[0] -= 1
            change()

    cluster.fault = look


def test_another_run_changes_another_key_of_the_same_router(run: Run, cluster: FakeCluster) -> None:
    at_once(cluster, lambda: add(cluster, router("a", 50, replicas=3)))
    result = survey(run, name="a", rules=RULES)
    assert by_name(result)["a"]["replicas"] == 3
    assert by_name(listed(run))["a"] == by_name(result)["a"]


def test_another_run_adds_the_same_router(run: Run, cluster: FakeCluster) -> None:
    at_once(cluster, lambda: add(cluster, router("c", 52, replicas=2)))
    result = survey(run, name="c", address="198.51.100.52/24", gateway="198.51.100.1", rules=RULES)
    assert by_name(result)["c"]["replicas"] == 2 and len(by_name(result)["c"]["redirect_rules"]) == 1


def test_another_run_takes_the_address(run: Run, cluster: FakeCluster) -> None:
    """Both lists were right by themselves. Whoever looks next is told."""
    at_once(cluster, lambda: add(cluster, router("d", 52)))
    survey(run, name="c", address="198.51.100.52/24")
    assert "'198.51.100.52' is also that of router payments/c" in listed(run)["msg"]


def test_somebody_who_never_stops(run: Run, cluster: FakeCluster) -> None:
    numbers = iter(range(1, 100))
    at_once(cluster, lambda: add(cluster, router("a", 50, replicas=2, mtu=1400 + next(numbers))), times=99)
    assert survey(run, name="a", rules=RULES)["failed"]
    assert "redirect_rules" not in by_name(listed(run))["a"]
