# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list of routers on a real API server: several surveys at the same time, the permissions, and the playbooks that know the list."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.egress.router.plugins.module_utils._common.errors import Forbidden
from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.egress.router.plugins.module_utils._router_list import option
from ansible_collections.egress.router.plugins.module_utils._router_list.run import Run
from ansible_collections.egress.router.tests.api_server.api import Servers
from ansible_collections.egress.router.tests.api_server.control_plane import ControlPlane
from ansible_collections.egress.router.tests.api_server.playbooks import run_playbook

DEFAULTS = {"image": "img:1", "master": "eth1"}
_numbers = itertools.count(1)


class Lists:
    """Two namespaces of a test: of the list and of the routers."""

    def __init__(self, plane: ControlPlane) -> None:
        number = next(_numbers)
        self.plane, self.space, self.payments = plane, f"list-{number}", f"list-payments-{number}"
        for name in (self.space, self.payments):
            plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def run(self, check: bool = False, client: Any = None, kind: Any = Run, **params: Any) -> dict[str, Any]:
        """What the module returns."""
        given = {"routers": None, "survey": None, "state": "present", "fixed_routers": None, "pools": None, **params}
        cluster = Cluster(client or self.plane.client)
        wish = option.read({**given, "defaults": {**DEFAULTS, "namespace": self.payments}})
        run = kind(cluster, cluster.rehearsal() if check else cluster, self.space, wish, False)
        run.run()
        assert not run.error, run.error
        found: dict[str, Any] = run.as_dict(with_diff=True)
        return found

    def survey(self, name: str, **more: Any) -> dict[str, Any]:
        """The same for the answers of a survey."""
        answers = {key: value for key, value in more.items() if key in option.ANSWERS}
        answers |= {"gateway": "198.51.100.1"} if "address" in answers else {}
        others = {key: value for key, value in more.items() if key not in option.ANSWERS}
        return self.run(survey={"name": name, **answers}, **others)


def names(result: dict[str, Any]) -> list[str]:
    return [one["name"] for one in result["routers"]]


@pytest.fixture
def lists(control_plane: ControlPlane) -> Iterator[Lists]:
    made = Lists(control_plane)
    yield made
    for name in (made.space, made.payments):
        control_plane.request("DELETE", f"/api/v1/namespaces/{name}")


def test_added_changed_removed_in_check_and_real_twice(lists: Lists) -> None:
    asked: list[dict[str, Any]] = [
        {"address": "198.51.100.50/24", "rules": "5432 TCP 203.0.113.10"},
        {"rules": "5433 TCP 203.0.113.10"},
        {"state": "absent"},
    ]
    for answers in asked:
        predicted = lists.survey("a", check=True, **answers)
        result = lists.survey("a", **answers)
        assert predicted["changed"] and result["changed"] and predicted["routers"] == result["routers"]
        for check in (True, False):
            again = lists.survey("a", check=check, **answers)
            assert (again["changed"], again["diff"], again["routers"]) == (False, [], result["routers"])
    out = [{"name": "a", "namespace": lists.payments}]
    assert lists.run(check=True, state="absent", routers=out)["changed"] and names(lists.run()) == ["a"]
    assert lists.run(state="absent", routers=out)["changed"] and names(lists.run()) == []
    assert not lists.run(state="absent", routers=out)["changed"]


class _Together(Run):
    """Writes only when the others have planned too, the first time."""

    barrier: threading.Barrier
    waited = False

    def _write(self, step: Any) -> None:
        if not self.waited:
            self.waited = True
            self.barrier.wait(60)
        super()._write(step)


def test_several_launches_at_the_same_time_lose_nothing(lists: Lists) -> None:
    """Three add a router each, and three change another key of the same one."""
    lists.survey("a", address="198.51.100.50/24")
    asked: list[dict[str, Any]] = [
        *({"survey": {"name": name, "address": f"198.51.100.{host}/24", "gateway": "198.51.100.1"}} for name, host in (("b", 51), ("c", 52), ("d", 53))),
        {"survey": {"name": "a", "rules": "5432 TCP 203.0.113.10"}},
        {"routers": [{"name": "a", "replicas": 2}]},
        {"routers": [{"name": "a", "mtu": 1400}]},
    ]  # fmt: skip
    _Together.barrier = threading.Barrier(len(asked))
    with ThreadPoolExecutor(len(asked)) as threads:
        list(threads.map(lambda params: lists.run(kind=_Together, **params), asked))
    result = lists.run()
    assert names(result) == ["a", "b", "c", "d"]
    router = result["routers"][0]
    assert (router["replicas"], router["mtu"], len(router["redirect_rules"])) == (2, 1400, 1)


def test_the_permissions_of_the_documentation_are_enough(lists: Lists) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/awx.md").read_text()
    (text,) = [block.split("```")[0] for block in page.split("```yaml\n") if block.startswith("apiVersion: rbac")]
    joe = lists.plane.impersonating("joe")
    with pytest.raises(Forbidden):
        lists.run(client=joe)
    lists.plane.grant("joe", lists.space, yaml.safe_load(text))
    for answers in ({"address": "198.51.100.50/24"}, {"rules": "5432 TCP 203.0.113.10"}, {"state": "absent"}):
        assert lists.survey("a", client=joe, **answers)["changed"]
    out = [{"name": "a", "namespace": lists.payments}]
    assert lists.run(client=joe, state="absent", routers=out)["changed"]


def play(lists: Lists, servers: Servers, folder: Path, *arguments: str, **answers: Any) -> str:
    """What ansible-playbook printed, with the answers of a survey, which are texts."""
    variables = {
        "egress_routers": [{"name": "fixed", "addresses": [{"ip": "198.51.100.60/24"}]}],
        "egress_router_defaults": {**DEFAULTS, "namespace": lists.payments},
        "router_list_namespace": lists.space,
        **{f"router_list_survey_{key}": value for key, value in answers.items()},
    }
    process = run_playbook(servers, folder, arguments, variables)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def deployed(lists: Lists) -> list[str]:
    items = lists.plane.request("GET", f"/apis/apps/v1/namespaces/{lists.payments}/deployments")["items"]
    return sorted(item["metadata"]["name"] for item in items)


# provision would wait for agents, and no pod runs here.
PROVISION = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - ansible.builtin.include_role: {name: egress.router.router_list}
    - ansible.builtin.include_role: {name: egress.router.deploy}
    - ansible.builtin.include_role: {name: egress.router.router_list, tasks_from: take_out}
      when: __router_list.absent | length > 0
"""


def test_the_playbooks(lists: Lists, servers: Servers, tmp_path: Path) -> None:
    """A survey's answers, the list, check, provision, and the removal."""
    (tmp_path / "provision.yml").write_text(PROVISION)
    answers = {
        "name": "a",
        "address": "198.51.100.50/24",
        "gateway": "198.51.100.1",
        "rules": "8080 tcp 203.0.113.11 80\r\n",
    }
    shown = play(lists, servers, tmp_path, "egress.router.provision", "--check", "--diff", **answers)
    assert f"ConfigMap {lists.space}/egress-router.{lists.payments}.a" in shown
    assert f"Deployment {lists.payments}/a" in shown and "198.51.100.50/24" in shown
    assert (names(lists.run()), deployed(lists)) == ([], [])
    play(lists, servers, tmp_path, "provision.yml", **answers)
    assert (names(lists.run()), deployed(lists)) == (["a"], ["a", "fixed"])
    play(lists, servers, tmp_path, "provision.yml", name="a", state="absent")
    assert (names(lists.run()), deployed(lists)) == ([], ["fixed"])
