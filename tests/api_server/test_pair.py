# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a router with several pods has of its own, on a real API server with its controllers: the Secret and the PodDisruptionBudget."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from typing import Any

import kubernetes.client
import pytest

from ansible_collections.egress.router.plugins.module_utils._kubernetes import peers
from ansible_collections.egress.router.plugins.module_utils._kubernetes.backends import deploy
from ansible_collections.egress.router.plugins.module_utils._kubernetes.change import Options
from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.egress.router.plugins.module_utils._router.manifests import (
    agent_permissions,
    needed_permissions,
    removal_permissions,
)
from ansible_collections.egress.router.plugins.module_utils._router.router import Router
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.tests.api_server.control_plane import ControlPlane
from ansible_collections.egress.router.tests.support.waiting import until

KEY = b"sentinel-of-the-tests-0123456789"
_numbers = itertools.count(1)


class World:
    """A namespace."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.namespace = f"pair-{next(_numbers)}"
        plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    def router(self, **keys: Any) -> Router:
        spec = {
            "name": "db",
            "namespace": self.namespace,
            "image": "img:1",
            "addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}],
        }
        (found,), problems = load([{**spec, **keys}])
        assert not problems
        return found

    def deploy(self, router: Router, check: bool = False, client: Any = None) -> dict[str, Any]:
        """What the module does, without agents to wait for."""
        cluster = Cluster(client or self.plane.client, dry_run=check)
        outcome = deploy(cluster, [router], Options(wait=False))
        assert not outcome.error, outcome.error
        return outcome.as_dict(with_diff=True)

    def get(self, prefix: str, plural: str, name: str) -> Any:
        return self.plane.request("GET", f"{prefix}/namespaces/{self.namespace}/{plural}/{name}")

    def secret(self) -> Any:
        return self.get("/api/v1", "secrets", "db-peers")

    def budget(self) -> Any:
        return self.get("/apis/policy/v1", "poddisruptionbudgets", "db")

    def objects(self) -> Any:
        """Both, without the status of the budget, which changes when it likes."""
        metadata = (self.budget() or {}).get("metadata") or {}
        return self.secret(), metadata.get("uid"), metadata.get("generation")

    def pods(self) -> list[str]:
        found = self.plane.request("GET", f"/api/v1/namespaces/{self.namespace}/pods")["items"]
        return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def make_ready(self, pod: str) -> None:
        """What the kubelet says once the agent could serve."""
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        self.plane.merge(f"/api/v1/namespaces/{self.namespace}/pods/{pod}/status", {"status": status})

    def evict(self, pod: str) -> int:
        """What a drain asks for; the status of the answer."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": self.namespace}}
        try:
            self.plane.request("POST", f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction", body)
        except kubernetes.client.exceptions.ApiException as error:
            return int(error.status)
        return 201


@pytest.fixture
def world(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(peers.secrets, "token_bytes", lambda count: KEY[:count])
    made = World(control_plane)
    yield made
    made.deploy(made.router(state="absent"))


def changes(result: dict[str, Any]) -> dict[str, str]:
    """What became of that of which this is about."""
    found = {one["kind"]: one["change"] for one in result["routers"][0]["objects"]}
    return {kind: found[kind] for kind in ("PodDisruptionBudget", "Secret") if kind in found}


PAIR, SINGLE, ABSENT = {"replicas": 2}, {"replicas": 1}, {"state": "absent"}
CREATED = {"PodDisruptionBudget": "created", "Secret": "created"}


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
@pytest.mark.parametrize(
    ("there", "wanted", "expected"),
    [
        (None, PAIR, CREATED),
        (SINGLE, PAIR, CREATED),
        (PAIR, {**PAIR, "disruption_budget": False}, {"PodDisruptionBudget": "removed"}),
        (PAIR, SINGLE, {"PodDisruptionBudget": "removed"}),
        (PAIR, ABSENT, {"PodDisruptionBudget": "removed"}),
    ],
    ids=["create", "more pods", "no budget", "fewer pods", "delete"],
)
def test_create_modify_and_delete_twice(
    world: World, check: bool, there: dict[str, Any] | None, wanted: dict[str, Any], expected: dict[str, str]
) -> None:
    if there:
        world.deploy(world.router(**there))
    before = world.objects()
    first = world.deploy(world.router(**wanted), check)
    assert first["changed"] and changes(first) == expected
    forms = (KEY.decode(), base64.b64encode(KEY).decode(), KEY.hex())
    assert not [form for form in forms if form in json.dumps(first)], "the key is nobody's business"
    if check:
        assert world.objects() == before
    second = world.deploy(world.router(**wanted), check)
    assert second["changed"] is check and changes(second) == (expected if check else {})
    if check:
        return
    assert bool(world.budget()) is ("PodDisruptionBudget" in expected and expected["PodDisruptionBudget"] == "created")
    if wanted == ABSENT:
        until(lambda: world.secret() is None, "the Secret goes with the ServiceAccount")
    else:
        assert world.secret()["data"] == {"key": base64.b64encode(KEY).decode()}


def test_the_secret_is_left_as_it_is_and_comes_back_if_it_was_deleted(world: World) -> None:
    world.deploy(world.router(**PAIR))
    path = f"/api/v1/namespaces/{world.namespace}/secrets/db-peers"
    mine = world.plane.merge(path, {"data": {"key": "bWluZQ==", "previous": "b2xk"}})
    assert not world.deploy(world.router(**PAIR))["changed"] and world.secret() == mine
    world.plane.request("DELETE", path)
    assert changes(world.deploy(world.router(**PAIR))) == {"Secret": "created"}
    assert world.secret()["data"] == {"key": base64.b64encode(KEY).decode()}


def test_a_router_that_was_just_removed_leaves_no_key_to_the_next_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Secret is removed some time after the ServiceAccount: here at the third try to create the new one."""
    monkeypatch.setattr(peers, "GARBAGE_SECONDS", 60)
    world.deploy(world.router(**PAIR))
    path = f"/api/v1/namespaces/{world.namespace}/secrets/db-peers"
    old = world.plane.merge(path, {"metadata": {"finalizers": ["example.com/not-yet"]}})
    world.deploy(world.router(**ABSENT))
    tries: list[int] = []

    def let_go_at_the_third(count: int) -> bytes:
        tries.append(count)
        if len(tries) == 3:
            world.plane.merge(path, {"metadata": {"finalizers": None}})
        return KEY[:count]

    monkeypatch.setattr(peers.secrets, "token_bytes", let_go_at_the_third)
    assert changes(world.deploy(world.router(**PAIR))) == CREATED
    new, account = world.secret(), world.get("/api/v1", "serviceaccounts", "db")
    assert new["metadata"]["uid"] != old["metadata"]["uid"] and len(tries) >= 3
    assert [owner["uid"] for owner in new["metadata"]["ownerReferences"]] == [account["metadata"]["uid"]]


def test_a_run_that_changes_nothing_asks_once_more_of_a_pair(world: World) -> None:
    """Every object is as it was applied, so only the Secret takes a request of its own."""
    asked = {}
    for keys in (SINGLE, PAIR):
        router = world.router(**keys)
        world.deploy(router)
        asked[keys["replicas"]] = world.deploy(router)["requests"]
    assert asked[2] == asked[1] + 1


def test_the_permissions_that_preflight_asks_for_are_enough_and_none_of_them_reads_secrets(world: World) -> None:
    pair = world.router(**PAIR)
    permissions = [*needed_permissions([pair]), *removal_permissions(), *agent_permissions(pair)]
    assert [one.verb for one in permissions if one.resource == "secrets"] == ["create"]
    rules = [
        {"apiGroups": [one.group], "resources": [one.resource], "verbs": [one.verb]}
        for one in dict.fromkeys(permissions)
    ]
    world.plane.grant("jane", world.namespace, {"metadata": {"name": "jane"}, "rules": rules})
    jane = world.plane.impersonating("jane")
    for check, changed in ((True, True), (False, True), (True, False), (False, False)):
        assert world.deploy(pair, check, jane)["changed"] is changed
    assert world.deploy(world.router(**ABSENT), client=jane)["changed"]
    until(lambda: world.secret() is None, "the Secret goes with the ServiceAccount")


def test_a_drain_evicts_one_pod_after_the_other(world: World) -> None:
    world.deploy(world.router(**PAIR))
    first, second = until(lambda: len(world.pods()) == 2 and world.pods(), "the Deployment has its pods")
    for pod in (first, second):
        world.make_ready(pod)
    until(lambda: world.budget()["status"].get("disruptionsAllowed") == 1, "both pods are ready, so one may go")
    assert world.evict(first) == 201
    assert world.evict(second) == 429, "the other one has to wait"
    (third,) = until(lambda: [pod for pod in world.pods() if pod not in (first, second)], "another pod is made")
    assert world.evict(second) == 429, "the new one does not stand by yet"
    world.make_ready(third)
    until(lambda: world.budget()["status"].get("disruptionsAllowed") == 1, "it stands by")
    assert world.evict(second) == 201


def test_pods_that_are_not_ready_keep_no_node_from_being_drained(world: World) -> None:
    world.deploy(world.router(**PAIR))
    pods = until(lambda: len(world.pods()) == 2 and world.pods(), "the Deployment has its pods")
    running = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}}
    for pod in pods:
        world.plane.merge(f"/api/v1/namespaces/{world.namespace}/pods/{pod}/status", running)
    until(lambda: world.budget()["status"].get("expectedPods") == 2, "the budget counts them")
    assert [world.evict(pod) for pod in pods] == [201, 201]
