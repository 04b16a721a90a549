# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Address pools on a real API server: what its locks do when several runs want one address, and the playbooks."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.egress.router.plugins.module_utils._common.errors import EgressError, Forbidden
from ansible_collections.egress.router.plugins.module_utils._contract.identity import VARIABLE, Identity
from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.egress.router.plugins.module_utils._pools import option
from ansible_collections.egress.router.plugins.module_utils._pools.info import report
from ansible_collections.egress.router.plugins.module_utils._pools.pool import read_pools
from ansible_collections.egress.router.plugins.module_utils._pools.run import Run
from ansible_collections.egress.router.plugins.module_utils._router import checked
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.tests.api_server.api import Servers
from ansible_collections.egress.router.tests.api_server.control_plane import ControlPlane
from ansible_collections.egress.router.tests.api_server.playbooks import run_playbook

POOL = {"name": "partners", "ranges": ["198.51.100.64-198.51.100.67"], "prefix_length": 24, "gateway": "198.51.100.1"}
_numbers = itertools.count(1)


class Pools:
    """Two namespaces of a test: of the ConfigMaps and of the routers."""

    def __init__(self, plane: ControlPlane) -> None:
        number = next(_numbers)
        self.plane, self.space, self.payments = plane, f"pools-{number}", f"pools-payments-{number}"
        for name in (self.space, self.payments):
            plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.space}/configmaps"

    def objects(self) -> dict[str, Any]:
        return {item["metadata"]["name"]: item["metadata"] for item in self.plane.request("GET", self.path)["items"]}

    def run(
        self, *names: str, check: bool = False, pool: Any = None, client: Any = None, kind: Any = Run, **args: Any
    ) -> Any:
        """A run of the module, planned."""
        routers = [
            {"name": name, "namespace": self.payments, "image": "img:1", "addresses": [{"pool": "partners"}]}
            for name in names
        ]
        state = {"state": "present", "release_unused": False, **args}
        found = option.arguments({"routers": routers, "pools": [pool or POOL], **state}, _read_text)
        params = {
            **found, "namespace": self.space, "create_namespace": False, "node_checks": False, "node_checks_namespace": "",
            "cni_directory": "", "wait_timeout": 1,
        }  # fmt: skip
        cluster = Cluster(client or self.plane.client)
        return kind(cluster, cluster.rehearsal() if check else cluster, option.read(params), option.options(params))

    def addresses(self, *names: str, **args: Any) -> dict[str, Any]:
        run = self.run(*names, **args)
        run.run()
        assert not run.error, run.error
        found: dict[str, Any] = run.as_dict(with_diff=True)
        return found


def _read_text(data: Any, defaults: Any, absent: bool) -> tuple[str, list[Any]]:
    routers, problems = load(data, defaults, absent)
    return checked.dump(routers), problems


def got(result: dict[str, Any]) -> list[str]:
    return [one["ip"].removeprefix("198.51.100.").removesuffix("/24") for one in result["addresses"]]


@pytest.fixture
def pools(control_plane: ControlPlane) -> Iterator[Pools]:
    made = Pools(control_plane)
    yield made
    for name in (made.space, made.payments):
        control_plane.request("DELETE", f"/api/v1/namespaces/{name}")


def test_check_then_real_twice(pools: Pools) -> None:
    predicted = pools.addresses("a", "b", check=True)
    assert (predicted["changed"], got(predicted), pools.objects().keys()) == (True, ["64", "65"], set())
    result = pools.addresses("a", "b")
    assert (result["changed"], got(result)) == (True, got(predicted))
    assert list(pools.objects()) == ["egress-address-198.51.100.64", "egress-address-198.51.100.65"]
    for check in (True, False):
        again = pools.addresses("b", "a", check=check)
        assert (again["changed"], again["diff"], got(again), again["requests"]) == (False, [], ["64", "65"], 1)


class _Together(Run):
    """Writes only when all of the others have planned too."""

    barrier: threading.Barrier

    def _apply(self) -> None:
        self.barrier.wait(60)
        super()._apply()


def at_once(pools: Pools, names: list[str], **args: Any) -> dict[str, Any]:
    """What each of these routers got by a run of its own, or the error."""
    _Together.barrier = threading.Barrier(len(names))

    def one(name: str) -> Any:
        try:
            return got(pools.addresses(name, kind=_Together, **args))[0]
        except EgressError as error:
            return error

    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


def test_two_runs_at_once_and_one_address_left(pools: Pools) -> None:
    last = {**POOL, "ranges": ["198.51.100.64"]}
    found = at_once(pools, ["a", "b"], pool=last)
    (winner,) = [name for name, result in found.items() if result == "64"]
    (loser,) = set(found) - {winner}
    assert str(found[loser]) == (
        f"router {pools.payments}/{loser}, addresses[0].pool: pool partners (198.51.100.64) is full. Allocated: "
        f"198.51.100.64 {pools.payments}/{winner}. Add a range, or remove a router"
    )
    (metadata,) = pools.objects().values()
    assert metadata["labels"]["egress.router/router"] == winner


def test_many_runs_at_once_get_different_addresses(pools: Pools) -> None:
    found = at_once(pools, ["a", "b", "c", "d"])
    assert sorted(found.values()) == ["64", "65", "66", "67"], found


def test_two_runs_at_once_for_one_router(pools: Pools) -> None:
    _Together.barrier = threading.Barrier(2)
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda _number: pools.addresses("a", kind=_Together), range(2)))
    assert [got(result) for result in results] == [["64"], ["64"]]
    assert sorted(result["changed"] for result in results) == [False, True] and len(pools.objects()) == 1


def release(pools: Pools, name: str, seconds_ago: int) -> None:
    """Releases the address of a router, and lets it have been some time ago."""
    (one,) = pools.addresses(name, state="absent")["released"]
    at = (datetime.now(timezone.utc) - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"metadata": {"annotations": {"egress.router/released-at": at}}}
    pools.plane.merge(f"{pools.path}/{one['config_map']}", body)


def test_quarantine(pools: Pools) -> None:
    pools.addresses("a")
    result = pools.addresses("a", check=True, state="absent")
    assert result["changed"] and "released-at" not in str(pools.objects())
    release(pools, "a", 3000)
    assert not pools.addresses("a", state="absent")["changed"]
    assert got(pools.addresses("b")) == ["65"]
    assert got(pools.addresses("a")) == ["64"], "its own, at once"
    release(pools, "a", 3700)
    assert got(pools.addresses("c")) == ["64"]
    assert "released-at" not in str(pools.objects())
    (shown,) = report(Cluster(pools.plane.client), read_pools([POOL])[0], pools.space, True)["pools"]
    assert (shown["free"], [(one["name"], one["ip"]) for one in shown["used"]]) == (
        2, [("c", "198.51.100.64"), ("b", "198.51.100.65")],
    )  # fmt: skip


def test_two_runs_at_once_and_one_released_address(pools: Pools) -> None:
    last = {**POOL, "ranges": ["198.51.100.64"]}
    pools.addresses("gone", pool=last)
    release(pools, "gone", 3700)
    found = at_once(pools, ["a", "b"], pool=last)
    (loser,) = [name for name, result in found.items() if result != "64"]
    assert "is full" in str(found[loser]) and len(pools.objects()) == 1


def test_without_quarantine_the_object_is_deleted_in_the_version_that_was_read(pools: Pools) -> None:
    pool = {**POOL, "quarantine_seconds": 0}
    pools.addresses("a", pool=pool)

    class Slow(Run):
        def _apply(self) -> None:
            body = {"metadata": {"annotations": {"example.com/seen": "1"}}}
            pools.plane.merge(f"{pools.path}/egress-address-198.51.100.64", body)
            super()._apply()

    with pytest.raises(EgressError, match="egress-address-"):
        pools.addresses("a", pool=pool, state="absent", kind=Slow)
    assert len(pools.objects()) == 1
    assert pools.addresses("a", pool=pool, state="absent")["changed"] and pools.objects() == {}


def test_edited_by_hand(pools: Pools) -> None:
    pools.addresses("a", "b")
    path = f"{pools.path}/egress-address-198.51.100.64"
    # Without its labels: nobody finds it by a list, and nobody overwrites it.
    labels = dict.fromkeys(pools.objects()["egress-address-198.51.100.64"]["labels"])
    pools.plane.merge(path, {"metadata": {"labels": labels}})
    result = pools.addresses("c")
    assert got(result) == ["66"], "the lowest one is not free"
    (skipped,) = result["skipped"]
    assert skipped["ip"] == "198.51.100.64" and "somebody has edited it" in skipped["reason"]
    # With the address of another one.
    path = f"{pools.path}/egress-address-198.51.100.65"
    pools.plane.merge(path, {"metadata": {"annotations": {"egress.router/address": "198.51.100.66"}}})
    with pytest.raises(
        EgressError, match=r"egress-address-198\.51\.100\.65 has the address 198\.51\.100\.66 in the annotation"
    ):
        pools.addresses("d")
    assert not pools.addresses("c")["changed"], "who needs nothing new is not stopped"


def test_the_permissions_of_the_documentation_are_enough(pools: Pools) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/addresses.md").read_text()
    (text,) = [block.split("```")[0] for block in page.split("```yaml\n") if block.startswith("apiVersion: rbac")]
    jane = pools.plane.impersonating("jane")
    pool = {**POOL, "quarantine_seconds": 0}
    with pytest.raises(Forbidden):
        pools.addresses("a", client=jane, pool=pool)
    pools.plane.grant("jane", pools.space, yaml.safe_load(text))
    for check in (True, False):
        assert got(pools.addresses("a", client=jane, pool=pool, check=check)) == ["64"]
    for check in (True, False):
        assert pools.addresses("a", client=jane, pool=pool, check=check, state="absent")["changed"]
    pools.addresses("a", client=jane)
    pools.addresses("a", client=jane, state="absent")
    pools.addresses("a", client=jane)
    assert len(pools.objects()) == 1


# The playbooks


def play(pools: Pools, servers: Servers, folder: Path, *arguments: str, **variables: Any) -> str:
    """What ansible-playbook printed."""
    given = {
        "egress_routers": [{"name": "a", "addresses": [{"pool": "partners"}], "fallback_ip": "203.0.113.9"}],
        "egress_router_defaults": {"namespace": pools.payments, "image": "img:1", "master": "eth1"},
        "egress_router_pools": [POOL],
        "addresses_namespace": pools.space,
        "preflight_node_checks": False,
        "render_path": str(folder / "manifests"),
        **variables,
    }
    process = run_playbook(servers, folder, arguments, given)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
"""
DEPLOY = f"""{PLAY}
    - ansible.builtin.include_role: {{name: egress.router.addresses}}
    - ansible.builtin.include_role: {{name: egress.router.deploy}}
"""
PREDICT = f"""{PLAY}
    - ansible.builtin.include_role: {{name: egress.router.addresses, tasks_from: predict}}
    - ansible.builtin.debug: {{msg: "it is {{{{ lookup('egress.router.routers')[0].addresses[0].ip }}}}"}}
"""


def test_the_playbooks(pools: Pools, servers: Servers, tmp_path: Path) -> None:
    """Where variables come from the command line, which nothing can overwrite."""
    for name, text in (("deploy", DEPLOY), ("predict", PREDICT)):
        (tmp_path / f"{name}.yml").write_text(text)
    predicted = play(pools, servers, tmp_path, "egress.router.provision", "--check", "--diff")
    assert "egress-address-198.51.100.64" in predicted and "198.51.100.64/24" in predicted
    assert "it is 198.51.100.64/24" in play(pools, servers, tmp_path, "predict.yml") and pools.objects() == {}
    play(pools, servers, tmp_path, "deploy.yml")
    assert deployed(pools) == ["198.51.100.64/24"] and len(pools.objects()) == 1
    play(pools, servers, tmp_path, "egress.router.render")
    assert "198.51.100.64/24" in (tmp_path / f"manifests/{pools.payments}_a.yaml").read_text()
    # Another list, in which the router comes last.
    more = [{"name": name, "addresses": [{"pool": "partners"}]} for name in ("b", "a")]
    shown = play(pools, servers, tmp_path, "egress.router.provision", "--check", "--diff", egress_routers=more)
    assert "egress-address-198.51.100.65" in shown and "egress-address-198.51.100.64" not in shown


@pytest.mark.parametrize("how", ["deprovision", "provision"])
def test_playbooks_release_what_was_removed(pools: Pools, servers: Servers, tmp_path: Path, how: str) -> None:
    (tmp_path / "deploy.yml").write_text(DEPLOY)
    play(pools, servers, tmp_path, "deploy.yml")
    routers = [{"name": "a", "addresses": [{"pool": "partners"}], "state": "absent"}]
    if how == "provision":
        play(pools, servers, tmp_path, "egress.router.provision", egress_routers=routers)
    else:
        play(pools, servers, tmp_path, "egress.router.deprovision")
    assert deployed(pools) == []
    (metadata,) = pools.objects().values()
    assert "egress.router/released-at" in metadata["annotations"]


def deployed(pools: Pools) -> list[str]:
    """The addresses of the Deployment."""
    found = pools.plane.request("GET", f"/apis/apps/v1/namespaces/{pools.payments}/deployments/a")
    if found is None:
        return []
    values = {one["name"]: one.get("value") for one in found["spec"]["template"]["spec"]["containers"][0]["env"]}
    return [address.ip for address in Identity.from_json(values[VARIABLE]).addresses]
